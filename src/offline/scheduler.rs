//! The scheduler that reconciles the resources of a local cluster until all are at rest.
//!
//! As in a cluster, every resource is due at first, and again when its reconcile says so or when
//! another resource of its channel changes. A resource is at rest when it is as declared, or when
//! only time or an operator of the cluster can change it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::local_cluster::{LocalCluster, LocalStore};
use super::object::Object;
use crate::api::{APPROVE, ChannelMembershipStatus, Reason};
use crate::chime::port::Service;
use crate::engine::session::Session;
use crate::engine::store::{Store, Wake};
use crate::engine::{Engine, Requeue};
use crate::membership::arn::ChannelArn;
use crate::membership::declarers::Declarers;

/// A resource that is due within this time is worth the wait though it is blocked. A member is
/// tried again after 5 minutes at most while the service fails, and a refused member after an hour.
const SOON: Duration = Duration::from_mins(6);

/// A member that is declared but absent from the listing is listed again after 5 s, though all
/// declared members are present.
const SECOND_LISTING: Duration = Duration::from_secs(15);

/// The shortest delay of a resource between two checks while no member may be removed.
const REMOVALS_OFF_DELAY: Duration = Duration::from_secs(30);

/// The options of `rollcall apply`.
#[derive(Clone, Debug, Default)]
pub struct ApplyOptions {
    /// The approved plans, by the hash of `status.pendingApproval`.
    pub approved: Vec<String>,
    /// True if members may be removed.
    pub allow_removals: bool,
}

/// How the scheduler ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All resources are at rest.
    AtRest,
    /// It was stopped before.
    Stopped,
    /// The time was over before, or would have been over before the next resource is due.
    OutOfTime,
    /// The state could not be written.
    Broken,
}

struct ScheduledResource {
    session: Arc<Mutex<Session>>,
    due: Option<Instant>,
    running: bool,
    rests: bool,
    /// True if the resource is due only after the deadline.
    too_late: bool,
    /// How many members had been added and removed in all when its last reconcile began.
    changes: u64,
}

/// Reconciles resources of a local cluster until all are at rest.
pub struct Scheduler<S> {
    engine: Arc<Engine<S>>,
    cluster: Arc<LocalCluster>,
    options: ApplyOptions,
    scheduled: BTreeMap<String, ScheduledResource>,
    /// The sessions of resources that declare members and are not reconciled.
    bystanders: Vec<Session>,
    woken: mpsc::UnboundedReceiver<String>,
    wake: mpsc::UnboundedSender<String>,
    at_rest: Arc<AtomicUsize>,
}

impl<S: Service> Scheduler<S> {
    /// Creates a scheduler of these resources, by `namespace/name`. All other resources of the
    /// cluster declare members and are not reconciled.
    pub fn new(
        engine: Arc<Engine<S>>,
        cluster: Arc<LocalCluster>,
        resources: &[String],
        options: ApplyOptions,
    ) -> Self {
        let (wake, woken) = mpsc::unbounded_channel();
        let entry = || ScheduledResource {
            session: Arc::default(),
            due: Some(Instant::now()),
            running: false,
            rests: false,
            too_late: false,
            changes: 0,
        };
        let scheduled = resources.iter().map(|resource| (resource.clone(), entry())).collect();
        Self { engine, cluster, options, scheduled, bystanders: Vec::new(), woken, wake, at_rest: Arc::default() }
    }

