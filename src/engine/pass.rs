//! How does one pass go from a declaration to a status?

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::clock::Clock;
use super::declaration::Declaration;
use super::findings::Findings;
use super::hourly::Hourly;
use super::intent::{Intent, Objection};
use super::memory::Memory;
use super::report::Report;
use super::settings::Settings;
use super::siblings::Siblings;
use super::store::{Store, Wake};
use super::tally::Tally;
use super::trace;
use super::view::{Cell, Interest};
use super::views::Views;
use crate::api::{ChannelMembershipStatus, Mode, Prune, Reason};
use crate::chime::backoff;
use crate::chime::client::Client;
use crate::chime::port::{CallError, Service};
use crate::chime::rate_limit::{Priority, SharedPriority};
use crate::membership::ledger::Ledger;
use crate::membership::names::NameSet;
use crate::membership::roll::Roll;
use crate::membership::roster::Roster;

/// After a call was refused as a whole, the next look rests this long, then twice as long each time, up to the resync
/// interval: a channel made a minute late is found in a minute.
const FIRST_REFUSAL_REST: Duration = Duration::from_mins(1);

/// Between two passes over a resource that nobody changed lies at least this, whatever is due.
const LEAST_REST: Duration = Duration::from_secs(1);

/// What carries out declarations.
pub struct Engine<S> {
    pub(super) client: Client<S>,
    pub(super) views: Arc<Views<S>>,
    pub(super) siblings: Arc<Siblings>,
    pub(super) hourly: Hourly,
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    pub(super) tally: Tally,
    /// An earlier process may have written until then.
    pub(super) started: Instant,
    shutdown: CancellationToken,
}

/// When the resource is to be looked at again, unless it changes before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// After so long.
    After(Duration),
    /// Only when it changes.
    OnChange,
    /// At once: the pass was cut short because something newer came.
    AtOnce,
}

/// Why a pass did not come to its end.
#[derive(Debug)]
pub(super) enum Halt {
    /// Something newer came, or the process stops.
    Interrupted,
    /// What the pass knows of the resource is not what stands in the cluster, or could not be written there: look again after this.
    Stale(Duration),
    /// The channel does not allow what the resource asks for.
    Objection(Reason, String),
    /// A call was refused as a whole.
    Refused(CallError),
}

/// One pass under way.
pub(super) struct Pass<'a, S, T> {
    pub(super) engine: &'a Engine<S>,
    pub(super) declaration: &'a Declaration<'a>,
    pub(super) intent: Arc<Intent>,
    pub(super) cell: Arc<Cell>,
    pub(super) memory: &'a mut Memory,
    pub(super) report: Report<'a, T>,
    /// Claims and removals, as the status has them and as they will be written.
    pub(super) ledger: Ledger,
    /// Everybody on the channel, as this process knows.
    pub(super) roll: Roll,
    /// The others of the channel by whom its claims were looked through: remembered once that is written down, or an edit of theirs would
    /// look like their end to the pass after one that was cut short.
    pub(super) others: Option<Roll>,
    /// Whom the resource declares, or did until it was deleted.
    pub(super) own: Arc<Roster>,
    /// Who is not added because that waits for approval.
    pub(super) withheld: NameSet,
    /// The refusal that ended the removals of this pass.
    pub(super) removal_refused: Option<CallError>,
    /// Who is still to be removed.
    pub(super) leaving: NameSet,
    /// Why they wait, in words, and until when.
    pub(super) waiting: Option<(String, Duration)>,
    /// Whether somebody was refused as Forbidden, which a ban would explain.
    pub(super) forbidden: bool,
    /// How urgent the pass was when it began.
    pub(super) level: Priority,
    /// How urgent its calls are.
    pub(super) urgency: SharedPriority,
    /// Whether it only foresees what will be: then every wait is over.
    pub(super) foresees: bool,
    /// Drawn once, so that members who fail together come back together: each alone would be a batch and a status write.
    jitter: f64,
    pub(super) cancel: &'a CancellationToken,
}

impl<S: Service> Engine<S> {
    /// An engine that calls by `client`. When `shutdown` is cancelled, background listings stop.
    pub fn new(client: Client<S>, settings: Settings, clock: Clock, shutdown: CancellationToken) -> Self {
        let siblings = Arc::<Siblings>::default();
        let views = Arc::new(Views::new(client.clone(), clock, Arc::clone(&siblings), shutdown.clone()));
        let hourly = Hourly::new(settings.max_removals_per_hour);
        Self {
            client,
            views,
            siblings,
            hourly,
            settings,
            clock,
            tally: Tally::default(),
            started: Instant::now(),
            shutdown,
        }
    }

    /// What it did so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The age of the oldest listing of those channels that resources are about and that could be listed.
    pub fn oldest_listing(&self) -> Option<Duration> {
        self.views.oldest()
    }

