//! `rollcall run`: how does the operator start and stop?

mod leader;
mod pages;
mod removals;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::BoolishValueParser;
use jiff::Timestamp;
use tokio::runtime::Handle;

use self::removals::Removals;
use super::Failure;
use super::cluster::{self, namespace};
use super::permits::{Permits, granting};
use super::service::ServiceArgs;
use crate::api::Interval;
use crate::chime::rate_limit::QuotaShare;
use crate::controller::{self, Cluster, Scope, Vitals};
use crate::engine::Engine;
use crate::engine::clock::Clock;
use crate::engine::settings::Settings;
use crate::ops::lease::Leadership;
use crate::ops::serve::ListenAddress;
use crate::ops::traces::Traces;
use crate::ops::{logs, stop};

/// A stop takes at most this and the traces' last words: less than the 30 s that a kubelet gives, more than a call of the service and a
/// status write.
const STOP: Duration = Duration::from_secs(22);

/// Run the operator: keep channels as ChannelMembership resources declare them.
///
/// The cluster is that of KUBECONFIG, else of ~/.kube/config, else the one it runs in. AWS credentials are found by the SDK's usual chain;
/// AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING names another service than AWS, such as `rollcall simulate`. RUST_LOG sets what is
/// logged. Repeatable flags are comma-separated in their variables.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall run --chime-bearer arn:aws:chime:us-east-1:123456789012:app-instance/1f0a/user/rollcall
  rollcall run --grants /etc/rollcall/grants.yaml --leader-elect --removals=off")]
pub(super) struct Args {
    #[command(flatten)]
    service: ServiceArgs,

    #[command(flatten)]
    permits: Permits,

    /// Whether members may be removed: on, off, or a file that holds on or off and is read before each removal.
    #[arg(long, env = "ROLLCALL_REMOVALS", value_name = "on|off|FILE", default_value = "on")]
    removals: Removals,

    /// Members removed in an hour at most, from all channels together; 0 = no limit.
    #[arg(long, env = "ROLLCALL_MAX_REMOVALS_PER_HOUR", value_name = "MEMBERS", default_value_t = 0)]
    max_removals_per_hour: u32,

    /// Change no channel: every resource is as with mode: Observe.
    #[arg(long, env = "ROLLCALL_READ_ONLY", value_parser = BoolishValueParser::new())]
    read_only: bool,

    /// Whether ConfigMaps of spec.membersFrom are read and watched.
    #[arg(long, env = "ROLLCALL_MEMBERS_FROM", value_name = "on|off", default_value = "on")]
    members_from: Switch,

    /// Watch this namespace only; repeatable. Default: all.
    #[arg(long, env = "ROLLCALL_WATCH_NAMESPACE", value_name = "NAMESPACE", value_delimiter = ',', value_parser = namespace)]
    watch_namespace: Vec<String>,

    /// How often drift is looked for, where a resource does not say.
    #[arg(long, env = "ROLLCALL_RESYNC_INTERVAL", value_name = "DURATION", default_value = "1h")]
    resync_interval: Interval,

    /// The shortest interval that a resource can have.
    #[arg(long, env = "ROLLCALL_MIN_RESYNC_INTERVAL", value_name = "DURATION", default_value = "10s")]
    min_resync_interval: Interval,

    /// Where /metrics is told, as ip:port or :port; nowhere unless given.
    #[arg(long, env = "ROLLCALL_METRICS_ADDRESS", value_name = "ADDRESS")]
    metrics_address: Option<ListenAddress>,

    /// Whether /metrics has a gauge for each resource.
    #[arg(long, env = "ROLLCALL_METRICS_PER_RESOURCE", value_name = "on|off", default_value = "on")]
    metrics_per_resource: Switch,

    /// Where /healthz and /readyz are told, as ip:port or :port; nowhere unless given.
    #[arg(long, env = "ROLLCALL_HEALTH_ADDRESS", value_name = "ADDRESS")]
    health_address: Option<ListenAddress>,

    /// Wait until no other process leads, by a Lease: several may run, and one carries out the resources.
    #[arg(long, env = "ROLLCALL_LEADER_ELECT", value_parser = BoolishValueParser::new())]
    leader_elect: bool,

    /// Where that Lease is. Default: the namespace of the pod.
    #[arg(long, env = "ROLLCALL_LEASE_NAMESPACE", value_name = "NAMESPACE", value_parser = namespace)]
    lease_namespace: Option<String>,

