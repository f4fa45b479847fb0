//! The sentences that describe a member's place in a channel.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::place::{Live, Place};
use crate::cli::shared::output::{format_time, plural};
use crate::cli::shared::resources::KnownResource;

/// The most resources of a channel that are named if none declares the member.
const MOST_NAMED: usize = 10;

/// Describes a member in one channel. Resources that do not declare the member are not described
/// here.
pub(in crate::cli) fn describe_place(place: &Place, known: &[KnownResource], now: Timestamp) -> Vec<String> {
    let id = place.channel.rsplit('/').next().unwrap_or_default();
    let name = place.member.rsplit_once("/user/").map_or_else(
        || place.member.rsplit_once("/bot/").map_or(place.member.clone(), |(_, id)| format!("bot/{id}")),
        |(_, id)| id.to_owned(),
    );
    let mut text = vec![format!("{name} in channel {id} ({})", place.channel)];
    for statement in &place.resources {
        let as_of =
            statement.as_of.map_or_else(String::new, |at| format!(", by its status of {}", format_time(at, now)));
        text.push(format!(
            "  {} ({}, prune: {:?}){as_of}",
            statement.resource, statement.membership_type, statement.prune
        ));
        text.extend(statement.declared.iter().map(|origin| format!("    declared in {origin}")));
        text.extend(
            statement.findings.iter().map(|finding| format!("    {}", finding.describe(&statement.resource, now))),
        );
    }
    if place.silent > 0 && !place.resources.is_empty() {
        let silent = plural(place.silent, "other resource does not mention", "other resources do not mention");
        text.push(format!("  {silent} the member: {}", others(place, known)));
    }
    text.extend(place.live.as_ref().map(|live| format!("  live: {}", describe_live(live, now))));
    text
}

fn others(place: &Place, known: &[KnownResource]) -> String {
    let mut resources = resources_of(place, known);
    resources.retain(|name| !place.resources.iter().any(|statement| statement.resource == *name));
    join_names(&resources)
}

/// Returns the resources that declare members of the channel.
pub(in crate::cli) fn resources_of(place: &Place, known: &[KnownResource]) -> Vec<String> {
    let about = known.iter().filter(|it| it.entry.channel().is_some_and(|it| it.as_str() == place.channel));
    about.map(|it| it.entry.resource()).collect()
}

/// Joins names of resources, up to [`MOST_NAMED`].
pub(in crate::cli) fn join_names(resources: &[String]) -> String {
    let more = resources.len().saturating_sub(MOST_NAMED);
    let first = resources[..resources.len() - more].join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}

/// Describes the service's answer.
fn describe_live(live: &Live, now: Timestamp) -> String {
    match live {
        Live::Out => "not in the channel".to_owned(),
        Live::Unknown { why } => format!("unknown: {why}"),
        Live::In { membership_type, invited_by, since, creator, moderator } => {
            // Writing to a String cannot fail.
            let mut text = "in the channel".to_owned();
            if let Some(membership_type) = membership_type {
                let _ = write!(text, " as {membership_type}");
            }
            if let Some(since) = since {
                let _ = write!(text, " since {}", format_time(*since, now));
            }
            if let Some(by) = invited_by {
                let _ = write!(text, ", added by {by}");
            }
            for (is, what) in [(creator, "; created the channel"), (moderator, "; a moderator")] {
                if *is {
                    text += what;
                }
            }
            text
        }
    }
}

/// Formats suggestions: `; perhaps a or b?`
pub(in crate::cli) fn suggestion(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; perhaps {}?", near.join(" or ")) }
}
