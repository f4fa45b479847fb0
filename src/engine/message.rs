//! Messages of conditions: numbers, and the next step.

use std::fmt::Write as _;

use super::progress::Waiting;
use super::summary::Summary;
use crate::api::{ApprovalReason, Reason, Tolerance};
use crate::chime::port::{CallError, MAX_BATCH};
use crate::membership::error_code::advice;
use crate::membership::target::Target;

/// How many codes a message tells apart.
const MAX_CODES: usize = 4;

/// Returns the message at the end of a reconcile.
pub(super) fn outcome(reason: Reason, summary: &Summary, resource: &str) -> String {
    let there = there(summary);
    let refused = format!("{} refused ({})", number(summary.failed), codes(&summary.refused));
    match reason {
        Reason::RefusedWithinLimit => format!("{there}, {refused}, within limits.failed: see status.errors"),
        Reason::MembersRefused => format!("{there}, {refused}: see status.errors; {}", advices(&summary.refused)),
        Reason::Retrying => {
            let again = format!("{} tried again soon ({})", number(summary.pending), codes(&summary.transient));
            let refused = if summary.failed > 0 { format!(", {refused}") } else { String::new() };
            format!("{there}, {again}{refused}: see status.errors")
        }
        Reason::Adding => format!("{there}, {} to be added", number(summary.pending)),
        Reason::Removing => removing(summary),
        Reason::ApprovalRequired => approval_required(summary, resource),
        Reason::SourceNotReady => {
            let problem = summary.spec.source_error.as_deref().unwrap_or_default();
            format!("{problem}; {there} of the known members; no member is removed from the channel meanwhile")
        }
        Reason::OwnershipConflict => conflict(summary),
        Reason::Observed if summary.present < summary.desired => {
            let missing = number(summary.desired - summary.present);
            format!("{there}, {missing} missing; mode: Observe changes nothing")
        }
        Reason::Observed => format!("{there}; mode: Observe changes nothing"),
        _ => there,
    }
}

/// Returns the message about removals that are in progress or wait.
pub(super) fn removing(summary: &Summary) -> String {
    if summary.candidates == 0 {
        return format!("{}; undeclared members are looked at a second time before any is removed", there(summary));
    }
    let (at_most, why) = match &summary.blocked {
        Some(why) => ("", &**why),
        None if !summary.record.removing.is_empty() => ("", "one after the other, each after a last look"),
        // The inviters and the roles of these members are read only then.
        None => ("up to ", "at the earliest 10 s after no resource declared them any more"),
    };
    format!("{}, {at_most}{} to be removed: {why}", there(summary), number(summary.candidates))
}

/// Returns the message about a plan that needs approval.
fn approval_required(summary: &Summary, resource: &str) -> String {
    let Some(pending) = &summary.record.pending_approval else { return there(summary) };
    let reasons = approval_reasons(&pending.reasons, summary.spec.removals);
    let what = [(pending.removals, "removals"), (pending.additions, "additions")];
    let what =
        what.iter().filter(|(count, _)| *count > 0).map(|(count, kind)| format!("{} {kind}", number(*count as usize)));
    let what = what.collect::<Vec<_>>().join(" and ");
    let (namespace, name) = resource.split_once('/').unwrap_or(("", resource));
    let covered = pending.members.len();
    let used = summary.record.handled_approval.as_deref() == Some(&pending.hash);
    let again = if used { " (it stands there already, and was used or set too early: take it away first)" } else { "" };
    let part = if covered < pending.additions as usize + pending.removals as usize {
        format!(" (the first {})", number(covered))
    } else {
        String::new()
    };
    format!(
        "{}; {what} wait for approval: {reasons}. Read status.pendingApproval, then{part}: kubectl annotate \
         --overwrite -n {namespace} chm {name} rollcall.dev/approve={}{again}",
        there(summary),
        pending.hash
    )
}

/// Describes why a plan needs approval; `removals` is the limit in force.
pub(crate) fn approval_reasons(reasons: &[ApprovalReason], removals: Tolerance) -> String {
    let limit = match removals {
        Tolerance::Count(count) => count.to_string(),
        Tolerance::Percent(percent) => format!("{percent}%"),
    };
    let reasons = reasons.iter().map(|reason| match reason {
        ApprovalReason::TooManyRemovals => format!("{reason} ({limit})"),
        reason => reason.to_string(),
    });
    reasons.collect::<Vec<_>>().join("; ")
}

/// Returns the message about a conflict with an older resource.
fn conflict(summary: &Summary) -> String {
    let mine = summary.spec.target.membership_type;
    if let Some(owner) = &summary.older_owner {
        return format!(
            "{}; {owner} is older and has prune: Authoritative for {mine} members of the channel too: no member is removed for this one; take \
             prune out of one of the two",
            there(summary)
        );
    }
    let (name, resource) = summary.type_conflicts.first().map_or(("", ""), |(name, resource)| (name, resource));
    let more = match summary.type_conflicts.len() {
        0 | 1 => String::new(),
        more => format!(" and {} more", number(more - 1)),
    };
    let other = mine.other();
    format!(
        "{}; {name}{more} declared with type {mine} here and {other} in {resource}, which is older: take them out of one of the two",
        there(summary)
    )
}

