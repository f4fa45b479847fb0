//! What is remembered of each resource, and who tells a pass that it is out of date?

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::watched::{Shown, Trigger, Watched, number};
use crate::api::ChannelMembershipStatus;
use crate::api::metadata::resource;
use crate::engine::session::Session;
use crate::engine::store::Version;

/// Session of all resources of one watch, by UID: one that is created anew under an old name begins with none.
#[derive(Debug, Default)]
pub(super) struct Slots(Mutex<HashMap<String, Arc<Slot>>>);

/// The session of one resource.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// Locked by the pass under way; there is one at a time.
    pub memory: tokio::sync::Mutex<Session>,
    running: Mutex<Option<(Trigger, CancellationToken)>>,
    written: Mutex<Option<Written>>,
    /// Whether our finalizer is on the resource, and not because we are just taking it off.
    finalizer: Mutex<bool>,
    /// The resource of the pass under way, and when that last did anything.
    moved: Mutex<Option<(String, Instant)>>,
}

/// What a write of ours left behind, for as long as the watch has not shown it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Written {
    /// The version that the write made.
    pub version: Version,
    /// The status, where one was written.
    pub status: Option<ChannelMembershipStatus>,
    /// Whether our finalizer was on it then.
    pub has_finalizer: bool,
}

/// A resource's metadata and status as they stand in the cluster, as far as is known.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Standing {
    pub version: Version,
    pub status: Option<ChannelMembershipStatus>,
    pub has_finalizer: bool,
}

impl Slots {
    /// The slot of a resource, made if it is new.
    pub fn of(&self, object: &Watched) -> Arc<Slot> {
        let uid = object.metadata.uid.clone().unwrap_or_default();
        Arc::clone(lock(&self.0).entry(uid).or_default())
    }

    /// The watch shows an object: a pass over an older one ends early, and a status it shows needs no memory. Gives whether
    /// somebody else took our finalizer off; that we did so ourselves is no news.
    pub fn applied(&self, shown: &Shown) -> bool {
        let Some(slot) = lock(&self.0).get(&shown.uid).cloned() else { return false };
        let taken_off = std::mem::replace(&mut *lock(&slot.finalizer), shown.has_finalizer) && !shown.has_finalizer;
        if let Some((running, cancel)) = &*lock(&slot.running)
            && (taken_off || *running != shown.trigger)
        {
            cancel.cancel();
        }
        lock(&slot.written).take_if(|written| number(&written.version.0) <= shown.version);
        taken_off
    }

    /// A pass that has done nothing at all for so long, in words.
    pub fn stuck(&self, limit: Duration) -> Option<String> {
        let slots: Vec<Arc<Slot>> = lock(&self.0).values().cloned().collect();
        slots.iter().find_map(|slot| {
            let moved = lock(&slot.moved);
            let (resource, at) = moved.as_ref().filter(|(_, at)| at.elapsed() > limit)?;
            Some(format!("the pass over {resource} is stuck for {} s", at.elapsed().as_secs()))
        })
    }

    /// Something that a resource depends on has changed: the pass under way ends early.
    pub fn outdated(&self, uid: &str) {
        if let Some(slot) = lock(&self.0).get(uid).cloned() {
            slot.cancel();
        }
    }

    /// An object is gone, and so is memory of it.
    pub fn gone(&self, uid: &str) {
        if let Some(slot) = lock(&self.0).remove(uid) {
            slot.cancel();
        }
    }
}

impl Slot {
    /// A pass begins; the token tells it when it is out of date.
    pub fn begin(&self, object: &Watched, cancel: CancellationToken) {
        *lock(&self.moved) = Some((resource(&object.metadata), Instant::now()));
        *lock(&self.finalizer) |= object.has_finalizer();
        *lock(&self.running) = Some((object.trigger(), cancel));
    }

    /// The pass did something.
    pub fn moved(&self) {
        if let Some((_, at)) = &mut *lock(&self.moved) {
            *at = Instant::now();
        }
    }

    /// The pass is over.
    pub fn end(&self) {
        *lock(&self.moved) = None;
        *lock(&self.running) = None;
    }

    fn cancel(&self) {
        if let Some((_, cancel)) = &*lock(&self.running) {
            cancel.cancel();
        }
    }

    /// We are about to take our finalizer off.
    pub fn takes_finalizer_off(&self) {
        *lock(&self.finalizer) = false;
    }

