//! `rollcall run`: how does the operator start and stop?

mod removals;

use std::collections::HashSet;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::BoolishValueParser;
use jiff::Timestamp;
use kube::Client as KubeClient;

use self::removals::Removals;
use super::Failure;
use crate::api::Interval;
use crate::chime::client::Client;
use crate::chime::pace::{FixedRate, Pacer, Rates, Share};
use crate::chime::sdk::{Options, Sdk};
use crate::controller::{self, Cluster, Scope};
use crate::engine::Engine;
use crate::engine::clock::Clock;
use crate::engine::settings::Settings;
use crate::membership::arn::MemberArn;
use crate::ops::{logs, stop};

/// A stop takes at most this: less than the 30 s that a kubelet gives, more than a call of the service and a status write.
const STOP: Duration = Duration::from_secs(25);

/// An API server that says nothing for so long, in the middle of an answer, is taken for gone. A quiet watch ends before that.
const SILENCE: Duration = Duration::from_mins(2);

/// Run the operator: keep channels as ChannelMembership resources declare them.
///
/// The cluster is that of KUBECONFIG, else of ~/.kube/config, else the one it runs in. AWS credentials are found by the SDK's usual chain;
/// AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING names another service than AWS, such as `rollcall simulate`. RUST_LOG sets what is
/// logged. Repeatable flags are comma-separated in their variables.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The user or bot ARN in whose name the service is called; one an app instance, chosen by the channel's.
    #[arg(long, env = "ROLLCALL_CHIME_BEARER", value_name = "ARN", value_delimiter = ',', value_parser = bearer)]
    chime_bearer: Vec<MemberArn>,

    /// Honour spec.chimeBearer.
    #[arg(long, env = "ROLLCALL_ALLOW_BEARER_OVERRIDE", value_parser = BoolishValueParser::new())]
    allow_bearer_override: bool,

    /// Whether members may be removed: on, off, or a file that holds on or off and is read before each removal.
    #[arg(long, env = "ROLLCALL_REMOVALS", value_name = "on|off|FILE", default_value = "on")]
    removals: Removals,

    /// Members removed in an hour at most, from all channels together; 0 = no limit.
    #[arg(long, env = "ROLLCALL_MAX_REMOVALS_PER_HOUR", value_name = "MEMBERS", default_value_t = 0)]
    max_removals_per_hour: u32,

    /// Honour prune: Unlisted, which removes members that no resource declares. For an operator that sees every resource.
    #[arg(long, env = "ROLLCALL_ALLOW_UNLISTED", value_parser = BoolishValueParser::new())]
    allow_unlisted: bool,

    /// A bearer of earlier days: whom it added, Rollcall added; repeatable.
    #[arg(long, env = "ROLLCALL_FORMER_BEARER", value_name = "ARN", value_delimiter = ',', value_parser = bearer)]
    former_bearer: Vec<MemberArn>,

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

    /// The share of the service's quotas to use; the live chat application has the rest.
    #[arg(long, env = "ROLLCALL_QUOTA_SHARE", value_name = "PERCENT", default_value = "80%")]
    quota_share: Share,

    /// Calls a second for a bearer, in place of the share; 0 = no limit.
    #[arg(long, env = "ROLLCALL_BEARER_RATE", value_name = "RATE")]
    bearer_rate: Option<FixedRate>,

    /// Batches a second for a channel, in place of the share; 0 = no limit.
    #[arg(long, env = "ROLLCALL_CHANNEL_BATCH_RATE", value_name = "RATE")]
    channel_batch_rate: Option<FixedRate>,

    /// Pages listed a second for a channel, in place of the share; 0 = no limit.
    #[arg(long, env = "ROLLCALL_CHANNEL_LIST_RATE", value_name = "RATE")]
    channel_list_rate: Option<FixedRate>,

    /// Calls of the service in flight at once, for each bearer.
    #[arg(long, env = "ROLLCALL_CONCURRENCY", value_name = "CALLS", default_value = "32")]
    concurrency: NonZeroU16,

    /// How log lines look.
    #[arg(long, env = "ROLLCALL_LOG_FORMAT", value_name = "FORMAT", default_value = "auto")]
    log_format: logs::Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    one_bearer_an_app_instance(&args.chime_bearer)?;
    logs::init(args.log_format).map_err(Failure::wrong_use)?;
    // The Kubernetes client and the AWS SDK share this provider of cryptography; two in one process panic.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    runtime.block_on(operate(args))
}

