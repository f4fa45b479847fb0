//! A token bucket: the time of the next call under one limit.

use std::time::Duration;

use tokio::time::Instant;

/// The credit that an idle bucket keeps, as time: enough to catch up on a late timer, and no more.
/// The capacity in calls is 1 + rate × this.
pub(super) const CREDIT: Duration = Duration::from_millis(50);

/// The pause after a 429. The service's buckets are taken to hold one second's worth of calls.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// The increase of a slowed rate for each call that was not answered 429, in calls a second. From
/// half of a rate back to all of it takes about 42 s (60 s × ln 2) of use, whatever the rate, and
/// at 8 calls a second some 240 calls.
const RECOVERY_PER_CALL: f64 = 1.0 / 60.0;

/// The smallest share of a rate that repeated 429 leave.
const FLOOR: f64 = 1.0 / 16.0;

/// Above this, a rate without a configured limit has no limit again.
const UNLIMITED_ABOVE: f64 = 1_000.0;

/// A token bucket, kept as the time at which it will be full again (the generic cell rate
/// algorithm).
#[derive(Debug)]
pub(super) struct Bucket {
    /// The configured rate; `None` for no limit.
    configured: Option<f64>,
    /// The service's documented rate: the rate after a 429 if no limit is configured.
    documented: f64,
    /// The rate in force: at most `configured`.
    rate: Option<f64>,
    full_at: Instant,
    slowed_at: Option<Instant>,
}

impl Bucket {
    /// Creates a bucket that lets one call go at once and has no further credit: a restart must not
    /// allow a burst.
    pub(super) fn new(configured: Option<f64>, documented: f64, now: Instant) -> Self {
        Self { configured, documented, rate: configured, full_at: now + CREDIT, slowed_at: None }
    }

    /// Returns the calls a second that the service documents.
    pub(super) fn documented_rate(&self) -> f64 {
        self.documented
    }

    /// Returns the calls a second in force; `None` for no limit.
    pub(super) fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// Returns the time between two calls at the rate in force.
    pub(super) fn interval(&self) -> Duration {
        self.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate))
    }

    /// Returns the time from which on a call may go.
    pub(super) fn ready_at(&self) -> Instant {
        self.full_at - CREDIT
    }

    pub(super) fn take(&mut self, now: Instant) {
        self.full_at = self.full_at.max(now) + self.interval();
    }

    /// Returns the token of a call that was let go at `granted` and never made.
    pub(super) fn give_back(&mut self, granted: Instant) {
        if self.slowed_at.is_some_and(|slowed| granted <= slowed) {
            return;
        }
        if let Some(full_at) = self.full_at.checked_sub(self.interval()) {
            self.full_at = full_at;
        }
    }

    /// Halves the rate: the call that was let go at `granted` was answered 429.
    ///
    /// Calls that were under way when the bucket was slowed say nothing about the slower rate.
    pub(super) fn throttled(&mut self, granted: Instant, now: Instant) {
        if self.slowed_at.is_some_and(|slowed| granted <= slowed) {
            return;
        }
        let ceiling = self.configured.unwrap_or(self.documented);
        let halved = self.rate.map_or(ceiling, |rate| rate / 2.0);
        self.rate = Some(halved.max(ceiling * FLOOR));
        self.slowed_at = Some(now);
        self.full_at = self.full_at.max(now + PAUSE + CREDIT);
    }

    /// Raises a slowed rate a little: a call was answered with anything but 429.
    pub(super) fn succeeded(&mut self) {
        if self.slowed_at.is_none() {
            return;
        }
        let Some(rate) = self.rate else { return };
        let recovered = rate + RECOVERY_PER_CALL;
        if recovered >= self.configured.unwrap_or(UNLIMITED_ABOVE) {
            self.rate = self.configured;
            self.slowed_at = None;
        } else {
            self.rate = Some(recovered);
        }
    }

    /// Returns whether a new bucket in place of this one would let no more calls go.
    pub(super) fn is_forgettable(&self, now: Instant) -> bool {
        // A rate that was slowed is remembered for a minute of silence.
        let memory = if self.slowed_at.is_some() { Duration::from_mins(1) } else { Duration::ZERO };
        self.full_at + memory <= now
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The times, from the start, at which a bucket lets a call go that is asked for at each of
    /// `asked`.
    fn granted(rate: f64, asked: &[u32]) -> Vec<f64> {
        let start = Instant::now();
        let mut bucket = Bucket::new(Some(rate), 10.0, start);
        let mut times = Vec::new();
        for &at in asked {
            let now = start + Duration::from_millis(u64::from(at));
            if bucket.ready_at() <= now {
                bucket.take(now);
                times.push(f64::from(at) / 1000.0);
            }
        }
        times
    }

    proptest! {
        #[test]
        fn no_second_holds_more_than_the_rate_and_the_capacity(
            rate in 0.2f64..200.0,
            mut asked in proptest::collection::vec(0u32..20_000, 0..2_000),
        ) {
            asked.sort_unstable();
            let times = granted(rate, &asked);
            let most = rate + 1.0 + rate * CREDIT.as_secs_f64();
            for (first, &start) in times.iter().enumerate() {
                let within = times[first..].iter().take_while(|&&time| time <= start + 1.0).count();
                prop_assert!(u32::try_from(within).map(f64::from).unwrap() <= most + 1e-6, "{within} calls in a second at {rate}/s");
            }
        }
    }

    #[test]
    fn a_new_bucket_lets_one_call_go_and_then_keeps_to_the_rate() {
        let every_ms: Vec<u32> = (0..1000).collect();
        assert_eq!(granted(8.0, &every_ms), [0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875]);
    }

    #[test]
    fn what_a_late_timer_costs_is_caught_up() {
        let late: Vec<u32> = (0..80).map(|call| call * 125 + call % 2 * 20).collect();
        assert_eq!(granted(8.0, &late).len(), 80);
    }

    #[test]
    fn one_burst_of_429_halves_once_and_pauses() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Some(8.0), 10.0, start);
        bucket.take(start);
        let answered = start + Duration::from_millis(300);
        for _ in 0..3 {
            bucket.throttled(start, answered);
        }
        assert_eq!(bucket.rate(), Some(4.0));
        assert!(bucket.ready_at() >= answered + PAUSE);
    }

    #[test]
    fn repeated_429_end_at_the_floor() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Some(8.0), 10.0, start);
        for second in 1..20 {
            bucket.throttled(start + Duration::from_secs(second), start + Duration::from_secs(second));
        }
        assert_eq!(bucket.rate(), Some(0.5));
    }

    #[test]
    fn successes_bring_the_rate_back_and_no_further() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Some(8.0), 10.0, start);
        bucket.throttled(start, start);
        for _ in 0..239 {
            bucket.succeeded();
        }
        assert!(bucket.rate().unwrap() < 8.0);
        for _ in 0..10 {
            bucket.succeeded();
        }
        assert_eq!(bucket.rate(), Some(8.0));
    }

    #[test]
    fn without_a_limit_a_429_brings_the_documented_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(None, 10.0, start);
        for _ in 0..1000 {
            assert!(bucket.ready_at() <= start);
            bucket.take(start);
        }
        bucket.throttled(start, start);
        assert_eq!(bucket.rate(), Some(10.0));
        for _ in 0..60_000 {
            bucket.succeeded();
        }
        assert_eq!(bucket.rate(), None);
    }

    #[test]
    fn what_is_given_back_was_never_taken() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Some(8.0), 10.0, start);
        bucket.take(start);
        bucket.give_back(start);
        assert_eq!(bucket.ready_at(), start);
    }
}
