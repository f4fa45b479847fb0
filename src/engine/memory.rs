//! What is remembered of a resource between two passes over it?
//!
//! All of it can be lost: a restart costs a listing, and perhaps one more try for a refused member.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use super::declaration::Declaration;
use super::intent::{Intent, Objection};
use super::settings::Settings;
use super::view::Cell;
use crate::membership::arn::ChannelArn;
use crate::membership::problem::{Problems, REFUSED_REST};

/// What is remembered of one resource.
#[derive(Debug, Default)]
pub struct Memory {
    /// What the spec of a generation was found to mean.
    pub(super) intent: Option<(i64, Result<Arc<Intent>, Objection>)>,
    /// Members who could not be added.
    pub(super) problems: Problems,
    /// The channel's live view; holding it keeps it.
    pub(super) cell: Option<Arc<Cell>>,
    /// The generation that was last carried through.
    pub(super) done_generation: Option<i64>,
    /// The request for a reconcile that is open, and since when: a listing from before that does not answer it.
    pub(super) request: Option<(String, Instant)>,
    /// The last request that was carried through.
    pub(super) done_request: Option<String>,
    /// How often in a row a pass ended because a call was refused as a whole.
    pub(super) refusals: u32,
    /// Whether a status write was sent whose answer never came: what stands in the cluster is not known.
    pub(super) status_unsure: bool,
    restored: bool,
}

impl Memory {
    /// Brings memory up to what the resource says now, and gives what it wants.
    pub(super) fn recall(
        &mut self,
        declaration: &Declaration<'_>,
        settings: &Settings,
        wall: Timestamp,
    ) -> Result<Arc<Intent>, Objection> {
        if !self.restored {
            self.restore(declaration, wall);
        }
        let asked = declaration.requested_at.filter(|asked| self.done_request.as_deref() != Some(asked));
        if let Some(asked) = asked
            && self.request.as_ref().is_none_or(|(seen, _)| seen != asked)
        {
            self.request = Some((asked.to_owned(), Instant::now()));
            self.start_anew();
        }
        match &self.intent {
            Some((generation, intent)) if *generation == declaration.generation => intent.clone(),
            _ => {
                let intent = read(declaration, settings);
                if self.done_generation != Some(declaration.generation) {
                    self.start_anew();
                }
                if let Ok(intent) = &intent {
                    self.problems.retain(|name| intent.roster.names().contains(name));
                }
                self.intent = Some((declaration.generation, intent.clone()));
                intent
            }
        }
    }

    /// Whether somebody waits: the spec or the request is newer than what was last carried through.
    pub(super) fn is_edit(&self, declaration: &Declaration<'_>) -> bool {
        self.done_generation != Some(declaration.generation)
            || declaration.requested_at.is_some() && declaration.requested_at != self.done_request.as_deref()
    }

    /// When a request for a reconcile came in that is not carried through yet.
    pub(super) fn open_request(&self) -> Option<Instant> {
        self.request.as_ref().map(|(_, since)| *since)
    }

    /// The pass went through for this declaration.
    pub(super) fn carried_through(&mut self, declaration: &Declaration<'_>) {
        self.done_generation = Some(declaration.generation);
        self.done_request = declaration.requested_at.map(str::to_owned);
        // Whoever took the annotation away asks for nothing any more.
        self.request = None;
    }

    /// Refused members are due at once when the spec changes or somebody asks.
    fn start_anew(&mut self) {
        self.problems.forget_all();
        self.refusals = 0;
    }

    /// Takes over from the status what an earlier process knew, so that a restart tries nobody again too soon.
    fn restore(&mut self, declaration: &Declaration<'_>, wall: Timestamp) {
        self.restored = true;
        let Some(status) = declaration.status else { return };
        let unfinished = status.conditions.iter().any(|c| c.type_ == "Reconciling" && c.status == "True");
        self.done_generation = status.observed_generation.filter(|_| !unfinished);
        self.done_request.clone_from(&status.last_handled_reconcile_at);
        let Some(channel) = declaration.spec.ok().and_then(|spec| ChannelArn::parse(&spec.channel_arn).ok()) else {
            return;
        };
        for problem in &status.errors {
            if let Some(name) = channel.name_of(&problem.member_arn) {
                let next = problem.next_attempt.as_ref().map_or(problem.first_seen.0, |time| time.0);
                let (code, message) = (&problem.error_code, &problem.error_message);
                // An earlier process's clock may have been ahead; nobody rests for years because of that.
                let next = next.min(wall.checked_add(REFUSED_REST).unwrap_or(next));
                self.problems.restore(name, code, message, problem.attempts, problem.first_seen.0, next);
            }
        }
    }
}

fn read(declaration: &Declaration<'_>, settings: &Settings) -> Result<Arc<Intent>, Objection> {
    match declaration.spec {
        Ok(spec) => Intent::read(spec, settings).map(Arc::new),
        Err(unreadable) => Err(Objection {
            reason: crate::api::Reason::InvalidMember,
            message: format!("the spec cannot be read: {unreadable}"),
            channel: None,
        }),
    }
}
