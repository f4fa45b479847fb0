//! Which resources are in force before and after a change?

use serde_json::{Value, json};

use super::{files, settings, write};
use crate::api::{APPROVE, ChannelMembershipSpec, DeletionPolicy, Prune, SourceRef};
use crate::engine::resource::SourceText;
use crate::engine::tests::world::spec;
use crate::manifests::{self, Manifests};
use crate::offline::plan::{Before, Change};
use crate::offline::scene::{Origin, Scene};

const MAIN: &str = "care/main";

fn now() -> jiff::Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

fn one(spec: &ChannelMembershipSpec) -> Manifests {
    files([(&MAIN.to_owned(), spec)])
}

/// The objects that stand in a file.
fn read(objects: &[Value]) -> Manifests {
    let folder = tempfile::tempdir().unwrap();
    manifests::read_state(&write(folder.path(), "state.json", objects.iter().cloned()), "default").unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "they are written where they are given")]
fn standing(spec: &ChannelMembershipSpec, metadata: Value, status: Value) -> Value {
    let mut object = json!({
        "apiVersion": "rollcall.dev/v1alpha1", "kind": "ChannelMembership",
        "metadata": {"name": "main", "namespace": "care", "uid": "u", "generation": 7, "resourceVersion": "41",
                     "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": spec, "status": status,
    });
    object["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
    object
}

fn scene(files: &Manifests, origin: &Origin) -> Scene {
    Scene::new(files, origin, false, &settings(), now())
}

#[test]
fn what_a_cluster_keeps_through_an_edit_is_kept_and_only_another_spec_is_another_generation() {
    let metadata = json!({"annotations": {"a": "old", APPROVE: "5c1e"}, "finalizers": ["rollcall.dev/prune"]});
    let state = || Origin::State(read(&[standing(&spec(["a"]), metadata.clone(), json!({"desired": 1}))]));
    let scene_of = |spec: &ChannelMembershipSpec| scene(&one(spec), &state());
    for (spec, generation, change) in [(spec(["a"]), 7, Change::Unchanged), (spec(["b"]), 8, Change::Changed)] {
        let scene = scene_of(&spec);
        let member = &scene.new[MAIN];
        assert_eq!((member.change, member.object.metadata.generation), (Some(change), Some(generation)));
        let declaration = member.object.resource();
        assert_eq!(
            (&*declaration.uid, declaration.approval.as_deref(), declaration.has_finalizer),
            ("u", Some("5c1e"), true)
        );
        assert_eq!(declaration.status.unwrap().desired, Some(1));
        assert_eq!(scene.old[MAIN].spec.as_ref().unwrap().members, crate::engine::tests::world::spec(["a"]).members);
    }
}

#[test]
fn a_resource_that_is_being_deleted_goes_on_being_deleted() {
    let metadata = json!({"deletionTimestamp": "2026-05-31T00:00:00Z", "finalizers": ["rollcall.dev/prune"]});
    let origin = Origin::State(read(&[standing(&spec(["a"]), metadata, json!({}))]));
    let scene = scene(&one(&spec(["a"])), &origin);
    assert!(scene.new[MAIN].object.resource().deleting_since.is_some());
}

#[test]
fn the_manifests_before_a_change_are_taken_as_carried_out() {
    let mut base = spec(["a", "b"]);
    (base.prune, base.deletion_policy) = (Prune::Owned, DeletionPolicy::Delete);
    let origin = Origin::Manifests(one(&base));
    let other = files([(&"care/other".to_owned(), &spec(["c"]))]);
    let scene = scene(&other, &origin);
    assert_eq!((scene.before, scene.new["care/other"].change), (Before::Manifests, Some(Change::Created)));
    let gone = &scene.new[MAIN];
    assert_eq!(gone.change, Some(Change::Deleted));
    let declaration = gone.object.resource();
    assert!(declaration.has_finalizer && declaration.deleting_since == Some(now()));
    let status = declaration.status.as_ref().unwrap();
    let claimed: Vec<&str> = status.last_declared.as_ref().unwrap().iter().collect();
    assert_eq!((claimed, status.last_declared_uid.as_deref()), (vec!["a", "b"], Some(&*declaration.uid)));
    (base.prune, base.deletion_policy) = (Prune::Never, DeletionPolicy::Retain);
    let scene = self::scene(&other, &Origin::Manifests(one(&base)));
    assert!(scene.new[MAIN].object.resource().status.unwrap().last_declared.is_none(), "it claimed nobody");
}

#[test]
fn a_source_that_holds_something_else_is_a_change_and_what_it_held_is_told_by_the_status() {
    let on_call: SourceRef =
        serde_json::from_value(json!({"configMapKeyRef": {"name": "on-call", "key": "members"}})).unwrap();
    let mut from = spec(["a"]);
    (from.members_from, from.prune) = (vec![on_call], Prune::Owned);
    let map = |text: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "on-call", "namespace": "care"}, "data": {"members": text}});
    let status = json!({
        "lastDeclared": ["a", "b"],
        "sources": [{"name": "on-call", "key": "members", "hash": crate::membership::digest::of(["b"])}],
    });
    let object = standing(&from, json!({}), status);
    for (text, change) in [("b", Change::Unchanged), ("c", Change::Changed)] {
        let folder = tempfile::tempdir().unwrap();
        let new = [super::manifest(MAIN, &from), map(text)];
        let files = manifests::read_manifests(&write(folder.path(), "new.json", new), "default").unwrap();
        let scene = scene(&files, &Origin::State(read(std::slice::from_ref(&object))));
        let member = &scene.new[MAIN];
        assert_eq!((member.change, member.object.metadata.generation), (Some(change), Some(7)), "{text}");
        assert_eq!(member.object.sources[0].text, SourceText::Read(text.to_owned()));
        let seen = scene.old[MAIN].last_seen().spec.unwrap();
        assert_eq!(seen.members.unwrap().iter().collect::<Vec<_>>(), ["a", "a", "b"]);
    }
}
