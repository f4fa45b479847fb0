//! `rollcall why` explains why a user is in a channel or not.

use std::collections::BTreeSet;
use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;

use crate::api::MembershipType;
use crate::cli::shared::cluster::{self, ClusterArgs};
use crate::cli::shared::failure::Failure;
use crate::cli::shared::live_lookup::{LiveArgs, LiveService, resolve_members, search_channels};
use crate::cli::shared::member_lookup::{
    Place, describe_place, find_places, join_names, known_names, name_in_channel, near_names, resources_of, suggestion,
};
use crate::cli::shared::output::{OutputArgs, emit, join_lines, plural};
use crate::cli::shared::resources::{Entry, KnownResource, ResourceClient};
use crate::membership::arn::{ChannelArn, MemberArn, display_name};

/// Explain why a user is in a channel or not: the resources that declare the user, the presence in
/// the channel, and the obstacles.
///
/// The command reads the resources of all namespaces that you may list, or of --namespace.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall why alice
  rollcall why alice support
  rollcall why alice care/support --live
  rollcall why alice arn:aws:chime:us-east-1:123456789012:app-instance/1f0a/channel/support
  rollcall why bot/helper support -n care -o json")]
pub(in crate::cli) struct Args {
    /// The user: an id (alice), bot/<id> or an ARN; with --live and a channel also a display name
    /// (\"Alice Smith\").
    #[arg(value_name = "USER")]
    user: String,

    /// Show this channel only: the name of a resource that declares its members, its id, or its
    /// ARN.
    #[arg(value_name = "CHANNEL")]
    channel: Option<String>,

    #[command(flatten)]
    live: LiveArgs,

    #[command(flatten)]
    cluster: ClusterArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// The result of the command.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    user: String,
    at: Timestamp,
    /// The namespaces that were read.
    extent: String,
    resources_read: usize,
    places: Vec<Place>,
    /// Names that look like the user's.
    near: Vec<String>,
}

pub(in crate::cli) fn run(args: &Args) -> Result<ExitCode, Failure> {
    cluster::run_async(async {
        let mut client = ResourceClient::open(&args.cluster).await?;
        let by_arn = args.channel.as_deref().filter(|channel| channel.starts_with("arn:"));
        let by_arn = by_arn.map(ChannelArn::parse).transpose().map_err(Failure::of)?;
        let entries = client.list_all_namespaces(by_arn.as_ref().map(ChannelArn::as_str)).await?;
        let wanted = match (&args.channel, by_arn) {
            (None, _) => None,
            (Some(_), Some(arn)) => Some(BTreeSet::from([arn])),
            (Some(written), None) => Some(channels_named(&client, &entries, written)?),
        };
        let is_wanted = |channel: &ChannelArn| wanted.as_ref().is_none_or(|wanted| wanted.contains(channel));
        let entries: Vec<Entry> =
            entries.into_iter().filter(|entry| entry.channel().is_some_and(|channel| is_wanted(&channel))).collect();
        let known = client.with_sources(entries).await?;
        let service = args.live.service(known.iter().filter_map(|it| it.entry.bearer())).await?;
        let user = resolve_user(&args.user, service.as_ref(), wanted.as_ref(), &known).await?;
        let now = Timestamp::now();
        let mut places =
            find_places(&known, &user, now, |channel| wanted.as_ref().is_some_and(|it| it.contains(channel)))
                .map_err(Failure::of)?;
        for channel in wanted.iter().flatten().filter(|channel| !known.iter().any(|it| is_of_channel(it, channel))) {
            // No resource declares members of this channel.
            let Some(name) = name_in_channel(channel, &user).map_err(Failure::of)? else { continue };
            let member = channel.member_named(&name).as_str().to_owned();
            let (channel, resources) = (channel.as_str().to_owned(), Vec::new());
            places.push(Place { channel, member, live: None, resources, silent: 0 });
        }
        if let Some(service) = &service {
            if wanted.is_some() {
                describe_places(service, &mut places).await;
            } else {
                let members = resolve_members(&user, &known, Some(service))?;
                let looked = search_channels(service, &members, &known, &mut places).await;
                looked.failures.iter().for_each(|failure| eprintln!("{failure}"));
            }
        }
        let asked = display_name(user.rsplit_once("/user/").map_or(&user, |(_, id)| id)).to_owned();
        let found = places.iter().flat_map(|place| &place.resources).any(|statement| !statement.declared.is_empty());
        let names = if found { BTreeSet::new() } else { known_names(&known) };
        let answer = Answer {
            near: near_names(&asked, names.iter().map(String::as_str)),
            user,
            at: now,
            extent: client.extent(),
            resources_read: known.len(),
            places,
        };
        emit(&answer, args.output.output, |answer| render_text(answer, &known, now))?;
        Ok(ExitCode::SUCCESS)
    })
}

