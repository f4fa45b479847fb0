//! Removes undeclared members one by one, each after a last look.
//!
//! In this order, and each step can only make them fewer: by what this process has seen, undeclared for 10 s → no holder of an
//! office → within the limit, or approved → by what the cluster has now → written down → one look at each membership → deleted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::audit::Action;
use super::pass::{Halt, Pass};
use super::store::Store;
use super::wait::Waiting;
use crate::api::{Mode, Prune, Stays};
use crate::chime::backoff::Backoff;
use crate::chime::client::DEADLINE;
use crate::chime::port::{CallError, Membership, Operation, Service};
use crate::membership::grace::SETTLED;
use crate::membership::guard::{Admitted, NEWCOMER, Protected, Removal, Verdict};
use crate::membership::hold;
use crate::membership::names::NameSet;
use crate::membership::roll::Roll;

/// So many are removed on one status write.
const CHUNK: usize = 100;

/// Before somebody is looked at, the cluster was read at most so long ago.
const FRESH: Duration = Duration::from_secs(5);

/// What is taken for granted of somebody who stays, unless the spec changes: who is a moderator today may not be one tomorrow.
const STAYS_FOR: Duration = Duration::from_hours(24);

/// A removal that the service refused is tried again after this.
const REFUSED_FOR: Duration = Duration::from_hours(1);

/// When the cluster and what this process has seen of it do not agree, they are compared again after this.
const UNDECIDED_REST: Duration = Duration::from_secs(30);

/// While removals are switched off, the switch is looked at again after this.
const OFF_REST: Duration = Duration::from_mins(1);

/// So many refusals in a row are no single member's.
const MAX_REFUSALS: usize = 3;

/// What came of one attempt to remove somebody.
pub(super) enum Attempt {
    /// Removed.
    Removed,
    /// They stay.
    Stays,
    /// They were gone already: perhaps another process removed them.
    WasGone,
    /// What was decided may not hold any more: decide again.
    Reconsider,
    /// The service refused.
    Refused(CallError),
}

