//! What would a pass do, if every wait were over?
//!
//! The same steps as a pass up to its effects: observe → take stock → plan → who may go → one look at each of them. It knows no store, so
//! it can write nothing, and leave to delete somebody is won and thrown away in here.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::declaration::{Declaration, Snapshot};
use super::intent::{Intent, Objection};
use super::memory::Memory;
use super::message;
use super::nowhere::Nowhere;
use super::pass::{Engine, Halt, Pass};
use super::quorum::OFFICE_KNOWN;
use super::report::Report;
use super::settings::Settings;
use super::stock::declarer_of;
use super::store::{Store, Wake};
use super::view::Interest;
use crate::api::{ChannelMembershipStatus, MemberProblem, Mode, PendingApproval, Prune, Reason, Stays};
use crate::chime::backoff::Backoff;
use crate::chime::port::{CallError, Service, Target};
use crate::chime::rate_limit::Priority;
use crate::membership::arn::{ChannelArn, MemberArn};
use crate::membership::ledger::Ledger;
use crate::membership::names::NameSet;
use crate::membership::roll::Roll;

/// A preview makes a failing call so often in a row; somebody waits for it.
const MAX_TRIES: u32 = 5;

/// Where it is not known whom a resource declared before, so many memberships are looked at to see who added them.
const MAX_LOOKS: usize = 100;

/// What is known of the resources as they stood before.
#[derive(Clone, Copy, Debug)]
pub enum Before<'a> {
    /// Who declared members of the channel when they were seen last: see [`Engine::stood`]. What a resource itself declared before is in its
    /// status.
    Known(&'a Roll),
    /// Nothing: any undeclared member may have been declared before.
    Unknown,
}

/// What a pass would do.
#[derive(Clone, Debug, Default)]
pub struct Forecast {
    /// Whose memberships, and in whose name; `None` where that much is not right.
    pub target: Option<Target>,
    /// How the members stand; `None` where the channel was not, or could not be, listed.
    pub standing: Option<Standing>,
    /// Who is added.
    pub add: NameSet,
    /// Who is removed; where nothing is known of before, at most these.
    pub remove: NameSet,
    /// Whether `remove` is only known at most.
    pub at_most: bool,
    /// What waits for approval.
    pub pending_approval: Option<PendingApproval>,
    /// Who is to be removed and waits for something else, and for what, in words.
    pub waiting: Option<(NameSet, String)>,
    /// Who is declared by no resource any more and stays, and why.
    pub stays: Vec<(Box<str>, Stays)>,
    /// Who is declared, not there and not added, and why.
    pub problems: Vec<MemberProblem>,
    /// Why the resource, or part of what it asks for, is not carried out.
    pub objection: Option<(Reason, String)>,
    /// The call that was refused, without which no more can be known.
    pub error: Option<CallError>,
    /// What to do about that, in words.
    pub next_step: Option<String>,
}

impl Forecast {
    /// Whether something waits that what other resources do may bring about.
    pub fn may_change(&self) -> bool {
        !self.at_most && self.error.is_none() && (self.pending_approval.is_some() || self.waiting.is_some())
    }

    /// Takes in what follows on it: a preview made after it, of the same resource. Whether that does anything more.
    pub fn go_on(&mut self, next: Self) -> bool {
        self.add.extend(next.add.iter());
        self.remove.extend(next.remove.iter());
        (self.pending_approval, self.waiting, self.stays) = (next.pending_approval, next.waiting, next.stays);
        (self.objection, self.error, self.next_step) = (next.objection, next.error, next.next_step);
        !next.add.is_empty() || !next.remove.is_empty()
    }
}

/// How the members of a resource stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// How many different members it declares.
    pub desired: usize,
    /// How many of them are there.
    pub present: usize,
    /// How many undeclared members the channel has.
    pub undeclared: usize,
    /// How many pages a listing has.
    pub pages: usize,
}

