//! What changed around a resource since the last pass: its siblings, who left, what it may still claim?

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use super::declaration::{Declaration, Snapshot, Source};
use super::intent::{bearer, declared};
use super::memory::Memory;
use super::pass::{Engine, Halt, Pass};
use super::settings::Settings;
use super::store::{Store, Wake};
use super::view::SETTLING;
use crate::api::{ChannelMembershipSpec, Mode, Prune, Stays};
use crate::chime::port::Service;
use crate::membership::answer::{OWNERSHIP_CONFLICT, TYPE_MISMATCH};
use crate::membership::arn::ChannelArn;
use crate::membership::departures::{CONTESTED, Departure, LEFT};
use crate::membership::elsewhere::Elsewhere;
use crate::membership::names::NameSet;
use crate::membership::roll::{Declarer, Roll};
use crate::membership::roster::Roster;

impl<S: Service> Engine<S> {
    /// The resource takes its place among those of its channel, so that others see whom it declares. One that is being deleted
    /// declares no members.
    pub(super) fn take_seat(&self, declaration: &Declaration<'_>, memory: &mut Memory, wake: Wake) {
        if declaration.deleting_since.is_some() {
            memory.seat = None;
            return;
        }
        let Some((seen, intent)) = &memory.intent else { return };
        if memory.seat.as_ref().is_some_and(|(seated, _)| seated == seen) {
            return;
        }
        let channel = declaration.spec.ok().and_then(|spec| ChannelArn::parse(&spec.channel_arn).ok());
        let (Some(channel), Ok(spec)) = (channel, declaration.spec) else { return };
        let known = intent.as_ref().ok().map(|intent| (Arc::clone(&intent.roster), intent.unknown.clone()));
        let Declaration { resource, uid, created, sources, unknown_field, .. } = *declaration;
        let (roster, unknown) =
            known.unwrap_or_else(|| members(&channel, spec, sources, unknown_field, self.clock.now()));
        let declarer = declarer(resource, uid, created, &channel, spec, &self.settings, roster, unknown);
        let (seen, before) = (*seen, memory.seat.take());
        let missed = before.as_ref().is_some_and(|(before, _)| before.missed_before(&seen));
        let before = before.map(|(_, seat)| seat);
        memory.seat = Some((seen, self.siblings.enter(&channel, declarer, wake, before, missed)));
    }
}

/// A resource of the channel, as a read shows it that no cache answers. `None` for one that is being deleted: it declares no members.
pub(super) fn declarer_of(
    snapshot: &Snapshot,
    channel: &ChannelArn,
    settings: &Settings,
    now: Timestamp,
) -> Option<Declarer> {
    let Snapshot { resource, uid, created, spec, sources, unknown_field, deleting, .. } = snapshot;
    if *deleting {
        return None;
    }
    let unreadable = ChannelMembershipSpec::default();
    let (spec, (roster, unknown)) = match spec {
        Ok(spec) => (spec, members(channel, spec, sources, unknown_field.as_deref(), now)),
        Err(why) => (&unreadable, (nobody(channel), Some(format!("its spec cannot be read: {why}")))),
    };
    Some(declarer(resource, uid, *created, channel, spec, settings, roster, unknown))
}

#[expect(clippy::too_many_arguments, reason = "what a declaration and a snapshot have in common")]
fn declarer(
    resource: &str,
    uid: &str,
    created: Timestamp,
    channel: &ChannelArn,
    spec: &ChannelMembershipSpec,
    settings: &Settings,
    roster: Arc<Roster>,
    unknown: Option<String>,
) -> Declarer {
    Declarer {
        resource: resource.into(),
        uid: uid.into(),
        created,
        membership_type: spec.membership_type,
        roster,
        authoritative: spec.prune == Prune::Authoritative && settings.allow_authoritative,
        bearer: bearer(channel, spec.chime_bearer.as_deref(), settings).ok(),
        unknown: unknown.map(Into::into),
    }
}

/// Whom a spec and its sources declare, and why it is not known whom else, if so.
fn members(
    channel: &ChannelArn,
    spec: &ChannelMembershipSpec,
    sources: &[Source],
    unknown_field: Option<&str>,
    now: Timestamp,
) -> (Arc<Roster>, Option<String>) {
    match declared(channel, spec, sources, unknown_field, now) {
        Ok(declared) => (Arc::new(declared.roster), declared.unknown),
        Err(error) => (nobody(channel), Some(error.to_string())),
    }
}

