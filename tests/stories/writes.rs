//! A watch counts the writes of a resource's status, because it shows every single one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::{StreamExt as _, TryStreamExt as _};
use kube::ResourceExt as _;
use kube::api::{ListParams, WatchEvent, WatchParams};
use rollcall::api::ChannelMembershipStatus;
use tokio::task::JoinHandle;

use crate::stage::{Stage, eventually};

/// The status writes of a namespace since the start of the watch.
pub struct Writes {
    seen: Arc<Mutex<BTreeMap<String, SeenStatus>>>,
    watch: JoinHandle<()>,
}

#[derive(Default)]
struct SeenStatus {
    version: String,
    status: Option<ChannelMembershipStatus>,
    writes: usize,
}

impl Writes {
    /// Begins to watch.
    pub async fn watch(stage: &Stage) -> Self {
        let resources = stage.resources.clone();
        let now = resources.list(&ListParams::default()).await.unwrap();
        let seen: BTreeMap<String, SeenStatus> = now
            .items
            .iter()
            .map(|it| {
                let version = it.resource_version().unwrap();
                (it.name_any(), SeenStatus { version, status: it.status.clone(), writes: 0 })
            })
            .collect();
        let seen = Arc::new(Mutex::new(seen));
        let (shared, version) = (Arc::clone(&seen), now.metadata.resource_version.unwrap());
        let watch = tokio::spawn(async move {
            let events = resources.watch(&WatchParams::default(), &version).await.unwrap();
            let mut events = events.boxed();
            while let Some(event) = events.try_next().await.unwrap() {
                if let WatchEvent::Added(object) | WatchEvent::Modified(object) = event {
                    let mut seen = shared.lock().unwrap();
                    let entry = seen.entry(object.name_any()).or_default();
                    entry.writes += usize::from(!entry.version.is_empty() && entry.status != object.status);
                    entry.version = object.resource_version().unwrap();
                    entry.status = object.status;
                }
            }
        });
        Self { seen, watch }
    }

    /// Returns the number of writes of each status, once the watch has shown the current state.
    pub async fn so_far(&self, stage: &Stage) -> BTreeMap<String, usize> {
        let now = stage.resources.list(&ListParams::default()).await.unwrap();
        eventually("the watch catches up", async || {
            let seen = self.seen.lock().unwrap();
            let number = |version: &str| version.parse::<u64>().unwrap();
            let up_to_date = now.items.iter().all(|it| {
                let version = number(&it.resource_version().unwrap());
                seen.get(&it.name_any()).is_some_and(|seen| number(&seen.version) >= version)
            });
            up_to_date.then(|| seen.iter().map(|(name, seen)| (name.clone(), seen.writes)).collect())
        })
        .await
    }
}

impl Drop for Writes {
    fn drop(&mut self) {
        self.watch.abort();
    }
}
