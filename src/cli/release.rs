//! `rollcall release` takes the finalizers off before Rollcall is uninstalled.

use std::sync::Arc;

use super::Failure;
use super::cluster;
use super::progress::Progress;
use crate::controller::{self, Cluster, Scope};

/// Take Rollcall's finalizer off all ChannelMemberships and release them: whatever deletes them afterwards removes nobody.
///
/// For uninstalling; it may be run again. A released resource keeps the annotation rollcall.dev/release: take that off
/// (kubectl annotate chm --all rollcall.dev/release-) to have deletionPolicy: Delete honoured again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall release
  rollcall release --watch-namespace care --watch-namespace sales")]
pub(super) struct Args {
    /// Release the resources of this namespace only; repeatable. Default: all.
    #[arg(long, env = "ROLLCALL_WATCH_NAMESPACE", value_name = "NAMESPACE", value_delimiter = ',', value_parser = cluster::namespace)]
    watch_namespace: Vec<String>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    cluster::calling(async {
        let cluster = Arc::new(Cluster::new(cluster::client().await?, Scope::of(&args.watch_namespace), false));
        let progress = Progress::new("released", "ChannelMemberships");
        let released = controller::release_all(&cluster, |done, all| progress.set(done, all)).await;
        drop(progress);
        let count = released.map_err(Failure::of)?;
        println!("released {count} ChannelMemberships; nobody was removed from a channel");
        Ok(())
    })
}
