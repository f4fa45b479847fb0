//! One entry of the cache: the members of one channel, type and bearer.
//!
//! A bearer's rights decide what a listing shows, so bearers do not share an entry. An entry keeps
//! the names of declared members and a few hundred others: memory follows what is declared, not the
//! size of the channel.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::chime::port::CallError;
use crate::chime::rate_limit::{Priority, SharedPriority};
use crate::membership::declarers::Declarers;
use crate::membership::desired::DesiredMembers;
use crate::membership::listing::{LISTING_LAG, Listing, ListingSnapshot, Wanted, Write};
use crate::membership::member_set::NameSet;
use crate::membership::observation::ChannelView;
use crate::membership::target::Target;
use crate::membership::time::{between, later};

/// The number of departed members that are remembered for reconciles that have not read them yet.
const KEPT_DEPARTED: usize = 10_000;

/// The members of one target.
pub struct ChannelCacheEntry {
    pub(super) target: Target,
    state: Mutex<State>,
    /// Held while members are added, or while one is described and removed: two resources never do
    /// the same at once. Taken before a permit.
    pub(in crate::engine) writing: tokio::sync::Mutex<()>,
    /// The pages of all listings of this bearer, this entry's included.
    pages_of_bearer: Arc<AtomicUsize>,
}

#[derive(Default)]
struct State {
    view: ChannelView,
    in_flight: Option<InFlightListing>,
    /// True if the last listing failed: an older one is not to be relied on any more.
    unconfirmed: bool,
    subscriptions: Vec<Weak<Subscription>>,
    /// The members that left, and how many left before them.
    departed: VecDeque<Box<str>>,
    departed_before: u64,
    /// True if the next listing is made to see members a second time.
    second_listing: bool,
}

impl State {
    fn subscriptions(&self) -> Vec<Arc<Subscription>> {
        self.subscriptions.iter().filter_map(Weak::upgrade).collect()
    }

    /// Returns the same names, sharing the memory of a resource that declares exactly these.
    fn shared(&self, names: NameSet) -> NameSet {
        names.share_with(self.subscriptions().iter().map(|subscription| subscription.desired.names()))
    }
}

/// The members whose presence matters to a resource.
#[derive(Debug)]
pub struct Subscription {
    /// The members it declares.
    pub desired: Arc<DesiredMembers>,
    /// The members it owns.
    pub owned: NameSet,
    /// True if every member matters to it.
    pub all: bool,
}

/// A listing under way. It runs by itself: reconciles that wait for it may go away.
pub(super) struct InFlightListing {
    /// Raised by every reconcile that joins.
    pub(super) priority: SharedPriority,
    /// The state of the listing.
    pub(super) progress: watch::Receiver<ListingProgress>,
    /// Ends the pause after a failed call.
    pub(super) wake: Arc<Notify>,
    /// True if the entry holds the result of this listing.
    pub(super) stored: bool,
}

/// The state of a listing under way.
#[derive(Clone, Debug)]
pub enum ListingProgress {
    /// Pages come in, or wait for a permit.
    Running,
    /// A call failed and is made again after a pause.
    Retrying(CallError),
    /// The entry holds the result.
    Done,
    /// The listing was refused.
    Refused(CallError),
}

/// The result of asking for a recent listing.
pub enum CacheLookup {
    /// The entry is recent enough.
    Ready,
    /// A listing is under way.
    Wait(watch::Receiver<ListingProgress>),
}

impl ChannelCacheEntry {
    /// Creates an entry of which nothing is known. `pages_of_bearer` counts the pages of all
    /// entries of its bearer.
    pub(super) fn new(target: Target, pages_of_bearer: Arc<AtomicUsize>) -> Self {
        Self { target, state: Mutex::default(), writing: tokio::sync::Mutex::default(), pages_of_bearer }
    }

    /// Returns the channel as it is known now.
    pub fn view(&self) -> ChannelView {
        self.state.lock().view.clone()
    }

