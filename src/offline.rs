//! Resources in files: what `rollcall plan` and `rollcall apply` know without an API server.
//!
//! Manifests and the resources before them make a [`change_set::ChangeSet`].
//! [`planner::plan`] returns what the operator would do with it, as a [`plan::Plan`]. In a
//! [`local_cluster::LocalCluster`] the engine does it.

pub mod admission;
pub mod change_set;
pub mod cost;
pub mod export;
pub mod local_cluster;
pub mod object;
pub mod plan;
pub mod planner;
pub mod scheduler;
pub mod state_file;
mod state_text;

#[cfg(test)]
mod tests;
