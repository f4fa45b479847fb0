//! Of which channels is there a live view?

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::siblings::Siblings;
use super::view::{Cell, lock};
use crate::chime::client::Client;
use crate::chime::port::{Service, Target};
use crate::membership::arn::MemberArn;

/// The live views of all channels in use.
pub struct Views<S> {
    pub(super) client: Client<S>,
    pub(super) clock: Clock,
    pub(super) shutdown: CancellationToken,
    pub(super) siblings: Arc<Siblings>,
    cells: Mutex<Cells>,
}

#[derive(Default)]
struct Cells {
    by_target: HashMap<Target, Weak<Cell>>,
    pages_of: HashMap<(String, MemberArn), Arc<AtomicUsize>>,
    sweep_at: usize,
}

impl<S: Service> Views<S> {
    /// No view yet. Listings stop when `shutdown` is cancelled.
    pub(super) fn new(client: Client<S>, clock: Clock, siblings: Arc<Siblings>, shutdown: CancellationToken) -> Self {
        Self { client, clock, shutdown, siblings, cells: Mutex::default() }
    }

    /// The age of the oldest listing in use.
    pub(super) fn oldest(&self) -> Option<Duration> {
        let cells: Vec<Arc<Cell>> = lock(&self.cells).by_target.values().filter_map(Weak::upgrade).collect();
        cells.iter().filter_map(|cell| cell.listed()).map(|(began, _)| began.elapsed()).max()
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
        let cell = Arc::new(Cell::new(target.clone(), Arc::clone(cells.pages_of.entry(bearer).or_default())));
        cells.by_target.insert(target.clone(), Arc::downgrade(&cell));
        cell
    }
}

impl<S> fmt::Debug for Views<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Views").field("targets", &lock(&self.cells).by_target.len()).finish_non_exhaustive()
    }
}
