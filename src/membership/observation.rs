//! An observation: what this process knows of a channel and of its declarers at one moment.
//! Decisions read nothing else.

use std::collections::HashMap;

use jiff::Timestamp;

use super::declarers::Declarers;
use super::listing::{LISTING_LAG, ListingSnapshot, Write};
use super::member_set::NameSet;
use super::time::later;
use crate::api::MembershipType;

/// The channel as this process knows it.
#[derive(Clone, Debug, Default)]
pub struct ChannelView {
    /// The members since the last listing; `None` before the first.
    pub listing: Option<ListingSnapshot>,
    /// Adds that were sent and that no listing has settled yet.
    pub adding: Vec<Write>,
    /// True if the channel is elastic, if that is known. An elastic channel is listed by its
    /// sub-channels.
    pub elastic: Option<bool>,
    /// True if DescribeChannel was called to learn that, even in vain.
    pub asked_whether_elastic: bool,
}

impl ChannelView {
    /// Returns the present members that are known by name.
    pub fn present(&self) -> NameSet {
        self.listing.as_ref().map(|listing| listing.present.clone()).unwrap_or_default()
    }

    /// Returns whether a member is known to be present.
    pub fn has(&self, name: &str) -> bool {
        self.listing.as_ref().is_some_and(|listing| listing.present.contains(name))
    }

    /// Returns the number of members in the channel.
    pub fn count(&self) -> usize {
        self.listing.as_ref().map_or(0, ListingSnapshot::count)
    }

    /// Returns when the last listing began.
    pub fn listed_since(&self) -> Option<Timestamp> {
        self.listing.as_ref().map(|listing| listing.began)
    }

    /// Returns whether every present member is known by name.
    pub fn is_complete(&self) -> bool {
        self.listing.as_ref().is_some_and(|listing| listing.unnamed == 0)
    }

    /// Returns whether the channel is known to be elastic.
    pub fn is_elastic(&self) -> bool {
        self.elastic == Some(true)
    }

    /// Returns the members present in two listings: see [`ListingSnapshot::in_two_listings`].
    pub fn in_two_listings(&self) -> NameSet {
        self.listing.as_ref().map(ListingSnapshot::in_two_listings).unwrap_or_default()
    }

    /// Returns whether the last listing proves that a member is absent: the listing does not show
    /// the member, it began late enough after every write of ours about the member, and it could
    /// show a member that was watched since `watched_since`.
    pub fn is_confirmed_absent(&self, name: &str, watched_since: Timestamp) -> bool {
        let Some(listing) = &self.listing else { return false };
        let late = |(names, at): &Write| later(*at, LISTING_LAG) > listing.began && names.contains(name);
        !listing.present.contains(name)
            && (listing.unnamed == 0 || listing.began >= watched_since)
            && !self.adding.iter().chain(&listing.added).any(late)
    }

    /// Returns when a listing can settle whether an add of this member had its effect.
    pub fn add_settles_at(&self, name: &str) -> Option<Timestamp> {
        let writes = self.adding.iter().filter(|(names, _)| names.contains(name));
        writes.map(|(_, at)| later(*at, LISTING_LAG)).max()
    }

    /// Returns the number of undeclared members, and their names as far as known.
    pub fn undeclared(&self, membership_type: MembershipType, declarers: &Declarers) -> (usize, NameSet) {
        let Some(listing) = &self.listing else { return (0, NameSet::default()) };
        let undeclared: NameSet = declarers.undeclared(membership_type, &listing.present).collect();
        (undeclared.len() + listing.unnamed, undeclared)
    }
}

/// Changes of a channel's declarers in the last seconds, and removals in the last minutes.
#[derive(Clone, Debug, Default)]
pub struct RecentChanges {
    /// When a resource stopped declaring a member.
    pub undeclared: HashMap<(MembershipType, Box<str>), Timestamp>,
    /// When a resource may have declared further members that this process did not see.
    pub missed: HashMap<MembershipType, Timestamp>,
    /// When a member was removed, of whichever type.
    pub removed: HashMap<Box<str>, Timestamp>,
}

impl RecentChanges {
    /// Returns when a resource last stopped, or may have stopped, declaring a member.
    pub fn undeclared_at(&self, membership_type: MembershipType, name: &str) -> Option<Timestamp> {
        let undeclared = self.undeclared.get(&(membership_type, name.into()));
        undeclared.into_iter().chain(self.missed.get(&membership_type)).max().copied()
    }
}
