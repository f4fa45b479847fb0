//! `--leader-elect`: the election by a Lease.

use std::fs;
use std::future;

use kube::Client;

use super::flags::Args;
use crate::cli::shared::failure::Failure;
use crate::ops::lease::{LeaderElector, LeadershipLost, LeaseConfig};

/// The file from which a pod reads its own namespace (Kubernetes, "Accessing the Kubernetes API
/// from a Pod").
const NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Returns an elector, or `None` without `--leader-elect`.
pub(super) fn elector(args: &Args, client: &Client) -> Result<Option<LeaderElector>, Failure> {
    if !args.leader_elect {
        return Ok(None);
    }
    let of_pod =
        || fs::read_to_string(NAMESPACE).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let namespace = args.lease_namespace.clone().or_else(of_pod).ok_or_else(|| {
        Failure::of("--leader-elect outside of a pod needs --lease-namespace, the namespace of its Lease")
    })?;
    // The name of the pod or host, and a random part for each start.
    let host = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "rollcall".to_owned());
    let config = LeaseConfig {
        namespace,
        name: args.lease_name.clone(),
        identity: format!("{host}_{:016x}", fastrand::u64(..)),
        duration: args.lease_duration.duration(),
    };
    Ok(Some(LeaderElector::new(client.clone(), config)))
}

/// Renews the lease, and returns the reason when leadership is lost. Without an election it never
/// returns.
pub(super) async fn lost(elector: Option<&LeaderElector>) -> LeadershipLost {
    match elector {
        Some(elector) => elector.renew_loop().await,
        None => future::pending().await,
    }
}
