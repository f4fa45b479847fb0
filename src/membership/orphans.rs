//! Owned members that other resources declare, and orphans: members whose declarer is gone.

use super::declarers::Declarers;
use super::member_set::NameSet;
use super::situation::{Situation, State};
use crate::api::{MembershipType, Prune};

/// Owned members that other resources declare, or declared when last seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeclaredByOthers {
    /// All of them, to be recorded.
    pub names: NameSet,
    /// The ones that no other resource declares now although no resource was edited: as far as is
    /// known, the declarer is gone.
    pub orphans: NameSet,
}

impl DeclaredByOthers {
    /// Sorts `names`, which this resource itself does not declare. `before` is what was recorded;
    /// `previous` are the others when last seen by this process, `now` as they are.
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
            // Every resource that declared the member still exists and no longer declares it: it
            // was edited.
            let edited = known && all_remain;
            if !edited && (known || before.contains(name)) {
                orphans.push(name);
            }
        }
        let names = still.iter().chain(&orphans).copied().collect();
        Self { names, orphans: orphans.into_iter().collect() }
    }
}

/// Returns which of the members that this resource might remove are declared by others, by these
/// declarers.
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

#[cfg(test)]
mod tests;
