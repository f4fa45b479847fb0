//! One reconcile of one resource: observe → plan → record → add → remove → report.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::Engine;
use super::add::{add_members, confirm_members};
use super::channel_info::annotate_banned_members;
use super::io::Io;
use super::observe::observe;
use super::outcome::{Facts, Outcome};
use super::progress::ProgressReport;
use super::record::record_plan;
use super::remove::remove_members;
use super::report::{Requeue, finish};
use super::resource::Resource;
use super::session::Session;
use super::status_writer::StatusWriter;
use super::stop::Stop;
use super::store::Store;
use super::trace;
use crate::api::{ChannelMembershipStatus, Mode};
use crate::chime::port::Service;
use crate::chime::rate_limit::{Priority, SharedPriority};
use crate::membership::desired::DesiredMembers;
use crate::membership::record::Record;
use crate::membership::situation::{State, Waits};
use crate::membership::spec::ValidSpec;

/// The steps of a reconcile. A step returns what it did; whatever stops a step, the end is
/// reported and scheduled.
async fn steps<S: Service, T: Store>(
    io: &mut Io<'_, S, StatusWriter<'_, T>>,
    outcome: &mut Outcome<'_>,
) -> Result<(), Stop> {
    observe(io, outcome).await?;
    if outcome.facts.spec.mode == Mode::Observe {
        return Ok(());
    }
    outcome.make_plan(&io.view(), io.now());
    let recorded = record_plan(io, outcome).await?;
    let unanswered = add_members(io, outcome, &recorded).await?;
    confirm_members(io, outcome, unanswered).await?;
    annotate_banned_members(io, outcome).await?;
    remove_members(io, outcome).await
}

impl<S: Service> Engine<S> {
    /// Reconciles a resource as far as that is possible now, and writes its status. A resource that
    /// is being deleted is cleaned up as its `deletionPolicy` says, and then loses our finalizer.
    ///
    /// When `cancel` is cancelled, a call in flight ends (12 seconds at most), its effect is kept,
    /// and the reconcile ends.
    pub async fn reconcile<T: Store>(
        &self,
        resource: &Resource,
        session: &mut Session,
        store: &mut T,
        cancel: &CancellationToken,
    ) -> Requeue {
        let span = trace::reconcile(resource);
        self.reconcile_now(resource, session, store, cancel).instrument(span).await
    }

    async fn reconcile_now<T: Store>(
        &self,
        resource: &Resource,
        session: &mut Session,
        store: &mut T,
        cancel: &CancellationToken,
    ) -> Requeue {
        let wake = store.wake();
        let mut status = StatusWriter::new(self, resource, store, session.status_unsure);
        let spec = self.validate_and_register(resource, session, wake);
        if resource.is_deleting() {
            // Boxed, like the end below: a rare step would otherwise enlarge every future that
            // waits.
            return Box::pin(self.clean_up(resource, spec, session, status, cancel)).await;
        }
        let suspended = resource.spec.as_ref().is_ok_and(|spec| spec.suspend);
        let spec = match spec {
            Ok(spec) if !suspended => spec,
            no_work => {
                // Without an entry, the channel takes no share of the rate.
                session.entry = None;
                session.mark_reconciled(resource);
                let written = match no_work {
                    Err(invalid) if !suspended => status.write_invalid(&invalid).await,
                    spec => status.write_suspended(spec.ok().as_deref()).await,
                };
                session.status_unsure = status.is_unsure();
                return written.map_or_else(|error| Requeue::After(error.retry_after()), |()| Requeue::OnChange);
            }
        };
        let own = Arc::clone(&spec.desired);
        let level = self.level(resource, session);
        let (mut io, mut outcome) = self.begin(resource, spec, own, session, status, level, cancel);
        let end = steps(&mut io, &mut outcome).await;
        Box::pin(finish(io, outcome, end, session)).await
    }

    /// Returns the priority of a reconcile.
    fn level(&self, resource: &Resource, session: &Session) -> Priority {
        let now = self.clock.now();
        if session.is_edit(resource) {
            Priority::Edit
        } else if session.notes.errors.next_retry().is_some_and(|due| due <= now) || !session.notes.grace.is_empty() {
            Priority::Retry
        } else {
            Priority::Resync
        }
    }

    /// Prepares I/O and outcome of a reconcile.
    #[expect(clippy::too_many_arguments, reason = "the parts of a reconcile")]
    pub(super) fn begin<'a, P: ProgressReport>(
        &'a self,
        resource: &'a Resource,
        spec: Arc<ValidSpec>,
        own: Arc<DesiredMembers>,
        session: &mut Session,
        progress: P,
        level: Priority,
        cancel: &'a CancellationToken,
    ) -> (Io<'a, S, P>, Outcome<'a>) {
        let (entry, now) = (self.cache.entry(&spec.target), self.clock.now());
        let blank = ChannelMembershipStatus::default();
        let status = resource.status.as_ref().unwrap_or(&blank);
        let mut record = Record::read(status, &resource.uid, &spec.target.channel, &session.notes.removals, now);
        if !spec.keeps_ownership() {
            record.forget_ownership();
        }
        session.subscribe(&entry, &spec, record.owned.names(), now);
        let (declarers, recent) = self.registry.read(&spec.target.channel);
        let facts = Facts {
            resource,
            spec: Arc::clone(&spec),
            own,
            declarers,
            recent,
            started: self.started,
            waits: Waits::FULL,
            bearers: &self.settings.bearers,
        };
        let notes = std::mem::take(&mut session.notes);
        let outcome = Outcome::new(facts, State { record, notes }, fastrand::f64());
        let io = Io {
            engine: self,
            spec,
            entry,
            progress,
            began: now,
            level,
            priority: SharedPriority::new(level),
            requested_at: session.requested_at(),
            roles: session.roles.take(),
            stale_reads: session.stale_reads,
            max_attempts: None,
            cancel,
        };
        (io, outcome)
    }
}
