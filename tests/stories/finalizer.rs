//! A resource delays its deletion only as its deletion policy says.

use kube::api::DeleteParams;
use rollcall::api::{ChannelMembership, FINALIZER};
use rollcall::simulator::ApiOperation;
use serde_json::{Value, json};

use crate::stage::{Stage, eventually, ids, seed, support};

fn pruning(members: &[String]) -> Value {
    let mut spec = support(members);
    spec["prune"] = json!("Owned");
    spec["deletionPolicy"] = json!("Delete");
    spec
}

fn has_finalizer(object: &ChannelMembership) -> bool {
    object.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

async fn gone(stage: &Stage, name: &str) {
    let away = async || stage.resources.get_opt(name).await.unwrap().is_none().then_some(());
    eventually("the resource is gone", away).await;
}

#[tokio::test]
async fn a_resource_with_delete_policy_goes_after_its_members() {
    let stage = Stage::open(seed(3)).await;
    stage.apply("team", pruning(&ids(3))).await;
    let operator = stage.operator(&[]);
    let ready = stage.until_reason("team", "AllPresent").await;
    assert!(has_finalizer(&ready));
    stage.resources.delete("team", &DeleteParams::default()).await.unwrap();
    gone(&stage, "team").await;
    assert_eq!(stage.count("support"), 0);
    assert!(operator.stop().await.unwrap());
}

#[tokio::test]
async fn a_resource_with_retain_policy_goes_at_once_and_its_members_stay() {
    let stage = Stage::open(seed(3)).await;
    let mut spec = support(&ids(3));
    spec["prune"] = json!("Owned");
    stage.apply("team", spec).await;
    let operator = stage.operator(&[]);
    assert!(!has_finalizer(&stage.until_reason("team", "AllPresent").await));
    stage.resources.delete("team", &DeleteParams::default()).await.unwrap();
    assert!(stage.resources.get_opt("team").await.unwrap().is_none());
    assert!(operator.stop().await.unwrap());
    assert_eq!((stage.count("support"), stage.calls(ApiOperation::DeleteChannelMembership)), (3, 0));
}

#[tokio::test]
async fn a_finalizer_taken_off_by_a_user_is_added_again() {
    let stage = Stage::open(seed(1)).await;
    stage.apply("team", pruning(&ids(1))).await;
    let operator = stage.operator(&[]);
    stage.until_reason("team", "AllPresent").await;
    stage.patch("team", json!({"metadata": {"finalizers": null}})).await;
    stage.until("team", "the finalizer is back", has_finalizer).await;
    assert!(operator.stop().await.unwrap());
}

#[tokio::test]
async fn a_released_resource_goes_and_removes_no_member() {
    let stage = Stage::open(seed(2)).await;
    stage.apply("team", pruning(&ids(2))).await;
    let operator = stage.operator(&["--removals=off"]);
    stage.until_reason("team", "AllPresent").await;
    stage.resources.delete("team", &DeleteParams::default()).await.unwrap();
    stage.patch("team", json!({"metadata": {"annotations": {"rollcall.dev/release": "true"}}})).await;
    gone(&stage, "team").await;
    assert_eq!((stage.count("support"), stage.calls(ApiOperation::DeleteChannelMembership)), (2, 0));
    assert!(operator.stop().await.unwrap());
}
