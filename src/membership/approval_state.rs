//! The state of an approval: which plan needs one, whether the annotation gives it, and when it is
//! used up.

use super::approval::{approval_reasons, approved_members, hash, members_of, signed_names};
use super::conflicts::older_authoritative_owner;
use super::member_set::NameSet;
use super::orphans::declared_by_others;
use super::removal::{approval_input, is_due, is_removable};
use super::situation::{Situation, State};
use crate::api::{ApprovalReason, PendingApproval, Prune};

/// Returns the plan that needs approval, as far as that is known now.
pub fn pending_approval(
    now: &Situation<'_>,
    state: &State,
    candidates: &NameSet,
    on_hold: &NameSet,
) -> Option<PendingApproval> {
    let (mut reasons, mut remove) = (Vec::new(), &NameSet::default());
    if now.declarers.unknown().is_none() {
        let due = candidates.iter().any(|name| is_due(now, state, name));
        let orphans = declared_by_others(now, state, now.declarers).orphans;
        let found = approval_reasons(candidates, &approval_input(now, state, &orphans));
        // A set that shrank without an edit is judged at once: a later reconcile could not tell any
        // more.
        if !found.is_empty() && (due || found.contains(&ApprovalReason::ShrankUnchanged)) {
            (reasons, remove) = (found, candidates);
        }
    }
    if !on_hold.is_empty() {
        reasons.push(ApprovalReason::TooManyAdditions);
    }
    if reasons.is_empty() {
        return None;
    }
    reasons.sort_unstable();
    let signed = signed_names(remove, on_hold);
    let narrow = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Some(PendingApproval {
        additions: narrow(on_hold.len()),
        removals: narrow(remove.len()),
        hash: hash(&signed),
        reasons,
        members: signed.iter().collect(),
        approved: false,
    })
}

/// Marks the plan that the status shows as approved, if the annotation approves it and it is still
/// the plan. Returns whether that happened now.
pub fn accept_approval(now: &Situation<'_>, candidates: &NameSet, on_hold: &NameSet, state: &mut State) -> bool {
    if state.record.handled_approval.as_deref() != now.approval {
        state.record.handled_approval = None;
    }
    let given = approval_matches(now, state, candidates, on_hold);
    if let Some(plan) = state.record.pending_approval.as_mut().filter(|_| given) {
        plan.approved = true;
    }
    given
}

/// Returns whether the annotation approves the plan that the status shows, and that plan is still
/// the one that needs approval.
pub fn approval_matches(now: &Situation<'_>, state: &State, candidates: &NameSet, on_hold: &NameSet) -> bool {
    let shown = state.record.pending_approval.as_ref().filter(|plan| !plan.approved);
    let unused = state.record.handled_approval.is_none();
    shown.filter(|plan| unused && now.approval == Some(&plan.hash)).is_some_and(|shown| {
        pending_approval(now, state, candidates, on_hold).is_some_and(|plan| plan.hash == shown.hash)
    })
}

/// Moves the approval on at the end of a reconcile: an approved plan that is carried out is
/// replaced by the plan that needs approval now. Returns whether an approved plan was completed.
pub fn advance_approval(now: &Situation<'_>, candidates: &NameSet, on_hold: &NameSet, state: &mut State) -> bool {
    let mut completed = false;
    if let Some(plan) = state.record.pending_approval.as_ref().filter(|plan| plan.approved) {
        if !is_completed(now, state) {
            return false;
        }
        state.record.handled_approval = Some(plan.hash.clone());
        state.record.pending_approval = None;
        state.notes.shrank = false;
        completed = true;
    }
    let shown = state.record.pending_approval.take();
    let pending = pending_approval(now, state, candidates, on_hold);
    if pending.is_none() && shown.as_ref().is_some_and(|shown| must_stand(now, state, shown)) {
        state.record.pending_approval = shown;
        return completed;
    }
    if let Some(plan) = &pending
        && shown.is_none_or(|shown| shown.hash != plan.hash)
        && now.approval == Some(&plan.hash)
    {
        // The annotation was there before this plan was shown, so no person has read the plan.
        state.record.handled_approval = Some(plan.hash.clone());
    }
    state.record.pending_approval = pending;
    completed
}

/// Returns whether a plan that an earlier process showed stands until it can be judged again.
fn must_stand(now: &Situation<'_>, state: &State, shown: &PendingApproval) -> bool {
    older_authoritative_owner(now.uid, now.spec, now.declarers).is_none()
        && members_of(now.spec, shown, '-').iter().any(|name| {
            // A member that the resource does not own no longer matters once it asks for less than
            // all members.
            let meant = now.spec.prune == Prune::Authoritative || state.record.owned.names().contains(name);
            meant && is_removable(now, state, name) && !is_due(now, state, name)
        })
}

/// Returns whether nothing of the approved plan is left to do.
fn is_completed(now: &Situation<'_>, state: &State) -> bool {
    let removed = |name: &str| !is_removable(now, state, name);
    let added = |name: &str| {
        now.view.has(name) || !now.spec.desired.names().contains(name) || state.notes.errors.get(name).is_some()
    };
    approved_members(now.spec, &state.record, '-').unwrap_or_default().iter().all(removed)
        && approved_members(now.spec, &state.record, '+').unwrap_or_default().iter().all(added)
}
