//! What is written about a pass, and when?
//!
//! A status is written only when it says something new. While a pass is long, progress is written after 5 s and then every
//! 10 s at most.

use std::time::Duration;

use tokio::time::Instant;

use super::clock::Clock;
use super::declaration::{Declaration, Snapshot};
use super::findings::Findings;
use super::intent::{Intent, Objection};
use super::message;
use super::settings::Settings;
use super::store::{Event, Store, StoreError, Version};
use super::tally::Tally;
use super::trace;
use crate::api::{ChannelMembershipStatus, Interval, MAX_MESSAGE_CHARS, Mode, Prune, Reason, State, conditions};
use crate::chime::port::CallError;
use crate::membership::arn::ChannelArn;
use crate::membership::ledger::to_the_second;

/// A pass shorter than this is told only by its end.
const FIRST_PROGRESS: Duration = Duration::from_secs(5);

/// Progress is written at most this often.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// From when on an outage is told of a resource that was as declared when last seen.
const LONG_OUTAGE: Duration = Duration::from_mins(10);

/// When progress is told again that could not be written.
const PROGRESS_AFTER_FAILURE: Duration = Duration::from_mins(5);

/// Longer than any process runs.
const NEVER: Duration = Duration::from_hours(24 * 3650);

/// The status of one resource, as it is now and as it will be.
pub(super) struct Report<'a, T> {
    store: &'a mut T,
    clock: Clock,
    endpoint: Option<&'a str>,
    tally: &'a Tally,
    declaration: &'a Declaration<'a>,
    /// The version that `before` is of.
    version: Version,
    before: ChannelMembershipStatus,
    began: Instant,
    next_progress: Instant,
    told: Option<(Reason, usize)>,
    /// A write was sent whose answer never came, so the status in the cluster may be that one.
    unsure: bool,
}

impl<'a, T: Store> Report<'a, T> {
    pub(super) fn new(
        declaration: &'a Declaration<'a>,
        store: &'a mut T,
        clock: Clock,
        settings: &'a Settings,
        tally: &'a Tally,
        unsure: bool,
    ) -> Self {
        Self {
            store,
            clock,
            endpoint: settings.custom_endpoint.as_deref(),
            tally,
            declaration,
            version: declaration.version.clone(),
            before: declaration.status.cloned().unwrap_or_default(),
            began: Instant::now(),
            next_progress: Instant::now() + FIRST_PROGRESS,
            told: None,
            unsure,
        }
    }

    /// One that nobody reads: progress is never due.
    pub(super) fn unread(self) -> Self {
        Self { next_progress: self.began + NEVER, ..self }
    }

    /// When the pass began.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// When progress is worth telling next.
    pub(super) fn next_progress(&self) -> Instant {
        self.next_progress
    }

    /// Calls fail and are made again, over a resource of which nothing new is known. A short outage is nobody's business: it
    /// would take Ready from all resources at once.
    pub(super) async fn outage(&mut self, error: &CallError) {
        self.skip_progress();
        if self.began.elapsed() < LONG_OUTAGE || self.told.is_some() {
            return;
        }
        self.told = Some((Reason::Retrying, 0));
        let message = format!("the channel could not be listed for some time: {error}; the call is made again");
        let mut status = self.before.clone();
        if status.observed_generation != Some(self.declaration.generation) {
            // The numbers are of another spec.
            (status.desired, status.present, status.pending, status.failed) = (None, None, None, None);
        }
        self.tell(self.with_conditions(status, Reason::Retrying, true, &message)).await;
    }

    /// Leaves progress untold for a while.
    pub(super) fn skip_progress(&mut self) {
        self.next_progress = Instant::now() + PROGRESS_EVERY;
    }

    /// Whether the status says how many are present.
    pub(super) fn has_counts(&self) -> bool {
        self.before.present.is_some()
    }

    /// Whether it is unknown what stands in the cluster.
    pub(super) fn is_unsure(&self) -> bool {
        self.unsure
    }

