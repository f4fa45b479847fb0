//! A summary: the counts, errors and reasons that a status shows at one moment of a reconcile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::outcome::Outcome;
use super::stop::reason_of;
use crate::api::{
    KeepReason, MAX_ERROR_MESSAGE_CHARS, MAX_ERRORS, MemberProblem, Mode, Prune, Reason, Undeclared, UndeclaredMember,
};
use crate::chime::port::CallError;
use crate::membership::confirmation::second_listing_due;
use crate::membership::conflicts::{older_authoritative_owner, type_conflicts};
use crate::membership::observation::ChannelView;
use crate::membership::record::Record;
use crate::membership::retry::MemberError;
use crate::membership::spec::ValidSpec;
use crate::membership::time::to_the_second;

/// The number of undeclared members that a status names.
const UNDECLARED_SAMPLE: usize = 20;

/// The state of the declared members: `desired = present + pending + failed`.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    pub(super) spec: Arc<ValidSpec>,
    pub(super) desired: usize,
    pub(super) present: usize,
    pub(super) pending: usize,
    pub(super) failed: usize,
    /// The first errors by ARN, as the status shows them.
    pub(super) errors: Vec<MemberProblem>,
    /// The number of further errors.
    pub(super) omitted: usize,
    /// The number of refused members for each code, the most frequent code first.
    pub(super) refused: Vec<(String, usize)>,
    /// The same for members that are tried again soon.
    pub(super) transient: Vec<(String, usize)>,
    /// The undeclared members.
    pub(super) undeclared: Option<Undeclared>,
    /// The number of additions that wait for approval.
    pub(super) on_hold: usize,
    /// The refused call without which no member can be removed.
    pub(super) removal_error: Option<CallError>,
    /// The number of removal candidates.
    pub(super) candidates: usize,
    /// Why they wait, in words.
    pub(super) blocked: Option<String>,
    /// True if undeclared members must be seen a second time.
    pub(super) awaits_second_listing: bool,
    /// Ownership and removals, to be recorded.
    pub(super) record: Record,
    /// Members that an older resource declares with the other type, and that resource.
    pub(super) type_conflicts: Vec<(Box<str>, Box<str>)>,
    /// The older resource with `prune: Authoritative`, if this one has it too.
    pub(super) older_owner: Option<Box<str>>,
    /// When the channel was last listed.
    pub(super) listed: Option<Timestamp>,
    /// The resync interval in force.
    pub(super) interval: Duration,
}

impl Summary {
    /// Summarizes an outcome. Members that are present have no error, whatever the notes say.
    pub(super) fn new(outcome: &Outcome<'_>, view: &ChannelView, interval: Duration, now: Timestamp) -> Self {
        let facts = &outcome.facts;
        let (spec, state) = (&facts.spec, &outcome.state);
        let errors: Vec<(&str, &MemberError)> = state.notes.errors.iter().filter(|(name, _)| !view.has(name)).collect();
        let names = spec.desired.names();
        let present = names.iter().filter(|name| view.has(name)).count();
        let failed = errors.iter().filter(|(_, error)| !error.transient).count();
        let listed = view.listing.as_ref().map(|listing| listing.ended);
        let situation = facts.situation(view, now);
        Self {
            spec: Arc::clone(spec),
            desired: names.len(),
            present,
            pending: names.len().saturating_sub(present + failed),
            failed,
            errors: shown_errors(spec, &errors),
            omitted: errors.len().saturating_sub(MAX_ERRORS),
            refused: count_codes(&errors, false),
            transient: count_codes(&errors, true),
            undeclared: listed.map(|_| undeclared(outcome, view, now)),
            on_hold: outcome.plan.on_hold.len(),
            removal_error: outcome.removal_error.clone(),
            candidates: outcome.plan.candidates.len(),
            blocked: outcome.blocker.as_ref().map(ToString::to_string),
            awaits_second_listing: spec.mode == Mode::Enforce && second_listing_due(&situation, state).is_some(),
            record: state.record.clone(),
            type_conflicts: type_conflicts(&facts.resource.uid, spec, &facts.declarers),
            older_owner: older_authoritative_owner(&facts.resource.uid, spec, &facts.declarers),
            listed,
            interval,
        }
    }

