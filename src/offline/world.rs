//! How are resources that stand in files written to, without an API server?
//!
//! A [`World`] keeps the rules of one that the engine leans on: a write is of one UID and, where it says so, of one version; every change
//! makes a new version; the last finalizer of a deleted resource ends it. Where it has a state on disk, a write is done when it is there:
//! those that come while one is being written go there together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::object::Object;
use super::scene::Scene;
use super::state_file::{StateError, StateFile};
use super::state_text;
use crate::api::metadata::{annotation, has_finalizer};
use crate::api::{ChannelMembershipStatus, FINALIZER};
use crate::engine::resource::Resource;
use crate::engine::store::{Event, Store, StoreError, Version, Wake};
use crate::membership::arn::ChannelArn;

/// Resources, as an API server would hold them.
pub struct World {
    state: Mutex<State>,
    disk: Option<Arc<tokio::sync::Mutex<Disk>>>,
    broken: CancellationToken,
}

#[derive(Default)]
struct State {
    /// The resources as they stood before the change, by channel.
    before: BTreeMap<String, Vec<Resource>>,
    /// By `namespace/name`.
    objects: BTreeMap<String, Arc<Object>>,
    /// What was told of a resource last.
    told: BTreeMap<String, Event>,
    /// The last version that was given out.
    version: u64,
    /// The objects as they are written to disk, by `namespace/name`; those that changed since are missing.
    texts: BTreeMap<String, Arc<str>>,
    /// What their sources hold, as that is written.
    sources: Vec<Arc<str>>,
}

/// The state on disk. Whoever has this writes it.
struct Disk {
    file: StateFile,
    /// The version up to which it has everything.
    version: Option<u64>,
    /// Why it could not be written. Then it is not written again: what is in memory is ahead of it.
    failure: Option<StateError>,
}

