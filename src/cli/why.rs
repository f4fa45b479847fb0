//! `rollcall why`: why is somebody in a channel, or not?

use std::collections::BTreeSet;
use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;

use super::Failure;
use super::cluster::{self, ClusterArgs};
use super::live::{Asked, LiveArgs, look, members};
use super::output::{Format, OutputArgs, counted, lines, print, print_json};
use super::person::{Place, about, named, names, near, of_place, perhaps, places, within};
use super::resources::{Desk, Entry, Known};
use crate::api::MembershipType;
use crate::membership::arn::{ChannelArn, MemberArn, display_name};

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
            entries.into_iter().filter(|entry| entry.channel().is_some_and(|channel| is_wanted(&channel))).collect();
        let known = desk.with_sources(entries).await?;
        let service = args.live.service(known.iter().filter_map(|it| it.entry.bearer())).await?;
        let user = who(&args.user, service.as_ref(), wanted.as_ref(), &known).await?;
        let now = Timestamp::now();
        let mut places = places(&known, &user, now, |channel| wanted.as_ref().is_some_and(|it| it.contains(channel)))
            .map_err(Failure::of)?;
        for channel in wanted.iter().flatten().filter(|channel| !known.iter().any(|it| is_about(it, channel))) {
            // No resource declares it.
            let Some(name) = within(channel, &user).map_err(Failure::of)? else { continue };
            let member = channel.member_named(&name).as_str().to_owned();
            let (channel, resources) = (channel.as_str().to_owned(), Vec::new());
            places.push(Place { channel, member, live: None, resources, silent: 0 });
        }
        if let Some(service) = &service {
            if wanted.is_some() {
                ask(service, &mut places).await;
            } else {
                let members = members(&user, &known, Some(service))?;
                let looked = look(service, &members, &known, &mut places).await;
                looked.failures.iter().for_each(|failure| eprintln!("{failure}"));
            }
        }
        let asked = display_name(user.rsplit_once("/user/").map_or(&user, |(_, id)| id)).to_owned();
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

fn is_about(known: &Known, channel: &ChannelArn) -> bool {
    known.entry.channel().as_ref() == Some(channel)
}

/// The channels that somebody means by the name of a resource or by an id.
fn channels_named(desk: &Desk, entries: &[Entry], written: &str) -> Result<BTreeSet<ChannelArn>, Failure> {
    let place = desk.place(written).ok();
    let named =
        entries.iter().filter(|entry| place == Some((entry.namespace(), entry.name()))).filter_map(Entry::channel);
    let by_id = entries.iter().filter_map(Entry::channel).filter(|channel| channel.id() == written);
    let channels: BTreeSet<ChannelArn> = named.chain(by_id).collect();
    if !channels.is_empty() {
        return Ok(channels);
    }
    let resources: Vec<String> = entries.iter().map(Entry::resource).collect();
    let ids: Vec<ChannelArn> = entries.iter().filter_map(Entry::channel).collect();
    let known =
        resources.iter().map(|name| name.rsplit('/').next().unwrap_or(name)).chain(ids.iter().map(ChannelArn::id));
    let near = near(written.rsplit('/').next().unwrap_or(written), known);
    Err(Failure::of(format!(
        "no resource of {} is named {written} or is about a channel {written}{}; give the channel's ARN to ask all the same",
        desk.extent(),
        perhaps(&near)
    )))
}

/// Whom somebody means. A display name is looked for in the channels in question, where the service may be asked.
async fn who(
    written: &str,
    service: Option<&Asked>,
    channels: Option<&BTreeSet<ChannelArn>>,
    known: &[Known],
) -> Result<String, Failure> {
    let some_channel = channels.and_then(|it| it.first().cloned()).or_else(|| known.first()?.entry.channel());
    let wrong = some_channel.as_ref().map(|channel| within(channel, written)).transpose().err();
    let declared = names(known);
    let is_known = wrong.is_none() && (written.starts_with("arn:") || declared.contains(display_name(written)));
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

fn nobody_declares(place: &Place, known: &[Known], near: &[String]) -> String {
    let resources = about(place, known);
    if resources.is_empty() {
        return "no resource declares them, as none is about this channel".to_owned();
    }
    let declare = if resources.len() == 1 { "resource declares" } else { "resources declare" };
    format!(
        "no resource declares them; {} {declare} members of the channel: {}{}",
        resources.len(),
        named(&resources),
        perhaps(near)
    )
}
