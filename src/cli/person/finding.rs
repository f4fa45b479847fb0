//! What does one resource say of a person, in words?

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::api::{KeepReason, Prune};
use crate::cli::output::when;
use crate::engine::number;

/// Where a resource names somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "in")]
pub(in crate::cli) enum Origin {
    /// In its own list.
    Members {
        /// Where in the list, from 0.
        index: usize,
        /// As it is written there.
        written: String,
    },
    /// In a ConfigMap.
    ConfigMap {
        namespace: String,
        name: String,
        key: String,
        /// From 1.
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

/// One thing that a resource says of somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "is")]
pub(in crate::cli) enum Finding {
    /// Declared, and neither refused nor awaited: so they are there.
    Present,
    /// Declared, and the service said no; `passes` if it is tried again soon.
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
    /// Declared, and so many, they perhaps among them, are still to be added.
    Pending { count: usize },
    /// Declared, and none of the declared is there yet.
    Awaited,
    /// Declared, and not among the errors that the status has room for.
    PastTheList { omitted: u32 },
    /// Declared in a spec that the operator has not looked at.
    SpecNotSeen {
        generation: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        seen: Option<i64>,
    },
    /// Declared, and suspended before anybody looked.
    NeverSeen,
    /// Declared, and the operator never said anything.
    NoStatus,
    /// Declared, and the channel could not be looked at.
    ChannelNotSeen { reason: String, message: String },
    /// Declared; the addition waits for approval.
    AdditionPendingApproval { hash: String },
    /// Not declared any more; the removal waits for approval.
    RemovalPendingApproval { hash: String },
    /// Not declared any more; the removal was approved.
    RemovalApproved,
    /// Not declared any more; being removed.
    Removing,
    /// Not declared any more by this one, and by another.
    DeclaredElsewhere,
    /// Not declared any more, and not seen gone.
    Claimed { prune: Prune },
    /// In the channel, and declared by no resource.
    Undeclared { reason: KeepReason },
    /// The resource does nothing.
    Suspended,
    /// The resource changes nothing.
    Observe,
    /// The resource declares no members since then.
    Expired { at: Timestamp },
    /// The resource is being deleted, and declares no members.
    Deleting,
    /// It is not known whom else the resource declares.
    Unreadable { why: String },
}

impl Finding {
    /// In words; `resource` is `namespace/name`.
    pub(in crate::cli) fn words(&self, resource: &str, now: Timestamp) -> String {
        match self {
            Self::Present => "present: declared, and neither refused nor awaited".to_owned(),
            Self::Refused { code, message, advice, attempts, first_seen, next_attempt, passes } => {
                let what = if *passes { "not there yet" } else { "refused" };
                let tried = match attempts {
                    0 => String::new(),
                    1 => ", tried once".to_owned(),
                    times => format!(", tried {times} times since {}", when(*first_seen, now)),
                };
                let next = match next_attempt {
                    None => "not tried again by itself".to_owned(),
                    Some(at) if *at <= now => format!("due since {}", when(*at, now)),
                    Some(at) => format!("next attempt not before {}", when(*at, now)),
                };
                let advice = if *passes { "passes by itself" } else { advice };
                format!("{what}: {code}: {message}; {advice}{tried}; {next}")
            }
            Self::Pending { count } => {
                format!("{} declared members are still to be added; the status does not say who", number(*count))
            }
            Self::Awaited => "still to be added, as all declared members are".to_owned(),
            Self::PastTheList { omitted } => format!(
                "unknown: not among the errors shown, and {} more are not shown: ask with --live",
                number(*omitted as usize)
            ),
            Self::SpecNotSeen { generation, seen: Some(seen) } => format!(
                "unknown: the operator has not yet carried out the newest spec (generation {generation}; it saw {seen})"
            ),
            Self::SpecNotSeen { generation: _, seen: None } => {
                "unknown: the operator has not looked at the resource yet".to_owned()
            }
            Self::NeverSeen => "unknown: suspended before the channel was looked at".to_owned(),
            Self::NoStatus => "unknown: no status; does the operator run, and look at this namespace?".to_owned(),
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
                "declared here before, and stays because another resource declares them".to_owned()
            }
            Self::Claimed { prune } => match prune {
                Prune::Never => "declared here before; prune: Never removes nobody".to_owned(),
                Prune::Owned => {
                    "declared here before, and not seen gone: is removed if Rollcall added them (prune: Owned)"
                        .to_owned()
                }
                Prune::Declared => "declared here before, and not seen gone: is removed (prune: Declared)".to_owned(),
                Prune::Authoritative => {
                    "declared here before, and not seen gone: is removed (prune: Authoritative)".to_owned()
                }
            },
            Self::Undeclared { reason } => {
                format!("in the channel though no resource declares them: {}", stays(*reason))
            }
            Self::Suspended => "suspend: true: nothing is looked at or changed".to_owned(),
            Self::Observe => "mode: Observe: nothing is changed".to_owned(),
            Self::Expired { at } => format!("expired {}: declares no members any more", when(*at, now)),
            Self::Deleting => "being deleted: declares no members any more".to_owned(),
            Self::Unreadable { why } => format!("may declare more people than can be seen: {why}"),
        }
    }
}

/// Why an undeclared member stays, in words.
pub(in crate::cli) fn stays(reason: KeepReason) -> &'static str {
    match reason {
        KeepReason::NotOwned => {
            "this resource never declared them, or Rollcall did not add them, and prune asks for no more"
        }
        KeepReason::Bearer => "a bearer in use is never removed",
        KeepReason::Moderator => "a moderator is never removed",
        KeepReason::Creator => "who made the channel is never removed",
        KeepReason::Bot => "a bot that Rollcall did not add",
        KeepReason::JoinedLately => "joined less than 10 minutes ago",
        KeepReason::AwaitingApproval => "the removal waits for approval",
        KeepReason::Waiting => "the removal is under way, or waits for its time or for what cannot be read",
        KeepReason::Refused => "the service refused the removal",
    }
}
