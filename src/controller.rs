//! How does a resource live in a cluster? Watches, the reconcile entry, sources, status, events and the finalizer.

pub mod store;

#[cfg(test)]
mod canned;
mod changes;
mod cluster;
mod config_map;
mod definition;
mod drain;
mod pulse;
mod reconcile;
mod slots;
mod sources;
mod vitals;
mod watch;
mod watched;

pub use cluster::{Cluster, Scope};
pub use definition::{Served, served};
pub use drain::{DrainError, drain};
pub use vitals::Vitals;
pub use watch::run;
