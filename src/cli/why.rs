//! `rollcall why`: why is somebody in a channel, or not?

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;

use super::Failure;
use super::cluster::{self, ClusterArgs};
use super::live::{Asked, LiveArgs};
use super::offboard;
use super::output::{Format, OutputArgs, counted, lines, print, print_json, when};
use super::person::{Live, Place, near, places, within};
use super::resources::{Desk, Entry, Known};
use crate::api::MembershipType;
use crate::engine::declared;
use crate::membership::arn::{ChannelArn, MemberArn, short};

/// So many resources of a channel are named where none declares the person.
const MOST_NAMED: usize = 10;

/// Say why somebody is in a channel or not: who declares them and where, whether they are there, and what stands in the way.
///
/// Looks at the resources of all namespaces that you may list, or of --namespace.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall why alice
  rollcall why alice support
  rollcall why alice care/support --live
  rollcall why alice arn:aws:chime:us-east-1:123456789012:app-instance/1f0a/channel/support
  rollcall why bot/helper support -n care -o json")]
pub(super) struct Args {
    /// Who: an id (alice), bot/<id> or an ARN; with --live and a channel also a display name (\"Alice Smith\").
    #[arg(value_name = "USER")]
    user: String,

    /// Only this channel: the name of a resource about it, its id, or its ARN.
    #[arg(value_name = "CHANNEL")]
    channel: Option<String>,

    #[command(flatten)]
    live: LiveArgs,

