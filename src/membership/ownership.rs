//! Ownership: which members a resource declared, which of them other resources declare, and since when that is known.

use jiff::Timestamp;

use super::declarers::Declarers;
use super::error_code::{OWNERSHIP_CONFLICT, TYPE_MISMATCH};
use super::listing::LISTING_LAG;
use super::member_set::NameSet;
use super::notes::Notes;
use super::plan::{Situation, State};
use super::spec::ValidSpec;
use super::time::later;
use crate::api::{KeepReason, MembershipType, Prune};

/// The members that a resource declares, or declared and that no listing has shown absent since.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ownership {
    names: NameSet,
    /// When a listing last confirmed the declared members.
    confirmed_at: Option<Timestamp>,
    /// Members that are no longer declared, by when they were last confirmed. Never made younger: the status that holds an
    /// entry may be a copy from a backup.
    formerly_declared: Vec<(Timestamp, NameSet)>,
}

impl Ownership {
    /// Creates the ownership that a status records.
    pub fn new(names: NameSet, confirmed_at: Option<Timestamp>, formerly_declared: Vec<(Timestamp, NameSet)>) -> Self {
        Self { names, confirmed_at, formerly_declared }
    }

    /// Returns all owned members.
    pub fn names(&self) -> &NameSet {
        &self.names
    }

    /// Returns when the declared members were last confirmed.
    pub fn confirmed_at(&self) -> Option<Timestamp> {
        self.confirmed_at
    }

    /// Returns the members that are no longer declared, by when they were last confirmed.
    pub fn formerly_declared(&self) -> &[(Timestamp, NameSet)] {
        &self.formerly_declared
    }

    /// Returns until when ownership of a member is proven. A membership that is younger, and that we did not create, is not
    /// the one that the resource declared.
    pub fn proven_until(&self, name: &str) -> Option<Timestamp> {
        let former = self.formerly_declared.iter().find(|(_, names)| names.contains(name));
        former.map_or(self.confirmed_at, |(at, _)| Some(*at)).filter(|_| self.names.contains(name))
    }

    /// Records that a listing, begun at `listed`, shows which of the declared members are present.
    pub fn confirm(&mut self, declared: &NameSet, listed: Timestamp) {
        for (_, names) in &mut self.formerly_declared {
            names.remove(declared);
        }
        let known = |name: &str| self.formerly_declared.iter().any(|(_, names)| names.contains(name));
        let newly: NameSet = self.names.iter().filter(|name| !declared.contains(name) && !known(name)).collect();
        if let Some(at) = self.confirmed_at.filter(|_| !newly.is_empty()) {
            self.formerly_declared.push((at, newly));
        }
        self.formerly_declared.retain(|(_, names)| !names.is_empty());
        self.confirmed_at = Some(listed);
    }

    /// Adds declared members.
    pub fn extend(&mut self, declared: &NameSet) {
        self.names.extend(declared.iter());
    }

    /// Drops members that are no longer owned.
    pub fn release(&mut self, names: &NameSet) {
        self.names.remove(names);
        for (_, former) in &mut self.formerly_declared {
            former.remove(names);
        }
        self.formerly_declared.retain(|(_, names)| !names.is_empty());
    }
}

/// Owned members that other resources declare, or declared when last seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeclaredByOthers {
    /// All of them, to be recorded.
    pub names: NameSet,
    /// The ones that no other resource declares now although no resource was edited: as far as is known, the declarer is gone.
    pub orphans: NameSet,
}

