//! The cleanup of a resource that is being deleted.
//!
//! A resource without our finalizer disappears, and no member is removed. With it, the members are
//! removed that the resource declared and that `prune` allows to remove; then the finalizer is
//! taken off, in any case a day after the deletion.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Engine;
use super::io::Io;
use super::message;
use super::observe::observe;
use super::outcome::Outcome;
use super::progress::ProgressReport;
use super::record::publish_approval;
use super::remove::{remove_members, update_candidates};
use super::report::{Requeue, finish};
use super::resource::Resource;
use super::session::Session;
use super::spec::InvalidSpec;
use super::status_writer::StatusWriter;
use super::stop::{Pause, Stop};
use super::store::{Event, Store, StoreError};
use super::uncached_read::read_declarers;
use crate::api::{ChannelMembershipSpec, DeletionPolicy, Mode, Prune, Reason};
use crate::chime::port::Service;
use crate::chime::rate_limit::Priority;
use crate::membership::declarers::Declarers;
use crate::membership::member_set::NameSet;
use crate::membership::retry::MemberErrors;
use crate::membership::spec::ValidSpec;
use crate::membership::time::between;

/// The longest time that a deleted resource waits for an obstacle.
const PATIENCE: Duration = Duration::from_hours(24);

/// While there is an obstacle, it is checked at least this often.
const CHECK_EVERY: Duration = Duration::from_hours(1);

/// A finalizer that could not be taken off is tried again after this.
const FINALIZER_PAUSE: Duration = Duration::from_secs(5);

impl<S: Service> Engine<S> {
    /// Reconciles a resource that is being deleted.
    pub(super) async fn clean_up<T: Store>(
        &self,
        resource: &Resource,
        spec: Result<Arc<ValidSpec>, InvalidSpec>,
        session: &mut Session,
        mut status: StatusWriter<'_, T>,
        cancel: &CancellationToken,
    ) -> Requeue {
        session.notes.errors = MemberErrors::default();
        let Some(since) = resource.deleting_since.filter(|_| resource.has_finalizer) else {
            session.entry = None;
            return Requeue::OnChange;
        };
        let left = PATIENCE.saturating_sub(between(since, self.clock.now()));
        if self.should_release(resource) {
            let note = "released as requested: its members stay in the channel".to_owned();
            return release(&mut status, Event { warning: false, reason: Reason::Removing, note }).await;
        }
        let spec = match spec {
            Ok(spec) => spec,
            Err(invalid) if left.is_zero() => {
                return release(&mut status, gave_up(invalid.reason, &invalid.message)).await;
            }
            Err(invalid) => {
                let pause = status.write_invalid(&invalid).await.err().map(|error| error.retry_after());
                return Requeue::After(pause.unwrap_or(CHECK_EVERY).min(left));
            }
        };
        if left.is_zero() {
            let why = "not all members could be removed; see its last status";
            return release(&mut status, gave_up(Reason::Removing, why)).await;
        }
        let (mut io, mut outcome) = self.begin_cleanup(resource, &spec, session, status, cancel);
        let owned = outcome.state.record.owned.names().len();
        let Ok(end) = tokio::time::timeout(left, remove_all(&mut io, &mut outcome)).await else {
            let summary = io.summary(&outcome);
            session.notes = outcome.state.notes;
            return release(&mut io.progress, gave_up(Reason::Removing, &message::removing(&summary))).await;
        };
        let note = match &end {
            Ok(true) if owned == 0 => Some("it owns no members, so no member was removed"),
            Ok(true) => Some(
                "no member is left to remove: the members it declared are gone, declared by others, or never removed",
            ),
            Err(Stop::Refused(error)) if error.code == "NotFound" => {
                Some("the channel is gone, so there was no member to remove")
            }
            _ => None,
        };
        if let Some(note) = note {
            session.notes = outcome.state.notes;
            let event = Event { warning: false, reason: Reason::Removing, note: note.to_owned() };
            return release(&mut io.progress, event).await;
        }
        match finish(io, outcome, end.map(|_| ()), session).await {
            Requeue::After(pause) => Requeue::After(pause.min(CHECK_EVERY).min(left)),
            requeue => requeue,
        }
    }

    /// Returns whether a resource that is being deleted is released with no member removed, because
    /// it was asked to be.
    pub(super) fn should_release(&self, resource: &Resource) -> bool {
        resource.released || self.settings.read_only || resource.spec.as_ref().is_ok_and(removes_no_member)
    }

    /// Prepares I/O and outcome of a cleanup.
    pub(super) fn begin_cleanup<'a, P: ProgressReport>(
        &'a self,
        resource: &'a Resource,
        spec: &Arc<ValidSpec>,
        session: &mut Session,
        progress: P,
        cancel: &'a CancellationToken,
    ) -> (Io<'a, S, P>, Outcome<'a>) {
        let own = session.last_desired.clone().unwrap_or_else(|| Arc::clone(&spec.desired));
        self.begin(resource, Arc::new(spec.for_cleanup()), own, session, progress, Priority::Edit, cancel)
    }
}

/// Returns whether the spec asks for no member to be removed on deletion.
fn removes_no_member(spec: &ChannelMembershipSpec) -> bool {
    spec.suspend
        || spec.mode == Mode::Observe
        || spec.deletion_policy == DeletionPolicy::Retain
        || spec.prune == Prune::Never
}

/// Removes all owned members. Returns whether none is left to remove.
async fn remove_all<S: Service, T: Store>(
    io: &mut Io<'_, S, StatusWriter<'_, T>>,
    outcome: &mut Outcome<'_>,
) -> Result<bool, Stop> {
    if outcome.state.record.owned.names().is_empty() {
        return Ok(true);
    }
    observe(io, outcome).await?;
    update_candidates(io, outcome);
    if outcome.accept_approval(&io.view(), io.now()) {
        publish_approval(io, outcome).await;
    }
    remove_members(io, outcome).await?;
    if let Some(error) = outcome.removal_error.take() {
        return Err(Stop::Refused(error));
    }
    let now = io.now();
    let exemptions = &outcome.state.notes.exemptions;
    let owned = outcome.state.record.owned.names().iter();
    let left: NameSet = owned.filter(|name| !exemptions.is_lasting(name, now)).collect();
    if left.is_empty() {
        return Ok(true);
    }
    // The remaining members belong to another resource, unless that one is being deleted as well.
    let membership_type = io.spec.target.membership_type;
    let declared = |declarers: &Declarers| left.iter().all(|name| declarers.declares(membership_type, name));
    if !declared(&outcome.facts.declarers) {
        return Ok(false);
    }
    match read_declarers(io, outcome).await {
        Ok(uncached) => Ok(declared(uncached.declarers())),
        Err(Pause::Stop(stop)) => Err(stop),
        Err(Pause::Blocked(blocker)) => {
            outcome.blocker = Some(blocker);
            Ok(false)
        }
        Err(Pause::NoneDue) => Ok(false),
    }
}

fn gave_up(reason: Reason, why: &str) -> Event {
    let note = format!("released a day after it was deleted, its members stay in the channel: {why}");
    Event { warning: true, reason, note }
}

/// Takes our finalizer off.
async fn release<T: Store>(status: &mut StatusWriter<'_, T>, event: Event) -> Requeue {
    match status.set_finalizer(false).await {
        Ok(()) => {
            tracing::info!("{}", event.note);
            status.publish(event).await;
            Requeue::OnChange
        }
        Err(StoreError::Gone) => Requeue::OnChange,
        Err(error) => {
            tracing::warn!(%error, "failed to take the finalizer off");
            Requeue::After(FINALIZER_PAUSE)
        }
    }
}
