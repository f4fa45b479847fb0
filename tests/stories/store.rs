//! A real API server behaves as the store of the cluster expects.

use std::sync::Arc;

use kube::Client;
use kube::api::{DeleteParams, PostParams};
use rollcall::api::{ChannelMembership, ChannelMembershipStatus, FINALIZER};
use rollcall::controller::store::{ClusterStore, Identity};
use rollcall::controller::{Cluster, Scope};
use rollcall::engine::resource::SourceText;
use rollcall::engine::store::{Store as _, StoreError, Version};
use rollcall::membership::arn::ChannelArn;
use serde_json::{Value, json};

use crate::stage::{Stage, channel, seed, spec, support};

fn store_of(stage: &Stage, scope: Scope, object: &ChannelMembership) -> ClusterStore {
    let client: Client = stage.cluster.clone();
    let metadata = &object.metadata;
    let identity = Identity {
        namespace: metadata.namespace.clone().unwrap(),
        name: metadata.name.clone().unwrap(),
        uid: metadata.uid.clone().unwrap(),
    };
    ClusterStore::new(Arc::new(Cluster::new(client, scope, true)), identity, Arc::new(|| ()))
}

fn here(stage: &Stage) -> Scope {
    Scope::Namespaces(vec![stage.namespace.clone()])
}

fn version(object: &ChannelMembership) -> Version {
    Version(object.metadata.resource_version.clone().unwrap())
}

fn present(count: u32) -> ChannelMembershipStatus {
    ChannelMembershipStatus { present: Some(count), ..ChannelMembershipStatus::default() }
}

/// Deletes an object and creates it again under the same name.
async fn replace(stage: &Stage, name: &str) {
    stage.resources.delete(name, &DeleteParams::default()).await.unwrap();
    stage.apply(name, support(&["m0000"])).await;
}

#[tokio::test]
async fn a_status_is_written_on_its_basis_or_not_at_all() {
    let stage = Stage::open(seed(1)).await;
    let object = stage.apply("team", support(&["m0000"])).await;
    let mut store = store_of(&stage, here(&stage), &object);
    let first = store.write_status(&present(1), Some(&version(&object))).await.unwrap();
    assert_eq!(first, version(&stage.get("team").await));
    assert_eq!(store.write_status(&present(2), Some(&version(&object))).await, Err(StoreError::Conflict));
    stage.patch("team", json!({"metadata": {"labels": {"a": "b"}}})).await;
    assert_eq!(store.write_status(&present(2), Some(&first)).await, Err(StoreError::Conflict));
    // Writing the same status on an outdated version does not succeed either.
    assert_eq!(store.write_status(&present(1), Some(&first)).await, Err(StoreError::Conflict));
    assert_eq!(stage.get("team").await.status.unwrap().present, Some(1));
    assert_eq!(store.write_status(&present(3), None).await, Ok(version(&stage.get("team").await)));
}

#[tokio::test]
async fn another_object_of_the_same_name_is_never_written() {
    let stage = Stage::open(seed(1)).await;
    let object = stage.apply("team", support(&["m0000"])).await;
    let mut store = store_of(&stage, here(&stage), &object);
    replace(&stage, "team").await;
    let now = stage.get("team").await;
    for basis in [None, Some(version(&now)), Some(version(&object))] {
        assert_eq!(store.write_status(&present(1), basis.as_ref()).await, Err(StoreError::Gone), "{basis:?}");
    }
    assert_eq!(store.set_finalizer(true, &version(&now)).await, Err(StoreError::Gone));
    assert_eq!(store.set_finalizer(false, &version(&now)).await, Ok(version(&now)));
    assert_eq!(stage.get("team").await.metadata.resource_version, now.metadata.resource_version);
    stage.resources.delete("team", &DeleteParams::default()).await.unwrap();
    assert_eq!(store.write_status(&present(1), None).await, Err(StoreError::Gone));
}

