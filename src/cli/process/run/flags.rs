//! The flags of `rollcall run`.

use std::time::Duration;

use clap::builder::BoolishValueParser;

use super::removals::RemovalsFlag;
use crate::api::Interval;
use crate::cli::shared::cluster::namespace;
use crate::cli::shared::policy_flags::PolicyArgs;
use crate::cli::shared::service_flags::ServiceArgs;
use crate::cli::shared::switch::Switch;
use crate::ops::logs;
use crate::ops::serve::ListenAddress;

/// Run the operator: keep channels as ChannelMembership resources declare them.
///
/// The cluster is the one of KUBECONFIG, else of ~/.kube/config, else the one that the process runs
/// in. AWS credentials come from the SDK's default chain. AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING
/// names another service than AWS, such as `rollcall simulate`. RUST_LOG sets the log filter. The
/// variable of a repeatable flag takes values separated by commas.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall run --chime-bearer arn:aws:chime:us-east-1:123456789012:app-instance/1f0a/user/rollcall
  rollcall run --grants /etc/rollcall/grants.yaml --leader-elect --removals=off")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    pub(super) service: ServiceArgs,

    #[command(flatten)]
    pub(super) policy: PolicyArgs,

    /// Allow removals: on, off, or a file that holds on or off and is read before each removal.
    #[arg(long, env = "ROLLCALL_REMOVALS", value_name = "on|off|FILE", default_value = "on")]
    pub(super) removals: RemovalsFlag,

    /// The most members that are removed in an hour, from all channels together; 0 = no limit.
    #[arg(long, env = "ROLLCALL_MAX_REMOVALS_PER_HOUR", value_name = "MEMBERS", default_value_t = 0)]
    pub(super) max_removals_per_hour: u32,

    /// Change no channel: treat every resource as if it had mode: Observe.
    #[arg(long, env = "ROLLCALL_READ_ONLY", value_parser = BoolishValueParser::new())]
    pub(super) read_only: bool,

    /// Read and watch the ConfigMaps of spec.membersFrom.
    #[arg(long, env = "ROLLCALL_MEMBERS_FROM", value_name = "on|off", default_value = "on")]
    pub(super) members_from: Switch,

    /// Watch this namespace only; repeatable. Default: all.
    #[arg(long, env = "ROLLCALL_WATCH_NAMESPACE", value_name = "NAMESPACE", value_delimiter = ',', value_parser = namespace)]
    pub(super) watch_namespace: Vec<String>,

    /// The interval between two drift checks of a resource that sets none.
    #[arg(long, env = "ROLLCALL_RESYNC_INTERVAL", value_name = "DURATION", default_value = "1h")]
    pub(super) resync_interval: Interval,

    /// The shortest interval that a resource can set.
    #[arg(long, env = "ROLLCALL_MIN_RESYNC_INTERVAL", value_name = "DURATION", default_value = "10s")]
    pub(super) min_resync_interval: Interval,

    /// Serve /metrics on this address, as ip:port or :port. Default: no port is opened.
    #[arg(long, env = "ROLLCALL_METRICS_ADDRESS", value_name = "ADDRESS")]
    pub(super) metrics_address: Option<ListenAddress>,

    /// Give /metrics a gauge for each resource.
    #[arg(long, env = "ROLLCALL_METRICS_PER_RESOURCE", value_name = "on|off", default_value = "on")]
    pub(super) metrics_per_resource: Switch,

    /// Serve /healthz and /readyz on this address, as ip:port or :port. Default: no port is opened.
    #[arg(long, env = "ROLLCALL_HEALTH_ADDRESS", value_name = "ADDRESS")]
    pub(super) health_address: Option<ListenAddress>,

    /// Elect a leader by a Lease: several processes may run, and the leader reconciles the
    /// resources.
    #[arg(long, env = "ROLLCALL_LEADER_ELECT", value_parser = BoolishValueParser::new())]
    pub(super) leader_elect: bool,

    /// The namespace of the Lease. Default: the namespace of the pod.
    #[arg(long, env = "ROLLCALL_LEASE_NAMESPACE", value_name = "NAMESPACE", value_parser = namespace)]
    pub(super) lease_namespace: Option<String>,

    /// The name of the Lease. Operators that run side by side need different names.
    #[arg(long, env = "ROLLCALL_LEASE_NAME", value_name = "NAME", default_value = "rollcall", value_parser = namespace)]
    pub(super) lease_name: String,

    /// The time after which another process replaces a leader that was killed. A leader that cannot
    /// renew the Lease stops after two thirds of it.
    #[arg(long, env = "ROLLCALL_LEASE_DURATION", value_name = "DURATION", default_value = "15s", value_parser = lease_duration)]
    pub(super) lease_duration: Interval,

    /// The format of log lines.
    #[arg(long, env = "ROLLCALL_LOG_FORMAT", value_name = "FORMAT", default_value = "auto")]
    pub(super) log_format: logs::LogFormat,
}

/// Parses the duration of the lease. A process that is busy for a moment would lose a shorter
/// lease.
fn lease_duration(text: &str) -> Result<Interval, String> {
    let duration = text.parse::<Interval>().map_err(|error| error.to_string())?;
    if duration.duration() < Duration::from_secs(2) {
        Err("a lease lasts 2s at least".to_owned())
    } else {
        Ok(duration)
    }
}
