//! The client-side rate limiter, and the order in which waiting calls go.
//!
//! The service's quotas are shared with the live chat application: 10 calls a second for a bearer
//! (5 in `eu-central-1`) and one batch a second for a channel. A [`RateLimiter`] holds every call
//! until its turn, in a bucket for each (region, bearer) and one for each channel and kind of call,
//! filled at a share of those quotas ([`Rates`]).
//!
//! In one bearer's queue an edit goes before a retry before a resync; then channels take turns,
//! then the first come goes first. A call that waits for its channel's own bucket delays no other
//! call. A 429 halves the rate that it was about, and calls that succeed bring it back.

mod bucket;
mod channel;
mod limit;
mod meter;
mod permit;
mod priority;
mod queue;
mod quota;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use self::bucket::Bucket;
use self::channel::ChannelLimit;
use self::limit::BearerLimit;
pub use self::permit::{Permit, StartedCall};
pub use self::priority::{Priority, SharedPriority};
use self::queue::BearerQueue;
pub use self::quota::{FixedRate, QuotaShare, RateError, RateLimit, Rates};
use super::port::{Operation, Target};
use crate::membership::arn::{ChannelArn, MemberArn};

/// The interval at which buckets that are not needed are dropped.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// The rate limiter of all calls of a process; a process has one.
#[derive(Debug)]
pub struct RateLimiter {
    rates: Rates,
    concurrency: usize,
    /// Counts turns, for all bearers together.
    turns: Arc<AtomicU64>,
    limits: Mutex<LimiterState>,
}

/// The limits in use. No other lock is taken before this one.
#[derive(Debug, Default)]
struct LimiterState {
    /// Keyed by region and bearer.
    bearers: HashMap<(String, MemberArn), Arc<BearerQueue>>,
    channels: HashMap<ChannelArn, Arc<ChannelLimit>>,
    swept: Option<Instant>,
}

impl RateLimiter {
    /// Creates a rate limiter that lets at most `concurrency` calls of a bearer be in flight at
    /// once.
    pub fn new(rates: Rates, concurrency: NonZeroU16) -> Self {
        Self { rates, concurrency: concurrency.get().into(), turns: Arc::default(), limits: Mutex::default() }
    }

    /// Waits until a call may be made. Dropping the future leaves the queue and delays no other
    /// call.
    pub async fn acquire_permit(&self, target: &Target, operation: Operation, priority: &SharedPriority) -> Permit {
        let (bearer, channel) = self.limits_of(target);
        bearer.acquire_permit(&channel, operation, priority).await
    }

    /// Waits as [`Self::acquire_permit`] does, for a call that is about no channel in particular:
    /// only its bearer's limit holds it.
    pub async fn acquire_bearer_permit(
        &self,
        bearer: &MemberArn,
        operation: Operation,
        priority: &SharedPriority,
    ) -> Permit {
        let now = Instant::now();
        let queue = {
            let mut limits = self.limits.lock();
            limits.sweep(now);
            self.bearer_queue(&mut limits, bearer.region(), bearer, now)
        };
        // A channel of its own, because calls wait by channel.
        let channel = Arc::new(self.new_channel(bearer.region(), now));
        queue.acquire_permit(&channel, operation, priority).await
    }

    /// Returns a permit for one call now, before all calls that wait.
    ///
    /// It is for the delete of a membership that a Describe has just shown: during a wait in
    /// between, in a queue perhaps minutes long, the membership may become another one, and the
    /// Describe would prove nothing. The call is not free: it takes from the buckets what any call
    /// takes, so that they go into debt, later calls wait longer, and the average rate holds. It
    /// goes even if as many calls are in flight as may be, and counts among them.
    pub fn permit_on_credit(&self, target: &Target, operation: Operation) -> Permit {
        let (bearer, channel) = self.limits_of(target);
        bearer.permit_on_credit(&channel, operation)
    }

    /// Returns the configured rates.
    pub fn rates(&self) -> &Rates {
        &self.rates
    }

    /// Returns the batches a second in force for a channel, bearer's limit included; `None` for no
    /// limit.
    pub fn batch_rate(&self, target: &Target) -> Option<f64> {
        let (bearer, channel) = self.limits_of(target);
        let bearer = bearer.lock_limit().bucket.rate();
        let channel = channel.lock().batch.rate();
        bearer.into_iter().chain(channel).reduce(f64::min)
    }

    /// Returns the configured calls a second of a bearer, whatever slows it down just now; `None`
    /// for no limit.
    pub fn bearer_rate(&self, target: &Target) -> Option<f64> {
        self.rates.per_second(target.channel.region(), RateLimit::Bearer)
    }

    /// Returns the share of the documented rate that calls took in about the last minute, of the
    /// bearer with the largest share.
    pub fn quota_used(&self) -> f64 {
        let now = Instant::now();
        let limits = self.limits.lock();
        limits.bearers.values().map(|bearer| bearer.lock_limit().quota_used(now)).fold(0.0, f64::max)
    }

    /// Returns for how long calls have been waiting though it was their turn: next to nothing,
    /// unless something is stuck.
    pub fn overdue(&self) -> Duration {
        let now = Instant::now();
        let limits = self.limits.lock();
        limits.bearers.values().map(|bearer| bearer.lock_limit().overdue(now)).max().unwrap_or_default()
    }

    /// Returns the two limits of a target, and creates them if they are new.
    fn limits_of(&self, target: &Target) -> (Arc<BearerQueue>, Arc<ChannelLimit>) {
        let now = Instant::now();
        let mut limits = self.limits.lock();
        limits.sweep(now);
        let region = target.channel.region();
        let bearer = self.bearer_queue(&mut limits, region, &target.bearer, now);
        let channel =
            limits.channels.entry(target.channel.clone()).or_insert_with(|| Arc::new(self.new_channel(region, now)));
        (bearer, Arc::clone(channel))
    }

    fn bearer_queue(
        &self,
        limits: &mut LimiterState,
        region: &str,
        bearer: &MemberArn,
        now: Instant,
    ) -> Arc<BearerQueue> {
        let queue = limits.bearers.entry((region.to_owned(), bearer.clone())).or_insert_with(|| {
            let bucket = self.new_bucket(region, RateLimit::Bearer, now);
            Arc::new(BearerQueue::new(BearerLimit::new(bucket, self.concurrency, Arc::clone(&self.turns))))
        });
        Arc::clone(queue)
    }

    fn new_channel(&self, region: &str, now: Instant) -> ChannelLimit {
        let bucket = |limit| self.new_bucket(region, limit, now);
        ChannelLimit::new(bucket(RateLimit::ChannelBatch), bucket(RateLimit::ChannelList))
    }

    fn new_bucket(&self, region: &str, limit: RateLimit, now: Instant) -> Bucket {
        Bucket::new(self.rates.per_second(region, limit), limit.documented_rate(region), now)
    }
}

impl LimiterState {
    /// Drops the limits that are idle and full, so that memory follows use.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now < swept + SWEEP_INTERVAL) {
            return;
        }
        self.swept = Some(now);
        // A limit in use is also held by a waiting call or a permit.
        let is_used = |queue: &Arc<BearerQueue>| Arc::strong_count(queue) > 1 || Arc::strong_count(&queue.limit) > 1;
        self.bearers.retain(|_, queue| is_used(queue) || !queue.lock_limit().is_forgettable(now));
        self.channels.retain(|_, channel| Arc::strong_count(channel) > 1 || !channel.lock().is_forgettable(now));
        self.bearers.shrink_to(2 * self.bearers.len());
        self.channels.shrink_to(2 * self.channels.len());
    }
}