#[tokio::test]
async fn an_invalid_status_is_refused_and_not_reported_as_gone() {
    let stage = Stage::open(seed(1)).await;
    let object = stage.apply("team", support(&["m0000"])).await;
    let mut store = store_of(&stage, here(&stage), &object);
    let condition = json!({"type": "Ready", "status": "True", "reason": "A", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z"});
    let bad = serde_json::from_value(json!({"conditions": [condition, condition]})).unwrap();
    let written = store.write_status(&bad, Some(&version(&object))).await;
    assert!(matches!(written, Err(StoreError::Refused(_))), "{written:?}");
}

#[tokio::test]
async fn a_finalizer_is_added_once_and_removed_beside_others() {
    let stage = Stage::open(seed(1)).await;
    let object = stage.apply("team", support(&["m0000"])).await;
    stage.patch("team", json!({"metadata": {"finalizers": ["example.com/other"]}})).await;
    let mut store = store_of(&stage, here(&stage), &object);
    assert_eq!(store.set_finalizer(true, &version(&object)).await, Err(StoreError::Conflict));
    let basis = version(&stage.get("team").await);
    let on = store.set_finalizer(true, &basis).await.unwrap();
    let now = stage.get("team").await;
    assert_eq!(now.metadata.finalizers.as_deref().unwrap(), ["example.com/other", FINALIZER]);
    assert_eq!(store.set_finalizer(true, &on).await, Ok(on.clone()), "the status is not written");
    // The status is written on the version that the finalizer made.
    let on = store.write_status(&present(1), Some(&on)).await.unwrap();
    let off = store.set_finalizer(false, &on).await.unwrap();
    let now = stage.get("team").await;
    assert_eq!((version(&now), now.metadata.finalizers.unwrap()), (off, vec!["example.com/other".to_owned()]));
}

#[tokio::test]
async fn a_resource_being_deleted_goes_with_its_last_finalizer() {
    let stage = Stage::open(seed(1)).await;
    let object = stage.apply("team", support(&["m0000"])).await;
    let mut store = store_of(&stage, here(&stage), &object);
    store.set_finalizer(true, &version(&object)).await.unwrap();
    stage.resources.delete("team", &DeleteParams::default()).await.unwrap();
    let ending = stage.get("team").await;
    assert!(ending.metadata.deletion_timestamp.is_some());
    assert!(store.set_finalizer(false, &version(&ending)).await.is_ok());
    assert!(stage.resources.get_opt("team").await.unwrap().is_none());
    assert_eq!(store.set_finalizer(false, &version(&ending)).await, Ok(version(&ending)), "the object is gone already");
    assert_eq!(store.set_finalizer(true, &version(&ending)).await, Err(StoreError::Gone));
}

#[tokio::test]
async fn the_resources_of_a_channel_are_read_as_they_are_now() {
    let stage = Stage::open(seed(1)).await;
    let with_source = |mut spec: Value, name: &str| {
        spec["membersFrom"] = json!([{"configMapKeyRef": {"name": name, "key": "members"}}]);
        spec
    };
    stage.config_map("on-call", json!({"members": "m0000\n"})).await;
    let object = stage.apply("a", with_source(support(&["m0000"]), "on-call")).await;
    stage.apply("b", with_source(support(&["m0000"]), "gone")).await;
    stage.apply("other", spec("other", &["m0000"])).await;
    let mut many = Vec::new();
    // The objects fill more than one page.
    for n in 0..105 {
        let mut one = object.clone();
        one.metadata = kube::core::ObjectMeta { name: Some(format!("many-{n:03}")), ..Default::default() };
        one.spec.members_from.clear();
        many.push(one);
    }
    let create = PostParams::default();
    for one in &many {
        stage.resources.create(&create, one).await.unwrap();
    }
    let mut store = store_of(&stage, here(&stage), &object);

    let found = store.resources_of(&ChannelArn::parse(&channel("support")).unwrap()).await.unwrap();

    assert_eq!(found.len(), 107);
    assert_eq!(found[0].name, format!("{}/a", stage.namespace));
    assert_eq!(found[0].version, version(&stage.get("a").await));
    assert_eq!(Some(found[0].created), object.metadata.creation_timestamp.as_ref().map(|time| time.0));
    let texts: Vec<&SourceText> = found[..2].iter().map(|it| &it.sources[0].text).collect();
    assert_eq!(texts[0], &SourceText::Read("m0000\n".to_owned()));
    assert_eq!(texts[1], &SourceText::Absent("ConfigMap gone is not there".to_owned()));
    // A read of the whole cluster sees a recent write as well.
    stage.apply("b", support(&["m0000"])).await;
    stage.resources.delete("a", &DeleteParams::default()).await.unwrap();
    let mut everywhere = store_of(&stage, Scope::Cluster, &object);
    let found = everywhere.resources_of(&ChannelArn::parse(&channel("support")).unwrap()).await.unwrap();
    let here: Vec<_> = found.iter().filter(|it| it.name.starts_with(&format!("{}/", stage.namespace))).collect();
    assert_eq!(here.len(), 106);
    assert!(here[0].name.ends_with("/b") && here[0].sources.is_empty());
}
