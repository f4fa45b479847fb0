//! The report at the end of `rollcall apply`.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use crate::api::metadata::annotation;
use crate::api::{APPROVE, ChannelMembershipStatus, Interval, Reason};
use crate::cli::shared::failure::Failure;
use crate::membership::arn::display_name;
use crate::offline::local_cluster::LocalCluster;
use crate::offline::object::Object;
use crate::offline::scheduler::{End, ready_reason};

/// The most refused members that are shown for a resource.
const MOST_ERRORS: usize = 10;

/// The most unfinished resources that are named.
const MOST_LEFT: usize = 5;

/// Prints the result of each resource. Fails unless all are as declared.
pub(super) async fn report(
    cluster: &LocalCluster,
    resources: &[String],
    end: End,
    approved: &[String],
    timeout: Interval,
) -> Result<(), Failure> {
    if end == End::Broken {
        let failure = cluster.failure().await.map(|failure| failure.to_string());
        let why = failure.unwrap_or_else(|| "the state could not be written".to_owned());
        let next = "the next run finds out what was done since the last write";
        return Err(Failure(format!("{why}; {next}")));
    }
    let (mut text, mut left) = (String::new(), Vec::new());
    for resource in resources {
        let (line, is_done) = describe_result(cluster, resource);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{resource}: {line}");
        if !is_done {
            left.push(resource.as_str());
        }
    }
    // A reader that stops reading is no failure.
    let _ = io::stdout().write_all(text.as_bytes());
    for hash in approved {
        let names_plan = |object: &Object| annotation(&object.metadata, APPROVE).is_some_and(|value| value == hash);
        if !cluster.objects().iter().any(|object| names_plan(object)) {
            eprintln!("warning: no plan {hash} waited for approval");
        }
    }
    let all = resources.len();
    let names = left.iter().take(MOST_LEFT).copied().collect::<Vec<_>>().join(", ");
    let more = left.len().saturating_sub(MOST_LEFT);
    let names = if more > 0 { format!("{names} and {more} more") } else { names };
    match end {
        End::Stopped => Err(Failure::of("stopped: the changes so far are recorded; run it again to continue")),
        End::OutOfTime => Err(Failure(format!(
            "not done within {}: {} of {all} resources are left ({names}); run it again to continue",
            timeout,
            left.len()
        ))),
        _ if left.is_empty() => Ok(()),
        _ => Err(Failure(format!("{} of {all} resources are not as declared ({names})", left.len()))),
    }
}

/// Returns the result of a resource, and true if nothing is left to do.
fn describe_result(cluster: &LocalCluster, resource: &str) -> (String, bool) {
    let Some(object) = cluster.get(resource) else {
        let told = cluster.last_event(resource);
        let note = told.as_ref().map_or("its members stay in the channel", |event| &event.note);
        return (format!("deleted: {note}"), told.is_none_or(|event| !event.warning));
    };
    let Some(reason) = ready_reason(&object) else { return ("not reconciled yet".to_owned(), false) };
    let status = object.status.as_ref();
    let ready = status.and_then(|status| status.conditions.first());
    let (message, is_ready) = ready.map_or(("", false), |ready| (&*ready.message, ready.status == "True"));
    let mut line = format!("{}: {}", reason.as_str(), without_operator_advice(message));
    let pending = status.and_then(|status| status.pending_approval.as_ref());
    if let Some(pending) = pending.filter(|_| reason == Reason::ApprovalRequired) {
        let _ = write!(line, ". To approve it, run the command again with --approve {}", pending.hash);
    }
    if let Some(status) = status {
        errors(&object, status, &mut line);
    }
    (line, is_ready || reason == Reason::Suspended)
}

/// Removes the sentences of a message that speak of the operator, which does not run here.
fn without_operator_advice(message: &str) -> &str {
    let message = message.split_once(". Read status.pendingApproval").map_or(message, |(before, _)| before);
    message.trim_end_matches("; it is looked at again by itself now and then, and at once when asked")
}

fn errors(object: &Object, status: &ChannelMembershipStatus, line: &mut String) {
    let instance = object.channel().split_once("/channel/").map_or("", |(instance, _)| instance);
    for error in status.errors.iter().take(MOST_ERRORS) {
        let name =
            error.member_arn.strip_prefix(instance).map_or(&*error.member_arn, |name| name.trim_start_matches('/'));
        let _ = write!(line, "\n  {}: {}: {}", display_name(name), error.error_code, error.error_message);
    }
    let more = status.errors.len().saturating_sub(MOST_ERRORS) + status.errors_omitted.unwrap_or_default() as usize;
    if more > 0 {
        let _ = write!(line, "\n  and {more} more");
    }
}