fn nobody(channel: &ChannelArn) -> Arc<Roster> {
    Arc::new(Roster::nobody(channel))
}

impl<S: Service, T: Store> Pass<'_, S, T> {
    /// Takes in what changed since the last pass.
    pub(super) async fn take_stock(&mut self) -> Result<(), Halt> {
        if !self.unseen().is_empty() {
            // Of an elastic channel it is not documented whether a plain listing shows everybody.
            self.suspect_sub_channels().await?;
        }
        self.roll = self.engine.siblings.roll(&self.intent.target.channel);
        let now = Instant::now();
        self.memory.stays.retain(|_, (_, until)| *until > now);
        self.hear_of_departures();
        self.settle_types();
        self.settle_claims();
        // While it is not known whom a resource declares, it is not known whom it stopped to declare.
        if self.roll.unknown().is_none() {
            self.ledger.elsewhere = self.elsewhere(&self.roll).names;
            self.others = Some(self.roll.without(self.declaration.uid));
        }
        Ok(())
    }

    /// Declared members who were there and are not any more, though we did not remove them.
    fn hear_of_departures(&mut self) {
        let (departed, heard) = self.cell.departed(self.memory.departed_heard);
        self.memory.departed_heard = Some(heard);
        let (there, now) = (self.cell.there(), self.engine.clock.now());
        for name in departed {
            if self.intent.mode == Mode::Observe || there.contains(&name) || !self.intent.roster.names().contains(&name)
            {
                continue;
            }
            let departure = self.memory.departures.left(&name, self.intent.on_leave);
            let left = "was in the channel and left, or was taken out by somebody else";
            let (code, message, next) = match departure {
                Departure::Readd => continue,
                Departure::ReaddAfter(rest) => {
                    let message = format!("{left}, more than once: is added again later");
                    (LEFT, message, now.checked_add(rest).unwrap_or(Timestamp::MAX))
                }
                Departure::Report => (LEFT, format!("{left}: stays out, as onLeave: Report asks"), Timestamp::MAX),
                Departure::Contested => {
                    let message = format!(
                        "{left} again and again: is not added any more until the spec changes or somebody asks"
                    );
                    (CONTESTED, message, Timestamp::MAX)
                }
            };
            self.memory.problems.note(&name, code, &message, now, next);
        }
    }

    /// Members who are declared, or are there, with the other type.
    fn settle_types(&mut self) {
        let channel = &self.intent.target.channel;
        let siblings = &self.engine.siblings;
        let removed = self.memory.problems.iter().filter(|(_, problem)| problem.code == TYPE_MISMATCH);
        let removed = removed.filter(|(name, problem)| {
            // What was found before the removal says nothing any more.
            siblings
                .removed_at(channel, name)
                .is_some_and(|at| problem.found_at + at.elapsed() <= self.engine.clock.now())
        });
        let removed: Vec<Box<str>> = removed.map(|(name, _)| name.into()).collect();
        for name in removed {
            self.memory.problems.clear(&name);
        }
        let rivals = self.rivals();
        let now = self.engine.clock.now();
        let is_rival = |name: &str| rivals.iter().any(|(rival, _)| &**rival == name);
        let over: Vec<Box<str>> = self
            .memory
            .problems
            .iter()
            .filter(|(name, problem)| problem.code == OWNERSHIP_CONFLICT && !is_rival(name))
            .map(|(name, _)| name.into())
            .collect();
        for name in over {
            self.memory.problems.clear(&name);
        }
        for (name, resource) in &rivals {
            let other = self.intent.target.membership_type.other();
            let message = format!("is declared with type {other} by {resource}, which is older");
            self.memory.problems.note(name, OWNERSHIP_CONFLICT, &message, now, Timestamp::MAX);
        }
    }

    /// The members whom an older resource declares with the other type, and that resource.
    pub(super) fn rivals(&self) -> Vec<(Box<str>, Box<str>)> {
        let mine = self.intent.target.membership_type;
        if self.roll.iter().all(|declarer| declarer.membership_type == mine) {
            return Vec::new();
        }
        let names = self.intent.roster.names().iter();
        names
            .filter_map(|name| {
                let rival = self.roll.rival(self.declaration.uid, name)?;
                Some((name.into(), rival.resource.clone()))
            })
            .collect()
    }

    /// The older resource that removes undeclared members, where this one wants to as well, by this roll.
    pub(super) fn usurped(&self, roll: &Roll) -> Option<Box<str>> {
        if self.intent.prune != Prune::Authoritative {
            return None;
        }
        let owner = roll.authoritative_owner(self.intent.target.membership_type)?;
        (&*owner.uid != self.declaration.uid).then(|| owner.resource.clone())
    }

    /// Whether the last listing tells that somebody is not there whom this resource claims.
    fn is_gone(&self, name: &str) -> bool {
        // An earlier process may have added or removed them until we started.
        let believed = self.cell.listed().is_some_and(|(began, _)| began >= self.engine.started + SETTLING);
        let since = self.memory.watching_since.unwrap_or_else(Instant::now);
        believed && self.cell.is_shape_known() && self.cell.is_gone(name, since)
    }

    /// Those who are claimed, not declared any more and not seen.
    fn unseen(&self) -> NameSet {
        let there = self.cell.there();
        let roster = self.intent.roster.names();
        let claims = self.ledger.claims.names().iter();
        claims.filter(|name| !roster.contains(name) && !there.contains(name)).collect()
    }

    /// From when on a listing tells whether those are gone who are claimed and were not seen; `None` if all are settled.
    pub(super) fn unseen_until(&self) -> Option<Instant> {
        let open = self.unseen();
        if open.is_empty() || !self.cell.is_shape_known() && self.cell.was_asked_for_shape() {
            return None;
        }
        let began = self.cell.listed().map(|(began, _)| began);
        let late = open.iter().filter_map(|name| self.cell.tried_until(name));
        let whole = self
            .memory
            .watching_since
            .filter(|since| !self.cell.is_whole() && began.is_none_or(|began| began < *since));
        let again = self.memory.missed.as_ref().filter(|_| self.cell.is_elastic()).map(|(began, _)| *began + SETTLING);
        let wanted = late.chain(whole).chain(again).chain([self.engine.started + SETTLING]).max()?;
        began.is_none_or(|began| began < wanted).then_some(wanted)
    }

    /// Whoever is gone is claimed no more; whoever is declared is claimed as of the last listing.
    fn settle_claims(&mut self) {
        let there = self.cell.there();
        let membership_type = self.intent.target.membership_type;
        let over = |name: &&str| {
            self.roll.declares(membership_type, name) || !there.contains(name) || self.memory.why_stays(name).is_some()
        };
        let over: NameSet = self.ledger.removing.iter().filter(over).collect();
        self.ledger.removing.remove(&over);
        let mut gone: NameSet = self.unseen().iter().filter(|name| self.is_gone(name)).collect();
        if let Some((began, _)) = self.cell.listed().filter(|_| self.cell.is_elastic()) {
            // Members are moved between sub-channels, and one may slip through a walk over them: not so easily through two.
            let missed = self.memory.missed.take().filter(|(before, _)| *before < began);
            let twice = |name: &&str| missed.as_ref().is_some_and(|(_, missed)| missed.contains(name));
            let again = gone.iter().filter(twice).collect();
            self.memory.missed = Some((began, std::mem::replace(&mut gone, again)));
        }
        self.ledger.claims.remove(&gone);
        // Found out by a pass whose status could not be written.
        let not_meant = |name: &str| matches!(self.memory.why_stays(name), Some(Stays::NotOwned | Stays::Bot));
        let claims = self.ledger.claims.names().iter();
        let not_meant = claims.filter(|name| !self.intent.roster.names().contains(name) && not_meant(name)).collect();
        self.ledger.claims.remove(&not_meant);
        if let Some(at) =
            self.cell.listed().and_then(|(began, _)| self.engine.clock.now().checked_sub(began.elapsed()).ok())
        {
            self.ledger.claims.confirm(self.intent.roster.names(), at);
        }
    }

    /// Whom of those this resource might remove others declare, by this roll.
    pub(super) fn elsewhere(&self, roll: &Roll) -> Elsewhere {
        let candidates = match self.intent.prune {
            Prune::Never => return Elsewhere::default(),
            Prune::Owned | Prune::Declared => self.ledger.claims.names().clone(),
            Prune::Authoritative => self.cell.there(),
        };
        // Whom it declares itself, or did until it was deleted, nobody else leaves behind.
        let candidates = candidates.iter().filter(|name| !self.own.names().contains(name));
        let others = roll.without(self.declaration.uid);
        let membership_type = self.intent.target.membership_type;
        Elsewhere::of(candidates, membership_type, &self.ledger.elsewhere, &self.memory.roll, &others)
    }
}
