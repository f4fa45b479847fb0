//! Which events of a watch start a pass?
//!
//! Our own writes do not: a pass depends on what a [`Trigger`] holds, on sources and on the service. What a list brings waits until
//! the list is complete, because only then does the reflector show it to a pass.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kube::ResourceExt as _;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::Event;

use super::slots::Slots;
use super::sources::Sources;
use super::watched::{Shown, Trigger, Watched};

/// What a watch has shown so far.
pub(super) struct Changes {
    slots: Arc<Slots>,
    sources: Arc<Sources>,
    /// By UID: one that is created anew under an old name is another.
    known: HashMap<String, Trigger>,
    listed: Vec<Change>,
}

/// An object that a watch showed.
struct Change {
    object: ObjectRef<Watched>,
    shown: Shown,
}

impl Changes {
    /// Nothing was shown yet; passes over what changes end early, and memory of what goes away goes, by `slots` and `sources`.
    pub fn new(slots: Arc<Slots>, sources: Arc<Sources>) -> Self {
        Self { slots, sources, known: HashMap::new(), listed: Vec::new() }
    }

    /// Takes in an event and gives the objects that a pass is due over.
    pub fn of(&mut self, event: Event<Watched>) -> Vec<ObjectRef<Watched>> {
        match event {
            Event::Apply(object) => self.applied(Change::of(&object)).into_iter().collect(),
            Event::Delete(object) => {
                self.gone(&object.uid().unwrap_or_default());
                Vec::new()
            }
            Event::Init => {
                self.listed = Vec::new();
                Vec::new()
            }
            Event::InitApply(object) => {
                self.listed.push(Change::of(&object));
                Vec::new()
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                let uids: HashSet<&str> = listed.iter().map(|change| &*change.shown.uid).collect();
                let gone: Vec<String> = self.known.keys().filter(|uid| !uids.contains(&***uid)).cloned().collect();
                for uid in gone {
                    self.gone(&uid);
                }
                listed.into_iter().filter_map(|change| self.applied(change)).collect()
            }
        }
    }

    fn applied(&mut self, Change { object, shown }: Change) -> Option<ObjectRef<Watched>> {
        let finalizer_taken_off = self.slots.applied(&shown);
        let Shown { uid, trigger, .. } = shown;
        let changed = self.known.get(&uid) != Some(&trigger);
        self.known.insert(uid, trigger);
        (changed || finalizer_taken_off).then_some(object)
    }

    fn gone(&mut self, uid: &str) {
        self.known.remove(uid);
        self.slots.gone(uid);
        self.sources.gone(uid);
    }
}

impl Change {
    fn of(object: &Watched) -> Self {
        Self { object: ObjectRef::from_obj(object), shown: object.shown() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, generation: i64) -> Watched {
        let metadata = serde_json::json!({"name": name, "namespace": "n", "uid": name, "generation": generation});
        serde_json::from_str(&serde_json::json!({"metadata": metadata, "spec": {}}).to_string()).unwrap()
    }

    fn names(due: &[ObjectRef<Watched>]) -> Vec<&str> {
        due.iter().map(|object| object.name.as_str()).collect()
    }

    #[test]
    fn what_a_list_brings_is_due_when_the_list_is_complete_and_not_before() {
        let mut changes = Changes::new(Arc::default(), Arc::default());
        changes.of(Event::Apply(object("old", 1)));
        changes.of(Event::Apply(object("edited", 1)));
        changes.of(Event::Init);
        for (name, generation) in [("new", 1), ("edited", 2), ("old", 1)] {
            assert!(changes.of(Event::InitApply(object(name, generation))).is_empty());
        }
        assert_eq!(names(&changes.of(Event::InitDone)), ["new", "edited"]);
    }

    #[test]
    fn an_object_is_due_when_its_spec_changes_and_not_when_its_status_does() {
        let mut changes = Changes::new(Arc::default(), Arc::default());
        assert_eq!(names(&changes.of(Event::Apply(object("a", 1)))), ["a"]);
        assert!(changes.of(Event::Apply(object("a", 1))).is_empty());
        assert_eq!(names(&changes.of(Event::Apply(object("a", 2)))), ["a"]);
    }

    #[test]
    fn an_approval_a_release_and_a_deletion_make_an_object_due() {
        let mut changes = Changes::new(Arc::default(), Arc::default());
        let with = |more: serde_json::Value| {
            let mut metadata = serde_json::json!({"name": "a", "namespace": "n", "uid": "a", "generation": 1});
            metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_str(&serde_json::json!({"metadata": metadata, "spec": {}}).to_string()).unwrap()
        };
        changes.of(Event::Apply(object("a", 1)));
        for more in [
            serde_json::json!({"annotations": {"rollcall.dev/approve": "5c1e"}}),
            serde_json::json!({"annotations": {"rollcall.dev/approve": "77aa"}}),
            serde_json::json!({"annotations": {"rollcall.dev/approve": "77aa", "rollcall.dev/release": "true"}}),
            serde_json::json!({"annotations": {"rollcall.dev/reconcile-requested-at": "now"}}),
            serde_json::json!({"deletionTimestamp": "2026-01-02T03:04:05Z"}),
        ] {
            assert_eq!(names(&changes.of(Event::Apply(with(more.clone())))), ["a"], "{more}");
            assert!(changes.of(Event::Apply(with(more.clone()))).is_empty(), "{more}");
        }
    }

    #[test]
    fn an_object_is_due_when_somebody_takes_off_a_finalizer_that_its_last_pass_saw() {
        let slots = Arc::new(Slots::default());
        let mut changes = Changes::new(Arc::clone(&slots), Arc::default());
        let mut held = object("a", 1);
        held.metadata.finalizers = Some(vec![crate::api::FINALIZER.to_owned()]);
        changes.of(Event::Apply(held.clone()));
        slots.of(&held).begin(&held, tokio_util::sync::CancellationToken::new());
        assert_eq!(names(&changes.of(Event::Apply(object("a", 1)))), ["a"]);
        assert!(changes.of(Event::Apply(held)).is_empty(), "that one is put on is no news");
    }

    #[test]
    fn what_is_not_in_a_new_list_is_forgotten() {
        let mut changes = Changes::new(Arc::default(), Arc::default());
        changes.of(Event::Apply(object("a", 1)));
        changes.of(Event::Init);
        changes.of(Event::InitDone);
        assert_eq!(names(&changes.of(Event::Apply(object("a", 1)))), ["a"], "it is new again");
    }
}
