//! The findings of one resource about one member, and their sentences.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::api::{KeepReason, Prune};
use crate::cli::shared::output::format_time;
use crate::engine::number;

/// The place where a resource names a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "in")]
pub(in crate::cli) enum Origin {
    /// The resource's own list.
    Members {
        /// The index in the list, from 0.
        index: usize,
        /// The entry as it is written there.
        written: String,
    },
    /// A ConfigMap.
    ConfigMap {
        namespace: String,
        name: String,
        key: String,
        /// The line, from 1.
        line: u64,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Members { index, written } => write!(f, "spec.members[{index}], written {written}"),
            Self::ConfigMap { namespace, name, key, line } => {
                write!(f, "ConfigMap {namespace}/{name}, key {key}, line {line}")
            }
        }
    }
}

/// One fact that a resource states about a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "is")]
pub(in crate::cli) enum Finding {
    /// Declared, neither refused nor waiting: the member is in the channel.
    Present,
    /// Declared, and the service refused the member; `passes` if a retry comes soon.
    Refused {
        code: String,
        message: String,
        advice: String,
        attempts: u32,
        first_seen: Timestamp,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_attempt: Option<Timestamp>,
        passes: bool,
    },
    /// Declared; `count` members are still to be added, perhaps this one too.
    Pending { count: usize },
    /// Declared, and no declared member is present yet.
    Awaited,
    /// Declared, and not among the errors that fit in the status.
    PastTheList { omitted: u32 },
    /// Declared in a spec that the operator has not reconciled.
    SpecNotSeen {
        generation: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        seen: Option<i64>,
    },
    /// Declared, and the resource was suspended before its first reconcile.
    NeverSeen,
    /// Declared, and the resource has no status.
    NoStatus,
    /// Declared, and the channel could not be listed.
    ChannelNotSeen { reason: String, message: String },
    /// Declared; the addition waits for approval.
    AdditionPendingApproval { hash: String },
    /// Not declared any more; the removal waits for approval.
    RemovalPendingApproval { hash: String },
    /// Not declared any more; the removal was approved.
    RemovalApproved,
    /// Not declared any more; being removed.
    Removing,
    /// Not declared any more by this resource, but by another.
    DeclaredElsewhere,
    /// Not declared any more, and not confirmed absent.
    Claimed { prune: Prune },
    /// In the channel, and declared by no resource.
    Undeclared { reason: KeepReason },
    /// The resource is suspended.
    Suspended,
    /// The resource changes nothing (mode: Observe).
    Observe,
    /// The resource declares no members since this time.
    Expired { at: Timestamp },
    /// The resource is being deleted, and declares no members.
    Deleting,
    /// Some members of the resource cannot be read.
    Unreadable { why: String },
}

impl Finding {
    /// Describes the finding in a sentence; `resource` is `namespace/name`.
    pub(in crate::cli) fn describe(&self, resource: &str, now: Timestamp) -> String {
        match self {
            Self::Present => "present: declared, neither refused nor pending".to_owned(),
            Self::Refused { code, message, advice, attempts, first_seen, next_attempt, passes } => {
                let what = if *passes { "not present yet" } else { "refused" };
                let tried = match attempts {
                    0 => String::new(),
                    1 => ", tried once".to_owned(),
                    times => format!(", tried {times} times since {}", format_time(*first_seen, now)),
                };
                let next = match next_attempt {
                    None => "not retried automatically".to_owned(),
                    Some(at) if *at <= now => format!("due since {}", format_time(*at, now)),
                    Some(at) => format!("next attempt not before {}", format_time(*at, now)),
                };
                let advice = if *passes { "a temporary error" } else { advice };
                format!("{what}: {code}: {message}; {advice}{tried}; {next}")
            }
            Self::Pending { count } => {
                format!("{} declared members are still to be added; the status does not name them", number(*count))
            }
            Self::Awaited => "still to be added, like all declared members".to_owned(),
            Self::PastTheList { omitted } => format!(
                "unknown: not among the errors in the status, which omits {} more: use --live",
                number(*omitted as usize)
            ),
            Self::SpecNotSeen { generation, seen: Some(seen) } => format!(
                "unknown: the operator has not reconciled the newest spec yet (generation {generation}; the last one is {seen})"
            ),
            Self::SpecNotSeen { generation: _, seen: None } => {
                "unknown: the operator has not reconciled the resource yet".to_owned()
            }
            Self::NeverSeen => "unknown: suspended before the first listing of the channel".to_owned(),
            Self::NoStatus => "unknown: no status; does the operator run, and does it watch this namespace?".to_owned(),
            Self::ChannelNotSeen { reason, message } => format!("unknown: {reason}: {message}"),
            Self::AdditionPendingApproval { hash } => {
                format!("not added: the plan waits for approval ({hash}): rollcall approve {resource}")
            }
            Self::RemovalPendingApproval { hash } => {
                format!("not removed: the plan waits for approval ({hash}): rollcall approve {resource}")
            }
            Self::RemovalApproved => "to be removed: the plan was approved".to_owned(),
            Self::Removing => "being removed".to_owned(),
            Self::DeclaredElsewhere => {
                "formerly declared here; stays because another resource declares the member".to_owned()
            }
            Self::Claimed { prune } => match prune {
                Prune::Never => "formerly declared here; prune: Never removes no members".to_owned(),
                Prune::Owned => {
                    "formerly declared here, and not confirmed absent: removed if Rollcall added the member (prune: Owned)"
                        .to_owned()
                }
                Prune::Declared => "formerly declared here, and not confirmed absent: removed (prune: Declared)".to_owned(),
                Prune::Authoritative => {
                    "formerly declared here, and not confirmed absent: removed (prune: Authoritative)".to_owned()
                }
            },
            Self::Undeclared { reason } => {
                format!("in the channel, and no resource declares the member: {reason}")
            }
            Self::Suspended => "suspend: true: nothing is listed or changed".to_owned(),
            Self::Observe => "mode: Observe: nothing is changed".to_owned(),
            Self::Expired { at } => format!("expired {}: declares no members any more", format_time(*at, now)),
            Self::Deleting => "being deleted: declares no members any more".to_owned(),
            Self::Unreadable { why } => format!("may declare further members that cannot be read: {why}"),
        }
    }
}
