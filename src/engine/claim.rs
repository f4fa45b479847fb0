//! What must be written down before anything is done?

use super::pass::{Halt, Pass};
use super::store::{Event, Store, StoreError};
use crate::api::{DeletionPolicy, Reason};
use crate::chime::port::Service;
use crate::membership::plan::Plan;

impl<S: Service, T: Store> Pass<'_, S, T> {
    /// Puts the finalizer on or off, as `deletionPolicy` asks, and writes down whom the resource declares before it adds
    /// them: who is killed between an add and its status still knows whom it may remove.
    pub(super) async fn claim(&mut self, plan: &Plan) -> Result<(), Halt> {
        // One that was released before it is deleted will remove nobody, so nothing is to be waited for.
        let wants_finalizer = self.intent.deletion_policy == DeletionPolicy::Delete && !self.declaration.released;
        if wants_finalizer != self.declaration.has_finalizer {
            let written = self.report.set_finalizer(wants_finalizer).await;
            self.written(written).await?;
        }
        let before = self.ledger.claims.names().len();
        if self.intent.keeps_claims() {
            self.ledger.claims.extend(self.intent.roster.names());
        }
        let grew = self.ledger.claims.names().len() > before && !plan.add.is_empty();
        let approved = self.ledger.pending_approval.as_ref().filter(|pending| pending.approved);
        let was_approved = self
            .declaration
            .status
            .and_then(|status| status.pending_approval.as_ref())
            .is_some_and(|pending| pending.approved);
        let newly_approved = approved.is_some() && !was_approved;
        if grew || newly_approved {
            let found = self.findings();
            let written = self.report.intended(&found).await;
            self.written(written).await?;
        }
        if newly_approved {
            self.tell_of_approval().await;
        }
        Ok(())
    }

    /// A plan was approved.
    pub(super) async fn tell_of_approval(&mut self) {
        let Some(pending) = &self.ledger.pending_approval else { return };
        let note =
            format!("approved ({}): {} additions, {} removals", pending.hash, pending.additions, pending.removals);
        self.report.tell_event(Event { warning: false, reason: Reason::ApprovalRequired, note }).await;
    }

    /// Without what could not be written the pass does not go on.
    pub(super) async fn written(&mut self, written: Result<(), StoreError>) -> Result<(), Halt> {
        let Err(error) = written else { return Ok(()) };
        match &error {
            StoreError::Conflict | StoreError::Gone => {}
            StoreError::Unavailable(_) => tracing::warn!(%error, "failed to write down what is about to be done"),
            StoreError::Refused(_) => {
                tracing::error!(%error, "failed to write down what is about to be done, so it is not done");
                let note = format!("failed to write down what is about to be done, so it is not done: {error}");
                self.report.tell_event(Event { warning: true, reason: Reason::Retrying, note }).await;
            }
        }
        Err(Halt::Stale(error.rest()))
    }
}
