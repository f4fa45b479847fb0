//! The status writer: all writes of a reconcile to its resource, each based on the version of the
//! one before.
//!
//! A status is written only when it says something new. During a long reconcile, progress is
//! written after 5 s and then at most every 10 s.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Engine;
use super::clock::Clock;
use super::counters::EngineCounters;
use super::message;
use super::progress::{ProgressReport, Waiting};
use super::resource::{Resource, Version};
use super::spec::InvalidSpec;
use super::status::{StatusBasis, narrow, transition_event};
use super::store::{Event, Store, StoreError};
use super::summary::Summary;
use super::trace;
use crate::api::{ChannelMembershipStatus, Mode, Reason};
use crate::chime::port::CallError;
use crate::chime::rate_limit::Priority;
use crate::membership::arn::ChannelArn;
use crate::membership::spec::ValidSpec;

/// A reconcile shorter than this reports only its end.
const FIRST_PROGRESS: Duration = Duration::from_secs(5);

/// Progress is written at most this often.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// An outage over a resource that was as declared is reported only after this.
const LONG_OUTAGE: Duration = Duration::from_mins(10);

/// After a failed write of progress, the next one is made after this.
const PROGRESS_AFTER_FAILURE: Duration = Duration::from_mins(5);

/// The writer of one resource's status, finalizer and events.
pub(super) struct StatusWriter<'a, T> {
    store: &'a mut T,
    clock: Clock,
    counters: &'a EngineCounters,
    basis: StatusBasis<'a>,
    /// The version that the last write produced.
    version: Version,
    began: Instant,
    next_progress: Instant,
    /// The reason and the present members of the last progress report.
    reported: Option<(Reason, usize)>,
    /// True if a write was sent and never answered: the status in the cluster may be that one.
    unsure: bool,
}

impl<'a, T: Store> StatusWriter<'a, T> {
    /// Creates the writer of a resource. `unsure` says whether an earlier write was never answered.
    pub(super) fn new<S>(engine: &'a Engine<S>, resource: &'a Resource, store: &'a mut T, unsure: bool) -> Self {
        let endpoint = engine.settings.custom_endpoint.as_deref();
        let before = resource.status.clone().unwrap_or_default();
        Self {
            store,
            clock: engine.clock,
            counters: &engine.counters,
            basis: StatusBasis { resource, endpoint, before },
            version: resource.version.clone(),
            began: Instant::now(),
            next_progress: Instant::now() + FIRST_PROGRESS,
            reported: None,
            unsure,
        }
    }

    /// Returns whether the status in the cluster is unknown.
    pub(super) fn is_unsure(&self) -> bool {
        self.unsure
    }

    /// Returns the version of the resource that this reconcile knows.
    pub(super) fn version(&self) -> &Version {
        &self.version
    }

    /// Reads all resources of a channel, uncached.
    pub(super) async fn resources_of(&mut self, channel: &ChannelArn) -> Result<Vec<Resource>, StoreError> {
        self.store.resources_of(channel).await
    }

    /// Puts our finalizer on the resource, or takes it off.
    pub(super) async fn set_finalizer(&mut self, present: bool) -> Result<(), StoreError> {
        self.version = self.store.set_finalizer(present, &self.version).await?;
        Ok(())
    }

    /// Publishes an event.
    pub(super) async fn publish(&mut self, event: Event) {
        self.store.publish(event).await;
    }

    /// Writes what is about to be done, before it is done.
    pub(super) async fn write_ahead(
        &mut self,
        summary: &Summary,
        reason: Reason,
        message: &str,
    ) -> Result<(), StoreError> {
        let status = self.basis.counted(summary, reason, message, self.now());
        self.write(status).await
    }

    /// Writes the end of a reconcile.
    pub(super) async fn write_end(
        &mut self,
        summary: &Summary,
        reason: Reason,
        message: &str,
    ) -> Result<(), StoreError> {
        let status = self.basis.counted(summary, reason, message, self.now());
        self.finish(self.handled(status)).await
    }

    /// Writes that the spec cannot be reconciled.
    pub(super) async fn write_invalid(&mut self, invalid: &InvalidSpec) -> Result<(), StoreError> {
        let status = self.basis.invalid(invalid, self.now());
        self.finish(self.handled(status)).await
    }

    /// Writes that the resource is suspended.
    pub(super) async fn write_suspended(&mut self, spec: Option<&ValidSpec>) -> Result<(), StoreError> {
        let status = self.basis.suspended(spec, self.now());
        self.finish(self.handled(status)).await
    }

