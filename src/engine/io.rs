//! I/O of a reconcile: permits, pauses, calls that are retried, and waits that report progress.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::channel_cache::ChannelCacheEntry;
use super::channel_roles::ChannelRoles;
use super::outcome::Outcome;
use super::progress::{ProgressReport, Waiting};
use super::stop::Stop;
use super::summary::Summary;
use crate::chime::backoff::Backoff;
use crate::chime::caller::Caller;
use crate::chime::port::{CallError, Operation, Service};
use crate::chime::rate_limit::{Permit, Priority, SharedPriority};
use crate::membership::observation::ChannelView;
use crate::membership::spec::ValidSpec;

/// Listings may take this share of a bearer's rate; beyond it, resync intervals are stretched.
const LISTING_SHARE: f64 = 0.5;

/// Everything a reconcile talks to. `P` is told about progress: a status writer, or nothing for a
/// dry run.
pub(super) struct Io<'a, S, P> {
    pub(super) engine: &'a Engine<S>,
    pub(super) spec: Arc<ValidSpec>,
    pub(super) entry: Arc<ChannelCacheEntry>,
    pub(super) progress: P,
    /// When the reconcile began.
    pub(super) began: Timestamp,
    /// The priority of the reconcile when it began.
    pub(super) level: Priority,
    /// The priority of its calls.
    pub(super) priority: SharedPriority,
    /// When the open request for a reconcile came.
    pub(super) requested_at: Option<Timestamp>,
    /// The channel's roles, as last read.
    pub(super) roles: Option<ChannelRoles>,
    /// How many uncached reads in a row disagreed with this process.
    pub(super) stale_reads: u32,
    /// How often a failing call is made in a row; `None` for as long as it takes.
    pub(super) max_attempts: Option<u32>,
    pub(super) cancel: &'a CancellationToken,
}

impl<'a, S: Service, P: ProgressReport> Io<'a, S, P> {
    /// Returns the time.
    pub(super) fn now(&self) -> Timestamp {
        self.engine.clock.now()
    }

    /// Returns the channel as it is known now.
    pub(super) fn view(&self) -> ChannelView {
        self.entry.view()
    }

    /// Returns the counts and errors that a status shows now.
    pub(super) fn summary(&self, outcome: &Outcome<'_>) -> Summary {
        Summary::new(outcome, &self.view(), self.interval(), self.now())
    }

    /// Returns the resync interval in force: the one of the spec, or more if listing all channels
    /// of the bearer that often would take too much of its rate.
    pub(super) fn interval(&self) -> Duration {
        let wanted = self.spec.interval;
        let Some(rate) = self.engine.client.rate_limiter().bearer_rate(&self.spec.target) else { return wanted };
        #[expect(clippy::cast_precision_loss, reason = "pages are far below 2^52")]
        let pages = self.entry.pages_of_bearer() as f64;
        wanted.max(Duration::try_from_secs_f64((pages / (rate * LISTING_SHARE)).ceil()).unwrap_or(wanted))
    }

    /// Waits for a future. Reports progress when that takes long, and stops at once when the
    /// reconcile is cancelled.
    pub(super) async fn wait<F: Future>(
        &mut self,
        outcome: &Outcome<'_>,
        waiting: &Waiting,
        future: F,
    ) -> Result<F::Output, Stop> {
        let mut future = pin!(future);
        loop {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(Stop::Interrupted),
                output = &mut future => return Ok(output),
                () = tokio::time::sleep_until(self.progress.next_report()) => {}
            }
            let summary = self.summary(outcome);
            let batch_rate = self.engine.client.rate_limiter().batch_rate(&self.spec.target);
            self.progress.report(summary, self.level, waiting, batch_rate).await;
        }
    }

    /// Waits for a permit to make a call.
    pub(super) async fn acquire_permit(&mut self, outcome: &Outcome<'_>, operation: Operation) -> Result<Permit, Stop> {
        let (client, spec, priority) = (self.engine.client.clone(), Arc::clone(&self.spec), self.priority.clone());
        let permit = async move { client.acquire_permit(&spec.target, operation, &priority).await };
        self.wait(outcome, &Waiting::Permit, permit).await
    }

    /// Pauses after a call that failed and may succeed later. From here on the reconcile is a
    /// retry.
    pub(super) async fn back_off(
        &mut self,
        outcome: &Outcome<'_>,
        backoff: &mut Backoff,
        error: CallError,
    ) -> Result<(), Stop> {
        self.priority = SharedPriority::new(self.priority.current().max(Priority::Retry));
        let pause = backoff.next_delay(fastrand::f64());
        let error = self.retry_allowed(backoff.failures(), error)?;
        self.wait(outcome, &Waiting::Retry(error), tokio::time::sleep(pause)).await
    }

    /// Returns the error of a call that may be made again, and stops after too many failures in a
    /// row.
    pub(super) fn retry_allowed(&self, failures: u32, error: CallError) -> Result<CallError, Stop> {
        match self.max_attempts {
            Some(most) if failures >= most => Err(Stop::Refused(error)),
            _ => Ok(error),
        }
    }

    /// Returns the caller of calls that are repeated until they are answered or refused.
    pub(super) fn caller<'b, 'o>(&'b mut self, outcome: &'b Outcome<'o>) -> IoCaller<'b, 'a, 'o, S, P> {
        IoCaller { io: self, outcome }
    }
}

/// A reconcile as a caller: it waits as long as nothing cancels it, and reports its progress
/// meanwhile.
pub(super) struct IoCaller<'b, 'a, 'o, S, P> {
    io: &'b mut Io<'a, S, P>,
    outcome: &'b Outcome<'o>,
}

impl<S: Service, P: ProgressReport> Caller for IoCaller<'_, '_, '_, S, P> {
    type Stop = Stop;

    async fn acquire_permit(&mut self, operation: Operation) -> Result<Permit, Stop> {
        self.io.acquire_permit(self.outcome, operation).await
    }

    async fn back_off(&mut self, backoff: &mut Backoff, error: CallError) -> Result<(), Stop> {
        self.io.back_off(self.outcome, backoff, error).await
    }
}
