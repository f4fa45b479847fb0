//! The outcome of a reconcile: its plan, and what the effects carried out so far have changed.
//! Pure: effects are folded in.

use std::sync::Arc;

use jiff::Timestamp;

use super::resource::Resource;
use crate::api::{ApprovalReason, KeepReason};
use crate::chime::backoff;
use crate::chime::port::CallError;
use crate::membership::approval_state::{accept_approval, advance_approval};
use crate::membership::arn::MemberArn;
use crate::membership::blocker::{Blocker, RETRY_REFUSED_DELETE};
use crate::membership::declarers::Declarers;
use crate::membership::desired::DesiredMembers;
use crate::membership::member_set::NameSet;
use crate::membership::observation::{ChannelView, RecentChanges};
use crate::membership::plan::{Plan, make_plan};
use crate::membership::removal::compute_removal_candidates;
use crate::membership::situation::{Situation, State, Waits};
use crate::membership::spec::ValidSpec;
use crate::membership::state_update::take_stock;
use crate::membership::time::later;

/// The inputs of a reconcile's decisions, besides the channel's view.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) resource: &'a Resource,
    pub(super) spec: Arc<ValidSpec>,
    /// The members this resource declares; during deletion, the ones it declared last.
    pub(super) own: Arc<DesiredMembers>,
    pub(super) declarers: Declarers,
    pub(super) recent: RecentChanges,
    /// When this process began.
    pub(super) started: Timestamp,
    /// The waits of a removal.
    pub(super) waits: Waits,
    /// The operator's bearers.
    pub(super) bearers: &'a [MemberArn],
}

impl Facts<'_> {
    /// Returns the situation that decisions read.
    pub(super) fn situation<'b>(&'b self, view: &'b ChannelView, now: Timestamp) -> Situation<'b> {
        Situation {
            uid: &self.resource.uid,
            spec: &self.spec,
            own: &self.own,
            approval: self.resource.approval.as_deref(),
            deleting: self.resource.is_deleting(),
            view,
            declarers: &self.declarers,
            recent: &self.recent,
            started: self.started,
            waits: self.waits,
            now,
        }
    }
}

/// The effect of a call, member by member.
#[derive(Debug)]
pub(super) enum Effect {
    /// No error of the member stands any more.
    NoError(Box<str>),
    /// The member could not be added.
    NotAdded {
        name: Box<str>,
        /// The service's code, or ours.
        code: Option<String>,
        message: String,
        at: Timestamp,
    },
    /// The membership is gone, or was another one that the resource does not own.
    Released(Box<str>),
    /// The member stays for now, and its counted removal is given back.
    Kept { name: Box<str>, reason: KeepReason, until: Timestamp, owned: bool },
    /// The service refused to delete the membership.
    DeleteRefused { name: Box<str>, at: Timestamp },
}

/// The plan of a reconcile, and the changes that its effects have made so far.
#[derive(Debug)]
pub(super) struct Outcome<'a> {
    pub(super) facts: Facts<'a>,
    pub(super) state: State,
    pub(super) plan: Plan,
    /// The other declarers that ownership was computed against. Noted only after the status write
    /// succeeds; otherwise an interrupted reconcile would make the next one mistake an edit for a
    /// deletion.
    pub(super) computed_against: Option<Declarers>,
    /// Why removals wait.
    pub(super) blocker: Option<Blocker>,
    /// The refused call that ended the removals.
    pub(super) removal_error: Option<CallError>,
    /// True if a member was refused as Forbidden, which a ban would explain.
    pub(super) any_forbidden: bool,
    /// Drawn once, so that members who fail together come back together: each alone would cost a
    /// batch and a status write.
    jitter: f64,
}

impl<'a> Outcome<'a> {
    /// Creates the outcome of a reconcile that has done nothing yet. `jitter` is in `0.0..1.0`.
    pub(super) fn new(facts: Facts<'a>, mut state: State, jitter: f64) -> Self {
        state.notes.shrank |= shrank_without_edit(facts.resource, &facts.spec);
        Self {
            facts,
            state,
            plan: Plan::default(),
            computed_against: None,
            blocker: None,
            removal_error: None,
            any_forbidden: false,
            jitter,
        }
    }

    /// Brings record and notes up to an observation of the channel.
    pub(super) fn take_stock(&mut self, view: &ChannelView, departed: &[Box<str>], now: Timestamp) {
        let state = std::mem::take(&mut self.state);
        let (state, others) = take_stock(&self.facts.situation(view, now), departed, state);
        self.state = state;
        self.computed_against = others.or(self.computed_against.take());
    }

