//! What about declared members who were there and are not any more, though we did not remove them?

use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::OnLeave;

/// The code, of ours, for a member who left or was taken out by somebody else.
pub const LEFT: &str = "Left";

/// The code, of ours, for a member whom somebody takes out again and again.
pub const CONTESTED: &str = "Contested";

/// How long a member stays out who left for the second and the third time.
const RESTS: [Duration; 2] = [Duration::from_hours(6), Duration::from_hours(24)];

/// How often each declared member left. Lost with the process: then they may be added once more.
#[derive(Clone, Debug, Default)]
pub struct Departures(BTreeMap<Box<str>, usize>);

/// What to do about one who left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// Add them again, now.
    Readd,
    /// Add them again after this.
    ReaddAfter(Duration),
    /// Leave them out and say so.
    Report,
    /// Leave them out: somebody else wants them out.
    Contested,
}

impl Departures {
    /// A declared member left once more.
    pub fn left(&mut self, name: &str, on_leave: OnLeave) -> Departure {
        let times = self.0.entry(name.into()).or_default();
        *times += 1;
        match (on_leave, *times) {
            (OnLeave::Report, _) => Departure::Report,
            (OnLeave::Readd, 1) => Departure::Readd,
            (OnLeave::Readd, times) => {
                RESTS.get(times - 2).map_or(Departure::Contested, |rest| Departure::ReaddAfter(*rest))
            }
        }
    }

    /// The spec changed, or somebody asked: everybody is given another chance.
    pub fn forget_all(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_is_added_three_times_at_growing_intervals_and_then_contested() {
        let mut departures = Departures::default();
        let mut left = |on_leave| departures.left("user/a", on_leave);
        assert_eq!(left(OnLeave::Readd), Departure::Readd);
        assert_eq!(left(OnLeave::Readd), Departure::ReaddAfter(Duration::from_hours(6)));
        assert_eq!(left(OnLeave::Readd), Departure::ReaddAfter(Duration::from_hours(24)));
        assert_eq!(left(OnLeave::Readd), Departure::Contested);
        departures.forget_all();
        assert_eq!(departures.left("user/a", OnLeave::Readd), Departure::Readd);
        assert_eq!(departures.left("user/b", OnLeave::Report), Departure::Report);
    }
}
