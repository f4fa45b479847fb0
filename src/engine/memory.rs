//! What is remembered of a resource between two passes over it?
//!
//! All of it can be lost: a restart costs a listing, perhaps one more try for a refused member, and ten more seconds before
//! somebody is removed. What must not be lost stands in the status ([`crate::membership::ledger`]).

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::declaration::{Declaration, Source, SourceText};
use super::intent::{Intent, Objection};
use super::quorum::Office;
use super::settings::Settings;
use super::siblings::Seat;
use super::view::{Cell, Interest};
use crate::api::{OnLeave, Stays};
use crate::membership::arn::ChannelArn;
use crate::membership::departures::{CONTESTED, Departures, LEFT};
use crate::membership::grace::GracePeriods;
use crate::membership::ledger::Counted;
use crate::membership::names::NameSet;
use crate::membership::problem::{Problems, REFUSED_REST};
use crate::membership::roll::Roll;
use crate::membership::roster::Roster;

/// Nobody who left rests for longer, whatever an earlier process wrote down.
const LONGEST_REST: Duration = Duration::from_hours(24);

/// What is remembered of one resource.
#[derive(Debug, Default)]
pub struct Memory {
    /// What the resource was found to want, as of a state of its spec and sources.
    pub(super) intent: Option<(Seen, Result<Arc<Intent>, Objection>)>,
    /// Members who could not be added.
    pub(super) problems: Problems,
    /// The channel's live view; holding it keeps it.
    pub(super) cell: Option<Arc<Cell>>,
    /// Whom the view must keep an eye on.
    pub(super) interest: Option<Arc<Interest>>,
    /// The resource's place among those of its channel, as of a state of its spec and sources.
    pub(super) seat: Option<(Seen, Seat)>,
    /// What was last carried through.
    pub(super) done: Option<Key>,
    /// The request for a reconcile that is open, and since when: a listing from before that does not answer it.
    pub(super) request: Option<(String, Instant)>,
    /// The last request that was carried through.
    pub(super) done_request: Option<String>,
    /// How often in a row a pass ended because a call was refused as a whole.
    pub(super) refusals: u32,
    /// Whether a status write was sent whose answer never came: what stands in the cluster is not known.
    pub(super) status_unsure: bool,
    /// Since when the members to be removed are undeclared.
    pub(super) grace_periods: GracePeriods,
    /// How often members left.
    pub(super) departures: Departures,
    /// How many departures from the channel were heard of.
    pub(super) departed_heard: Option<u64>,
    /// Everybody on the channel, as of the last pass.
    pub(super) roll: Roll,
    /// Who stays though no resource declares them, why, and until when that is taken for granted.
    pub(super) stays: BTreeMap<Box<str>, (Stays, Instant)>,
    /// The removals that this process counted.
    pub(super) counted: Counted,
    /// Who holds an office in the channel.
    pub(super) office: Option<Office>,
    /// Since when the view keeps an eye on those whom this resource claims.
    pub(super) watching_since: Option<Instant>,
    /// Whom of an elastic channel the listing that began then did not show, though they are claimed.
    pub(super) missed: Option<(Instant, NameSet)>,
    /// Whether fewer are declared than before though nobody changed anything.
    pub(super) shrank: bool,
    /// Whom the resource declared before it was deleted.
    pub(super) last_roster: Option<Arc<Roster>>,
    /// How often in a row the cluster and what is known of it did not agree.
    pub(super) stale: u32,
    restored: bool,
}

/// A state of spec and sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    generation: i64,
    sources: u64,
    expired: bool,
}

/// A state, and the versions of the ConfigMaps that it was seen in: others may have stood between two equal ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    key: Key,
    versions: u64,
}

impl Seen {
    /// Whether the resource may have had another state between this one and `later`, which nobody saw.
    pub(super) fn missed_before(&self, later: &Self) -> bool {
        later.key.generation > self.key.generation + 1
            || later.key.sources != self.key.sources
            || later.versions != self.versions
    }

    fn of(declaration: &Declaration<'_>, now: Timestamp) -> Self {
        let (mut hasher, mut versions) = (DefaultHasher::new(), DefaultHasher::new());
        for Source { reference, version, text } in declaration.sources {
            reference.hash(&mut hasher);
            (&reference.name, version).hash(&mut versions);
            match text {
                SourceText::Read(text) => (0, text).hash(&mut hasher),
                SourceText::Absent(_) => 1.hash(&mut hasher),
                // The API server may say why in other words each time.
                SourceText::Unreadable(_) => 2.hash(&mut hasher),
            }
        }
        let expires = declaration.spec.ok().and_then(|spec| spec.expires_at.as_ref());
        let key = Key {
            generation: declaration.generation,
            sources: hasher.finish(),
            expired: expires.is_some_and(|at| at.0 <= now),
        };
        Self { key, versions: versions.finish() }
    }
}

