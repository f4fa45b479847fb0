//! The reconciles in flight, the session of each resource, and our writes that the watch has not
//! shown yet.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::object::{Trigger, WatchEvent, WatchedObject, version_number};
use crate::api::ChannelMembershipStatus;
use crate::api::metadata::resource;
use crate::engine::session::Session;
use crate::engine::store::Version;

/// The states of all objects of one watch, by UID: an object that is created again under an old
/// name begins with none.
#[derive(Debug, Default)]
pub(super) struct ObjectStates(Mutex<HashMap<String, Arc<ObjectState>>>);

/// The state of one object.
#[derive(Debug, Default)]
pub(super) struct ObjectState {
    /// Locked by the reconcile in flight; there is at most one.
    pub session: tokio::sync::Mutex<Session>,
    running: Mutex<Option<(Trigger, CancellationToken)>>,
    pending_write: Mutex<Option<PendingWrite>>,
    /// True if the resource has our finalizer and we are not about to remove it.
    expects_finalizer: Mutex<bool>,
    /// The resource of the reconcile in flight, and the time of its last activity.
    last_activity: Mutex<Option<(String, Instant)>>,
}

/// A write of ours that the watch has not shown yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PendingWrite {
    /// The version that the write created.
    pub version: Version,
    /// The status, if the write was of a status.
    pub status: Option<ChannelMembershipStatus>,
    /// True if the resource had our finalizer after the write.
    pub has_finalizer: bool,
}

/// The newest known version of a resource, with its status.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ObjectView {
    pub version: Version,
    pub status: Option<ChannelMembershipStatus>,
    pub has_finalizer: bool,
}

impl ObjectStates {
    /// Returns the state of an object, and creates it if it is new.
    pub fn state_of(&self, object: &WatchedObject) -> Arc<ObjectState> {
        let uid = object.metadata.uid.clone().unwrap_or_default();
        Arc::clone(self.0.lock().entry(uid).or_default())
    }

    /// Records an object that the watch shows. A reconcile of an older version is cancelled, and a
    /// pending write that the watch now shows is dropped. Returns whether another client removed
    /// our finalizer; our own removal does not count.
    pub fn observe(&self, shown: &WatchEvent) -> bool {
        let Some(state) = self.0.lock().get(&shown.uid).cloned() else { return false };
        let removed =
            std::mem::replace(&mut *state.expects_finalizer.lock(), shown.has_finalizer) && !shown.has_finalizer;
        if let Some((running, cancel)) = &*state.running.lock()
            && (removed || *running != shown.trigger)
        {
            cancel.cancel();
        }
        state.pending_write.lock().take_if(|written| version_number(&written.version.0) <= shown.version);
        removed
    }

    /// Describes a reconcile without activity for longer than `limit`.
    pub fn stuck_reconcile(&self, limit: Duration) -> Option<String> {
        let states: Vec<Arc<ObjectState>> = self.0.lock().values().cloned().collect();
        states.iter().find_map(|state| {
            let last_activity = state.last_activity.lock();
            let (resource, at) = last_activity.as_ref().filter(|(_, at)| at.elapsed() > limit)?;
            Some(format!("the reconcile of {resource} is stuck for {} s", at.elapsed().as_secs()))
        })
    }

    /// Cancels the reconcile in flight: something that it depends on has changed.
    pub fn cancel(&self, uid: &str) {
        if let Some(state) = self.0.lock().get(uid).cloned() {
            state.cancel();
        }
    }

    /// Removes the state of a deleted object and cancels its reconcile.
    pub fn forget(&self, uid: &str) {
        if let Some(state) = self.0.lock().remove(uid) {
            state.cancel();
        }
    }
}

impl ObjectState {
    /// Records that a reconcile begins. `cancel` is cancelled when the object changes.
    pub fn begin(&self, object: &WatchedObject, cancel: CancellationToken) {
        *self.last_activity.lock() = Some((resource(&object.metadata), Instant::now()));
        *self.expects_finalizer.lock() |= object.has_finalizer();
        *self.running.lock() = Some((object.trigger(), cancel));
    }

    /// Records activity of the reconcile.
    pub fn touch(&self) {
        if let Some((_, at)) = &mut *self.last_activity.lock() {
            *at = Instant::now();
        }
    }

    /// Records that the reconcile ended.
    pub fn end(&self) {
        *self.last_activity.lock() = None;
        *self.running.lock() = None;
    }

    fn cancel(&self) {
        if let Some((_, cancel)) = &*self.running.lock() {
            cancel.cancel();
        }
    }

