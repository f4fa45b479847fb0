//! The limits of one channel, shared by all bearers.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::bucket::Bucket;
use crate::chime::port::{ChannelQuota, Operation};

/// One channel's limits, and its place in the round of the channels that wait.
#[derive(Debug)]
pub(super) struct ChannelLimit(Mutex<ChannelBuckets>);

/// Locked after the bearer.
#[derive(Debug)]
pub(super) struct ChannelBuckets {
    pub(super) batch: Bucket,
    pub(super) list: Bucket,
    /// The number of calls that wait.
    waiting: usize,
    /// The time at which the channel had its last turn or joined the round; the least is next.
    pub(super) turn: u64,
    /// True if the last call that waited left without a turn.
    left_unserved: bool,
}

impl ChannelLimit {
    pub(super) fn new(batch: Bucket, list: Bucket) -> Self {
        Self(Mutex::new(ChannelBuckets { batch, list, waiting: 0, turn: 0, left_unserved: false }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, ChannelBuckets> {
        self.0.lock()
    }
}

impl ChannelBuckets {
    /// Returns the channel's bucket that a call counts against, if there is one besides the
    /// bearer's.
    pub(super) fn bucket(&mut self, operation: Operation) -> Option<&mut Bucket> {
        operation.channel_quota().map(|quota| match quota {
            ChannelQuota::Batch => &mut self.batch,
            ChannelQuota::List => &mut self.list,
        })
    }

    /// Returns the time from which on the channel's bucket lets the call go; `None` if no bucket
    /// limits it.
    pub(super) fn ready_at(&mut self, operation: Operation) -> Option<Instant> {
        self.bucket(operation).map(|bucket| bucket.ready_at())
    }

    /// Counts one more waiting call. A channel that joins the round goes to its end, unless it left
    /// without a turn: otherwise a resource that is edited every few seconds would never have one.
    pub(super) fn join_round(&mut self, turns: &AtomicU64) {
        if self.waiting == 0 && !self.left_unserved {
            self.turn = turns.fetch_add(1, Ordering::Relaxed);
        }
        self.waiting += 1;
    }

    /// Counts one waiting call less.
    pub(super) fn leave_round(&mut self, served: bool) {
        self.waiting = self.waiting.saturating_sub(1);
        self.left_unserved = !served;
    }

    pub(super) fn is_forgettable(&self, now: Instant) -> bool {
        self.batch.is_forgettable(now) && self.list.is_forgettable(now)
    }
}
