//! What does a condition say, with its numbers and the next step?

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::api::Reason;
use crate::chime::port::{CallError, CallErrorClass, MAX_BATCH};
use crate::membership::answer::advice;
use crate::membership::problem::Problems;

/// How many codes a message tells apart.
const MAX_CODES: usize = 4;

/// How the declared members of a resource stand: `desired = present + pending + failed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub desired: usize,
    pub present: usize,
    pub failed: usize,
}

impl Counts {
    pub(super) fn pending(self) -> usize {
        self.desired - self.present - self.failed
    }

    fn there(self) -> String {
        format!("{} of {} present", number(self.present), number(self.desired))
    }
}

/// The pass came to its end.
pub(super) fn outcome(reason: Reason, counts: Counts, problems: &Problems) -> String {
    let there = counts.there();
    let refused = format!("{} refused ({})", number(counts.failed), codes(problems, false));
    match reason {
        Reason::RefusedWithinLimit => format!("{there}, {refused}, within limits.failed: see status.errors"),
        Reason::MembersRefused => format!("{there}, {refused}: see status.errors; {}", advices(problems)),
        Reason::Retrying => {
            let again = format!("{} tried again soon ({})", number(counts.pending()), codes(problems, true));
            let refused = if counts.failed > 0 { format!(", {refused}") } else { String::new() };
            format!("{there}, {again}{refused}: see status.errors")
        }
        Reason::Observed if counts.present < counts.desired => {
            let missing = number(counts.desired - counts.present);
            format!("{there}, {missing} missing; mode: Observe changes nothing")
        }
        Reason::Observed => format!("{there}; mode: Observe changes nothing"),
        _ => there,
    }
}

/// The pass goes on adding, at so many batches a second.
pub(super) fn adding(counts: Counts, batch_rate: Option<f64>) -> String {
    let batches = counts.pending().div_ceil(MAX_BATCH);
    let mut message = counts.there();
    if let Some(rate) = batch_rate.filter(|rate| *rate > 0.0) {
        #[expect(clippy::cast_precision_loss, reason = "batches are far below 2^52")]
        let left = (batches as f64 / rate).ceil();
        let _ = write!(message, ", about {left} s left at {} a second", rate_of(rate));
    }
    message
}

/// The pass waits for its share of the quota.
pub(super) fn paced(counts: Counts) -> String {
    format!("{}; waits for its share of the service's quota (see --quota-share)", counts.there())
}

/// The channel is being listed.
pub(super) fn listing(counts: Counts) -> String {
    let share = "at the pace of its share of the service's quota (see --quota-share)";
    format!("{} when last seen; lists the channel, {share}", counts.there())
}

/// A call failed and is made again.
pub(super) fn retrying(counts: Counts, error: &CallError) -> String {
    format!("{}; {error}; the call is made again", counts.there())
}

/// A call was refused as a whole.
pub(super) fn refused(counts: Counts, error: &CallError, bearer: &str, interval: Duration) -> String {
    let next = match error.class {
        CallErrorClass::ChannelNotAccessible => format!(
            "check that the channel exists and that {bearer} is an AppInstanceAdmin, or a moderator of the channel"
        ),
        CallErrorClass::BearerRejected => format!("check that {bearer} exists in the app instance"),
        CallErrorClass::AccessDenied => {
            format!("check the AWS credentials, and that IAM allows chime:{} for bearer and channel", error.operation)
        }
        _ => "see the service's message".to_owned(),
    };
    let last = if counts.present > 0 { format!("; {} when last seen", counts.there()) } else { String::new() };
    format!("{error}: {next}. Looked at again within {} s, or when asked{last}", interval.as_secs())
}

/// The condition's reason for a call that was refused as a whole.
pub(super) fn reason_of(error: &CallError) -> Reason {
    match error.class {
        CallErrorClass::ChannelNotAccessible | CallErrorClass::Refused => Reason::ChannelNotAccessible,
        CallErrorClass::BearerRejected => Reason::BearerRejected,
        CallErrorClass::AccessDenied => Reason::AccessDenied,
        CallErrorClass::Throttled | CallErrorClass::Transient => Reason::Retrying,
    }
}

/// `Forbidden ×2, NotFound ×1`: the most frequent first.
fn codes(problems: &Problems, transient: bool) -> String {
    let counted = count_codes(problems, transient);
    let mut text =
        counted.iter().take(MAX_CODES).map(|(code, n)| format!("{code} ×{n}")).collect::<Vec<_>>().join(", ");
    if counted.len() > MAX_CODES {
        text.push_str(", …");
    }
    text
}

fn advices(problems: &Problems) -> String {
    let counted = count_codes(problems, false);
    counted.iter().take(MAX_CODES).map(|(code, _)| format!("{code}: {}", advice(code))).collect::<Vec<_>>().join("; ")
}

fn count_codes(problems: &Problems, transient: bool) -> Vec<(&str, usize)> {
    let mut counts = BTreeMap::new();
    for (_, problem) in problems.iter().filter(|(_, problem)| problem.transient == transient) {
        *counts.entry(problem.code.as_str()).or_insert(0_usize) += 1;
    }
    let mut counted: Vec<_> = counts.into_iter().collect();
    counted.sort_by(|(_, a), (_, b)| b.cmp(a));
    counted
}

/// `10,000`.
fn number(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn rate_of(rate: f64) -> String {
    let rounded = (rate * 100.0).round() / 100.0;
    format!("{rounded} {}", if (rounded - 1.0).abs() < f64::EPSILON { "batch" } else { "batches" })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn problems(codes: &[&str]) -> Problems {
        let mut problems = Problems::default();
        for (index, code) in codes.iter().enumerate() {
            problems.record(&format!("user/{index}"), Some(code), "", Timestamp::UNIX_EPOCH, |_| Duration::ZERO);
        }
        problems
    }

    #[test]
    fn a_refusal_names_numbers_codes_and_what_to_do() {
        let counts = Counts { desired: 120, present: 117, failed: 3 };
        let message = outcome(Reason::MembersRefused, counts, &problems(&["NotFound", "Forbidden", "Forbidden"]));
        insta::assert_snapshot!(message, @"117 of 120 present, 3 refused (Forbidden ×2, NotFound ×1): see status.errors; Forbidden: check that the user exists in the app instance and is not banned from the channel; NotFound: check that the user exists in the app instance");
    }

    #[test]
    fn progress_tells_how_long_it_takes() {
        let counts = Counts { desired: 10_000, present: 3_000, failed: 0 };
        insta::assert_snapshot!(adding(counts, Some(1.0)), @"3,000 of 10,000 present, about 70 s left at 1 batch a second");
        insta::assert_snapshot!(adding(counts, None), @"3,000 of 10,000 present");
    }
}
