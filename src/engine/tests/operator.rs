//! One operator: it watches the resources, reconciles those that are due, and forgets those that
//! are gone, as the controller does.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::cluster::{ObjectStore, ReconcileTrigger, StoredObject};
use super::fake::settings;
use super::process::Process;
use super::world::{Port, TestWorld};
use crate::chime::client::Client;
use crate::chime::rate_limit::{RateLimiter, Rates};
use crate::engine::resource::Source;
use crate::engine::session::Session;
use crate::engine::settings::Settings;
use crate::engine::store::Wake;
use crate::engine::{Engine, Requeue};

/// The duration of each call.
pub const LATENCY: Duration = Duration::from_millis(10);

/// More reconciles of one resource than this at one instant are a loop.
const MAX_RECONCILES_AT_ONCE: usize = 1000;

/// The start options of an operator.
#[derive(Clone)]
pub struct Options {
    pub settings: Settings,
    pub rates: Rates,
}

impl Default for Options {
    fn default() -> Self {
        Self { settings: settings(), rates: Rates::UNLIMITED }
    }
}

impl Options {
    pub fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut options = Self::default();
        change(&mut options.settings);
        options
    }
}

/// The objects that a stopped watch still shows.
type Stale = Arc<std::sync::Mutex<Option<BTreeMap<String, Arc<StoredObject>>>>>;

/// A running operator. It works whenever a test waits, and is killed when it is dropped.
pub struct TestOperator {
    world: TestWorld,
    options: Options,
    process: Process,
    stale: Stale,
    driver: Option<JoinHandle<()>>,
}

impl TestOperator {
    pub fn start(world: &TestWorld) -> Self {
        Self::start_with(world, Options::default())
    }

    pub fn start_with(world: &TestWorld, options: Options) -> Self {
        Self::start_as(world, options, Process::with_latency(LATENCY))
    }

    /// Starts an operator in a given process.
    pub fn start_as(world: &TestWorld, options: Options, process: Process) -> Self {
        let stale = Arc::default();
        let driver = Driver::new(world.clone(), &options, process.clone(), Arc::clone(&stale));
        let driver = Some(tokio::spawn(driver.run()));
        Self { world: world.clone(), options, process, stale, driver }
    }

    /// Lets time pass, and fails if the operator panicked meanwhile.
    pub async fn run_for(&mut self, time: Duration) {
        tokio::time::sleep(time).await;
        self.check_driver().await;
    }

    /// Lets time pass until the process is dead, at most until `end`. Returns whether it is dead.
    pub async fn run_until_dead(&mut self, end: Instant) -> bool {
        tokio::select! {
            () = self.process.died() => {}
            () = tokio::time::sleep_until(end) => {}
        }
        self.check_driver().await;
        self.process.is_dead()
    }

    async fn check_driver(&mut self) {
        if let Some(driver) = self.driver.take_if(|driver| driver.is_finished()) {
            driver.await.unwrap();
        }
    }

    /// Kills the process and waits until all its tasks have ended.
    pub async fn kill(&mut self) {
        self.process.kill();
        if let Some(driver) = self.driver.take() {
            driver.await.unwrap();
        }
    }

    /// Kills the process and starts one without any notes.
    pub async fn restart(&mut self) {
        let options = self.options.clone();
        self.restart_with(options).await;
    }

    pub async fn restart_with(&mut self, options: Options) {
        self.kill().await;
        *self = Self::start_with(&self.world.clone(), options);
    }

    /// Stops the watch: from now on it shows the resources as they are now.
    pub fn lose_watch(&self) {
        *self.stale.lock().unwrap() = Some(self.world.cluster.objects());
    }

    /// Returns whether the watch shows a resource of this name.
    pub fn sees(&self, resource: &str) -> bool {
        self.stale.lock().unwrap().as_ref().is_none_or(|objects| objects.contains_key(resource))
    }

