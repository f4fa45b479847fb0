//! How does a resource live in a cluster? Watches, the reconcile entry, sources, status, events and the finalizer.

pub mod store;

#[cfg(test)]
mod canned;
mod changes;
mod cluster;
mod config_map;
mod definition;
mod pulse;
mod reconcile;
mod release;
pub mod rights;
mod slots;
mod sources;
mod standing;
mod vitals;
mod watch;
mod watched;

pub(crate) use cluster::CallFailure;
pub use cluster::{Cluster, Scope};
pub use definition::{Served, served, served_now};
pub use release::{ReleaseError, release_all};
pub use standing::{ReadError, standing};
pub use vitals::Vitals;
pub use watch::run;
pub(crate) use watched::Guarded;
