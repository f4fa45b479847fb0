//! The limit of one bearer in a region: its bucket, its calls in flight, and the time of the
//! queue's next turn.
//!
//! Permits and the queue both use it: a permit gives back what it took, the queue takes.

use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::bucket::Bucket;
use super::channel::{ChannelBuckets, ChannelLimit};
use super::meter::Meter;
use crate::chime::port::Operation;

/// One bearer's limit in a region.
#[derive(Debug)]
pub(super) struct BearerLimit {
    state: Mutex<LimitState>,
    /// Wakes the task that serves the queue earlier than it planned.
    pub(super) wake: Notify,
}

/// Locked after the queue and before any channel.
#[derive(Debug)]
pub(super) struct LimitState {
    pub(super) bucket: Bucket,
    /// Permits that are out and calls in flight: at most `concurrency`, not counting permits on
    /// credit.
    in_flight: usize,
    concurrency: usize,
    /// Counts turns, for all bearers together: a channel may have several.
    pub(super) turns: Arc<AtomicU64>,
    /// The time before which no waiting call can go; `None` when the queue is not served.
    pub(super) next_turn: Option<Instant>,
    /// The last batch that was answered 429, and its channel.
    pub(super) last_throttled: Option<(Instant, Weak<ChannelLimit>)>,
    meter: Meter,
}

impl BearerLimit {
    pub(super) fn new(bucket: Bucket, concurrency: usize, turns: Arc<AtomicU64>) -> Self {
        let meter = Meter::new(Instant::now());
        let state =
            LimitState { bucket, in_flight: 0, concurrency, turns, next_turn: None, last_throttled: None, meter };
        Self { state: Mutex::new(state), wake: Notify::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, LimitState> {
        self.state.lock()
    }

    /// Takes a call's worth without regard to the buckets.
    pub(super) fn take_on_credit(&self, channel: &ChannelLimit, operation: Operation, now: Instant) {
        // The queue looks at the time that was set before, and finds the buckets emptier.
        self.lock().charge(&mut channel.lock(), operation, now);
    }

    /// Gives back what a call took that was let go at `granted` and never made.
    pub(super) fn refund(&self, channel: &ChannelLimit, operation: Operation, granted: Instant) {
        let mut state = self.lock();
        state.bucket.give_back(granted);
        if let Some(bucket) = channel.lock().bucket(operation) {
            bucket.give_back(granted);
        }
        let ready = state.bucket.ready_at();
        self.wake_waiting(&mut state, ready);
    }

    /// Notes that a permit was given back or that its call has ended.
    pub(super) fn end_call(&self) {
        let mut state = self.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        self.wake_waiting(&mut state, Instant::now());
    }

    fn wake_waiting(&self, state: &mut LimitState, at: Instant) {
        if state.next_turn.is_some() {
            self.wake_at(state, at);
        }
    }

    /// Has the queue looked at by then at the latest.
    pub(super) fn wake_at(&self, state: &mut LimitState, at: Instant) {
        if state.next_turn.is_none_or(|next| at < next) {
            state.next_turn = Some(at);
            self.wake.notify_one();
        }
    }
}

impl LimitState {
    /// Returns the share of the documented rate that calls used in about the last minute.
    pub(super) fn quota_used(&self, now: Instant) -> f64 {
        self.meter.rate(now) / self.bucket.documented_rate()
    }

    /// Returns for how long the queue should have been looked at; zero while no call waits.
    pub(super) fn overdue(&self, now: Instant) -> Duration {
        self.next_turn.map(|next| now.saturating_duration_since(next)).unwrap_or_default()
    }

    pub(super) fn is_forgettable(&self, now: Instant) -> bool {
        self.bucket.is_forgettable(now) && self.meter.is_quiet(now)
    }

    pub(super) fn is_full(&self) -> bool {
        self.in_flight >= self.concurrency
    }

    /// Takes from the bearer's and the channel's bucket and a place among the calls in flight, or
    /// nothing of it.
    pub(super) fn try_take(&mut self, channel: &ChannelLimit, operation: Operation, now: Instant) -> bool {
        let mut buckets = channel.lock();
        if self.is_full() || self.bucket.ready_at() > now || buckets.ready_at(operation).is_some_and(|at| at > now) {
            return false;
        }
        self.charge(&mut buckets, operation, now);
        true
    }

    /// Takes a call's worth from both buckets, into debt if need be, and a place among the calls in
    /// flight.
    fn charge(&mut self, buckets: &mut ChannelBuckets, operation: Operation, now: Instant) {
        self.in_flight += 1;
        self.meter.count(now);
        self.bucket.take(now);
        if let Some(bucket) = buckets.bucket(operation) {
            bucket.take(now);
        }
        buckets.turn = self.turns.fetch_add(1, Ordering::Relaxed);
    }
}
