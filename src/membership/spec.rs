//! A valid spec: the fields of a resource's spec after parsing, with the operator's settings
//! applied.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::desired::DesiredMembers;
use super::target::Target;
use crate::api::{DeletionPolicy, Mode, OnLeave, Prune, SourceStatus, Tolerance};

/// A spec that can be reconciled.
#[derive(Clone, Debug)]
pub struct ValidSpec {
    /// The channel, the membership type and the bearer.
    pub target: Target,
    /// The members that the resource declares.
    pub desired: Arc<DesiredMembers>,
    /// Enforce or observe: whether Rollcall changes the channel.
    pub mode: Mode,
    /// Which undeclared members are removed.
    pub prune: Prune,
    /// The effect of deleting the resource.
    pub deletion_policy: DeletionPolicy,
    /// The response to a declared member that leaves.
    pub on_leave: OnLeave,
    /// The number of refused members with which the resource is still Ready.
    pub tolerated: Tolerance,
    /// The number of removals in 24 hours that need no approval.
    pub removals: Tolerance,
    /// The number of additions in one plan that need no approval.
    pub additions: Option<usize>,
    /// The time between two listings of the channel.
    pub interval: Duration,
    /// When the resource stops declaring members.
    pub expires_at: Option<Timestamp>,
    /// True if `expires_at` has passed.
    pub expired: bool,
    /// The hashes of the sources.
    pub sources: Vec<SourceStatus>,
    /// The first source that is missing or wrong, in words.
    pub source_error: Option<String>,
    /// Why the resource may declare members that are not in `desired`.
    pub unknown: Option<String>,
}

impl ValidSpec {
    /// Returns whether declared members are recorded before they are added.
    pub fn keeps_ownership(&self) -> bool {
        self.prune != Prune::Never
    }

    /// Returns the spec that applies while the resource is being deleted: it declares no members
    /// and removes the ones it declared before.
    pub fn for_cleanup(&self) -> Self {
        let prune = if self.prune == Prune::Authoritative { Prune::Declared } else { self.prune };
        let desired = Arc::new(DesiredMembers::none(&self.target.channel));
        Self { desired, prune, expires_at: None, source_error: None, unknown: None, ..self.clone() }
    }
}
