//! When does which resource of a world get a pass, and when have all come to rest?
//!
//! As in a cluster: all are due at first, then when their pass says so, or when another one of their channel changes. A resource is at rest
//! when it is as declared, or when nothing but time or somebody's help will change it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::object::Object;
use super::world::{World, WorldStore};
use crate::api::{APPROVE, ChannelMembershipStatus, Reason};
use crate::chime::port::Service;
use crate::engine::session::Session;
use crate::engine::store::{Store, Wake};
use crate::engine::{Engine, Requeue};
use crate::membership::arn::ChannelArn;
use crate::membership::declarers::Declarers;

/// What is due within this is worth waiting for though something else is in the way: a member is tried again after 5 minutes at most
/// while the service is unwell, and a refused one after an hour.
const SOON: Duration = Duration::from_mins(6);

/// Who is claimed and was not seen is looked for again after 5 s, though all who are declared are there.
const SECOND_LOOK: Duration = Duration::from_secs(15);

/// While somebody may not be removed at all, a resource rests at least so long between two looks at whether they may.
const OFF_REST: Duration = Duration::from_secs(30);

/// How passes are made.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// The plans that are approved, by the hash of `status.pendingApproval`, as soon as they wait for that.
    pub approved: Vec<String>,
    /// Whether anybody may be removed.
    pub removes: bool,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All resources are at rest.
    AtRest,
    /// It was stopped before.
    Stopped,
    /// The time was over before, or would have been before the next thing is due.
    OutOfTime,
    /// The state could not be written.
    Broken,
}

struct Slot {
    memory: Arc<Mutex<Session>>,
    due: Option<Instant>,
    running: bool,
    rests: bool,
    /// Whether it is due only when the time is over.
    too_late: bool,
    /// How many had been added and removed in all when its last pass began.
    moves: u64,
}

/// Passes over resources of a world, until all are at rest.
pub struct Passes<S> {
    engine: Arc<Engine<S>>,
    world: Arc<World>,
    terms: Terms,
    slots: BTreeMap<String, Slot>,
    /// Those that declare members and get no pass.
    bystanders: Vec<Session>,
    woken: mpsc::UnboundedReceiver<String>,
    wake: mpsc::UnboundedSender<String>,
    at_rest: Arc<AtomicUsize>,
}

impl<S: Service> Passes<S> {
    /// Passes over these resources, by `namespace/name`. All others of the world declare members and are left alone.
    pub fn new(engine: Arc<Engine<S>>, world: Arc<World>, resources: &[String], terms: Terms) -> Self {
        let (wake, woken) = mpsc::unbounded_channel();
        let slot = || Slot {
            memory: Arc::default(),
            due: Some(Instant::now()),
            running: false,
            rests: false,
            too_late: false,
            moves: 0,
        };
        let slots = resources.iter().map(|resource| (resource.clone(), slot())).collect();
        Self { engine, world, terms, slots, bystanders: Vec::new(), woken, wake, at_rest: Arc::default() }
    }

