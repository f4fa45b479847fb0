//! An API server in memory for resources of files.
//!
//! A [`LocalCluster`] keeps the rules that the engine relies on. A write is bound to one UID and,
//! if it says so, to one version. Every change creates a new version. A deleted resource ends with
//! its last finalizer. If the cluster has a state on disk, a write is done once it is on disk.
//! Writes that come during a write of the file go to disk together.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::change_set::ChangeSet;
use super::object::Object;
use super::state_file::{StateError, StateFile};
use super::state_text;
use crate::api::metadata::{annotation, has_finalizer};
use crate::api::{ChannelMembershipStatus, FINALIZER};
use crate::engine::resource::Resource;
use crate::engine::store::{Event, Store, StoreError, Version, Wake};
use crate::membership::arn::ChannelArn;

/// Resources as an API server would hold them.
pub struct LocalCluster {
    state: Mutex<LocalState>,
    disk: Option<Arc<tokio::sync::Mutex<Disk>>>,
    broken: CancellationToken,
}

#[derive(Default)]
struct LocalState {
    /// The resources before the change, by channel.
    before: BTreeMap<String, Vec<Resource>>,
    /// The resources by `namespace/name`.
    objects: BTreeMap<String, Arc<Object>>,
    /// The last event of each resource.
    events: BTreeMap<String, Event>,
    /// The last version that was assigned.
    version: u64,
    /// The objects as they are written to disk, by `namespace/name`, without those that changed
    /// since.
    texts: BTreeMap<String, Arc<str>>,
    /// The contents of their sources, as they are written.
    sources: Vec<Arc<str>>,
}

/// The state on disk. The holder of its lock writes it.
struct Disk {
    file: StateFile,
    /// The last version that is on disk.
    version: Option<u64>,
    /// The reason of a failed write. Then it is not written again, because the memory is ahead of
    /// it.
    failure: Option<StateError>,
}

impl LocalCluster {
    /// Creates a cluster of the resources after a change, with their state on disk if they have
    /// one. A deleted resource without a finalizer is left out.
    pub fn new(change_set: ChangeSet, file: Option<StateFile>) -> Arc<Self> {
        let mut state = LocalState::default();
        for object in change_set.old.values() {
            state.before.entry(object.channel().to_owned()).or_default().push(object.last_seen());
        }
        let numbers = change_set.new.values().filter_map(|entry| entry.object.version().0.parse().ok());
        state.version = numbers.max().unwrap_or_default();
        for (resource, entry) in change_set.new {
            let mut object = entry.object;
            if entry.change.is_some() {
                state.version += 1;
                object.set_version(Version(state.version.to_string()));
            }
            if !has_ended(&object) {
                state.objects.insert(resource, Arc::new(object));
            }
        }
        let disk = file.map(|file| Arc::new(tokio::sync::Mutex::new(Disk { file, version: None, failure: None })));
        Arc::new(Self { state: Mutex::new(state), disk, broken: CancellationToken::new() })
    }

    /// Writes everything to disk for the first time.
    ///
    /// # Errors
    /// Fails if the write fails; then nothing may be done that it should have recorded.
    pub async fn begin(&self) -> Result<(), StoreError> {
        if self.disk.is_some() {
            let objects = self.objects();
            let maps = state_text::config_maps(objects.iter().map(|object| &**object));
            let texts: Result<Vec<Arc<str>>, _> =
                maps.iter().map(|map| state_text::item(map).map(Into::into)).collect();
            self.state.lock().sources = texts.map_err(|error| StoreError::Refused(error.to_string()))?;
        }
        let version = self.state.lock().version;
        self.flush(version).await
    }

    /// Returns the current version of a resource, by `namespace/name`.
    pub fn get(&self, resource: &str) -> Option<Arc<Object>> {
        self.state.lock().objects.get(resource).cloned()
    }

    /// Takes the resources before the change, by channel. A second call returns nothing.
    pub(super) fn take_before(&self) -> BTreeMap<String, Vec<Resource>> {
        std::mem::take(&mut self.state.lock().before)
    }

    /// Returns the current version of all resources, sorted by `namespace/name`.
    pub fn objects(&self) -> Vec<Arc<Object>> {
        self.state.lock().objects.values().cloned().collect()
    }

    /// Returns the last event of a resource.
    pub fn last_event(&self, resource: &str) -> Option<Event> {
        self.state.lock().events.get(resource).cloned()
    }

    /// Returns a token that is cancelled when the state could not be written. Then nothing more is
    /// recorded, so nothing more may be done.
    pub fn broken(&self) -> &CancellationToken {
        &self.broken
    }

    /// Returns the reason that the state could not be written.
    pub async fn failure(&self) -> Option<StateError> {
        match &self.disk {
            Some(disk) => disk.lock().await.failure.take(),
            None => None,
        }
    }

    /// Returns the store of a resource. Other resources of the channel call `wake` to have it
    /// reconciled again.
    pub fn store(self: &Arc<Self>, object: &Object, wake: Wake) -> LocalStore {
        LocalStore {
            cluster: Arc::clone(self),
            resource: object.full_name().to_owned(),
            uid: object.uid().to_owned(),
            wake,
        }
    }

