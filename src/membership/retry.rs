//! The errors of members that could not be added, and when each member is tried again.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::error_code::{ErrorCodeClass, MAX_UNKNOWN_ATTEMPTS};
use super::time::later;
use crate::api::MemberProblem;

/// A refused member is tried again at a resync, but not sooner than after this, unless a reconcile
/// is requested.
pub const REFUSED_REST: Duration = Duration::from_hours(1);

/// The code of an error that has none.
const NO_CODE: &str = "Unknown";

/// Why one member is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberError {
    /// True if the member is tried again soon. Such a member is pending; any other has failed.
    pub transient: bool,
    /// The service's code, or ours.
    pub code: String,
    /// The service's text, or ours.
    pub message: String,
    /// The number of attempts since the member was first refused.
    pub attempts: u32,
    /// The number of attempts in a row with an unknown or absent code.
    unknown: u32,
    /// When the member was first refused.
    pub first_seen: Timestamp,
    /// When the member was last refused.
    pub found_at: Timestamp,
    /// When the member is tried again at the earliest.
    pub next_attempt: Timestamp,
}

fn is_transient(class: ErrorCodeClass, unknown: u32) -> bool {
    match class {
        // A conflict is an error only if the member is not found in the channel.
        ErrorCodeClass::Transient | ErrorCodeClass::Conflict => true,
        ErrorCodeClass::Unknown => unknown < MAX_UNKNOWN_ATTEMPTS,
        ErrorCodeClass::Refused => false,
    }
}

/// The errors of one resource's members, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberErrors(BTreeMap<Box<str>, MemberError>);

impl MemberErrors {
    /// Records a failed attempt. `pause` returns the pause after this many attempts (1 for the
    /// first) for a transient error.
    pub fn record(
        &mut self,
        name: &str,
        code: Option<&str>,
        message: &str,
        now: Timestamp,
        pause: impl FnOnce(u32) -> Duration,
    ) {
        let before = self.0.get(name);
        let attempts = before.map_or(1, |before| before.attempts.saturating_add(1));
        let class = ErrorCodeClass::of(code);
        let unknown = before.map_or(0, |before| before.unknown);
        let unknown = if class == ErrorCodeClass::Unknown { unknown.saturating_add(1) } else { 0 };
        let transient = is_transient(class, unknown);
        let error = MemberError {
            transient,
            code: code.unwrap_or(NO_CODE).to_owned(),
            message: message.to_owned(),
            attempts,
            unknown,
            first_seen: before.map_or(now, |before| before.first_seen),
            found_at: now,
            next_attempt: later(now, if transient { pause(attempts) } else { REFUSED_REST }),
        };
        self.0.insert(name.into(), error);
    }

    /// Takes over an error that an earlier process wrote to the status.
    pub fn restore(&mut self, name: &str, shown: &MemberProblem, next_attempt: Timestamp) {
        let (code, message) = (shown.error_code.clone(), shown.error_message.clone());
        let (attempts, first_seen) = (shown.attempts, shown.first_seen.0);
        let transient = is_transient(ErrorCodeClass::of(Some(&code)), attempts);
        let (unknown, found_at) = (attempts, first_seen);
        let error = MemberError { transient, code, message, attempts, unknown, first_seen, found_at, next_attempt };
        self.0.insert(name.into(), error);
    }

    /// Drops the error of a member that is present, or no longer declared.
    pub fn clear(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Keeps the errors of the members for which `wanted` holds.
    pub fn retain(&mut self, mut wanted: impl FnMut(&str) -> bool) {
        self.0.retain(|name, _| wanted(name));
    }

    /// Drops the errors for which `which` holds: their members are due at once, and their attempts
    /// are counted anew.
    pub fn forget(&mut self, which: impl Fn(&str, &MemberError) -> bool) {
        self.0.retain(|name, error| !which(name, error));
    }

    /// Sets an error with a code of ours. The member is not tried until `next`.
    pub fn set_error(&mut self, name: &str, code: &str, message: &str, now: Timestamp, next: Timestamp) {
        let before = self.0.get(name);
        let error = MemberError {
            transient: false,
            code: code.to_owned(),
            message: message.to_owned(),
            attempts: before.map_or(0, |before| before.attempts),
            unknown: 0,
            first_seen: before.filter(|before| before.code == code).map_or(now, |before| before.first_seen),
            found_at: now,
            next_attempt: next,
        };
        self.0.insert(name.into(), error);
    }

    /// Replaces the message of an error by one that says more.
    pub fn explain(&mut self, name: &str, message: &str) {
        if let Some(error) = self.0.get_mut(name) {
            message.clone_into(&mut error.message);
        }
    }

    /// Returns the error of a member.
    pub fn get(&self, name: &str) -> Option<&MemberError> {
        self.0.get(name)
    }

    /// Lists all errors, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &MemberError)> {
        self.0.iter().map(|(name, error)| (&**name, error))
    }

    /// Returns whether there is no error.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns when the first member with a transient error is due.
    pub fn next_retry(&self) -> Option<Timestamp> {
        self.0.values().filter(|error| error.transient).map(|error| error.next_attempt).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(codes: &[Option<&str>]) -> MemberErrors {
        let mut errors = MemberErrors::default();
        for code in codes {
            errors.record("user/a", *code, "", Timestamp::UNIX_EPOCH, |_| Duration::from_secs(2));
        }
        errors
    }

    #[test]
    fn throttled_member_is_due_after_its_pause() {
        let errors = errors(&[Some("Throttled")]);
        assert_eq!(errors.next_retry(), Some(Timestamp::from_second(2).unwrap()));
    }

    #[test]
    fn refused_member_is_not_due_for_an_hour() {
        let errors = errors(&[Some("Forbidden")]);
        assert_eq!(errors.next_retry(), None);
        assert_eq!(errors.get("user/a").unwrap().next_attempt, Timestamp::from_second(3600).unwrap());
    }

    #[test]
    fn unknown_code_is_transient_four_times_and_then_refused() {
        for code in [None, Some("Surprise")] {
            assert!(errors(&[code; 4]).get("user/a").unwrap().transient);
            assert!(!errors(&[code; 5]).get("user/a").unwrap().transient);
        }
    }

    #[test]
    fn transient_errors_do_not_count_as_unknown_ones() {
        let mut errors = errors(&[Some("ServiceFailure"); 7]);
        errors.record("user/a", None, "", Timestamp::UNIX_EPOCH, |_| Duration::ZERO);
        assert!(errors.get("user/a").unwrap().transient);
    }

    #[test]
    fn attempts_add_up_until_they_are_forgotten() {
        let mut errors = errors(&[Some("Throttled"), Some("Throttled"), Some("Forbidden")]);
        assert_eq!(errors.get("user/a").unwrap().attempts, 3);
        errors.forget(|_, _| true);
        assert!(errors.is_empty());
    }
}