    /// Remembers a write until the watch has shown it. One of something else than the status leaves the status as it was.
    pub fn wrote(&self, write: Written) {
        let mut written = lock(&self.written);
        let status = write.status.or_else(|| written.take().and_then(|before| before.status));
        *written = Some(Written { status, ..write });
    }

    /// What stands in the cluster: the watch's, or ours where the watch lags behind.
    pub fn standing(&self, object: &Watched) -> Standing {
        let written = lock(&self.written);
        match &*written {
            Some(Written { version, status, has_finalizer }) if number(&version.0) > object.version() => Standing {
                version: version.clone(),
                status: status.as_ref().or_else(|| object.status()).cloned(),
                has_finalizer: *has_finalizer,
            },
            _ => Standing {
                version: Version(object.metadata.resource_version.clone().unwrap_or_default()),
                status: object.status().cloned(),
                has_finalizer: object.has_finalizer(),
            },
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
        with_finalizers(version, generation, &[])
    }

    fn with_finalizers(version: u64, generation: i64, finalizers: &[&str]) -> Watched {
        let metadata = serde_json::json!({
            "uid": "u", "generation": generation, "resourceVersion": version.to_string(), "finalizers": finalizers,
        });
        let status = serde_json::json!({"observedGeneration": version});
        serde_json::from_str(&serde_json::json!({"metadata": metadata, "status": status}).to_string()).unwrap()
    }

    fn written(version: u64, observed: Option<i64>, has_finalizer: bool) -> Written {
        let status = observed
            .map(|it| ChannelMembershipStatus { observed_generation: Some(it), ..ChannelMembershipStatus::default() });
        Written { version: Version(version.to_string()), status, has_finalizer }
    }

    fn observed(standing: &Standing) -> Option<i64> {
        standing.status.as_ref().unwrap().observed_generation
    }

    #[test]
    fn a_status_of_ours_stands_until_the_watch_has_shown_it() {
        let (slots, old) = (Slots::default(), object(4, 1));
        let slot = slots.of(&old);
        slot.wrote(written(5, Some(55), false));
        slots.applied(&old.shown());
        let standing = slot.standing(&old);
        assert_eq!((observed(&standing), &*standing.version.0), (Some(55), "5"), "the watch lags behind");
        slots.applied(&object(5, 1).shown());
        let standing = slot.standing(&object(6, 1));
        assert_eq!((observed(&standing), &*standing.version.0), (Some(6), "6"), "somebody else wrote since");
    }

    #[test]
    fn a_finalizer_of_ours_stands_with_the_status_written_before_it() {
        let (slots, old) = (Slots::default(), object(4, 1));
        let slot = slots.of(&old);
        slot.wrote(written(5, None, true));
        assert_eq!((observed(&slot.standing(&old)), slot.standing(&old).has_finalizer), (Some(4), true));
        slot.wrote(written(6, Some(66), true));
        slot.wrote(written(7, None, false));
        let standing = slot.standing(&old);
        assert_eq!((observed(&standing), standing.has_finalizer, &*standing.version.0), (Some(66), false, "7"));
    }

    #[test]
    fn a_pass_ends_early_when_its_object_changes_and_not_when_its_status_does() {
        let (slots, first) = (Slots::default(), object(4, 1));
        let cancel = CancellationToken::new();
        slots.of(&first).begin(&first, cancel.clone());
        slots.applied(&object(5, 1).shown());
        assert!(!cancel.is_cancelled());
        slots.applied(&object(6, 2).shown());
        assert!(cancel.is_cancelled());
    }

    #[test]
    fn that_somebody_takes_our_finalizer_off_is_news_and_that_we_do_is_none() {
        const OURS: &[&str] = &[crate::api::FINALIZER];
        let (slots, first) = (Slots::default(), object(4, 1));
        let slot = slots.of(&first);
        let cancel = CancellationToken::new();
        slot.begin(&first, cancel.clone());
        assert!(!slots.applied(&with_finalizers(5, 1, OURS).shown()), "we put it on");
        assert!(!cancel.is_cancelled());
        slot.takes_finalizer_off();
        assert!(!slots.applied(&object(6, 1).shown()), "we take it off");
        assert!(!cancel.is_cancelled());
        assert!(!slots.applied(&with_finalizers(7, 1, OURS).shown()));
        assert!(slots.applied(&object(8, 1).shown()), "somebody else takes it off");
        assert!(cancel.is_cancelled());
    }
}
