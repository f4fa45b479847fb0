//! `rollcall doctor` checks everything that the operator needs, and gives advice.

mod aws;
mod channel;
mod flags;
mod kubernetes;
mod report;

use std::sync::Arc;

pub(in crate::cli) use self::flags::Args;
use self::report::{Finding, Report};
use crate::chime::sdk::{Sdk, SdkOptions};
use crate::cli::shared::cluster;
use crate::cli::shared::failure::Failure;
use crate::cli::shared::output::emit;

pub(in crate::cli) fn run(args: &Args) -> Result<(), Failure> {
    args.service.check_bearers()?;
    let report = cluster::run_async(async { Ok(examine(args).await) })?;
    emit(&report.json(), args.output.output, |_| report.text())?;
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

/// Checks the service, as far as the earlier checks allow.
async fn service_checks(args: &Args, sdk: Arc<Sdk>, report: &mut Report) {
    aws::endpoint(args, &sdk, report);
    if !aws::credentials(&sdk, report).await {
        report.add(Finding::skipped("bearer", "the service is not checked without credentials"));
        return;
    }
    aws::identity(&sdk, report).await;
    let probe = channel::ChannelProbe::new(args, sdk);
    for bearer in &args.service.chime_bearer {
        probe.check_bearer(bearer, report).await;
    }
    if args.service.chime_bearer.is_empty() {
        let why = "no bearer is given, so none was checked";
        let advice = "give --chime-bearer: without it every resource says BearerRejected";
        report.add(if args.allow_bearer_override {
            Finding::skipped("bearer", why)
        } else {
            Finding::failed("bearer", why, advice)
        });
    }
    for channel in &args.channel {
        probe.check_channel(channel, report).await;
    }
    if args.channel.is_empty() {
        report.add(Finding::skipped("channel", "no --channel is given, so no channel was checked"));
    } else {
        let why = "chime:BatchCreateChannelMembership and chime:DeleteChannelMembership are not probed, because a probe could change the channel";
        report.add(Finding::skipped("write actions", why));
    }
    probe.check_quotas(report);
}
