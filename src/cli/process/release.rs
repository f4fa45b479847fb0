//! `rollcall release` removes the finalizers before Rollcall is uninstalled.

use std::sync::Arc;

use crate::cli::shared::cluster;
use crate::cli::shared::failure::Failure;
use crate::cli::shared::progress::Progress;
use crate::controller::{self, Cluster, Scope};

/// Remove Rollcall's finalizer from all ChannelMemberships and release them: a later deletion
/// removes no members.
///
/// Run this before you uninstall Rollcall; it can be run again. A released resource keeps the
/// annotation rollcall.dev/release. Remove the annotation (kubectl annotate chm --all
/// rollcall.dev/release-) to make deletionPolicy: Delete effective again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall release
  rollcall release --watch-namespace care --watch-namespace sales")]
pub(in crate::cli) struct Args {
    /// Release the resources of this namespace only; repeatable. Default: all.
    #[arg(long, env = "ROLLCALL_WATCH_NAMESPACE", value_name = "NAMESPACE", value_delimiter = ',', value_parser = cluster::namespace)]
    watch_namespace: Vec<String>,
}

pub(in crate::cli) fn run(args: &Args) -> Result<(), Failure> {
    cluster::run_async(async {
        let cluster = Arc::new(Cluster::new(cluster::client().await?, Scope::of(&args.watch_namespace), false));
        let progress = Progress::new("released", "ChannelMemberships");
        let released = controller::release_all(&cluster, |done, all| progress.set(done, all)).await;
        drop(progress);
        let count = released.map_err(Failure::of)?;
        println!("released {count} ChannelMemberships; no member was removed from a channel");
        Ok(())
    })
}
