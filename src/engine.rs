//! Reconciliation of one channel: **observe** (a listing that all resources of the channel share) →
//! **plan** (pure) → **record** (in the status, before any effect) → **add** and **remove** (rate
//! limited) → **report**.
//!
//! [`Engine::reconcile`] reads as that list. The engine knows the service by
//! [`crate::chime::port::Service`] and the resource by [`store::Store`], so the same engine serves
//! a cluster, a command line, and tests in memory.

pub mod clock;
pub mod dry_run;
pub mod resource;
pub mod session;
pub mod settings;
pub mod store;

mod add;
mod audit;
mod authorize;
mod channel_cache;
mod channel_info;
mod channel_roles;
mod cleanup;
mod counters;
mod declarer_registry;
mod io;
mod message;
mod observe;
mod outcome;
mod progress;
mod protection;
mod reconcile;
mod record;
mod register;
mod removal_budget;
mod remove;
mod report;
mod schedule;
mod spec;
mod status;
mod status_writer;
mod stop;
mod summary;
mod trace;
mod uncached_read;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use self::channel_cache::ChannelCache;
use self::clock::Clock;
pub use self::counters::EngineCounters;
use self::declarer_registry::DeclarerRegistry;
pub(crate) use self::message::{approval_reasons, number};
use self::removal_budget::RemovalBudget;
pub use self::report::Requeue;
use self::settings::Settings;
pub(crate) use self::spec::{DEFAULT_REMOVALS, declared_members};
use crate::chime::client::Client;
use crate::chime::port::Service;

/// The engine: reconciles resources.
pub struct Engine<S> {
    client: Client<S>,
    cache: Arc<ChannelCache<S>>,
    registry: Arc<DeclarerRegistry>,
    removal_budget: RemovalBudget,
    settings: Settings,
    clock: Clock,
    counters: EngineCounters,
    /// When this process began: an earlier one may have written until then.
    started: Timestamp,
    shutdown: CancellationToken,
}

impl<S: Service> Engine<S> {
    /// Creates an engine that makes its calls by `client`. Background listings stop when `shutdown`
    /// is cancelled.
    pub fn new(client: Client<S>, settings: Settings, clock: Clock, shutdown: CancellationToken) -> Self {
        let (registry, started) = (Arc::<DeclarerRegistry>::default(), clock.now());
        let cache = ChannelCache::new(client.clone(), clock, Arc::clone(&registry), shutdown.clone());
        Self {
            client,
            cache: Arc::new(cache),
            registry,
            removal_budget: RemovalBudget::new(settings.max_removals_per_hour, started),
            settings,
            clock,
            counters: EngineCounters::default(),
            started,
            shutdown,
        }
    }

    /// Returns what the engine has done so far.
    pub fn counters(&self) -> &EngineCounters {
        &self.counters
    }

    /// Returns the age of the oldest listing of the channels in use.
    pub fn oldest_listing(&self) -> Option<Duration> {
        self.cache.oldest_listing()
    }
}