    /// Returns the number of resources at rest, which changes as they are reconciled.
    pub fn at_rest(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.at_rest)
    }

    /// Reconciles until all resources are at rest, `stop` is cancelled or `deadline` is reached.
    /// Then calls in flight end and their effects are recorded. `shutdown` belongs to the engine,
    /// which ends with this call. `store` wraps the store of each reconcile.
    pub async fn run<T: Store + 'static>(
        mut self,
        deadline: Instant,
        stop: &CancellationToken,
        shutdown: &CancellationToken,
        store: impl Fn(LocalStore) -> T,
    ) -> End {
        let broken = self.cluster.broken().clone();
        self.register_all().await;
        let mut reconciles = JoinSet::new();
        let end = loop {
            self.begin_due(&mut reconciles, shutdown, &store);
            if reconciles.is_empty() && self.scheduled.values().all(|entry| entry.rests) {
                if self.requeue_pending_approvals() {
                    continue;
                }
                let is_late = self.scheduled.values().any(|entry| entry.too_late);
                break if is_late { End::OutOfTime } else { End::AtRest };
            }
            let next = self
                .scheduled
                .values()
                .filter(|entry| !entry.running && !entry.rests)
                .filter_map(|entry| entry.due)
                .min();
            tokio::select! {
                biased;
                () = broken.cancelled() => break End::Broken,
                () = stop.cancelled() => break End::Stopped,
                Some(ended) = reconciles.join_next() => self.record_end(ended, deadline).await,
                Some(resource) = self.woken.recv() => self.wake_up(&resource),
                () = tokio::time::sleep_until(deadline) => break End::OutOfTime,
                () = sleep_until(next) => {}
            }
        };
        shutdown.cancel();
        while let Some(ended) = reconciles.join_next().await {
            drop(ended);
        }
        // The last write may have failed as well.
        if broken.is_cancelled() { End::Broken } else { end }
    }

    /// Registers all resources as declarers before the first reconcile, so that each knows the
    /// members of the others.
    async fn register_all(&mut self) {
        let prior = self.cluster.take_before().into_iter().filter_map(|(channel, before)| {
            let prior = self.engine.declarers_among(&ChannelArn::parse(&channel).ok()?, &before);
            Some((channel, prior))
        });
        let prior: BTreeMap<String, Declarers> = prior.collect();
        for object in self.cluster.objects() {
            let resource = object.resource();
            let Some(entry) = self.scheduled.get(object.full_name()) else {
                let mut session = Session::default();
                self.engine.register(&resource, &mut session, Arc::new(|| ()));
                self.bystanders.push(session);
                continue;
            };
            let (wake, mut session) = (self.waker(object.full_name()), entry.session.lock().await);
            if let Some(prior) = prior.get(object.channel()) {
                self.engine.assume_declarers(&resource, &mut session, prior);
            }
            self.engine.register(&resource, &mut session, wake);
        }
        // Every resource is due anyway.
        while self.woken.try_recv().is_ok() {}
    }

    fn changes(&self) -> u64 {
        self.engine.counters().added() + self.engine.counters().removed()
    }

    /// Enqueues the resources with a pending plan, because the changes of others may leave less to
    /// approve. Returns whether there are any.
    fn requeue_pending_approvals(&mut self) -> bool {
        let changes = self.changes();
        let holds = |object: &Object| object.status.as_ref().is_some_and(|status| status.pending_approval.is_some());
        let awaits_approval = |name: &str| self.cluster.get(name).is_some_and(|object| holds(&object));
        let pending = self.scheduled.iter().filter(|(name, entry)| entry.changes < changes && awaits_approval(name));
        let pending: Vec<String> = pending.map(|(name, _)| name.clone()).collect();
        for name in &pending {
            self.wake_up(name);
        }
        !pending.is_empty()
    }

    fn begin_due<T: Store + 'static>(
        &mut self,
        reconciles: &mut JoinSet<(String, Requeue)>,
        shutdown: &CancellationToken,
        store: &impl Fn(LocalStore) -> T,
    ) {
        let (now, changes) = (Instant::now(), self.changes());
        let due = |entry: &ScheduledResource| !entry.running && !entry.rests && entry.due.is_some_and(|due| due <= now);
        let due: Vec<String> =
            self.scheduled.iter().filter(|(_, entry)| due(entry)).map(|(name, _)| name.clone()).collect();
        for resource in due {
            let wake = self.waker(&resource);
            let Some(entry) = self.scheduled.get_mut(&resource) else { continue };
            entry.due = None;
            let Some(object) = self.cluster.get(&resource) else {
                entry.rests = true;
                self.at_rest.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            (entry.running, entry.changes) = (true, changes);
            let (engine, session, cancel) = (Arc::clone(&self.engine), Arc::clone(&entry.session), shutdown.clone());
            let mut store = store(self.cluster.store(&object, wake));
            reconciles.spawn(async move {
                let mut session = session.lock().await;
                let next = engine.reconcile(&object.resource(), &mut session, &mut store, &cancel).await;
                (resource, next)
            });
        }
    }

    fn waker(&self, resource: &str) -> Wake {
        let (wake, resource) = (self.wake.clone(), resource.to_owned());
        // After the end, the receiver is gone and nothing needs to be reconciled.
        Arc::new(move || drop(wake.send(resource.clone())))
    }

    fn wake_up(&mut self, resource: &str) {
        if let Some(entry) = self.scheduled.get_mut(resource) {
            entry.due = Some(Instant::now());
            if std::mem::take(&mut entry.rests) {
                self.at_rest.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    async fn record_end(&mut self, ended: Result<(String, Requeue), tokio::task::JoinError>, deadline: Instant) {
        let (resource, next) = match ended {
            Ok(ended) => ended,
            // A defect of Rollcall ends the process, as it would without a task of its own.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return,
        };
        let object = self.cluster.get(&resource);
        let mut next = next;
        if let Some(hash) = object.as_deref().and_then(|object| self.approves(object)).cloned()
            && self.cluster.annotate(&resource, APPROVE, &hash).await.unwrap_or_default()
        {
            next = Requeue::AtOnce;
        }
        let Some(entry) = self.scheduled.get_mut(&resource) else { return };
        entry.running = false;
        let left = deadline.saturating_duration_since(Instant::now());
        let rest = match next {
            Requeue::AtOnce => Some(Duration::ZERO),
            Requeue::OnChange => None,
            Requeue::After(rest) => Some(rest)
                .filter(|rest| object.is_some_and(|object| !is_at_rest(&object, *rest, self.options.allow_removals))),
        };
        entry.too_late = rest.is_some_and(|rest| rest > left);
        let rest = rest.filter(|rest| *rest <= left);
        // A request that came during the reconcile is still due.
        if entry.due.is_none() {
            entry.due = rest.map(|rest| Instant::now() + rest);
        }
        if entry.due.is_none() {
            entry.rests = true;
            self.at_rest.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns the hash of the pending plan, if it is approved and the resource does not say so
    /// yet.
    fn approves(&self, object: &Object) -> Option<&String> {
        let pending = object.status.as_ref()?.pending_approval.as_ref().filter(|pending| !pending.approved)?;
        self.options.approved.iter().find(|hash| **hash == pending.hash)
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Returns the reason of the condition Ready, if it is about the current spec.
pub fn ready_reason(object: &Object) -> Option<Reason> {
    let status: &ChannelMembershipStatus = object.status.as_ref()?;
    let ready = status.conditions.first()?;
    Reason::named(&ready.reason).filter(|_| status.observed_generation == object.metadata.generation)
}

/// Returns whether a resource that is due again after `rest` is not worth the wait.
fn is_at_rest(object: &Object, rest: Duration, allow_removals: bool) -> bool {
    match ready_reason(object) {
        Some(Reason::Removing) if !allow_removals => rest >= REMOVALS_OFF_DELAY,
        // Without a reason, the resource was not reconciled to its end.
        None | Some(Reason::Adding | Reason::Removing | Reason::Retrying | Reason::RateLimited) => false,
        // Members that are retried or removed meanwhile are not forgotten.
        Some(
            Reason::ApprovalRequired | Reason::OwnershipConflict | Reason::SourceNotReady | Reason::MembersRefused,
        ) => rest > SOON,
        Some(Reason::AllPresent | Reason::RefusedWithinLimit) => rest > SECOND_LISTING,
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
