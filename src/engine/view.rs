//! Who is in a channel, as far as this process knows?
//!
//! One [`Cell`] is shared by all resources of a channel, type and bearer: what one bearer may not see says nothing about
//! another's view. It keeps who of the declared is there, and of the others a few hundred, so memory follows what is declared.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use crate::chime::client::Client;
use crate::chime::pace::{Level, Urgency};
use crate::chime::port::{CallError, PAGE_SIZE, Service, Target};
use crate::membership::arn::MemberArn;
use crate::membership::names::NameSet;
use crate::membership::roster::Roster;

/// Reads right after a write miss it now and then (seen for up to 2.5 s), so what a listing does not show of people added this
/// short a time before it began is doubted, and not the people.
const SETTLING: Duration = Duration::from_secs(5);

/// So many others are kept too: a resource that is made later, for people who are there already, then needs no call. At some
/// 20 bytes each, 5,000 channels full of strangers cost 50 MB.
const KEPT_OTHERS: usize = 500;

/// The live views of all channels in use.
pub struct Views<S> {
    pub(super) client: Client<S>,
    pub(super) clock: Clock,
    pub(super) shutdown: CancellationToken,
    cells: Mutex<Cells>,
}

#[derive(Default)]
struct Cells {
    by_target: HashMap<Target, Weak<Cell>>,
    pages_of: HashMap<(String, MemberArn), Arc<AtomicUsize>>,
    sweep_at: usize,
}

/// The live view of one target.
pub struct Cell {
    /// Whose view it is.
    pub(super) target: Target,
    state: Mutex<State>,
    /// The pages that all listings of the bearer have, this cell's among them.
    pages_of_bearer: Arc<AtomicUsize>,
}

#[derive(Default)]
struct State {
    view: Option<View>,
    flight: Option<Flight>,
    /// The last listing ended without showing anything: what an older one said is not to be relied on any more.
    unconfirmed: bool,
    /// The rosters of the resources that use the view.
    wanted_by: Vec<Weak<Roster>>,
}

/// What is known since a listing.
#[derive(Clone, Debug)]
struct View {
    there: NameSet,
    pages: usize,
    began: Instant,
    listed_at: Timestamp,
    /// Whom we added since shortly before the listing began.
    added: Vec<(NameSet, Instant)>,
    /// From when on a listing can be believed, where this one does not show somebody whom we had just added.
    doubted_until: Option<Instant>,
}

/// A listing under way. It goes on by itself, so that whoever waits may leave.
pub(super) struct Flight {
    /// Raised by whoever joins.
    pub(super) urgency: Urgency,
    /// How it goes.
    pub(super) news: watch::Receiver<Listing>,
    /// Ends a rest after a call that failed: somebody asks now.
    pub(super) wake: Arc<Notify>,
    /// Whether the view is that of this listing.
    pub(super) landed: bool,
}

/// How a listing goes.
#[derive(Clone, Debug)]
pub(super) enum Listing {
    /// Pages come in, or wait for their turn.
    Running,
    /// A call failed and is made again after a rest.
    Retrying(CallError),
    /// The cell's view is that of this listing.
    Done,
    /// It was refused.
    Refused(CallError),
}

/// How a view can be had that is recent enough.
pub(super) enum Look {
    /// It is there.
    Ready,
    /// A listing is under way; it tells how it goes.
    Wait(watch::Receiver<Listing>),
}

impl<S: Service> Views<S> {
    /// No view yet. Listings stop when `shutdown` is cancelled.
    pub fn new(client: Client<S>, clock: Clock, shutdown: CancellationToken) -> Self {
        Self { client, clock, shutdown, cells: Mutex::default() }
    }

    /// The cell of a target, made if it is new; it goes when nobody holds it.
    pub(super) fn cell(&self, target: &Target) -> Arc<Cell> {
        let mut cells = lock(&self.cells);
        if let Some(cell) = cells.by_target.get(target).and_then(Weak::upgrade) {
            return cell;
        }
        if cells.by_target.len() >= cells.sweep_at {
            cells.by_target.retain(|_, cell| cell.strong_count() > 0);
            cells.pages_of.retain(|_, pages| Arc::strong_count(pages) > 1);
            cells.sweep_at = 2 * cells.by_target.len().max(32);
        }
        let bearer = (target.channel.region().to_owned(), target.bearer.clone());
        let cell = Arc::new(Cell {
            target: target.clone(),
            state: Mutex::default(),
            pages_of_bearer: Arc::clone(cells.pages_of.entry(bearer).or_default()),
        });
        cells.by_target.insert(target.clone(), Arc::downgrade(&cell));
        cell
    }
}

impl<S> fmt::Debug for Views<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Views").field("targets", &lock(&self.cells).by_target.len()).finish_non_exhaustive()
    }
}

impl Cell {
    /// A view of a listing that began at `not_before` or later; `begin` starts one where none is under way.
    pub(super) fn look(&self, not_before: Instant, level: Level, begin: impl FnOnce() -> Flight) -> Look {
        let mut state = lock(&self.state);
        if !state.unconfirmed && state.view.as_ref().is_some_and(|view| view.began >= not_before) {
            return Look::Ready;
        }
        if let Some(flight) = &state.flight {
            // One that began too early is waited for all the same: there is one listing at a time.
            flight.urgency.raise(level);
            if level == Level::Edit {
                flight.wake.notify_one();
            }
            return Look::Wait(flight.news.clone());
        }
        Look::Wait(state.flight.insert(begin()).news.clone())
    }

