//! Somebody at a desk, with manifests, a state on disk and `rollcall apply`.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::settings;
use crate::api::{ChannelMembershipSpec, ChannelMembershipStatus};
use crate::chime::client::Client;
use crate::chime::rate_limit::{RateLimiter, Rates};
use crate::engine::Engine;
use crate::engine::resource::Resource;
use crate::engine::settings::RemovalSwitch;
use crate::engine::store::{Event, Store, StoreError, Version, Wake};
use crate::engine::tests::operator::LATENCY;
use crate::engine::tests::process::Process;
use crate::engine::tests::world::{TestWorld as Service, spec};
use crate::manifests::{self, Input, Manifests};
use crate::membership::arn::ChannelArn;
use crate::offline::admission;
use crate::offline::object::Object;
use crate::offline::passes::{End, Passes, Terms};
use crate::offline::plan::Plan;
use crate::offline::scene::{Origin, Scene};
use crate::offline::state_file::{StateError, StateFile};
use crate::offline::world::{World, WorldStore};

/// A state, manifests, and the service.
pub struct Desk {
    pub service: Service,
    pub files: BTreeMap<String, ChannelMembershipSpec>,
    pub prune: bool,
    pub removes: bool,
    pub approved: Vec<String>,
    pub timeout: Duration,
    pub folder: TempDir,
}

/// In memory, where there is such a folder: hundreds of lives are written to it and synced.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A resource's store, each write of which is an effect of a process.
struct Fated {
    inner: WorldStore,
    process: Process,
    resource: String,
}

impl Fated {
    async fn effect<T: Send>(
        process: &Process,
        what: String,
        effect: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        process.run_effect(what, effect, || Err(StoreError::Unavailable("as the test has it".to_owned()))).await
    }
}

impl Store for Fated {
    async fn write_status(
        &mut self,
        status: &ChannelMembershipStatus,
        basis: Option<&Version>,
    ) -> Result<Version, StoreError> {
        let what = format!("status of {}", self.resource);
        Self::effect(&self.process, what, self.inner.write_status(status, basis)).await
    }

    async fn set_finalizer(&mut self, present: bool, basis: &Version) -> Result<Version, StoreError> {
        let what = format!("finalizer of {}", self.resource);
        Self::effect(&self.process, what, self.inner.set_finalizer(present, basis)).await
    }

    async fn resources_of(&mut self, channel: &ChannelArn) -> Result<Vec<Resource>, StoreError> {
        self.inner.resources_of(channel).await
    }

    async fn publish(&mut self, event: Event) {
        self.inner.publish(event).await;
    }

    fn wake(&self) -> Wake {
        self.inner.wake()
    }
}

impl Desk {
    pub fn new() -> Self {
        Self::at(Service::new())
    }

    pub fn at(service: Service) -> Self {
        Self {
            service,
            files: BTreeMap::new(),
            prune: false,
            removes: true,
            approved: Vec::new(),
            timeout: Duration::from_mins(30),
            folder: folder(),
        }
    }

    /// Somebody writes a manifest that declares these for the channel `support`.
    pub fn write<T: AsRef<str>>(
        &mut self,
        resource: &str,
        members: impl IntoIterator<Item = T>,
        change: impl FnOnce(&mut ChannelMembershipSpec),
    ) {
        let mut spec = spec(members);
        change(&mut spec);
        self.files.insert(resource.to_owned(), spec);
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("state.yaml")
    }

    /// Hundreds of lives have the same manifests, and checking them takes longer than the rest.
    fn manifests(&self) -> Manifests {
        static CHECKED: Mutex<BTreeMap<String, Manifests>> = Mutex::new(BTreeMap::new());
        let mut checked = CHECKED.lock().unwrap_or_else(PoisonError::into_inner);
        let key = serde_json::to_string(&self.files).unwrap();
        checked.entry(key).or_insert_with(|| super::files(&self.files)).clone()
    }

    pub fn state(&self) -> Manifests {
        if !StateFile::look(&self.path()).unwrap() {
            return Manifests::default();
        }
        manifests::read_state(&[Input::Path(self.path())], "default").unwrap()
    }

