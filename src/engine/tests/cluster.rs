//! An API server in memory: resources and ConfigMaps that users, the garbage collector and an
//! operator change.
//!
//! It keeps the rules that removals depend on. Every change makes a new version. A change of the
//! spec, and a deletion that waits for finalizers, make a new generation. A new object has a new
//! UID. A write without a difference changes nothing.

mod object;
mod store;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

pub use self::object::{ReconcileTrigger, StoredObject};
pub use self::store::ObjectStore;
use super::order_law::OrderLaw;
use crate::api::{ChannelMembershipSpec, ChannelMembershipStatus, FINALIZER, SourceRef};
use crate::engine::clock::Clock;
use crate::engine::resource::{Source, SourceText};
use crate::engine::store::{Event, StoreError, Version};

/// UIDs differ between clusters too, because several clusters may use one service.
static UIDS: AtomicU64 = AtomicU64::new(1);

/// The kinds of calls that an operator makes to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreOperation {
    Status,
    Finalizer,
    Read,
}

/// The keys of a ConfigMap, or why it cannot be read.
type ConfigMap = Result<BTreeMap<String, String>, String>;

#[derive(Default)]
struct ClusterState {
    objects: BTreeMap<String, Arc<StoredObject>>,
    config_maps: BTreeMap<String, ConfigMap>,
    /// The versions of the ConfigMaps that exist.
    map_versions: BTreeMap<String, u64>,
    events: Vec<(String, Event)>,
    faults: VecDeque<(StoreOperation, StoreError)>,
    version: u64,
}

/// A cluster in memory. All clones share its state.
#[derive(Clone)]
pub struct TestCluster {
    state: Arc<Mutex<ClusterState>>,
    changed: watch::Sender<()>,
    order_law: Arc<Mutex<OrderLaw>>,
    pub clock: Clock,
}

impl TestCluster {
    pub fn new(clock: Clock) -> Self {
        Self { state: Arc::default(), changed: watch::Sender::new(()), order_law: Arc::default(), clock }
    }

    /// Runs a step of the order law, which every run checks.
    pub fn order_law<R>(&self, step: impl FnOnce(&mut OrderLaw) -> R) -> R {
        step(&mut self.order_law.lock().unwrap())
    }

    /// Creates a resource, by `namespace/name`.
    pub fn create(&self, resource: &str, spec: ChannelMembershipSpec) -> String {
        // An operator takes resources in the order of their UIDs, which is the order of creation.
        self.order_law(|law| law.take_spec(&spec));
        let uid = format!("uid-{:06}", UIDS.fetch_add(1, Ordering::Relaxed));
        self.change(|state, version| {
            assert!(!state.objects.contains_key(resource), "{resource} exists, or is being deleted");
            let object = StoredObject::new(resource, &uid, self.clock.now(), version, spec);
            state.objects.insert(resource.to_owned(), Arc::new(object));
        });
        uid
    }

    /// Edits the spec of a resource.
    pub fn edit(&self, resource: &str, change: impl FnOnce(&mut ChannelMembershipSpec)) {
        self.update(resource, |object| {
            let before = object.spec.clone();
            change(&mut object.spec);
            object.generation += i64::from(object.spec != before);
        });
    }

    /// Replaces the members of a resource.
    pub fn declare<T: AsRef<str>>(&self, resource: &str, members: impl IntoIterator<Item = T>) {
        self.edit(resource, |spec| spec.members = Some(members.into_iter().collect()));
    }

    /// Sets an annotation.
    pub fn annotate(&self, resource: &str, key: &str, value: &str) {
        self.update(resource, |object| {
            object.annotations.insert(key.to_owned(), value.to_owned());
        });
    }

    /// Changes an object in any way. Unlike an API server, it does not maintain the generation.
    pub fn update(&self, resource: &str, change: impl FnOnce(&mut StoredObject)) {
        self.change(|state, version| {
            let object = state.objects.get_mut(resource).unwrap_or_else(|| panic!("there is no {resource}"));
            let before = Arc::clone(object);
            let changed = Arc::make_mut(object);
            change(changed);
            self.order_law(|law| law.take_spec(&changed.spec));
            if *changed != *before {
                changed.version = version;
            }
            let ended = changed.deleting_since.is_some() && changed.finalizers.is_empty();
            state.objects.retain(|name, _| !(ended && name == resource));
        });
    }

    /// Deletes a resource: at once, or when its finalizers are removed.
    pub fn delete(&self, resource: &str) {
        let now = self.clock.now();
        self.change(|state, version| {
            let object = state.objects.get_mut(resource).unwrap_or_else(|| panic!("there is no {resource}"));
            let object = Arc::make_mut(object);
            if object.finalizers.is_empty() {
                state.objects.remove(resource);
            } else if object.deleting_since.is_none() {
                object.deleting_since = Some(now);
                object.generation += 1;
                object.version = version;
            }
        });
    }

