//! The plan of a reconcile: which members to add, which to remove, and what waits for approval.
//!
//! [`make_plan`] is pure and total: every declared member is present, is added now, waits for
//! approval, or rests because of an error that is not due yet.

use jiff::Timestamp;

use super::approval::approved_members;
use super::approval_state::accept_approval;
use super::desired::DesiredMembers;
use super::member_set::NameSet;
use super::notes::Notes;
use super::removal::compute_removal_candidates;
use super::situation::{Situation, State};

/// The decisions of one reconcile.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The members to add now.
    pub add: NameSet,
    /// The members to add once the plan is approved.
    pub on_hold: NameSet,
    /// The members to remove, also while something blocks their removal.
    pub candidates: NameSet,
    /// True if the record names more owned members than before.
    pub owns_more: bool,
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

/// Returns the declared members that are absent and whose last error, if any, allows another
/// attempt.
fn missing_members(desired: &DesiredMembers, present: &NameSet, notes: &Notes, now: Timestamp) -> NameSet {
    let due = |name: &str| notes.errors.get(name).is_none_or(|error| error.next_attempt <= now);
    desired.names().iter().filter(|name| !present.contains(name) && due(name)).collect()
}

#[cfg(test)]
mod tests;
