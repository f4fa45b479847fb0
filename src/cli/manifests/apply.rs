//! `rollcall apply` reconciles manifests without a cluster.

mod confirmation;
mod outcome;

use std::convert::Infallible;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clap::builder::BoolishValueParser;
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::confirmation::Confirmation;
use super::plan::print_text;
use crate::api::Interval;
use crate::chime::client::Client;
use crate::chime::rate_limit::QuotaShare;
use crate::chime::sdk::Sdk;
use crate::cli::shared::failure::Failure;
use crate::cli::shared::policy_flags::PolicyArgs;
use crate::cli::shared::progress::Progress;
use crate::cli::shared::service_flags::ServiceArgs;
use crate::cli::shared::{cluster, manifest_flags};
use crate::engine::clock::Clock;
use crate::engine::settings::{RemovalSwitch, Settings};
use crate::engine::{Engine, EngineCounters};
use crate::manifests::{self, Input, Manifests};
use crate::offline::change_set::{ChangeSet, Origin};
use crate::offline::local_cluster::LocalCluster;
use crate::offline::plan::Plan;
use crate::offline::scheduler::{ApplyOptions, End, Scheduler};
use crate::offline::state_file::StateFile;
use crate::offline::{admission, planner};
use crate::ops::{logs, stop};

/// A resync interval longer than any run: the command ends when all resources are done.
const NO_RESYNC: Duration = Duration::from_hours(24);

/// The interval between two drawings of the progress bar.
const DRAWN_EVERY: Duration = Duration::from_millis(200);

/// Reconcile manifests without a cluster: add and remove members until every channel is as
/// declared.
///
/// The command shows the plan, asks before members are removed, and works with the engine of the
/// operator. It keeps the members that it declared in --state; a later run needs the state to
/// remove them. Without a state, no members are removed. After an interruption, run it again: it
/// continues. RUST_LOG=info logs each member that is added or removed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall apply -f channels/ --state state.yaml
  rollcall apply -f channels/ --state state.yaml --dry-run
  rollcall apply -f channels/ --state state.yaml --prune --yes
  rollcall apply -f channels/ --state state.yaml --approve 5c1e0f2a --yes")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    manifests: manifest_flags::ManifestArgs,

    /// Keep the declared members in this file, which is created if it is missing:
    /// ChannelMemberships as kubectl prints them.
    #[arg(long, env = "ROLLCALL_STATE", value_name = "FILE")]
    state: Option<PathBuf>,

    /// Delete resources that are in the state and not among the files; deletionPolicy: Delete
    /// removes their members too.
    #[arg(long, env = "ROLLCALL_PRUNE", requires = "state", value_parser = BoolishValueParser::new())]
    prune: bool,

    /// Remove members without asking.
    #[arg(short, long, env = "ROLLCALL_YES", value_parser = BoolishValueParser::new())]
    yes: bool,

    /// Show the plan and change nothing.
    #[arg(long, env = "ROLLCALL_DRY_RUN", value_parser = BoolishValueParser::new())]
    dry_run: bool,

    /// Approve the plan with this hash; repeatable.
    #[arg(long, env = "ROLLCALL_APPROVE", value_name = "HASH", value_delimiter = ',')]
    approve: Vec<String>,

    /// Stop after this time. Transient failures are retried until then.
    #[arg(long, env = "ROLLCALL_TIMEOUT", value_name = "DURATION", default_value = "30m")]
    timeout: Interval,

    #[command(flatten)]
    service: ServiceArgs,

    #[command(flatten)]
    policy: PolicyArgs,
}

pub(in crate::cli) fn run(args: &Args) -> Result<ExitCode, Failure> {
    args.service.check_bearers()?;
    if std::env::var_os("RUST_LOG").is_some_and(|filter| !filter.is_empty()) {
        logs::init_logging(logs::LogFormat::Auto, None).map_err(Failure::of)?;
    }
    cluster::run_async(apply(args)).map(|()| ExitCode::SUCCESS)
}

async fn apply(args: &Args) -> Result<(), Failure> {
    let stop = stop::on_signal().map_err(Failure::of)?;
    let mut files = args.manifests.read()?;
    for warning in &files.warnings {
        eprintln!("warning: {warning}");
    }
    let (file, origin) = read_prior_state(args, &mut files)?;
    let (client, endpoint) = args.service.client(QuotaShare::BESIDE_OPERATOR).await?;
    let confirmation = Arc::new(Confirmation::default());
    let settings = settings(args, endpoint.as_deref(), &confirmation)?;
    let now = Timestamp::now();
    let mut change_set = ChangeSet::new(&files, &origin, args.prune, &settings, now);
    admission::admit(&mut change_set, &args.approve, now);
    note_kept_resources(&change_set);
    let planned = plan(&client, &settings, &change_set, endpoint.as_deref());
    let plan = tokio::select! {
        plan = planned => plan,
        () = stop.cancelled() => return Err(stopped_before()),
    };
    print_text(&plan)?;
    if plan.resources.iter().any(|resource| resource.pending_approval.is_some()) {
        eprintln!("note: to approve a plan that waits for approval, give --approve and its hash");
    }
    if args.dry_run {
        return Ok(());
    }
    let asked = confirmation.ask(&plan, &args.approve, args.yes);
    tokio::select! {
        asked = asked => asked?,
        () = stop.cancelled() => return Err(stopped_before()),
    }
    let resources: Vec<String> = change_set.affected().map(|member| member.object.full_name().to_owned()).collect();
    let local_cluster = LocalCluster::new(change_set, file);
    let end = match local_cluster.begin().await {
        Ok(()) => {
            run_reconciles(args, Runner { client, settings, confirmation, stop }, &local_cluster, &resources, &plan)
                .await
        }
        Err(_) => End::Broken,
    };
    outcome::report(&local_cluster, &resources, end, &args.approve, args.timeout).await
}

