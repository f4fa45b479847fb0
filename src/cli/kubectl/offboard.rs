//! `rollcall offboard` checks that a user is in no channel, and names the obstacles.

use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;

use crate::cli::shared::cluster::{self, ClusterArgs};
use crate::cli::shared::failure::Failure;
use crate::cli::shared::live_lookup::{LiveArgs, LiveSearch, resolve_members, search_channels};
use crate::cli::shared::member_lookup::{
    Live, Place, RemovalObstacle, Statement, describe_place, find_places, known_names, near_names, suggestion,
};
use crate::cli::shared::output::{OutputArgs, emit, join_lines, plural};
use crate::cli::shared::resources::{KnownResource, ResourceClient};
use crate::membership::arn::display_name;

/// The exit code for a user that is still in a channel, or declared.
const STILL_IN: u8 = 2;

/// Show the channels of a user, the resources that declare the user, and the obstacles to the
/// removal. Changes nothing.
///
/// The exit code is 0, and a receipt is written, if the service was asked (--live) and shows the
/// user in no channel, and no resource declares the user. It is 2 if the user is in a channel or
/// declared. It is 1 if the answer could not be found. The command reads the resources of all
/// namespaces that you may list, or of --namespace.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall offboard alice
  rollcall offboard alice --live --receipt alice.json
  rollcall offboard arn:aws:chime:us-east-1:123456789012:app-instance/1f0a/user/alice --live -o json")]
pub(in crate::cli) struct Args {
    /// The user: an id (alice), bot/<id> or an ARN.
    #[arg(value_name = "USER")]
    user: String,

    /// Write the receipt to this file, as JSON. Nothing is written while the user is still in a
    /// channel.
    #[arg(long, env = "ROLLCALL_RECEIPT", value_name = "FILE")]
    receipt: Option<PathBuf>,

    #[command(flatten)]
    live: LiveArgs,

    #[command(flatten)]
    cluster: ClusterArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// The result; with `gone: true` it is the receipt.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// True if the user was seen in no channel, and no resource declares the user.
    gone: bool,
    /// The user as given on the command line.
    user: String,
    /// The ARNs of the user, one for each app instance.
    members: Vec<String>,
    /// The time of the last call of the service, or of the reading of the statuses.
    at: Timestamp,
    /// The namespaces that were read.
    extent: String,
    resources_read: usize,
    /// The questions to the service and its failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    looked: Option<LiveSearch>,
    channels: Vec<ChannelReport>,
    rollcall: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChannelReport {
    #[serde(flatten)]
    place: Place,
    #[serde(rename = "keeps")]
    obstacles: Vec<RemovalObstacle>,
}

pub(in crate::cli) fn run(args: &Args) -> Result<ExitCode, Failure> {
    cluster::run_async(async {
        let mut client = ResourceClient::open(&args.cluster).await?;
        let entries = client.list_all_namespaces(None).await?;
        let known = client.with_sources(entries).await?;
        let service = args.live.service(known.iter().filter_map(|it| it.entry.bearer())).await?;
        let members = resolve_members(&args.user, &known, service.as_ref())?;
        let began = Timestamp::now();
        let mut places = find_places(&known, &args.user, began, |_| false).map_err(Failure::of)?;
        let looked = match &service {
            None => None,
            Some(service) => Some(search_channels(service, &members, &known, &mut places).await),
        };
        let report = Report {
            gone: looked.as_ref().is_some_and(|looked| looked.failures.is_empty()) && places.iter().all(is_offboarded),
            user: args.user.clone(),
            members: members.iter().map(|member| member.as_str().to_owned()).collect(),
            at: Timestamp::now(),
            extent: client.extent(),
            resources_read: known.len(),
            looked,
            channels: places
                .into_iter()
                .map(|place| ChannelReport {
                    obstacles: if is_offboarded(&place) { Vec::new() } else { place.obstacles() },
                    place,
                })
                .collect(),
            rollcall: env!("CARGO_PKG_VERSION"),
        };
        emit(&report, args.output.output, |report| render_text(report, &known))?;
        finish(args, &report, &known)
    })
}

fn finish(args: &Args, report: &Report, known: &[KnownResource]) -> Result<ExitCode, Failure> {
    let Some(looked) = &report.looked else {
        return Err(Failure::of(format!(
            "statuses alone cannot prove that {} is in no channel: ask the service with --live",
            args.user
        )));
    };
    if !report.gone {
        if report
            .channels
            .iter()
            .all(|channel| is_offboarded(&channel.place) || matches!(channel.place.live, Some(Live::Unknown { .. })))
        {
            let why = looked.failures.first().map_or("", String::as_str);
            return Err(Failure::of(format!("failed to find out whether {} is in no channel: {why}", args.user)));
        }
        return Ok(ExitCode::from(STILL_IN));
    }
    let asked = args.user.rsplit('/').next().unwrap_or_default();
    let alike = known_names(known);
    let alike = near_names(display_name(asked), alike.iter().map(String::as_str));
    if !alike.is_empty() {
        eprintln!("{} was found in no channel{}", args.user, suggestion(&alike));
    }
    if let Some(path) = &args.receipt {
        let text = serde_json::to_string_pretty(report).map_err(Failure::of)? + "\n";
        std::fs::write(path, text)
            .map_err(|error| Failure::of(format!("failed to write the receipt {}: {error}", path.display())))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns true if the service showed that the user is not in the channel, and no resource declares
/// the user for it.
fn is_offboarded(place: &Place) -> bool {
    place.live == Some(Live::Out) && !place.resources.iter().any(Statement::declares)
}

fn render_text(report: &Report, known: &[KnownResource]) -> String {
    let mut text = Vec::new();
    for channel in &report.channels {
        text.extend(describe_place(&channel.place, known, report.at));
        text.extend(channel.obstacles.iter().map(|obstacle| format!("  - {obstacle}")));
        text.push(String::new());
    }
    let live = |which: fn(&Live) -> bool| {
        report.channels.iter().filter(|channel| channel.place.live.as_ref().is_some_and(which)).count()
    };
    let inside = live(|live| matches!(live, Live::In { .. }));
    let declared =
        report.channels.iter().filter(|channel| channel.place.resources.iter().any(Statement::declares)).count();
    let user = &report.user;
    text.push(match &report.looked {
        None => format!(
            "{user}: declared for {}, by the resources of {} and their statuses",
            plural(declared, "channel", "channels"),
            report.extent
        ),
        Some(looked) => {
            let by = if report.gone { "seen in no channel, and declared by no resource" } else { "not gone" };
            format!(
                "{user}: {by}; in {}, declared for {}; searched the list of all channels of the user and {} that {} of {} name{}",
                plural(inside, "channel", "channels"),
                crate::engine::number(declared),
                plural(looked.described.len(), "channel", "channels"),
                plural(report.resources_read, "resource", "resources"),
                report.extent,
                if looked.failures.is_empty() { "" } else { "; some calls failed" }
            )
        }
    });
    if let Some(looked) = &report.looked {
        text.extend(looked.failures.iter().map(|failure| format!("  failed: {failure}")));
    }
    join_lines(text)
}
