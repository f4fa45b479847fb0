//! Who is in a channel, as far as this process knows?
//!
//! One [`Cell`] is shared by all resources of a channel, type and bearer: what one bearer may not see says nothing about
//! another's view. It keeps who of the declared is there, and of the others a few hundred, so memory follows what is declared.

mod known;

use std::collections::VecDeque;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use self::known::{Known, Wanted};
pub(super) use self::known::{Listed, SETTLING};
use crate::chime::port::{CallError, Target};
use crate::chime::rate_limit::{Priority, SharedPriority};
use crate::membership::names::NameSet;
use crate::membership::roll::Roll;
use crate::membership::roster::Roster;

/// So many names of people who left are remembered, for passes that have not heard of it yet.
const KEPT_DEPARTED: usize = 10_000;

/// The live view of one target.
pub struct Cell {
    /// Whose view it is.
    pub(super) target: Target,
    state: Mutex<State>,
    /// Held while members are added, or one is looked at and removed: two resources with one view do not do the same at once. Taken
    /// before leave to call is.
    pub(super) writing: tokio::sync::Mutex<()>,
    /// The pages that all listings of the bearer have, this cell's among them.
    pages_of_bearer: Arc<AtomicUsize>,
    /// Whether the channel is known to be elastic, and then its sub-channels are listed one by one, or known not to be.
    elastic: OnceLock<bool>,
    asked_for_shape: AtomicBool,
}

#[derive(Default)]
struct State {
    view: Option<Known>,
    flight: Option<Flight>,
    /// The last listing ended without showing anything: what an older one said is not to be relied on any more.
    unconfirmed: bool,
    /// What the resources that use the view want to know.
    wanted_by: Vec<Weak<Interest>>,
    /// Who was found to have left, and how many before them.
    departed: VecDeque<Box<str>>,
    departed_before: u64,
    /// Whom we tried to add, and when: until a listing tells whether they are there.
    tried: Vec<(NameSet, Instant)>,
    /// The next listing is made to see people a second time.
    second_look: bool,
}

impl State {
    fn interests(&self) -> Vec<Arc<Interest>> {
        self.wanted_by.iter().filter_map(Weak::upgrade).collect()
    }

    /// The same names, in the memory of a resource that declares just these.
    fn shared(&self, names: NameSet) -> NameSet {
        names.within(self.interests().iter().map(|interest| interest.roster.names()))
    }
}

/// Whose presence matters to a resource.
#[derive(Debug)]
pub(super) struct Interest {
    /// Whom it declares.
    pub roster: Arc<Roster>,
    /// Whom it declared before.
    pub claims: NameSet,
    /// Whether it wants to know of everybody.
    pub everybody: bool,
}

/// A listing under way. It goes on by itself, so that whoever waits may leave.
pub(super) struct Flight {
    /// Raised by whoever joins.
    pub(super) urgency: SharedPriority,
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

impl Cell {
    /// Nothing is known of this target yet. `pages_of_bearer` are those of all its bearer's channels.
    pub(super) fn new(target: Target, pages_of_bearer: Arc<AtomicUsize>) -> Self {
        Self {
            target,
            state: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            pages_of_bearer,
            elastic: OnceLock::new(),
            asked_for_shape: AtomicBool::new(false),
        }
    }

    /// A view of a listing that began at `not_before` or later; `begin` starts one where none is under way.
    pub(super) fn look(&self, not_before: Instant, level: Priority, begin: impl FnOnce() -> Flight) -> Look {
        let mut state = lock(&self.state);
        if !state.unconfirmed && state.view.as_ref().is_some_and(|view| view.began >= not_before) {
            return Look::Ready;
        }
        if let Some(flight) = &state.flight {
            // One that began too early is waited for all the same: there is one listing at a time.
            flight.urgency.raise_to(level);
            if level == Priority::Edit {
                flight.wake.notify_one();
            }
            return Look::Wait(flight.news.clone());
        }
        Look::Wait(state.flight.insert(begin()).news.clone())
    }

    /// A resource uses the view; listings keep who matters to it for as long as it holds this.
    pub(super) fn keep_for(&self, interest: &Arc<Interest>) {
        let wanted_by = &mut lock(&self.state).wanted_by;
        wanted_by.retain(|other| other.strong_count() > 0 && !std::ptr::eq(other.as_ptr(), Arc::as_ptr(interest)));
        wanted_by.push(Arc::downgrade(interest));
    }

    /// Who is there: whoever is declared, and perhaps others.
    pub(super) fn there(&self) -> NameSet {
        lock(&self.state).view.as_ref().map(|view| view.there.clone()).unwrap_or_default()
    }

    /// Whether somebody is known to be there.
    pub(super) fn has(&self, name: &str) -> bool {
        lock(&self.state).view.as_ref().is_some_and(|view| view.there.contains(name))
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
        if let Some(mut view) = state.view.take() {
            let names = state.shared(names.into_iter().collect());
            view.there.extend(names.iter());
            view.there = state.shared(view.there);
            view.added.retain(|(_, at)| now - *at < settled);
            view.added.push((names, now));
            state.view = Some(view);
        }
    }

    /// These are about to be added; it may happen though no answer comes.
    pub(super) fn tried(&self, names: &[String]) {
        let mut state = lock(&self.state);
        let names = state.shared(names.iter().map(String::as_str).collect());
        state.tried.push((names, Instant::now()));
    }