impl Memory {
    /// Brings memory up to what the resource says now, and gives what it wants.
    pub(super) fn recall(
        &mut self,
        declaration: &Declaration<'_>,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<Arc<Intent>, Objection> {
        let seen = Seen::of(declaration, now);
        let key = seen.key;
        let before = self.intent.take();
        // Somebody may have been declared in a version that was never seen.
        if before.as_ref().is_some_and(|(known, _)| known.missed_before(&seen)) {
            self.grace_periods.forget();
        }
        let intent = match before {
            Some((known, intent)) if known.key == key => intent,
            _ => {
                let intent = read(declaration, settings, now);
                // A member that left while undeclared here has not left this list.
                self.departed_heard = None;
                self.shrank = false;
                if self.restored && self.done != Some(key) {
                    self.start_anew(intent.as_ref().ok().map(|intent| intent.on_leave));
                }
                if !self.restored {
                    self.restore(declaration, intent.as_deref().ok(), key, now);
                }
                if let Ok(intent) = &intent {
                    self.problems.retain(|name| intent.roster.names().contains(name));
                    self.grace_periods.declared(|name| intent.roster.names().contains(name));
                    if declaration.deleting_since.is_none() {
                        self.last_roster = Some(Arc::clone(&intent.roster));
                    }
                }
                intent
            }
        };
        let asked = declaration.requested_at.filter(|asked| self.done_request.as_deref() != Some(asked));
        if let Some(asked) = asked
            && self.request.as_ref().is_none_or(|(seen, _)| seen != asked)
        {
            self.request = Some((asked.to_owned(), Instant::now()));
            self.start_anew(None);
        }
        self.intent = Some((seen, intent.clone()));
        intent
    }

    /// Whether somebody waits: spec, sources or request are newer than what was last carried through.
    pub(super) fn is_edit(&self, declaration: &Declaration<'_>) -> bool {
        self.done != self.intent.as_ref().map(|(seen, _)| seen.key)
            || declaration.requested_at.is_some() && declaration.requested_at != self.done_request.as_deref()
    }

    /// When a request for a reconcile came in that is not carried through yet.
    pub(super) fn open_request(&self) -> Option<Instant> {
        self.request.as_ref().map(|(_, since)| *since)
    }

    /// The pass went through for this declaration.
    pub(super) fn carried_through(&mut self, declaration: &Declaration<'_>) {
        self.done = self.intent.as_ref().map(|(seen, _)| seen.key);
        self.done_request = declaration.requested_at.map(str::to_owned);
        // Whoever took the annotation away asks for nothing any more.
        self.request = None;
    }

    /// Why somebody stays, while that is taken for granted.
    pub(super) fn why_stays(&self, name: &str) -> Option<Stays> {
        self.stays.get(name).filter(|(_, until)| *until > Instant::now()).map(|(reason, _)| *reason)
    }

    /// Refused members are due at once when the spec changes or somebody asks (`None`).
    fn start_anew(&mut self, edited: Option<OnLeave>) {
        // Whoever left of their own is not dragged back because somebody else was added.
        let keeps = |code: &str| edited == Some(OnLeave::Report) && code == LEFT;
        self.problems.forget(|problem| !keeps(&problem.code));
        self.departures.forget_all();
        self.stays.clear();
        self.refusals = 0;
    }

    /// Takes over from the status what an earlier process knew, so that a restart tries nobody again too soon.
    fn restore(&mut self, declaration: &Declaration<'_>, intent: Option<&Intent>, key: Key, now: Timestamp) {
        self.restored = true;
        let Some(status) = declaration.status else { return };
        let unfinished = status.conditions.iter().any(|c| c.type_ == "Reconciling" && c.status == "True");
        let same = status.observed_generation == Some(declaration.generation)
            && intent.is_none_or(|intent| intent.sources == status.sources);
        self.done = Some(key).filter(|_| same && !unfinished);
        self.done_request.clone_from(&status.last_handled_reconcile_at);
        let Some(channel) = declaration.spec.ok().and_then(|spec| ChannelArn::parse(&spec.channel_arn).ok()) else {
            return;
        };
        for problem in &status.errors {
            let (code, message) = (&problem.error_code, &problem.error_message);
            let left = code == LEFT || code == CONTESTED;
            let stays_out = left && intent.is_some_and(|intent| intent.on_leave == OnLeave::Report);
            if !(same || stays_out) {
                continue;
            }
            if let Some(name) = channel.name_of(&problem.member_arn) {
                let never = Timestamp::MAX;
                let next =
                    problem.next_attempt.as_ref().map_or(if left { never } else { problem.first_seen.0 }, |at| at.0);
                // An earlier process's clock may have been ahead; nobody rests for years because of that.
                let most = now.checked_add(if left { LONGEST_REST } else { REFUSED_REST }).unwrap_or(never);
                let next = if left && next == never { never } else { next.min(most) };
                self.problems.restore(name, code, message, problem.attempts, problem.first_seen.0, next);
            }
        }
    }
}

fn read(declaration: &Declaration<'_>, settings: &Settings, now: Timestamp) -> Result<Arc<Intent>, Objection> {
    match declaration.spec {
        Ok(spec) => Intent::read(spec, declaration.sources, declaration.unknown_field, settings, now).map(Arc::new),
        Err(unreadable) => Err(Objection {
            reason: crate::api::Reason::InvalidMember,
            message: format!("the spec cannot be read: {unreadable}"),
            channel: None,
        }),
    }
}