    #[command(flatten)]
    cluster: ClusterArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// What is told.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    user: String,
    at: Timestamp,
    /// Which namespaces were looked at.
    extent: String,
    resources_read: usize,
    places: Vec<Place>,
    /// Names that look like this one.
    near: Vec<String>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    cluster::calling(async {
        let mut desk = Desk::open(&args.cluster).await?;
        let by_arn = args.channel.as_deref().filter(|channel| channel.starts_with("arn:"));
        let by_arn = by_arn.map(ChannelArn::parse).transpose().map_err(Failure::of)?;
        let entries = desk.everywhere(by_arn.as_ref().map(ChannelArn::as_str)).await?;
        let wanted = match (&args.channel, by_arn) {
            (None, _) => None,
            (Some(_), Some(arn)) => Some(BTreeSet::from([arn])),
            (Some(written), None) => Some(channels_named(&desk, &entries, written)?),
        };
        let is_wanted = |channel: &ChannelArn| wanted.as_ref().is_none_or(|wanted| wanted.contains(channel));
        let entries: Vec<Entry> =
            entries.into_iter().filter(|entry| channel_of(entry).is_some_and(|channel| is_wanted(&channel))).collect();
        let known = desk.with_sources(entries).await?;
        let service = args.live.service(known.iter().filter_map(|it| it.entry.status()?.bearer.as_deref())).await?;
        let user = who(&args.user, service.as_ref(), wanted.as_ref(), &known).await?;
        let now = Timestamp::now();
        let mut places = places(&known, &user, now, |channel| wanted.as_ref().is_some_and(|it| it.contains(channel)))
            .map_err(Failure::of)?;
        for channel in wanted.iter().flatten().filter(|channel| !known.iter().any(|it| is_about(it, channel))) {
            // Nobody declares it.
            let Some(name) = within(channel, &user).map_err(Failure::of)? else { continue };
            let member = channel.member_named(&name).as_str().to_owned();
            let (channel, resources) = (channel.as_str().to_owned(), Vec::new());
            places.push(Place { channel, member, live: None, resources, silent: 0 });
        }
        if let Some(service) = &service {
            if wanted.is_some() {
                ask(service, &mut places).await;
            } else {
                let members = offboard::members(&user, &known, Some(service))?;
                let looked = offboard::look(service, &members, &known, &mut places).await;
                looked.failures.iter().for_each(|failure| eprintln!("{failure}"));
            }
        }
        let asked = short(user.rsplit_once("/user/").map_or(&user, |(_, id)| id)).to_owned();
        let found = places.iter().flat_map(|place| &place.resources).any(|standing| !standing.declared.is_empty());
        let names = if found { BTreeSet::new() } else { names(&known) };
        let answer = Answer {
            near: near(&asked, names.iter().map(String::as_str)),
            user,
            at: now,
            extent: desk.extent(),
            resources_read: known.len(),
            places,
        };
        match args.output.output {
            Format::Json => print_json(&answer)?,
            Format::Text => {
                print(&told(&answer, &known, now));
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

pub(super) fn channel_of(entry: &Entry) -> Option<ChannelArn> {
    ChannelArn::parse(&entry.spec()?.channel_arn).ok()
}

fn is_about(known: &Known, channel: &ChannelArn) -> bool {
    channel_of(&known.entry).as_ref() == Some(channel)
}

/// The channels that somebody means by the name of a resource or by an id.
fn channels_named(desk: &Desk, entries: &[Entry], written: &str) -> Result<BTreeSet<ChannelArn>, Failure> {
    let place = desk.place(written).ok();
    let named = entries.iter().filter(|entry| place == Some((entry.namespace(), entry.name()))).filter_map(channel_of);
    let by_id = entries.iter().filter_map(channel_of).filter(|channel| channel.id() == written);
    let channels: BTreeSet<ChannelArn> = named.chain(by_id).collect();
    if !channels.is_empty() {
        return Ok(channels);
    }
    let resources: Vec<String> = entries.iter().map(Entry::resource).collect();
    let ids: Vec<ChannelArn> = entries.iter().filter_map(channel_of).collect();
    let known =
        resources.iter().map(|name| name.rsplit('/').next().unwrap_or(name)).chain(ids.iter().map(ChannelArn::id));
    let near = near(written.rsplit('/').next().unwrap_or(written), known);
    Err(Failure::of(format!(
        "no resource of {} is named {written} or is about a channel {written}{}; give the channel's ARN to ask all the same",
        desk.extent(),
        perhaps(&near)
    )))
}

/// `; perhaps a or b?`
pub(super) fn perhaps(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; perhaps {}?", near.join(" or ")) }
}

/// Whom somebody means. A display name is looked for in the channels in question, where the service may be asked.
async fn who(
    written: &str,
    service: Option<&Asked>,
    channels: Option<&BTreeSet<ChannelArn>>,
    known: &[Known],
) -> Result<String, Failure> {
    let some_channel = channels.and_then(|it| it.first().cloned()).or_else(|| channel_of(&known.first()?.entry));
    let wrong = some_channel.as_ref().map(|channel| within(channel, written)).transpose().err();
    let declared = names(known);
    let is_known = wrong.is_none() && (written.starts_with("arn:") || declared.contains(short(written)));
    let (Some(service), Some(channels), false) = (service, channels, is_known) else {
        return match wrong {
            None => Ok(written.to_owned()),
            Some(error) => Err(Failure::of(format!("{error}; a display name is looked for with --live and a CHANNEL"))),
        };
    };
    let mut found = BTreeSet::new();
    for channel in channels {
        for membership_type in [MembershipType::Default, MembershipType::Hidden] {
            // Who may not list HIDDEN members still learns of the others.
            let Ok(members) = service.members(channel, membership_type).await else { continue };
            let named = members.into_iter().filter(|it| it.name.as_deref() == Some(written));
            found.extend(named.map(|it| it.arn));
        }
    }
    let found: Vec<String> = found.into_iter().collect();
    match (found.as_slice(), wrong) {
        ([one], _) => {
            eprintln!("{written} is {one}");
            Ok(one.clone())
        }
        ([], None) => Ok(written.to_owned()),
        ([], Some(error)) => Err(Failure::of(format!("{error}; nobody in the channel is shown by this name either"))),
        (several, _) => Err(Failure::of(format!("{written} may be {}: give the ARN", several.join(" or ")))),
    }
}

/// Asks the service about the person in each place.
async fn ask(service: &Asked, places: &mut [Place]) {
    for place in places {
        let (Ok(channel), Ok(member)) = (ChannelArn::parse(&place.channel), MemberArn::parse(&place.member)) else {
            continue;
        };
        place.live = Some(service.look(&channel, &member, false).await);
    }
}

/// Everybody whom the resources name in any way, by their short names.
pub(super) fn names(known: &[Known]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for Known { entry, sources } in known {
        let (Some(spec), Some(channel)) = (entry.spec(), channel_of(entry)) else { continue };
        if let Ok(declared) = declared(&channel, spec, sources, None, Timestamp::MIN) {
            names.extend(declared.roster.names().iter().map(|name| short(name).to_owned()));
        }
        let Some(status) = entry.status() else { continue };
        let unlisted = status.unlisted.iter().flat_map(|unlisted| &unlisted.sample).map(|it| &it.member_arn);
        let arns = status.errors.iter().map(|error| &error.member_arn).chain(unlisted);
        names.extend(arns.filter_map(|arn| channel.name_of(arn)).map(|name| short(name).to_owned()));
    }
    names
}

fn told(answer: &Answer, known: &[Known], now: Timestamp) -> String {
    let mut text = Vec::new();
    if answer.places.is_empty() {
        text.push(format!(
            "no resource declares {} or says anything of them; {} of {} {} read{}",
            answer.user,
            counted(answer.resources_read, "resource", "resources"),
            answer.extent,
            if answer.resources_read == 1 { "was" } else { "were" },
            perhaps(&answer.near)
        ));
    }
    for place in &answer.places {
        if !text.is_empty() {
            text.push(String::new());
        }
        text.extend(of_place(place, known, now));
        if place.resources.iter().all(|standing| standing.declared.is_empty()) {
            text.push(format!("  {}", nobody_declares(place, known, &answer.near)));
        }
    }
    lines(text)
}

/// What is said of a person in one channel, without who does not declare them.
pub(super) fn of_place(place: &Place, known: &[Known], now: Timestamp) -> Vec<String> {
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
    let about = known.iter().filter(|it| channel_of(&it.entry).is_some_and(|it| it.as_str() == place.channel));
    let resources: Vec<String> = about
        .map(|it| it.entry.resource())
        .filter(|name| !place.resources.iter().any(|standing| standing.resource == *name))
        .collect();
    named(&resources)
}

fn named(resources: &[String]) -> String {
    let more = resources.len().saturating_sub(MOST_NAMED);
    let first = resources[..resources.len() - more].join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}

fn nobody_declares(place: &Place, known: &[Known], near: &[String]) -> String {
    let about = known.iter().filter(|it| channel_of(&it.entry).is_some_and(|it| it.as_str() == place.channel));
    let resources: Vec<String> = about.map(|it| it.entry.resource()).collect();
    if resources.is_empty() {
        return "no resource declares them, as none is about this channel".to_owned();
    }
    let declare = if resources.len() == 1 { "resource declares" } else { "resources declare" };
    format!(
        "nobody declares them; {} {declare} members of the channel: {}{}",
        resources.len(),
        named(&resources),
        perhaps(near)
    )
}

/// What the service says, in words.
pub(super) fn said(live: &Live, now: Timestamp) -> String {
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
