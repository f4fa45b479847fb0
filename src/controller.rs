//! How does a resource live in a cluster? Watches, the reconcile entry, status and events.

mod changes;
mod reconcile;
mod slots;
mod store;
mod watch;
mod watched;

pub use watch::{Scope, run};
