//! The grace period of each removal candidate: since when no resource declares it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::member_set::NameSet;
use super::time::later;

/// A member is removed only after no resource has declared it for this long. A list that moves from
/// one resource to another, or a template that flips, passes through states that are not meant.
pub const GRACE_PERIOD: Duration = Duration::from_secs(10);

/// The undeclared members, and since when each is known to be undeclared. Lost with the process:
/// the time begins anew then.
#[derive(Clone, Debug, Default)]
pub struct GracePeriods(BTreeMap<Box<str>, Timestamp>);

impl GracePeriods {
    /// Takes in the members that are undeclared now. Other members were declared again, or left.
    pub fn observe(&mut self, names: &NameSet, now: Timestamp) {
        self.0.retain(|name, _| names.contains(name));
        for name in names.iter() {
            self.0.entry(name.into()).or_insert(now);
        }
    }

    /// Ends the grace periods of the members for which `declared` holds.
    pub fn end_for(&mut self, declared: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| !declared(name));
    }

    /// Restarts the grace period of a member that was declared until `at`.
    pub fn restart(&mut self, name: &str, at: Timestamp) {
        if let Some(since) = self.0.get_mut(name) {
            *since = at.max(*since);
        }
    }

    /// Restarts all grace periods, because a version of the resource may have been missed.
    pub fn restart_all(&mut self) {
        self.0.clear();
    }

    /// Returns whether a member has been undeclared for `period`.
    pub fn is_over(&self, name: &str, period: Duration, now: Timestamp) -> bool {
        self.0.get(name).is_some_and(|since| later(*since, period) <= now)
    }

    /// Returns whether no member is undeclared.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns when the next of the grace periods under way ends.
    pub fn next_end(&self, period: Duration, now: Timestamp) -> Option<Timestamp> {
        self.0.values().map(|since| later(*since, period)).filter(|at| *at > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn grace_period_starts_again_after_a_declaration() {
        let mut grace = GracePeriods::default();
        let both: NameSet = ["user/a", "user/b"].into_iter().collect();
        grace.observe(&both, at(0));
        grace.observe(&["user/a"].into_iter().collect(), at(5));
        grace.observe(&both, at(6));
        assert!(!grace.is_over("user/a", GRACE_PERIOD, at(9)));
        assert!(grace.is_over("user/a", GRACE_PERIOD, at(10)));
        assert!(!grace.is_over("user/b", GRACE_PERIOD, at(15)));
        assert_eq!(grace.next_end(GRACE_PERIOD, at(10)), Some(at(16)));
        assert!(!grace.is_over("user/c", GRACE_PERIOD, at(1_000_000)), "a member that was never seen undeclared");
    }
}
