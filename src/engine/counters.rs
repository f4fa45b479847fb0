//! Counts of the work of an engine since the process began.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of an engine's work.
#[derive(Debug, Default)]
pub struct EngineCounters {
    added: AtomicU64,
    removed: AtomicU64,
    failed_status_writes: AtomicU64,
}

impl EngineCounters {
    /// Returns the number of members that the service says it added.
    pub fn added(&self) -> u64 {
        self.added.load(Ordering::Relaxed)
    }

    /// Returns the number of removed members.
    pub fn removed(&self) -> u64 {
        self.removed.load(Ordering::Relaxed)
    }

    /// Returns the number of status writes that were refused or not answered. A conflict is none of
    /// these.
    pub fn failed_status_writes(&self) -> u64 {
        self.failed_status_writes.load(Ordering::Relaxed)
    }

    pub(super) fn count_added(&self, members: usize) {
        self.added.fetch_add(members as u64, Ordering::Relaxed);
    }

    pub(super) fn count_removed(&self) {
        self.removed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_failed_status_write(&self) {
        self.failed_status_writes.fetch_add(1, Ordering::Relaxed);
    }
}
