//! The flags of `rollcall doctor`.

use clap::ValueEnum;
use clap::builder::BoolishValueParser;

use crate::cli::shared::cluster::namespace;
use crate::cli::shared::output::OutputArgs;
use crate::cli::shared::service_flags::{self, ServiceArgs};
use crate::cli::shared::switch::Switch;
use crate::membership::arn::ChannelArn;

/// Find faults in the setup, and give advice. Nothing is changed: actions that cannot be checked
/// without an effect are not checked.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rollcall doctor --channel arn:aws:chime:us-east-1:123456789012:app-instance/1f0a/channel/care
  rollcall doctor --cluster=off --output json")]
pub(in crate::cli) struct Args {
    /// A channel to check, by ARN; repeatable.
    #[arg(long, env = "ROLLCALL_CHANNEL", value_name = "ARN", value_delimiter = ',', value_parser = service_flags::channel)]
    pub(super) channel: Vec<ChannelArn>,

    #[command(flatten)]
    pub(super) service: ServiceArgs,

    /// Resources name their bearers themselves: a missing --chime-bearer is no fault.
    #[arg(long, env = "ROLLCALL_ALLOW_BEARER_OVERRIDE", value_parser = BoolishValueParser::new())]
    pub(super) allow_bearer_override: bool,

    /// Check the cluster too: on, off, or auto (if a cluster is found).
    #[arg(long, env = "ROLLCALL_CLUSTER", value_name = "WHEN", default_value = "auto")]
    pub(super) cluster: When,

    /// The operator watches this namespace only; repeatable. Default: all.
    #[arg(long, env = "ROLLCALL_WATCH_NAMESPACE", value_name = "NAMESPACE", value_delimiter = ',', value_parser = namespace)]
    pub(super) watch_namespace: Vec<String>,

    /// The operator reads ConfigMaps.
    #[arg(long, env = "ROLLCALL_MEMBERS_FROM", value_name = "on|off", default_value = "on")]
    pub(super) members_from: Switch,

    /// The namespace of the Lease that elects a leader. Default: no Lease is checked.
    #[arg(long, env = "ROLLCALL_LEASE_NAMESPACE", value_name = "NAMESPACE", value_parser = namespace)]
    pub(super) lease_namespace: Option<String>,

    /// The name of the Lease.
    #[arg(long, env = "ROLLCALL_LEASE_NAME", value_name = "NAME", default_value = "rollcall", value_parser = namespace)]
    pub(super) lease_name: String,

    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    On,
    Off,
    Auto,
}
