//! A harness that runs `rollcall apply` with manifests, a state on disk and a service in memory.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
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
use crate::offline::change_set::{ChangeSet, Origin};
use crate::offline::local_cluster::{LocalCluster, LocalStore};
use crate::offline::object::Object;
use crate::offline::plan::Plan;
use crate::offline::scheduler::{ApplyOptions, End, Scheduler};
use crate::offline::state_file::{StateError, StateFile};

/// A state on disk, manifests, and the service.
pub struct ApplyHarness {
    pub service: Service,
    pub files: BTreeMap<String, ChannelMembershipSpec>,
    pub prune: bool,
    pub removes: bool,
    pub approved: Vec<String>,
    pub timeout: Duration,
    pub folder: TempDir,
}

/// Returns a folder in memory if there is one: hundreds of runs write to it and sync it.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The store of a resource. Each of its writes is an effect of a process.
struct Fated {
    inner: LocalStore,
    process: Process,
    resource: String,
    cluster: Arc<LocalCluster>,
    service: Service,
}

/// Passes a resource of the state to the order law, which the service checks.
fn record_in_order_law(service: &Service, object: &Object, status: Option<&ChannelMembershipStatus>) {
    let Ok(spec) = &object.spec else { return };
    service.cluster.order_law(|law| {
        law.take_spec(spec);
        if let Some(status) = status {
            law.take_status(object.full_name(), spec, status);
        }
    });
}

impl Fated {
    async fn effect<T: Send>(
        process: &Process,
        what: String,
        effect: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        process.run_effect(what, effect, || Err(StoreError::Unavailable("the test refuses it".to_owned()))).await
    }
}

impl Store for Fated {
    async fn write_status(
        &mut self,
        status: &ChannelMembershipStatus,
        basis: Option<&Version>,
    ) -> Result<Version, StoreError> {
        let what = format!("status of {}", self.resource);
        let object = self.cluster.get(&self.resource);
        let write = async {
            let version = self.inner.write_status(status, basis).await?;
            if let Some(object) = &object {
                record_in_order_law(&self.service, object, Some(status));
            }
            Ok(version)
        };
        Self::effect(&self.process, what, write).await
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

impl ApplyHarness {
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

    /// Writes a manifest that declares these members for the channel `support`.
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

    /// Returns the checked manifests. Hundreds of runs share them, and the check takes longer than
    /// the rest.
    fn manifests(&self) -> Manifests {
        static CHECKED: Mutex<BTreeMap<String, Manifests>> = Mutex::new(BTreeMap::new());
        let mut checked = CHECKED.lock();
        let key = serde_json::to_string(&self.files).unwrap();
        checked.entry(key).or_insert_with(|| super::files(&self.files)).clone()
    }

    pub fn state(&self) -> Manifests {
        if !StateFile::exists(&self.path()).unwrap() {
            return Manifests::default();
        }
        manifests::read_state(&[Input::Path(self.path())], "default").unwrap()
    }

    /// Returns a resource of the state.
    pub fn find(&self, resource: &str) -> Option<Object> {
        let state = self.state();
        let objects = state.memberships.iter().map(|it| Object::written(&it.object, self.service.clock.now()));
        objects.into_iter().find(|object| object.full_name() == resource)
    }

    pub fn status(&self, resource: &str) -> ChannelMembershipStatus {
        self.find(resource).unwrap_or_else(|| panic!("there is no {resource}")).status.unwrap()
    }

    /// Returns the reason of the condition Ready.
    pub fn reason(&self, resource: &str) -> String {
        self.status(resource).conditions.first().map(|ready| ready.reason.clone()).unwrap_or_default()
    }

    pub fn change_set(&self) -> ChangeSet {
        let (files, mut state) = (self.manifests(), self.state());
        admission::undelete(&files, &mut state);
        let now = self.service.clock.now();
        let mut change_set = ChangeSet::new(&files, &Origin::State(state), self.prune, &settings(), now);
        admission::admit(&mut change_set, &self.approved, now);
        change_set
    }

    pub async fn plan(&self) -> Plan {
        let service = Arc::new(self.service.service_port(&Process::with_latency(LATENCY)));
        let client = Client::new(service, Arc::new(RateLimiter::new(Rates::UNLIMITED, NonZeroU16::MAX))).read_only();
        let engine = Engine::new(client, settings(), self.service.clock, CancellationToken::new());
        crate::offline::planner::plan(&engine, &self.change_set(), &Rates::default(), |_, _| {}).await
    }

    /// Runs apply to its end.
    pub async fn apply(&self) -> End {
        self.apply_until(&CancellationToken::new()).await
    }

    /// Runs apply until `stop` is cancelled.
    pub async fn apply_until(&self, stop: &CancellationToken) -> End {
        self.apply_as(Process::with_latency(LATENCY), stop).await.expect("this process does not die")
    }

    /// Runs apply in a process that may be killed.
    pub async fn apply_as(&self, process: Process, stop: &CancellationToken) -> Option<End> {
        let end = self.run(&process, stop);
        tokio::select! {
            end = end => Some(end),
            () = process.died() => None,
        }
    }

    /// Opens the state. A killed process may still be writing it.
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
        let change_set = self.change_set();
        let resources: Vec<String> = change_set.affected().map(|member| member.object.full_name().to_owned()).collect();
        let cluster = LocalCluster::new(change_set, Some(file));
        let begun = process.run_effect("state".to_owned(), cluster.begin(), || Err(StoreError::Gone)).await;
        if begun.is_err() {
            return End::Broken;
        }
        for object in cluster.objects() {
            record_in_order_law(&self.service, &object, object.status.as_ref());
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
        let options = ApplyOptions { approved: self.approved.clone(), allow_removals: removes };
        let scheduler = Scheduler::new(engine, Arc::clone(&cluster), &resources, options);
        let store = |inner: LocalStore| {
            let resource = inner.resource().to_owned();
            Fated {
                inner,
                process: process.clone(),
                resource,
                cluster: Arc::clone(&cluster),
                service: self.service.clone(),
            }
        };
        scheduler.run(Instant::now() + self.timeout, stop, &shutdown, store).await
    }
}
