//! Confirmation: which owned members a listing proves to be absent, and when another listing is due
//! for that.

use jiff::Timestamp;

use super::conflicts::older_authoritative_owner;
use super::listing::LISTING_LAG;
use super::member_set::NameSet;
use super::notes::Notes;
use super::situation::{Situation, State};
use super::time::later;
use crate::api::{KeepReason, Prune};

/// Releases owned members that are confirmed to be absent, and confirms the declared ones by the
/// last listing.
pub(super) fn release_absent_members(now: &Situation<'_>, state: &mut State) {
    let present = now.view.present();
    let membership_type = now.spec.target.membership_type;
    let exemption = |notes: &Notes, name: &str| notes.exemptions.reason(name, now.now);
    let over = |name: &&str| {
        now.declarers.declares(membership_type, name)
            || !present.contains(name)
            || exemption(&state.notes, name).is_some()
    };
    let over: NameSet = state.record.removing.iter().filter(over).collect();
    state.record.removing.remove(&over);
    let open = unconfirmed(now, state);
    let mut absent: NameSet = open.iter().filter(|name| is_confirmed_absent(now, state, name)).collect();
    if let Some(began) = now.view.listed_since().filter(|_| now.view.is_elastic()) {
        // AWS moves members between sub-channels. A walk over the sub-channels may miss one; two
        // walks in a row hardly do.
        let missed = state.notes.missed.take().filter(|(before, _)| *before < began);
        let twice = |name: &&str| missed.as_ref().is_some_and(|(_, missed)| missed.contains(name));
        let again = absent.iter().filter(twice).collect();
        state.notes.missed = Some((began, std::mem::replace(&mut absent, again)));
    }
    state.record.owned.release(&absent);
    let desired = now.spec.desired.names();
    // An earlier reconcile found these to be another membership, and its status write failed.
    let other_membership =
        |name: &str| matches!(exemption(&state.notes, name), Some(KeepReason::NotOwned | KeepReason::Bot));
    let owned = state.record.owned.names().iter();
    let not_owned = owned.filter(|name| !desired.contains(name) && other_membership(name)).collect();
    state.record.owned.release(&not_owned);
    if let Some(began) = now.view.listed_since() {
        state.record.owned.confirm(desired, began);
    }
}

/// Returns whether a listing proves that an owned member is absent. An earlier process may have
/// written until this one began.
fn is_confirmed_absent(now: &Situation<'_>, state: &State, name: &str) -> bool {
    let settled = now.view.listed_since().is_some_and(|began| began >= later(now.started, LISTING_LAG));
    let watched_since = state.notes.watched_since.unwrap_or(now.now);
    settled && now.view.elastic.is_some() && now.view.is_confirmed_absent(name, watched_since)
}

/// Returns the owned members that are no longer declared and that are not known to be present.
pub fn unconfirmed(now: &Situation<'_>, state: &State) -> NameSet {
    let (present, desired) = (now.view.present(), now.spec.desired.names());
    let owned = state.record.owned.names().iter();
    owned.filter(|name| !desired.contains(name) && !present.contains(name)).collect()
}

/// Returns when a listing can confirm that the unconfirmed members are absent; `None` if none is
/// needed.
pub fn confirm_after(now: &Situation<'_>, state: &State) -> Option<Timestamp> {
    let open = unconfirmed(now, state);
    if open.is_empty() || now.view.elastic.is_none() && now.view.asked_whether_elastic {
        return None;
    }
    let began = now.view.listed_since();
    let late = open.iter().filter_map(|name| now.view.add_settles_at(name));
    let unwatched =
        state.notes.watched_since.filter(|since| !now.view.is_complete() && began.is_none_or(|began| began < *since));
    let again = state.notes.missed.as_ref().filter(|_| now.view.is_elastic());
    let again = again.map(|(began, _)| later(*began, LISTING_LAG));
    let wanted = late.chain(unwatched).chain(again).chain([later(now.started, LISTING_LAG)]).max()?;
    began.is_none_or(|began| began < wanted).then_some(wanted)
}

/// Returns when a listing is due to see the undeclared members a second time (`prune:
/// Authoritative`).
pub fn second_listing_due(now: &Situation<'_>, state: &State) -> Option<Timestamp> {
    if now.spec.prune != Prune::Authoritative || older_authoritative_owner(now.uid, now.spec, now.declarers).is_some() {
        return None;
    }
    let (_, undeclared) = now.view.undeclared(now.spec.target.membership_type, now.declarers);
    // A bot is removed only if it was added for this resource.
    let removable = |name: &str| !name.starts_with("bot/") || state.record.owned.names().contains(name);
    let open = |name: &str| removable(name) && state.notes.exemptions.reason(name, now.now).is_none();
    now.view.listing.as_ref()?.second_listing_due(&undeclared, open)
}

/// Returns when a listing of its own is due for this resource, besides the regular ones.
pub fn listing_due(now: &Situation<'_>, state: &State) -> Option<Timestamp> {
    confirm_after(now, state).into_iter().chain(second_listing_due(now, state)).min()
}
