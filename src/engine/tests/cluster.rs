//! An API server in memory: resources and ConfigMaps, as people, the garbage collector and an operator change them.
//!
//! It keeps the rules that a removal leans on: every change has a new version, a change of the spec (and a deletion that
//! waits for finalizers) a new generation, a new object a new UID; a write that would change nothing changes nothing.

mod object;
mod store;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

pub use self::object::{Object, Trigger};
pub use self::store::ObjectStore;
use crate::api::{ChannelMembershipSpec, ChannelMembershipStatus, FINALIZER, SourceRef};
use crate::engine::clock::Clock;
use crate::engine::resource::{Source, SourceText};
use crate::engine::store::{Event, StoreError, Version};

/// UIDs differ between clusters too: several may stand on one service.
static UIDS: AtomicU64 = AtomicU64::new(1);

/// What an operator does with the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Status,
    Finalizer,
    Read,
}

/// The keys of a ConfigMap, or why it cannot be read.
type ConfigMap = Result<BTreeMap<String, String>, String>;

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Arc<Object>>,
    config_maps: BTreeMap<String, ConfigMap>,
    /// The versions of those that are there.
    map_versions: BTreeMap<String, u64>,
    events: Vec<(String, Event)>,
    faults: VecDeque<(Op, StoreError)>,
    version: u64,
}

/// Clones are of the same cluster.
#[derive(Clone)]
pub struct Cluster {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<()>,
    pub clock: Clock,
}

impl Cluster {
    pub fn new(clock: Clock) -> Self {
        Self { state: Arc::default(), changed: watch::Sender::new(()), clock }
    }

    /// Somebody creates a resource, by `namespace/name`.
    pub fn create(&self, resource: &str, spec: ChannelMembershipSpec) -> String {
        // An operator takes resources in this order, which is that of their creation.
        let uid = format!("uid-{:06}", UIDS.fetch_add(1, Ordering::Relaxed));
        self.change(|state, version| {
            assert!(!state.objects.contains_key(resource), "{resource} exists, or is being deleted");
            let object = Object::new(resource, &uid, self.clock.now(), version, spec);
            state.objects.insert(resource.to_owned(), Arc::new(object));
        });
        uid
    }

    /// Somebody edits its spec.
    pub fn edit(&self, resource: &str, change: impl FnOnce(&mut ChannelMembershipSpec)) {
        self.update(resource, |object| {
            let before = object.spec.clone();
            change(&mut object.spec);
            object.generation += i64::from(object.spec != before);
        });
    }

    /// Somebody changes its list.
    pub fn declare<T: AsRef<str>>(&self, resource: &str, members: impl IntoIterator<Item = T>) {
        self.edit(resource, |spec| spec.members = Some(members.into_iter().collect()));
    }

    /// Somebody sets an annotation.
    pub fn annotate(&self, resource: &str, key: &str, value: &str) {
        self.update(resource, |object| {
            object.annotations.insert(key.to_owned(), value.to_owned());
        });
    }

    /// Somebody changes it in any way, without the care of an API server for the generation.
    pub fn update(&self, resource: &str, change: impl FnOnce(&mut Object)) {
        self.change(|state, version| {
            let object = state.objects.get_mut(resource).unwrap_or_else(|| panic!("there is no {resource}"));
            let before = Arc::clone(object);
            let changed = Arc::make_mut(object);
            change(changed);
            if *changed != *before {
                changed.version = version;
            }
            let ended = changed.deleting_since.is_some() && changed.finalizers.is_empty();
            state.objects.retain(|name, _| !(ended && name == resource));
        });
    }

    /// Somebody deletes it: at once, or when its finalizers are off.
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

    /// Somebody takes its finalizers off by force, if it is still there, and it ends.
    pub fn force_end(&self, resource: &str) {
        self.change(|state, _| state.objects.remove(resource));
    }

    pub fn find(&self, resource: &str) -> Option<Arc<Object>> {
        self.with(|state| state.objects.get(resource).cloned())
    }

    pub fn get(&self, resource: &str) -> Arc<Object> {
        self.find(resource).unwrap_or_else(|| panic!("there is no {resource}"))
    }

