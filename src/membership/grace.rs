//! The grace period of each undeclared member: since when no resource declares it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::names::NameSet;

/// Nobody is removed who was declared less long ago: a list that is moved from one resource to another, or a template that
/// flips, passes through states that nobody means.
pub const SETTLED: Duration = Duration::from_secs(10);

/// Who is declared by no resource, and since when that is known. Lost with the process: then the time begins anew.
#[derive(Clone, Debug, Default)]
pub struct GracePeriods(BTreeMap<Box<str>, Timestamp>);

impl GracePeriods {
    /// Takes in who is declared by no resource now. Whoever is not among them was declared again, or left.
    pub fn observe(&mut self, names: &NameSet, now: Timestamp) {
        self.0.retain(|name, _| names.contains(name));
        for name in names.iter() {
            self.0.entry(name.into()).or_insert(now);
        }
    }

    /// The time begins anew for those for whom `declared` holds.
    pub fn declared(&mut self, declared: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| !declared(name));
    }

    /// Somebody is known to have been declared until then.
    pub fn since(&mut self, name: &str, at: Timestamp) {
        if let Some(since) = self.0.get_mut(name) {
            *since = at.max(*since);
        }
    }

    /// The time begins anew for everybody: something was missed.
    pub fn forget(&mut self) {
        self.0.clear();
    }

    /// Whether somebody was declared by no resource for long enough.
    pub fn is_settled(&self, name: &str, now: Timestamp) -> bool {
        self.0.get(name).is_some_and(|since| settled_at(*since) <= now)
    }

    /// Whether everybody is declared by somebody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When the next of them will have been undeclared for long enough.
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        self.0.values().map(|since| settled_at(*since)).filter(|at| *at > now).min()
    }
}

fn settled_at(since: Timestamp) -> Timestamp {
    since.checked_add(SETTLED).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn whoever_is_declared_in_between_begins_anew() {
        let mut grace_periods = GracePeriods::default();
        let both: NameSet = ["user/a", "user/b"].into_iter().collect();
        grace_periods.observe(&both, at(0));
        grace_periods.observe(&["user/a"].into_iter().collect(), at(5));
        grace_periods.observe(&both, at(6));
        assert!(!grace_periods.is_settled("user/a", at(9)));
        assert!(grace_periods.is_settled("user/a", at(10)));
        assert!(!grace_periods.is_settled("user/b", at(15)));
        assert_eq!(grace_periods.next(at(10)), Some(at(16)));
        assert!(!grace_periods.is_settled("user/c", at(1_000_000)), "who was never seen undeclared is not");
    }
}