    /// Makes the plan.
    pub(super) fn make_plan(&mut self, view: &ChannelView, now: Timestamp) {
        let state = std::mem::take(&mut self.state);
        (self.plan, self.state) = make_plan(&self.facts.situation(view, now), state);
    }

    /// Recomputes the removal candidates by the declarers as they are now.
    pub(super) fn update_candidates(
        &mut self,
        (declarers, recent): (Declarers, RecentChanges),
        view: &ChannelView,
        now: Timestamp,
    ) {
        (self.facts.declarers, self.facts.recent) = (declarers, recent);
        self.plan.candidates = compute_removal_candidates(&self.facts.situation(view, now), &mut self.state);
    }

    /// Accepts the approval in the annotation, if it is for the plan. Returns whether that happened
    /// now.
    pub(super) fn accept_approval(&mut self, view: &ChannelView, now: Timestamp) -> bool {
        let situation = self.facts.situation(view, now);
        accept_approval(&situation, &self.plan.candidates, &self.plan.on_hold, &mut self.state)
    }

    /// Moves the approval on after the removals, and names the blocker of refused deletes.
    pub(super) fn conclude_removals(&mut self, view: &ChannelView, now: Timestamp) {
        let situation = self.facts.situation(view, now);
        if advance_approval(&situation, &self.plan.candidates, &self.plan.on_hold, &mut self.state) {
            self.blocker = Some(Blocker::ApprovalCompleted);
        }
        let refused = |name: &str| self.state.notes.exemptions.reason(name, now) == Some(KeepReason::Refused);
        if self.blocker.is_none() && self.plan.candidates.iter().any(refused) {
            self.blocker = Some(Blocker::DeleteRefused);
        }
    }

    /// Folds effects into record and notes.
    pub(super) fn fold(&mut self, effects: impl IntoIterator<Item = Effect>, now: Timestamp) {
        for effect in effects {
            self.fold_one(effect, now);
        }
    }

    fn fold_one(&mut self, effect: Effect, now: Timestamp) {
        let (notes, jitter) = (&mut self.state.notes, self.jitter);
        match effect {
            Effect::NoError(name) => notes.errors.clear(&name),
            Effect::NotAdded { name, code, message, at } => {
                self.any_forbidden |= code.as_deref() == Some("Forbidden");
                let pause = |attempts| backoff::delay_after(attempts, jitter);
                notes.errors.record(&name, code.as_deref(), &message, at, pause);
            }
            Effect::Released(name) => self.release_ownership(&name),
            Effect::Kept { name, reason, until, owned } => {
                self.exempt(&name, reason, until);
                if !owned {
                    self.release_ownership(&name);
                }
                let State { record, notes } = &mut self.state;
                record.refund();
                record.remember(&mut notes.removals, false, now);
            }
            Effect::DeleteRefused { name, at } => {
                self.exempt(&name, KeepReason::Refused, later(at, RETRY_REFUSED_DELETE));
            }
        }
    }

    /// Exempts a member from removal until a moment.
    pub(super) fn exempt(&mut self, name: &str, reason: KeepReason, until: Timestamp) {
        self.state.notes.exemptions.insert(name, reason, until);
        self.state.record.removing.remove(&std::iter::once(name).collect());
    }

    pub(super) fn release_ownership(&mut self, name: &str) {
        let name: NameSet = std::iter::once(name).collect();
        let record = &mut self.state.record;
        record.owned.release(&name);
        record.declared_elsewhere.remove(&name);
        record.removing.remove(&name);
        self.plan.candidates.remove(&name);
    }

    /// Drops the errors of members that are present.
    pub(super) fn clear_resolved_errors(&mut self, view: &ChannelView) {
        self.state.notes.errors.retain(|name| !view.has(name));
    }
}

/// Returns whether fewer members are declared than the status says of this very generation and
/// these very sources.
fn shrank_without_edit(resource: &Resource, spec: &ValidSpec) -> bool {
    let Some(status) = resource.status.as_ref().filter(|_| !spec.expired) else { return false };
    let same = status.observed_generation == Some(resource.generation) && status.sources == spec.sources;
    let pending = status.pending_approval.as_ref();
    let known = pending.is_some_and(|plan| plan.reasons.contains(&ApprovalReason::ShrankUnchanged));
    same && (known || status.desired.is_some_and(|desired| desired as usize > spec.desired.len()))
}
