//! The situation of a resource: everything that decisions about it are made from.

use std::time::Duration;

use jiff::Timestamp;

use super::declarers::Declarers;
use super::desired::DesiredMembers;
use super::grace::GRACE_PERIOD;
use super::notes::Notes;
use super::observation::{ChannelView, RecentChanges};
use super::record::Record;
use super::spec::ValidSpec;

/// The waits of a removal before a member is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// How long a member must be undeclared.
    pub grace: Duration,
    /// In how many listings a member must be present before `prune: Authoritative` removes it.
    pub listings: u8,
}

impl Waits {
    /// The waits of a reconcile.
    pub const FULL: Self = Self { grace: GRACE_PERIOD, listings: 2 };

    /// The waits of a dry run, which looks beyond them.
    pub const OVER: Self = Self { grace: Duration::ZERO, listings: 1 };
}

/// Everything that decisions about one resource are made from, besides its record and notes.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The resource's `metadata.uid`.
    pub uid: &'a str,
    /// The spec in force.
    pub spec: &'a ValidSpec,
    /// The members this resource declares; during deletion, the ones it declared last.
    pub own: &'a DesiredMembers,
    /// The value of the approval annotation.
    pub approval: Option<&'a str>,
    /// True if the resource is being deleted.
    pub deleting: bool,
    /// The channel as known now.
    pub view: &'a ChannelView,
    /// The resources that declare members of the channel.
    pub declarers: &'a Declarers,
    /// Recent changes of the declarers.
    pub recent: &'a RecentChanges,
    /// When this process began: an earlier one may have written until then.
    pub started: Timestamp,
    /// The waits of a removal.
    pub waits: Waits,
    /// The time of the decision.
    pub now: Timestamp,
}

/// The memory of a resource: the record stands in its status, the notes live in memory.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Ownership, removal counts and approvals.
    pub record: Record,
    /// Errors, grace periods, drift and exemptions.
    pub notes: Notes,
}
