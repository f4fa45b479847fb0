//! Checks of the cluster: the definition, the rights and the leader.

use std::sync::Arc;
use std::time::Duration;

use super::flags::{Args, When};
use super::report::{Finding, Report};
use crate::cli::shared::cluster;
use crate::cli::shared::switch::Switch;
use crate::controller::rbac::{self, Leader, LeasePlace};
use crate::controller::{Cluster, CrdStatus, Scope, check_crd_once};

/// The usual time until another operator becomes the leader.
const HANDED_OVER: Duration = Duration::from_secs(1);

/// The number of further looks if there is no leader: after a start or an upgrade there is one
/// soon.
const ASKED_AGAIN: usize = 4;

/// Runs all checks of the cluster, unless --cluster=off.
pub(super) async fn check(args: &Args, report: &mut Report) {
    if args.cluster == When::Off {
        report.add(Finding::skipped("cluster", "--cluster=off"));
        return;
    }
    let unknown = |why: String| match args.cluster {
        When::On => Finding::failed("cluster", why, "set KUBECONFIG, or run it in a pod of the cluster"),
        _ => Finding::skipped("cluster", why),
    };
    let client = match cluster::client().await {
        Ok(client) => client,
        Err(failure) => return report.add(unknown(failure.0)),
    };
    let cluster = Arc::new(Cluster::new(client, Scope::of(&args.watch_namespace), args.members_from == Switch::On));
    match rbac::current_user(&cluster).await {
        Ok((user, version)) => report.add(Finding::ok("cluster", format!("Kubernetes {version}, as {user}"))),
        Err(why) => return report.add(unknown(format!("failed to ask the API server: {why}"))),
    }
    definition(&cluster, report).await;
    let lease = args.lease_namespace.clone().map(|namespace| LeasePlace { namespace, name: args.lease_name.clone() });
    granted(&cluster, lease.as_ref(), report).await;
    if let Some(lease) = &lease {
        leader(&cluster, lease, report).await;
    }
}

async fn definition(cluster: &Arc<Cluster>, report: &mut Report) {
    let check = "definition";
    report.add(match check_crd_once(cluster).await {
        CrdStatus::Complete => Finding::ok(check, "ChannelMembership is served with all fields of this version"),
        CrdStatus::MissingFields(fields) => {
            let fields = fields.into_iter().collect::<Vec<_>>().join(", ");
            let message =
                format!("ChannelMembership is served without {fields}: the API server drops these fields silently");
            Finding::failed(
                check,
                message,
                "apply crds/ of this version: rollcall crd | kubectl apply --server-side -f -",
            )
        }
        CrdStatus::NotInstalled => {
            let message = "the cluster does not know ChannelMembership in rollcall.dev/v1alpha1";
            Finding::failed(check, message, "apply crds/: rollcall crd | kubectl apply --server-side -f -")
        }
        CrdStatus::Unknown(why) => {
            let message = format!("failed to read which fields of ChannelMembership the cluster serves: {why}");
            Finding::warning(check, message, "run doctor again later")
        }
    });
}

/// Checks each right that the operator uses.
async fn granted(cluster: &Cluster, lease: Option<&LeasePlace>, report: &mut Report) {
    let needed = rbac::required_permissions(cluster, lease);
    let mut granted = Vec::new();
    for right in &needed {
        match rbac::is_granted(cluster, right).await {
            Ok(true) => granted.push(right.to_string()),
            Ok(false) => {
                let advice = "grant it by a Role or ClusterRole, as the chart's rbac.create does";
                report.add(Finding::failed("rights", format!("not granted: {right}"), advice));
            }
            Err(why) => {
                let message = format!("failed to check the right to {right}: {why}");
                report.add(Finding::warning("rights", message, "run doctor again later"));
            }
        }
    }
    if !granted.is_empty() {
        report.add(Finding::ok("rights", format!("granted: {}", granted.join(", "))));
    }
}

async fn leader(cluster: &Cluster, lease: &LeasePlace, report: &mut Report) {
    let check = "leader";
    let named = format!("{}/{}", lease.namespace, lease.name);
    let advice = "see whether the operator runs: kubectl get pods, and its log";
    let mut leader = rbac::read_leader(cluster, lease).await;
    for _ in 0..ASKED_AGAIN {
        if !matches!(leader, Ok(Leader::Expired(_) | Leader::NoLease)) {
            break;
        }
        tokio::time::sleep(HANDED_OVER).await;
        leader = rbac::read_leader(cluster, lease).await;
    }
    report.add(match leader {
        Ok(Leader::Holds(holder, ago)) => {
            Finding::ok(check, format!("{holder}, by the Lease {named} renewed {ago} s ago"))
        }
        Ok(Leader::Expired(last)) if last.is_empty() => {
            Finding::failed(check, format!("no process holds the Lease {named}"), advice)
        }
        Ok(Leader::Expired(last)) => {
            Finding::failed(check, format!("{last} held the Lease {named}, and does not renew it any more"), advice)
        }
        Ok(Leader::NoLease) => {
            Finding::failed(check, format!("there is no Lease {named}, so no operator has led yet"), advice)
        }
        Ok(Leader::NotAllowed) => Finding::skipped(check, format!("no permission to read the Lease {named}")),
        Err(why) => {
            Finding::warning(check, format!("failed to read the Lease {named}: {why}"), "run doctor again later")
        }
    });
}