impl<S: Service> Engine<S> {
    /// The resource takes its place among those of its channel, for as long as `memory` lives. All do before the first is previewed, or it would
    /// not be known whom the others declare. `wake` is by what others of its channel have it looked at again.
    pub fn seat(&self, declaration: &Declaration<'_>, memory: &mut Memory, wake: Wake) {
        // What stands against it is told by whatever comes next.
        let _ = self.take_in(declaration, memory, wake);
    }

    /// Those who declared members of a channel when they were seen last, each with its UID.
    pub fn stood(&self, channel: &ChannelArn, before: &[Snapshot]) -> Roll {
        let declarers = before.iter().filter_map(|it| declarer_of(it, channel, &self.settings, self.clock.now()));
        declarers.map(Arc::new).collect()
    }

    /// As if this process had seen who stood there before: whoever one of them stopped to declare and is still there was given up
    /// by it, and not left behind.
    pub fn remember(&self, declaration: &Declaration<'_>, memory: &mut Memory, stood: &Roll) {
        memory.roll = stood.without(declaration.uid);
    }

    /// What the passes over a resource will do, once all have come to rest and every wait is over. Nothing is written and nobody
    /// is added or removed.
    ///
    /// `memory` is that of [`Self::seat`]. In the channel's view, which it keeps, whatever was foreseen stands as done: whoever is
    /// previewed after it on the same channel finds it so, and so does the same resource, when it is previewed again because
    /// others were. It is good for nothing but more previews.
    ///
    /// A call that fails and may pass is made again a few times, at the pace of all calls.
    pub async fn preview(&self, declaration: &Declaration<'_>, memory: &mut Memory, before: Before<'_>) -> Forecast {
        let (mut nowhere, never) = (Nowhere, CancellationToken::new());
        let intent = self.take_in(declaration, memory, Arc::new(|| ()));
        let deleting = declaration.deleting_since.is_some();
        if deleting && (!declaration.has_finalizer || self.lets_go(declaration)) {
            return Forecast { target: intent.ok().map(|intent| intent.target.clone()), ..Forecast::default() };
        }
        let intent = match intent {
            Ok(intent) => intent,
            Err(Objection { reason, message, .. }) => {
                return Forecast { objection: Some((reason, message)), ..Forecast::default() };
            }
        };
        if declaration.spec.is_ok_and(|spec| spec.suspend) {
            return Forecast { target: Some(intent.target.clone()), ..Forecast::default() };
        }
        let report = Report::new(declaration, &mut nowhere, self.clock, &self.settings, &self.tally, false).unread();
        let mut pass = if deleting {
            self.last_start(declaration, &intent, memory, report, &never)
        } else {
            let own = Arc::clone(&intent.roster);
            self.start(declaration, intent, own, memory, report, Priority::Edit, &never)
        };
        pass.foresees = true;
        let mut forecast = Forecast { target: Some(pass.intent.target.clone()), ..Forecast::default() };
        let end = pass.foresee(before, &mut forecast).await;
        pass.conclude_forecast(end, &mut forecast);
        forecast
    }
}

/// The status of a resource that was carried out just `now`: that much of it by which later passes know what it declared before.
pub fn carried_out(declaration: &Declaration<'_>, settings: &Settings, now: Timestamp) -> ChannelMembershipStatus {
    let mut status = ChannelMembershipStatus::default();
    let Declaration { sources, unknown_field, .. } = *declaration;
    let Ok(Ok(intent)) = declaration.spec.map(|spec| Intent::read(spec, sources, unknown_field, settings, now)) else {
        return status;
    };
    status.observed_generation = Some(declaration.generation);
    status.desired = u32::try_from(intent.roster.len()).ok();
    let mut ledger = Ledger::default();
    if intent.keeps_claims() {
        ledger.claims.extend(intent.roster.names());
        ledger.claims.confirm(intent.roster.names(), now);
    }
    ledger.write(&mut status, Some(declaration.uid), now);
    status.sources = intent.sources;
    status
}