fn stopped_before() -> Failure {
    Failure::of("stopped before anything was changed")
}

/// Returns the state file, and the resources as they were before.
fn read_prior_state(args: &Args, files: &mut Manifests) -> Result<(Option<StateFile>, Origin), Failure> {
    let Some(path) = &args.state else {
        if admission::disable_removals(files) {
            eprintln!("note: without --state the earlier declarations are unknown, so no members are removed");
        }
        return Ok((None, Origin::Unknown));
    };
    let file = if args.dry_run {
        StateFile::exists(path).map_err(Failure::of)?.then_some(None)
    } else {
        Some(Some(StateFile::open(path).map_err(Failure::of)?))
    };
    let Some(file) = file else { return Ok((None, Origin::State(Manifests::default()))) };
    let refused = |problems: Vec<manifests::Problem>| manifest_flags::report_problems(&problems);
    let input = [Input::Path(path.clone())];
    let mut state = manifests::read_state(&input, &args.manifests.namespace).map_err(refused)?;
    admission::undelete(files, &mut state);
    let problems = manifests::check_changes(&state, files);
    if problems.is_empty() { Ok((file, Origin::State(state))) } else { Err(refused(problems)) }
}

fn settings(args: &Args, endpoint: Option<&str>, confirmation: &Arc<Confirmation>) -> Result<Settings, Failure> {
    let confirmation = Arc::clone(confirmation);
    let grants = args.policy.grants()?;
    Ok(Settings {
        resync_interval: NO_RESYNC,
        min_resync_interval: NO_RESYNC,
        removals: RemovalSwitch::new(move || confirmation.is_given()),
        ..args.policy.settings(&args.service.chime_bearer, grants.as_ref(), endpoint)
    })
}

/// Prints a note about resources in the state that are not among the files. They still declare
/// their members.
fn note_kept_resources(change_set: &ChangeSet) {
    let others: Vec<&str> =
        change_set.new.iter().filter(|(_, member)| member.change.is_none()).map(|(name, _)| &**name).collect();
    if let Some(first) = others.first() {
        let (are, more) = match others.len() {
            1 => (format!("{first} is"), "it still declares its members"),
            count => (format!("{first} and {} more are", count - 1), "they still declare their members"),
        };
        eprintln!("note: {are} in the state and not among the files: {more}; --prune deletes what is not among them");
    }
}

async fn plan(client: &Client<Sdk>, settings: &Settings, change_set: &ChangeSet, endpoint: Option<&str>) -> Plan {
    let clock = Clock::starting_at(Timestamp::now());
    let engine = Engine::new(client.clone().read_only(), settings.clone(), clock, CancellationToken::new());
    let progress = Progress::new("listed", "channels");
    let rates = client.rate_limiter().rates();
    let mut plan = planner::plan(&engine, change_set, rates, |done, all| progress.set(done, all)).await;
    plan.remarks.extend(endpoint.map(|endpoint| format!("the service is {endpoint}, not AWS")));
    plan
}

/// The parts that reconciles need.
struct Runner {
    client: Client<Sdk>,
    settings: Settings,
    confirmation: Arc<Confirmation>,
    stop: CancellationToken,
}

async fn run_reconciles(
    args: &Args,
    with: Runner,
    local_cluster: &Arc<LocalCluster>,
    resources: &[String],
    plan: &Plan,
) -> End {
    let Runner { client, settings, confirmation, stop } = with;
    let shutdown = CancellationToken::new();
    let clock = Clock::starting_at(Timestamp::now());
    let engine = Arc::new(Engine::new(client, settings, clock, shutdown.clone()));
    let options = ApplyOptions { approved: args.approve.clone(), allow_removals: confirmation.is_given() };
    let scheduler = Scheduler::new(Arc::clone(&engine), Arc::clone(local_cluster), resources, options);
    let progress = Progress::new("changed", "members");
    let at_rest = scheduler.at_rest();
    let deadline = Instant::now() + args.timeout.duration();
    let goes_on = draw_progress(&progress, engine.counters(), &at_rest, resources.len(), plan);
    tokio::select! {
        end = scheduler.run(deadline, &stop, &shutdown, |store| store) => end,
        never = goes_on => match never {},
    }
}

/// Draws the progress until it is dropped.
async fn draw_progress(
    progress: &Progress,
    tally: &EngineCounters,
    at_rest: &AtomicUsize,
    resources: usize,
    plan: &Plan,
) -> Infallible {
    let totals = plan.totals;
    loop {
        let done = usize::try_from(tally.added() + tally.removed()).unwrap_or(usize::MAX);
        // Members that wait may be added on top of the plan's totals.
        progress.set(done, done.max(totals.add + totals.remove));
        let rest = at_rest.load(Ordering::Relaxed);
        let (added, removed) = (tally.added(), tally.removed());
        progress
            .say(&format!("(+{added}/{} -{removed}/{}, {rest}/{resources} resources done)", totals.add, totals.remove));
        tokio::time::sleep(DRAWN_EVERY).await;
    }
}
