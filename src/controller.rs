//! Resources in a cluster: the watches, the entry of a reconcile, sources, status, events and the
//! finalizer.

pub mod store;

mod cluster;
mod config_map;
mod config_map_index;
mod crd_check;
mod inflight;
mod metrics;
mod object;
mod predicates;
pub mod rbac;
mod reconcile;
mod release;
mod snapshot;
#[cfg(test)]
mod test_server;
mod watch;
mod watch_liveness;

pub(crate) use cluster::CallFailure;
pub use cluster::{Cluster, Scope};
pub use crd_check::{CrdStatus, check_crd, check_crd_once};
pub use metrics::ControllerMetrics;
pub(crate) use object::Guarded;
pub use release::{ReleaseError, release_all};
pub use snapshot::{SnapshotError, read_snapshot};
pub use watch::run;
