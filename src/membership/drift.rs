//! Drift: declared members that were present and are absent now, though Rollcall did not remove them.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::notes::Notes;
use super::plan::Situation;
use super::time::later;
use crate::api::{Mode, OnLeave};

/// Our error code for a member that left or was removed by another program.
pub const LEFT: &str = "Left";

/// Our error code for a member that is removed again and again by another program.
pub const CONTESTED: &str = "Contested";

/// The time until a member is added again after its second and its third departure.
const READD_AFTER: [Duration; 2] = [Duration::from_hours(6), Duration::from_hours(24)];

/// The number of departures of each declared member. Lost with the process: each member may be added once more then.
#[derive(Clone, Debug, Default)]
pub struct Drift(BTreeMap<Box<str>, usize>);

/// What to do about a departure.
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

/// Sets an error for each declared member that left, or was removed by another program, and that is not added at once.
pub(super) fn record_out_of_band_removals(now: &Situation<'_>, departed: &[Box<str>], notes: &mut Notes) {
    if now.spec.mode == Mode::Observe {
        return;
    }
    for name in departed {
        if now.view.has(name) || !now.spec.desired.names().contains(name) {
            continue;
        }
        let left = "was in the channel and left, or was taken out by somebody else";
        let (code, message, next) = match notes.drift.record_departure(name, now.spec.on_leave) {
            DriftResponse::Readd => continue,
            DriftResponse::ReaddAfter(rest) => {
                (LEFT, format!("{left}, more than once: is added again later"), later(now.now, rest))
            }
            DriftResponse::Report => (LEFT, format!("{left}: stays out, as onLeave: Report asks"), Timestamp::MAX),
            DriftResponse::Contested => {
                let until = "is not added any more until the spec changes or somebody asks";
                (CONTESTED, format!("{left} again and again: {until}"), Timestamp::MAX)
            }
        };
        notes.errors.set_error(name, code, &message, now.now, next);
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
