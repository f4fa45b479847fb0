//! What is written about a pass, and when?
//!
//! A status is written only when it says something new. While a pass is long, progress is written after 5 s and then every
//! 10 s at most.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::time::Instant;

use super::clock::Clock;
use super::declaration::Declaration;
use super::intent::{Intent, Objection};
use super::message::{self, Counts};
use super::pass::{Halt, Pass};
use super::store::{Event, Store, StoreError};
use super::view::Cell;
use crate::api::{
    ChannelMembershipStatus, Interval, MAX_ERROR_MESSAGE_CHARS, MAX_ERRORS, MemberProblem, Mode, Reason, State,
    conditions,
};
use crate::chime::pace::Level;
use crate::chime::port::{CallError, Service};
use crate::membership::names::NameSet;
use crate::membership::problem::Problems;

/// A pass shorter than this is told only by its end.
const FIRST_PROGRESS: Duration = Duration::from_secs(5);

/// Progress is written at most this often.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// When a status that did not get through is tried again.
const UNAVAILABLE_REST: Duration = Duration::from_secs(5);

/// When a status that the API server refused is tried again.
const REFUSED_REST: Duration = Duration::from_secs(300);

/// What a pass waits for.
pub(super) enum Waiting {
    /// For pages of a listing.
    Listing,
    /// For leave to call.
    Turn,
    /// For making a call again that failed so.
    Again(CallError),
}

/// The status of one resource, as it is now and as it will be.
pub(super) struct Report<'a, T> {
    store: &'a mut T,
    clock: Clock,
    endpoint: Option<&'a str>,
    generation: i64,
    requested_at: Option<&'a str>,
    before: ChannelMembershipStatus,
    next_progress: Instant,
    told: Option<(Reason, usize)>,
}

impl<S: Service, T: Store> Pass<'_, S, T> {
    /// Waits, telling of progress when it takes long. Ends at once when the pass is cancelled.
    pub(super) async fn wait<F: Future>(&mut self, waiting: &Waiting, future: F) -> Result<F::Output, Halt> {
        let mut future = pin!(future);
        // A resync has nothing to tell before it has listed, and thousands may wait for that at once.
        let has_news = !matches!(waiting, Waiting::Listing) || self.urgency.level() != Level::Resync;
        loop {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(Halt::Interrupted),
                output = &mut future => return Ok(output),
                () = tokio::time::sleep_until(self.report.next_progress), if has_news => {}
            }
            let there = self.there();
            let counts = Counts::of(&self.intent, &there, &self.memory.problems);
            let rate = self.engine.client.pacer().batch_rate(&self.intent.target);
            let (reason, message) = match waiting {
                Waiting::Again(error) => (Reason::Retrying, message::retrying(counts, error)),
                Waiting::Turn if counts.present > 0 => (Reason::Adding, message::adding(counts, rate)),
                Waiting::Turn | Waiting::Listing => (Reason::Paced, message::paced(counts)),
            };
            self.report.progress(&self.intent, reason, &message, &there, &self.memory.problems).await;
        }
    }
}

impl Counts {
    fn of(intent: &Intent, there: &NameSet, problems: &Problems) -> Self {
        let names = intent.roster.names();
        let failed = problems.iter().filter(|(_, problem)| !problem.transient).count();
        Self { desired: names.len(), present: names.iter().filter(|name| there.contains(name)).count(), failed }
    }
}

impl<'a, T: Store> Report<'a, T> {
    pub(super) fn new(
        declaration: &Declaration<'a>,
        store: &'a mut T,
        clock: Clock,
        endpoint: Option<&'a str>,
    ) -> Self {
        Self {
            store,
            clock,
            endpoint,
            generation: declaration.generation,
            requested_at: declaration.requested_at,
            before: declaration.status.cloned().unwrap_or_default(),
            next_progress: Instant::now() + FIRST_PROGRESS,
            told: None,
        }
    }

