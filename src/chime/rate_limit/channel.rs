//! What may be done to one channel, whoever the bearer?

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use tokio::time::Instant;

use super::bucket::Bucket;
use super::lock;
use crate::chime::port::Operation;

/// One channel's limits, and its place in the round of those who wait.
#[derive(Debug)]
pub(super) struct Channel(Mutex<ChannelPace>);

/// Locked after the bearer.
#[derive(Debug)]
pub(super) struct ChannelPace {
    pub(super) batch: Bucket,
    pub(super) list: Bucket,
    /// Calls that wait.
    waiting: usize,
    /// When the channel had its last turn or joined the round; the least is next.
    pub(super) turn: u64,
    /// Whether the last call that waited left without having had its turn.
    left_unserved: bool,
}

impl Channel {
    pub(super) fn new(batch: Bucket, list: Bucket) -> Self {
        Self(Mutex::new(ChannelPace { batch, list, waiting: 0, turn: 0, left_unserved: false }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, ChannelPace> {
        lock(&self.0)
    }
}

impl ChannelPace {
    /// The channel's bucket that a call counts against, if there is one besides the bearer's.
    ///
    /// One quota counts a channel's listings of memberships, bans and moderators together; that of ListSubChannels is as high
    /// and its own, and counting it in costs little. A channel's other quotas (15 deletes a second, 20 DescribeChannel) lie
    /// above its bearer's, which is met first.
    pub(super) fn bucket(&mut self, operation: Operation) -> Option<&mut Bucket> {
        match operation {
            Operation::BatchCreateChannelMembership => Some(&mut self.batch),
            Operation::ListChannelMemberships
            | Operation::ListChannelModerators
            | Operation::ListChannelBans
            | Operation::ListSubChannels => Some(&mut self.list),
            // The last one is counted for a user, 15 a second, and is of no channel.
            Operation::DescribeChannelMembership
            | Operation::DeleteChannelMembership
            | Operation::DescribeChannel
            | Operation::ListChannels
            | Operation::ListChannelMembershipsForAppInstanceUser => None,
        }
    }

    /// From when on the channel lets the call go; `None` for always.
    pub(super) fn ready_at(&mut self, operation: Operation) -> Option<Instant> {
        self.bucket(operation).map(|bucket| bucket.ready_at())
    }

    /// One more call waits. Who joins the round goes to its end, but for one who left it without a turn: a resource that is
    /// edited every few seconds would never have one.
    pub(super) fn join_round(&mut self, turns: &AtomicU64) {
        if self.waiting == 0 && !self.left_unserved {
            self.turn = turns.fetch_add(1, Ordering::Relaxed);
        }
        self.waiting += 1;
    }

    /// A call waits no longer.
    pub(super) fn leave_round(&mut self, served: bool) {
        self.waiting = self.waiting.saturating_sub(1);
        self.left_unserved = !served;
    }

    pub(super) fn is_forgettable(&self, now: Instant) -> bool {
        self.batch.is_forgettable(now) && self.list.is_forgettable(now)
    }
}
