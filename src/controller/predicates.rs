//! The events of a watch that enqueue an object for a reconcile.
//!
//! Our own writes enqueue nothing: a reconcile depends on the fields of [`Trigger`], on its sources
//! and on the service. The objects of a list wait until the list is complete, because the reflector
//! shows a list to a reconcile only then.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kube::ResourceExt as _;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::Event;

use super::config_map_index::ConfigMapIndex;
use super::inflight::ObjectStates;
use super::object::{Trigger, WatchEvent, WatchedObject};

/// The objects that a watch has shown.
pub(super) struct ReconcilePredicates {
    states: Arc<ObjectStates>,
    config_maps: Arc<ConfigMapIndex>,
    /// The objects by UID: an object that is created again under an old name is a new object.
    known: HashMap<String, Trigger>,
    listed: Vec<ObjectChange>,
}

/// One object of a watch, with what the watch showed of it.
struct ObjectChange {
    object: ObjectRef<WatchedObject>,
    event: WatchEvent,
}

impl ReconcilePredicates {
    /// Creates the predicates of a watch that has shown nothing. A change cancels the reconcile in
    /// flight in `states`. A deleted object is removed from `states` and `config_maps`.
    pub fn new(states: Arc<ObjectStates>, config_maps: Arc<ConfigMapIndex>) -> Self {
        Self { states, config_maps, known: HashMap::new(), listed: Vec::new() }
    }

    /// Records an event and returns the objects to reconcile.
    pub fn due_objects(&mut self, event: Event<WatchedObject>) -> Vec<ObjectRef<WatchedObject>> {
        match event {
            Event::Apply(object) => self.record_change(ObjectChange::from_object(&object)).into_iter().collect(),
            Event::Delete(object) => {
                self.forget(&object.uid().unwrap_or_default());
                Vec::new()
            }
            Event::Init => {
                self.listed = Vec::new();
                Vec::new()
            }
            Event::InitApply(object) => {
                self.listed.push(ObjectChange::from_object(&object));
                Vec::new()
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                let uids: HashSet<&str> = listed.iter().map(|change| &*change.event.uid).collect();
                let gone: Vec<String> = self.known.keys().filter(|uid| !uids.contains(&***uid)).cloned().collect();
                for uid in gone {
                    self.forget(&uid);
                }
                listed.into_iter().filter_map(|change| self.record_change(change)).collect()
            }
        }
    }

    fn record_change(&mut self, ObjectChange { object, event }: ObjectChange) -> Option<ObjectRef<WatchedObject>> {
        let finalizer_removed = self.states.observe(&event);
        let WatchEvent { uid, trigger, .. } = event;
        let changed = self.known.get(&uid) != Some(&trigger);
        self.known.insert(uid, trigger);
        (changed || finalizer_removed).then_some(object)
    }

    fn forget(&mut self, uid: &str) {
        self.known.remove(uid);
        self.states.forget(uid);
        self.config_maps.forget(uid);
    }
}

impl ObjectChange {
    fn from_object(object: &WatchedObject) -> Self {
        Self { object: ObjectRef::from_obj(object), event: object.watch_event() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, generation: i64) -> WatchedObject {
        let metadata = serde_json::json!({"name": name, "namespace": "n", "uid": name, "generation": generation});
        serde_json::from_str(&serde_json::json!({"metadata": metadata, "spec": {}}).to_string()).unwrap()
    }

    fn names(due: &[ObjectRef<WatchedObject>]) -> Vec<&str> {
        due.iter().map(|object| object.name.as_str()).collect()
    }

    #[test]
    fn listed_object_is_due_once_the_list_is_complete() {
        let mut predicates = ReconcilePredicates::new(Arc::default(), Arc::default());
        predicates.due_objects(Event::Apply(object("old", 1)));
        predicates.due_objects(Event::Apply(object("edited", 1)));
        predicates.due_objects(Event::Init);
        for (name, generation) in [("new", 1), ("edited", 2), ("old", 1)] {
            assert!(predicates.due_objects(Event::InitApply(object(name, generation))).is_empty());
        }
        assert_eq!(names(&predicates.due_objects(Event::InitDone)), ["new", "edited"]);
    }

    #[test]
    fn object_is_due_when_its_spec_changes_but_not_its_status() {
        let mut predicates = ReconcilePredicates::new(Arc::default(), Arc::default());
        assert_eq!(names(&predicates.due_objects(Event::Apply(object("a", 1)))), ["a"]);
        assert!(predicates.due_objects(Event::Apply(object("a", 1))).is_empty());
        assert_eq!(names(&predicates.due_objects(Event::Apply(object("a", 2)))), ["a"]);
    }

    #[test]
    fn object_is_due_after_an_approval_a_release_or_a_deletion() {
        let mut predicates = ReconcilePredicates::new(Arc::default(), Arc::default());
        let with = |more: serde_json::Value| {
            let mut metadata = serde_json::json!({"name": "a", "namespace": "n", "uid": "a", "generation": 1});
            metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_str(&serde_json::json!({"metadata": metadata, "spec": {}}).to_string()).unwrap()
        };
        predicates.due_objects(Event::Apply(object("a", 1)));
        for more in [
            serde_json::json!({"annotations": {"rollcall.dev/approve": "5c1e"}}),
            serde_json::json!({"annotations": {"rollcall.dev/approve": "77aa"}}),
            serde_json::json!({"annotations": {"rollcall.dev/approve": "77aa", "rollcall.dev/release": "true"}}),
            serde_json::json!({"annotations": {"rollcall.dev/reconcile-requested-at": "now"}}),
            serde_json::json!({"deletionTimestamp": "2026-01-02T03:04:05Z"}),
        ] {
            assert_eq!(names(&predicates.due_objects(Event::Apply(with(more.clone())))), ["a"], "{more}");
            assert!(predicates.due_objects(Event::Apply(with(more.clone()))).is_empty(), "{more}");
        }
    }

    #[test]
    fn object_is_due_when_another_client_removes_our_finalizer() {
        let states = Arc::new(ObjectStates::default());
        let mut predicates = ReconcilePredicates::new(Arc::clone(&states), Arc::default());
        let mut held = object("a", 1);
        held.metadata.finalizers = Some(vec![crate::api::FINALIZER.to_owned()]);
        predicates.due_objects(Event::Apply(held.clone()));
        states.state_of(&held).begin(&held, tokio_util::sync::CancellationToken::new());
        assert_eq!(names(&predicates.due_objects(Event::Apply(object("a", 1)))), ["a"]);
        assert!(predicates.due_objects(Event::Apply(held)).is_empty(), "an added finalizer enqueues nothing");
    }

    #[test]
    fn object_missing_from_a_new_list_is_forgotten() {
        let mut predicates = ReconcilePredicates::new(Arc::default(), Arc::default());
        predicates.due_objects(Event::Apply(object("a", 1)));
        predicates.due_objects(Event::Init);
        predicates.due_objects(Event::InitDone);
        assert_eq!(names(&predicates.due_objects(Event::Apply(object("a", 1)))), ["a"], "it is new again");
    }
}