    /// Records that we are about to remove our finalizer.
    pub fn expect_finalizer_removal(&self) {
        *self.expects_finalizer.lock() = false;
    }

    /// Records a write until the watch shows it. A write without a status leaves the pending status
    /// as it was.
    pub fn record_write(&self, write: PendingWrite) {
        let mut written = self.pending_write.lock();
        let status = write.status.or_else(|| written.take().and_then(|before| before.status));
        *written = Some(PendingWrite { status, ..write });
    }

    /// Returns the newest known version: that of the watch, or our own write if the watch lags
    /// behind.
    pub fn view(&self, object: &WatchedObject) -> ObjectView {
        let written = self.pending_write.lock();
        match &*written {
            Some(PendingWrite { version, status, has_finalizer }) if version_number(&version.0) > object.version() => {
                ObjectView {
                    version: version.clone(),
                    status: status.as_ref().or_else(|| object.status()).cloned(),
                    has_finalizer: *has_finalizer,
                }
            }
            _ => ObjectView {
                version: Version(object.metadata.resource_version.clone().unwrap_or_default()),
                status: object.status().cloned(),
                has_finalizer: object.has_finalizer(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(version: u64, generation: i64) -> WatchedObject {
        with_finalizers(version, generation, &[])
    }

    fn with_finalizers(version: u64, generation: i64, finalizers: &[&str]) -> WatchedObject {
        let metadata = serde_json::json!({
            "uid": "u", "generation": generation, "resourceVersion": version.to_string(), "finalizers": finalizers,
        });
        let status = serde_json::json!({"observedGeneration": version});
        serde_json::from_str(&serde_json::json!({"metadata": metadata, "status": status}).to_string()).unwrap()
    }

    fn written(version: u64, observed: Option<i64>, has_finalizer: bool) -> PendingWrite {
        let status = observed
            .map(|it| ChannelMembershipStatus { observed_generation: Some(it), ..ChannelMembershipStatus::default() });
        PendingWrite { version: Version(version.to_string()), status, has_finalizer }
    }

    fn observed(view: &ObjectView) -> Option<i64> {
        view.status.as_ref().unwrap().observed_generation
    }

    #[test]
    fn our_status_counts_until_the_watch_shows_it() {
        let (states, old) = (ObjectStates::default(), object(4, 1));
        let state = states.state_of(&old);
        state.record_write(written(5, Some(55), false));
        states.observe(&old.watch_event());
        let view = state.view(&old);
        assert_eq!((observed(&view), &*view.version.0), (Some(55), "5"), "the watch lags behind");
        states.observe(&object(5, 1).watch_event());
        let view = state.view(&object(6, 1));
        assert_eq!((observed(&view), &*view.version.0), (Some(6), "6"), "another client wrote since");
    }

    #[test]
    fn our_finalizer_counts_with_the_status_written_before_it() {
        let (states, old) = (ObjectStates::default(), object(4, 1));
        let state = states.state_of(&old);
        state.record_write(written(5, None, true));
        assert_eq!((observed(&state.view(&old)), state.view(&old).has_finalizer), (Some(4), true));
        state.record_write(written(6, Some(66), true));
        state.record_write(written(7, None, false));
        let view = state.view(&old);
        assert_eq!((observed(&view), view.has_finalizer, &*view.version.0), (Some(66), false, "7"));
    }

    #[test]
    fn reconcile_is_cancelled_when_its_spec_changes_but_not_its_status() {
        let (states, first) = (ObjectStates::default(), object(4, 1));
        let cancel = CancellationToken::new();
        states.state_of(&first).begin(&first, cancel.clone());
        states.observe(&object(5, 1).watch_event());
        assert!(!cancel.is_cancelled());
        states.observe(&object(6, 2).watch_event());
        assert!(cancel.is_cancelled());
    }

    #[test]
    fn finalizer_removal_is_reported_unless_we_did_it() {
        const OURS: &[&str] = &[crate::api::FINALIZER];
        let (states, first) = (ObjectStates::default(), object(4, 1));
        let state = states.state_of(&first);
        let cancel = CancellationToken::new();
        state.begin(&first, cancel.clone());
        assert!(!states.observe(&with_finalizers(5, 1, OURS).watch_event()), "we add it");
        assert!(!cancel.is_cancelled());
        state.expect_finalizer_removal();
        assert!(!states.observe(&object(6, 1).watch_event()), "we remove it");
        assert!(!cancel.is_cancelled());
        assert!(!states.observe(&with_finalizers(7, 1, OURS).watch_event()));
        assert!(states.observe(&object(8, 1).watch_event()), "another client removes it");
        assert!(cancel.is_cancelled());
    }
}
