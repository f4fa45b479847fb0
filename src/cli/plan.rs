//! `rollcall plan`: what would happen if these manifests were applied?

mod before;
#[cfg(test)]
mod canned;
mod html;
mod json;
mod lists;
mod markdown;
mod shown;
mod text;
mod words;

use std::io::{self, BufWriter, Write as _, stdout};
use std::process::ExitCode;

use clap::ValueEnum;
use clap::builder::BoolishValueParser;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use self::before::BeforeArgs;
use super::permits::{Permits, granting};
use super::progress::Progress;
use super::service::ServiceArgs;
use super::{Failure, cluster, files};
use crate::chime::rate_limit::{QuotaShare, Rates};
use crate::engine::Engine;
use crate::engine::clock::Clock;
use crate::engine::settings::{RemovalSwitch, Settings};
use crate::offline::forecast;
use crate::offline::plan::Plan;
use crate::offline::scene::Scene;

/// The exit code by which `--detailed-exitcode` says that there is something to do.
const CHANGES: u8 = 2;

/// Say whom the operator would add and remove if these manifests were applied. Nothing is changed, neither channel nor cluster.
///
/// It looks at the channels, by the same engine as the operator, and compares. What was declared before decides who may be removed: that is
/// known --with-cluster, or by --state, or by --base; else removals are printed as "at most".
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(after_help = "Examples:
  rollcall plan -f channels/ --with-cluster
  kubectl kustomize overlays/production | rollcall plan -f - --state state.yaml
  rollcall plan -f channels/ --base main/channels/ -o json --detailed-exitcode")]
pub(super) struct Args {
    #[command(flatten)]
    files: files::Files,

    #[command(flatten)]
    before: BeforeArgs,

    #[command(flatten)]
    service: ServiceArgs,

    #[command(flatten)]
    permits: Permits,

    /// The share of the service's quotas that the operator uses: by it the time is reckoned that carrying out takes.
    #[arg(long, env = "ROLLCALL_OPERATOR_SHARE", value_name = "PERCENT", default_value_t = QuotaShare::default())]
    operator_share: QuotaShare,

    /// How to print the plan.
    #[arg(short, long, env = "ROLLCALL_OUTPUT", value_name = "FORMAT", value_enum, default_value_t = Output::Text)]
    output: Output,

    /// Exit with 2 if there is something to do, to approve, or in conflict; with 0 if there is not.
    #[arg(long, env = "ROLLCALL_DETAILED_EXITCODE", value_parser = BoolishValueParser::new())]
    detailed_exitcode: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people: what changes, long lists cut.
    Text,
    /// For programs: everything.
    Json,
    /// For a comment of a pull request: at most what fits one.
    Markdown,
    /// For a browser: one page with everything.
    Html,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    args.service.one_bearer_an_app_instance()?;
    let plan = cluster::calling(make(args))?;
    print(&plan, args.output).map_err(|error| Failure::of(format!("failed to print the plan: {error}")))?;
    if plan.is_partial() {
        let (errors, all) = (plan.totals.errors, plan.totals.resources);
        return Err(Failure::of(format!("the channels of {errors} of {all} resources could not be read")));
    }
    let changes = args.detailed_exitcode && plan.has_changes();
    Ok(if changes { ExitCode::from(CHANGES) } else { ExitCode::SUCCESS })
}

async fn make(args: &Args) -> Result<Plan, Failure> {
    let files = args.files.read()?;
    for warning in &files.warnings {
        eprintln!("warning: {warning}");
    }
    let origin = args.before.origin(&files, &args.files.namespace).await?;
    let (client, endpoint) = args.service.client(QuotaShare::BESIDE_OPERATOR).await?;
    let settings = Settings {
        bearers: args.service.chime_bearer.clone(),
        allow_bearer_override: args.permits.allow_bearer_override,
        resync_interval: Settings::RESYNC_INTERVAL,
        min_resync_interval: Settings::MIN_RESYNC_INTERVAL,
        read_only: false,
        removals: RemovalSwitch::new(|| true),
        max_removals_per_hour: 0,
        allow_authoritative: args.permits.allow_authoritative,
        former_bearers: args.permits.former_bearer.clone(),
        grants: granting(args.permits.grants()?.as_ref()),
        custom_endpoint: endpoint.clone(),
    };
    let now = Timestamp::now();
    let scene = Scene::new(&files, &origin, args.before.prune, &settings, now);
    // A plan never calls what changes anything, and could not.
    let engine = Engine::new(client.read_only(), settings, Clock::starting_at(now), CancellationToken::new());
    let rates = Rates { share: args.operator_share, ..Rates::default() };
    let progress = Progress::new("looked at", "channels");
    let mut plan = forecast::plan(&engine, &scene, &rates, |done, all| progress.set(done, all)).await;
    drop(progress);
    plan.remarks.extend(endpoint.map(|endpoint| format!("the service is {endpoint}, not AWS")));
    Ok(plan)
}

/// Prints a plan for people.
pub(super) fn print_text(plan: &Plan) -> Result<(), Failure> {
    print(plan, Output::Text).map_err(|error| Failure::of(format!("failed to print the plan: {error}")))
}

fn print(plan: &Plan, output: Output) -> io::Result<()> {
    let mut out = BufWriter::new(stdout().lock());
    let printed = match output {
        Output::Text => text::print(plan, &mut out),
        Output::Json => json::print(plan, &mut out),
        Output::Markdown => out.write_all(markdown::markdown(plan).as_bytes()),
        Output::Html => out.write_all(html::html(plan).as_bytes()),
    };
    match printed.and_then(|()| out.flush()) {
        // A reader that stops reading is none of our failures.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}
