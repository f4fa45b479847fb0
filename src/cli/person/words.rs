//! How is it told where somebody is?

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{Live, Place};
use crate::cli::output::{counted, when};
use crate::cli::resources::Known;

/// So many resources of a channel are named where none declares the person.
const MOST_NAMED: usize = 10;

/// What is said of a person in one channel, without who does not declare them.
pub(in crate::cli) fn of_place(place: &Place, known: &[Known], now: Timestamp) -> Vec<String> {
    let id = place.channel.rsplit('/').next().unwrap_or_default();
    let name = place.member.rsplit_once("/user/").map_or_else(
        || place.member.rsplit_once("/bot/").map_or(place.member.clone(), |(_, id)| format!("bot/{id}")),
        |(_, id)| id.to_owned(),
    );
    let mut text = vec![format!("{name} in channel {id} ({})", place.channel)];
    for standing in &place.resources {
        let as_of = standing.as_of.map_or_else(String::new, |at| format!(", by its status of {}", when(at, now)));
        text.push(format!(
            "  {} ({}, prune: {:?}){as_of}",
            standing.resource, standing.membership_type, standing.prune
        ));
        text.extend(standing.declared.iter().map(|origin| format!("    declared in {origin}")));
        text.extend(standing.findings.iter().map(|finding| format!("    {}", finding.words(&standing.resource, now))));
    }
    if place.silent > 0 && !place.resources.is_empty() {
        let silent = counted(place.silent, "other resource says", "other resources say");
        text.push(format!("  {silent} nothing of them: {}", others(place, known)));
    }
    text.extend(place.live.as_ref().map(|live| format!("  live: {}", said(live, now))));
    text
}

fn others(place: &Place, known: &[Known]) -> String {
    let mut resources = about(place, known);
    resources.retain(|name| !place.resources.iter().any(|standing| standing.resource == *name));
    named(&resources)
}

/// The resources that are about the channel.
pub(in crate::cli) fn about(place: &Place, known: &[Known]) -> Vec<String> {
    let about = known.iter().filter(|it| it.entry.channel().is_some_and(|it| it.as_str() == place.channel));
    about.map(|it| it.entry.resource()).collect()
}

/// Resources, as far as there is room for.
pub(in crate::cli) fn named(resources: &[String]) -> String {
    let more = resources.len().saturating_sub(MOST_NAMED);
    let first = resources[..resources.len() - more].join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}

/// What the service says, in words.
fn said(live: &Live, now: Timestamp) -> String {
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
                let _ = write!(text, " since {}", when(*since, now));
            }
            if let Some(by) = invited_by {
                let _ = write!(text, ", added by {by}");
            }
            for (is, what) in [(creator, "; made the channel"), (moderator, "; a moderator")] {
                if *is {
                    text += what;
                }
            }
            text
        }
    }
}

/// `; perhaps a or b?`
pub(in crate::cli) fn perhaps(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; perhaps {}?", near.join(" or ")) }
}