impl<S: Service> Pass<'_, S, Nowhere> {
    /// Looks ahead; what is known so far is in the forecast, however it ends.
    async fn foresee(&mut self, before: Before<'_>, forecast: &mut Forecast) -> Result<(), Halt> {
        let mut bearers: Vec<MemberArn> = Vec::new();
        match before {
            Before::Known(roll) => {
                bearers.extend(roll.bearers().cloned());
                self.memory.roll = roll.without(self.declaration.uid);
            }
            Before::Unknown => self.mind_everybody(),
        }
        let walked = self.cell.is_elastic();
        self.survey().await?;
        self.look_into_sub_channels(walked).await?;
        if matches!(before, Before::Unknown) || self.intent.prune == Prune::Authoritative {
            self.see_everybody().await?;
        }
        self.tell_how_it_stands(forecast);
        if self.intent.mode == Mode::Observe {
            return Ok(());
        }
        forecast.at_most = matches!(before, Before::Unknown) && self.intent.prune != Prune::Never;
        if forecast.at_most {
            self.claim_everybody();
        }
        self.foresee_additions(forecast);
        let mut passing = self.passing().await?;
        // Who holds an office is known only now, and an approval is for a plan without them.
        if self.take_approval() {
            self.foresee_additions(forecast);
            passing = self.passing().await?;
        }
        if forecast.at_most && self.roll.unknown().is_none() {
            // What was declared before decides what waits for approval, too.
            passing = self.leaving.clone();
        }
        forecast.remove = self.removals(&passing, &bearers, forecast.at_most).await?;
        Ok(())
    }

    /// Whom the plan adds is there from now on, and claimed: removals are judged after that.
    fn foresee_additions(&mut self, forecast: &mut Forecast) {
        let plan = self.plan();
        if self.intent.keeps_claims() {
            self.ledger.claims.extend(self.intent.roster.names());
        }
        self.cell.seen(plan.add.iter());
        forecast.add.extend(plan.add.iter());
    }

    /// Those of `passing` whom one look each leaves to be removed.
    async fn removals(&mut self, passing: &NameSet, before: &[MemberArn], at_most: bool) -> Result<NameSet, Halt> {
        if passing.is_empty() {
            return Ok(NameSet::default());
        }
        let office = self.office(OFFICE_KNOWN).await?;
        let bearers: Vec<MemberArn> = self.roll.bearers().chain(before).cloned().collect();
        let Some(protected) = self.protected_by(&office, &bearers) else { return Ok(NameSet::default()) };
        let approved = if at_most { Some(passing.clone()) } else { self.approved('-') };
        let admitted = self.admit(&self.roll, passing, protected, approved.as_ref());
        if at_most && admitted.names().len() > MAX_LOOKS {
            return Ok(admitted.names().clone());
        }
        let mut removed = Vec::new();
        for name in admitted.names().iter() {
            let mut backoff = Backoff::default();
            let found = loop {
                match self.look_at(name).await? {
                    Err(error) if error.class.is_transient() => self.rest(&mut backoff, error).await?,
                    found => break found.map_err(Halt::Refused)?,
                }
            };
            // Leave to delete them ends here.
            if self.judge(&admitted, name, found.as_ref(), false).is_ok() {
                removed.push(name);
            }
        }
        Ok(removed.into_iter().collect())
    }

    /// A listing that shows nobody may be of an elastic channel, whose members are in its sub-channels: then they are listed. What forbids to
    /// ask is no error.
    async fn look_into_sub_channels(&mut self, walked: bool) -> Result<(), Halt> {
        if self.cell.count() == 0 && !self.intent.roster.is_empty() {
            self.suspect_sub_channels().await?;
        }
        if self.cell.is_elastic() && self.intent.target.sub_channel.is_none() && !walked {
            self.look(Instant::now()).await?;
            self.take_stock().await?;
        }
        Ok(())
    }

    /// Listings keep everybody's name.
    fn mind_everybody(&mut self) {
        let Some(interest) = &self.memory.interest else { return };
        let everybody = self.intent.keeps_claims();
        let interest = Interest { roster: Arc::clone(&interest.roster), claims: interest.claims.clone(), everybody };
        let interest = Arc::new(interest);
        self.cell.keep_for(&interest);
        self.memory.interest = Some(interest);
    }

    /// Everybody's name is needed, and a listing that another resource asked for may not have kept them all.
    async fn see_everybody(&mut self) -> Result<(), Halt> {
        if self.intent.keeps_claims() && !self.cell.is_whole() {
            self.look(Instant::now()).await?;
            self.take_stock().await?;
        }
        Ok(())
    }

    /// As if the resource had declared everybody who is there.
    fn claim_everybody(&mut self) {
        let there = self.cell.there();
        self.ledger.claims.extend(&there);
        self.ledger.claims.confirm(&there, self.engine.clock.now());
    }

    /// Who is left to be removed, or added, waits: for approval, or for something else.
    fn tell_who_waits(&mut self, forecast: &mut Forecast) {
        self.see_who_leaves();
        if forecast.error.is_none() && self.approved('-').is_none() {
            forecast.pending_approval = self.waits();
        }
        let pending = forecast.pending_approval.as_ref().is_some_and(|pending| pending.removals > 0);
        if !pending && !self.leaving.is_empty() {
            let why = self.waiting.take().map(|(what, _)| what);
            let why = why.unwrap_or_else(|| "what was approved is carried out first".to_owned());
            forecast.waiting = Some((std::mem::take(&mut self.leaving), why));
        }
    }

    /// Takes in how it ended, and what is left.
    fn conclude_forecast(mut self, end: Result<(), Halt>, forecast: &mut Forecast) {
        match end {
            Err(Halt::Refused(error)) => {
                forecast.next_step = Some(message::next_step(&self.intent.target, &error));
                forecast.error = Some(error);
            }
            Err(Halt::Objection(reason, message)) => forecast.objection = Some((reason, message)),
            // Nobody cancels it, and nothing that it knows stands in a cluster.
            Ok(()) | Err(Halt::Interrupted | Halt::Stale(_)) => {}
        }
        if self.cell.listed().is_none() {
            return;
        }
        if self.intent.mode == Mode::Enforce {
            self.remove_from_view(&forecast.remove);
            self.tell_who_waits(forecast);
        }
        let there = self.cell.there();
        if forecast.at_most {
            // Of nobody it is known that they were declared.
            self.memory.stays.clear();
        }
        let undeclared = |name: &str| !self.roll.declares(self.intent.target.membership_type, name);
        let stays = self.memory.stays.iter().filter(|(name, _)| there.contains(name) && undeclared(name));
        forecast.stays = stays.map(|(name, (reason, _))| (name.clone(), *reason)).collect();
        forecast.problems = self.findings().errors;
    }

    /// In the view and the counts, those who are foreseen to be removed are.
    fn remove_from_view(&mut self, removed: &NameSet) {
        if !removed.is_empty() {
            self.cell.gone(removed.iter());
        }
        let now = self.engine.clock.now();
        let fresh = removed.iter().filter(|name| !self.ledger.removing.contains(name)).count();
        self.ledger.count(fresh, now);
        self.ledger.remember(&mut self.memory.counted, true, now);
    }

    /// How the members stand, and what stands against the resource.
    fn tell_how_it_stands(&mut self, forecast: &mut Forecast) {
        let found = self.findings();
        forecast.standing = Some(Standing {
            desired: found.desired,
            present: found.present,
            undeclared: found.undeclared.as_ref().map_or(0, |undeclared| undeclared.count as usize),
            pages: self.cell.pages(),
        });
        let objection = [
            (found.intent.source_problem.is_some(), Reason::SourceNotReady),
            (found.usurped.is_some(), Reason::OwnershipConflict),
        ];
        if let Some((_, reason)) = objection.into_iter().find(|(so, _)| *so) {
            let message = message::outcome(reason, &found, self.declaration.resource);
            forecast.objection.get_or_insert((reason, message));
        }
    }
}

impl<S: Service, T: Store> Pass<'_, S, T> {
    /// Gives the failure of a call that is made again; whoever only looks ahead gives up after some tries.
    pub(super) fn worth_another_try(&self, failures: u32, error: CallError) -> Result<CallError, Halt> {
        if self.foresees && failures >= MAX_TRIES { Err(Halt::Refused(error)) } else { Ok(error) }
    }
}
