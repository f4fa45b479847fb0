//! `rollcall doctor`: what keeps the operator from its work?

mod aws;
mod channel;
mod kubernetes;
mod report;

use std::io::{Write as _, stderr, stdout};
use std::sync::Arc;

use clap::ValueEnum;
use clap::builder::BoolishValueParser;

use self::report::{Finding, Report};
use super::Failure;
use super::cluster::{self, namespace};
use super::run::Switch;
use super::service::{self, ServiceArgs};
use crate::chime::sdk::{Sdk, SdkOptions};
use crate::membership::arn::ChannelArn;

/// Look for what is wrong, and say what to do about it. Nothing is changed: what cannot be asked without an effect is not probed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rollcall doctor --channel arn:aws:chime:us-east-1:123456789012:app-instance/1f0a/channel/care
  rollcall doctor --cluster=off --output json")]
pub(super) struct Args {
    /// A channel to look at, by ARN; repeatable.
    #[arg(long, env = "ROLLCALL_CHANNEL", value_name = "ARN", value_delimiter = ',', value_parser = service::channel)]
    channel: Vec<ChannelArn>,

    #[command(flatten)]
    service: ServiceArgs,

    /// Resources name their bearers themselves, so that it is no fault to have none.
    #[arg(long, env = "ROLLCALL_ALLOW_BEARER_OVERRIDE", value_parser = BoolishValueParser::new())]
    allow_bearer_override: bool,

    /// Whether the cluster is looked at as well: on, off, or auto, where there is one to be found.
    #[arg(long, env = "ROLLCALL_CLUSTER", value_name = "WHEN", default_value = "auto")]
    cluster: When,

    /// The operator looks at this namespace only; repeatable. Default: all.
    #[arg(long, env = "ROLLCALL_WATCH_NAMESPACE", value_name = "NAMESPACE", value_delimiter = ',', value_parser = namespace)]
    watch_namespace: Vec<String>,

    /// Whether the operator reads ConfigMaps.
    #[arg(long, env = "ROLLCALL_MEMBERS_FROM", value_name = "on|off", default_value = "on")]
    members_from: Switch,

    /// Where the Lease is by which one of several operators leads. Without it none is looked at.
    #[arg(long, env = "ROLLCALL_LEASE_NAMESPACE", value_name = "NAMESPACE", value_parser = namespace)]
    lease_namespace: Option<String>,

    /// Its name.
    #[arg(long, env = "ROLLCALL_LEASE_NAME", value_name = "NAME", default_value = "rollcall", value_parser = namespace)]
    lease_name: String,

    /// How the findings are printed.
    #[arg(short, long, env = "ROLLCALL_OUTPUT", value_name = "FORMAT", default_value = "text")]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum When {
    On,
    Off,
    Auto,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    args.service.one_bearer_an_app_instance()?;
    let report = cluster::calling(async { Ok(examine(args).await) })?;
    let text = match args.output {
        Format::Text => report.text(),
        Format::Json => report.json().map_err(Failure::of)?,
    };
    // A reader that stops reading, such as `head`, is none of our failures.
    let _ = stdout().write_all(text.as_bytes()).and_then(|()| stdout().flush());
    match report.failed() {
        0 => Ok(()),
        failed => Err(Failure(format!("{failed} of {} checks failed", report.len()))),
    }
}

async fn examine(args: &Args) -> Report {
    let mut report = Report::default();
    match Sdk::load(SdkOptions::default()).await {
        Err(error) => {
            report.add(Finding::failed("endpoint", error.to_string(), "correct the address, or unset it for AWS"));
        }
        Ok(sdk) => service_checks(args, Arc::new(sdk), &mut report).await,
    }
    kubernetes::check(args, &mut report).await;
    report
}

/// What is told of the service, as far as the checks before let it be asked.
async fn service_checks(args: &Args, sdk: Arc<Sdk>, report: &mut Report) {
    aws::endpoint(args, &sdk, report);
    if !aws::credentials(&sdk, report).await {
        report.add(Finding::skipped("bearer", "the service is not asked without credentials"));
        return;
    }
    aws::identity(&sdk, report).await;
    let patient = channel::Patient::new(args, sdk);
    for bearer in &args.service.chime_bearer {
        patient.bearer(bearer, report).await;
    }
    if args.service.chime_bearer.is_empty() {
        let why = "no bearer is given, so none was asked for";
        let advice = "give --chime-bearer: without it every resource says BearerRejected";
        report.add(if args.allow_bearer_override {
            Finding::skipped("bearer", why)
        } else {
            Finding::failed("bearer", why, advice)
        });
    }
    for channel in &args.channel {
        patient.channel(channel, report).await;
    }
    if args.channel.is_empty() {
        report.add(Finding::skipped("channel", "no --channel is given, so what it takes to list one was not asked"));
    } else {
        let why = "chime:BatchCreateChannelMembership and chime:DeleteChannelMembership are not probed, because a probe could change the channel";
        report.add(Finding::skipped("write actions", why));
    }
    patient.pace(report);
}

/// A remark, where somebody may wait for the next one.
fn remark(text: &str) {
    // What cannot be said is no reason to stop.
    let _ = writeln!(stderr(), "{text}");
}
