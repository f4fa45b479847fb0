//! One operator over a world: it watches the resources, passes over those that are due, and forgets what is gone, as the
//! controller does.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::cluster::{Object, ObjectStore, Trigger};
use super::fake::settings;
use super::process::Process;
use super::world::{Port, World};
use crate::chime::client::Client;
use crate::chime::rate_limit::{RateLimiter, Rates};
use crate::engine::resource::Source;
use crate::engine::session::Session;
use crate::engine::settings::Settings;
use crate::engine::store::Wake;
use crate::engine::{Engine, Requeue};

/// What each call takes.
pub const LATENCY: Duration = Duration::from_millis(10);

/// More passes over a resource than this in no time at all are a loop.
const MOST_AT_ONCE: usize = 1000;

/// How an operator is started.
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

/// What a watch shows that shows nothing new any more.
type Stale = Arc<std::sync::Mutex<Option<BTreeMap<String, Arc<Object>>>>>;

/// A running operator. It goes on whenever a test waits, and is killed when it is dropped.
pub struct Operator {
    world: World,
    options: Options,
    process: Process,
    stale: Stale,
    driver: Option<JoinHandle<()>>,
}

impl Operator {
    pub fn start(world: &World) -> Self {
        Self::start_with(world, Options::default())
    }

    pub fn start_with(world: &World, options: Options) -> Self {
        Self::start_as(world, options, Process::with_latency(LATENCY))
    }

    /// An operator in a process that a test knows.
    pub fn start_as(world: &World, options: Options, process: Process) -> Self {
        let stale = Arc::default();
        let driver = Driver::new(world.clone(), &options, process.clone(), Arc::clone(&stale));
        let driver = Some(tokio::spawn(driver.run()));
        Self { world: world.clone(), options, process, stale, driver }
    }

    /// Lets time pass, and fails with whatever panicked meanwhile.
    pub async fn live(&mut self, time: Duration) {
        tokio::time::sleep(time).await;
        self.check().await;
    }

    /// Lets time pass until the process is dead, but no longer than `end`. Gives whether it is dead.
    pub async fn live_or_die(&mut self, end: Instant) -> bool {
        tokio::select! {
            () = self.process.died() => {}
            () = tokio::time::sleep_until(end) => {}
        }
        self.check().await;
        self.process.is_dead()
    }

    async fn check(&mut self) {
        if let Some(driver) = self.driver.take_if(|driver| driver.is_finished()) {
            driver.await.unwrap();
        }
    }

    /// Kills the process and waits until nothing of it is left.
    pub async fn kill(&mut self) {
        self.process.kill();
        if let Some(driver) = self.driver.take() {
            driver.await.unwrap();
        }
    }

    /// Kills the process and starts one that knows nothing.
    pub async fn restart(&mut self) {
        let options = self.options.clone();
        self.restart_with(options).await;
    }

    pub async fn restart_with(&mut self, options: Options) {
        self.kill().await;
        *self = Self::start_with(&self.world.clone(), options);
    }

    /// From now on its watch shows nothing new: it sees the resources as they are now.
    pub fn lose_watch(&self) {
        *self.stale.lock().unwrap() = Some(self.world.cluster.objects());
    }

    /// Its watch catches up.
    pub fn regain_watch(&self) {
        *self.stale.lock().unwrap() = None;
        // As a watch that is opened anew: everything is shown once more.
        self.world.cluster.touch();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.process.kill();
    }
}

/// What is kept of one resource, by its UID.
struct Slot {
    object: Arc<Object>,
    sources: Vec<Source>,
    memory: Arc<Mutex<Session>>,
    trigger: Trigger,
    due: Option<Instant>,
    running: Option<CancellationToken>,
    /// How many passes began at one instant, and when that was.
    begun: (usize, Instant),
}

struct Driver {
    world: World,
    process: Process,
    engine: Arc<Engine<Port>>,
    stop: CancellationToken,
    slots: BTreeMap<String, Slot>,
    passes: JoinSet<(String, Requeue)>,
    woken: mpsc::UnboundedReceiver<String>,
    wake: mpsc::UnboundedSender<String>,
    stale: Stale,
}

impl Driver {
    fn new(world: World, options: &Options, process: Process, stale: Stale) -> Self {
        let stop = CancellationToken::new();
        let pacer = Arc::new(RateLimiter::new(options.rates, NonZeroU16::MAX));
        let client = Client::new(Arc::new(world.port(&process)), pacer);
        let engine = Arc::new(Engine::new(client, options.settings.clone(), world.clock, stop.clone()));
        let (wake, woken) = mpsc::unbounded_channel();
        Self { world, process, engine, stop, slots: BTreeMap::new(), passes: JoinSet::new(), woken, wake, stale }
    }