    /// The pass came to its end.
    pub(super) async fn outcome(&mut self, found: &Findings) -> Result<(), Duration> {
        let reason = if found.intent.mode == Mode::Observe {
            Reason::Observed
        } else if found.intent.source_problem.is_some() {
            Reason::SourceNotReady
        } else if !found.rivals.is_empty() || found.usurped.is_some() {
            Reason::OwnershipConflict
        } else if let Some(error) = found.removal_refused.as_ref().filter(|error| !error.class.is_transient()) {
            message::reason_of(error)
        } else if found.pending_approval() > 0 {
            Reason::ApprovalRequired
        } else if found.unplanned() > 0 {
            Reason::Adding
        } else if !found.transient.is_empty() {
            Reason::Retrying
        } else if found.leaving > 0 || found.looking {
            Reason::Removing
        } else if found.pending > 0 {
            Reason::Adding
        } else if found.failed == 0 {
            Reason::AllPresent
        } else if found.failed <= found.intent.tolerated.of(found.desired) {
            Reason::RefusedWithinLimit
        } else {
            Reason::MembersRefused
        };
        let message = match &found.removal_refused {
            Some(error) if reason == message::reason_of(error) => message::refused(found, error),
            _ => message::outcome(reason, found, self.declaration.resource),
        };
        self.objected(found, reason, &message).await
    }

    /// What is about to be added, or was approved, is written down before it is done.
    pub(super) async fn intended(&mut self, found: &Findings) -> Result<(), StoreError> {
        let status = self.status(found, Reason::Adding, &message::adding(found, None));
        self.write(status).await
    }

    /// Who is about to be removed is written down before they are.
    pub(super) async fn removing(&mut self, found: &Findings) -> Result<(), StoreError> {
        let status = self.status(found, Reason::Removing, &message::removing(found));
        self.write(status).await
    }

    /// Puts our finalizer on the resource, or takes it off.
    pub(super) async fn set_finalizer(&mut self, present: bool) -> Result<(), StoreError> {
        self.version = self.store.set_finalizer(present, &self.version).await?;
        Ok(())
    }

    /// All resources of the channel, as they are now.
    pub(super) async fn resources_of(&mut self, channel: &ChannelArn) -> Result<Vec<Snapshot>, StoreError> {
        self.store.resources_of(channel).await
    }

    /// The version of the resource that this pass knows.
    pub(super) fn version(&self) -> &Version {
        &self.version
    }

    /// Tells people at once.
    pub(super) async fn tell_event(&mut self, event: Event) {
        self.store.publish(event).await;
    }

    /// The channel does not allow what the resource asks for.
    pub(super) async fn objected(&mut self, found: &Findings, reason: Reason, message: &str) -> Result<(), Duration> {
        let status = self.status(found, reason, message);
        self.finish(self.handled(status)).await
    }

    /// A call was refused as a whole.
    pub(super) async fn refused(&mut self, found: &Findings, error: &CallError) -> Result<(), Duration> {
        self.objected(found, message::reason_of(error), &message::refused(found, error)).await
    }

