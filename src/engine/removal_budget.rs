//! The removal budget: how many members may be removed in an hour, by all resources together.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};

use crate::membership::blocker::Blocker;
use crate::membership::time::{between, later};

const HOUR: Duration = Duration::from_hours(1);

/// A bucket that fills within an hour. It begins empty, so a restart buys no removals; in no hour
/// are there more removals than it holds.
#[derive(Debug)]
pub(super) struct RemovalBudget {
    per_hour: u32,
    bucket: Mutex<BudgetBucket>,
}

#[derive(Debug)]
struct BudgetBucket {
    removals: f64,
    filled_at: Timestamp,
    /// When the removals of the last hour were taken.
    taken: VecDeque<Timestamp>,
}

impl RemovalBudget {
    /// Creates a budget of this many removals an hour; 0 is no limit.
    pub(super) fn new(per_hour: u32, now: Timestamp) -> Self {
        let bucket = BudgetBucket { removals: 0.0, filled_at: now, taken: VecDeque::new() };
        Self { per_hour, bucket: Mutex::new(bucket) }
    }

    /// Takes one removal.
    pub(super) fn take(&self, now: Timestamp) -> Result<(), Blocker> {
        self.has_budget(now)?;
        if self.per_hour > 0 {
            let mut bucket = self.filled(now);
            bucket.removals -= 1.0;
            bucket.taken.push_back(now);
        }
        Ok(())
    }

    /// Returns how many removals could be taken now.
    pub(super) fn available(&self, now: Timestamp) -> usize {
        if self.per_hour == 0 {
            return usize::MAX;
        }
        let bucket = self.filled(now);
        let left = (self.per_hour as usize).saturating_sub(bucket.taken.len());
        (1..=left)
            .take_while(|count| u32::try_from(*count).is_ok_and(|count| f64::from(count) <= bucket.removals))
            .count()
    }

    /// Puts back a removal that was not made.
    pub(super) fn refund(&self, now: Timestamp) {
        let mut bucket = self.filled(now);
        bucket.removals += 1.0;
        bucket.taken.pop_back();
    }

    /// Checks whether a removal could be taken now.
    pub(super) fn has_budget(&self, now: Timestamp) -> Result<(), Blocker> {
        match self.until_next(now) {
            Duration::ZERO => Ok(()),
            wait => Err(Blocker::HourlyLimit { wait }),
        }
    }

    /// Returns the time until a removal can be taken.
    fn until_next(&self, now: Timestamp) -> Duration {
        if self.per_hour == 0 {
            return Duration::ZERO;
        }
        let bucket = self.filled(now);
        let missing = Duration::from_secs_f64((1.0 - bucket.removals).max(0.0) * self.interval());
        let full = bucket.taken.len() >= self.per_hour as usize;
        let first = bucket.taken.front().filter(|_| full).map(|first| between(now, later(*first, HOUR)));
        missing.max(first.unwrap_or_default())
    }

    fn interval(&self) -> f64 {
        3600.0 / f64::from(self.per_hour.max(1))
    }

    fn filled(&self, now: Timestamp) -> MutexGuard<'_, BudgetBucket> {
        let mut bucket = self.bucket.lock();
        let more = between(bucket.filled_at, now).as_secs_f64() / self.interval();
        // A thousandth of a removal too few, by rounding, would cost one more timer.
        bucket.removals = (bucket.removals + more + 1e-9).min(f64::from(self.per_hour));
        bucket.filled_at = now;
        bucket.taken.retain(|taken| later(*taken, HOUR) > now);
        bucket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(minutes * 60).unwrap()
    }

    #[test]
    fn new_bucket_is_empty_and_fills_within_the_hour() {
        let budget = RemovalBudget::new(60, at(0));
        assert!(budget.take(at(0)).is_err() && budget.until_next(at(0)) <= Duration::from_mins(1));
        assert!(budget.take(at(1)).is_ok() && budget.take(at(1)).is_err());
        assert_eq!((0..1000).filter(|_| budget.take(at(301)).is_ok()).count(), 60);
        budget.refund(at(301));
        assert!(budget.take(at(301)).is_ok() && budget.take(at(301)).is_err());
        assert!(budget.take(at(360)).is_err(), "60 in an hour, however full the bucket is");
        assert!(budget.take(at(361)).is_ok());
    }

    #[test]
    fn zero_means_no_limit() {
        let budget = RemovalBudget::new(0, at(0));
        assert!(budget.take(at(0)).is_ok() && budget.until_next(at(0)).is_zero());
    }
}
