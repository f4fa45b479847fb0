//! The result of a dry run.

use crate::api::{KeepReason, MemberProblem, PendingApproval, Reason};
use crate::chime::port::CallError;
use crate::membership::declarers::Declarers;
use crate::membership::member_set::NameSet;
use crate::membership::target::Target;

/// The resources as they were before.
#[derive(Clone, Copy, Debug)]
pub enum PriorState<'a> {
    /// The declarers of the channel when last seen: see
    /// [`crate::engine::Engine::declarers_among`]. The status of a resource shows what it declared
    /// before.
    Known(&'a Declarers),
    /// Nothing: every undeclared member may have been declared before.
    Unknown,
}

/// The result of a dry run: the changes that the reconciles of a resource will make.
#[derive(Clone, Debug, Default)]
pub struct DryRun {
    /// The channel, type and bearer; `None` if the spec is too wrong for that.
    pub target: Option<Target>,
    /// The counts of members; `None` if the channel was not listed.
    pub counts: Option<MemberCounts>,
    /// The members to add.
    pub add: NameSet,
    /// The members to remove; with an unknown prior state, at most these.
    pub remove: NameSet,
    /// True if `remove` is an upper bound.
    pub at_most: bool,
    /// The plan that needs approval.
    pub pending_approval: Option<PendingApproval>,
    /// The members to remove that wait for something else, and for what, in words.
    pub waiting: Option<(NameSet, String)>,
    /// The undeclared members that stay, and why.
    pub kept: Vec<(Box<str>, KeepReason)>,
    /// The declared members that are absent and not added, and why.
    pub errors: Vec<MemberProblem>,
    /// Why the resource, or a part of it, is not reconciled.
    pub invalid: Option<(Reason, String)>,
    /// The refused call without which no more is known.
    pub error: Option<CallError>,
    /// The next step, in words.
    pub next_step: Option<String>,
}

impl DryRun {
    /// Returns whether something waits that other resources may change.
    pub fn may_change(&self) -> bool {
        !self.at_most && self.error.is_none() && (self.pending_approval.is_some() || self.waiting.is_some())
    }

    /// Takes in a later dry run of the same resource. Returns whether that one does anything more.
    pub fn extend(&mut self, next: Self) -> bool {
        self.add.extend(next.add.iter());
        self.remove.extend(next.remove.iter());
        (self.pending_approval, self.waiting, self.kept) = (next.pending_approval, next.waiting, next.kept);
        (self.invalid, self.error, self.next_step) = (next.invalid, next.error, next.next_step);
        !next.add.is_empty() || !next.remove.is_empty()
    }
}

/// The counts of a resource's members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberCounts {
    /// The number of declared members.
    pub desired: usize,
    /// The number of declared members that are present.
    pub present: usize,
    /// The number of undeclared members.
    pub undeclared: usize,
    /// The number of pages of a listing.
    pub pages: usize,
}