impl DeclaredByOthers {
    /// Sorts `names`, which this resource itself does not declare. `before` is what was recorded; `previous` are the others
    /// when last seen by this process, `now` as they are.
    pub fn sort<'a>(
        names: impl IntoIterator<Item = &'a str>,
        membership_type: MembershipType,
        before: &NameSet,
        previous: &Declarers,
        now: &Declarers,
    ) -> Self {
        let (mut still, mut orphans) = (Vec::new(), Vec::new());
        for name in names {
            if now.declares(membership_type, name) {
                still.push(name);
                continue;
            }
            let mut declared = previous.declaring(membership_type, name).peekable();
            let known = declared.peek().is_some();
            let all_remain = declared.all(|declarer| now.has(&declarer.uid));
            // Every resource that declared the member still exists and no longer declares it: it was edited.
            let edited = known && all_remain;
            if !edited && (known || before.contains(name)) {
                orphans.push(name);
            }
        }
        let names = still.iter().chain(&orphans).copied().collect();
        Self { names, orphans: orphans.into_iter().collect() }
    }
}

/// Returns which of the members that this resource might remove are declared by others, by these declarers.
pub fn declared_by_others(now: &Situation<'_>, state: &State, declarers: &Declarers) -> DeclaredByOthers {
    let candidates = match now.spec.prune {
        Prune::Never => return DeclaredByOthers::default(),
        Prune::Owned | Prune::Declared => state.record.owned.names().clone(),
        Prune::Authoritative => now.view.present(),
    };
    let candidates = candidates.iter().filter(|name| !now.own.names().contains(name));
    let others = declarers.without(now.uid);
    let membership_type = now.spec.target.membership_type;
    DeclaredByOthers::sort(
        candidates,
        membership_type,
        &state.record.declared_elsewhere,
        &state.notes.declarers,
        &others,
    )
}

/// Returns the older resource with `prune: Authoritative`, if this resource has it as well.
pub fn older_authoritative_owner(uid: &str, spec: &ValidSpec, declarers: &Declarers) -> Option<Box<str>> {
    if spec.prune != Prune::Authoritative {
        return None;
    }
    let owner = declarers.authoritative_owner(spec.target.membership_type)?;
    (&*owner.uid != uid).then(|| owner.resource.clone())
}

/// Lists the members that an older resource declares with the other type, and that resource.
pub fn type_conflicts(uid: &str, spec: &ValidSpec, declarers: &Declarers) -> Vec<(Box<str>, Box<str>)> {
    let mine = spec.target.membership_type;
    if declarers.iter().all(|declarer| declarer.membership_type == mine) {
        return Vec::new();
    }
    let names = spec.desired.names().iter();
    names
        .filter_map(|name| {
            let older = declarers.older_with_other_type(uid, name)?;
            Some((name.into(), older.resource.clone()))
        })
        .collect()
}

/// Sets an error for each member that is declared with both types, and clears the errors that no longer apply.
pub(super) fn resolve_type_conflicts(now: &Situation<'_>, notes: &mut Notes) {
    // A mismatch that was found before the member was removed may be gone.
    let outdated = |name: &str, found_at: Timestamp| {
        now.recent.removed.get(name).is_some_and(|removed_at| found_at <= *removed_at)
    };
    notes.errors.forget(|name, error| error.code == TYPE_MISMATCH && outdated(name, error.found_at));
    let conflicts = type_conflicts(now.uid, now.spec, now.declarers);
    let in_conflict = |name: &str| conflicts.iter().any(|(other, _)| &**other == name);
    notes.errors.forget(|name, error| error.code == OWNERSHIP_CONFLICT && !in_conflict(name));
    for (name, resource) in &conflicts {
        let other = now.spec.target.membership_type.other();
        let message = format!("is declared with type {other} by {resource}, which is older");
        notes.errors.set_error(name, OWNERSHIP_CONFLICT, &message, now.now, Timestamp::MAX);
    }
}

/// Releases owned members that are confirmed to be absent, and confirms the declared ones by the last listing.
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
        // AWS moves members between sub-channels. A walk over the sub-channels may miss one; two walks in a row hardly do.
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

/// Returns whether a listing proves that an owned member is absent. An earlier process may have written until this one began.
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

/// Returns when a listing can confirm that the unconfirmed members are absent; `None` if none is needed.
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

/// Returns when a listing is due to see the undeclared members a second time (`prune: Authoritative`).
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

#[cfg(test)]
mod tests;