/// Returns the message about additions, at this many batches a second.
pub(super) fn adding(summary: &Summary, batch_rate: Option<f64>) -> String {
    let batches = summary.pending.div_ceil(MAX_BATCH);
    let mut message = there(summary);
    if let Some(rate) = batch_rate.filter(|rate| *rate > 0.0) {
        #[expect(clippy::cast_precision_loss, reason = "batches are far below 2^52")]
        let left = (batches as f64 / rate).ceil();
        let _ = write!(message, ", about {left} s left at {} a second", rate_of(rate));
    }
    message
}

/// Returns the reason and the message of a progress report. `batch_rate` is the number of batches a
/// second.
pub(super) fn progress(summary: &Summary, waiting: &Waiting, batch_rate: Option<f64>) -> (Reason, String) {
    let there = there(summary);
    let share = "share of the service's quota (see --quota-share)";
    match waiting {
        Waiting::Retry(error) => (Reason::Retrying, format!("{there}; {error}; the call is made again")),
        Waiting::Permit if summary.pending == 0 && summary.candidates > 0 => (Reason::Removing, removing(summary)),
        Waiting::Permit if summary.present > 0 => (Reason::Adding, adding(summary, batch_rate)),
        Waiting::Permit => (Reason::RateLimited, format!("{there}; waits for its {share}")),
        Waiting::Listing => {
            let message = format!("{there} when last seen; lists the channel, at the pace of its {share}");
            (Reason::RateLimited, message)
        }
    }
}

/// Returns what the user should do about a refused call.
pub(super) fn next_step(target: &Target, error: &CallError) -> String {
    error.advice(&target.bearer, target.membership_type)
}

/// Returns the message about a call that was refused as a whole.
pub(super) fn refused(summary: &Summary, error: &CallError) -> String {
    let next = next_step(&summary.spec.target, error);
    let last = if summary.present > 0 { format!("; {} when last seen", there(summary)) } else { String::new() };
    format!("{error}: {next}{last}; it is looked at again by itself now and then, and at once when asked")
}

fn there(summary: &Summary) -> String {
    format!("{} of {} present", number(summary.present), number(summary.desired))
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
pub(crate) fn number(n: usize) -> String {
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
    use crate::api::PendingApproval;
    use crate::engine::tests::cluster::StoredObject;
    use crate::engine::tests::fake::{FakeService, TestResource, engine, users};
    use crate::membership::record::Record;
    use crate::membership::spec::ValidSpec;

    fn found(present: usize, desired: usize, refused: &[(&str, usize)]) -> Summary {
        let settings = engine(&FakeService::default()).settings;
        let spec = TestResource::declaring(users(desired)).spec;
        let resource = StoredObject::of(spec).resource(&[]);
        let spec = Arc::new(ValidSpec::parse(&resource, &settings, Timestamp::UNIX_EPOCH).unwrap());
        let failed = refused.iter().map(|(_, count)| count).sum();
        Summary {
            spec,
            desired,
            present,
            pending: desired - present - failed,
            failed,
            errors: Vec::new(),
            omitted: 0,
            refused: refused.iter().map(|(code, count)| ((*code).to_owned(), *count)).collect(),
            transient: Vec::new(),
            undeclared: None,
            on_hold: 0,
            removal_error: None,
            candidates: 0,
            awaits_second_listing: false,
            blocked: None,
            record: Record::default(),
            type_conflicts: Vec::new(),
            older_owner: None,
            listed: None,
            interval: Duration::from_hours(1),
        }
    }

    #[tokio::test]
    async fn approval_message_names_reasons_and_command() {
        let mut found = found(88, 88, &[]);
        found.record.pending_approval = Some(PendingApproval {
            removals: 12,
            hash: "5c1e0f".to_owned(),
            reasons: vec![ApprovalReason::TooManyRemovals],
            members: (0..12).map(|n| format!("-user/u{n}")).collect(),
            ..PendingApproval::default()
        });
        insta::assert_snapshot!(outcome(Reason::ApprovalRequired, &found, "care/support"), @"88 of 88 present; 12 removals wait for approval: more removals in 24 hours than limits.removals (25%). Read status.pendingApproval, then: kubectl annotate --overwrite -n care chm support rollcall.dev/approve=5c1e0f");
    }

    #[tokio::test]
    async fn refusal_message_names_counts_codes_and_actions() {
        let found = found(117, 120, &[("Forbidden", 2), ("NotFound", 1)]);
        let message = outcome(Reason::MembersRefused, &found, "care/support");
        insta::assert_snapshot!(message, @"117 of 120 present, 3 refused (Forbidden ×2, NotFound ×1): see status.errors; Forbidden: check that the user exists in the app instance and is not banned from the channel; NotFound: check that the user exists in the app instance");
    }

    #[tokio::test]
    async fn progress_message_names_the_time_left() {
        let found = found(3_000, 10_000, &[]);
        insta::assert_snapshot!(adding(&found, Some(1.0)), @"3,000 of 10,000 present, about 70 s left at 1 batch a second");
        insta::assert_snapshot!(adding(&found, None), @"3,000 of 10,000 present");
    }
}