    /// Removes an object without regard to its finalizers, if it still exists.
    pub fn force_delete(&self, resource: &str) {
        self.change(|state, _| state.objects.remove(resource));
    }

    pub fn find(&self, resource: &str) -> Option<Arc<StoredObject>> {
        self.with(|state| state.objects.get(resource).cloned())
    }

    pub fn get(&self, resource: &str) -> Arc<StoredObject> {
        self.find(resource).unwrap_or_else(|| panic!("there is no {resource}"))
    }

    pub fn status(&self, resource: &str) -> ChannelMembershipStatus {
        self.get(resource).status.clone().unwrap_or_else(|| panic!("{resource} has no status"))
    }

    /// All resources, by `namespace/name`.
    pub fn objects(&self) -> BTreeMap<String, Arc<StoredObject>> {
        self.with(|state| state.objects.clone())
    }

    /// Returns the events that were published for a resource of this name.
    pub fn events(&self, resource: &str) -> Vec<Event> {
        self.with(|state| {
            state.events.iter().filter(|(of, _)| of == resource).map(|(_, event)| event.clone()).collect()
        })
    }

    /// Writes a key of a ConfigMap, by `namespace/name`.
    pub fn set_source(&self, config_map: &str, key: &str, text: &str) {
        self.change(|state, _| {
            state.map_versions.insert(config_map.to_owned(), state.version);
            let keys = state.config_maps.entry(config_map.to_owned()).or_insert_with(|| Ok(BTreeMap::new()));
            if keys.is_err() {
                *keys = Ok(BTreeMap::new());
            }
            keys.as_mut().unwrap().insert(key.to_owned(), text.to_owned());
        });
    }

    /// Removes a key of a ConfigMap.
    pub fn remove_source_key(&self, config_map: &str, key: &str) {
        self.change(|state, _| {
            if let Some(Ok(keys)) = state.config_maps.get_mut(config_map) {
                state.map_versions.insert(config_map.to_owned(), state.version);
                keys.remove(key);
            }
        });
    }

    /// Makes a ConfigMap unreadable.
    pub fn make_source_unreadable(&self, config_map: &str, why: &str) {
        self.change(|state, _| {
            state.map_versions.remove(config_map);
            state.config_maps.insert(config_map.to_owned(), Err(why.to_owned()));
        });
    }

    /// Lets the next call of this kind fail before its effect.
    pub fn fail_next(&self, op: StoreOperation, error: StoreError) {
        self.with(|state| state.faults.push_back((op, error)));
    }

    /// Removes all faults that are still to come.
    pub fn clear_faults(&self) {
        self.with(|state| state.faults.clear());
    }

    /// Returns the current content of the sources of a resource.
    pub fn sources(&self, namespace: &str, from: &[SourceRef]) -> Vec<Source> {
        self.with(|state| from.iter().map(|source| source_of(state, namespace, source)).collect())
    }

    /// Returns a receiver that is notified of every change.
    pub fn watch_changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Makes every watch read all objects again.
    pub fn notify_watchers(&self) {
        self.changed.send_replace(());
    }

    fn with<T>(&self, read: impl FnOnce(&mut ClusterState) -> T) -> T {
        read(&mut self.state.lock().unwrap())
    }

    fn change<T>(&self, change: impl FnOnce(&mut ClusterState, Version) -> T) -> T {
        let changed = self.with(|state| {
            state.version += 1;
            let version = Version(state.version.to_string());
            change(state, version)
        });
        self.changed.send_replace(());
        changed
    }

    /// Changes the object with this UID, and never another object of its name.
    fn update_by_uid<T>(
        &self,
        uid: &str,
        basis: Option<&Version>,
        change: impl FnOnce(&mut StoredObject) -> Result<T, StoreError>,
    ) -> Result<Version, StoreError> {
        self.change(|state, version| {
            let object = state.objects.values_mut().find(|object| object.uid == uid).ok_or(StoreError::Gone)?;
            if basis.is_some_and(|basis| *basis != object.version) {
                return Err(StoreError::Conflict);
            }
            let mut changed = (**object).clone();
            change(&mut changed)?;
            if changed != **object {
                changed.version = version;
                *object = Arc::new(changed);
            }
            let after = object.version.clone();
            let ended = object.deleting_since.is_some() && object.finalizers.is_empty();
            state.objects.retain(|_, object| !(ended && object.uid == uid));
            Ok(after)
        })
    }