    /// The pass came to its end.
    pub(super) async fn outcome(
        &mut self,
        intent: &Intent,
        there: &NameSet,
        problems: &Problems,
        cell: &Cell,
        interval: Duration,
    ) -> Result<(), Duration> {
        let counts = Counts::of(intent, there, problems);
        let reason = if intent.mode == Mode::Observe {
            Reason::Observed
        } else if counts.pending() > 0 {
            Reason::Retrying
        } else if counts.failed == 0 {
            Reason::AllPresent
        } else if counts.failed <= intent.tolerated.of(counts.desired) {
            Reason::RefusedWithinLimit
        } else {
            Reason::MembersRefused
        };
        let message = message::outcome(reason, counts, problems);
        let status = self.status(intent, reason, &message, there, problems);
        self.finish(self.listed(status, cell, interval)).await
    }

    /// A call was refused as a whole.
    pub(super) async fn refused(
        &mut self,
        intent: &Intent,
        error: &CallError,
        there: &NameSet,
        problems: &Problems,
        cell: &Cell,
        interval: Duration,
    ) -> Result<(), Duration> {
        let counts = Counts::of(intent, there, problems);
        let message = message::refused(counts, error, intent.target.bearer.as_str(), interval);
        let status = self.status(intent, message::reason_of(error), &message, there, problems);
        self.finish(self.listed(status, cell, interval)).await
    }

    /// The spec cannot be carried out as it is.
    pub(super) async fn objection(&mut self, objection: &Objection) -> Result<(), Duration> {
        let status = self.with_conditions(self.before.clone(), objection.reason, true, &objection.message);
        self.finish(self.handled(status)).await
    }

    /// The resource is suspended: what is known of it stays as it was.
    pub(super) async fn suspended(&mut self, intent: Option<&Intent>) -> Result<(), Duration> {
        let mut status = self.before.clone();
        if let Some(intent) = intent {
            status.channel = Some(intent.target.channel.id().to_owned());
        }
        let message = "spec.suspend is true: nothing is listed, changed or judged until it is taken out";
        let status = self.with_conditions(status, Reason::Suspended, true, message);
        self.finish(self.handled(status)).await
    }

    /// The process stops in the middle: what was done is recorded.
    pub(super) async fn stopped(
        &mut self,
        intent: &Intent,
        there: &NameSet,
        problems: &Problems,
    ) -> Result<(), Duration> {
        let counts = Counts::of(intent, there, problems);
        if self.before.present == Some(narrow(counts.present)) {
            return Ok(());
        }
        let status = self.status(intent, Reason::Adding, &message::adding(counts, None), there, problems);
        self.finish(status).await
    }

    /// The pass goes on.
    async fn progress(&mut self, intent: &Intent, reason: Reason, message: &str, there: &NameSet, problems: &Problems) {
        self.next_progress = Instant::now() + PROGRESS_EVERY;
        let news = (reason, Counts::of(intent, there, problems).present);
        if self.told == Some(news) {
            return;
        }
        self.told = Some(news);
        let status = self.status(intent, reason, message, there, problems);
        if let Err(error) = self.write(status).await {
            tracing::warn!(%error, "failed to write progress");
        }
    }

    fn status(
        &self,
        intent: &Intent,
        reason: Reason,
        message: &str,
        there: &NameSet,
        problems: &Problems,
    ) -> ChannelMembershipStatus {
        let counts = Counts::of(intent, there, problems);
        let status = ChannelMembershipStatus {
            channel: Some(intent.target.channel.id().to_owned()),
            bearer: Some(intent.target.bearer.as_str().to_owned()),
            desired: Some(narrow(counts.desired)),
            present: Some(narrow(counts.present)),
            pending: Some(narrow(counts.pending())),
            failed: Some(narrow(counts.failed)),
            errors: errors(intent, problems),
            errors_omitted: problems.iter().count().checked_sub(MAX_ERRORS).filter(|n| *n > 0).map(narrow),
            ..self.before.clone()
        };
        self.with_conditions(status, reason, counts.present == counts.desired, message)
    }

    fn with_conditions(
        &self,
        mut status: ChannelMembershipStatus,
        reason: Reason,
        complete: bool,
        message: &str,
    ) -> ChannelMembershipStatus {
        let message = match self.endpoint {
            Some(endpoint) => format!("{message} [the service is {endpoint}, not AWS]"),
            None => message.to_owned(),
        };
        let state = State::of(reason, complete);
        let now = second(self.clock.now());
        let generation = Some(self.generation);
        status.observed_generation = generation;
        status.conditions = conditions(&self.before.conditions, state, reason, &message, generation, &now);
        status
    }