fn is_of_channel(known: &KnownResource, channel: &ChannelArn) -> bool {
    known.entry.channel().as_ref() == Some(channel)
}

/// Returns the channels that match the name of a resource or the id of a channel.
fn channels_named(client: &ResourceClient, entries: &[Entry], written: &str) -> Result<BTreeSet<ChannelArn>, Failure> {
    let place = client.parse_name(written).ok();
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
    let near = near_names(written.rsplit('/').next().unwrap_or(written), known);
    Err(Failure::of(format!(
        "no resource of {} has the name {written} or declares members of a channel {written}{}; give the channel's ARN to ask about it anyway",
        client.extent(),
        suggestion(&near)
    )))
}

/// Returns the user that the argument names. A display name is looked up in the given channels if
/// the service may be asked.
async fn resolve_user(
    written: &str,
    service: Option<&LiveService>,
    channels: Option<&BTreeSet<ChannelArn>>,
    known: &[KnownResource],
) -> Result<String, Failure> {
    let some_channel = channels.and_then(|it| it.first().cloned()).or_else(|| known.first()?.entry.channel());
    let wrong = some_channel.as_ref().map(|channel| name_in_channel(channel, written)).transpose().err();
    let declared = known_names(known);
    let is_known = wrong.is_none() && (written.starts_with("arn:") || declared.contains(display_name(written)));
    let (Some(service), Some(channels), false) = (service, channels, is_known) else {
        return match wrong {
            None => Ok(written.to_owned()),
            Some(error) => Err(Failure::of(format!("{error}; to look up a display name, give --live and a CHANNEL"))),
        };
    };
    let mut found = BTreeSet::new();
    for channel in channels {
        for membership_type in [MembershipType::Default, MembershipType::Hidden] {
            // A bearer that may not list HIDDEN members still sees the others.
            let Ok(members) = service.list_members(channel, membership_type).await else { continue };
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
        ([], Some(error)) => {
            Err(Failure::of(format!("{error}; no member of the channel has this display name either")))
        }
        (several, _) => Err(Failure::of(format!("{written} may be {}: give the ARN", several.join(" or ")))),
    }
}

/// Asks the service about the user in each place.
async fn describe_places(service: &LiveService, places: &mut [Place]) {
    for place in places {
        let (Ok(channel), Ok(member)) = (ChannelArn::parse(&place.channel), MemberArn::parse(&place.member)) else {
            continue;
        };
        place.live = Some(service.describe_member(&channel, &member, false).await);
    }
}

fn render_text(answer: &Answer, known: &[KnownResource], now: Timestamp) -> String {
    let mut text = Vec::new();
    if answer.places.is_empty() {
        text.push(format!(
            "no resource declares or mentions {}; {} of {} {} read{}",
            answer.user,
            plural(answer.resources_read, "resource", "resources"),
            answer.extent,
            if answer.resources_read == 1 { "was" } else { "were" },
            suggestion(&answer.near)
        ));
    }
    for place in &answer.places {
        if !text.is_empty() {
            text.push(String::new());
        }
        text.extend(describe_place(place, known, now));
        if place.resources.iter().all(|statement| statement.declared.is_empty()) {
            text.push(format!("  {}", describe_missing_declaration(place, known, &answer.near)));
        }
    }
    join_lines(text)
}

fn describe_missing_declaration(place: &Place, known: &[KnownResource], near: &[String]) -> String {
    let resources = resources_of(place, known);
    if resources.is_empty() {
        return "no resource declares members of this channel".to_owned();
    }
    let declare = if resources.len() == 1 { "resource declares" } else { "resources declare" };
    format!(
        "no resource declares the member; {} {declare} members of the channel: {}{}",
        resources.len(),
        join_names(&resources),
        suggestion(near)
    )
}
