//! The metrics of the engine.

use std::sync::{Arc, OnceLock};

use super::Metrics;
use crate::chime::port::Service;
use crate::engine::{Engine, EngineCounters};

/// Registers the counts of an engine, and the age of its oldest listing. Before the engine exists,
/// the counts are zero.
pub fn register_engine_metrics<S: Service>(metrics: &mut Metrics, engine: &Arc<OnceLock<Arc<Engine<S>>>>) {
    let engine = Arc::clone(engine);
    metrics.add_collector(move |page| {
        let (engine, idle) = (engine.get(), EngineCounters::default());
        let counters = engine.map_or(&idle, |engine| engine.counters());
        page.counter("members_added", "Members that the service says it added", counters.added())?;
        page.counter("members_removed", "Members that were removed", counters.removed())?;
        page.counter(
            "status_writes_failed",
            "Writes of a status that the API server refused or did not answer",
            counters.failed_status_writes(),
        )?;
        let oldest = engine.and_then(|engine| engine.oldest_listing()).map_or(0.0, |age| age.as_secs_f64());
        page.gauge("oldest_listing_seconds", "Age of the oldest listing of a channel that is in use", oldest)
    });
}