    /// The spec cannot be carried out as it is.
    pub(super) async fn objection(&mut self, objection: &Objection) -> Result<(), Duration> {
        let mut status = self.before.clone();
        if status.observed_generation != Some(self.declaration.generation) {
            // The numbers are of another spec. What is claimed and counted is not.
            status = ChannelMembershipStatus {
                desired: None,
                present: None,
                pending: None,
                failed: None,
                errors: Vec::new(),
                errors_omitted: None,
                undeclared: None,
                ..status
            };
        }
        status.channel = objection.channel.clone().or(status.channel);
        let status = self.with_conditions(status, objection.reason, true, &objection.message);
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
    pub(super) async fn stopped(&mut self, found: &Findings) -> Result<(), Duration> {
        let counts = (Some(narrow(found.present)), Some(narrow(found.failed)));
        if found.intent.mode == Mode::Observe || (self.before.present, self.before.failed) == counts {
            return Ok(());
        }
        let status = self.status(found, Reason::Adding, &message::adding(found, None));
        self.finish(status).await
    }

    /// The pass goes on.
    pub(super) async fn progress(&mut self, found: &Findings, reason: Reason, message: &str) {
        self.skip_progress();
        let news = (reason, found.present);
        if self.told == Some(news) {
            return;
        }
        self.told = Some(news);
        self.tell(self.status(found, reason, message)).await;
    }

    async fn tell(&mut self, status: ChannelMembershipStatus) {
        if let Err(error) = self.write(status).await {
            tracing::warn!(%error, "failed to write progress");
            // A turn to call may be granted meanwhile and lie idle: an API server that hangs costs that once.
            self.next_progress = Instant::now() + PROGRESS_AFTER_FAILURE;
            self.told = None;
        }
    }

    fn status(&self, found: &Findings, reason: Reason, message: &str) -> ChannelMembershipStatus {
        let mut status = ChannelMembershipStatus {
            channel: Some(found.intent.target.channel.id().to_owned()),
            bearer: Some(found.intent.target.bearer.as_str().to_owned()),
            desired: Some(narrow(found.desired)),
            present: Some(narrow(found.present)),
            pending: Some(narrow(found.pending)),
            failed: Some(narrow(found.failed)),
            errors: found.errors.clone(),
            errors_omitted: (found.omitted > 0).then(|| narrow(found.omitted)),
            undeclared: found.undeclared.clone().or_else(|| self.before.undeclared.clone()),
            sources: found.intent.sources.clone(),
            last_listed: found.listed.map(to_the_second).or_else(|| self.before.last_listed.clone()),
            resync_interval: Some(Interval::new(found.interval)),
            ..self.before.clone()
        };
        let uid = (found.intent.prune != Prune::Never || !found.ledger.is_blank()).then_some(self.declaration.uid);
        found.ledger.write(&mut status, uid, self.clock.now());
        self.with_conditions(status, reason, found.present == found.desired, message)
    }

    fn with_conditions(
        &self,
        mut status: ChannelMembershipStatus,
        reason: Reason,
        complete: bool,
        message: &str,
    ) -> ChannelMembershipStatus {
        let trial = self.endpoint.map(|endpoint| format!(" [the service is {endpoint}, not AWS]")).unwrap_or_default();
        // What is cut from a long message is never that.
        let room = MAX_MESSAGE_CHARS.saturating_sub(trial.chars().count());
        let message = message.chars().take(room).collect::<String>() + &trial;
        let state = State::of(reason, complete);
        let now = to_the_second(self.clock.now());
        let generation = Some(self.declaration.generation);
        status.observed_generation = generation;
        status.conditions = conditions(&self.before.conditions, state, reason, &message, generation, &now);
        status
    }

    fn handled(&self, status: ChannelMembershipStatus) -> ChannelMembershipStatus {
        let last_handled_reconcile_at = self.declaration.requested_at.map(str::to_owned);
        ChannelMembershipStatus { last_handled_reconcile_at, ..status }
    }

    /// Writes the end of a pass, and tells people when it is another end than the last time.
    async fn finish(&mut self, status: ChannelMembershipStatus) -> Result<(), Duration> {
        trace::ended(&status);
        let event = event(&self.before, &status);
        if let Err(error) = self.write(status).await {
            match &error {
                StoreError::Gone => return Ok(()),
                StoreError::Conflict => {}
                StoreError::Unavailable(_) => {
                    tracing::warn!(%error, "the status is written again in {} s", error.rest().as_secs());
                }
                StoreError::Refused(_) => {
                    tracing::error!(%error, "the API server refused the status");
                    let reason = Reason::Retrying;
                    self.store.publish(Event { warning: true, reason, note: error.to_string() }).await;
                }
            }
            return Err(error.rest());
        }
        if let Some(event) = event {
            self.store.publish(event).await;
        }
        Ok(())
    }

    async fn write(&mut self, status: ChannelMembershipStatus) -> Result<(), StoreError> {
        // When it was listed, and how often it will be, is written along with other changes, never alone.
        let mut alone = ChannelMembershipStatus {
            last_listed: self.before.last_listed.clone(),
            resync_interval: self.before.resync_interval,
            last_declared_at: self.before.last_declared_at.clone(),
            ..status.clone()
        };
        // Who joins by themselves is news only to whoever wants to know.
        let watched = self.declaration.spec.is_ok_and(|spec| spec.prune != Prune::Never || spec.mode == Mode::Observe);
        if !watched {
            alone.undeclared.clone_from(&self.before.undeclared);
        }
        if alone == self.before && !self.unsure {
            return Ok(());
        }
        // A claim that somebody else wrote meanwhile must not be lost, nor one of an earlier day come back.
        let basis = status.last_declared_uid.is_some().then_some(&self.version);
        let written = self.store.write_status(&status, basis).await;
        self.unsure = matches!(written, Err(StoreError::Unavailable(_)));
        if matches!(written, Err(StoreError::Unavailable(_) | StoreError::Refused(_))) {
            self.tally.status_write_failed();
        }
        self.version = written?;
        if let Some(ready) = status.conditions.first() {
            tracing::info!(
                generation = self.declaration.generation,
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

fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
