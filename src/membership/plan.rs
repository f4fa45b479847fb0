//! Given whom a resource declares and who is there, who is to be added now?

use jiff::Timestamp;

use super::names::NameSet;
use super::problem::Problems;
use super::roster::Roster;

/// What one pass over a channel will do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Names to add now, sorted.
    pub add: NameSet,
}

impl Plan {
    /// Every declared member is there, is added now, or rests because of a problem that is not due yet.
    pub fn new(roster: &Roster, live: &NameSet, problems: &Problems, now: Timestamp) -> Self {
        let due = |name: &str| problems.get(name).is_none_or(|problem| problem.next_attempt <= now);
        Self { add: roster.names().iter().filter(|name| !live.contains(name) && due(name)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::membership::arn::ChannelArn;

    fn name() -> impl Strategy<Value = String> {
        "[a-f]".prop_map(|id| format!("user/{id}"))
    }

    proptest! {
        #[test]
        fn every_declared_member_has_one_place_and_nobody_else_is_added(
            declared in prop::collection::vec(name(), 0..8),
            live in prop::collection::vec(name(), 0..8),
            refused in prop::collection::vec(name(), 0..8),
            later in 0_i64..7200,
        ) {
            let channel = ChannelArn::parse("arn:aws:chime:us-east-1:1:app-instance/i/channel/c").unwrap();
            let roster = Roster::read(&channel, declared.iter().map(String::as_str)).unwrap();
            let live: NameSet = live.iter().map(String::as_str).collect();
            let mut problems = Problems::default();
            for name in &refused {
                problems.record(name, Some("Forbidden"), "", Timestamp::UNIX_EPOCH, |_| Duration::ZERO);
            }
            let now = Timestamp::from_second(later).unwrap();
            let plan = Plan::new(&roster, &live, &problems, now);
            for name in roster.names().iter() {
                let rests = later < 3600 && refused.iter().any(|refused| refused == name);
                prop_assert_eq!(plan.add.contains(name), !live.contains(name) && !rests, "{}", name);
            }
            prop_assert!(plan.add.iter().all(|name| roster.names().contains(name)));
        }
    }
}