    /// How many are at rest, counted as they go.
    pub fn at_rest(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.at_rest)
    }

    /// Makes passes until all are at rest, `stop` is cancelled or `deadline` is there; then calls in flight end and what they did is
    /// recorded. `shutdown` is that of the engine, which ends with this. Each pass writes to what `store` makes of its store.
    pub async fn run<T: Store + 'static>(
        mut self,
        deadline: Instant,
        stop: &CancellationToken,
        shutdown: &CancellationToken,
        store: impl Fn(WorldStore) -> T,
    ) -> End {
        let broken = self.world.broken().clone();
        self.seat_all().await;
        let mut passes = JoinSet::new();
        let end = loop {
            self.begin_due(&mut passes, shutdown, &store);
            if passes.is_empty() && self.slots.values().all(|slot| slot.rests) {
                if self.look_again_at_pending_approvals() {
                    continue;
                }
                let is_late = self.slots.values().any(|slot| slot.too_late);
                break if is_late { End::OutOfTime } else { End::AtRest };
            }
            let next =
                self.slots.values().filter(|slot| !slot.running && !slot.rests).filter_map(|slot| slot.due).min();
            tokio::select! {
                biased;
                () = broken.cancelled() => break End::Broken,
                () = stop.cancelled() => break End::Stopped,
                Some(ended) = passes.join_next() => self.ended(ended, deadline).await,
                Some(resource) = self.woken.recv() => self.wake_up(&resource),
                () = tokio::time::sleep_until(deadline) => break End::OutOfTime,
                () = sleep_until(next) => {}
            }
        };
        shutdown.cancel();
        while let Some(ended) = passes.join_next().await {
            drop(ended);
        }
        // What was written at the very end may have failed as well.
        if broken.is_cancelled() { End::Broken } else { end }
    }

    /// All take their places before the first pass, so that each knows whom the others declare.
    async fn seat_all(&mut self) {
        let stood = self.world.take_before().into_iter().filter_map(|(channel, before)| {
            let stood = self.engine.declarers_among(&ChannelArn::parse(&channel).ok()?, &before);
            Some((channel, stood))
        });
        let stood: BTreeMap<String, Declarers> = stood.collect();
        for object in self.world.objects() {
            let resource = object.resource();
            let Some(slot) = self.slots.get(object.full_name()) else {
                let mut memory = Session::default();
                self.engine.register(&resource, &mut memory, Arc::new(|| ()));
                self.bystanders.push(memory);
                continue;
            };
            let (wake, mut memory) = (self.waker(object.full_name()), slot.memory.lock().await);
            if let Some(stood) = stood.get(object.channel()) {
                self.engine.assume_declarers(&resource, &mut memory, stood);
            }
            self.engine.register(&resource, &mut memory, wake);
        }
        // All are due anyway.
        while self.woken.try_recv().is_ok() {}
    }

    fn moves(&self) -> u64 {
        self.engine.counters().added() + self.engine.counters().removed()
    }

    /// What others did since may leave less to approve. Gives whether there is anything to look at again.
    fn look_again_at_pending_approvals(&mut self) -> bool {
        let moves = self.moves();
        let holds = |object: &Object| object.status.as_ref().is_some_and(|status| status.pending_approval.is_some());
        let awaits_approval = |name: &str| self.world.get(name).is_some_and(|object| holds(&object));
        let pending = self.slots.iter().filter(|(name, slot)| slot.moves < moves && awaits_approval(name));
        let pending: Vec<String> = pending.map(|(name, _)| name.clone()).collect();
        for name in &pending {
            self.wake_up(name);
        }
        !pending.is_empty()
    }

    fn begin_due<T: Store + 'static>(
        &mut self,
        passes: &mut JoinSet<(String, Requeue)>,
        shutdown: &CancellationToken,
        store: &impl Fn(WorldStore) -> T,
    ) {
        let (now, moves) = (Instant::now(), self.moves());
        let due = |slot: &Slot| !slot.running && !slot.rests && slot.due.is_some_and(|due| due <= now);
        let due: Vec<String> = self.slots.iter().filter(|(_, slot)| due(slot)).map(|(name, _)| name.clone()).collect();
        for resource in due {
            let wake = self.waker(&resource);
            let Some(slot) = self.slots.get_mut(&resource) else { continue };
            slot.due = None;
            let Some(object) = self.world.get(&resource) else {
                slot.rests = true;
                self.at_rest.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            (slot.running, slot.moves) = (true, moves);
            let (engine, memory, cancel) = (Arc::clone(&self.engine), Arc::clone(&slot.memory), shutdown.clone());
            let mut store = store(self.world.store(&object, wake));
            passes.spawn(async move {
                let mut memory = memory.lock().await;
                let next = engine.reconcile(&object.resource(), &mut memory, &mut store, &cancel).await;
                (resource, next)
            });
        }
    }

    fn waker(&self, resource: &str) -> Wake {
        let (wake, resource) = (self.wake.clone(), resource.to_owned());
        // Nobody receives any more when it is all over: then nothing is due.
        Arc::new(move || drop(wake.send(resource.clone())))
    }

    fn wake_up(&mut self, resource: &str) {
        if let Some(slot) = self.slots.get_mut(resource) {
            slot.due = Some(Instant::now());
            if std::mem::take(&mut slot.rests) {
                self.at_rest.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    async fn ended(&mut self, ended: Result<(String, Requeue), tokio::task::JoinError>, deadline: Instant) {
        let (resource, next) = match ended {
            Ok(ended) => ended,
            // A defect of ours ends the process as it would have without a task of its own.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return,
        };
        let object = self.world.get(&resource);
        let mut next = next;
        if let Some(hash) = object.as_deref().and_then(|object| self.approves(object)).cloned()
            && self.world.annotate(&resource, APPROVE, &hash).await.unwrap_or_default()
        {
            next = Requeue::AtOnce;
        }
        let Some(slot) = self.slots.get_mut(&resource) else { return };
        slot.running = false;
        let left = deadline.saturating_duration_since(Instant::now());
        let rest = match next {
            Requeue::AtOnce => Some(Duration::ZERO),
            Requeue::OnChange => None,
            Requeue::After(rest) => {
                Some(rest).filter(|rest| object.is_some_and(|object| !is_at_rest(&object, *rest, self.terms.removes)))
            }
        };
        slot.too_late = rest.is_some_and(|rest| rest > left);
        let rest = rest.filter(|rest| *rest <= left);
        // What came while it ran is due still.
        if slot.due.is_none() {
            slot.due = rest.map(|rest| Instant::now() + rest);
        }
        if slot.due.is_none() {
            slot.rests = true;
            self.at_rest.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The hash of the plan that a resource holds, if that is approved and was not told so yet.
    fn approves(&self, object: &Object) -> Option<&String> {
        let pending = object.status.as_ref()?.pending_approval.as_ref().filter(|pending| !pending.approved)?;
        self.terms.approved.iter().find(|hash| **hash == pending.hash)
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Why a resource is Ready, or is not, as of its spec as it is now.
pub fn reason(object: &Object) -> Option<Reason> {
    let status: &ChannelMembershipStatus = object.status.as_ref()?;
    let ready = status.conditions.first()?;
    Reason::named(&ready.reason).filter(|_| status.observed_generation == object.metadata.generation)
}

/// Whether a resource that is due again after `rest` is not worth waiting for.
fn is_at_rest(object: &Object, rest: Duration, removes: bool) -> bool {
    match reason(object) {
        Some(Reason::Removing) if !removes => rest >= OFF_REST,
        // Without one it was not carried through yet.
        None | Some(Reason::Adding | Reason::Removing | Reason::Retrying | Reason::RateLimited) => false,
        // Whoever is retried or removed as well is not forgotten over it.
        Some(
            Reason::ApprovalRequired | Reason::OwnershipConflict | Reason::SourceNotReady | Reason::MembersRefused,
        ) => rest > SOON,
        Some(Reason::AllPresent | Reason::RefusedWithinLimit) => rest > SECOND_LOOK,
        Some(
            Reason::Suspended
            | Reason::Observed
            | Reason::ChannelNotAccessible
            | Reason::BearerRejected
            | Reason::AccessDenied
            | Reason::NotGranted
            | Reason::InvalidMember,
        ) => true,
    }
}
