//! Several resources declare members of one channel.

use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use rollcall::api::{APPROVE, ApprovalReason, ChannelMembership, MembershipType};
use rollcall::simulator::ChannelSeed;
use serde_json::{Value, json};

use crate::removal::{owned, removed};
use crate::stage::{BEARER, Stage, UNPACED, channel, ready, seed, shared, status, user, verdict};

/// Creates a second namespace of the same operator.
async fn elsewhere(stage: &Stage) -> (String, Api<ChannelMembership>) {
    let namespace = shared().await.namespace("story").await.unwrap();
    let resources = Api::namespaced(stage.cluster.clone(), &namespace);
    (namespace, resources)
}

async fn apply(resources: &Api<ChannelMembership>, name: &str, spec: Value) {
    let object = json!({"apiVersion": "rollcall.dev/v1alpha1", "kind": "ChannelMembership", "metadata": {"name": name}, "spec": spec});
    resources.patch(name, &PatchParams::apply("story").force(), &Patch::Apply(object)).await.unwrap();
}

fn hidden(channel_id: &str, members: &[&str]) -> Value {
    let mut spec = owned(channel_id, members);
    spec["type"] = json!("HIDDEN");
    spec
}

#[tokio::test]
async fn a_member_leaves_with_its_last_declarer_and_two_owners_conflict() {
    let people = ["a", "b", "c", "d", "x", "y", "z"];
    let channels = ["shared", "orphaned", "rivals", "moved"];
    let seed = channels.iter().fold(seed(0).users(people), |seed, id| seed.channel(ChannelSeed::new(id)));
    let stage = Stage::open(seed).await;
    let (namespace, there) = elsewhere(&stage).await;
    stage.apply("shared", owned("shared", &["a", "b", "c"])).await;
    apply(&there, "shared", owned("shared", &["b", "c", "d"])).await;
    stage.apply("orphaned", owned("orphaned", &["a", "b", "c"])).await;
    apply(&there, "orphaned", owned("orphaned", &["c", "d"])).await;
    stage.apply("a-rivals", owned("rivals", &["x", "y"])).await;
    stage.apply("z-rivals", hidden("rivals", &["x", "z"])).await;
    stage.apply("a-moved", owned("moved", &["x", "y"])).await;
    stage.apply("z-moved", hidden("moved", &["z"])).await;
    let flags = [
        format!("--watch-namespace={}", stage.namespace),
        format!("--watch-namespace={namespace}"),
        format!("--chime-bearer={BEARER}"),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).chain(UNPACED).collect();
    let _operator = stage.operator_of(&stage.simulator.endpoint(), &flags);
    for name in ["shared", "orphaned", "a-rivals", "a-moved", "z-moved"] {
        stage.until_reason(name, "AllPresent").await;
    }
    stage
        .until_service("all members are present", |_| stage.count("shared") == 4 && stage.count("orphaned") == 4)
        .await;

    // Two resources declare one member with two types. The younger reports the conflict and names
    // the older.
    let told = stage.until_reason("z-rivals", "OwnershipConflict").await;
    assert_eq!(verdict(&told), ["False", "False", "True"]);
    assert!(ready(&told).2.contains(&format!("{}/a-rivals", stage.namespace)), "{told:?}");
    assert_eq!(stage.present("rivals"), ["x", "y"]);
    assert_eq!(stage.simulator.list_members(&channel("rivals"), MembershipType::Hidden), [user("z")].into());
    assert_eq!(verdict(&stage.get("a-rivals").await), ["True", "False", "False"]);

    stage.apply("shared", owned("shared", &["a"])).await;
    stage.apply("orphaned", owned("orphaned", &["a", "b"])).await;
    // A member changes its type: the new resource declares it before the old one stops.
    stage.apply("z-moved", hidden("moved", &["y", "z"])).await;
    stage.until_reason("z-moved", "OwnershipConflict").await;
    stage.apply("a-moved", owned("moved", &["x"])).await;
    let moved = stage.until_reason("z-moved", "AllPresent").await;
    assert_eq!(status(&moved).present, Some(2));
    assert_eq!(stage.present("moved"), ["x"]);
    assert_eq!(stage.simulator.list_members(&channel("moved"), MembershipType::Hidden), [user("y"), user("z")].into());
    assert_eq!(removed(&stage, "shared"), [] as [&str; 0], "b and c are declared in the other namespace");
    assert_eq!(removed(&stage, "orphaned"), [] as [&str; 0], "c is declared there, too");

    // One declarer is edited and the other deleted: members that the first no longer declares
    // leave, and members of the second are pending approval.
    apply(&there, "shared", owned("shared", &["c", "d"])).await;
    there.delete("orphaned", &DeleteParams::default()).await.unwrap();
    let told = stage.until_reason("orphaned", "ApprovalRequired").await;
    let pending = status(&told).pending_approval.unwrap();
    assert_eq!((pending.reasons.as_slice(), pending.removals), ([ApprovalReason::DeclarerGone].as_slice(), 1));
    stage.until_service("b leaves", |_| removed(&stage, "shared") == ["b"]).await;
    stage.patch("orphaned", json!({"metadata": {"annotations": {APPROVE: pending.hash}}})).await;
    stage.until_service("c leaves", |_| removed(&stage, "orphaned") == ["c"]).await;
    assert_eq!(stage.present("orphaned"), ["a", "b", "d"], "d was never declared here, and has no owner");
    assert_eq!(stage.present("shared"), ["a", "c", "d"]);
}
