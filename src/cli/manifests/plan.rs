//! `rollcall plan` shows the changes that manifests would make.

mod escaping;
#[cfg(test)]
mod fixtures;
mod html;
mod json;
mod lists;
mod markdown;
mod phrases;
mod prior_state;
mod text;

use std::io::{self, BufWriter, Write as _, stdout};
use std::process::ExitCode;

use clap::ValueEnum;
use clap::builder::BoolishValueParser;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use self::prior_state::PriorStateArgs;
use crate::chime::rate_limit::{QuotaShare, Rates};
use crate::cli::shared::failure::Failure;
use crate::cli::shared::policy_flags::PolicyArgs;
use crate::cli::shared::progress::Progress;
use crate::cli::shared::service_flags::ServiceArgs;
use crate::cli::shared::{cluster, manifest_flags};
use crate::engine::Engine;
use crate::engine::clock::Clock;
use crate::offline::change_set::ChangeSet;
use crate::offline::plan::Plan;
use crate::offline::planner;

/// The exit code of `--detailed-exitcode` for a plan with changes.
const CHANGES: u8 = 2;

/// Show the members that the operator would add and remove if these manifests were applied. No
/// channel and no cluster is changed.
///
/// The command lists the channels with the engine of the operator. Removals depend on the members
/// that were declared before: give --with-cluster, --state or --base. Without one of them, removals
/// are printed as "at most".
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(after_help = "Examples:
  rollcall plan -f channels/ --with-cluster
  kubectl kustomize overlays/production | rollcall plan -f - --state state.yaml
  rollcall plan -f channels/ --base main/channels/ -o json --detailed-exitcode")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    manifests: manifest_flags::ManifestArgs,

    #[command(flatten)]
    before: PriorStateArgs,

    #[command(flatten)]
    service: ServiceArgs,

    #[command(flatten)]
    policy: PolicyArgs,

    /// The share of the service's quotas that the operator uses. The estimated time depends on it.
    #[arg(long, env = "ROLLCALL_OPERATOR_SHARE", value_name = "PERCENT", default_value_t = QuotaShare::default())]
    operator_share: QuotaShare,

    /// The format of the plan.
    #[arg(short, long, env = "ROLLCALL_OUTPUT", value_name = "FORMAT", value_enum, default_value_t = Output::Text)]
    output: Output,

    /// Exit with 2 if the plan has changes, approvals or conflicts; with 0 if it has none.
    #[arg(long, env = "ROLLCALL_DETAILED_EXITCODE", value_parser = BoolishValueParser::new())]
    detailed_exitcode: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people: the changes, with long lists cut.
    Text,
    /// For programs: all data.
    Json,
    /// For a comment of a pull request: cut to the size of a comment.
    Markdown,
    /// For a browser: one page with all data.
    Html,
}

pub(in crate::cli) fn run(args: &Args) -> Result<ExitCode, Failure> {
    args.service.check_bearers()?;
    let plan = cluster::run_async(make_plan(args))?;
    print(&plan, args.output).map_err(|error| Failure::of(format!("failed to print the plan: {error}")))?;
    if plan.is_partial() {
        let (errors, all) = (plan.totals.errors, plan.totals.resources);
        return Err(Failure::of(format!("the channels of {errors} of {all} resources could not be read")));
    }
    let changes = args.detailed_exitcode && plan.has_changes();
    Ok(if changes { ExitCode::from(CHANGES) } else { ExitCode::SUCCESS })
}

async fn make_plan(args: &Args) -> Result<Plan, Failure> {
    let files = args.manifests.read()?;
    for warning in &files.warnings {
        eprintln!("warning: {warning}");
    }
    let origin = args.before.origin(&files, &args.manifests.namespace).await?;
    let (client, endpoint) = args.service.client(QuotaShare::BESIDE_OPERATOR).await?;
    let grants = args.policy.grants()?;
    let settings = args.policy.settings(&args.service.chime_bearer, grants.as_ref(), endpoint.as_deref());
    let now = Timestamp::now();
    let change_set = ChangeSet::new(&files, &origin, args.before.prune, &settings, now);
    // A plan makes no call that changes data; the client refuses such calls.
    let engine = Engine::new(client.read_only(), settings, Clock::starting_at(now), CancellationToken::new());
    let rates = Rates { share: args.operator_share, ..Rates::default() };
    let progress = Progress::new("listed", "channels");
    let mut plan = planner::plan(&engine, &change_set, &rates, |done, all| progress.set(done, all)).await;
    drop(progress);
    plan.remarks.extend(endpoint.map(|endpoint| format!("the service is {endpoint}, not AWS")));
    Ok(plan)
}

/// Prints a plan as text.
pub(in crate::cli) fn print_text(plan: &Plan) -> Result<(), Failure> {
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
        // A reader that stops reading is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}