    /// A resource as it stands in the state.
    pub fn find(&self, resource: &str) -> Option<Object> {
        let state = self.state();
        let objects = state.memberships.iter().map(|it| Object::written(&it.object, self.service.clock.now()));
        objects.into_iter().find(|object| object.full_name() == resource)
    }

    pub fn status(&self, resource: &str) -> ChannelMembershipStatus {
        self.find(resource).unwrap_or_else(|| panic!("there is no {resource}")).status.unwrap()
    }

    /// Why a resource is Ready, or is not.
    pub fn reason(&self, resource: &str) -> String {
        self.status(resource).conditions.first().map(|ready| ready.reason.clone()).unwrap_or_default()
    }

    pub fn scene(&self) -> Scene {
        let (files, mut state) = (self.manifests(), self.state());
        admission::put_back(&files, &mut state);
        let now = self.service.clock.now();
        let mut scene = Scene::new(&files, &Origin::State(state), self.prune, &settings(), now);
        admission::admit(&mut scene, &self.approved, now);
        scene
    }

    pub async fn plan(&self) -> Plan {
        let service = Arc::new(self.service.service_port(&Process::with_latency(LATENCY)));
        let client = Client::new(service, Arc::new(RateLimiter::new(Rates::UNLIMITED, NonZeroU16::MAX))).read_only();
        let engine = Engine::new(client, settings(), self.service.clock, CancellationToken::new());
        crate::offline::forecast::plan(&engine, &self.scene(), &Rates::default(), |_, _| {}).await
    }

    /// Runs it, to its end.
    pub async fn apply(&self) -> End {
        self.apply_until(&CancellationToken::new()).await
    }

    /// Runs it, and stops it when `stop` says so.
    pub async fn apply_until(&self, stop: &CancellationToken) -> End {
        self.apply_as(Process::with_latency(LATENCY), stop).await.expect("this process does not die")
    }

    /// Runs it in a process that may die.
    pub async fn apply_as(&self, process: Process, stop: &CancellationToken) -> Option<End> {
        let end = self.run(&process, stop);
        tokio::select! {
            end = end => Some(end),
            () = process.died() => None,
        }
    }

    /// Takes hold of the state. A process that was killed may still be writing it.
    pub async fn open(&self) -> Result<StateFile, StateError> {
        for _ in 0..1000 {
            match StateFile::open(&self.path()) {
                Err(StateError::Locked(_)) => tokio::time::sleep(Duration::from_millis(1)).await,
                opened => return opened,
            }
        }
        StateFile::open(&self.path())
    }

    async fn run(&self, process: &Process, stop: &CancellationToken) -> End {
        let file = self.open().await.unwrap();
        let scene = self.scene();
        let resources: Vec<String> = scene.concerned().map(|member| member.object.full_name().to_owned()).collect();
        let world = World::new(scene, Some(file));
        let begun = process.run_effect("state".to_owned(), world.begin(), || Err(StoreError::Gone)).await;
        if begun.is_err() {
            return End::Broken;
        }
        let removes = self.removes;
        let mut settings = settings();
        settings.resync_interval = Duration::from_hours(24);
        settings.min_resync_interval = Duration::from_hours(24);
        settings.removals = RemovalSwitch::new(move || removes);
        let service = Arc::new(self.service.service_port(process));
        let client = Client::new(service, Arc::new(RateLimiter::new(Rates::UNLIMITED, NonZeroU16::MAX)));
        let shutdown = CancellationToken::new();
        let engine = Arc::new(Engine::new(client, settings, self.service.clock, shutdown.clone()));
        let terms = Terms { approved: self.approved.clone(), removes };
        let passes = Passes::new(engine, world, &resources, terms);
        let store = |inner: WorldStore| {
            let resource = inner.resource().to_owned();
            Fated { inner, process: process.clone(), resource }
        };
        passes.run(Instant::now() + self.timeout, stop, &shutdown, store).await
    }
}