    /// Its name: operators that are to run side by side have different ones.
    #[arg(long, env = "ROLLCALL_LEASE_NAME", value_name = "NAME", default_value = "rollcall", value_parser = namespace)]
    lease_name: String,

    /// A leader that was killed is followed after this; one that cannot renew it stops after two thirds.
    #[arg(long, env = "ROLLCALL_LEASE_DURATION", value_name = "DURATION", default_value = "15s", value_parser = lease_duration)]
    lease_duration: Interval,

    /// How log lines look.
    #[arg(long, env = "ROLLCALL_LOG_FORMAT", value_name = "FORMAT", default_value = "auto")]
    log_format: logs::LogFormat,
}

/// Whether something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Switch {
    On,
    Off,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    args.service.one_bearer_an_app_instance()?;
    cluster::calling(async {
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
    let (permits, grants) = (&args.permits, args.permits.grants()?);
    let settings = Settings {
        bearers: args.service.chime_bearer.clone(),
        allow_bearer_override: permits.allow_bearer_override,
        resync_interval: args.resync_interval.duration().max(args.min_resync_interval.duration()),
        min_resync_interval: args.min_resync_interval.duration(),
        read_only: args.read_only,
        removals: args.removals.switch(),
        max_removals_per_hour: args.max_removals_per_hour,
        allow_authoritative: permits.allow_authoritative,
        former_bearers: permits.former_bearer.clone(),
        grants: granting(grants.as_ref()),
        custom_endpoint: endpoint.clone(),
    };
    let elector = leader::elector(args, &cluster)?;
    let leadership = elector.as_ref().map_or_else(Leadership::always, |elector| elector.leadership().clone());
    let leads = leadership.clone();
    let client = client.only_while(move || leads.is_held());
    let clock = Clock::starting_at(Timestamp::now());
    let (engine, vitals) = (Arc::<OnceLock<_>>::default(), Arc::<Vitals>::default());
    pages::endpoints(args, &client, &engine, &vitals, &leadership).open_sockets().map_err(Failure::of)?.serve();
    let scope = Scope::of(&args.watch_namespace);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        bearers = ?args.service.chime_bearer,
        former_bearers = ?permits.former_bearer,
        scope = ?scope,
        read_only = args.read_only,
        removals = %args.removals,
        max_removals_per_hour = args.max_removals_per_hour,
        allow_authoritative = permits.allow_authoritative,
        members_from = args.members_from == Switch::On,
        endpoint = endpoint.as_deref().unwrap_or("AWS"),
        "rollcall is running"
    );
    if args.service.chime_bearer.is_empty() && !permits.allow_bearer_override {
        tracing::warn!("no --chime-bearer is set: every resource will say BearerRejected");
    }
    if let Some(file) = &grants {
        let (file, vitals) = (Arc::clone(file), Arc::clone(&vitals));
        tokio::spawn(async move { file.watch_changes(|| vitals.look_again()).await });
    } else {
        tracing::info!(
            "no --grants: every namespace that is watched reaches every channel that a bearer can reach, with any prune but Authoritative"
        );
    }
    if let Some(elector) = &elector {
        tokio::select! {
            () = elector.acquire() => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
    // Not sooner: from here on nobody else is taken to write.
    let engine = Arc::clone(engine.get_or_init(|| Arc::new(Engine::new(client, settings, clock, stop.clone()))));
    let cluster = Arc::new(Cluster::new(cluster, scope, args.members_from == Switch::On).led_by(leadership));
    let kind = Arc::clone(&cluster);
    tokio::spawn(async move { controller::served(&kind).await.tell() });
    let too_late = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP).await;
    };
    tokio::select! {
        () = controller::run(cluster, engine, &vitals, stop.clone()) => tracing::info!("rollcall has stopped"),
        lost = leader::lost(elector.as_ref()) => return Err(Failure::of(lost)),
        () = too_late => tracing::warn!("stopped with statuses unwritten: the API server did not take them in {} s", STOP.as_secs()),
    }
    if let Some(elector) = &elector {
        elector.release_lease().await;
    }
    Ok(())
}

/// Of a shorter one, a process that is busy for a moment would lose it.
fn lease_duration(text: &str) -> Result<Interval, String> {
    let duration = text.parse::<Interval>().map_err(|error| error.to_string())?;
    if duration.duration() < Duration::from_secs(2) {
        Err("a lease lasts 2s at least".to_owned())
    } else {
        Ok(duration)
    }
}
