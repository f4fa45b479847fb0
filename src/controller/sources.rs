//! Which passes are out of date because a ConfigMap changed?
//!
//! Nothing is kept of ConfigMaps but in which version each resource last read those that it refers to. A pass that is reading
//! while one changes is told when it has read.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::Event;

use super::config_map::Place;
use super::watched::{Watched, number};

/// Who has read which ConfigMap.
#[derive(Default)]
pub(super) struct Sources(Mutex<Readers>);

#[derive(Default)]
struct Readers {
    of: HashMap<Place, HashMap<String, Reader>>,
    /// Those that a list under way has brought, of those that anybody reads.
    listed: HashSet<Place>,
}

struct Reader {
    object: ObjectRef<Watched>,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    UnderWay {
        changed: bool,
    },
    /// Read in this version, or not there.
    Read(Option<u64>),
}

/// A resource whose last pass read something else.
#[derive(Debug)]
pub(super) struct Outdated {
    pub uid: String,
    pub object: ObjectRef<Watched>,
}

impl Sources {
    /// The resource with this UID begins to read these ConfigMaps, and no others any more.
    pub fn begin(&self, uid: &str, object: &ObjectRef<Watched>, places: &BTreeSet<Place>) {
        let mut readers = self.lock();
        readers.forget(uid, |place| !places.contains(place));
        for place in places {
            let reader = Reader { object: object.clone(), state: State::UnderWay { changed: false } };
            readers.of.entry(place.clone()).or_default().insert(uid.to_owned(), reader);
        }
    }

    /// It has read them in these versions. Gives whether one changed meanwhile.
    pub fn end(&self, uid: &str, versions: &HashMap<Place, Option<u64>>) -> bool {
        let mut readers = self.lock();
        let mut any_changed = false;
        for (place, version) in versions {
            if let Some(reader) = readers.of.get_mut(place).and_then(|all| all.get_mut(uid)) {
                any_changed |= reader.state == State::UnderWay { changed: true };
                reader.state = State::Read(*version);
            }
        }
        any_changed
    }

    /// The resource is gone.
    pub fn gone(&self, uid: &str) {
        self.lock().forget(uid, |_| true);
    }

    /// Takes in what a watch of ConfigMaps shows, and gives the resources that a pass is due over.
    pub fn changed(&self, event: &Event<PartialObjectMeta<ConfigMap>>) -> Vec<Outdated> {
        let mut readers = self.lock();
        match event {
            Event::Apply(map) => readers.outdated(&place(map), version(map), true),
            Event::Delete(map) => readers.outdated(&place(map), version(map), false),
            Event::Init => {
                readers.listed.clear();
                Vec::new()
            }
            Event::InitApply(map) => {
                let place = place(map);
                let outdated = readers.outdated(&place, version(map), true);
                if readers.of.contains_key(&place) {
                    readers.listed.insert(place);
                }
                outdated
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut readers.listed);
                let missing: Vec<Place> = readers.of.keys().filter(|place| !listed.contains(place)).cloned().collect();
                missing.iter().flat_map(|place| readers.outdated(place, u64::MAX, false)).collect()
            }
        }
    }

    /// A poisoned lock is taken all the same: at worst a pass is made once too often.
    fn lock(&self) -> MutexGuard<'_, Readers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Readers {
    fn forget(&mut self, uid: &str, which: impl Fn(&Place) -> bool) {
        self.of.retain(|place, readers| {
            if which(place) {
                readers.remove(uid);
            }
            !readers.is_empty()
        });
    }

    /// A ConfigMap is, or is not, there in this version.
    fn outdated(&mut self, place: &Place, version: u64, there: bool) -> Vec<Outdated> {
        let mut outdated = Vec::new();
        for (uid, reader) in self.of.get_mut(place).into_iter().flatten() {
            match &mut reader.state {
                State::UnderWay { changed } => *changed = true,
                State::Read(read) if read.map_or(there, |read| read < version) => {
                    outdated.push(Outdated { uid: uid.clone(), object: reader.object.clone() });
                }
                State::Read(_) => {}
            }
        }
        outdated
    }
}

fn place(map: &PartialObjectMeta<ConfigMap>) -> Place {
    (map.namespace().unwrap_or_default(), map.name_any())
}

fn version(map: &PartialObjectMeta<ConfigMap>) -> u64 {
    map.metadata.resource_version.as_deref().map(number).unwrap_or_default()
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

    fn at(name: &str) -> Place {
        ("n".to_owned(), name.to_owned())
    }

    fn begin(sources: &Sources, uid: &str, names: &[&str]) {
        let places = names.iter().map(|name| at(name)).collect();
        sources.begin(uid, &ObjectRef::new(uid).within("n"), &places);
    }

    fn read(sources: &Sources, uid: &str, name: &str, version: Option<u64>) {
        begin(sources, uid, &[name]);
        assert!(!sources.end(uid, &HashMap::from([(at(name), version)])));
    }

    fn uids(mut outdated: Vec<Outdated>) -> Vec<String> {
        outdated.sort_by(|a, b| a.uid.cmp(&b.uid));
        outdated.into_iter().map(|outdated| outdated.uid).collect()
    }

    #[test]
    fn a_change_concerns_those_who_read_an_older_version() {
        let sources = Sources::default();
        read(&sources, "a", "on-call", Some(5));
        read(&sources, "b", "on-call", Some(7));
        read(&sources, "c", "other", Some(5));
        assert!(uids(sources.changed(&Event::Apply(map("on-call", 5)))).is_empty());
        assert_eq!(uids(sources.changed(&Event::Apply(map("on-call", 7)))), ["a"]);
        assert_eq!(uids(sources.changed(&Event::Delete(map("on-call", 8)))), ["a", "b"]);
        assert!(uids(sources.changed(&Event::Apply(map("unread", 9)))).is_empty());
    }

    #[test]
    fn one_that_was_not_there_concerns_who_looked_for_it_when_it_comes() {
        let sources = Sources::default();
        read(&sources, "a", "on-call", None);
        assert!(uids(sources.changed(&Event::Delete(map("on-call", 4)))).is_empty());
        assert_eq!(uids(sources.changed(&Event::Apply(map("on-call", 5)))), ["a"]);
    }

    #[test]
    fn a_change_while_it_is_read_is_told_when_it_was_read() {
        let sources = Sources::default();
        begin(&sources, "a", &["on-call"]);
        assert!(uids(sources.changed(&Event::Apply(map("on-call", 5)))).is_empty());
        assert!(sources.end("a", &HashMap::from([(at("on-call"), Some(4))])));
        read(&sources, "a", "on-call", Some(5));
    }

    #[test]
    fn one_that_a_new_list_does_not_bring_is_gone() {
        let sources = Sources::default();
        read(&sources, "a", "on-call", Some(5));
        read(&sources, "b", "other", Some(5));
        read(&sources, "c", "never-there", None);
        assert!(sources.changed(&Event::Init).is_empty());
        assert!(sources.changed(&Event::InitApply(map("other", 5))).is_empty());
        assert_eq!(uids(sources.changed(&Event::InitDone)), ["a"]);
    }

    #[test]
    fn who_is_gone_or_refers_to_another_is_not_concerned() {
        let sources = Sources::default();
        read(&sources, "a", "on-call", Some(5));
        read(&sources, "b", "on-call", Some(5));
        sources.gone("a");
        read(&sources, "b", "other", Some(5));
        assert!(sources.changed(&Event::Apply(map("on-call", 6))).is_empty());
        assert!(sources.lock().of.keys().eq([&at("other")]), "nothing is kept of what nobody reads");
    }
}