    async fn run(mut self) {
        let mut changes = self.world.cluster.watch();
        self.observe();
        loop {
            self.begin_due();
            let next = self.slots.values().filter(|slot| slot.running.is_none()).filter_map(|slot| slot.due).min();
            let next = next.unwrap_or_else(|| Instant::now() + Duration::from_hours(1));
            tokio::select! {
                biased;
                () = self.process.died() => break,
                Some(ended) = self.passes.join_next() => {
                    // A panic in a pass is the test's.
                    let (uid, next) = ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
                    self.ended(&uid, next);
                }
                Some(uid) = self.woken.recv() => self.wake_up(&uid),
                _ = changes.changed() => self.observe(),
                () = tokio::time::sleep_until(next) => {}
            }
        }
        self.passes.shutdown().await;
        self.stop.cancel();
    }

    /// Takes in what the watch shows.
    fn observe(&mut self) {
        let stale = self.stale.lock().unwrap().clone();
        let objects = stale.unwrap_or_else(|| self.world.cluster.objects());
        let mut slots = std::mem::take(&mut self.slots);
        for object in objects.into_values() {
            let sources = self.world.cluster.sources(object.namespace(), &object.spec.members_from);
            let trigger = object.trigger(&sources);
            let uid = object.uid.clone();
            let slot = match slots.remove(&uid) {
                Some(slot) if slot.trigger == trigger => Slot { object, ..slot },
                before => {
                    let begun = before.as_ref().map_or((0, Instant::now()), |slot| slot.begun);
                    let (memory, running) = before.map(|slot| (slot.memory, slot.running)).unwrap_or_default();
                    if let Some(running) = &running {
                        running.cancel();
                    }
                    Slot { object, sources, memory, trigger, running, due: Some(Instant::now()), begun }
                }
            };
            self.slots.insert(uid, slot);
        }
        slots.into_values().filter_map(|gone| gone.running).for_each(|running| running.cancel());
    }

    fn begin_due(&mut self) {
        let now = Instant::now();
        let due = |slot: &Slot| slot.running.is_none() && slot.due.is_some_and(|due| due <= now);
        let due: Vec<String> = self.slots.iter().filter(|(_, slot)| due(slot)).map(|(uid, _)| uid.clone()).collect();
        for uid in due {
            let waker = self.waker(&uid);
            let Some(slot) = self.slots.get_mut(&uid) else { continue };
            let cancel = self.stop.child_token();
            (slot.due, slot.running) = (None, Some(cancel.clone()));
            slot.begun = if slot.begun.1 == now { (slot.begun.0 + 1, now) } else { (1, now) };
            assert!(slot.begun.0 < MOST_AT_ONCE, "passes over {} follow each other without rest", slot.object.resource);
            let (memory, engine) = (Arc::clone(&slot.memory), Arc::clone(&self.engine));
            let (object, sources) = (Arc::clone(&slot.object), slot.sources.clone());
            let mut store = ObjectStore::of(&object, &self.world.cluster, &self.process, waker);
            self.passes.spawn(async move {
                let mut memory = memory.lock().await;
                let declaration = object.resource(&sources);
                let next = engine.reconcile(&declaration, &mut memory, &mut store, &cancel).await;
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

    fn wake_up(&mut self, uid: &str) {
        if let Some(slot) = self.slots.get_mut(uid) {
            slot.due = Some(Instant::now());
        }
    }

    fn ended(&mut self, uid: &str, next: Requeue) {
        let Some(slot) = self.slots.get_mut(uid) else { return };
        slot.running = None;
        let due = match next {
            Requeue::After(rest) => Instant::now().checked_add(rest),
            Requeue::AtOnce => Some(Instant::now()),
            Requeue::OnChange => None,
        };
        // What came while it ran is due still.
        slot.due = slot.due.or(due);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::process::Moment;
    use crate::engine::tests::world::spec;

    const READY: &str = "AllPresent";

    #[tokio::test(start_paused = true)]
    async fn an_operator_takes_up_what_changes_and_a_killed_one_does_nothing() {
        let world = World::new();
        let mut operator = Operator::start(&world);
        world.cluster.create("care/support", spec(["alice"]));
        operator.live(Duration::from_mins(1)).await;
        assert_eq!(world.cluster.status("care/support").conditions[0].reason, READY);
        world.cluster.declare("care/support", ["alice", "bob"]);
        operator.kill().await;
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(world.members().len(), 1);
        operator.restart().await;
        operator.live(Duration::from_mins(1)).await;
        assert_eq!(world.members().len(), 2);
        assert_eq!(world.adds(), ["alice", "bob"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_ends_at_the_effect_that_is_its_fate() {
        for (moment, added) in [(Moment::Before, 0), (Moment::BeforeAnswer, 1), (Moment::AfterAnswer, 1)] {
            let world = World::new();
            world.cluster.create("care/support", spec(["alice"]));
            let whole = Process::with_latency(LATENCY);
            Operator::start_as(&world, Options::default(), whole.clone()).live(Duration::from_mins(1)).await;
            let batch = whole.effects().iter().position(|what| what.starts_with("Batch")).unwrap();

            let world = World::new();
            world.cluster.create("care/support", spec(["alice"]));
            let mut operator = Operator::start_as(&world, Options::default(), Process::fated(LATENCY, batch, moment));
            assert!(operator.live_or_die(Instant::now() + Duration::from_hours(1)).await);
            operator.kill().await;
            assert_eq!(world.members().len(), added, "{moment:?}");
        }
    }
}