    /// Asks for a listing that began at `not_before` or later; `begin` starts one if none is under
    /// way.
    pub(super) fn look_up(
        &self,
        not_before: Timestamp,
        priority: Priority,
        begin: impl FnOnce() -> InFlightListing,
    ) -> CacheLookup {
        let mut state = self.state.lock();
        if !state.unconfirmed && state.view.listed_since().is_some_and(|began| began >= not_before) {
            return CacheLookup::Ready;
        }
        if let Some(listing) = &state.in_flight {
            // A listing that began too early is awaited as well: one runs at a time.
            listing.priority.raise_to(priority);
            if priority == Priority::Edit {
                listing.wake.notify_one();
            }
            return CacheLookup::Wait(listing.progress.clone());
        }
        CacheLookup::Wait(state.in_flight.insert(begin()).progress.clone())
    }

    /// Keeps the members of a subscription by name for as long as the resource holds it.
    pub fn subscribe(&self, subscription: &Arc<Subscription>) {
        let subscriptions = &mut self.state.lock().subscriptions;
        subscriptions
            .retain(|other| other.strong_count() > 0 && !std::ptr::eq(other.as_ptr(), Arc::as_ptr(subscription)));
        subscriptions.push(Arc::downgrade(subscription));
    }

    /// Returns the names that are not known to be present.
    pub fn missing(&self, names: Vec<String>) -> Vec<String> {
        let state = self.state.lock();
        names.into_iter().filter(|name| !state.view.has(name)).collect()
    }

