//! How much was done since the process began?

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of what an engine did.
#[derive(Debug, Default)]
pub struct Tally {
    added: AtomicU64,
    removed: AtomicU64,
    status_writes_failed: AtomicU64,
}

impl Tally {
    /// Members that the service says it added.
    pub fn added(&self) -> u64 {
        self.added.load(Ordering::Relaxed)
    }

    /// Members that were removed.
    pub fn removed(&self) -> u64 {
        self.removed.load(Ordering::Relaxed)
    }

    /// Writes of a status that were refused or not answered; that somebody else came before is none.
    pub fn status_writes_failed(&self) -> u64 {
        self.status_writes_failed.load(Ordering::Relaxed)
    }

    pub(super) fn has_added(&self, members: usize) {
        self.added.fetch_add(members as u64, Ordering::Relaxed);
    }

    pub(super) fn has_removed(&self) {
        self.removed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn status_write_failed(&self) {
        self.status_writes_failed.fetch_add(1, Ordering::Relaxed);
    }
}