async fn operate(args: &Args) -> Result<(), Failure> {
    let cluster = cluster().await?;
    let service = Sdk::load(Options::default()).await.map_err(Failure::wrong_use)?;
    let stop = stop::on_signal().map_err(Failure::failed)?;
    let endpoint = service.custom_endpoint().map(str::to_owned);
    let settings = Settings {
        bearers: args.chime_bearer.clone(),
        allow_bearer_override: args.allow_bearer_override,
        resync_interval: args.resync_interval.duration().max(args.min_resync_interval.duration()),
        min_resync_interval: args.min_resync_interval.duration(),
        read_only: args.read_only,
        removals: args.removals.switch(),
        max_removals_per_hour: args.max_removals_per_hour,
        allow_unlisted: args.allow_unlisted,
        former_bearers: args.former_bearer.clone(),
        custom_endpoint: endpoint.clone(),
    };
    let rates = Rates {
        share: args.quota_share,
        bearer: args.bearer_rate,
        channel_batch: args.channel_batch_rate,
        channel_list: args.channel_list_rate,
    };
    let client = Client::new(Arc::new(service), Arc::new(Pacer::new(rates, args.concurrency)));
    let clock = Clock::starting_at(Timestamp::now());
    let engine = Arc::new(Engine::new(client, settings, clock, stop.clone()));
    let scope = match args.watch_namespace.as_slice() {
        [] => Scope::Cluster,
        names => Scope::Namespaces(names.to_vec()),
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        bearers = ?args.chime_bearer,
        former_bearers = ?args.former_bearer,
        scope = ?scope,
        read_only = args.read_only,
        removals = %args.removals,
        max_removals_per_hour = args.max_removals_per_hour,
        allow_unlisted = args.allow_unlisted,
        members_from = args.members_from == Switch::On,
        endpoint = endpoint.as_deref().unwrap_or("AWS"),
        "rollcall is running"
    );
    if args.chime_bearer.is_empty() && !args.allow_bearer_override {
        tracing::warn!("no --chime-bearer is set: every resource will say BearerRejected");
    }
    let cluster = Arc::new(Cluster::new(cluster, scope, args.members_from == Switch::On));
    let too_late = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP).await;
    };
    tokio::select! {
        () = controller::run(cluster, engine, stop.clone()) => tracing::info!("rollcall has stopped"),
        () = too_late => tracing::warn!("stopped with statuses unwritten: the API server did not take them in {} s", STOP.as_secs()),
    }
    Ok(())
}

/// A client of the cluster of `KUBECONFIG`, else of the one around us. Nothing is called yet.
async fn cluster() -> Result<KubeClient, Failure> {
    let named = std::env::var("KUBECONFIG").ok().filter(|path| !path.is_empty());
    let mut config = kube::Config::infer().await.map_err(|error| {
        let place = named.map_or_else(
            || "neither KUBECONFIG, ~/.kube/config nor a pod's service account".to_owned(),
            |path| format!("KUBECONFIG={path}"),
        );
        Failure::wrong_use(format!("failed to find the cluster by {place}: {}", one_line(&error)))
    })?;
    // Each call has its own deadline and its own next try; this one is for lists and watches.
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    config.default_retry = false;
    KubeClient::try_from(config)
        .map_err(|error| Failure::wrong_use(format!("failed to set up the cluster's client: {}", one_line(&error))))
}

/// An error with its causes.
fn one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text.replace('\n', " ")
}

fn bearer(text: &str) -> Result<MemberArn, String> {
    MemberArn::parse(text.trim()).map_err(|_| {
        "no user or bot ARN: write arn:aws:chime:<region>:<account>:app-instance/<id>/user/<id>".to_owned()
    })
}

/// A namespace's name is a DNS label (Kubernetes, object names).
fn namespace(text: &str) -> Result<String, String> {
    let name = text.trim();
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let good =
        (1..=63).contains(&name.len()) && name.bytes().all(legal) && !name.starts_with('-') && !name.ends_with('-');
    if good { Ok(name.to_owned()) } else { Err("no namespace: write a DNS label such as team-a".to_owned()) }
}

fn one_bearer_an_app_instance(bearers: &[MemberArn]) -> Result<(), Failure> {
    let mut instances = HashSet::new();
    match bearers.iter().find(|bearer| !instances.insert(bearer.app_instance())) {
        None => Ok(()),
        Some(second) => Err(Failure::wrong_use(format!(
            "--chime-bearer {second} is the second of its app instance: give one an app instance"
        ))),
    }
}
