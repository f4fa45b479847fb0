//! The recent rate of calls.

use std::time::Duration;

use tokio::time::Instant;

/// The age at which a call counts for about a third.
const MEMORY: Duration = Duration::from_secs(30);

/// Fewer calls a second than this count as none.
const QUIET: f64 = 0.01;

/// The rate of calls. The older a call is, the less it counts.
#[derive(Debug)]
pub(super) struct Meter {
    calls: f64,
    at: Instant,
}

impl Meter {
    pub(super) fn new(now: Instant) -> Self {
        Self { calls: 0.0, at: now }
    }

    /// Counts a call.
    pub(super) fn count(&mut self, now: Instant) {
        self.calls = self.left(now) + 1.0;
        self.at = now;
    }

    /// Returns the calls a second.
    pub(super) fn rate(&self, now: Instant) -> f64 {
        self.left(now) / MEMORY.as_secs_f64()
    }

    /// Returns whether almost no call was made recently.
    pub(super) fn is_quiet(&self, now: Instant) -> bool {
        self.rate(now) < QUIET
    }

    fn left(&self, now: Instant) -> f64 {
        let ago = now.saturating_duration_since(self.at);
        self.calls * (-ago.as_secs_f64() / MEMORY.as_secs_f64()).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_measured_and_silence_is_quiet() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        assert!(meter.is_quiet(start));
        let mut now = start;
        for _ in 0..2400 {
            now += Duration::from_millis(125);
            meter.count(now);
        }
        assert!((7.9..8.1).contains(&meter.rate(now)), "{}", meter.rate(now));
        assert!(!meter.is_quiet(now + Duration::from_mins(2)));
        assert!(meter.is_quiet(now + Duration::from_mins(5)));
    }
}
