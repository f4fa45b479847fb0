//! What does a listing make of what was known before?

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::chime::port::PAGE_SIZE;
use crate::membership::names::NameSet;

/// Reads right after a write miss it now and then (seen for up to 2.5 s), so what a listing shows of people whom we added or
/// removed this short a time before it began is doubted, and not the write.
pub(in crate::engine) const SETTLING: Duration = Duration::from_secs(5);

/// So many others are kept too: a resource that is made later, for people who are there already, then needs no call. At some
/// 20 bytes each, 5,000 channels full of strangers cost 50 MB.
const KEPT_OTHERS: usize = 500;

/// What is known since a listing.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Who is there: all who are wanted, and perhaps others.
    pub there: NameSet,
    /// How many more are there.
    pub rest: usize,
    pub pages: usize,
    pub began: Instant,
    pub listed_at: Timestamp,
    /// Whom we added since shortly before the listing began.
    pub added: Vec<(NameSet, Instant)>,
    /// Whom we removed since then.
    pub removed: Vec<(NameSet, Instant)>,
    /// From when on a listing can be believed, where this one contradicts what we had just done.
    pub doubted_until: Option<Instant>,
    /// Who was there in the listing before this one, and when that began, where both show everybody.
    pub earlier: Option<(NameSet, Instant)>,
    /// Whether it was made to see people a second time.
    pub second: bool,
}

/// What all pages of a listing showed.
pub(in crate::engine) struct Listed {
    pub names: NameSet,
    /// Members of another app instance, that no resource can declare.
    pub foreign: usize,
    pub began: Instant,
}

/// Whose presence matters.
pub(super) struct Wanted<'a> {
    pub sets: Vec<&'a NameSet>,
    pub everybody: bool,
}

impl Wanted<'_> {
    fn has(&self, name: &str) -> bool {
        self.sets.iter().any(|set| set.contains(name))
    }
}

impl Known {
    /// What is known after a listing, and who of the wanted left since the one before.
    pub fn after(
        before: Option<Self>,
        listed: &Listed,
        listed_at: Timestamp,
        wanted: &Wanted<'_>,
        second: bool,
    ) -> (Self, NameSet) {
        let Listed { names, foreign, began } = listed;
        let lately = |writes: &[(NameSet, Instant)]| -> Vec<(NameSet, Instant)> {
            writes.iter().filter(|(_, at)| *at + SETTLING > *began).cloned().collect()
        };
        let (mut added, mut removed) =
            before.as_ref().map(|before| (lately(&before.added), lately(&before.removed))).unwrap_or_default();
        drop_undone(&mut added, &mut removed);
        let mut there: NameSet = names.iter().filter(|name| wanted.everybody || wanted.has(name)).collect();
        if names.len() - there.len() <= KEPT_OTHERS {
            there = names.clone();
        }
        let rest = names.len() - there.len();
        let unseen = |names: &NameSet| names.iter().any(|name| wanted.has(name) && !there.contains(name));
        let seen = |names: &NameSet| names.iter().any(|name| there.contains(name));
        let doubts = added.iter().filter(|(names, _)| unseen(names));
        let doubts = doubts.chain(removed.iter().filter(|(names, _)| seen(names)));
        let doubted_until = doubts.map(|(_, at)| *at + SETTLING).max();
        there.extend(added.iter().flat_map(|(names, _)| names.iter()));
        for (names, _) in &removed {
            there.remove(names);
        }
        let there = there.within(wanted.sets.iter().copied());
        let departed = before.iter().flat_map(|before| before.there.iter());
        let departed = departed.filter(|name| wanted.has(name) && !there.contains(name)).collect();
        let earlier =
            before.filter(|before| before.rest == 0 && wanted.everybody).map(|before| (before.there, before.began));
        let pages = (names.len() + foreign).div_ceil(PAGE_SIZE).max(1);
        (
            Self { there, rest, pages, began: *began, listed_at, added, removed, doubted_until, earlier, second },
            departed,
        )
    }

    /// From when on another listing is wanted, to see those a second time whom `open` names. Only one is made after each that was
    /// due anyway: somebody joins a busy channel all the time.
    pub fn second_look_at(&self, undeclared: &NameSet, open: impl Fn(&str) -> bool) -> Option<Instant> {
        if self.rest > 0 {
            return Some(self.began + Duration::from_nanos(1));
        }
        if self.second {
            return None;
        }
        let twice = self.twice();
        let wanted = undeclared.iter().any(|name| open(name) && !twice.contains(name));
        wanted.then(|| self.began + SETTLING)
    }

    /// Who was there in two listings, the second 5 s after the first or more, and 5 s or more after whatever we did about them.
    pub fn twice(&self) -> NameSet {
        let Some((earlier, before)) = &self.earlier else { return NameSet::default() };
        if self.began < *before + SETTLING {
            return NameSet::default();
        }
        let late = |name: &str| {
            let writes = self.added.iter().chain(&self.removed);
            writes.filter(|(_, at)| *at + SETTLING > self.began).any(|(names, _)| names.contains(name))
        };
        self.there.iter().filter(|name| earlier.contains(name) && !late(name)).collect()
    }
}

/// Of somebody who was added and then removed, or the other way round, the later counts.
fn drop_undone(added: &mut [(NameSet, Instant)], removed: &mut [(NameSet, Instant)]) {
    let undo = |writes: &mut [(NameSet, Instant)], others: &[(NameSet, Instant)]| {
        for (names, at) in writes {
            let later = others.iter().filter(|(_, other)| *other > *at);
            let undone: HashSet<&str> = later.flat_map(|(names, _)| names.iter()).collect();
            if !undone.is_empty() {
                *names = names.iter().filter(|name| !undone.contains(name)).collect();
            }
        }
    };
    let before = removed.to_vec();
    undo(removed, added);
    undo(added, &before);
}
