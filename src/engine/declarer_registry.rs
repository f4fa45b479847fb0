//! The registry of declarers: which resources this process reconciles on each channel, and which
//! reconciles to wake when one of them changes.
//!
//! The registry holds what reconciles have seen: enough to count, to find conflicts and to keep a
//! member. Before a removal the cluster itself is read ([`super::uncached_read`]).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;

use super::store::Wake;
use crate::api::MembershipType;
use crate::membership::arn::ChannelArn;
use crate::membership::declarers::{Declarer, Declarers};
use crate::membership::grace::GRACE_PERIOD;
use crate::membership::observation::RecentChanges;
use crate::membership::time::later;

/// How long a removal is remembered: until the resources that declare the member with the other
/// type have tried again.
const REMOVAL_KEPT: Duration = Duration::from_mins(10);

/// The declarers of all channels.
#[derive(Default)]
pub(super) struct DeclarerRegistry(Mutex<HashMap<ChannelArn, Channel>>);

#[derive(Default)]
struct Channel {
    entries: Vec<Entry>,
    recent: RecentChanges,
}

struct Entry {
    declarer: Arc<Declarer>,
    wake: Wake,
}

/// A resource's place in the registry. Dropping it unregisters the resource.
pub(super) struct Registration {
    registry: Arc<DeclarerRegistry>,
    channel: ChannelArn,
    declarer: Arc<Declarer>,
}

impl DeclarerRegistry {
    /// Registers a resource, or replaces what it declares. `before` is its place until now;
    /// `missed` says whether it may have declared further members in between. Wakes the other
    /// resources of the channel if the change concerns them.
    pub(super) fn register(
        self: &Arc<Self>,
        channel: &ChannelArn,
        declarer: Declarer,
        wake: Wake,
        before: Option<Registration>,
        missed: bool,
        now: Timestamp,
    ) -> Registration {
        let declarer = Arc::new(declarer);
        {
            let mut channels = self.0.lock();
            let Channel { entries, recent } = channels.entry(channel.clone()).or_default();
            let old = entries.iter().position(|entry| entry.declarer.uid == declarer.uid);
            let old = old.map(|index| entries.swap_remove(index).declarer);
            recent.undeclared.retain(|_, at| later(*at, GRACE_PERIOD) > now);
            if missed {
                recent.missed.insert(declarer.membership_type, now);
            }
            for name in old.iter().flat_map(|old| old.desired.names().iter()) {
                if !declarer.desired.names().contains(name) {
                    recent.undeclared.insert((declarer.membership_type, name.into()), now);
                }
            }
            if old.is_none_or(|old| concerns_others(&old, &declarer)) {
                wake_all(&*entries);
            }
            entries.push(Entry { declarer: Arc::clone(&declarer), wake });
        }
        // Its entry was replaced above, so dropping it removes none.
        drop(before);
        Registration { registry: Arc::clone(self), channel: channel.clone(), declarer }
    }

    /// Returns the declarers of a channel.
    pub(super) fn declarers(&self, channel: &ChannelArn) -> Declarers {
        self.read(channel).0
    }

    /// Returns the declarers of a channel, and what changed about them lately.
    pub(super) fn read(&self, channel: &ChannelArn) -> (Declarers, RecentChanges) {
        let channels = self.0.lock();
        let Some(channel) = channels.get(channel) else { return Default::default() };
        let declarers = channel.entries.iter().map(|entry| Arc::clone(&entry.declarer)).collect();
        (declarers, channel.recent.clone())
    }

    /// Records that a member was removed. Wakes the resources that wait for that to add the member
    /// with the other type.
    pub(super) fn record_removal(
        &self,
        channel: &ChannelArn,
        membership_type: MembershipType,
        name: &str,
        now: Timestamp,
    ) {
        let mut channels = self.0.lock();
        let Some(Channel { entries, recent }) = channels.get_mut(channel) else { return };
        recent.removed.retain(|_, at| later(*at, REMOVAL_KEPT) > now);
        recent.removed.insert(name.into(), now);
        let waits = |entry: &&Entry| {
            entry.declarer.membership_type != membership_type && entry.declarer.desired.names().contains(name)
        };
        wake_all(entries.iter().filter(waits));
    }

    fn unregister(&self, registration: &Registration) {
        let mut channels = self.0.lock();
        let Some(channel) = channels.get_mut(&registration.channel) else { return };
        let before = channel.entries.len();
        channel.entries.retain(|entry| !Arc::ptr_eq(&entry.declarer, &registration.declarer));
        if channel.entries.len() < before {
            wake_all(&channel.entries);
        }
        if channel.entries.is_empty() {
            channels.remove(&registration.channel);
        }
    }
}

fn wake_all<'a>(entries: impl IntoIterator<Item = &'a Entry>) {
    for entry in entries {
        (entry.wake)();
    }
}

/// Returns whether other resources may have something to do because a resource changed like this.
fn concerns_others(old: &Declarer, new: &Declarer) -> bool {
    let known = old.unknown.is_none() == new.unknown.is_none();
    old.desired.names() != new.desired.names() || old.authoritative != new.authoritative || !known
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.unregister(self);
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("declarer", &self.declarer).finish_non_exhaustive()
    }
}