impl World {
    /// A world of the resources that are in force after the change of a scene, and their state on disk, if they have one. Those that
    /// are deleted and have nothing to do any more are not in it.
    pub fn new(scene: Scene, file: Option<StateFile>) -> Arc<Self> {
        let mut state = State::default();
        for object in scene.old.values() {
            state.before.entry(object.channel().to_owned()).or_default().push(object.last_seen());
        }
        let numbers = scene.new.values().filter_map(|member| member.object.version().0.parse().ok());
        state.version = numbers.max().unwrap_or_default();
        for (resource, member) in scene.new {
            let mut object = member.object;
            if member.change.is_some() {
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

    /// Writes all of it to disk for the first time.
    ///
    /// # Errors
    /// If that fails; then nothing must be done that it should have recorded.
    pub async fn begin(&self) -> Result<(), StoreError> {
        if self.disk.is_some() {
            let objects = self.objects();
            let maps = state_text::config_maps(objects.iter().map(|object| &**object));
            let texts: Result<Vec<Arc<str>>, _> =
                maps.iter().map(|map| state_text::item(map).map(Into::into)).collect();
            self.lock().sources = texts.map_err(|error| StoreError::Refused(error.to_string()))?;
        }
        let version = self.lock().version;
        self.kept(version).await
    }

    /// A resource as it is now, by `namespace/name`.
    pub fn get(&self, resource: &str) -> Option<Arc<Object>> {
        self.lock().objects.get(resource).cloned()
    }

    /// The resources as they stood before the change, by channel; once.
    pub(super) fn take_before(&self) -> BTreeMap<String, Vec<Resource>> {
        std::mem::take(&mut self.lock().before)
    }

    /// All resources as they are now, sorted by `namespace/name`.
    pub fn objects(&self) -> Vec<Arc<Object>> {
        self.lock().objects.values().cloned().collect()
    }

    /// What was told of a resource last.
    pub fn told(&self, resource: &str) -> Option<Event> {
        self.lock().told.get(resource).cloned()
    }

    /// Cancelled when the state could not be written: then nothing more is recorded, so nothing more should be done.
    pub fn broken(&self) -> &CancellationToken {
        &self.broken
    }

    /// Why the state could not be written.
    pub async fn failure(&self) -> Option<StateError> {
        match &self.disk {
            Some(disk) => disk.lock().await.failure.take(),
            None => None,
        }
    }

    /// A store of one of its resources; `wake` is by what others of its channel have it looked at again.
    pub fn store(self: &Arc<Self>, object: &Object, wake: Wake) -> WorldStore {
        WorldStore {
            world: Arc::clone(self),
            resource: object.full_name().to_owned(),
            uid: object.uid().to_owned(),
            wake,
        }
    }

    /// Sets an annotation of a resource. Gives whether that changed anything.
    ///
    /// # Errors
    /// If it could not be written to disk, or the resource is gone.
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
            let mut state = self.lock();
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
        self.kept(version).await?;
        Ok(Version(version.to_string()))
    }

    /// When this returns, everything up to `version` is on disk.
    async fn kept(&self, version: u64) -> Result<(), StoreError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let mut disk = Arc::clone(disk).lock_owned().await;
        if let Some(failure) = &disk.failure {
            return Err(StoreError::Unavailable(failure.to_string()));
        }
        // Another one's write took this one's along.
        if disk.version.is_some_and(|written| written >= version) {
            return Ok(());
        }
        let (text, version) = self.lock().text().map_err(|error| StoreError::Refused(error.to_string()))?;
        let broken = self.broken.clone();
        // What is being written is written to its end, whatever becomes of whoever waits for it.
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

    /// A poisoned lock is taken all the same: each change under it is made in one step.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// All of it as it is written, and the version that it is of.
    fn text(&mut self) -> Result<(Vec<Arc<str>>, u64), serde_yaml::ser_error::Error> {
        let is_empty = self.objects.is_empty() && self.sources.is_empty();
        let mut text: Vec<Arc<str>> = vec![state_text::list(!is_empty).into()];
        for (resource, object) in &self.objects {
            if !self.texts.contains_key(resource) {
                // That of an object that came out of a state, or out of a checked file, can be read.
                let Some(manifest) = object.manifest() else { continue };
                self.texts.insert(resource.clone(), state_text::item(&manifest)?.into());
            }
            text.extend(self.texts.get(resource).cloned());
        }
        text.extend(self.sources.iter().cloned());
        Ok((text, self.version))
    }
}

/// Whether it is deleted and nothing holds it back.
fn has_ended(object: &Object) -> bool {
    let metadata = &object.metadata;
    metadata.deletion_timestamp.is_some() && metadata.finalizers.as_ref().is_none_or(Vec::is_empty)
}

/// One resource of a world, to write to.
pub struct WorldStore {
    world: Arc<World>,
    resource: String,
    uid: String,
    wake: Wake,
}

impl WorldStore {
    /// The resource, by `namespace/name`.
    pub fn resource(&self) -> &str {
        &self.resource
    }
}

impl Store for WorldStore {
    async fn write_status(
        &mut self,
        status: &ChannelMembershipStatus,
        basis: Option<&Version>,
    ) -> Result<Version, StoreError> {
        self.world.change(&self.resource, &self.uid, basis, |object| object.status = Some(status.clone())).await
    }

    async fn set_finalizer(&mut self, present: bool, basis: &Version) -> Result<Version, StoreError> {
        let change = |object: &mut Object| {
            if has_finalizer(&object.metadata) != present {
                let finalizers = object.metadata.finalizers.get_or_insert_default();
                finalizers.retain(|finalizer| finalizer != FINALIZER);
                finalizers.extend(present.then(|| FINALIZER.to_owned()));
            }
        };
        match self.world.change(&self.resource, &self.uid, Some(basis), change).await {
            // Nothing is left that it could be on.
            Err(StoreError::Gone) if !present => Ok(basis.clone()),
            changed => changed,
        }
    }

    async fn resources_of(&mut self, channel: &ChannelArn) -> Result<Vec<Resource>, StoreError> {
        let objects = self.world.objects();
        let of_channel = objects.iter().filter(|object| object.channel() == channel.as_str());
        Ok(of_channel.map(|object| object.resource()).collect())
    }

    async fn publish(&mut self, event: Event) {
        self.world.lock().told.insert(self.resource.clone(), event);
    }

    fn wake(&self) -> Wake {
        Arc::clone(&self.wake)
    }
}
