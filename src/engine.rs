//! What does one pass over one channel do? **Observe** (the live channel, by a listing that all resources of the channel
//! share) → **validate** (raw strings to types) → **plan** (pure) → **apply** (paced; an outcome a batch) → **report**.
//!
//! [`Engine::pass`] reads as that list. It knows the service by [`crate::chime::port::Service`] and the resource by
//! [`store::Store`], so the same engine serves a cluster, a command line and tests in memory.

pub mod clock;
pub mod declaration;
pub mod memory;
pub mod preview;
pub mod settings;
pub mod store;

mod apply;
mod audit;
mod channel;
mod claim;
mod confirm;
mod decide;
mod deletion;
mod findings;
mod granted;
mod hourly;
mod intent;
mod listing;
mod message;
mod nowhere;
mod observe;
mod pass;
mod quorum;
mod remove;
mod report;
mod siblings;
mod stock;
mod tally;
mod trace;
mod view;
mod views;
mod wait;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use intent::{DEFAULT_REMOVALS, declared};
pub(crate) use message::{approval_reason, approval_reasons, number};
pub use pass::{Engine, Next};
pub use tally::Tally;