    /// Writes what was done before the process stopped in the middle of a reconcile.
    pub(super) async fn write_shutdown(&mut self, summary: &Summary) -> Result<(), StoreError> {
        let counts = (Some(narrow(summary.present)), Some(narrow(summary.failed)));
        let before = &self.basis.before;
        if summary.spec.mode == Mode::Observe || (before.present, before.failed) == counts {
            return Ok(());
        }
        let status = self.basis.counted(summary, Reason::Adding, &message::adding(summary, None), self.now());
        self.finish(status).await
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn handled(&self, status: ChannelMembershipStatus) -> ChannelMembershipStatus {
        let last_handled_reconcile_at = self.basis.resource.requested_at.clone();
        ChannelMembershipStatus { last_handled_reconcile_at, ..status }
    }

    /// Writes the end of a reconcile, and publishes an event if it is another end than the last
    /// one.
    async fn finish(&mut self, status: ChannelMembershipStatus) -> Result<(), StoreError> {
        trace::record_end(&status);
        let event = transition_event(&self.basis.before, &status);
        if let Err(error) = self.write(status).await {
            match &error {
                StoreError::Gone => return Ok(()),
                StoreError::Conflict => {}
                StoreError::Unavailable(_) => {
                    tracing::warn!(%error, "the status is written again in {} s", error.retry_after().as_secs());
                }
                StoreError::Refused(_) => {
                    tracing::error!(%error, "the API server refused the status");
                    let reason = Reason::Retrying;
                    self.store.publish(Event { warning: true, reason, note: error.to_string() }).await;
                }
            }
            return Err(error);
        }
        if let Some(event) = event {
            self.store.publish(event).await;
        }
        Ok(())
    }

    async fn write(&mut self, status: ChannelMembershipStatus) -> Result<(), StoreError> {
        if !self.basis.is_news(&status) && !self.unsure {
            return Ok(());
        }
        // With a version, ownership that another program wrote meanwhile is not lost, and older
        // ownership does not come back.
        let version = status.last_declared_uid.is_some().then_some(&self.version);
        let written = self.store.write_status(&status, version).await;
        self.unsure = matches!(written, Err(StoreError::Unavailable(_)));
        if matches!(written, Err(StoreError::Unavailable(_) | StoreError::Refused(_))) {
            self.counters.count_failed_status_write();
        }
        self.version = written?;
        if let Some(ready) = status.conditions.first() {
            tracing::info!(
                generation = self.basis.resource.generation,
                reason = ready.reason,
                desired = status.desired,
                present = status.present,
                pending = status.pending,
                failed = status.failed,
                "{}",
                ready.message
            );
        }
        self.basis.before = status;
        Ok(())
    }

    async fn write_progress(&mut self, status: ChannelMembershipStatus) {
        if let Err(error) = self.write(status).await {
            tracing::warn!(%error, "failed to write progress");
            // A permit may be granted meanwhile and stay unused: an API server that hangs costs
            // that once.
            self.next_progress = Instant::now() + PROGRESS_AFTER_FAILURE;
            self.reported = None;
        }
    }

    /// Reports that calls fail over a resource about which nothing new is known. A short outage is
    /// not reported: it would take Ready from all resources at once.
    async fn report_outage(&mut self, error: &CallError) {
        if self.began.elapsed() < LONG_OUTAGE || self.reported.is_some() {
            return;
        }
        self.reported = Some((Reason::Retrying, 0));
        let message = format!("the channel could not be listed for some time: {error}; the call is made again");
        self.write_progress(self.basis.outage(&message, self.now())).await;
    }

    /// Returns whether a summary is worth reporting. A resource that only observes is never
    /// reconciling. Members that were counted before are not counted as missing just because this
    /// process has not listed the channel yet; and a resync of a complete channel changes no count:
    /// thousands of resources may wait for theirs at once.
    fn is_worth_reporting(&self, summary: &Summary, level: Priority) -> bool {
        let no_listing = summary.listed.is_none() && self.basis.before.present.is_some();
        summary.spec.mode != Mode::Observe && !no_listing && (level == Priority::Edit || summary.pending > 0)
    }
}

impl<T: Store> ProgressReport for StatusWriter<'_, T> {
    fn next_report(&self) -> Instant {
        self.next_progress
    }

    async fn report(&mut self, summary: Summary, level: Priority, waiting: &Waiting, batch_rate: Option<f64>) {
        self.next_progress = Instant::now() + PROGRESS_EVERY;
        if !self.is_worth_reporting(&summary, level) {
            if let Waiting::Retry(error) = waiting
                && summary.spec.mode == Mode::Enforce
            {
                self.report_outage(error).await;
            }
            return;
        }
        let (reason, message) = message::progress(&summary, waiting, batch_rate);
        let news = (reason, summary.present);
        if self.reported == Some(news) {
            return;
        }
        self.reported = Some(news);
        let status = self.basis.counted(&summary, reason, &message, self.now());
        self.write_progress(status).await;
    }
}