    /// Lets the watch catch up.
    pub fn regain_watch(&self) {
        *self.stale.lock().unwrap() = None;
        // A new watch shows all objects again.
        self.world.cluster.notify_watchers();
    }
}

impl Drop for TestOperator {
    fn drop(&mut self) {
        self.process.kill();
    }
}

/// The state of one resource, which the driver keeps by UID.
struct TrackedResource {
    object: Arc<StoredObject>,
    sources: Vec<Source>,
    session: Arc<Mutex<Session>>,
    trigger: ReconcileTrigger,
    due: Option<Instant>,
    running: Option<CancellationToken>,
    /// The number of reconciles that began at one instant, and the instant.
    begun: (usize, Instant),
}

struct Driver {
    world: TestWorld,
    process: Process,
    engine: Arc<Engine<Port>>,
    stop: CancellationToken,
    tracked: BTreeMap<String, TrackedResource>,
    reconciles: JoinSet<(String, Requeue)>,
    woken: mpsc::UnboundedReceiver<String>,
    wake: mpsc::UnboundedSender<String>,
    stale: Stale,
}

impl Driver {
    fn new(world: TestWorld, options: &Options, process: Process, stale: Stale) -> Self {
        let stop = CancellationToken::new();
        let rate_limiter = Arc::new(RateLimiter::new(options.rates, NonZeroU16::MAX));
        let client = Client::new(Arc::new(world.service_port(&process)), rate_limiter);
        let engine = Arc::new(Engine::new(client, options.settings.clone(), world.clock, stop.clone()));
        let (wake, woken) = mpsc::unbounded_channel();
        Self { world, process, engine, stop, tracked: BTreeMap::new(), reconciles: JoinSet::new(), woken, wake, stale }
    }

    async fn run(mut self) {
        let mut changes = self.world.cluster.watch_changes();
        self.take_changes();
        loop {
            self.begin_due();
            let next = self
                .tracked
                .values()
                .filter(|resource| resource.running.is_none())
                .filter_map(|resource| resource.due)
                .min();
            let next = next.unwrap_or_else(|| Instant::now() + Duration::from_hours(1));
            tokio::select! {
                biased;
                () = self.process.died() => break,
                Some(ended) = self.reconciles.join_next() => {
                    // A panic in a reconcile fails the test.
                    let (uid, next) = ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
                    self.finish_reconcile(&uid, next);
                }
                Some(uid) = self.woken.recv() => self.make_due(&uid),
                _ = changes.changed() => self.take_changes(),
                () = tokio::time::sleep_until(next) => {}
            }
        }
        self.reconciles.shutdown().await;
        self.stop.cancel();
    }

    /// Takes the objects that the watch shows.
    fn take_changes(&mut self) {
        let stale = self.stale.lock().unwrap().clone();
        let objects = stale.unwrap_or_else(|| self.world.cluster.objects());
        let mut tracked = std::mem::take(&mut self.tracked);
        for object in objects.into_values() {
            let sources = self.world.cluster.sources(object.namespace(), &object.spec.members_from);
            let trigger = object.trigger(&sources);
            let uid = object.uid.clone();
            let resource = match tracked.remove(&uid) {
                Some(resource) if resource.trigger == trigger => TrackedResource { object, ..resource },
                before => {
                    let begun = before.as_ref().map_or((0, Instant::now()), |resource| resource.begun);
                    let (session, running) =
                        before.map(|resource| (resource.session, resource.running)).unwrap_or_default();
                    if let Some(running) = &running {
                        running.cancel();
                    }
                    TrackedResource { object, sources, session, trigger, running, due: Some(Instant::now()), begun }
                }
            };
            self.tracked.insert(uid, resource);
        }
        tracked.into_values().filter_map(|gone| gone.running).for_each(|running| running.cancel());
    }