    pub fn status(&self, resource: &str) -> ChannelMembershipStatus {
        self.get(resource).status.clone().unwrap_or_else(|| panic!("{resource} has no status"))
    }

    /// All resources, by `namespace/name`.
    pub fn objects(&self) -> BTreeMap<String, Arc<Object>> {
        self.with(|state| state.objects.clone())
    }

    /// What was told of a resource of this name.
    pub fn events(&self, resource: &str) -> Vec<Event> {
        self.with(|state| {
            state.events.iter().filter(|(of, _)| of == resource).map(|(_, event)| event.clone()).collect()
        })
    }

    /// Somebody writes a key of a ConfigMap, by `namespace/name`.
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

    /// Somebody takes a key out of a ConfigMap.
    pub fn drop_source(&self, config_map: &str, key: &str) {
        self.change(|state, _| {
            if let Some(Ok(keys)) = state.config_maps.get_mut(config_map) {
                state.map_versions.insert(config_map.to_owned(), state.version);
                keys.remove(key);
            }
        });
    }

    /// A ConfigMap cannot be read any more.
    pub fn close_source(&self, config_map: &str, why: &str) {
        self.change(|state, _| {
            state.map_versions.remove(config_map);
            state.config_maps.insert(config_map.to_owned(), Err(why.to_owned()));
        });
    }

    /// The next call of this kind fails before it has an effect.
    pub fn fail(&self, op: Op, error: StoreError) {
        self.with(|state| state.faults.push_back((op, error)));
    }

    /// No call fails any more.
    pub fn mend(&self) {
        self.with(|state| state.faults.clear());
    }

    /// What the sources of a resource hold now.
    pub fn sources(&self, namespace: &str, from: &[SourceRef]) -> Vec<Source> {
        self.with(|state| from.iter().map(|source| source_of(state, namespace, source)).collect())
    }

    /// Tells of every change.
    pub fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Whoever watches looks again.
    pub fn touch(&self) {
        self.changed.send_replace(());
    }

    fn with<T>(&self, read: impl FnOnce(&mut State) -> T) -> T {
        read(&mut self.state.lock().unwrap())
    }

    fn change<T>(&self, change: impl FnOnce(&mut State, Version) -> T) -> T {
        let changed = self.with(|state| {
            state.version += 1;
            let version = Version(state.version.to_string());
            change(state, version)
        });
        self.changed.send_replace(());
        changed
    }

    /// The object with this UID: a write is of no other of its name.
    fn of_uid<T>(
        &self,
        uid: &str,
        basis: Option<&Version>,
        change: impl FnOnce(&mut Object) -> Result<T, StoreError>,
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
        // As it is sent and stored: times are cut to what their text holds.
        let sent = serde_json::to_value(status).map_err(|error| StoreError::Refused(error.to_string()))?;
        let stored = serde_json::from_value(sent).map_err(|error| StoreError::Refused(error.to_string()))?;
        self.of_uid(uid, basis, |object| {
            object.status = Some(stored);
            Ok(())
        })
    }

    fn set_finalizer(&self, uid: &str, present: bool, basis: &Version) -> Result<Version, StoreError> {
        let written = self.of_uid(uid, Some(basis), |object| {
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
            // Nothing is left that it could be on.
            Err(StoreError::Gone) if !present => Ok(basis.clone()),
            written => written,
        }
    }

    /// The fault that waits for a call of this kind.
    fn fault(&self, op: Op) -> Option<StoreError> {
        self.with(|state| {
            let place = state.faults.iter().position(|(of, _)| *of == op)?;
            state.faults.remove(place).map(|(_, error)| error)
        })
    }
}

fn source_of(state: &State, namespace: &str, source: &SourceRef) -> Source {
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

    fn cluster() -> Cluster {
        Cluster::new(Clock::starting_at(jiff::Timestamp::UNIX_EPOCH))
    }

    #[test]
    fn only_changes_of_the_spec_and_a_deletion_that_waits_make_a_generation() {
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
    fn a_write_is_of_one_uid_and_of_the_version_that_it_was_based_on() {
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
    fn the_last_finalizer_of_a_deleted_object_ends_it() {
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
