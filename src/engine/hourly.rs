//! How many people may still be removed in this hour, all resources together?

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const HOUR: Duration = Duration::from_hours(1);

/// A bucket of removals that fills in an hour and begins empty, so a restart buys none; and in no hour are there more than it holds.
#[derive(Debug)]
pub(super) struct Hourly {
    per_hour: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    removals: f64,
    at: Instant,
    /// When those of the last hour were taken.
    taken: VecDeque<Instant>,
}

impl Hourly {
    /// So many an hour; 0 for no limit.
    pub fn new(per_hour: u32) -> Self {
        Self { per_hour, state: Mutex::new(State { removals: 0.0, at: Instant::now(), taken: VecDeque::new() }) }
    }

    /// Takes one, or says how long until there is one.
    pub fn take(&self) -> Result<(), Duration> {
        self.look()?;
        if self.per_hour > 0 {
            let mut state = self.filled();
            state.removals -= 1.0;
            let now = state.at;
            state.taken.push_back(now);
        }
        Ok(())
    }

    /// How many could be taken now.
    pub fn available(&self) -> usize {
        if self.per_hour == 0 {
            return usize::MAX;
        }
        let state = self.filled();
        let left = (self.per_hour as usize).saturating_sub(state.taken.len());
        (1..=left)
            .take_while(|count| u32::try_from(*count).is_ok_and(|count| f64::from(count) <= state.removals))
            .count()
    }

    /// Gives one back that was not made.
    pub fn give_back(&self) {
        let mut state = self.filled();
        state.removals += 1.0;
        state.taken.pop_back();
    }

    /// Whether there is one, or how long until then.
    pub fn look(&self) -> Result<(), Duration> {
        match self.next() {
            Duration::ZERO => Ok(()),
            rest => Err(rest),
        }
    }

    /// How long until there is one, and at once if there is no limit.
    fn next(&self) -> Duration {
        if self.per_hour == 0 {
            return Duration::ZERO;
        }
        let state = self.filled();
        let missing = Duration::from_secs_f64((1.0 - state.removals).max(0.0) * self.interval());
        let full = state.taken.len() >= self.per_hour as usize;
        let first =
            state.taken.front().filter(|_| full).map(|first| (*first + HOUR).saturating_duration_since(state.at));
        missing.max(first.unwrap_or_default())
    }

    fn interval(&self) -> f64 {
        3600.0 / f64::from(self.per_hour.max(1))
    }

    fn filled(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let more = (now - state.at).as_secs_f64() / self.interval();
        // A thousandth of a removal too few, by rounding, would have everybody wait for one more timer.
        state.removals = (state.removals + more + 1e-9).min(f64::from(self.per_hour));
        state.at = now;
        state.taken.retain(|taken| *taken + HOUR > now);
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_new_bucket_is_empty_and_fills_within_the_hour() {
        let hourly = Hourly::new(60);
        assert!(hourly.take().is_err_and(|rest| rest <= Duration::from_mins(1)));
        tokio::time::sleep(hourly.next()).await;
        assert!(hourly.take().is_ok() && hourly.take().is_err());
        tokio::time::sleep(Duration::from_hours(5)).await;
        assert_eq!((0..1000).filter(|_| hourly.take().is_ok()).count(), 60);
        hourly.give_back();
        assert!(hourly.take().is_ok() && hourly.take().is_err());
        tokio::time::sleep(Duration::from_mins(59)).await;
        assert!(hourly.take().is_err(), "60 in an hour, however full the bucket is");
        tokio::time::sleep(hourly.next()).await;
        assert!(hourly.take().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn zero_is_no_limit() {
        let hourly = Hourly::new(0);
        assert!(hourly.take().is_ok() && hourly.next().is_zero());
    }
}
