//! Durations in the notation of a manifest, such as `1h30m`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A duration of whole seconds, such as `90s`, `15m` or `1h30m`: hours, minutes and seconds in this
/// order, each at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("maxLength" = 16))]
pub struct Interval(Duration);

/// A text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration: write hours, minutes and seconds in this order, such as 90s, 15m or 1h30m")]
pub struct IntervalError(String);

impl Interval {
    /// Rounds up to whole seconds, so that a short interval does not become zero.
    pub fn new(duration: Duration) -> Self {
        Self(Duration::from_secs(duration.as_secs() + u64::from(duration.subsec_nanos() > 0)))
    }

    /// Returns the duration.
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Interval {
    type Err = IntervalError;

    fn from_str(text: &str) -> Result<Self, IntervalError> {
        let refused = || IntervalError(text.chars().take(64).collect());
        let (mut rest, mut seconds) = (text, 0_u64);
        for (unit, worth) in [('h', 3600_u64), ('m', 60), ('s', 1)] {
            let Some((digits, after)) = rest.split_once(unit) else { continue };
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(refused());
            }
            let count: u32 = digits.parse().map_err(|_| refused())?;
            seconds += u64::from(count) * worth;
            rest = after;
        }
        if rest.is_empty() && seconds > 0 { Ok(Self(Duration::from_secs(seconds))) } else { Err(refused()) }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0.as_secs();
        for (count, unit) in [(all / 3600, 'h'), (all / 60 % 60, 'm')] {
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        if !all.is_multiple_of(60) || all == 0 { write!(f, "{}s", all % 60) } else { Ok(()) }
    }
}

impl TryFrom<String> for Interval {
    type Error = IntervalError;

    fn try_from(text: String) -> Result<Self, IntervalError> {
        text.parse()
    }
}

impl From<Interval> for String {
    fn from(interval: Interval) -> Self {
        interval.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_is_parsed_and_printed_in_short_notation() {
        for (text, seconds) in [("90s", 90), ("1h", 3600), ("1h30m", 5400), ("2h0m5s", 7205), ("10s", 10)] {
            assert_eq!(text.parse::<Interval>().unwrap().duration().as_secs(), seconds, "{text}");
        }
        for (seconds, text) in [(90, "1m30s"), (3600, "1h"), (5400, "1h30m"), (10, "10s"), (7205, "2h5s")] {
            assert_eq!(Interval::new(Duration::from_secs(seconds)).to_string(), text);
        }
    }

    #[test]
    fn text_that_is_not_a_duration_is_refused() {
        for bad in ["", "h", "1", "1d", "-1s", "1.5h", "30m1h", "1h1h", "0s", "99999999999s", "1h 30m", "+1s"] {
            assert!(bad.parse::<Interval>().is_err(), "{bad}");
        }
    }
}
