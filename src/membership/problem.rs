//! Who could not be added, why, and when is it tried again?

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::answer::{Answer, UNKNOWN_TRIES};

/// A refused member is tried again at a resync, but never sooner than after this, unless somebody asks for it.
pub const REFUSED_REST: Duration = Duration::from_hours(1);

/// What a problem without a code is called.
const NO_CODE: &str = "Unknown";

/// Why one member is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether it may pass by itself soon. Such a member is pending, any other has failed.
    pub transient: bool,
    /// The service's code, or ours.
    pub code: String,
    /// The service's text.
    pub message: String,
    /// How often adding was tried since the member was first refused.
    pub attempts: u32,
    /// How often in a row the code was one that nobody knows, or none.
    unknown: u32,
    /// When it was first refused.
    pub first_seen: Timestamp,
    /// When it was last refused.
    pub found_at: Timestamp,
    /// When it is tried again at the earliest.
    pub next_attempt: Timestamp,
}

impl Problem {
    /// The problem of a member who failed once more; `rest` says how long to wait after so many attempts (1 for the first)
    /// where it may pass by itself.
    fn after(
        before: Option<&Self>,
        code: Option<&str>,
        message: &str,
        now: Timestamp,
        rest: impl FnOnce(u32) -> Duration,
    ) -> Self {
        let attempts = before.map_or(1, |before| before.attempts.saturating_add(1));
        let answer = Answer::of(code);
        let unknown = before.map_or(0, |before| before.unknown);
        let unknown = if answer == Answer::Unknown { unknown.saturating_add(1) } else { 0 };
        let transient = is_transient(answer, unknown);
        Self {
            transient,
            code: code.unwrap_or(NO_CODE).to_owned(),
            message: message.to_owned(),
            attempts,
            unknown,
            first_seen: before.map_or(now, |before| before.first_seen),
            found_at: now,
            next_attempt: now
                .checked_add(if transient { rest(attempts) } else { REFUSED_REST })
                .unwrap_or(Timestamp::MAX),
        }
    }
}

fn is_transient(answer: Answer, unknown: u32) -> bool {
    match answer {
        // A conflict gets here only when nobody can find the member there.
        Answer::Transient | Answer::Conflict => true,
        Answer::Unknown => unknown < UNKNOWN_TRIES,
        Answer::Refused => false,
    }
}

/// The members of one resource who could not be added, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(BTreeMap<Box<str>, Problem>);

impl Problems {
    /// Records that adding a member failed. `backoff` says how long to rest after so many attempts (1 for the first).
    pub fn record(
        &mut self,
        name: &str,
        code: Option<&str>,
        message: &str,
        now: Timestamp,
        backoff: impl FnOnce(u32) -> Duration,
    ) {
        let problem = Problem::after(self.0.get(name), code, message, now, backoff);
        self.0.insert(name.into(), problem);
    }

    /// Takes over what an earlier process wrote down.
    pub fn restore(
        &mut self,
        name: &str,
        code: &str,
        message: &str,
        attempts: u32,
        first_seen: Timestamp,
        next_attempt: Timestamp,
    ) {
        let (code, message) = (code.to_owned(), message.to_owned());
        let transient = is_transient(Answer::of(Some(&code)), attempts);
        let (unknown, found_at) = (attempts, first_seen);
        let problem = Problem { transient, code, message, attempts, unknown, first_seen, found_at, next_attempt };
        self.0.insert(name.into(), problem);
    }

    /// The member is there, or nobody wants it any more.
    pub fn clear(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Keeps only problems of members for whom `wanted` holds.
    pub fn retain(&mut self, mut wanted: impl FnMut(&str) -> bool) {
        self.0.retain(|name, _| wanted(name));
    }

    /// Somebody changed the declaration or asked for a reconcile: those of which `which` holds are due at once, and counted anew.
    pub fn forget(&mut self, which: impl Fn(&Problem) -> bool) {
        self.0.retain(|_, problem| !which(problem));
    }

    /// Records, with a code of ours, why a member is not there though nothing was tried; until `next` it is not.
    pub fn note(&mut self, name: &str, code: &str, message: &str, now: Timestamp, next: Timestamp) {
        let before = self.0.get(name);
        let problem = Problem {
            transient: false,
            code: code.to_owned(),
            message: message.to_owned(),
            attempts: before.map_or(0, |before| before.attempts),
            unknown: 0,
            first_seen: before.filter(|before| before.code == code).map_or(now, |before| before.first_seen),
            found_at: now,
            next_attempt: next,
        };
        self.0.insert(name.into(), problem);
    }

    /// Says more of a problem than the service did.
    pub fn explain(&mut self, name: &str, message: &str) {
        if let Some(problem) = self.0.get_mut(name) {
            message.clone_into(&mut problem.message);
        }
    }

    /// What stands in a member's way.
    pub fn get(&self, name: &str) -> Option<&Problem> {
        self.0.get(name)
    }

    /// All, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Problem)> {
        self.0.iter().map(|(name, problem)| (&**name, problem))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When the first member is due that may pass by itself.
    pub fn next_retry(&self) -> Option<Timestamp> {
        self.0.values().filter(|problem| problem.transient).map(|problem| problem.next_attempt).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(codes: &[Option<&str>]) -> Problems {
        let mut problems = Problems::default();
        for code in codes {
            problems.record("user/a", *code, "", Timestamp::UNIX_EPOCH, |_| Duration::from_secs(2));
        }
        problems
    }

    #[test]
    fn a_throttled_member_is_due_after_its_backoff() {
        let problems = problems(&[Some("Throttled")]);
        assert_eq!(problems.next_retry(), Some(Timestamp::from_second(2).unwrap()));
    }

    #[test]
    fn a_refused_member_rests_for_an_hour_and_wakes_nobody() {
        let problems = problems(&[Some("Forbidden")]);
        assert_eq!(problems.next_retry(), None);
        assert_eq!(problems.get("user/a").unwrap().next_attempt, Timestamp::from_second(3600).unwrap());
    }

    #[test]
    fn a_code_nobody_knows_is_transient_four_times_and_then_refused() {
        for code in [None, Some("Surprise")] {
            assert!(problems(&[code; 4]).get("user/a").unwrap().transient);
            assert!(!problems(&[code; 5]).get("user/a").unwrap().transient);
        }
    }

    #[test]
    fn what_was_known_to_pass_does_not_count_among_the_tries_of_what_nobody_knows() {
        let mut problems = problems(&[Some("ServiceFailure"); 7]);
        problems.record("user/a", None, "", Timestamp::UNIX_EPOCH, |_| Duration::ZERO);
        assert!(problems.get("user/a").unwrap().transient);
    }

    #[test]
    fn attempts_add_up_until_somebody_asks_anew() {
        let mut problems = problems(&[Some("Throttled"), Some("Throttled"), Some("Forbidden")]);
        assert_eq!(problems.get("user/a").unwrap().attempts, 3);
        problems.forget(|_| true);
        assert!(problems.is_empty());
    }
}
