//! The cache of channel membership: one entry for each channel, type and bearer, shared by all
//! resources of the channel.

mod entry;
mod list;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

pub(super) use self::entry::{CacheLookup, ChannelCacheEntry, ListingProgress, Subscription};
use super::clock::Clock;
use super::declarer_registry::DeclarerRegistry;
use crate::chime::client::Client;
use crate::chime::port::Service;
use crate::membership::arn::MemberArn;
use crate::membership::target::Target;
use crate::membership::time::between;

/// The entries of all channels in use.
pub(super) struct ChannelCache<S> {
    client: Client<S>,
    clock: Clock,
    shutdown: CancellationToken,
    registry: Arc<DeclarerRegistry>,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    by_target: HashMap<Target, Weak<ChannelCacheEntry>>,
    pages_of: HashMap<(String, MemberArn), Arc<AtomicUsize>>,
    sweep_at: usize,
}

impl<S: Service> ChannelCache<S> {
    /// Creates an empty cache. Listings stop when `shutdown` is cancelled.
    pub(super) fn new(
        client: Client<S>,
        clock: Clock,
        registry: Arc<DeclarerRegistry>,
        shutdown: CancellationToken,
    ) -> Self {
        Self { client, clock, shutdown, registry, entries: Mutex::default() }
    }

    /// Returns the age of the oldest listing in use.
    pub(super) fn oldest_listing(&self) -> Option<Duration> {
        let entries: Vec<_> = self.entries.lock().by_target.values().filter_map(Weak::upgrade).collect();
        let began = entries.iter().filter_map(|entry| entry.view().listed_since()).min()?;
        Some(between(began, self.clock.now()))
    }

    /// Returns the entry of a target. A new entry lives as long as a resource holds it.
    pub(super) fn entry(&self, target: &Target) -> Arc<ChannelCacheEntry> {
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.by_target.get(target).and_then(Weak::upgrade) {
            return entry;
        }
        if entries.by_target.len() >= entries.sweep_at {
            entries.by_target.retain(|_, entry| entry.strong_count() > 0);
            entries.pages_of.retain(|_, pages| Arc::strong_count(pages) > 1);
            entries.sweep_at = 2 * entries.by_target.len().max(32);
        }
        let bearer = (target.channel.region().to_owned(), target.bearer.clone());
        let pages = Arc::clone(entries.pages_of.entry(bearer).or_default());
        let entry = Arc::new(ChannelCacheEntry::new(target.clone(), pages));
        entries.by_target.insert(target.clone(), Arc::downgrade(&entry));
        entry
    }
}

impl<S> fmt::Debug for ChannelCache<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelCache").field("targets", &self.entries.lock().by_target.len()).finish_non_exhaustive()
    }
}
