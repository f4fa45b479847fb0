//! `rollcall offboard`: is somebody out of every channel, and what keeps them?

use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;

use super::Failure;
use super::cluster::{self, ClusterArgs};
use super::live::{LiveArgs, Looked, look, members};
use super::output::{Format, OutputArgs, counted, lines, print, print_json};
use super::person::{Keep, Live, Place, Standing, names, near, of_place, perhaps, places};
use super::resources::{Desk, Known};
use crate::membership::arn::display_name;

/// Exit code: they are still in a channel, or declared.
const STILL_IN: u8 = 2;

/// Say which channels somebody is in, who declares them where, and what keeps them there. Changes nothing.
///
/// Exit code 0, and a receipt, only when the service was asked (--live), shows them in no channel, and no resource declares them; 2 when
/// they are in one or declared; 1 when that could not be found out. Looks at the resources of all namespaces that you may list, or of
/// --namespace.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall offboard alice
  rollcall offboard alice --live --receipt alice.json
  rollcall offboard arn:aws:chime:us-east-1:123456789012:app-instance/1f0a/user/alice --live -o json")]
pub(super) struct Args {
    /// Who: an id (alice), bot/<id> or an ARN.
    #[arg(value_name = "USER")]
    user: String,

    /// Where to write the receipt, as JSON; nothing is written while they are still in a channel.
    #[arg(long, env = "ROLLCALL_RECEIPT", value_name = "FILE")]
    receipt: Option<PathBuf>,

    #[command(flatten)]
    live: LiveArgs,

    #[command(flatten)]
    cluster: ClusterArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// What is told, and with `gone: true` the receipt.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// Whether they were seen in no channel, and no resource declares them.
    gone: bool,
    /// As asked for.
    user: String,
    /// The ARNs that this is about, one an app instance.
    members: Vec<String>,
    /// When the service was asked last, or else when the statuses were read.
    at: Timestamp,
    /// Which resources were read.
    extent: String,
    resources_read: usize,
    /// How the service was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    looked: Option<Looked>,
    channels: Vec<Kept>,
    rollcall: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    #[serde(flatten)]
    place: Place,
    keeps: Vec<Keep>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    cluster::calling(async {
        let mut desk = Desk::open(&args.cluster).await?;
        let entries = desk.everywhere(None).await?;
        let known = desk.with_sources(entries).await?;
        let service = args.live.service(known.iter().filter_map(|it| it.entry.bearer())).await?;
        let members = members(&args.user, &known, service.as_ref())?;
        let began = Timestamp::now();
        let mut places = places(&known, &args.user, began, |_| false).map_err(Failure::of)?;
        let looked = match &service {
            None => None,
            Some(service) => Some(look(service, &members, &known, &mut places).await),
        };
        let report = Report {
            gone: looked.as_ref().is_some_and(|looked| looked.failures.is_empty()) && places.iter().all(is_out),
            user: args.user.clone(),
            members: members.iter().map(|member| member.as_str().to_owned()).collect(),
            at: Timestamp::now(),
            extent: desk.extent(),
            resources_read: known.len(),
            looked,
            channels: places
                .into_iter()
                .map(|place| Kept { keeps: if is_out(&place) { Vec::new() } else { place.keeps() }, place })
                .collect(),
            rollcall: env!("CARGO_PKG_VERSION"),
        };
        match args.output.output {
            Format::Json => print_json(&report)?,
            Format::Text => {
                print(&told(&report, &known));
            }
        }
        verdict(args, &report, &known)
    })
}

fn verdict(args: &Args, report: &Report, known: &[Known]) -> Result<ExitCode, Failure> {
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
            .all(|kept| is_out(&kept.place) || matches!(kept.place.live, Some(Live::Unknown { .. })))
        {
            let why = looked.failures.first().map_or("", String::as_str);
            return Err(Failure::of(format!("failed to find out whether {} is in no channel: {why}", args.user)));
        }
        return Ok(ExitCode::from(STILL_IN));
    }
    let asked = args.user.rsplit('/').next().unwrap_or_default();
    let alike = names(known);
    let alike = near(display_name(asked), alike.iter().map(String::as_str));
    if !alike.is_empty() {
        eprintln!("{} is nowhere{}", args.user, perhaps(&alike));
    }
    if let Some(path) = &args.receipt {
        let text = serde_json::to_string_pretty(report).map_err(Failure::of)? + "\n";
        std::fs::write(path, text)
            .map_err(|error| Failure::of(format!("failed to write the receipt {}: {error}", path.display())))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the service showed that they are not in the channel, and no resource declares them for it.
fn is_out(place: &Place) -> bool {
    place.live == Some(Live::Out) && !place.resources.iter().any(Standing::declares)
}

fn told(report: &Report, known: &[Known]) -> String {
    let mut text = Vec::new();
    for kept in &report.channels {
        text.extend(of_place(&kept.place, known, report.at));
        text.extend(kept.keeps.iter().map(|keep| format!("  - {keep}")));
        text.push(String::new());
    }
    let live = |which: fn(&Live) -> bool| {
        report.channels.iter().filter(|kept| kept.place.live.as_ref().is_some_and(which)).count()
    };
    let inside = live(|live| matches!(live, Live::In { .. }));
    let declared = report.channels.iter().filter(|kept| kept.place.resources.iter().any(Standing::declares)).count();
    let user = &report.user;
    text.push(match &report.looked {
        None => format!(
            "{user}: declared for {}, by the resources of {} and their statuses",
            counted(declared, "channel", "channels"),
            report.extent
        ),
        Some(looked) => {
            let by = if report.gone { "seen in no channel, and declared by no resource" } else { "not gone" };
            format!(
                "{user}: {by}; in {}, declared for {}; asked for all their channels and about {} that {} of {} name{}",
                counted(inside, "channel", "channels"),
                crate::engine::number(declared),
                counted(looked.described.len(), "channel", "channels"),
                counted(report.resources_read, "resource", "resources"),
                report.extent,
                if looked.failures.is_empty() { "" } else { "; not all of that was answered" }
            )
        }
    });
    if let Some(looked) = &report.looked {
        text.extend(looked.failures.iter().map(|failure| format!("  failed: {failure}")));
    }
    lines(text)
}
