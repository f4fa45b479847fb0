//! The mutable state of a running simulator, behind one lock.

use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::audit_log::CallLog;
use super::fault::FaultRegistry;
use super::quotas::QuotaBuckets;
use super::state::ServiceState;

/// The state that the HTTP handlers and the [`Simulator`](super::Simulator) share.
#[derive(Debug)]
pub struct SharedSimulation {
    simulation: Mutex<Simulation>,
    /// A counter of changes, for tasks that wait for the next change.
    pub changes: watch::Sender<u64>,
    started: Instant,
    /// The region for which calls must be signed. If it is absent, any region is accepted.
    pub region: Option<String>,
    /// Cancelled at shutdown; ends pending answers too.
    pub stop: CancellationToken,
}

/// The state that changes.
#[derive(Debug)]
pub struct Simulation {
    /// Users, channels and memberships.
    pub state: ServiceState,
    /// The rates that are left.
    pub buckets: QuotaBuckets,
    /// The faults in force.
    pub faults: FaultRegistry,
    /// The calls that were answered.
    pub calls: CallLog,
}

impl SharedSimulation {
    /// Creates a simulation whose clock starts now.
    pub fn new(simulation: Simulation, region: Option<String>) -> Self {
        Self {
            simulation: Mutex::new(simulation),
            changes: watch::Sender::new(0),
            started: Instant::now(),
            region,
            stop: CancellationToken::new(),
        }
    }

    /// Returns the time since the start, by tokio's clock.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Locks the state for reading.
    pub fn lock_state(&self) -> MutexGuard<'_, Simulation> {
        self.simulation.lock()
    }

    /// Changes the state and wakes the tasks that wait for a change.
    pub fn update_state<T>(&self, change: impl FnOnce(&mut Simulation) -> T) -> T {
        let changed = change(&mut self.simulation.lock());
        self.changes.send_modify(|count| *count += 1);
        changed
    }
}
