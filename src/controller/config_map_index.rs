//! An index of the ConfigMaps that each resource read, to cancel and enqueue reconciles when one
//! changes.
//!
//! The index keeps no contents, only the version of each ConfigMap that each resource last read. If
//! a ConfigMap changes while a reconcile reads it, the reconcile learns it when the read ends.

use std::collections::{BTreeSet, HashMap, HashSet};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::Event;
use parking_lot::Mutex;

use super::config_map::ConfigMapId;
use super::object::{WatchedObject, version_number};

/// The resources that read each ConfigMap.
#[derive(Default)]
pub(super) struct ConfigMapIndex(Mutex<ReadersByConfigMap>);

#[derive(Default)]
struct ReadersByConfigMap {
    of: HashMap<ConfigMapId, HashMap<String, IndexedReader>>,
    /// The ConfigMaps of a list in progress, if any resource reads them.
    listed: HashSet<ConfigMapId>,
}

struct IndexedReader {
    object: ObjectRef<WatchedObject>,
    state: ReadState,
}

#[derive(Clone, Copy, PartialEq)]
enum ReadState {
    InProgress {
        changed: bool,
    },
    /// Read in this version; `None` if the ConfigMap was absent.
    Read(Option<u64>),
}

/// A resource whose last reconcile read another version.
#[derive(Debug)]
pub(super) struct OutdatedResource {
    pub uid: String,
    pub object: ObjectRef<WatchedObject>,
}

impl ConfigMapIndex {
    /// Records that the resource with this UID begins to read these ConfigMaps, and no others.
    pub fn begin_read(&self, uid: &str, object: &ObjectRef<WatchedObject>, ids: &BTreeSet<ConfigMapId>) {
        let mut readers = self.0.lock();
        readers.forget(uid, |id| !ids.contains(id));
        for id in ids {
            let reader = IndexedReader { object: object.clone(), state: ReadState::InProgress { changed: false } };
            readers.of.entry(id.clone()).or_default().insert(uid.to_owned(), reader);
        }
    }

    /// Records the versions that the resource read. Returns whether a ConfigMap changed meanwhile.
    pub fn end_read(&self, uid: &str, versions: &HashMap<ConfigMapId, Option<u64>>) -> bool {
        let mut readers = self.0.lock();
        let mut any_changed = false;
        for (id, version) in versions {
            if let Some(reader) = readers.of.get_mut(id).and_then(|all| all.get_mut(uid)) {
                any_changed |= reader.state == ReadState::InProgress { changed: true };
                reader.state = ReadState::Read(*version);
            }
        }
        any_changed
    }

    /// Removes the resource.
    pub fn forget(&self, uid: &str) {
        self.0.lock().forget(uid, |_| true);
    }

    /// Records an event of the watch of ConfigMaps and returns the resources to reconcile.
    pub fn outdated_by(&self, event: &Event<PartialObjectMeta<ConfigMap>>) -> Vec<OutdatedResource> {
        let mut readers = self.0.lock();
        match event {
            Event::Apply(map) => readers.outdated(&id(map), version(map), true),
            Event::Delete(map) => readers.outdated(&id(map), version(map), false),
            Event::Init => {
                readers.listed.clear();
                Vec::new()
            }
            Event::InitApply(map) => {
                let id = id(map);
                let outdated = readers.outdated(&id, version(map), true);
                if readers.of.contains_key(&id) {
                    readers.listed.insert(id);
                }
                outdated
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut readers.listed);
                let missing: Vec<ConfigMapId> = readers.of.keys().filter(|id| !listed.contains(id)).cloned().collect();
                missing.iter().flat_map(|id| readers.outdated(id, u64::MAX, false)).collect()
            }
        }
    }
}

impl ReadersByConfigMap {
    fn forget(&mut self, uid: &str, which: impl Fn(&ConfigMapId) -> bool) {
        self.of.retain(|id, readers| {
            if which(id) {
                readers.remove(uid);
            }
            !readers.is_empty()
        });
    }

    /// Records that the ConfigMap is present, or absent, in this version. Returns the resources
    /// that read another.
    fn outdated(&mut self, id: &ConfigMapId, version: u64, present: bool) -> Vec<OutdatedResource> {
        let mut outdated = Vec::new();
        for (uid, reader) in self.of.get_mut(id).into_iter().flatten() {
            match &mut reader.state {
                ReadState::InProgress { changed } => *changed = true,
                ReadState::Read(read) if read.map_or(present, |read| read < version) => {
                    outdated.push(OutdatedResource { uid: uid.clone(), object: reader.object.clone() });
                }
                ReadState::Read(_) => {}
            }
        }
        outdated
    }
}

