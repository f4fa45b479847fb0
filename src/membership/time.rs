//! Arithmetic on timestamps that saturates instead of overflowing.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Returns the moment `duration` after `at`, or the last timestamp there is.
pub fn later(at: Timestamp, duration: Duration) -> Timestamp {
    at.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// Returns the moment `duration` before `at`, or the first timestamp there is.
pub fn earlier(at: Timestamp, duration: Duration) -> Timestamp {
    at.checked_sub(duration).unwrap_or(Timestamp::MIN)
}

/// Returns the time from `from` to `to`; zero if `to` is not later.
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// Returns the time from `now` to `at`; without a moment, the longest duration there is.
pub fn until(now: Timestamp, at: Option<Timestamp>) -> Duration {
    at.map_or(Duration::MAX, |at| between(now, at))
}

/// Drops the fraction of a second: Kubernetes keeps times to the second.
pub fn to_the_second(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}
