//! The wait before a failed call is repeated.

use std::time::Duration;

/// The longest wait after a first failure.
const FIRST: Duration = Duration::from_secs(2);

/// The longest wait of all.
const LONGEST: Duration = Duration::from_mins(5);

/// Returns the wait after `failures` failures in a row (one or more), doubling from two seconds to
/// five minutes. `random`, in `0.0..1.0`, picks a moment in its second half, so that calls that
/// failed together are not repeated together.
pub fn delay_after(failures: u32, random: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let random = if random.is_finite() { random.clamp(0.0, 1.0) } else { 1.0 };
    doubled.min(LONGEST).mul_f64(f64::midpoint(1.0, random))
}

/// Counts the failures of one call in a row.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Returns how often the call has failed.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts one more failure and returns how long to wait now. `random` is in [0, 1).
    pub fn next_delay(&mut self, random: f64) -> Duration {
        self.failures = self.failures.saturating_add(1);
        delay_after(self.failures, random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_five_minutes() {
        let most: Vec<u64> = (1..=10).map(|failures| delay_after(failures, 1.0).as_secs()).collect();
        assert_eq!(most, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        for failures in [31, 32, 33, 64, u32::MAX] {
            assert_eq!(delay_after(failures, 1.0), LONGEST);
        }
        assert_eq!(delay_after(0, 1.0), FIRST);
    }

    #[test]
    fn jitter_spreads_over_half_of_the_wait() {
        assert_eq!(delay_after(3, 0.0), Duration::from_secs(4));
        assert_eq!(delay_after(3, 0.5), Duration::from_secs(6));
        assert_eq!(delay_after(3, f64::NAN), Duration::from_secs(8));
    }
}
