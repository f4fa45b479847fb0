//! The plan of a reconcile: which members to add, which to remove, and what waits for approval.
//!
//! [`take_stock`] brings record and notes up to an observation; [`make_plan`] then decides. Both are pure and total: every
//! declared member is present, is added now, waits for approval, or rests because of an error that is not due yet.

use std::time::Duration;

use jiff::Timestamp;

use super::approval::{accept_approval, approved_members};
use super::declarers::Declarers;
use super::desired::DesiredMembers;
use super::drift::record_out_of_band_removals;
use super::grace::GRACE_PERIOD;
use super::member_set::NameSet;
use super::notes::Notes;
use super::observation::{ChannelView, RecentChanges};
use super::ownership::{declared_by_others, release_absent_members, resolve_type_conflicts};
use super::record::Record;
use super::removal::compute_removal_candidates;
use super::spec::ValidSpec;

/// What a removal waits for before a member is due.
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
    /// Whether the resource is being deleted.
    pub deleting: bool,
    /// The channel as known now.
    pub view: &'a ChannelView,
    /// The resources that declare members of the channel.
    pub declarers: &'a Declarers,
    /// What changed about them lately.
    pub recent: &'a RecentChanges,
    /// When this process began: an earlier one may have written until then.
    pub started: Timestamp,
    /// What a removal waits for.
    pub waits: Waits,
    /// The time of the decision.
    pub now: Timestamp,
}

/// What a resource remembers: the record stands in its status, the notes live in memory.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Ownership, removal counts and approvals.
    pub record: Record,
    /// Errors, grace periods, drift and exemptions.
    pub notes: Notes,
}

/// The decisions of one reconcile.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The members to add now.
    pub add: NameSet,
    /// The members to add once the plan is approved.
    pub on_hold: NameSet,
    /// The members to remove, also while something blocks their removal.
    pub candidates: NameSet,
    /// Whether the record names more owned members than before.
    pub owns_more: bool,
}

/// Brings record and notes up to an observation. Also returns the other declarers that ownership was computed against,
/// unless one of them has unknown members: undeclared members cannot be told apart then.
pub fn take_stock(now: &Situation<'_>, departed: &[Box<str>], mut state: State) -> (State, Option<Declarers>) {
    state.notes.exemptions.expire(now.now);
    record_out_of_band_removals(now, departed, &mut state.notes);
    resolve_type_conflicts(now, &mut state.notes);
    release_absent_members(now, &mut state);
    if now.declarers.unknown().is_some() {
        return (state, None);
    }
    state.record.declared_elsewhere = declared_by_others(now, &state, now.declarers).names;
    (state, Some(now.declarers.without(now.uid)))
}

/// Decides which members to add and to remove.
pub fn make_plan(now: &Situation<'_>, mut state: State) -> (Plan, State) {
    let present = now.view.present();
    state.notes.errors.retain(|name| !present.contains(name));
    let mut add = missing_members(&now.spec.desired, &present, &state.notes, now.now);
    let fresh: NameSet = add.iter().filter(|name| state.notes.errors.get(name).is_none()).collect();
    let mut on_hold = match now.spec.additions {
        Some(most) if fresh.len() > most => fresh,
        _ => NameSet::default(),
    };
    let candidates = compute_removal_candidates(now, &mut state);
    accept_approval(now, &candidates, &on_hold, &mut state);
    if let Some(approved) = approved_members(now.spec, &state.record, '+') {
        on_hold.remove(&approved);
    }
    add.remove(&on_hold);
    let before = state.record.owned.names().len();
    if now.spec.keeps_ownership() {
        state.record.owned.extend(now.spec.desired.names());
    }
    let owns_more = state.record.owned.names().len() > before;
    (Plan { add, on_hold, candidates, owns_more }, state)
}

/// Returns the declared members that are absent and whose last error, if any, allows another attempt.
fn missing_members(desired: &DesiredMembers, present: &NameSet, notes: &Notes, now: Timestamp) -> NameSet {
    let due = |name: &str| notes.errors.get(name).is_none_or(|error| error.next_attempt <= now);
    desired.names().iter().filter(|name| !present.contains(name) && due(name)).collect()
}
