//! How does one pass go from a declaration to a status?

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::declaration::Declaration;
use super::findings::Findings;
use super::intent::Intent;
use super::memory::Memory;
use super::report::Report;
use super::settings::Settings;
use super::store::Store;
use super::view::{Cell, Views};
use crate::api::Mode;
use crate::chime::backoff;
use crate::chime::client::Client;
use crate::chime::pace::{Level, Urgency};
use crate::chime::port::{CallError, Service};
use crate::membership::names::NameSet;
use crate::membership::plan::Plan;

/// After a call was refused as a whole, the next look rests this long, then twice as long each time, up to the resync
/// interval: a channel made a minute late is found in a minute.
const FIRST_REFUSAL_REST: Duration = Duration::from_mins(1);

/// Between two passes over a resource that nobody changed lies at least this, whatever is due.
const LEAST_REST: Duration = Duration::from_secs(1);

/// What carries out declarations.
pub struct Engine<S> {
    pub(super) client: Client<S>,
    pub(super) views: Arc<Views<S>>,
    pub(super) settings: Settings,
    pub(super) clock: Clock,
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
    /// A call was refused as a whole.
    Refused(CallError),
}

/// One pass under way.
pub(super) struct Pass<'a, S, T> {
    pub(super) engine: &'a Engine<S>,
    pub(super) intent: Arc<Intent>,
    pub(super) cell: Arc<Cell>,
    pub(super) memory: &'a mut Memory,
    pub(super) report: Report<'a, T>,
    /// How urgent the pass was when it began.
    pub(super) level: Level,
    /// How urgent its calls are.
    pub(super) urgency: Urgency,
    /// Drawn once, so that members who fail together come back together: each alone would be a batch and a status write.
    jitter: f64,
    pub(super) cancel: &'a CancellationToken,
}

impl<S: Service> Engine<S> {
    /// An engine that calls by `client`. When `shutdown` is cancelled, background listings stop.
    pub fn new(client: Client<S>, settings: Settings, clock: Clock, shutdown: CancellationToken) -> Self {
        let views = Arc::new(Views::new(client.clone(), clock, shutdown.clone()));
        Self { client, views, settings, clock, shutdown }
    }

    /// How urgent a pass over this declaration is, once memory is up to it.
    fn level(&self, declaration: &Declaration<'_>, memory: &Memory) -> Level {
        if memory.is_edit(declaration) {
            Level::Edit
        } else if memory.problems.next_retry().is_some_and(|due| due <= self.clock.now()) {
            Level::Retry
        } else {
            Level::Resync
        }
    }

    /// Carries out one declaration as far as that is possible now, and writes what came of it.
    ///
    /// When `cancel` is cancelled, a call in flight ends (12 seconds at most) and is remembered, and the pass is over.
    pub async fn pass<T: Store>(
        &self,
        declaration: &Declaration<'_>,
        memory: &mut Memory,
        store: &mut T,
        cancel: &CancellationToken,
    ) -> Next {
        let endpoint = self.settings.custom_endpoint.as_deref();
        let mut report = Report::new(declaration, store, self.clock, endpoint, memory.status_unsure);
        let intent = memory.recall(declaration, &self.settings, self.clock.now());
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
        let cell = self.views.cell(&intent.target);
        cell.keep_for(&intent.roster);
        memory.cell = Some(Arc::clone(&cell));
        let urgency = Urgency::new(level);
        let jitter = fastrand::f64();
        let mut pass = Pass { engine: self, intent, cell, memory, report, level, urgency, jitter, cancel };
        let end = pass.walk().await;
        pass.conclude(end, declaration).await
    }
}

impl<S: Service, T: Store> Pass<'_, S, T> {
    /// Observe, plan, apply; what came of it is in memory, the view and the end.
    async fn walk(&mut self) -> Result<(), Halt> {
        self.observe().await?;
        if self.intent.mode == Mode::Observe {
            return Ok(());
        }
        let plan = self.plan();
        let doubtful = self.apply(plan).await?;
        self.confirm(doubtful).await
    }

    fn plan(&mut self) -> Plan {
        let there = self.there();
        Plan::new(&self.intent.roster, &there, &self.memory.problems, self.engine.clock.now())
    }

    /// Who is known to be there; their problems are over.
    fn there(&mut self) -> NameSet {
        let there = self.cell.there();
        self.memory.problems.retain(|name| !there.contains(name));
        there
    }

    /// A member could not be added.
    pub(super) fn failed(&mut self, name: &str, code: Option<&str>, message: &str) {
        let (now, jitter) = (self.engine.clock.now(), self.jitter);
        self.memory.problems.record(name, code, message, now, |attempts| backoff::wait(attempts, jitter));
    }

    /// Where everybody stands now.
    pub(super) fn findings(&mut self) -> Findings {
        let (there, listed, interval) = (self.there(), self.cell.listed(), self.interval());
        Findings::new(&self.intent, &there, &self.memory.problems, listed.map(|(_, at)| at), interval)
    }

    /// Writes what came of the pass and says when the next is due.
    async fn conclude(mut self, end: Result<(), Halt>, declaration: &Declaration<'_>) -> Next {
        let found = self.findings();
        let written = match &end {
            Ok(()) => {
                self.memory.carried_through(declaration);
                self.memory.refusals = 0;
                self.report.outcome(&found).await
            }
            Err(Halt::Refused(error)) => {
                self.memory.carried_through(declaration);
                self.memory.refusals = self.memory.refusals.saturating_add(1);
                self.report.refused(&found, error).await
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
        if end.is_err() {
            let doublings = self.memory.refusals.saturating_sub(1).min(16);
            return (FIRST_REFUSAL_REST * 2_u32.pow(doublings)).min(self.interval().max(FIRST_REFUSAL_REST));
        }
        let resync = self.cell.until_resync(self.interval());
        if self.intent.mode == Mode::Observe {
            return resync.max(LEAST_REST);
        }
        // Somebody left after the plan was made: a listing showed it that another pass, or this one, asked for since.
        if found.unplanned() > 0 {
            return LEAST_REST;
        }
        let now = self.engine.clock.now();
        let retry = self.memory.problems.next_retry();
        let retry = retry.map(|due| Duration::try_from(due.duration_since(now)).unwrap_or_default());
        retry.map_or(resync, |retry| retry.min(resync)).max(LEAST_REST)
    }
}
