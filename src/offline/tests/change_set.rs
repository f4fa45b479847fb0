//! The resources before and after a change.

use serde_json::{Value, json};

use super::{files, settings, write};
use crate::api::{APPROVE, ChannelMembershipSpec, DeletionPolicy, Prune, SourceRef};
use crate::engine::resource::SourceText;
use crate::engine::tests::world::spec;
use crate::manifests::{self, Manifests};
use crate::offline::change_set::{ChangeSet, Origin};
use crate::offline::plan::{Before, Change};

const MAIN: &str = "care/main";

fn now() -> jiff::Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

fn one(spec: &ChannelMembershipSpec) -> Manifests {
    files([(&MAIN.to_owned(), spec)])
}

/// Returns the objects of a file.
fn read(objects: &[Value]) -> Manifests {
    let folder = tempfile::tempdir().unwrap();
    manifests::read_state(&write(folder.path(), "state.json", objects.iter().cloned()), "default").unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "the values are literals")]
fn object(spec: &ChannelMembershipSpec, metadata: Value, status: Value) -> Value {
    let mut object = json!({
        "apiVersion": "rollcall.dev/v1alpha1", "kind": "ChannelMembership",
        "metadata": {"name": "main", "namespace": "care", "uid": "u", "generation": 7, "resourceVersion": "41",
                     "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": spec, "status": status,
    });
    object["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
    object
}

fn change_set(files: &Manifests, origin: &Origin) -> ChangeSet {
    ChangeSet::new(files, origin, false, &settings(), now())
}

#[test]
fn edited_resource_keeps_its_metadata_and_status() {
    let metadata = json!({"annotations": {"a": "old", APPROVE: "5c1e"}, "finalizers": ["rollcall.dev/prune"]});
    let state = || Origin::State(read(&[object(&spec(["a"]), metadata.clone(), json!({"desired": 1}))]));
    let change_set_of = |spec: &ChannelMembershipSpec| change_set(&one(spec), &state());
    for (spec, generation, change) in [(spec(["a"]), 7, Change::Unchanged), (spec(["b"]), 8, Change::Changed)] {
        let change_set = change_set_of(&spec);
        let entry = &change_set.new[MAIN];
        assert_eq!((entry.change, entry.object.metadata.generation), (Some(change), Some(generation)));
        let resource = entry.object.resource();
        assert_eq!((&*resource.uid, resource.approval.as_deref(), resource.has_finalizer), ("u", Some("5c1e"), true));
        assert_eq!(resource.status.unwrap().desired, Some(1));
        assert_eq!(
            change_set.old[MAIN].spec.as_ref().unwrap().members,
            crate::engine::tests::world::spec(["a"]).members
        );
    }
}

#[test]
fn deletion_of_a_resource_continues() {
    let metadata = json!({"deletionTimestamp": "2026-05-31T00:00:00Z", "finalizers": ["rollcall.dev/prune"]});
    let origin = Origin::State(read(&[object(&spec(["a"]), metadata, json!({}))]));
    let change_set = change_set(&one(&spec(["a"])), &origin);
    assert!(change_set.new[MAIN].object.resource().deleting_since.is_some());
}

#[test]
fn manifests_before_a_change_count_as_reconciled() {
    let mut base = spec(["a", "b"]);
    (base.prune, base.deletion_policy) = (Prune::Owned, DeletionPolicy::Delete);
    let origin = Origin::Manifests(one(&base));
    let other = files([(&"care/other".to_owned(), &spec(["c"]))]);
    let change_set = change_set(&other, &origin);
    assert_eq!((change_set.before, change_set.new["care/other"].change), (Before::Manifests, Some(Change::Created)));
    let gone = &change_set.new[MAIN];
    assert_eq!(gone.change, Some(Change::Deleted));
    let resource = gone.object.resource();
    assert!(resource.has_finalizer && resource.deleting_since == Some(now()));
    let status = resource.status.as_ref().unwrap();
    let claimed: Vec<&str> = status.last_declared.as_ref().unwrap().iter().collect();
    assert_eq!((claimed, status.last_declared_uid.as_deref()), (vec!["a", "b"], Some(&*resource.uid)));
    (base.prune, base.deletion_policy) = (Prune::Never, DeletionPolicy::Retain);
    let change_set = self::change_set(&other, &Origin::Manifests(one(&base)));
    assert!(change_set.new[MAIN].object.resource().status.unwrap().last_declared.is_none(), "it declared no member");
}

#[test]
fn changed_source_is_a_change_of_the_resource() {
    let on_call: SourceRef =
        serde_json::from_value(json!({"configMapKeyRef": {"name": "on-call", "key": "members"}})).unwrap();
    let mut from = spec(["a"]);
    (from.members_from, from.prune) = (vec![on_call], Prune::Owned);
    let map = |text: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "on-call", "namespace": "care"}, "data": {"members": text}});
    let status = json!({
        "lastDeclared": ["a", "b"],
        "sources": [{"name": "on-call", "key": "members", "hash": crate::membership::digest::of(["b"])}],
    });
    let object = object(&from, json!({}), status);
    for (text, change) in [("b", Change::Unchanged), ("c", Change::Changed)] {
        let folder = tempfile::tempdir().unwrap();
        let new = [super::manifest(MAIN, &from), map(text)];
        let files = manifests::read_manifests(&write(folder.path(), "new.json", new), "default").unwrap();
        let change_set = change_set(&files, &Origin::State(read(std::slice::from_ref(&object))));
        let entry = &change_set.new[MAIN];
        assert_eq!((entry.change, entry.object.metadata.generation), (Some(change), Some(7)), "{text}");
        assert_eq!(entry.object.sources[0].text, SourceText::Read(text.to_owned()));
        let seen = change_set.old[MAIN].last_seen().spec.unwrap();
        assert_eq!(seen.members.unwrap().iter().collect::<Vec<_>>(), ["a", "a", "b"]);
    }
}