    fn listed(&self, status: ChannelMembershipStatus, cell: &Cell, interval: Duration) -> ChannelMembershipStatus {
        let last_listed = cell.listed().map(|(_, at)| second(at)).or_else(|| self.before.last_listed.clone());
        let resync_interval = Some(Interval::new(interval));
        self.handled(ChannelMembershipStatus { last_listed, resync_interval, ..status })
    }

    fn handled(&self, status: ChannelMembershipStatus) -> ChannelMembershipStatus {
        let last_handled_reconcile_at = self.requested_at.map(str::to_owned);
        ChannelMembershipStatus { last_handled_reconcile_at, ..status }
    }

    /// Writes the end of a pass, and tells people when it is another end than the last time.
    async fn finish(&mut self, status: ChannelMembershipStatus) -> Result<(), Duration> {
        let event = event(&self.before, &status);
        match self.write(status).await {
            Ok(()) => {}
            Err(StoreError::Gone) => return Ok(()),
            Err(error @ StoreError::Unavailable(_)) => {
                tracing::warn!(%error, "the status is written again in {} s", UNAVAILABLE_REST.as_secs());
                return Err(UNAVAILABLE_REST);
            }
            Err(error @ StoreError::Refused(_)) => {
                tracing::error!(%error, "the API server refused the status");
                let reason = Reason::Retrying;
                self.store.publish(Event { warning: true, reason, note: error.to_string() }).await;
                return Err(REFUSED_REST);
            }
        }
        if let Some(event) = event {
            self.store.publish(event).await;
        }
        Ok(())
    }

    async fn write(&mut self, status: ChannelMembershipStatus) -> Result<(), StoreError> {
        // When it was listed, and how often it will be, is written along with other changes, never alone.
        let alone = ChannelMembershipStatus {
            last_listed: self.before.last_listed.clone(),
            resync_interval: self.before.resync_interval,
            ..status.clone()
        };
        if alone == self.before {
            return Ok(());
        }
        self.store.write_status(&status).await?;
        if let Some(ready) = status.conditions.first() {
            tracing::info!(
                generation = self.generation,
                reason = ready.reason,
                desired = status.desired,
                present = status.present,
                pending = status.pending,
                failed = status.failed,
                "{}",
                ready.message
            );
        }
        self.before = status;
        Ok(())
    }
}

/// What is worth telling of the way from one end of a pass to another: that help is needed, or no longer.
fn event(before: &ChannelMembershipStatus, after: &ChannelMembershipStatus) -> Option<Event> {
    let told = |status: &ChannelMembershipStatus, kind: &str| {
        let condition =
            status.conditions.iter().find(|condition| condition.type_ == kind && condition.status == "True");
        condition.map(|condition| condition.reason.clone())
    };
    let note = after.conditions.first()?.message.clone();
    let reason = Reason::named(&after.conditions.first()?.reason)?;
    let stalled = told(after, "Stalled");
    if stalled.is_some() && stalled != told(before, "Stalled") {
        return Some(Event { warning: true, reason, note });
    }
    let became_ready = told(after, "Ready").is_some() && told(before, "Ready").is_none();
    became_ready.then_some(Event { warning: false, reason, note })
}

/// The first problems by ARN, as the status shows them.
fn errors(intent: &Intent, problems: &Problems) -> Vec<MemberProblem> {
    problems
        .iter()
        .take(MAX_ERRORS)
        .map(|(name, problem)| MemberProblem {
            member_arn: intent.roster.arn(name).as_str().to_owned(),
            error_code: problem.code.clone(),
            error_message: problem.message.chars().take(MAX_ERROR_MESSAGE_CHARS).collect(),
            attempts: problem.attempts,
            first_seen: second(problem.first_seen),
            next_attempt: Some(second(problem.next_attempt)),
        })
        .collect()
}

/// Kubernetes keeps times to the second.
fn second(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