    /// What the resource wants, if that is granted. It takes its place among those of its channel in any case.
    pub(super) fn take_in(
        &self,
        declaration: &Declaration<'_>,
        memory: &mut Memory,
        wake: Wake,
    ) -> Result<Arc<Intent>, Objection> {
        let intent = memory.recall(declaration, &self.settings, self.clock.now());
        self.take_seat(declaration, memory, wake);
        intent.and_then(|intent| self.granted(declaration, &intent).map(|()| intent))
    }

    /// How urgent a pass over this declaration is, once memory is up to it.
    fn level(&self, declaration: &Declaration<'_>, memory: &Memory) -> Priority {
        let now = self.clock.now();
        if memory.is_edit(declaration) {
            Priority::Edit
        } else if memory.problems.next_retry().is_some_and(|due| due <= now) || !memory.grace_periods.is_empty() {
            Priority::Retry
        } else {
            Priority::Resync
        }
    }

    /// Carries out one declaration as far as that is possible now, and writes what came of it. Of a resource that is being
    /// deleted that is what `deletionPolicy` asks for, and our finalizer is taken off in the end.
    ///
    /// When `cancel` is cancelled, a call in flight ends (12 seconds at most) and is remembered, and the pass is over.
    pub async fn pass<T: Store>(
        &self,
        declaration: &Declaration<'_>,
        memory: &mut Memory,
        store: &mut T,
        cancel: &CancellationToken,
    ) -> Next {
        let span = trace::pass(declaration);
        self.carry_out(declaration, memory, store, cancel).instrument(span).await
    }

    async fn carry_out<T: Store>(
        &self,
        declaration: &Declaration<'_>,
        memory: &mut Memory,
        store: &mut T,
        cancel: &CancellationToken,
    ) -> Next {
        let wake = store.wake();
        let mut report = Report::new(declaration, store, self.clock, &self.settings, &self.tally, memory.status_unsure);
        let intent = self.take_in(declaration, memory, wake);
        if declaration.deleting_since.is_some() {
            // Boxed, like the end below: what comes once would take its room in every pass that waits for long.
            return Box::pin(self.last_pass(declaration, intent, memory, report, cancel)).await;
        }
        let level = self.level(declaration, memory);
        let suspended = declaration.spec.is_ok_and(|spec| spec.suspend);
        let intent = match intent {
            Ok(intent) if !suspended => intent,
            out_of_work => {
                // A channel that is not looked at takes no part of the rate.
                memory.cell = None;
                memory.carried_through(declaration);
                let written = match out_of_work {
                    Err(objection) if !suspended => report.objection(&objection).await,
                    intent => report.suspended(intent.ok().as_deref()).await,
                };
                memory.status_unsure = report.is_unsure();
                return written.map_or_else(Next::After, |()| Next::OnChange);
            }
        };
        let own = Arc::clone(&intent.roster);
        let mut pass = self.start(declaration, intent, own, memory, report, level, cancel);
        let end = pass.walk().await;
        Box::pin(pass.conclude(end)).await
    }

    /// A pass over a channel, about to begin.
    #[expect(clippy::too_many_arguments, reason = "what a pass is made of")]
    pub(super) fn start<'a, T: Store>(
        &'a self,
        declaration: &'a Declaration<'a>,
        intent: Arc<Intent>,
        own: Arc<Roster>,
        memory: &'a mut Memory,
        report: Report<'a, T>,
        level: Priority,
        cancel: &'a CancellationToken,
    ) -> Pass<'a, S, T> {
        let cell = self.views.cell(&intent.target);
        let (blank, now) = (ChannelMembershipStatus::default(), self.clock.now());
        let status = declaration.status.unwrap_or(&blank);
        let mut ledger = Ledger::read(status, declaration.uid, &intent.target.channel, &memory.counted, now);
        if !intent.keeps_claims() {
            (ledger.claims, ledger.elsewhere, ledger.removing) = Default::default();
            ledger.pending_approval.take_if(|pending| pending.removals > 0);
        }
        let before = memory.interest.take();
        let knew = before.as_ref().is_some_and(|before| {
            let watched = |name: &str| before.claims.contains(name) || before.roster.names().contains(name);
            ledger.claims.names().iter().all(watched)
        });
        let interest =
            before.filter(|before| before.claims == *ledger.claims.names() && before.roster == intent.roster);
        let interest = interest.unwrap_or_else(|| {
            let roster = Arc::clone(&intent.roster);
            let claims = ledger.claims.names().clone().within([roster.names()]);
            Arc::new(Interest { roster, claims, everybody: intent.prune == Prune::Authoritative })
        });
        cell.keep_for(&interest);
        let watched = memory.cell.as_ref().is_some_and(|known| Arc::ptr_eq(known, &cell));
        if !watched || !knew {
            memory.watching_since = Some(Instant::now());
        }
        memory.interest = Some(interest);
        memory.cell = Some(Arc::clone(&cell));
        let pass = Pass {
            engine: self,
            declaration,
            roll: self.siblings.roll(&intent.target.channel),
            intent,
            cell,
            memory,
            report,
            ledger,
            others: None,
            own,
            withheld: NameSet::default(),
            removal_refused: None,
            leaving: NameSet::default(),
            waiting: None,
            forbidden: false,
            level,
            urgency: SharedPriority::new(level),
            foresees: false,
            jitter: fastrand::f64(),
            cancel,
        };
        pass.memory.shrank |= pass.shrank();
        pass
    }
}

