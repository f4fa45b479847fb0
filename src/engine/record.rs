//! The record: what is about to be done is written to the status before it is done, so that a
//! process that is killed in between leaves a successor that knows which members it owns and how
//! many removals count.

use std::collections::BTreeSet;

use super::io::Io;
use super::message;
use super::outcome::Outcome;
use super::status_writer::StatusWriter;
use super::stop::Stop;
use super::store::{Event, Store};
use crate::api::{DeletionPolicy, Reason};
use crate::chime::port::Service;
use crate::membership::approval::approved_members;
use crate::membership::guard::Admitted;
use crate::membership::member_set::NameSet;

/// A value whose record stands in the status, if one is needed. No other module makes one, and
/// effects take nothing else.
#[derive(Debug)]
pub(super) struct Recorded<T>(T);

impl<T> Recorded<T> {
    /// Returns the value.
    pub(super) fn value(&self) -> &T {
        &self.0
    }
}

/// Members whose removal is admitted and counted in the status.
#[derive(Debug)]
pub(super) struct RemovalBatch {
    pub(super) admitted: Admitted,
    pub(super) names: BTreeSet<String>,
}

/// Puts our finalizer on or off as `deletionPolicy` says, and records the declared members before
/// they are added. Returns the members to add.
pub(super) async fn record_plan<S: Service, T: Store>(
    io: &mut Io<'_, S, StatusWriter<'_, T>>,
    outcome: &mut Outcome<'_>,
) -> Result<Recorded<NameSet>, Stop> {
    let facts = &outcome.facts;
    // A released resource removes no members when it is deleted, so it needs no finalizer.
    let wants_finalizer = facts.spec.deletion_policy == DeletionPolicy::Delete && !facts.resource.released;
    if wants_finalizer != facts.resource.has_finalizer {
        io.progress.set_finalizer(wants_finalizer).await.map_err(Stop::NotWritten)?;
    }
    let record = &outcome.state.record;
    let is_approved = record.pending_approval.as_ref().is_some_and(|plan| plan.approved);
    let status = facts.resource.status.as_ref();
    let was_approved = status.and_then(|status| status.pending_approval.as_ref()).is_some_and(|plan| plan.approved);
    let newly_approved = is_approved && !was_approved;
    let add = outcome.plan.add.clone();
    if outcome.plan.owns_more && !add.is_empty() || newly_approved {
        let summary = io.summary(outcome);
        let removes = approved_members(&facts.spec, record, '-').is_some();
        let (reason, message) = if add.is_empty() && removes {
            (Reason::Removing, message::removing(&summary))
        } else {
            (Reason::Adding, message::adding(&summary, None))
        };
        io.progress.write_ahead(&summary, reason, &message).await.map_err(Stop::NotWritten)?;
    }
    if newly_approved {
        publish_approval(io, outcome).await;
    }
    Ok(Recorded(add))
}

/// Publishes an event that a plan was approved.
pub(super) async fn publish_approval<S: Service, T: Store>(
    io: &mut Io<'_, S, StatusWriter<'_, T>>,
    outcome: &Outcome<'_>,
) {
    let Some(plan) = &outcome.state.record.pending_approval else { return };
    let note = format!("approved ({}): {} additions, {} removals", plan.hash, plan.additions, plan.removals);
    io.progress.publish(Event { warning: false, reason: Reason::ApprovalRequired, note }).await;
}

/// Counts admitted removals in the status before they begin.
pub(super) async fn record_removals<S: Service, T: Store>(
    io: &mut Io<'_, S, StatusWriter<'_, T>>,
    outcome: &mut Outcome<'_>,
    batch: RemovalBatch,
) -> Result<Recorded<RemovalBatch>, Stop> {
    let record = &mut outcome.state.record;
    let fresh = batch.names.iter().filter(|name| !record.removing.contains(name)).count();
    record.count(fresh, io.now());
    record.removing.extend(batch.names.iter().map(String::as_str));
    let summary = io.summary(outcome);
    let message = message::removing(&summary);
    io.progress.write_ahead(&summary, Reason::Removing, &message).await.map_err(Stop::NotWritten)?;
    let state = &mut outcome.state;
    state.record.remember(&mut state.notes.removals, true, io.now());
    Ok(Recorded(batch))
}
