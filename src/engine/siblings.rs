//! Which resources does this process carry out on each channel, and who must hear when one of them changes?
//!
//! What is here is what passes have seen: enough to count, to find conflicts and to leave somebody alone. Before anybody is
//! removed the cluster itself is asked ([`super::quorum`]).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::store::Wake;
use crate::api::MembershipType;
use crate::membership::arn::ChannelArn;
use crate::membership::grace::SETTLED;
use crate::membership::roll::{Declarer, Roll};

/// The resources of all channels.
#[derive(Default)]
pub(super) struct Siblings(Mutex<HashMap<ChannelArn, Channel>>);

#[derive(Default)]
struct Channel {
    entries: Vec<Entry>,
    /// When a resource last stopped to declare somebody.
    dropped: HashMap<(MembershipType, Box<str>), Instant>,
    /// When a resource may last have declared whom nobody saw it declare.
    missed: HashMap<MembershipType, Instant>,
    /// When somebody was last removed.
    removed: HashMap<Box<str>, Instant>,
}

/// So long it is remembered who was removed: until those who declare them with the other type have tried again.
const REMOVED_FOR: Duration = Duration::from_mins(10);

struct Entry {
    declarer: Arc<Declarer>,
    wake: Wake,
}

/// A resource's place among those of its channel. Dropped, it is no more among them.
pub(super) struct Seat {
    siblings: Arc<Siblings>,
    channel: ChannelArn,
    declarer: Arc<Declarer>,
}

impl Siblings {
    /// A resource takes its place, or changes what it declares; `before` is the place it had, and `missed` whether it may have declared
    /// others in between. If that is news to the others of the channel, they are looked at again.
    pub fn enter(
        self: &Arc<Self>,
        channel: &ChannelArn,
        declarer: Declarer,
        wake: Wake,
        before: Option<Seat>,
        missed: bool,
    ) -> Seat {
        let declarer = Arc::new(declarer);
        {
            let mut channels = self.lock();
            let Channel { entries, dropped, missed: all_missed, .. } = channels.entry(channel.clone()).or_default();
            let old = entries.iter().position(|entry| entry.declarer.uid == declarer.uid);
            let old = old.map(|index| entries.swap_remove(index).declarer);
            let now = Instant::now();
            dropped.retain(|_, at| *at + SETTLED > now);
            if missed {
                all_missed.insert(declarer.membership_type, now);
            }
            for name in old.iter().flat_map(|old| old.roster.names().iter()) {
                if !declarer.roster.names().contains(name) {
                    dropped.insert((declarer.membership_type, name.into()), now);
                }
            }
            if old.is_none_or(|old| is_news(&old, &declarer)) {
                self::wake(&*entries);
            }
            entries.push(Entry { declarer: Arc::clone(&declarer), wake });
        }
        // Its place is taken already, so it leaves none.
        drop(before);
        Seat { siblings: Arc::clone(self), channel: channel.clone(), declarer }
    }

    /// Everybody on a channel.
    pub fn roll(&self, channel: &ChannelArn) -> Roll {
        let channels = self.lock();
        let entries = channels.get(channel).into_iter().flat_map(|channel| &channel.entries);
        entries.map(|entry| Arc::clone(&entry.declarer)).collect()
    }

    /// When a resource last stopped, or may have stopped, to declare a member, if that was lately.
    pub fn dropped_at(&self, channel: &ChannelArn, membership_type: MembershipType, name: &str) -> Option<Instant> {
        let channels = self.lock();
        let channel = channels.get(channel)?;
        let dropped = channel.dropped.get(&(membership_type, name.into()));
        dropped.into_iter().chain(channel.missed.get(&membership_type)).max().copied()
    }

    /// Somebody was removed: whoever waits for that, to add them with the other type, is looked at again.
    pub fn removed(&self, channel: &ChannelArn, membership_type: MembershipType, name: &str) {
        let mut channels = self.lock();
        let Some(Channel { entries, removed, .. }) = channels.get_mut(channel) else { return };
        let now = Instant::now();
        removed.retain(|_, at| *at + REMOVED_FOR > now);
        removed.insert(name.into(), now);
        let waits = |entry: &&Entry| {
            entry.declarer.membership_type != membership_type && entry.declarer.roster.names().contains(name)
        };
        wake(entries.iter().filter(waits));
    }

    /// When a member was last removed, with whichever type.
    pub fn removed_at(&self, channel: &ChannelArn, name: &str) -> Option<Instant> {
        self.lock().get(channel)?.removed.get(name).copied()
    }

    fn leave(&self, seat: &Seat) {
        let mut channels = self.lock();
        let Some(channel) = channels.get_mut(&seat.channel) else { return };
        let before = channel.entries.len();
        channel.entries.retain(|entry| !Arc::ptr_eq(&entry.declarer, &seat.declarer));
        if channel.entries.len() < before {
            wake(&channel.entries);
        }
        if channel.entries.is_empty() {
            channels.remove(&seat.channel);
        }
    }

    /// A poisoned lock is taken all the same: each change under it is made in one step.
    fn lock(&self) -> MutexGuard<'_, HashMap<ChannelArn, Channel>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// These are looked at again.
fn wake<'a>(entries: impl IntoIterator<Item = &'a Entry>) {
    for entry in entries {
        (entry.wake)();
    }
}

/// Whether others may have something to do because a resource changed so.
fn is_news(old: &Declarer, new: &Declarer) -> bool {
    let known = old.unknown.is_none() == new.unknown.is_none();
    old.roster.names() != new.roster.names() || old.authoritative != new.authoritative || !known
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.siblings.leave(self);
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("declarer", &self.declarer).finish_non_exhaustive()
    }
}
