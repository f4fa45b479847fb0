//! `rollcall run` starts the operator, and stops it on a signal.

mod endpoints;
mod flags;
mod leader;
mod removals;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::Handle;

pub(in crate::cli) use self::flags::Args;
use crate::chime::rate_limit::QuotaShare;
use crate::cli::shared::cluster;
use crate::cli::shared::failure::Failure;
use crate::cli::shared::switch::Switch;
use crate::controller::{self, Cluster, ControllerMetrics, Scope};
use crate::engine::Engine;
use crate::engine::clock::Clock;
use crate::engine::settings::Settings;
use crate::ops::lease::Leadership;
use crate::ops::traces::Traces;
use crate::ops::{logs, stop};

/// The longest time that a stop takes, without the last export of traces. It is less than the 30 s
/// that a kubelet gives, and more than a call of the service and a status write take.
const STOP: Duration = Duration::from_secs(22);

pub(in crate::cli) fn run(args: &Args) -> Result<(), Failure> {
    args.service.check_bearers()?;
    cluster::run_async(async {
        let traces = Traces::from_environment(&Handle::current()).map_err(Failure::of)?;
        logs::init_logging(args.log_format, traces.as_ref()).map_err(Failure::of)?;
        let end = operate(args).await;
        if let Some(traces) = traces {
            traces.flush().await;
        }
        end
    })
}

async fn operate(args: &Args) -> Result<(), Failure> {
    let cluster = cluster::client().await?;
    let (client, endpoint) = args.service.client(QuotaShare::default()).await?;
    let stop = stop::on_signal().map_err(Failure::of)?;
    let (policy, grants) = (&args.policy, args.policy.grants()?);
    let settings = Settings {
        resync_interval: args.resync_interval.duration().max(args.min_resync_interval.duration()),
        min_resync_interval: args.min_resync_interval.duration(),
        read_only: args.read_only,
        removals: args.removals.switch(),
        max_removals_per_hour: args.max_removals_per_hour,
        ..policy.settings(&args.service.chime_bearer, grants.as_ref(), endpoint.as_deref())
    };
    let elector = leader::elector(args, &cluster)?;
    let leadership = elector.as_ref().map_or_else(Leadership::always, |elector| elector.leadership().clone());
    let leads = leadership.clone();
    let client = client.only_while(move || leads.is_held());
    let clock = Clock::starting_at(Timestamp::now());
    let (engine, controller_metrics) = (Arc::<OnceLock<_>>::default(), Arc::<ControllerMetrics>::default());
    endpoints::endpoints(args, &client, &engine, &controller_metrics, &leadership)
        .open_sockets()
        .map_err(Failure::of)?
        .serve();
    let scope = Scope::of(&args.watch_namespace);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        bearers = ?args.service.chime_bearer,
        former_bearers = ?policy.former_bearer,
        scope = ?scope,
        read_only = args.read_only,
        removals = %args.removals,
        max_removals_per_hour = args.max_removals_per_hour,
        allow_authoritative = policy.allow_authoritative,
        members_from = args.members_from == Switch::On,
        endpoint = endpoint.as_deref().unwrap_or("AWS"),
        "rollcall is running"
    );
    if args.service.chime_bearer.is_empty() && !policy.allow_bearer_override {
        tracing::warn!("no --chime-bearer is set: every resource will say BearerRejected");
    }
    if let Some(file) = &grants {
        let (file, controller_metrics) = (Arc::clone(file), Arc::clone(&controller_metrics));
        tokio::spawn(async move { file.watch_changes(|| controller_metrics.enqueue_all()).await });
    } else {
        tracing::info!(
            "no --grants: every watched namespace may use every channel of the bearers, with any prune but Authoritative"
        );
    }
    if let Some(elector) = &elector {
        tokio::select! {
            () = elector.acquire() => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
    // The engine is created after the election: from here on, no other process writes.
    let engine = Arc::clone(engine.get_or_init(|| Arc::new(Engine::new(client, settings, clock, stop.clone()))));
    let cluster = Arc::new(Cluster::new(cluster, scope, args.members_from == Switch::On).while_leader(leadership));
    let kind = Arc::clone(&cluster);
    tokio::spawn(async move { controller::check_crd(&kind).await.log() });
    let too_late = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP).await;
    };
    tokio::select! {
        () = controller::run(cluster, engine, &controller_metrics, stop.clone()) => tracing::info!("rollcall has stopped"),
        lost = leader::lost(elector.as_ref()) => return Err(Failure::of(lost)),
        () = too_late => tracing::warn!("stopped with unwritten statuses: the API server did not accept them within {} s", STOP.as_secs()),
    }
    if let Some(elector) = &elector {
        elector.release_lease().await;
    }
    Ok(())
}