    /// Marks members as present, because the service named them.
    pub fn mark_present<'a>(&self, names: impl IntoIterator<Item = &'a str>, now: Timestamp) {
        let mut state = self.state.lock();
        let kept = state.kept_writes();
        let Some(mut listing) = state.view.listing.take() else { return };
        let names = state.shared(names.into_iter().collect());
        listing.present.extend(names.iter());
        listing.present = state.shared(listing.present);
        listing.added.retain(|(_, at)| between(*at, now) < kept);
        listing.added.push((names, now));
        state.view.listing = Some(listing);
    }

    /// Marks members as absent, because the service said so.
    pub fn mark_absent<'a>(&self, names: impl IntoIterator<Item = &'a str>, now: Timestamp) {
        let mut state = self.state.lock();
        let kept = state.kept_writes();
        let Some(listing) = &mut state.view.listing else { return };
        let names: NameSet = names.into_iter().collect();
        listing.present.remove(&names);
        listing.removed.retain(|(_, at)| between(*at, now) < kept);
        listing.removed.push((names, now));
    }

    /// Marks members that are about to be added. The add may have its effect though no answer
    /// comes.
    pub fn mark_adding(&self, names: &[String], now: Timestamp) {
        let mut state = self.state.lock();
        let names = state.shared(names.iter().map(String::as_str).collect());
        state.view.adding.push((names, now));
    }

    /// Marks that the next listing is made to see members a second time.
    pub fn mark_second_listing(&self) {
        self.state.lock().second_listing = true;
    }

    /// Returns the members that left since a reconcile read them last (`seen`), and the number to
    /// read on from.
    pub fn departed(&self, seen: Option<u64>) -> (Vec<Box<str>>, u64) {
        let state = self.state.lock();
        let count = state.departed_before + state.departed.len() as u64;
        let skip = seen.unwrap_or(count).saturating_sub(state.departed_before);
        let departed = state.departed.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX)).cloned().collect();
        (departed, count)
    }

    /// Records that DescribeChannel was called to learn whether the channel is elastic.
    pub fn mark_asked_whether_elastic(&self) {
        self.state.lock().view.asked_whether_elastic = true;
    }

    /// Records whether the channel is elastic, which never changes.
    pub fn set_elastic(&self, elastic: bool) {
        self.state.lock().view.elastic.get_or_insert(elastic);
    }

    /// Returns the time until the channel is listed again: the interval less up to a tenth, which
    /// differs between channels and is the same for all resources of one, so that one listing
    /// serves them all. Sooner if the last listing left a doubt.
    pub fn until_resync(&self, interval: Duration, now: Timestamp) -> Duration {
        let state = self.state.lock();
        let Some(listing) = &state.view.listing else { return Duration::ZERO };
        let mut hasher = DefaultHasher::new();
        self.target.hash(&mut hasher);
        let jitter = interval / 10 * u32::try_from(hasher.finish() % 1000).unwrap_or_default() / 1000;
        let resync = interval.saturating_sub(jitter).saturating_sub(between(listing.began, now));
        listing.doubted_until.map_or(resync, |settled| between(now, settled).min(resync))
    }

    /// Returns when another listing can settle a contradiction between the last one and our own
    /// writes.
    pub fn doubted_until(&self) -> Option<Timestamp> {
        self.state.lock().view.listing.as_ref()?.doubted_until
    }

    /// Returns the number of pages of the last listing, at least 1.
    pub fn pages(&self) -> usize {
        self.state.lock().view.listing.as_ref().map_or(1, |listing| listing.pages)
    }

    /// Returns the number of pages of all channels of this bearer: the calls that one listing of
    /// each costs.
    pub fn pages_of_bearer(&self) -> usize {
        self.pages_of_bearer.load(Ordering::Relaxed)
    }

    /// Stores the result of a listing.
    pub(super) fn store_listing(&self, listing: &Listing, declarers: &Declarers) {
        let mut state = self.state.lock();
        let subscriptions = state.subscriptions();
        let own = subscriptions.iter().flat_map(|subscription| [subscription.desired.names(), &subscription.owned]);
        let others = declarers.iter().filter(|other| other.membership_type == self.target.membership_type);
        let wanted = Wanted {
            sets: own.chain(others.map(|other| other.desired.names())).collect(),
            all: subscriptions.iter().any(|subscription| subscription.all),
        };
        let before = state.view.listing.take();
        let pages_before = before.as_ref().map_or(0, |before| before.pages);
        let is_second = std::mem::take(&mut state.second_listing);
        let (snapshot, departed) = ListingSnapshot::merge(before, listing, &wanted, is_second);
        let settled = |(_, at): &Write| later(*at, LISTING_LAG) <= snapshot.began;
        state.view.adding.retain(|write| !settled(write));
        self.pages_of_bearer.fetch_add(snapshot.pages, Ordering::Relaxed);
        self.pages_of_bearer.fetch_sub(pages_before, Ordering::Relaxed);
        state.unconfirmed = false;
        if let Some(in_flight) = &mut state.in_flight {
            in_flight.stored = true;
        }
        state.view.listing = Some(snapshot);
        // AWS moves members between the sub-channels of an elastic channel, so a walk over them may
        // miss one.
        if !state.view.is_elastic() {
            state.departed.extend(departed.iter().map(Box::from));
            let surplus = state.departed.len().saturating_sub(KEPT_DEPARTED);
            state.departed.drain(..surplus);
            state.departed_before += surplus as u64;
        }
    }

    /// Records that the listing under way has ended, however it ended.
    pub(super) fn end_listing(&self) {
        let mut state = self.state.lock();
        state.unconfirmed |= state.in_flight.take().is_some_and(|listing| !listing.stored);
    }
}

impl State {
    /// Returns how long writes are kept: a listing under way may have missed any of them.
    fn kept_writes(&self) -> Duration {
        if self.in_flight.is_none() { LISTING_LAG } else { Duration::MAX }
    }
}

impl Drop for ChannelCacheEntry {
    fn drop(&mut self) {
        let pages = self.state.get_mut().view.listing.as_ref().map_or(0, |listing| listing.pages);
        self.pages_of_bearer.fetch_sub(pages, Ordering::Relaxed);
    }
}

impl fmt::Debug for ChannelCacheEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelCacheEntry").field("target", &self.target).finish_non_exhaustive()
    }
}