impl<S: Service, T: Store> Pass<'_, S, T> {
    /// Removes undeclared members, as far as that may be now. Who is left is in `leaving`, why in `waiting`, and what waits
    /// for approval in the ledger.
    pub(super) async fn remove(&mut self) -> Result<(), Halt> {
        if self.intent.prune != Prune::Never && self.intent.mode != Mode::Observe {
            loop {
                match self.remove_some().await {
                    Ok(true) => {}
                    Ok(false) => break,
                    // Additions are not held up by this.
                    Err(Halt::Refused(error)) => {
                        self.removal_refused = Some(error);
                        break;
                    }
                    Err(halt) => return Err(halt),
                }
            }
        }
        self.see_who_leaves();
        self.advance_approval();
        let refused = |name: &str| self.memory.why_stays(name) == Some(Stays::Refused);
        if self.waiting.is_none() && self.leaving.iter().any(refused) {
            self.wait_for("the service refused it, and is asked again within the hour".to_owned(), REFUSED_FOR);
        }
        Ok(())
    }

    /// Removes up to [`CHUNK`]; whether there may be more.
    async fn remove_some(&mut self) -> Result<bool, Halt> {
        let passing = self.passing().await?;
        if passing.is_empty() || !self.is_on() || !self.has_turn(self.engine.hourly.look()) {
            return Ok(false);
        }
        let Some(quorum) = self.quorum().await? else { return Ok(false) };
        let Some(protected) = self.protected(&quorum).await? else { return Ok(false) };
        let admitted = self.admit(&quorum.roll, &passing, protected, self.approved('-').as_ref());
        // Whoever is counted is removed now: a count that waits for its hour would be as old as that.
        let most = CHUNK.min(self.engine.hourly.available());
        let chunk: BTreeSet<String> = admitted.names().iter().take(most).map(str::to_owned).collect();
        if chunk.is_empty() {
            let unknown =
                quorum.roll.unknown().map(|other| format!("it is not known whom else {} declares", other.resource));
            let what = unknown.unwrap_or_else(|| "the resources of the channel were changed just now".to_owned());
            self.wait_for(what, UNDECIDED_REST);
            return Ok(false);
        }
        self.write_down(&chunk).await?;
        self.remove_each(&admitted, &chunk, quorum.read_at).await
    }

    /// Whom of those who are to be removed nothing keeps, by what this process has seen.
    pub(super) async fn passing(&mut self) -> Result<NameSet, Halt> {
        self.see_who_leaves();
        if let Some(unknown) = self.roll.unknown().filter(|_| !self.leaving.is_empty()) {
            let why = unknown.unknown.as_deref().unwrap_or_default();
            let what = format!("it is not known whom else {} declares: {why}", unknown.resource);
            self.wait_for(what, Duration::MAX);
            return Ok(NameSet::default());
        }
        if !self.leaving.iter().any(|name| self.is_ready(name)) {
            return Ok(NameSet::default());
        }
        self.spare_office_holders().await?;
        self.see_who_leaves();
        let approved = self.approved('-');
        Ok(self.with_removals(&self.roll, |removals| {
            hold::passing(&self.leaving, removals, approved.as_ref(), |name| self.is_ready(name))
        }))
    }

    /// Those of `passing` whose removal may begin by this roll.
    pub(super) fn admit(
        &self,
        roll: &Roll,
        passing: &NameSet,
        protected: Protected,
        approved: Option<&NameSet>,
    ) -> Admitted {
        let proposal = self.propose(roll);
        self.with_removals(roll, |removals| {
            hold::admit(proposal, removals, approved, |name| passing.contains(name), protected)
        })
    }

    /// Counts the removals that begin, before they do.
    async fn write_down(&mut self, chunk: &BTreeSet<String>) -> Result<(), Halt> {
        let fresh = chunk.iter().filter(|name| !self.ledger.removing.contains(name)).count();
        self.ledger.count(fresh, self.engine.clock.now());
        self.ledger.removing.extend(chunk.iter().map(String::as_str));
        let found = self.findings();
        let written = self.report.removing(&found).await;
        self.written(written).await?;
        self.ledger.remember(&mut self.memory.counted, true, self.engine.clock.now());
        Ok(())
    }

    /// Looks at each and deletes it; whether there may be more to do now.
    async fn remove_each(
        &mut self,
        admitted: &Admitted,
        chunk: &BTreeSet<String>,
        read_at: Instant,
    ) -> Result<bool, Halt> {
        let mut refusals = 0;
        for (index, name) in chunk.iter().enumerate() {
            if index > 0 && read_at.elapsed() > FRESH {
                return Ok(true);
            }
            if !self.is_on() || !self.has_turn(self.engine.hourly.take()) {
                return Ok(false);
            }
            let mut sent = false;
            let attempt = self.remove_one(admitted, name, read_at, &mut sent).await;
            if !sent {
                self.engine.hourly.give_back();
            }
            match attempt? {
                Attempt::Removed => refusals = 0,
                Attempt::Stays => {
                    self.ledger.uncount();
                    self.ledger.remember(&mut self.memory.counted, false, self.engine.clock.now());
                }
                Attempt::WasGone => {}
                Attempt::Reconsider => {
                    self.wait_for("something came up just now".to_owned(), UNDECIDED_REST);
                    return Ok(false);
                }
                Attempt::Refused(error) => {
                    refusals += 1;
                    if error.class.affects_all_calls() || refusals == MAX_REFUSALS {
                        return Err(Halt::Refused(error));
                    }
                    self.stays(name, Stays::Refused, REFUSED_FOR);
                    tracing::warn!(member = self.intent.roster.arn(name).as_str(), %error, "failed to remove a member");
                }
            }
        }
        Ok(true)
    }

    /// One look, and the delete right after it; `sent` is set when a delete is.
    async fn remove_one(
        &mut self,
        admitted: &Admitted,
        name: &str,
        read_at: Instant,
        sent: &mut bool,
    ) -> Result<Attempt, Halt> {
        let mut backoff = Backoff::default();
        let mut contradicted = false;
        loop {
            let cell = Arc::clone(&self.cell);
            let alone = self.wait(&Waiting::Turn, cell.writing.lock()).await?;
            if !cell.has(name) {
                return Ok(Attempt::WasGone);
            }
            let found = match self.look_at(name).await? {
                Ok(found) => found,
                Err(error) if error.class.is_transient() => {
                    drop(alone);
                    self.rest(&mut backoff, error).await?;
                    continue;
                }
                Err(error) => return Ok(Attempt::Refused(error)),
            };
            let removal = match self.judge(admitted, name, found.as_ref(), *sent) {
                Ok(removal) => removal,
                Err(attempt) => return Ok(attempt),
            };
            // The last moment: what is decided here is done next.
            if self.cancel.is_cancelled() {
                return Err(Halt::Interrupted);
            }
            self.still_granted()?;
            if !self.may_still_go(name, read_at) {
                return Ok(Attempt::Reconsider);
            }
            *sent = true;
            match self.delete(removal).await {
                Ok(()) => {
                    self.saw_gone(name, true);
                    return Ok(Attempt::Removed);
                }
                // It may have had its effect: look again, and delete only what is still there.
                Err(error) if error.class.is_transient() => {
                    drop(alone);
                    self.rest(&mut backoff, error).await?;
                }
                // Said of a membership that is not there, and of one that is: the next look tells.
                Err(error) if error.code == "Conflict" && !contradicted => contradicted = true,
                Err(error) => return Ok(Attempt::Refused(error)),
            }
        }
    }

    /// What one look at a membership says of its removal: leave to delete it, or what came of it instead; `sent` if a delete was sent
    /// before.
    pub(super) fn judge(
        &mut self,
        admitted: &Admitted,
        name: &str,
        found: Option<&Membership>,
        sent: bool,
    ) -> Result<Removal, Attempt> {
        match admitted.witness(name, found, self.engine.clock.now()) {
            Verdict::Remove(removal) => Ok(removal),
            Verdict::Gone => {
                self.saw_gone(name, sent);
                Err(if sent { Attempt::Removed } else { Attempt::WasGone })
            }
            Verdict::Stays(reason) => {
                let rest = if reason == Stays::JoinedLately { NEWCOMER } else { STAYS_FOR };
                self.stays(name, reason, rest);
                Err(Attempt::Stays)
            }
            Verdict::NotMeant(reason) => {
                self.stays(name, reason, STAYS_FOR);
                self.drop_claim(name);
                Err(Attempt::Stays)
            }
        }
    }

    /// Whether nothing has come up since the cluster was read: long rests, the switch, another resource of this process.
    fn may_still_go(&self, name: &str, read_at: Instant) -> bool {
        let roll = self.engine.siblings.roll(&self.intent.target.channel);
        let membership_type = self.intent.target.membership_type;
        let settled = |at: Instant| at.elapsed() >= SETTLED;
        read_at.elapsed() <= FRESH + DEADLINE
            && self.engine.settings.removals.is_on()
            && roll.unknown().is_none()
            && !roll.folded(membership_type).contains(&name.to_ascii_lowercase())
            && self.engine.siblings.dropped_at(&self.intent.target.channel, membership_type, name).is_none_or(settled)
    }

    /// Whether removals are on.
    fn is_on(&mut self) -> bool {
        let on = self.engine.settings.removals.is_on();
        if !on {
            self.wait_for("removals are off (--removals)".to_owned(), OFF_REST);
        }
        on
    }

    /// Whether the operator may make one more in this hour; else it waits for that.
    fn has_turn(&mut self, turn: Result<(), Duration>) -> bool {
        if let Err(rest) = turn {
            self.wait_for("the operator's --max-removals-per-hour is used up".to_owned(), rest);
        }
        turn.is_ok()
    }

    /// Deletes one membership, on credit of the pace, so that nothing comes between the look and this.
    async fn delete(&mut self, removal: Removal) -> Result<(), CallError> {
        let member = removal.member().clone();
        let target = &self.intent.target;
        let permit = self.engine.client.permit_on_credit(target, Operation::DeleteChannelMembership);
        let answer = self.engine.client.delete_membership(permit, target, removal).await;
        if let Ok(deleted) = &answer {
            self.engine.tally.has_removed();
            self.audit(Action::Removed, &member, deleted.request_id.as_deref());
        }
        answer.map(|_| ())
    }

    fn saw_gone(&mut self, name: &str, by_us: bool) {
        self.cell.gone([name]);
        self.drop_claim(name);
        if by_us {
            let target = &self.intent.target;
            self.engine.siblings.removed(&target.channel, target.membership_type, name);
        }
    }

    fn drop_claim(&mut self, name: &str) {
        let name: NameSet = [name].into_iter().collect();
        self.ledger.claims.remove(&name);
        for names in [&mut self.ledger.elsewhere, &mut self.ledger.removing, &mut self.leaving] {
            names.remove(&name);
        }
    }

    pub(super) fn stays(&mut self, name: &str, reason: Stays, rest: Duration) {
        self.memory.stays.insert(name.into(), (reason, Instant::now() + rest));
        self.ledger.removing.remove(&[name].into_iter().collect());
    }

    /// Removals wait for something, at least so long.
    pub(super) fn wait_for(&mut self, what: String, rest: Duration) {
        self.waiting = Some((what, rest));
    }

    /// How long until something changes for those who are to be removed.
    pub(super) fn until_removals(&self) -> Duration {
        let now = self.engine.clock.now();
        let mut until = self.waiting.as_ref().map_or(Duration::MAX, |(_, rest)| *rest);
        if !self.leaving.is_empty() {
            until = until.min(self.until(self.memory.grace_periods.next(now)));
            if self.ledger.pending_approval.is_some() {
                until = until.min(self.until(self.ledger.counts_until(now)));
            }
        }
        let again = |reason: Stays| matches!(reason, Stays::Refused | Stays::JoinedLately);
        let again = self.memory.stays.values().filter(|(reason, _)| again(*reason));
        let again = again.map(|(_, until)| until.saturating_duration_since(Instant::now())).min();
        if self.is_approval_due() {
            until = Duration::ZERO;
        }
        let look = self.wants_look_at().map(|at| at.saturating_duration_since(Instant::now()));
        look.into_iter().chain(again).fold(until, Duration::min)
    }
}
