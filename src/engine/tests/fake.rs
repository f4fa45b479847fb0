//! A channel in memory whose calls a test can make fail, and a resource that uses it.

mod channel;

use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use self::channel::{CallFault, FakeService};
use super::cluster::{ObjectStore, TestCluster};
use super::process::Process;
use super::world::spec;
use crate::api::{ChannelMembershipSpec, ChannelMembershipStatus, RECONCILE_REQUESTED_AT};
use crate::chime::client::Client;
use crate::chime::rate_limit::{RateLimiter, Rates};
use crate::engine::clock::Clock;
use crate::engine::resource::Resource;
use crate::engine::session::Session;
use crate::engine::settings::Settings;
use crate::engine::store::{Event, Store, StoreError, Version, Wake};
use crate::engine::{Engine, Requeue};
use crate::membership::arn::ChannelArn;

pub const INSTANCE: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/1f";

pub fn user(id: &str) -> String {
    format!("{INSTANCE}/user/{id}")
}

pub fn users(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("u{n:05}")).collect()
}

/// The store of one resource in its own cluster. It records all writes.
pub struct RecordingStore {
    pub statuses: Vec<ChannelMembershipStatus>,
    pub events: Vec<Event>,
    pub failures: VecDeque<StoreError>,
    pub object: ObjectStore,
    woken: Arc<Notify>,
}

impl RecordingStore {
    fn new(spec: ChannelMembershipSpec) -> Self {
        let cluster = TestCluster::new(Clock::starting_at(Timestamp::UNIX_EPOCH));
        cluster.create("care/support", spec);
        let woken = Arc::new(Notify::new());
        let wake = Arc::clone(&woken);
        let waker: Wake = Arc::new(move || wake.notify_one());
        let object = ObjectStore::of(&cluster.get("care/support"), &cluster, &Process::default(), waker);
        Self { statuses: Vec::new(), events: Vec::new(), failures: VecDeque::new(), object, woken }
    }
}

impl Store for RecordingStore {
    async fn write_status(
        &mut self,
        status: &ChannelMembershipStatus,
        basis: Option<&Version>,
    ) -> Result<Version, StoreError> {
        if let Some(error) = self.failures.pop_front() {
            return Err(error);
        }
        let version = self.object.write_status(status, basis).await?;
        self.statuses.push(status.clone());
        Ok(version)
    }

    async fn set_finalizer(&mut self, present: bool, basis: &Version) -> Result<Version, StoreError> {
        self.object.set_finalizer(present, basis).await
    }

    async fn resources_of(&mut self, channel: &ChannelArn) -> Result<Vec<Resource>, StoreError> {
        self.object.resources_of(channel).await
    }

    async fn publish(&mut self, event: Event) {
        self.events.push(event);
    }

    fn wake(&self) -> Wake {
        self.object.wake()
    }
}

/// One resource that a test changes and reconciles itself.
pub struct TestResource {
    pub generation: i64,
    pub spec: ChannelMembershipSpec,
    pub requested_at: Option<String>,
    pub session: Session,
    pub store: RecordingStore,
    pub cancel: CancellationToken,
}

impl TestResource {
    pub fn declaring<T: AsRef<str>>(members: impl IntoIterator<Item = T>) -> Self {
        let spec = spec(members);
        Self {
            generation: 1,
            store: RecordingStore::new(spec.clone()),
            spec,
            requested_at: None,
            session: Session::default(),
            cancel: CancellationToken::new(),
        }
    }

    pub fn edit(&mut self, change: impl FnOnce(&mut ChannelMembershipSpec)) {
        change(&mut self.spec);
        self.generation += 1;
    }

    pub fn status(&self) -> &ChannelMembershipStatus {
        self.store.statuses.last().expect("no status was written")
    }

    /// Returns the conditions Ready, Reconciling and Stalled, and the reason.
    pub fn conditions(&self) -> String {
        let conditions = &self.status().conditions;
        let all: Vec<String> = conditions.iter().map(|c| format!("{}={}", c.type_, c.status)).collect();
        format!("{} {}", all.join(" "), conditions[0].reason)
    }

    pub fn message(&self) -> &str {
        &self.status().conditions[0].message
    }

    pub fn errors(&self) -> Vec<(&str, &str, u32)> {
        let errors = self.status().errors.iter();
        errors
            .map(|error| {
                let id = error.member_arn.rsplit('/').next().unwrap();
                (id, error.error_code.as_str(), error.attempts)
            })
            .collect()
    }

    /// Reconciles the resource once.
    pub async fn reconcile(&mut self, engine: &Engine<FakeService>) -> Requeue {
        let cluster = self.store.object.cluster.clone();
        cluster.update("care/support", |object| {
            (object.spec, object.generation) = (self.spec.clone(), self.generation);
            let asked = self.requested_at.iter().map(|asked| (RECONCILE_REQUESTED_AT.to_owned(), asked.clone()));
            object.annotations = asked.collect();
        });
        let object = cluster.get("care/support");
        engine.reconcile(&object.resource(&[]), &mut self.session, &mut self.store, &self.cancel).await
    }

    /// Reconciles the resource whenever it is due, for a time.
    pub async fn run_for(&mut self, engine: &Engine<FakeService>, time: Duration) {
        let end = tokio::time::Instant::now() + time;
        loop {
            let rest = match self.reconcile(engine).await {
                Requeue::After(rest) => rest,
                Requeue::AtOnce => Duration::ZERO,
                Requeue::OnChange => Duration::MAX,
            };
            let rest = rest.min(Duration::from_secs(1 << 30));
            let due = (tokio::time::Instant::now() + rest).min(end);
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = self.store.woken.notified() => continue,
            }
            if due == end {
                return;
            }
        }
    }
}

pub fn engine_at(service: &FakeService, rates: Rates) -> Engine<FakeService> {
    engine_until(service, rates, CancellationToken::new())
}

/// Returns the engine of a process that stops when `stop` is cancelled.
pub fn engine_until(service: &FakeService, rates: Rates, stop: CancellationToken) -> Engine<FakeService> {
    let client = Client::new(Arc::new(service.clone()), Arc::new(RateLimiter::new(rates, NonZeroU16::MAX)));
    Engine::new(client, settings(), service.clock, stop)
}

/// Returns an engine without a rate limit.
pub fn engine(service: &FakeService) -> Engine<FakeService> {
    engine_at(service, Rates::UNLIMITED)
}

/// Returns the settings of an operator that has a bearer and defaults.
pub fn settings() -> Settings {
    Settings::of_bearer(&user("rollcall"))
}