    /// Returns the number of members that are missing though nothing stood in their way.
    pub(super) fn unplanned(&self) -> usize {
        let transient: usize = self.transient.iter().map(|(_, count)| count).sum();
        self.pending.saturating_sub(transient).saturating_sub(self.on_hold)
    }

    /// Returns the number of members that wait for approval.
    pub(super) fn awaiting_approval(&self) -> usize {
        let pending = self.record.pending_approval.as_ref().filter(|plan| !plan.approved);
        pending.map_or(0, |plan| plan.additions as usize + plan.removals as usize)
    }

    /// Returns the reason that the conditions give at the end of a reconcile.
    pub(super) fn reason(&self) -> Reason {
        if self.spec.mode == Mode::Observe {
            Reason::Observed
        } else if self.spec.source_error.is_some() {
            Reason::SourceNotReady
        } else if !self.type_conflicts.is_empty() || self.older_owner.is_some() {
            Reason::OwnershipConflict
        } else if let Some(error) = self.removal_error.as_ref().filter(|error| !error.class.is_transient()) {
            reason_of(error)
        } else if self.awaiting_approval() > 0 {
            Reason::ApprovalRequired
        } else if self.unplanned() > 0 {
            Reason::Adding
        } else if !self.transient.is_empty() {
            Reason::Retrying
        } else if self.candidates > 0 || self.awaits_second_listing {
            Reason::Removing
        } else if self.pending > 0 {
            Reason::Adding
        } else if self.failed == 0 {
            Reason::AllPresent
        } else if self.failed <= self.spec.tolerated.of(self.desired) {
            Reason::RefusedWithinLimit
        } else {
            Reason::MembersRefused
        }
    }
}

/// Lists undeclared members, and why each of them stays.
fn undeclared(outcome: &Outcome<'_>, view: &ChannelView, now: Timestamp) -> Undeclared {
    let (facts, state, candidates) = (&outcome.facts, &outcome.state, &outcome.plan.candidates);
    let spec = &facts.spec;
    let (count, names) = view.undeclared(spec.target.membership_type, &facts.declarers);
    let awaits_approval =
        state.record.pending_approval.as_ref().is_some_and(|plan| plan.removals > 0 && !plan.approved);
    let reason = |name: &str| {
        let member = spec.desired.arn(name);
        if facts.bearers.contains(&member) || spec.target.bearer == member {
            KeepReason::Bearer
        } else if let Some(reason) = state.notes.exemptions.reason(name, now) {
            reason
        } else if candidates.contains(name) && awaits_approval {
            KeepReason::AwaitingApproval
        } else if candidates.contains(name) || state.record.owned.names().contains(name) {
            KeepReason::Waiting
        } else if member.is_bot() {
            KeepReason::Bot
        } else if spec.prune == Prune::Authoritative {
            KeepReason::Waiting
        } else {
            KeepReason::NotOwned
        }
    };
    let sample = names
        .iter()
        .take(UNDECLARED_SAMPLE)
        .map(|name| UndeclaredMember { member_arn: spec.desired.arn(name).as_str().to_owned(), reason: reason(name) });
    Undeclared { count: u32::try_from(count).unwrap_or(u32::MAX), sample: sample.collect() }
}

fn shown_errors(spec: &ValidSpec, errors: &[(&str, &MemberError)]) -> Vec<MemberProblem> {
    let shown = errors.iter().take(MAX_ERRORS).map(|(name, error)| MemberProblem {
        member_arn: spec.desired.arn(name).as_str().to_owned(),
        error_code: error.code.clone(),
        error_message: error.message.chars().take(MAX_ERROR_MESSAGE_CHARS).collect(),
        attempts: error.attempts,
        first_seen: to_the_second(error.first_seen),
        next_attempt: Some(error.next_attempt).filter(|at| *at < Timestamp::MAX).map(to_the_second),
    });
    shown.collect()
}

fn count_codes(errors: &[(&str, &MemberError)], transient: bool) -> Vec<(String, usize)> {
    let mut counts = BTreeMap::<&str, usize>::new();
    for (_, error) in errors.iter().filter(|(_, error)| error.transient == transient) {
        *counts.entry(&error.code).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().map(|(code, count)| (code.to_owned(), count)).collect();
    counts.sort_by(|(_, a), (_, b)| b.cmp(a));
    counts
}
