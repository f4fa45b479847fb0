//! What became of each resource, and is all as declared?

use std::fmt::Write as _;
use std::io::{self, Write as _};

use super::super::Failure;
use super::Args;
use crate::api::metadata::annotation;
use crate::api::{APPROVE, ChannelMembershipStatus, Reason};
use crate::membership::arn::display_name;
use crate::offline::object::Object;
use crate::offline::passes::{End, reason};
use crate::offline::world::World;

/// So many refused members are told of a resource.
const MOST_ERRORS: usize = 10;

/// So many resources that are left are named.
const MOST_LEFT: usize = 5;

/// Tells what became of each resource. Fails unless all are as declared.
pub(super) async fn tell(world: &World, resources: &[String], end: End, args: &Args) -> Result<(), Failure> {
    if end == End::Broken {
        let failure = world.failure().await.map(|failure| failure.to_string());
        let why = failure.unwrap_or_else(|| "the state could not be written".to_owned());
        let next = "what was done since it was last written is found out by the next run";
        return Err(Failure(format!("{why}; {next}")));
    }
    let (mut text, mut left) = (String::new(), Vec::new());
    for resource in resources {
        let (line, is_done) = told(world, resource);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{resource}: {line}");
        if !is_done {
            left.push(resource.as_str());
        }
    }
    // A reader that stops reading is none of our failures.
    let _ = io::stdout().write_all(text.as_bytes());
    for hash in &args.approve {
        let approves = |object: &Object| annotation(&object.metadata, APPROVE).is_some_and(|approved| approved == hash);
        if !world.objects().iter().any(|object| approves(object)) {
            eprintln!("warning: no plan {hash} waited for approval");
        }
    }
    let all = resources.len();
    let names = left.iter().take(MOST_LEFT).copied().collect::<Vec<_>>().join(", ");
    let more = left.len().saturating_sub(MOST_LEFT);
    let names = if more > 0 { format!("{names} and {more} more") } else { names };
    match end {
        End::Stopped => Err(Failure::of("stopped: what was done is recorded; run it again to go on")),
        End::OutOfTime => Err(Failure(format!(
            "not done within {}: {} of {all} resources are left ({names}); run it again to go on",
            args.timeout,
            left.len()
        ))),
        _ if left.is_empty() => Ok(()),
        _ => Err(Failure(format!("{} of {all} resources are not as declared ({names})", left.len()))),
    }
}

/// What became of a resource, and whether nothing is left to do about it.
fn told(world: &World, resource: &str) -> (String, bool) {
    let Some(object) = world.get(resource) else {
        let told = world.told(resource);
        let note = told.as_ref().map_or("its members stay in the channel", |event| &event.note);
        return (format!("deleted: {note}"), told.is_none_or(|event| !event.warning));
    };
    let Some(reason) = reason(&object) else { return ("not looked at yet".to_owned(), false) };
    let status = object.status.as_ref();
    let ready = status.and_then(|status| status.conditions.first());
    let (message, is_ready) = ready.map_or(("", false), |ready| (&*ready.message, ready.status == "True"));
    let mut line = format!("{}: {}", reason.as_str(), for_whoever_waits(message));
    let pending = status.and_then(|status| status.pending_approval.as_ref());
    if let Some(pending) = pending.filter(|_| reason == Reason::ApprovalRequired) {
        let _ = write!(line, ". To let that through: run it again with --approve {}", pending.hash);
    }
    if let Some(status) = status {
        errors(&object, status, &mut line);
    }
    (line, is_ready || reason == Reason::Suspended)
}

/// What a message says of the operator, which is not there.
fn for_whoever_waits(message: &str) -> &str {
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
