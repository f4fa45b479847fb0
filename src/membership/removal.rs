//! Removal candidates: undeclared members that a resource asks to remove, and what each of them
//! still waits for.

use super::approval::{self, ApprovalInput};
use super::conflicts::older_authoritative_owner;
use super::declarers::Declarers;
use super::guard::{Admitted, Proposal, Protected, RemovalInput};
use super::member_set::NameSet;
use super::orphans::declared_by_others;
use super::record::Record;
use super::situation::{Situation, State};
use super::time::between;
use crate::api::Prune;

/// Returns the members that the resource asks to remove and that no resource declares, by these
/// declarers.
pub fn removal_proposal(now: &Situation<'_>, record: &Record, declarers: &Declarers) -> Proposal {
    let owner = older_authoritative_owner(now.uid, now.spec, declarers);
    let prune = if owner.is_some() { Prune::Never } else { now.spec.prune };
    let live = if prune == Prune::Authoritative && now.waits.listings > 1 {
        now.view.in_two_listings()
    } else {
        now.view.present()
    };
    Proposal::new(&RemovalInput {
        channel: &now.spec.target.channel,
        membership_type: now.spec.target.membership_type,
        prune,
        owned: &record.owned,
        live: &live,
        declarers,
    })
}

/// Computes the removal candidates, also those blocked on missing information, and updates their
/// grace periods.
pub fn compute_removal_candidates(now: &Situation<'_>, state: &mut State) -> NameSet {
    let proposed = removal_proposal(now, &state.record, &now.declarers.as_if_known()).names().clone();
    // If the members of any declarer are unknown, no member is known to be undeclared.
    let undeclared = if now.declarers.unknown().is_some() { NameSet::default() } else { proposed.clone() };
    state.notes.grace.observe(&undeclared, now.now);
    for name in undeclared.iter() {
        if let Some(at) = now.recent.undeclared_at(now.spec.target.membership_type, name) {
            state.notes.grace.restart(name, at);
        }
    }
    proposed.iter().filter(|name| !state.notes.exemptions.is_lasting(name, now.now)).collect()
}

/// Returns whether a candidate's grace period is over and the member is not exempt.
pub fn is_due(now: &Situation<'_>, state: &State, name: &str) -> bool {
    state.notes.grace.is_over(name, now.waits.grace, now.now) && state.notes.exemptions.reason(name, now.now).is_none()
}

/// Returns whether a member is present, undeclared and not exempt.
pub fn is_removable(now: &Situation<'_>, state: &State, name: &str) -> bool {
    now.view.has(name)
        && !now.declarers.declares(now.spec.target.membership_type, name)
        && state.notes.exemptions.reason(name, now.now).is_none()
}

/// Returns the due candidates whose removal needs no approval, or has it.
pub fn within_limits(now: &Situation<'_>, state: &State, candidates: &NameSet) -> NameSet {
    let approved = approval::approved_members(now.spec, &state.record, '-');
    let orphans = declared_by_others(now, state, now.declarers).orphans;
    let input = approval_input(now, state, &orphans);
    approval::within_limits(candidates, &input, approved.as_ref(), |name| is_due(now, state, name))
}

/// Admits those of `due` whose removal may begin by these declarers.
pub fn admit(
    now: &Situation<'_>,
    state: &State,
    declarers: &Declarers,
    due: &NameSet,
    protected: Protected,
) -> Admitted {
    let approved = approval::approved_members(now.spec, &state.record, '-');
    let orphans = declared_by_others(now, state, declarers).orphans;
    let input = approval_input(now, state, &orphans);
    let proposal = removal_proposal(now, &state.record, declarers);
    approval::admit(proposal, &input, approved.as_ref(), |name| due.contains(name), protected)
}

/// Proposes those of `due` that are within the limits, or in `approved`.
pub fn proposed_within_limits(
    now: &Situation<'_>,
    state: &State,
    declarers: &Declarers,
    due: &NameSet,
    approved: Option<&NameSet>,
) -> Proposal {
    let proposal = removal_proposal(now, &state.record, declarers);
    let orphans = declared_by_others(now, state, declarers).orphans;
    let input = approval_input(now, state, &orphans);
    let within = approval::within_limits(proposal.names(), &input, approved, |name| due.contains(name));
    proposal.only(|name| within.contains(name))
}

/// Collects what decides whether removals need approval.
pub fn approval_input<'a>(now: &Situation<'_>, state: &'a State, orphans: &'a NameSet) -> ApprovalInput<'a> {
    let State { record, notes } = state;
    let present = now.view.present();
    let removing = record.removing.iter().filter(|name| present.contains(name)).count();
    let owned = || record.owned.names().iter().filter(|name| present.contains(name)).count();
    let live = if now.spec.prune == Prune::Authoritative { now.view.count() } else { owned() };
    ApprovalInput {
        limit: now.spec.removals,
        counted: record.counted(now.now),
        removing: &record.removing,
        others: live.saturating_sub(removing),
        none_declared: now.spec.desired.is_empty() && !now.spec.expired,
        shrank: notes.shrank,
        orphans,
        deleting: now.deleting,
    }
}

/// Returns the time until a grace period ends or, while a plan waits for approval, until removals
/// stop counting.
pub fn next_change(now: &Situation<'_>, state: &State) -> Option<std::time::Duration> {
    let grace = state.notes.grace.next_end(now.waits.grace, now.now);
    let limit = state.record.pending_approval.as_ref().and_then(|_| state.record.counts_until(now.now));
    grace.into_iter().chain(limit).map(|at| between(now.now, at)).min()
}
