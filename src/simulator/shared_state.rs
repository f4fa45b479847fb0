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
pub struct SharedState {
    state: Mutex<SimulatorState>,
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
pub struct SimulatorState {
    pub service: ServiceState,
    pub buckets: QuotaBuckets,
    pub faults: FaultRegistry,
    pub calls: CallLog,
}

impl SharedState {
    /// Creates a state whose clock starts now.
    pub fn new(state: SimulatorState, region: Option<String>) -> Self {
        Self {
            state: Mutex::new(state),
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
    pub fn lock_state(&self) -> MutexGuard<'_, SimulatorState> {
        self.state.lock()
    }

    /// Changes the state and wakes the tasks that wait for a change.
    pub fn update_state<T>(&self, change: impl FnOnce(&mut SimulatorState) -> T) -> T {
        let changed = change(&mut self.state.lock());
        self.changes.send_modify(|count| *count += 1);
        changed
    }
}