    /// Whether the last listing tells that somebody is not there: it shows them not, it began late enough after whatever was done
    /// about them, and it could see them, for one who has been watched since `since`.
    pub(super) fn is_gone(&self, name: &str, since: Instant) -> bool {
        let state = lock(&self.state);
        let Some(view) = &state.view else { return false };
        let late = |(names, at): &&(NameSet, Instant)| *at + SETTLING > view.began && names.contains(name);
        !view.there.contains(name)
            && (view.rest == 0 || view.began >= since)
            && !state.tried.iter().chain(&view.added).any(|write| late(&write))
    }

    /// From when on another listing will tell whether somebody is there whom we tried to add.
    pub(super) fn tried_until(&self, name: &str) -> Option<Instant> {
        let state = lock(&self.state);
        state.tried.iter().filter(|(names, _)| names.contains(name)).map(|(_, at)| *at + SETTLING).max()
    }

    /// The next listing is made to see people a second time.
    pub(super) fn mark_second_look(&self) {
        lock(&self.state).second_look = true;
    }

    /// The service says that these are there no more.
    pub(super) fn gone<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        let now = Instant::now();
        let mut state = lock(&self.state);
        let settled = if state.flight.is_none() { SETTLING } else { Duration::MAX };
        if let Some(view) = &mut state.view {
            let names: NameSet = names.into_iter().collect();
            view.there.remove(&names);
            view.removed.retain(|(_, at)| now - *at < settled);
            view.removed.push((names, now));
        }
    }

    /// Who was there in two listings, where everybody is kept: see [`Known::twice`].
    pub(super) fn twice(&self) -> NameSet {
        lock(&self.state).view.as_ref().map(Known::twice).unwrap_or_default()
    }

    /// From when on another listing is wanted, to see those of `undeclared` a second time whom `open` names.
    pub(super) fn second_look_at(&self, undeclared: &NameSet, open: impl Fn(&str) -> bool) -> Option<Instant> {
        let state = lock(&self.state);
        state.view.as_ref()?.second_look_at(undeclared, open)
    }

    /// Whether everybody who is there is known by name.
    pub(super) fn is_whole(&self) -> bool {
        lock(&self.state).view.as_ref().is_some_and(|view| view.rest == 0)
    }

    /// How many members are undeclared, and which, as far as known by name.
    pub(super) fn undeclared(&self, roll: &Roll) -> (usize, NameSet) {
        let (there, rest) = {
            let state = lock(&self.state);
            let Some(view) = &state.view else { return (0, NameSet::default()) };
            (view.there.clone(), view.rest)
        };
        let undeclared: NameSet = roll.undeclared(self.target.membership_type, &there).collect();
        (undeclared.len() + rest, undeclared)
    }

    /// How many are there.
    pub(super) fn count(&self) -> usize {
        lock(&self.state).view.as_ref().map_or(0, |view| view.there.len() + view.rest)
    }

    /// Who left since a pass heard of it the last time (`since`), and where that leaves it.
    pub(super) fn departed(&self, since: Option<u64>) -> (Vec<Box<str>>, u64) {
        let state = lock(&self.state);
        let now = state.departed_before + state.departed.len() as u64;
        let skip = since.unwrap_or(now).saturating_sub(state.departed_before);
        let departed = state.departed.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX)).cloned().collect();
        (departed, now)
    }

    /// Whether the channel is known to be elastic.
    pub(super) fn is_elastic(&self) -> bool {
        self.elastic.get() == Some(&true)
    }

    /// Whether it is known if the channel is elastic.
    pub(super) fn is_shape_known(&self) -> bool {
        self.elastic.get().is_some()
    }

    /// Whether it was asked if the channel is elastic, even if that was not answered.
    pub(super) fn was_asked_for_shape(&self) -> bool {
        self.asked_for_shape.load(Ordering::Relaxed)
    }

    /// It was asked whether the channel is elastic.
    pub(super) fn asked_for_shape(&self) {
        self.asked_for_shape.store(true, Ordering::Relaxed);
    }

    /// The channel is elastic, or not; that never changes. What was listed of an elastic one without its sub-channels may not be all.
    pub(super) fn learn(&self, elastic: bool) {
        self.elastic.get_or_init(|| elastic);
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

    /// A listing ended: what it showed takes the place of what was known. `roll` is everybody on the channel.
    pub(super) fn landed(&self, listed: &Listed, listed_at: Timestamp, roll: &Roll) {
        let mut state = lock(&self.state);
        let interests = state.interests();
        let own = interests.iter().flat_map(|interest| [interest.roster.names(), &interest.claims]);
        let others = roll.iter().filter(|other| other.membership_type == self.target.membership_type);
        let wanted = Wanted {
            sets: own.chain(others.map(|other| other.roster.names())).collect(),
            everybody: interests.iter().any(|interest| interest.everybody),
        };
        let before = state.view.take();
        let pages_before = before.as_ref().map_or(0, |view| view.pages);
        let second = std::mem::take(&mut state.second_look);
        let (known, departed) = Known::after(before, listed, listed_at, &wanted, second);
        state.tried.retain(|(_, at)| *at + SETTLING > known.began);
        self.pages_of_bearer.fetch_add(known.pages, Ordering::Relaxed);
        self.pages_of_bearer.fetch_sub(pages_before, Ordering::Relaxed);
        state.unconfirmed = false;
        if let Some(flight) = &mut state.flight {
            flight.landed = true;
        }
        state.view = Some(known);
        // Members of an elastic channel are moved between its sub-channels, and one may slip through a walk over them.
        if !self.is_elastic() {
            state.departed.extend(departed.iter().map(Box::from));
            let surplus = state.departed.len().saturating_sub(KEPT_DEPARTED);
            state.departed.drain(..surplus);
            state.departed_before += surplus as u64;
        }
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
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
