//! How does a resource live in a file? What a plan and an application without a cluster know of it.
//!
//! Manifests and what stood before make a [`scene::Scene`]; [`forecast::plan`] says what the operator would do about it, as a [`plan::Plan`];
//! and in a [`world::World`] the engine carries it out.

pub mod admission;
pub mod cost;
pub mod export;
pub mod forecast;
pub mod object;
pub mod passes;
pub mod plan;
pub mod scene;
pub mod state_file;
mod state_text;
pub mod world;

#[cfg(test)]
mod tests;