    fn write_status(
        &self,
        uid: &str,
        status: &ChannelMembershipStatus,
        basis: Option<&Version>,
    ) -> Result<Version, StoreError> {
        // The status is stored as it is sent: times lose what their text does not hold.
        let sent = serde_json::to_value(status).map_err(|error| StoreError::Refused(error.to_string()))?;
        let stored = serde_json::from_value(sent).map_err(|error| StoreError::Refused(error.to_string()))?;
        self.update_by_uid(uid, basis, |object| {
            object.status = Some(stored);
            Ok(())
        })
    }

    fn set_finalizer(&self, uid: &str, present: bool, basis: &Version) -> Result<Version, StoreError> {
        let written = self.update_by_uid(uid, Some(basis), |object| {
            let has = object.finalizers.iter().any(|finalizer| finalizer == FINALIZER);
            if present && !has && object.deleting_since.is_some() {
                return Err(StoreError::Refused(
                    "no new finalizers can be added if the object is being deleted".into(),
                ));
            }
            if has != present {
                object.finalizers.retain(|finalizer| finalizer != FINALIZER);
                object.finalizers.extend(present.then(|| FINALIZER.to_owned()));
            }
            Ok(())
        });
        match written {
            // The object is gone, and the finalizer with it.
            Err(StoreError::Gone) if !present => Ok(basis.clone()),
            written => written,
        }
    }

    /// Takes the next fault for a call of this kind.
    fn take_fault(&self, op: StoreOperation) -> Option<StoreError> {
        self.with(|state| {
            let place = state.faults.iter().position(|(of, _)| *of == op)?;
            state.faults.remove(place).map(|(_, error)| error)
        })
    }
}

fn source_of(state: &ClusterState, namespace: &str, source: &SourceRef) -> Source {
    let reference = source.config_map_key_ref.clone();
    let (name, key) = (format!("{namespace}/{}", reference.name), &reference.key);
    let text = match state.config_maps.get(&name) {
        None => SourceText::Absent(format!("ConfigMap {name} is not there")),
        Some(Err(why)) => SourceText::Unreadable(why.clone()),
        Some(Ok(keys)) => match keys.get(key) {
            None => SourceText::Absent(format!("ConfigMap {name} has no key {key}")),
            Some(text) => SourceText::Read(text.clone()),
        },
    };
    Source { reference, version: state.map_versions.get(&name).copied(), text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> TestCluster {
        TestCluster::new(Clock::starting_at(jiff::Timestamp::UNIX_EPOCH))
    }

    #[test]
    fn generation_grows_only_on_spec_change_and_pending_deletion() {
        let cluster = cluster();
        let uid = cluster.create("n/a", ChannelMembershipSpec::default());
        cluster.edit("n/a", |spec| spec.suspend = true);
        cluster.edit("n/a", |spec| spec.suspend = true);
        cluster.annotate("n/a", "k", "v");
        cluster.write_status(&uid, &ChannelMembershipStatus::default(), None).unwrap();
        assert_eq!(cluster.get("n/a").generation, 2);
        let basis = cluster.get("n/a").version.clone();
        cluster.set_finalizer(&uid, true, &basis).unwrap();
        cluster.delete("n/a");
        assert_eq!(cluster.get("n/a").generation, 3);
    }

    #[test]
    fn write_needs_the_same_uid_and_version() {
        let cluster = cluster();
        let uid = cluster.create("n/a", ChannelMembershipSpec::default());
        let basis = cluster.get("n/a").version.clone();
        let status = ChannelMembershipStatus { desired: Some(1), ..ChannelMembershipStatus::default() };
        let next = cluster.write_status(&uid, &status, Some(&basis)).unwrap();
        assert_eq!(cluster.write_status(&uid, &status, Some(&next)), Ok(next), "nothing changed");
        assert_eq!(cluster.write_status(&uid, &status, Some(&basis)), Err(StoreError::Conflict));
        assert_eq!(cluster.set_finalizer(&uid, true, &basis), Err(StoreError::Conflict));
        cluster.delete("n/a");
        cluster.create("n/a", ChannelMembershipSpec::default());
        assert_eq!(cluster.write_status(&uid, &status, None), Err(StoreError::Gone));
    }

    #[test]
    fn deleted_object_disappears_with_its_last_finalizer() {
        let cluster = cluster();
        let uid = cluster.create("n/a", ChannelMembershipSpec::default());
        let version = cluster.set_finalizer(&uid, true, &cluster.get("n/a").version).unwrap();
        assert_eq!(cluster.get("n/a").version, version);
        cluster.delete("n/a");
        assert!(cluster.get("n/a").deleting_since.is_some());
        cluster.set_finalizer(&uid, false, &cluster.get("n/a").version).unwrap();
        assert!(cluster.find("n/a").is_none());
    }
}
