//! How does a resource end that is being deleted?
//!
//! Without our finalizer it just goes, and removes nobody. With it, those are removed whom the resource declared and `prune` would
//! remove, and then it is let go; in any case a day after it was deleted.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::declaration::Declaration;
use super::intent::{Intent, Objection};
use super::memory::Memory;
use super::message;
use super::pass::{Engine, Halt, Next, Pass};
use super::report::Report;
use super::store::{Event, Store, StoreError};
use crate::api::{ChannelMembershipSpec, DeletionPolicy, Mode, Prune, Reason};
use crate::chime::port::Service;
use crate::chime::rate_limit::Priority;
use crate::membership::names::NameSet;
use crate::membership::problem::Problems;
use crate::membership::roll::Roll;
use crate::membership::roster::Roster;

/// A resource that is being deleted waits so long for whatever is in the way.
const PATIENCE: Duration = Duration::from_hours(24);

/// While something is in the way, it is looked at again at least this often.
const LOOK_EVERY: Duration = Duration::from_hours(1);

/// When a finalizer is tried again that could not be taken off.
const FINALIZER_REST: Duration = Duration::from_secs(5);

impl<S: Service> Engine<S> {
    /// A pass over a resource that is being deleted.
    pub(super) async fn last_pass<T: Store>(
        &self,
        declaration: &Declaration<'_>,
        intent: Result<Arc<Intent>, Objection>,
        memory: &mut Memory,
        mut report: Report<'_, T>,
        cancel: &CancellationToken,
    ) -> Next {
        memory.problems = Problems::default();
        let Some(since) = declaration.deleting_since.filter(|_| declaration.has_finalizer) else {
            memory.cell = None;
            return Next::OnChange;
        };
        let age = Duration::try_from(self.clock.now().duration_since(since)).unwrap_or_default();
        let left = PATIENCE.saturating_sub(age);
        if self.lets_go(declaration) {
            let note = "let go as it was asked to be: its members stay in the channel".to_owned();
            return let_go(&mut report, Event { warning: false, reason: Reason::Removing, note }).await;
        }
        let intent = match intent {
            Ok(intent) => intent,
            Err(objection) if left.is_zero() => {
                return let_go(&mut report, gave_up(objection.reason, &objection.message)).await;
            }
            Err(objection) => {
                let rest = report.objection(&objection).await.err().unwrap_or(LOOK_EVERY);
                return Next::After(rest.min(left));
            }
        };
        if left.is_zero() {
            let why = "not everybody could be removed; see the status that it had";
            return let_go(&mut report, gave_up(Reason::Removing, why)).await;
        }
        self.last_start(declaration, &intent, memory, report, cancel).end(left).await
    }

    /// Whether a resource that is being deleted goes and removes nobody, because it was asked to.
    pub(super) fn lets_go(&self, declaration: &Declaration<'_>) -> bool {
        declaration.released || self.settings.read_only || declaration.spec.is_ok_and(asks_for_nobody)
    }

    /// A pass over a resource that is being deleted, about to begin.
    pub(super) fn last_start<'a, T: Store>(
        &'a self,
        declaration: &'a Declaration<'a>,
        intent: &Arc<Intent>,
        memory: &'a mut Memory,
        report: Report<'a, T>,
        cancel: &'a CancellationToken,
    ) -> Pass<'a, S, T> {
        let own = memory.last_roster.clone().unwrap_or_else(|| Arc::clone(&intent.roster));
        self.start(declaration, last_intent(intent), own, memory, report, Priority::Edit, cancel)
    }
}

/// Whether the spec asks for nobody to be removed.
fn asks_for_nobody(spec: &ChannelMembershipSpec) -> bool {
    spec.suspend
        || spec.mode == Mode::Observe
        || spec.deletion_policy == DeletionPolicy::Retain
        || spec.prune == Prune::Never
}

/// A resource that is being deleted declares no members, and removes whom it declared and no one else.
fn last_intent(intent: &Intent) -> Arc<Intent> {
    let roster = Arc::new(Roster::nobody(&intent.target.channel));
    let prune = if intent.prune == Prune::Authoritative { Prune::Declared } else { intent.prune };
    Arc::new(Intent { roster, prune, expires_at: None, source_problem: None, unknown: None, ..intent.clone() })
}

impl<S: Service, T: Store> Pass<'_, S, T> {
    /// Removes whom the resource claims, and lets it go when nobody is left, or when no patience is.
    async fn end(mut self, left: Duration) -> Next {
        let claimed = self.ledger.claims.names().len();
        let Ok(end) = tokio::time::timeout(left, self.remove_all()).await else {
            let why = message::removing(&self.findings());
            return let_go(&mut self.report, gave_up(Reason::Removing, &why)).await;
        };
        let done = match &end {
            Ok(done) => *done,
            Err(Halt::Refused(error)) => error.code == "NotFound",
            Err(_) => false,
        };
        if done {
            let note = match &end {
                Err(_) => "the channel is gone, so there was nobody to remove",
                Ok(_) if claimed == 0 => "it claims nobody, so nobody was removed",
                Ok(_) => {
                    "nobody is left in the channel whom it declared and nobody else does, but those who are never removed"
                }
            };
            let note = note.to_owned();
            return let_go(&mut self.report, Event { warning: false, reason: Reason::Removing, note }).await;
        }
        match self.conclude(end.map(|_| ())).await {
            Next::After(rest) => Next::After(rest.min(LOOK_EVERY).min(left)),
            next => next,
        }
    }

    /// Whether nobody is left to be removed.
    async fn remove_all(&mut self) -> Result<bool, Halt> {
        if self.ledger.claims.names().is_empty() {
            return Ok(true);
        }
        self.observe().await?;
        self.take_stock().await?;
        self.see_who_leaves();
        if self.take_approval() {
            self.tell_of_approval().await;
        }
        self.remove().await?;
        if let Some(error) = self.removal_refused.take() {
            return Err(Halt::Refused(error));
        }
        let claims = self.ledger.claims.names();
        let membership_type = self.intent.target.membership_type;
        let left: NameSet = claims.iter().filter(|name| !self.stays_for_good(name)).collect();
        if left.is_empty() {
            return Ok(true);
        }
        // Whoever is left is another resource's, if that is not going away as well.
        let is_declared = |roll: &Roll| left.iter().all(|name| roll.declares(membership_type, name));
        Ok(is_declared(&self.roll) && self.quorum().await?.is_some_and(|quorum| is_declared(&quorum.roll)))
    }
}

fn gave_up(reason: Reason, why: &str) -> Event {
    let note = format!("let go a day after it was deleted, its members stay in the channel: {why}");
    Event { warning: true, reason, note }
}

async fn let_go<T: Store>(report: &mut Report<'_, T>, event: Event) -> Next {
    match report.set_finalizer(false).await {
        Ok(()) => {
            tracing::info!("{}", event.note);
            report.tell_event(event).await;
            Next::OnChange
        }
        Err(StoreError::Gone) => Next::OnChange,
        Err(error) => {
            tracing::warn!(%error, "failed to take the finalizer off");
            Next::After(FINALIZER_REST)
        }
    }
}