fn id(map: &PartialObjectMeta<ConfigMap>) -> ConfigMapId {
    (map.namespace().unwrap_or_default(), map.name_any())
}

fn version(map: &PartialObjectMeta<ConfigMap>) -> u64 {
    map.metadata.resource_version.as_deref().map(version_number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use kube::core::PartialObjectMetaExt as _;

    use super::*;

    fn map(name: &str, version: u64) -> PartialObjectMeta<ConfigMap> {
        ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some("n".to_owned()),
            resource_version: Some(version.to_string()),
            ..ObjectMeta::default()
        }
        .into_response_partial()
    }

    fn at(name: &str) -> ConfigMapId {
        ("n".to_owned(), name.to_owned())
    }

    fn begin(index: &ConfigMapIndex, uid: &str, names: &[&str]) {
        let ids = names.iter().map(|name| at(name)).collect();
        index.begin_read(uid, &ObjectRef::new(uid).within("n"), &ids);
    }

    fn read(index: &ConfigMapIndex, uid: &str, name: &str, version: Option<u64>) {
        begin(index, uid, &[name]);
        assert!(!index.end_read(uid, &HashMap::from([(at(name), version)])));
    }

    fn uids(mut outdated: Vec<OutdatedResource>) -> Vec<String> {
        outdated.sort_by(|a, b| a.uid.cmp(&b.uid));
        outdated.into_iter().map(|outdated| outdated.uid).collect()
    }

    #[test]
    fn change_is_due_for_resources_that_read_an_older_version() {
        let index = ConfigMapIndex::default();
        read(&index, "a", "on-call", Some(5));
        read(&index, "b", "on-call", Some(7));
        read(&index, "c", "other", Some(5));
        assert!(uids(index.outdated_by(&Event::Apply(map("on-call", 5)))).is_empty());
        assert_eq!(uids(index.outdated_by(&Event::Apply(map("on-call", 7)))), ["a"]);
        assert_eq!(uids(index.outdated_by(&Event::Delete(map("on-call", 8)))), ["a", "b"]);
        assert!(uids(index.outdated_by(&Event::Apply(map("unread", 9)))).is_empty());
    }

    #[test]
    fn created_config_map_is_due_for_resources_that_found_it_absent() {
        let index = ConfigMapIndex::default();
        read(&index, "a", "on-call", None);
        assert!(uids(index.outdated_by(&Event::Delete(map("on-call", 4)))).is_empty());
        assert_eq!(uids(index.outdated_by(&Event::Apply(map("on-call", 5)))), ["a"]);
    }

    #[test]
    fn change_during_a_read_is_reported_when_the_read_ends() {
        let index = ConfigMapIndex::default();
        begin(&index, "a", &["on-call"]);
        assert!(uids(index.outdated_by(&Event::Apply(map("on-call", 5)))).is_empty());
        assert!(index.end_read("a", &HashMap::from([(at("on-call"), Some(4))])));
        read(&index, "a", "on-call", Some(5));
    }

    #[test]
    fn config_map_missing_from_a_new_list_is_absent() {
        let index = ConfigMapIndex::default();
        read(&index, "a", "on-call", Some(5));
        read(&index, "b", "other", Some(5));
        read(&index, "c", "never-there", None);
        assert!(index.outdated_by(&Event::Init).is_empty());
        assert!(index.outdated_by(&Event::InitApply(map("other", 5))).is_empty());
        assert_eq!(uids(index.outdated_by(&Event::InitDone)), ["a"]);
    }

    #[test]
    fn resource_that_is_gone_or_reads_another_is_not_due() {
        let index = ConfigMapIndex::default();
        read(&index, "a", "on-call", Some(5));
        read(&index, "b", "on-call", Some(5));
        index.forget("a");
        read(&index, "b", "other", Some(5));
        assert!(index.outdated_by(&Event::Apply(map("on-call", 6))).is_empty());
        assert!(index.0.lock().of.keys().eq([&at("other")]), "a ConfigMap without readers is not kept");
    }
}
