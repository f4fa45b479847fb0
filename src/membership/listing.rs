//! The state of a channel's membership after a listing, corrected by the writes of this process.
//!
//! Listings are eventually consistent: reads right after a write missed it for up to 2.5 s
//! (observed). For [`LISTING_LAG`] after our own write, the write is trusted over the listing.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;

use super::member_set::NameSet;
use super::time::later;

/// A listing that began less than this after one of our writes may miss the write: twice the
/// longest lag observed.
pub const LISTING_LAG: Duration = Duration::from_secs(5);

/// The number of further members kept by name, beside the wanted ones. A resource that is created
/// later for members who are already present then needs no call. At some 20 bytes a name, 5,000
/// channels full of strangers cost 50 MB.
const KEPT_OTHERS: usize = 500;

/// Names, and when a write about them was made.
pub type Write = (NameSet, Timestamp);

/// The result of all pages of one listing.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The members' names within the channel.
    pub names: NameSet,
    /// The number of pages, at least 1.
    pub pages: usize,
    /// When the first page was requested.
    pub began: Timestamp,
    /// When the last page had come.
    pub ended: Timestamp,
}

/// The members whose presence matters to the resources of a channel.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The sets of names.
    pub sets: Vec<&'a NameSet>,
    /// True if every member matters.
    pub all: bool,
}

impl Wanted<'_> {
    fn contains(&self, name: &str) -> bool {
        self.sets.iter().any(|set| set.contains(name))
    }
}

/// The members of a channel as known since its last listing.
#[derive(Clone, Debug)]
pub struct ListingSnapshot {
    /// The present members that are kept by name: all wanted ones, and perhaps others.
    pub present: NameSet,
    /// The number of further members.
    pub unnamed: usize,
    /// The number of pages of the listing.
    pub pages: usize,
    /// When the listing began.
    pub began: Timestamp,
    /// When the listing ended.
    pub ended: Timestamp,
    /// Members that we added since shortly before the listing began.
    pub added: Vec<Write>,
    /// Members that we removed since then.
    pub removed: Vec<Write>,
    /// When another listing can settle the contradictions between this one and our own writes.
    pub doubted_until: Option<Timestamp>,
    /// The present members of the listing before, and when that one began, if both show all
    /// members.
    previous: Option<(NameSet, Timestamp)>,
    /// True if this listing was made to see members a second time.
    is_second: bool,
}

impl ListingSnapshot {
    /// Merges a listing into what was known before. Returns the new state, and the wanted members
    /// that left since then.
    pub fn merge(before: Option<Self>, listing: &Listing, wanted: &Wanted<'_>, is_second: bool) -> (Self, NameSet) {
        let Listing { names, pages, began, ended } = listing;
        let recent = |writes: &[Write]| -> Vec<Write> {
            writes.iter().filter(|(_, at)| later(*at, LISTING_LAG) > *began).cloned().collect()
        };
        let (mut added, mut removed) =
            before.as_ref().map(|before| (recent(&before.added), recent(&before.removed))).unwrap_or_default();
        drop_undone(&mut added, &mut removed);
        let mut present: NameSet = names.iter().filter(|name| wanted.all || wanted.contains(name)).collect();
        if names.len() - present.len() <= KEPT_OTHERS {
            present = names.clone();
        }
        let unnamed = names.len() - present.len();
        let missing = |names: &NameSet| names.iter().any(|name| wanted.contains(name) && !present.contains(name));
        let shown = |names: &NameSet| names.iter().any(|name| present.contains(name));
        let doubts = added.iter().filter(|(names, _)| missing(names));
        let doubts = doubts.chain(removed.iter().filter(|(names, _)| shown(names)));
        let doubted_until = doubts.map(|(_, at)| later(*at, LISTING_LAG)).max();
        present.extend(added.iter().flat_map(|(names, _)| names.iter()));
        for (names, _) in &removed {
            present.remove(names);
        }
        let present = present.share_with(wanted.sets.iter().copied());
        let departed = before.iter().flat_map(|before| before.present.iter());
        let departed = departed.filter(|name| wanted.contains(name) && !present.contains(name)).collect();
        let previous =
            before.filter(|before| before.unnamed == 0 && wanted.all).map(|before| (before.present, before.began));
        let (pages, began, ended) = (*pages, *began, *ended);
        (Self { present, unnamed, pages, began, ended, added, removed, doubted_until, previous, is_second }, departed)
    }

    /// Returns the number of members in the channel.
    pub fn count(&self) -> usize {
        self.present.len() + self.unnamed
    }

    /// Returns when another listing is due to see the undeclared members for which `open` holds a
    /// second time. One such listing is made after each regular one, because members join a
    /// busy channel all the time.
    pub fn second_listing_due(&self, undeclared: &NameSet, open: impl Fn(&str) -> bool) -> Option<Timestamp> {
        if self.unnamed > 0 {
            return Some(later(self.began, Duration::from_nanos(1)));
        }
        if self.is_second {
            return None;
        }
        let twice = self.in_two_listings();
        let wanted = undeclared.iter().any(|name| open(name) && !twice.contains(name));
        wanted.then(|| later(self.began, LISTING_LAG))
    }

    /// Returns the members present in two listings: the second began at least [`LISTING_LAG`] after
    /// the first, and at least as long after any write of ours about the member.
    pub fn in_two_listings(&self) -> NameSet {
        let Some((previous, before)) = &self.previous else { return NameSet::default() };
        if self.began < later(*before, LISTING_LAG) {
            return NameSet::default();
        }
        let late = |name: &str| {
            let writes = self.added.iter().chain(&self.removed);
            writes.filter(|(_, at)| later(*at, LISTING_LAG) > self.began).any(|(names, _)| names.contains(name))
        };
        self.present.iter().filter(|name| previous.contains(name) && !late(name)).collect()
    }
}

/// Drops the earlier of two opposite writes about one member.
fn drop_undone(added: &mut [Write], removed: &mut [Write]) {
    let undo = |writes: &mut [Write], others: &[Write]| {
        for (names, at) in writes {
            let newer = others.iter().filter(|(_, other)| *other > *at);
            let undone: HashSet<&str> = newer.flat_map(|(names, _)| names.iter()).collect();
            if !undone.is_empty() {
                *names = names.iter().filter(|name| !undone.contains(name)).collect();
            }
        }
    };
    let before = removed.to_vec();
    undo(removed, added);
    undo(added, &before);
}
