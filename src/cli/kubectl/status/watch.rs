//! A watch of resources that shows every change.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, stdout};
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::time::{Instant, timeout_at};

use super::row::Row;
use super::table::render_page;
use crate::cli::shared::failure::Failure;
use crate::cli::shared::output::{Format, coloured, format_seconds, print};
use crate::cli::shared::resources::{Entry, ResourceClient, SelectionArgs};

/// The shortest time between two drawings of a table.
const DRAWN_EVERY: Duration = Duration::from_millis(200);

/// The length of a watch in seconds, after which it starts again. It is shorter than the client's
/// read timeout, which would take a quiet server for a lost one.
const WATCH_SECONDS: u32 = 90;

/// The number of objects in one page.
const PAGE: u32 = 100;

/// The rows that a watch shows: first all of them, then the changes.
pub(in crate::cli) struct Rows<'a> {
    client: &'a ResourceClient,
    selection: &'a SelectionArgs,
    pub all: BTreeMap<(String, String), Row>,
    fresh: BTreeMap<(String, String), Row>,
}

impl<'a> Rows<'a> {
    pub fn new(client: &'a ResourceClient, selection: &'a SelectionArgs) -> Self {
        Self { client, selection, all: BTreeMap::new(), fresh: BTreeMap::new() }
    }

    /// Returns true if the selection includes the resource.
    fn is_selected(&self, entry: &Entry) -> bool {
        let is = |written: &String| {
            self.client.parse_name(written).is_ok_and(|place| place == (entry.namespace(), entry.name()))
        };
        self.selection.names.is_empty() || self.selection.names.iter().any(is)
    }

    /// Applies an event and returns the rows that changed; a deleted resource has no row.
    fn apply_event(&mut self, event: Event<Entry>) -> Vec<((String, String), Option<Row>)> {
        let key = |entry: &Entry| (entry.namespace().to_owned(), entry.name().to_owned());
        match event {
            Event::Init => {
                self.fresh.clear();
                Vec::new()
            }
            Event::InitApply(entry) => {
                if self.is_selected(&entry) {
                    self.fresh.insert(key(&entry), Row::of(&entry));
                }
                Vec::new()
            }
            Event::InitDone => {
                let before = std::mem::replace(&mut self.all, std::mem::take(&mut self.fresh));
                let gone = before.keys().filter(|key| !self.all.contains_key(*key)).map(|key| (key.clone(), None));
                let new = self.all.iter().filter(|(key, row)| before.get(*key) != Some(row));
                new.map(|(key, row)| (key.clone(), Some(row.clone()))).chain(gone).collect()
            }
            Event::Apply(entry) if self.is_selected(&entry) => {
                let (key, row) = (key(&entry), Row::of(&entry));
                let before = self.all.insert(key.clone(), row.clone());
                if before.as_ref() == Some(&row) { Vec::new() } else { vec![(key, Some(row))] }
            }
            Event::Delete(entry) if self.is_selected(&entry) => {
                let key = key(&entry);
                self.all.remove(&key);
                vec![(key, None)]
            }
            Event::Apply(_) | Event::Delete(_) => Vec::new(),
        }
    }

    /// Watches until `look` returns false; `look` receives the changes. Fails if the watch cannot
    /// start.
    pub async fn watch(
        mut self,
        mut look: impl FnMut(&BTreeMap<(String, String), Row>, Changed) -> bool,
    ) -> Result<(), Failure> {
        let mut config = watcher::Config::default().page_size(PAGE).timeout(WATCH_SECONDS);
        config.label_selector.clone_from(&self.selection.selector);
        let mut events = std::pin::pin!(watcher(self.client.api_to_watch(&self.selection.names)?, config));
        let (mut began, mut due, mut changed) = (false, None::<Instant>, Vec::new());
        loop {
            let event = match due {
                None => events.next().await,
                Some(due) => timeout_at(due, events.next()).await.unwrap_or_default(),
            };
            match event {
                Some(Ok(event)) => {
                    began |= matches!(event, Event::InitDone);
                    changed.extend(self.apply_event(event));
                    if began && !changed.is_empty() {
                        due.get_or_insert_with(|| Instant::now() + DRAWN_EVERY);
                    }
                }
                Some(Err(error)) if !began => {
                    return Err(Failure::of(format!("failed to watch ChannelMemberships: {error}")));
                }
                Some(Err(error)) => {
                    eprintln!("the watch failed and starts again: {error}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                None => {}
            }
            if due.is_some_and(|due| due <= Instant::now()) {
                due = None;
                if !look(&self.all, std::mem::take(&mut changed)) {
                    return Ok(());
                }
            }
        }
    }
}

/// The rows that changed; a deleted resource has no row.
pub(in crate::cli) type Changed = Vec<((String, String), Option<Row>)>;

/// Shows changes until the reader stops.
pub(super) async fn run(client: &ResourceClient, selection: &SelectionArgs, format: Format) -> Result<(), Failure> {
    let redraw = format == Format::Text && stdout().is_terminal();
    let wide = client.is_wide() || selection.names.iter().any(|name| name.contains('/'));
    let watch = Rows::new(client, selection).watch(|all, changed| {
        let now = Timestamp::now();
        if redraw {
            let rows: Vec<Row> = all.values().cloned().collect();
            // The top of an empty screen (ECMA-48: cursor position, erase in page).
            return print(&format!("\x1b[H\x1b[2J{}", render_page(&rows, wide, now, coloured())));
        }
        let at = format_seconds(now);
        let line = |((namespace, name), row): ((String, String), Option<Row>)| match (row, format) {
            (Some(row), Format::Text) => format!("{at}  {}\n", row.line()),
            (None, Format::Text) => format!("{at}  {namespace}/{name}  deleted\n"),
            (Some(row), Format::Json) => format!("{}\n", serde_json::to_string(&row).unwrap_or_default()),
            (None, Format::Json) => {
                format!("{}\n", serde_json::json!({"namespace": namespace, "name": name, "deleted": true}))
            }
        };
        print(&changed.into_iter().map(line).collect::<String>())
    });
    watch.await
}