    /// Sets an annotation of a resource. Returns whether it changed anything.
    ///
    /// # Errors
    /// Fails if the change could not be written to disk, or if the resource is gone.
    pub async fn annotate(&self, resource: &str, key: &str, value: &str) -> Result<bool, StoreError> {
        let object = self.get(resource).ok_or(StoreError::Gone)?;
        if annotation(&object.metadata, key) == Some(value) {
            return Ok(false);
        }
        let annotate = |object: &mut Object| {
            object.metadata.annotations.get_or_insert_default().insert(key.to_owned(), value.to_owned());
        };
        self.change(resource, object.uid(), None, annotate).await.map(|_| true)
    }

    async fn change(
        &self,
        resource: &str,
        uid: &str,
        basis: Option<&Version>,
        change: impl FnOnce(&mut Object),
    ) -> Result<Version, StoreError> {
        let version = {
            let mut state = self.state.lock();
            let before = state.objects.get(resource).filter(|object| object.uid() == uid).ok_or(StoreError::Gone)?;
            if basis.is_some_and(|basis| basis != before.version()) {
                return Err(StoreError::Conflict);
            }
            let mut object = Object::clone(before);
            change(&mut object);
            state.version += 1;
            object.set_version(Version(state.version.to_string()));
            state.texts.remove(resource);
            if has_ended(&object) {
                state.objects.remove(resource);
            } else {
                state.objects.insert(resource.to_owned(), Arc::new(object));
            }
            state.version
        };
        self.flush(version).await?;
        Ok(Version(version.to_string()))
    }

    /// Writes everything up to `version` to disk, unless it is there already.
    async fn flush(&self, version: u64) -> Result<(), StoreError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let mut disk = Arc::clone(disk).lock_owned().await;
        if let Some(failure) = &disk.failure {
            return Err(StoreError::Unavailable(failure.to_string()));
        }
        // The write of another resource included this one.
        if disk.version.is_some_and(|written| written >= version) {
            return Ok(());
        }
        let (text, version) = self.state.lock().text().map_err(|error| StoreError::Refused(error.to_string()))?;
        let broken = self.broken.clone();
        // A write that has begun goes to its end, even if its caller is cancelled.
        let written = tokio::task::spawn_blocking(move || match disk.file.replace(&text) {
            Ok(()) => {
                disk.version = Some(version);
                Ok(())
            }
            Err(error) => {
                let why = error.to_string();
                disk.failure = Some(error);
                broken.cancel();
                Err(StoreError::Unavailable(why))
            }
        });
        written.await.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
    }
}

impl LocalState {
    /// Returns the whole text to write, and its version.
    fn text(&mut self) -> Result<(Vec<Arc<str>>, u64), serde_yaml::ser_error::Error> {
        let is_empty = self.objects.is_empty() && self.sources.is_empty();
        let mut text: Vec<Arc<str>> = vec![state_text::list(!is_empty).into()];
        for (resource, object) in &self.objects {
            if !self.texts.contains_key(resource) {
                // The spec of an object from a state or from a checked file can be read.
                let Some(manifest) = object.manifest() else { continue };
                self.texts.insert(resource.clone(), state_text::item(&manifest)?.into());
            }
            text.extend(self.texts.get(resource).cloned());
        }
        text.extend(self.sources.iter().cloned());
        Ok((text, self.version))
    }
}

/// Returns whether the resource is deleted and has no finalizer.
fn has_ended(object: &Object) -> bool {
    let metadata = &object.metadata;
    metadata.deletion_timestamp.is_some() && metadata.finalizers.as_ref().is_none_or(Vec::is_empty)
}

/// The store of one resource of a local cluster.
pub struct LocalStore {
    cluster: Arc<LocalCluster>,
    resource: String,
    uid: String,
    wake: Wake,
}

impl LocalStore {
    /// Returns the resource as `namespace/name`.
    pub fn resource(&self) -> &str {
        &self.resource
    }
}

impl Store for LocalStore {
    async fn write_status(
        &mut self,
        status: &ChannelMembershipStatus,
        basis: Option<&Version>,
    ) -> Result<Version, StoreError> {
        self.cluster.change(&self.resource, &self.uid, basis, |object| object.status = Some(status.clone())).await
    }

    async fn set_finalizer(&mut self, present: bool, basis: &Version) -> Result<Version, StoreError> {
        let change = |object: &mut Object| {
            if has_finalizer(&object.metadata) != present {
                let finalizers = object.metadata.finalizers.get_or_insert_default();
                finalizers.retain(|finalizer| finalizer != FINALIZER);
                finalizers.extend(present.then(|| FINALIZER.to_owned()));
            }
        };
        match self.cluster.change(&self.resource, &self.uid, Some(basis), change).await {
            // The object is gone, and its finalizers with it.
            Err(StoreError::Gone) if !present => Ok(basis.clone()),
            changed => changed,
        }
    }

    async fn resources_of(&mut self, channel: &ChannelArn) -> Result<Vec<Resource>, StoreError> {
        let objects = self.cluster.objects();
        let of_channel = objects.iter().filter(|object| object.channel() == channel.as_str());
        Ok(of_channel.map(|object| object.resource()).collect())
    }

    async fn publish(&mut self, event: Event) {
        self.cluster.state.lock().events.insert(self.resource.clone(), event);
    }

    fn wake(&self) -> Wake {
        Arc::clone(&self.wake)
    }
}
