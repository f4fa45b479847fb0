//! What does a condition say, with its numbers and the next step?

use std::fmt::Write as _;

use super::findings::Findings;
use crate::api::Reason;
use crate::chime::port::{CallError, CallErrorClass, MAX_BATCH};
use crate::membership::answer::advice;

/// How many codes a message tells apart.
const MAX_CODES: usize = 4;

/// The pass came to its end.
pub(super) fn outcome(reason: Reason, found: &Findings) -> String {
    let there = there(found);
    let refused = format!("{} refused ({})", number(found.failed), codes(&found.refused));
    match reason {
        Reason::RefusedWithinLimit => format!("{there}, {refused}, within limits.failed: see status.errors"),
        Reason::MembersRefused => format!("{there}, {refused}: see status.errors; {}", advices(&found.refused)),
        Reason::Retrying => {
            let again = format!("{} tried again soon ({})", number(found.pending), codes(&found.transient));
            let refused = if found.failed > 0 { format!(", {refused}") } else { String::new() };
            format!("{there}, {again}{refused}: see status.errors")
        }
        Reason::Adding => format!("{there}, {} to be added", number(found.pending)),
        Reason::Observed if found.present < found.desired => {
            let missing = number(found.desired - found.present);
            format!("{there}, {missing} missing; mode: Observe changes nothing")
        }
        Reason::Observed => format!("{there}; mode: Observe changes nothing"),
        _ => there,
    }
}

/// The pass goes on adding, at so many batches a second.
pub(super) fn adding(found: &Findings, batch_rate: Option<f64>) -> String {
    let batches = found.pending.div_ceil(MAX_BATCH);
    let mut message = there(found);
    if let Some(rate) = batch_rate.filter(|rate| *rate > 0.0) {
        #[expect(clippy::cast_precision_loss, reason = "batches are far below 2^52")]
        let left = (batches as f64 / rate).ceil();
        let _ = write!(message, ", about {left} s left at {} a second", rate_of(rate));
    }
    message
}

/// The pass waits for its share of the quota.
pub(super) fn paced(found: &Findings) -> String {
    format!("{}; waits for its share of the service's quota (see --quota-share)", there(found))
}

/// The channel is being listed.
pub(super) fn listing(found: &Findings) -> String {
    let share = "at the pace of its share of the service's quota (see --quota-share)";
    format!("{} when last seen; lists the channel, {share}", there(found))
}

/// A call failed and is made again.
pub(super) fn retrying(found: &Findings, error: &CallError) -> String {
    format!("{}; {error}; the call is made again", there(found))
}

/// A call was refused as a whole.
pub(super) fn refused(found: &Findings, error: &CallError) -> String {
    let bearer = &found.intent.target.bearer;
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
    let last = if found.present > 0 { format!("; {} when last seen", there(found)) } else { String::new() };
    format!("{error}: {next}{last}; it is looked at again by itself now and then, and at once when asked")
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

fn there(found: &Findings) -> String {
    format!("{} of {} present", number(found.present), number(found.desired))
}

/// `Forbidden ×2, NotFound ×1`.
fn codes(counted: &[(String, usize)]) -> String {
    let first = counted.iter().take(MAX_CODES).map(|(code, count)| format!("{code} ×{count}")).collect::<Vec<_>>();
    first.join(", ") + if counted.len() > MAX_CODES { ", …" } else { "" }
}

fn advices(counted: &[(String, usize)]) -> String {
    let first = counted.iter().take(MAX_CODES).map(|(code, _)| format!("{code}: {}", advice(code)));
    first.collect::<Vec<_>>().join("; ")
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
    use std::sync::Arc;
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::engine::intent::Intent;
    use crate::engine::tests::fake::{Fake, Resource, engine, users};
    use crate::membership::problem::Problems;

    fn found(present: usize, desired: usize, codes: &[&str]) -> Findings {
        let settings = engine(&Fake::default()).settings;
        let intent = Arc::new(Intent::read(&Resource::declaring(users(desired)).spec, &settings).unwrap());
        let there = intent.roster.names().iter().take(present).collect();
        let mut problems = Problems::default();
        for (name, code) in intent.roster.names().iter().skip(present).zip(codes) {
            problems.record(name, Some(code), "", Timestamp::UNIX_EPOCH, |_| Duration::ZERO);
        }
        Findings::new(&intent, &there, &problems, None, Duration::from_hours(1))
    }

    #[tokio::test]
    async fn a_refusal_names_numbers_codes_and_what_to_do() {
        let found = found(117, 120, &["NotFound", "Forbidden", "Forbidden"]);
        let message = outcome(Reason::MembersRefused, &found);
        insta::assert_snapshot!(message, @"117 of 120 present, 3 refused (Forbidden ×2, NotFound ×1): see status.errors; Forbidden: check that the user exists in the app instance and is not banned from the channel; NotFound: check that the user exists in the app instance");
    }

    #[tokio::test]
    async fn progress_tells_how_long_it_takes() {
        let found = found(3_000, 10_000, &[]);
        insta::assert_snapshot!(adding(&found, Some(1.0)), @"3,000 of 10,000 present, about 70 s left at 1 batch a second");
        insta::assert_snapshot!(adding(&found, None), @"3,000 of 10,000 present");
    }
}
