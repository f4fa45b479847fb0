//! Who is to be added and removed, and what of it waits for approval?

use std::time::Duration;

use super::pass::Pass;
use super::store::Store;
use crate::api::{ApprovalReason, PendingApproval, Prune, Stays};
use crate::chime::port::Service;
use crate::membership::guard::{Case, Proposal};
use crate::membership::hold::{self, Removals};
use crate::membership::names::NameSet;
use crate::membership::plan::Plan;
use crate::membership::roll::Roll;

impl<S: Service, T: Store> Pass<'_, S, T> {
    /// Whom to add now. Who waits for approval is in `withheld`.
    pub(super) fn plan(&mut self) -> Plan {
        let there = self.there();
        let now = self.engine.clock.now();
        let mut plan = Plan::new(&self.intent.roster, &there, &self.memory.problems, now);
        let fresh: NameSet = plan.add.iter().filter(|name| self.memory.problems.get(name).is_none()).collect();
        if self.intent.additions.is_some_and(|most| fresh.len() > most) {
            self.withheld = fresh;
        }
        self.see_who_leaves();
        self.take_approval();
        if let Some(approved) = self.approved('+') {
            self.withheld.remove(&approved);
        }
        plan.add.remove(&self.withheld);
        plan
    }

    /// Looks who is to be removed: `leaving`, also where that waits for something to be known.
    pub(super) fn see_who_leaves(&mut self) {
        self.roll = self.engine.siblings.roll(&self.intent.target.channel);
        let channel = &self.intent.target.channel;
        let membership_type = self.intent.target.membership_type;
        let wanted = self.propose(&self.roll.as_if_known()).names().clone();
        // While it is not known of some resource whom it declares, nobody is known to be undeclared.
        let undeclared = if self.roll.unknown().is_some() { NameSet::default() } else { wanted.clone() };
        let now = self.engine.clock.now();
        self.memory.grace_periods.observe(&undeclared, now);
        for name in undeclared.iter() {
            let dropped_at = self.engine.siblings.dropped_at(channel, membership_type, name);
            if let Some(at) = dropped_at.and_then(|at| now.checked_sub(at.elapsed()).ok()) {
                self.memory.grace_periods.since(name, at);
            }
        }
        self.leaving = wanted.iter().filter(|name| !self.stays_for_good(name)).collect();
    }

    /// Whether somebody stays for another reason than that the service refused to remove them just now.
    pub(super) fn stays_for_good(&self, name: &str) -> bool {
        self.memory.why_stays(name).is_some_and(|reason| reason != Stays::Refused)
    }

    /// Whom this resource wants removed, if this roll is right.
    pub(super) fn propose(&self, roll: &Roll) -> Proposal {
        let prune = if self.usurped(roll).is_some() { Prune::Never } else { self.intent.prune };
        let live = if prune == Prune::Authoritative && !self.foresees { self.cell.twice() } else { self.cell.there() };
        let case = Case {
            channel: &self.intent.target.channel,
            membership_type: self.intent.target.membership_type,
            prune,
            claims: &self.ledger.claims,
            live: &live,
            roll,
        };
        Proposal::new(&case)
    }

    /// Whether somebody was declared by no resource for long enough, and is not known to stay.
    pub(super) fn is_ready(&self, name: &str) -> bool {
        let settled = self.foresees || self.memory.grace_periods.is_settled(name, self.engine.clock.now());
        settled && self.memory.why_stays(name).is_none()
    }

    /// Gives what decides whether removals wait to `decide`.
    pub(super) fn with_removals<R>(&self, roll: &Roll, decide: impl FnOnce(&Removals<'_>) -> R) -> R {
        let there = self.cell.there();
        let removing = self.ledger.removing.iter().filter(|name| there.contains(name)).count();
        let claimed = || self.ledger.claims.names().iter().filter(|name| there.contains(name)).count();
        let live = if self.intent.prune == Prune::Authoritative { self.cell.count() } else { claimed() };
        let orphans = self.elsewhere(roll).orphans;
        decide(&Removals {
            limit: self.intent.removals,
            counted: self.ledger.counted(self.engine.clock.now()),
            removing: &self.ledger.removing,
            others: live.saturating_sub(removing),
            no_members_declared: self.intent.roster.is_empty() && !self.intent.expired,
            shrank: self.memory.shrank,
            orphans: &orphans,
            deleting: self.declaration.deleting_since.is_some(),
        })
    }

    /// Whether fewer are declared than the status says of this very generation and these very sources.
    pub(super) fn shrank(&self) -> bool {
        let Some(status) = self.declaration.status.filter(|_| !self.intent.expired) else { return false };
        let same =
            status.observed_generation == Some(self.declaration.generation) && status.sources == self.intent.sources;
        let was = status
            .pending_approval
            .as_ref()
            .is_some_and(|pending| pending.reasons.contains(&ApprovalReason::ShrankUnchanged));
        same && (was || status.desired.is_some_and(|desired| desired as usize > self.intent.roster.len()))
    }

    /// What waits for approval, as far as that is known now.
    pub(super) fn waits(&self) -> Option<PendingApproval> {
        let (mut reasons, mut remove) = (Vec::new(), &NameSet::default());
        if self.roll.unknown().is_none() {
            let settled = self.leaving.iter().any(|name| self.is_ready(name));
            let removals = self.with_removals(&self.roll, |removals| hold::approval_reasons(&self.leaving, removals));
            // Who shrank is judged at once: a later pass could not tell any more.
            if !removals.is_empty() && (settled || removals.contains(&ApprovalReason::ShrankUnchanged)) {
                (reasons, remove) = (removals, &self.leaving);
            }
        }
        if !self.withheld.is_empty() {
            reasons.push(ApprovalReason::TooManyAdditions);
        }
        if reasons.is_empty() {
            return None;
        }
        reasons.sort_unstable();
        let signed = hold::signed(remove, &self.withheld);
        let narrow = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Some(PendingApproval {
            additions: narrow(self.withheld.len()),
            removals: narrow(remove.len()),
            hash: hold::hash(&signed),
            reasons,
            members: signed.iter().collect(),
            approved: false,
        })
    }

    /// Approval counts for the plan that was shown, while that is still the plan. Whether it was given just now.
    pub(super) fn take_approval(&mut self) -> bool {
        let approval = self.declaration.approved;
        if self.ledger.handled_approval.as_deref() != approval {
            self.ledger.handled_approval = None;
        }
        let given = self.is_approval_due();
        if let Some(pending) = self.ledger.pending_approval.as_mut().filter(|_| given) {
            pending.approved = true;
        }
        given
    }

    /// At the end of a pass: an approved plan that is done makes room for what waits now.
    pub(super) fn advance_approval(&mut self) {
        if let Some(pending) = self.ledger.pending_approval.as_ref().filter(|pending| pending.approved) {
            if !self.is_done() {
                return;
            }
            self.ledger.handled_approval = Some(pending.hash.clone());
            self.ledger.pending_approval = None;
            self.memory.shrank = false;
            self.wait_for("what was approved is done".to_owned(), Duration::ZERO);
        }
        let shown = self.ledger.pending_approval.take();
        let waits = self.waits();
        if waits.is_none()
            && self.usurped(&self.roll).is_none()
            && let Some(pending) = &shown
            && self.names(pending, '-').iter().any(|name| {
                // Whom it does not claim is nothing to it any more, once it asks for less than everybody.
                let meant = self.intent.prune == Prune::Authoritative || self.ledger.claims.names().contains(name);
                meant && self.may_leave(name) && !self.is_ready(name)
            })
        {
            // What an earlier process found stands until it can be judged again.
            self.ledger.pending_approval = shown;
            return;
        }
        if let Some(pending) = &waits
            && shown.is_none_or(|shown| shown.hash != pending.hash)
            && self.declaration.approved == Some(&pending.hash)
        {
            // It stood there before there was anything to approve, so nobody has read what it is about.
            self.ledger.handled_approval = Some(pending.hash.clone());
        }
        self.ledger.pending_approval = waits;
    }

    /// Whether nothing of the approved plan is left to do.
    fn is_done(&self) -> bool {
        let there = self.cell.there();
        let gone = |name: &str| !self.may_leave(name);
        let come = |name: &str| {
            there.contains(name)
                || !self.intent.roster.names().contains(name)
                || self.memory.problems.get(name).is_some()
        };
        self.approved('-').unwrap_or_default().iter().all(gone)
            && self.approved('+').unwrap_or_default().iter().all(come)
    }

    /// Whether the channel has undeclared members that are not known to stay.
    fn may_leave(&self, name: &str) -> bool {
        self.cell.has(name)
            && !self.roll.declares(self.intent.target.membership_type, name)
            && self.memory.why_stays(name).is_none()
    }

    /// Whom the plan that is being carried out with approval removes (`-`) or adds (`+`); `None` where it has none of them.
    pub(super) fn approved(&self, sign: char) -> Option<NameSet> {
        let pending = self.ledger.pending_approval.as_ref().filter(|pending| pending.approved)?;
        Some(self.names(pending, sign)).filter(|names| !names.is_empty())
    }

    /// Whom a plan names with a sign.
    fn names(&self, pending: &PendingApproval, sign: char) -> NameSet {
        let channel = &self.intent.target.channel;
        let names = pending.members.iter().filter_map(|name| channel.name(name.strip_prefix(sign)?).ok());
        let names: Vec<_> = names.collect();
        names.iter().map(|name| &**name).collect()
    }

    /// Whether the approval that stands there would let the plan through in another pass.
    pub(super) fn is_approval_due(&self) -> bool {
        let pending = self.ledger.pending_approval.as_ref().filter(|pending| !pending.approved);
        let unused = self.ledger.handled_approval.is_none();
        let stands = |pending: &&PendingApproval| unused && self.declaration.approved == Some(&pending.hash);
        pending.filter(stands).is_some_and(|pending| self.waits().is_some_and(|now| now.hash == pending.hash))
    }
}