    /// A resource uses the view; listings keep whom it declares for as long as it holds its roster.
    pub(super) fn keep_for(&self, roster: &Arc<Roster>) {
        let wanted_by = &mut lock(&self.state).wanted_by;
        wanted_by.retain(|other| other.strong_count() > 0 && !std::ptr::eq(other.as_ptr(), Arc::as_ptr(roster)));
        wanted_by.push(Arc::downgrade(roster));
    }

    /// Who is there: whoever is declared, and perhaps others.
    pub(super) fn there(&self) -> NameSet {
        lock(&self.state).view.as_ref().map(|view| view.there.clone()).unwrap_or_default()
    }

    /// Those of `names` who are not known to be there.
    pub(super) fn missing(&self, names: Vec<String>) -> Vec<String> {
        match &lock(&self.state).view {
            None => names,
            Some(view) => names.into_iter().filter(|name| !view.there.contains(name)).collect(),
        }
    }

    /// The service named these people as there.
    pub(super) fn seen<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        let now = Instant::now();
        let mut state = lock(&self.state);
        // A listing under way will want to know whom it may have missed.
        let settled = if state.flight.is_none() { SETTLING } else { Duration::MAX };
        if let Some(view) = &mut state.view {
            let names: NameSet = names.into_iter().collect();
            view.there.extend(names.iter());
            view.added.retain(|(_, at)| now - *at < settled);
            view.added.push((names, now));
        }
    }

    /// When the listing began and when it ended, if there was one.
    pub(super) fn listed(&self) -> Option<(Instant, Timestamp)> {
        lock(&self.state).view.as_ref().map(|view| (view.began, view.listed_at))
    }

    /// How long until the channel should be listed again: the interval less up to a tenth, different for each channel but
    /// the same for all its resources, so that one listing serves them all. Sooner, where the last listing left a doubt.
    pub(super) fn until_resync(&self, interval: Duration) -> Duration {
        let Some((began, _)) = self.listed() else { return Duration::ZERO };
        let mut hasher = DefaultHasher::new();
        self.target.hash(&mut hasher);
        let jitter = interval / 10 * u32::try_from(hasher.finish() % 1000).unwrap_or_default() / 1000;
        let resync = interval.saturating_sub(jitter).saturating_sub(began.elapsed());
        let settled = self.doubted_until().map(|settled| settled.saturating_duration_since(Instant::now()));
        settled.map_or(resync, |settled| settled.min(resync))
    }

    /// From when on another listing will tell whether somebody is there whom we added and the last one does not show.
    pub(super) fn doubted_until(&self) -> Option<Instant> {
        lock(&self.state).view.as_ref()?.doubted_until
    }

    /// How many pages the last listing had, at least 1.
    pub(super) fn pages(&self) -> usize {
        lock(&self.state).view.as_ref().map_or(1, |view| view.pages)
    }

    /// How many pages all channels of this bearer have together: what listing each of them once costs, in calls.
    pub(super) fn pages_of_bearer(&self) -> usize {
        self.pages_of_bearer.load(Ordering::Relaxed)
    }

    /// A listing ended: what it showed takes the place of what was known.
    pub(super) fn landed(&self, names: &NameSet, foreign: usize, began: Instant, listed_at: Timestamp) {
        let mut state = lock(&self.state);
        let rosters: Vec<Arc<Roster>> = state.wanted_by.iter().filter_map(Weak::upgrade).collect();
        let wanted = |name: &str| rosters.iter().any(|roster| roster.names().contains(name));
        let mut there: NameSet = names.iter().filter(|name| wanted(name)).collect();
        if names.len() - there.len() <= KEPT_OTHERS {
            there = names.clone();
        }
        let before = state.view.take();
        let mut added = before.as_ref().map(|view| view.added.clone()).unwrap_or_default();
        added.retain(|(_, at)| *at + SETTLING > began);
        let unseen = |names: &NameSet| names.iter().any(|name| wanted(name) && !there.contains(name));
        let doubted_until = added.iter().filter(|(names, _)| unseen(names)).map(|(_, at)| *at + SETTLING).max();
        there.extend(added.iter().flat_map(|(names, _)| names.iter()));
        let pages = (names.len() + foreign).div_ceil(PAGE_SIZE).max(1);
        self.pages_of_bearer.fetch_add(pages, Ordering::Relaxed);
        self.pages_of_bearer.fetch_sub(before.map_or(0, |view| view.pages), Ordering::Relaxed);
        state.unconfirmed = false;
        if let Some(flight) = &mut state.flight {
            flight.landed = true;
        }
        state.view = Some(View { there, pages, began, listed_at, added, doubted_until });
    }

    /// No listing is under way any more.
    pub(super) fn flight_over(&self) {
        let mut state = lock(&self.state);
        state.unconfirmed |= state.flight.take().is_some_and(|flight| !flight.landed);
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        let pages = self.state.get_mut().unwrap_or_else(PoisonError::into_inner).view.as_ref().map_or(0, |v| v.pages);
        self.pages_of_bearer.fetch_sub(pages, Ordering::Relaxed);
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cell").field("target", &self.target).finish_non_exhaustive()
    }
}

/// A poisoned lock is taken all the same: each change under it is made in one step, after whatever can fail.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
