//! Blockers: why removals wait, and for how long.

use std::fmt;
use std::time::Duration;

/// The reason why removals of a resource wait, besides grace periods and approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocker {
    /// Another resource of the channel may declare members that are not known.
    DeclarerUnknown {
        /// That resource, as `namespace/name`.
        resource: Box<str>,
        /// Why its members are unknown.
        why: Box<str>,
    },
    /// The uncached read shows a resource whose members are unknown.
    DeclarerUnreadable {
        /// That resource, as `namespace/name`.
        resource: Box<str>,
    },
    /// The uncached read and this process's watch disagree.
    DeclarersChanged,
    /// The resources of the channel could not be read.
    DeclarersUnavailable {
        /// The error of the API server.
        error: String,
    },
    /// The service does not say which user created the channel.
    CreatorUnknown,
    /// Removals are switched off for the whole operator.
    RemovalsOff,
    /// The operator's hourly limit is used up.
    HourlyLimit {
        /// The time until another removal is allowed.
        wait: Duration,
    },
    /// Something changed just before a delete.
    ChangedBeforeDelete,
    /// The service refused a delete.
    DeleteRefused,
    /// An approved plan was completed, so the next plan is made.
    ApprovalCompleted,
}

/// When the cluster and this process disagree, they are compared again after this.
const RETRY_AFTER_DISAGREEMENT: Duration = Duration::from_secs(30);

/// While removals are off, the switch is read again after this.
const RETRY_WHILE_OFF: Duration = Duration::from_mins(1);

/// After a failed read, the cluster is read again after this.
const RETRY_READ: Duration = Duration::from_secs(5);

/// A refused delete is tried again after this.
pub const RETRY_REFUSED_DELETE: Duration = Duration::from_hours(1);

impl Blocker {
    /// Returns the time until removals are tried again, unless something changes first.
    pub fn retry_after(&self) -> Duration {
        match self {
            Self::DeclarerUnknown { .. } | Self::CreatorUnknown => Duration::MAX,
            Self::DeclarerUnreadable { .. } | Self::DeclarersChanged | Self::ChangedBeforeDelete => {
                RETRY_AFTER_DISAGREEMENT
            }
            Self::DeclarersUnavailable { .. } => RETRY_READ,
            Self::RemovalsOff => RETRY_WHILE_OFF,
            Self::HourlyLimit { wait } => *wait,
            Self::DeleteRefused => RETRY_REFUSED_DELETE,
            Self::ApprovalCompleted => Duration::ZERO,
        }
    }
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeclarerUnknown { resource, why } => {
                write!(f, "not all members that {resource} declares are known: {why}")
            }
            Self::DeclarerUnreadable { resource } => write!(f, "not all members that {resource} declares are known"),
            Self::DeclarersChanged => f.write_str("the resources of the channel were changed just now"),
            Self::DeclarersUnavailable { error } => {
                write!(f, "the resources of the channel could not be read ({error})")
            }
            Self::CreatorUnknown => {
                f.write_str("the service does not name the creator of the channel, and the creator is never removed")
            }
            Self::RemovalsOff => f.write_str("removals are off (--removals)"),
            Self::HourlyLimit { .. } => f.write_str("the operator's --max-removals-per-hour is used up"),
            Self::ChangedBeforeDelete => f.write_str("something changed just before a removal"),
            Self::DeleteRefused => f.write_str("the service refused a removal, which is tried again within an hour"),
            Self::ApprovalCompleted => f.write_str("the approved plan is carried out"),
        }
    }
}
