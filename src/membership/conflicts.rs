//! Conflicts between resources of one channel: two owners, or one member with both types.

use jiff::Timestamp;

use super::declarers::Declarers;
use super::error_code::{OWNERSHIP_CONFLICT, TYPE_MISMATCH};
use super::notes::Notes;
use super::situation::Situation;
use super::spec::ValidSpec;
use crate::api::Prune;

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

/// Sets an error for each member that is declared with both types, and clears the errors that no
/// longer apply.
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
