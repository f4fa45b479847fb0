//! What is remembered of each resource, and who tells a pass that it is out of date?

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::watched::{Trigger, Watched};
use crate::api::ChannelMembershipStatus;
use crate::engine::memory::Memory;

/// Memory of all resources of one watch, by UID: one that is created anew under an old name begins with none.
#[derive(Debug, Default)]
pub(super) struct Slots(Mutex<HashMap<String, Arc<Slot>>>);

/// Memory of one resource.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// Held by the pass under way; there is one at a time.
    pub memory: tokio::sync::Mutex<Memory>,
    running: Mutex<Option<(Trigger, CancellationToken)>>,
    written: Mutex<Option<(u64, ChannelMembershipStatus)>>,
}

impl Slots {
    /// The slot of a resource, made if it is new.
    pub fn of(&self, object: &Watched) -> Arc<Slot> {
        let uid = object.metadata.uid.clone().unwrap_or_default();
        Arc::clone(lock(&self.0).entry(uid).or_default())
    }

    /// The watch shows a version of an object: a pass over an older one ends early, and a status it shows needs no memory.
    pub fn applied(&self, uid: &str, version: u64, trigger: &Trigger) {
        let Some(slot) = lock(&self.0).get(uid).cloned() else { return };
        if let Some((running, cancel)) = &*lock(&slot.running)
            && running != trigger
        {
            cancel.cancel();
        }
        lock(&slot.written).take_if(|(written, _)| *written <= version);
    }

    /// An object is gone, and so is memory of it.
    pub fn gone(&self, uid: &str) {
        if let Some(slot) = lock(&self.0).remove(uid)
            && let Some((_, cancel)) = &*lock(&slot.running)
        {
            cancel.cancel();
        }
    }
}

impl Slot {
    /// A pass begins; the token tells it when it is out of date.
    pub fn begin(&self, object: &Watched, cancel: CancellationToken) {
        *lock(&self.running) = Some((object.trigger(), cancel));
    }

    /// The pass is over.
    pub fn end(&self) {
        *lock(&self.running) = None;
    }

    /// Remembers a status until the watch has shown it.
    pub fn wrote(&self, version: u64, status: ChannelMembershipStatus) {
        *lock(&self.written) = Some((version, status));
    }

    /// The status that stands in the cluster: the watch's, or ours where the watch lags behind.
    pub fn status(&self, object: &Watched) -> Option<ChannelMembershipStatus> {
        let written = lock(&self.written);
        match &*written {
            Some((version, status)) if *version > object.version() => Some(status.clone()),
            _ => object.status().cloned(),
        }
    }
}

/// A poisoned lock is taken all the same: each change under it is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(version: u64, generation: i64) -> Watched {
        let metadata =
            serde_json::json!({"uid": "u", "generation": generation, "resourceVersion": version.to_string()});
        let status = serde_json::json!({"observedGeneration": version});
        serde_json::from_str(&serde_json::json!({"metadata": metadata, "status": status}).to_string()).unwrap()
    }

    #[test]
    fn a_status_of_ours_stands_until_the_watch_has_shown_it() {
        let (slots, old) = (Slots::default(), object(4, 1));
        let slot = slots.of(&old);
        slot.wrote(5, ChannelMembershipStatus { observed_generation: Some(55), ..ChannelMembershipStatus::default() });
        slots.applied("u", 4, &old.trigger());
        assert_eq!(slot.status(&old).unwrap().observed_generation, Some(55), "the watch lags behind");
        slots.applied("u", 5, &old.trigger());
        assert_eq!(slot.status(&object(6, 1)).unwrap().observed_generation, Some(6), "somebody else wrote since");
    }

    #[test]
    fn a_pass_ends_early_when_its_object_changes_and_not_when_its_status_does() {
        let (slots, first) = (Slots::default(), object(4, 1));
        let cancel = CancellationToken::new();
        slots.of(&first).begin(&first, cancel.clone());
        slots.applied("u", 5, &object(5, 1).trigger());
        assert!(!cancel.is_cancelled());
        slots.applied("u", 6, &object(6, 2).trigger());
        assert!(cancel.is_cancelled());
    }
}
