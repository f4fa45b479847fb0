//! Drift: declared members that were present and are absent now, though Rollcall did not remove
//! them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::OnLeave;

/// The time until a member is added again after its second and its third departure.
const READD_AFTER: [Duration; 2] = [Duration::from_hours(6), Duration::from_hours(24)];

/// The number of departures of each declared member. Lost with the process: each member may be
/// added once more then.
#[derive(Clone, Debug, Default)]
pub struct Drift(BTreeMap<Box<str>, usize>);

/// The response to a departure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriftResponse {
    /// Add the member again, now.
    Readd,
    /// Add the member again after this time.
    ReaddAfter(Duration),
    /// Report the departure and leave the member out.
    Report,
    /// Leave the member out: another program wants it out.
    Contested,
}

impl Drift {
    /// Counts a departure, and returns what to do about it.
    pub fn record_departure(&mut self, name: &str, on_leave: OnLeave) -> DriftResponse {
        let departures = self.0.entry(name.into()).or_default();
        *departures += 1;
        match (on_leave, *departures) {
            (OnLeave::Report, _) => DriftResponse::Report,
            (OnLeave::Readd, 1) => DriftResponse::Readd,
            (OnLeave::Readd, departures) => READD_AFTER
                .get(departures - 2)
                .map_or(DriftResponse::Contested, |pause| DriftResponse::ReaddAfter(*pause)),
        }
    }

    /// Forgets all departures, because the spec changed or a reconcile was requested.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn member_is_added_three_times_and_then_contested() {
        let mut drift = Drift::default();
        let mut left = |on_leave| drift.record_departure("user/a", on_leave);
        assert_eq!(left(OnLeave::Readd), DriftResponse::Readd);
        assert_eq!(left(OnLeave::Readd), DriftResponse::ReaddAfter(Duration::from_hours(6)));
        assert_eq!(left(OnLeave::Readd), DriftResponse::ReaddAfter(Duration::from_hours(24)));
        assert_eq!(left(OnLeave::Readd), DriftResponse::Contested);
        drift.clear();
        assert_eq!(drift.record_departure("user/a", OnLeave::Readd), DriftResponse::Readd);
        assert_eq!(drift.record_departure("user/b", OnLeave::Report), DriftResponse::Report);
    }
}
