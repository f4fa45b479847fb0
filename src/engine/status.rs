//! Statuses: how a summary, or a spec that cannot be reconciled, becomes the status of a resource.
//! Pure.

use jiff::Timestamp;

use super::resource::Resource;
use super::spec::InvalidSpec;
use super::store::Event;
use super::summary::Summary;
use crate::api::{ChannelMembershipStatus, Interval, MAX_MESSAGE_CHARS, Mode, Prune, Reason, State, conditions};
use crate::membership::spec::ValidSpec;
use crate::membership::time::to_the_second;

/// The parts of a status that do not depend on what a reconcile found.
#[derive(Debug)]
pub(super) struct StatusBasis<'a> {
    pub(super) resource: &'a Resource,
    /// The address of the service, if it is not AWS.
    pub(super) endpoint: Option<&'a str>,
    /// The status as it was last written.
    pub(super) before: ChannelMembershipStatus,
}

impl StatusBasis<'_> {
    /// Returns the status of a resource with these counts.
    pub(super) fn counted(
        &self,
        summary: &Summary,
        reason: Reason,
        message: &str,
        now: Timestamp,
    ) -> ChannelMembershipStatus {
        let before = &self.before;
        let mut status = ChannelMembershipStatus {
            channel: Some(summary.spec.target.channel.id().to_owned()),
            bearer: Some(summary.spec.target.bearer.as_str().to_owned()),
            desired: Some(narrow(summary.desired)),
            present: Some(narrow(summary.present)),
            pending: Some(narrow(summary.pending)),
            failed: Some(narrow(summary.failed)),
            errors: summary.errors.clone(),
            errors_omitted: (summary.omitted > 0).then(|| narrow(summary.omitted)),
            undeclared: summary.undeclared.clone().or_else(|| before.undeclared.clone()),
            sources: summary.spec.sources.clone(),
            last_listed: summary.listed.map(to_the_second).or_else(|| before.last_listed.clone()),
            resync_interval: Some(Interval::new(summary.interval)),
            ..before.clone()
        };
        let keeps_record = summary.spec.prune != Prune::Never || !summary.record.is_blank();
        summary.record.write(&mut status, keeps_record.then_some(&self.resource.uid), now);
        self.with_conditions(status, reason, summary.present == summary.desired, message, now)
    }

    /// Returns the status of a resource whose spec cannot be reconciled.
    pub(super) fn invalid(&self, invalid: &InvalidSpec, now: Timestamp) -> ChannelMembershipStatus {
        let mut status = self.before.clone();
        if status.observed_generation != Some(self.resource.generation) {
            // The counts are of another spec. The record of ownership and removals is not.
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
        status.channel = invalid.channel.clone().or(status.channel);
        self.with_conditions(status, invalid.reason, true, &invalid.message, now)
    }

    /// Returns the status of a suspended resource: everything else stays as it was.
    pub(super) fn suspended(&self, spec: Option<&ValidSpec>, now: Timestamp) -> ChannelMembershipStatus {
        let mut status = self.before.clone();
        if let Some(spec) = spec {
            status.channel = Some(spec.target.channel.id().to_owned());
        }
        let message = "spec.suspend is true: nothing is listed, changed or judged until it is taken out";
        self.with_conditions(status, Reason::Suspended, true, message, now)
    }

    /// Returns the status while the channel cannot be listed for a long time.
    pub(super) fn outage(&self, message: &str, now: Timestamp) -> ChannelMembershipStatus {
        let mut status = self.before.clone();
        if status.observed_generation != Some(self.resource.generation) {
            // The counts are of another spec.
            (status.desired, status.present, status.pending, status.failed) = (None, None, None, None);
        }
        self.with_conditions(status, Reason::Retrying, true, message, now)
    }

    fn with_conditions(
        &self,
        mut status: ChannelMembershipStatus,
        reason: Reason,
        complete: bool,
        message: &str,
        now: Timestamp,
    ) -> ChannelMembershipStatus {
        let suffix = self.endpoint.map(|endpoint| format!(" [the service is {endpoint}, not AWS]")).unwrap_or_default();
        // A long message is cut before the suffix.
        let most = MAX_MESSAGE_CHARS.saturating_sub(suffix.chars().count());
        let message = message.chars().take(most).collect::<String>() + &suffix;
        let state = State::of(reason, complete);
        let generation = Some(self.resource.generation);
        status.observed_generation = generation;
        status.conditions =
            conditions(&self.before.conditions, state, reason, &message, generation, &to_the_second(now));
        status
    }

    /// Returns whether a status says something new. The time of the last listing and the resync
    /// interval are written along with other changes, never alone.
    pub(super) fn is_news(&self, status: &ChannelMembershipStatus) -> bool {
        let mut alone = ChannelMembershipStatus {
            last_listed: self.before.last_listed.clone(),
            resync_interval: self.before.resync_interval,
            last_declared_at: self.before.last_declared_at.clone(),
            ..status.clone()
        };
        // Members that join by themselves are news only for a resource that prunes or observes.
        let spec = self.resource.spec.as_ref();
        if !spec.is_ok_and(|spec| spec.prune != Prune::Never || spec.mode == Mode::Observe) {
            alone.undeclared.clone_from(&self.before.undeclared);
        }
        alone != self.before
    }
}

/// Returns the event for a transition between two ends of a reconcile: a resource needs help, or no
/// longer does.
pub(super) fn transition_event(before: &ChannelMembershipStatus, after: &ChannelMembershipStatus) -> Option<Event> {
    let active = |status: &ChannelMembershipStatus, kind: &str| {
        let condition =
            status.conditions.iter().find(|condition| condition.type_ == kind && condition.status == "True");
        condition.map(|condition| condition.reason.clone())
    };
    let note = after.conditions.first()?.message.clone();
    let reason = Reason::named(&after.conditions.first()?.reason)?;
    let stalled = active(after, "Stalled");
    if stalled.is_some() && stalled != active(before, "Stalled") {
        return Some(Event { warning: true, reason, note });
    }
    let became_ready = active(after, "Ready").is_some() && active(before, "Ready").is_none();
    became_ready.then_some(Event { warning: false, reason, note })
}

/// Returns a count as statuses hold it.
pub(super) fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
