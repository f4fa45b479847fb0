//! How fast may the service be called, and who goes next?
//!
//! The service's quotas are shared with the live chat application: 10 calls a second for a bearer (5 in `eu-central-1`) and
//! one batch a second for a channel. A [`RateLimiter`] holds every call until its turn, in a bucket for each (region, bearer) and
//! one for each channel and kind of call, filled to a share of those quotas ([`Rates`]).
//!
//! In one bearer's queue an edit goes before a retry before a resync; then channels take turns, then first come, first
//! served. Who waits for a channel's own bucket holds up nobody else. A 429 halves the rate that it was about, and calls
//! that pass bring it back.

mod bucket;
mod channel;
mod meter;
mod permit;
mod priority;
mod queue;
mod quota;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use self::bucket::Bucket;
use self::channel::Channel;
pub use self::permit::{Call, Permit};
pub use self::priority::{Priority, SharedPriority};
use self::queue::Bearer;
pub use self::quota::{FixedRate, QuotaShare, RateError, RateLimit, Rates};
use super::port::{Operation, Target};
use crate::membership::arn::{ChannelArn, MemberArn};

/// How often buckets that nobody needs are looked for.
const SWEEP: Duration = Duration::from_secs(10);

/// The pace of all calls of a process; one for each process.
#[derive(Debug)]
pub struct RateLimiter {
    rates: Rates,
    concurrency: usize,
    /// Counts turns, for all bearers together.
    turns: Arc<AtomicU64>,
    known: Mutex<Known>,
}

/// The buckets in use. Locked alone.
#[derive(Debug)]
struct Known {
    /// By region and bearer.
    bearers: HashMap<(String, MemberArn), Arc<Bearer>>,
    channels: HashMap<ChannelArn, Arc<Channel>>,
    swept: Option<Instant>,
}

impl RateLimiter {
    /// A pace of these rates, with at most `concurrency` calls of a bearer under way at once.
    pub fn new(rates: Rates, concurrency: NonZeroU16) -> Self {
        let known = Known { bearers: HashMap::new(), channels: HashMap::new(), swept: None };
        Self { rates, concurrency: concurrency.get().into(), turns: Arc::default(), known: Mutex::new(known) }
    }

    /// Waits until a call may be made. Dropping the future leaves the queue and costs nobody anything.
    pub async fn acquire_permit(&self, target: &Target, operation: Operation, priority: &SharedPriority) -> Permit {
        let (bearer, channel) = self.limits(target);
        bearer.acquire_permit(&channel, operation, priority).await
    }

    /// As [`Self::acquire_permit`], for a call that is about no channel in particular: only its bearer's limit holds it.
    pub async fn acquire_bearer_permit(
        &self,
        bearer: &MemberArn,
        operation: Operation,
        priority: &SharedPriority,
    ) -> Permit {
        let now = Instant::now();
        let limit = {
            let mut known = lock(&self.known);
            known.sweep(now);
            self.bearer(&mut known, bearer.region(), bearer, now)
        };
        // One of its own, because whoever waits does so by channel.
        let none = Arc::new(self.channel(bearer.region(), now));
        limit.acquire_permit(&none, operation, priority).await
    }

    /// Leave to make one call now, whoever waits.
    ///
    /// For the delete of a membership that a Describe has just shown: whatever is waited in between, in a queue perhaps
    /// minutes long, the membership may become another one, and what was seen of it means nothing any more. The call is
    /// not free: it takes from the buckets what any call takes, so that they go into debt and whoever comes next waits for
    /// it too, and the average rate holds. It goes even when as many calls are under way as may be, and counts
    /// among them.
    pub fn permit_on_credit(&self, target: &Target, operation: Operation) -> Permit {
        let (bearer, channel) = self.limits(target);
        bearer.permit_on_credit(&channel, operation)
    }

    /// The rates that it keeps to, as they were asked for.
    pub fn rates(&self) -> &Rates {
        &self.rates
    }

    /// The batches a second in force for a channel, bearer's limit included; `None` for no limit.
    pub fn batch_rate(&self, target: &Target) -> Option<f64> {
        let (bearer, channel) = self.limits(target);
        let bearer = bearer.lock().bucket.rate();
        let channel = channel.lock().batch.rate();
        bearer.into_iter().chain(channel).reduce(f64::min)
    }

    /// The calls a second that a bearer is to keep to, whatever slows it down just now; `None` for no limit.
    pub fn bearer_rate(&self, target: &Target) -> Option<f64> {
        self.rates.per_second(target.channel.region(), RateLimit::Bearer)
    }

    /// The share of the documented rate that calls took in about the last minute, of the bearer that takes most of its own.
    pub fn quota_used(&self) -> f64 {
        let now = Instant::now();
        let known = lock(&self.known);
        known.bearers.values().map(|bearer| bearer.lock().quota_used(now)).fold(0.0, f64::max)
    }

    /// For how long calls have been waiting though it was their turn: next to nothing, unless something is stuck.
    pub fn overdue(&self) -> Duration {
        let now = Instant::now();
        let known = lock(&self.known);
        known.bearers.values().map(|bearer| bearer.lock().overdue(now)).max().unwrap_or_default()
    }

    /// The two limits of a target, made if they are new.
    fn limits(&self, target: &Target) -> (Arc<Bearer>, Arc<Channel>) {
        let now = Instant::now();
        let mut known = lock(&self.known);
        known.sweep(now);
        let region = target.channel.region();
        let bearer = self.bearer(&mut known, region, &target.bearer, now);
        let channel =
            known.channels.entry(target.channel.clone()).or_insert_with(|| Arc::new(self.channel(region, now)));
        (bearer, Arc::clone(channel))
    }

    fn bearer(&self, known: &mut Known, region: &str, bearer: &MemberArn, now: Instant) -> Arc<Bearer> {
        let new =
            || Bearer::new(self.bucket(region, RateLimit::Bearer, now), self.concurrency, Arc::clone(&self.turns));
        let bearer = known.bearers.entry((region.to_owned(), bearer.clone())).or_insert_with(|| Arc::new(new()));
        Arc::clone(bearer)
    }

    fn channel(&self, region: &str, now: Instant) -> Channel {
        let bucket = |limit| self.bucket(region, limit, now);
        Channel::new(bucket(RateLimit::ChannelBatch), bucket(RateLimit::ChannelList))
    }

    fn bucket(&self, region: &str, limit: RateLimit, now: Instant) -> Bucket {
        Bucket::new(self.rates.per_second(region, limit), limit.documented_rate(region), now)
    }
}

impl Known {
    /// Forgets the buckets that are idle and full, so that memory follows use.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now < swept + SWEEP) {
            return;
        }
        self.swept = Some(now);
        // A bucket in use is also held by whoever waits or calls.
        self.bearers.retain(|_, bearer| Arc::strong_count(bearer) > 1 || !bearer.lock().is_forgettable(now));
        self.channels.retain(|_, channel| Arc::strong_count(channel) > 1 || !channel.lock().is_forgettable(now));
        self.bearers.shrink_to(2 * self.bearers.len());
        self.channels.shrink_to(2 * self.channels.len());
    }
}

/// A poisoned lock is taken all the same: the numbers behind these stay sound whatever a panicking task was about.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
