//! The end of a reconcile: its status is written, and the next reconcile is scheduled.

use std::time::Duration;

use super::io::Io;
use super::message;
use super::outcome::Outcome;
use super::schedule::{Schedule, refusal_pause};
use super::session::Session;
use super::status_writer::StatusWriter;
use super::stop::{Stop, reason_of};
use super::store::{Event, Store, StoreError};
use crate::api::Reason;
use crate::chime::port::Service;

/// When the resource is reconciled again, unless it changes before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requeue {
    /// After this time.
    After(Duration),
    /// When it changes, and not before.
    OnChange,
    /// At once, because the reconcile was interrupted by a newer version.
    AtOnce,
}

/// Writes the status at the end of a reconcile, gives the notes back to the session, and schedules
/// the next reconcile.
pub(super) async fn finish<S: Service, T: Store>(
    mut io: Io<'_, S, StatusWriter<'_, T>>,
    mut outcome: Outcome<'_>,
    end: Result<(), Stop>,
    session: &mut Session,
) -> Requeue {
    outcome.clear_resolved_errors(&io.view());
    let summary = io.summary(&outcome);
    let resource = outcome.facts.resource;
    if matches!(end, Ok(()) | Err(Stop::Refused(_) | Stop::Invalid(..))) {
        session.mark_reconciled(resource);
        let refused = end.is_err() || outcome.removal_error.is_some();
        session.refusals = if refused { session.refusals.saturating_add(1) } else { 0 };
    }
    let status = &mut io.progress;
    let written = match &end {
        Ok(()) => {
            let reason = summary.reason();
            let message = match &summary.removal_error {
                Some(error) if reason == reason_of(error) => message::refused(&summary, error),
                _ => message::outcome(reason, &summary, &resource.name),
            };
            status.write_end(&summary, reason, &message).await
        }
        Err(Stop::Refused(error)) => {
            let message = message::refused(&summary, error);
            status.write_end(&summary, reason_of(error), &message).await
        }
        Err(Stop::Invalid(reason, message)) => status.write_end(&summary, *reason, message).await,
        Err(Stop::NotWritten(error)) => {
            report_unwritten(status, error).await;
            let rest = error.retry_after();
            give_back(io, outcome, session);
            return Requeue::After(rest);
        }
        Err(Stop::Stale(rest)) => {
            let rest = *rest;
            give_back(io, outcome, session);
            return Requeue::After(rest);
        }
        // Nothing that was done is lost: the next reconcile reads it from the cache, the next
        // process from the channel.
        Err(Stop::Interrupted) if !io.engine.shutdown.is_cancelled() => {
            give_back(io, outcome, session);
            return Requeue::AtOnce;
        }
        // Without a listing, nothing is known that the status does not say.
        Err(Stop::Interrupted) if summary.listed.is_none() => Ok(()),
        Err(Stop::Interrupted) => status.write_shutdown(&summary).await,
    };
    if let Some(others) = outcome.computed_against.take().filter(|_| written.is_ok()) {
        outcome.state.notes.declarers = others;
    }
    let due = Schedule {
        outcome: &outcome,
        summary: &summary,
        view: &io.view(),
        resync: io.entry.until_resync(summary.interval, io.now()),
        refusal_pause: refusal_pause(session.refusals, summary.interval),
        now: io.now(),
    }
    .due_in(end.is_err());
    give_back(io, outcome, session);
    Requeue::After(match written {
        Ok(()) => due,
        // A refused call is not made again just because its status could not be written.
        Err(error) if end.is_err() => error.retry_after().max(due),
        Err(error) => error.retry_after().min(due),
    })
}

/// Gives back to the session what the reconcile took from it.
fn give_back<S: Service, T: Store>(io: Io<'_, S, StatusWriter<'_, T>>, outcome: Outcome<'_>, session: &mut Session) {
    session.status_unsure = io.progress.is_unsure();
    session.roles = io.roles;
    session.stale_reads = io.stale_reads;
    session.notes = outcome.state.notes;
}

/// Reports that a reconcile stopped because its resource could not be written.
async fn report_unwritten<T: Store>(status: &mut StatusWriter<'_, T>, error: &StoreError) {
    match error {
        StoreError::Conflict | StoreError::Gone => {}
        StoreError::Unavailable(_) => tracing::warn!(%error, "failed to write down what is about to be done"),
        StoreError::Refused(_) => {
            tracing::error!(%error, "failed to write down what is about to be done, so it is not done");
            let note = format!("failed to write down what is about to be done, so it is not done: {error}");
            status.publish(Event { warning: true, reason: Reason::Retrying, note }).await;
        }
    }
}