    fn begin_due(&mut self) {
        let now = Instant::now();
        let due = |resource: &TrackedResource| resource.running.is_none() && resource.due.is_some_and(|due| due <= now);
        let due: Vec<String> =
            self.tracked.iter().filter(|(_, resource)| due(resource)).map(|(uid, _)| uid.clone()).collect();
        for uid in due {
            let waker = self.waker(&uid);
            let Some(resource) = self.tracked.get_mut(&uid) else { continue };
            let cancel = self.stop.child_token();
            (resource.due, resource.running) = (None, Some(cancel.clone()));
            resource.begun = if resource.begun.1 == now { (resource.begun.0 + 1, now) } else { (1, now) };
            assert!(
                resource.begun.0 < MAX_RECONCILES_AT_ONCE,
                "reconciles of {} follow each other without a pause",
                resource.object.resource
            );
            let (session, engine) = (Arc::clone(&resource.session), Arc::clone(&self.engine));
            let (object, sources) = (Arc::clone(&resource.object), resource.sources.clone());
            let mut store = ObjectStore::of(&object, &self.world.cluster, &self.process, waker);
            self.reconciles.spawn(async move {
                let mut session = session.lock().await;
                let resource = object.resource(&sources);
                let next = engine.reconcile(&resource, &mut session, &mut store, &cancel).await;
                (uid, next)
            });
        }
    }

    fn waker(&self, uid: &str) -> Wake {
        let (wake, uid) = (self.wake.clone(), uid.to_owned());
        Arc::new(move || {
            let _ = wake.send(uid.clone());
        })
    }

    fn make_due(&mut self, uid: &str) {
        if let Some(resource) = self.tracked.get_mut(uid) {
            resource.due = Some(Instant::now());
        }
    }

    fn finish_reconcile(&mut self, uid: &str, next: Requeue) {
        let Some(resource) = self.tracked.get_mut(uid) else { return };
        resource.running = None;
        let due = match next {
            Requeue::After(rest) => Instant::now().checked_add(rest),
            Requeue::AtOnce => Some(Instant::now()),
            Requeue::OnChange => None,
        };
        // A change during the reconcile keeps the resource due.
        resource.due = resource.due.or(due);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::process::Moment;
    use crate::engine::tests::world::spec;

    const READY: &str = "AllPresent";

    #[tokio::test(start_paused = true)]
    async fn operator_follows_changes_until_it_is_killed() {
        let world = TestWorld::new();
        let mut operator = TestOperator::start(&world);
        world.cluster.create("care/support", spec(["alice"]));
        operator.run_for(Duration::from_mins(1)).await;
        assert_eq!(world.cluster.status("care/support").conditions[0].reason, READY);
        world.cluster.declare("care/support", ["alice", "bob"]);
        operator.kill().await;
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(world.members().len(), 1);
        operator.restart().await;
        operator.run_for(Duration::from_mins(1)).await;
        assert_eq!(world.members().len(), 2);
        assert_eq!(world.adds(), ["alice", "bob"]);
    }

    #[tokio::test(start_paused = true)]
    async fn process_dies_at_the_chosen_effect() {
        for (moment, added) in [(Moment::Before, 0), (Moment::BeforeAnswer, 1), (Moment::AfterAnswer, 1)] {
            let world = TestWorld::new();
            world.cluster.create("care/support", spec(["alice"]));
            let whole = Process::with_latency(LATENCY);
            TestOperator::start_as(&world, Options::default(), whole.clone()).run_for(Duration::from_mins(1)).await;
            let batch = whole.effects().iter().position(|what| what.starts_with("Batch")).unwrap();

            let world = TestWorld::new();
            world.cluster.create("care/support", spec(["alice"]));
            let mut operator =
                TestOperator::start_as(&world, Options::default(), Process::killed_at(LATENCY, batch, moment));
            assert!(operator.run_until_dead(Instant::now() + Duration::from_hours(1)).await);
            operator.kill().await;
            assert_eq!(world.members().len(), added, "{moment:?}");
        }
    }
}