impl<S: Service, T: Store> Pass<'_, S, T> {
    /// Observe, plan, apply; what came of it is in memory, the view, the ledger and the end.
    async fn walk(&mut self) -> Result<(), Halt> {
        self.survey().await?;
        if self.intent.mode == Mode::Observe {
            return Ok(());
        }
        let plan = self.plan();
        self.claim(&plan).await?;
        let doubtful = self.apply(plan).await?;
        self.confirm(doubtful).await?;
        self.explain_refusals().await?;
        self.remove().await
    }

    /// Who is there, and what changed around the resource?
    pub(super) async fn survey(&mut self) -> Result<(), Halt> {
        self.check_sub_channel().await?;
        self.observe().await?;
        self.take_stock().await
    }

    /// Who is known to be there; their problems are over.
    pub(super) fn there(&mut self) -> NameSet {
        let there = self.cell.there();
        self.memory.problems.retain(|name| !there.contains(name));
        there
    }

    /// A member could not be added.
    pub(super) fn failed(&mut self, name: &str, code: Option<&str>, message: &str) {
        let (now, jitter) = (self.engine.clock.now(), self.jitter);
        self.forbidden |= code == Some("Forbidden");
        self.memory.problems.record(name, code, message, now, |attempts| backoff::delay_after(attempts, jitter));
    }

    /// Where everybody stands now.
    pub(super) fn findings(&mut self) -> Findings {
        let there = self.there();
        Findings::new(self, &there)
    }

    /// Writes what came of the pass and says when the next is due.
    pub(super) async fn conclude(mut self, end: Result<(), Halt>) -> Next {
        let found = self.findings();
        let written = match &end {
            Ok(()) => {
                self.memory.carried_through(self.declaration);
                let refused = self.removal_refused.is_some();
                self.memory.refusals = if refused { self.memory.refusals.saturating_add(1) } else { 0 };
                self.report.outcome(&found).await
            }
            Err(Halt::Refused(error)) => {
                self.memory.carried_through(self.declaration);
                self.memory.refusals = self.memory.refusals.saturating_add(1);
                self.report.refused(&found, error).await
            }
            Err(Halt::Objection(reason, message)) => {
                self.memory.carried_through(self.declaration);
                self.memory.refusals = self.memory.refusals.saturating_add(1);
                self.report.objected(&found, *reason, message).await
            }
            Err(Halt::Stale(rest)) => {
                self.memory.status_unsure = self.report.is_unsure();
                return Next::After(*rest);
            }
            // What was done is not lost: the next pass reads it off the view, the next process off the channel.
            Err(Halt::Interrupted) if !self.engine.shutdown.is_cancelled() => {
                self.memory.status_unsure = self.report.is_unsure();
                return Next::AtOnce;
            }
            // Nothing was seen, so nothing is known that the status does not say.
            Err(Halt::Interrupted) if self.cell.listed().is_none() => Ok(()),
            Err(Halt::Interrupted) => self.report.stopped(&found).await,
        };
        self.memory.status_unsure = self.report.is_unsure();
        if let Some(others) = self.others.take().filter(|_| written.is_ok()) {
            self.memory.roll = others;
        }
        let due = self.due_in(&end, &found);
        Next::After(match written {
            Ok(()) => due,
            // A refused call is not made again just because its status could not be written.
            Err(rest) if end.is_err() => rest.max(due),
            Err(rest) => rest.min(due),
        })
    }

    /// How long until something is due.
    fn due_in(&self, end: &Result<(), Halt>, found: &Findings) -> Duration {
        let expiry = self.until(self.intent.expires_at.filter(|_| !self.intent.expired));
        if end.is_err() {
            return self.refusal_rest().min(expiry);
        }
        let resync = self.cell.until_resync(self.interval()).min(expiry);
        if self.intent.mode == Mode::Observe {
            return resync.max(LEAST_REST);
        }
        // Somebody left after the plan was made: a listing showed it that another pass, or this one, asked for since.
        if found.unplanned() > 0 {
            return LEAST_REST;
        }
        let retry = self.until(self.memory.problems.next_retry());
        if self.removal_refused.is_some() {
            return retry.min(resync).min(self.refusal_rest()).max(LEAST_REST);
        }
        retry.min(resync).min(self.until_removals()).max(LEAST_REST)
    }

    /// After a call was refused as a whole.
    pub(super) fn refusal_rest(&self) -> Duration {
        let doublings = self.memory.refusals.saturating_sub(1).min(16);
        (FIRST_REFUSAL_REST * 2_u32.pow(doublings)).min(self.interval().max(FIRST_REFUSAL_REST))
    }

    /// How long until a time; for ever if there is none.
    pub(super) fn until(&self, at: Option<jiff::Timestamp>) -> Duration {
        let now = self.engine.clock.now();
        at.map_or(Duration::MAX, |at| Duration::try_from(at.duration_since(now)).unwrap_or_default())
    }
}
