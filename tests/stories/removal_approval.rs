//! Unlikely removals are pending approval, and an approval admits exactly the approved plan.

use std::time::Duration;

use rollcall::api::{APPROVE, ApprovalReason, ChannelMembership, PendingApproval};
use rollcall::simulator::{ChannelSeed, Fault, FaultEffect};
use serde_json::{Value, json};

use crate::removal::{DELETE, owned, removed, removed_sorted, with};
use crate::stage::{Stage, ids, ready, seed, spec, status, verdict};

/// Returns a spec that removes members which it declared and added, within the default limit.
fn limited(channel_id: &str, members: &[String]) -> Value {
    with(channel_id, members, json!({"prune": "Owned"}))
}

/// Returns the plan that is pending approval.
fn pending(object: &ChannelMembership) -> PendingApproval {
    status(object).pending_approval.unwrap_or_default()
}

async fn approve(stage: &Stage, name: &str, hash: &str) {
    stage.patch(name, json!({"metadata": {"annotations": {APPROVE: hash}}})).await;
}

async fn until_approval_required(stage: &Stage, name: &str, removals: u32) -> PendingApproval {
    let waits = |it: &ChannelMembership| ready(it).1 == "ApprovalRequired" && pending(it).removals == removals;
    let told = stage.until(name, "a plan is pending approval", waits).await;
    assert_eq!(verdict(&told), ["False", "False", "True"]);
    pending(&told)
}

#[tokio::test]
async fn an_approved_plan_completes_once_when_the_operator_is_killed() {
    let stage = Stage::open(seed(101)).await;
    let (people, rest) = (ids(101), ids(41));
    stage.apply("team", limited("support", &people)).await;
    let operator = stage.operator(&[]);
    stage.until_reason("team", "AllPresent").await;

    stage.apply("team", limited("support", &rest)).await;
    let plan = until_approval_required(&stage, "team", 60).await;
    assert_eq!((plan.additions, plan.reasons.as_slice()), (0, [ApprovalReason::TooManyRemovals].as_slice()));
    assert_eq!((plan.members.len(), plan.members.iter().next()), (60, Some("-m0041")));
    let message = ready(&stage.get("team").await).2;
    let command = format!("kubectl annotate --overwrite -n {} chm team {APPROVE}={}", stage.namespace, plan.hash);
    assert!(message.contains("60 removals") && message.contains(&command), "{message}");
    assert_eq!(removed(&stage, "support").len(), 0, "the whole plan is pending");

    let slow = stage.simulator.inject_fault(Fault::new(FaultEffect::latency(Duration::from_millis(100))).on(DELETE));
    approve(&stage, "team", &plan.hash).await;
    stage.until_service("some are removed", |_| removed(&stage, "support").len() >= 20).await;
    operator.kill().await.unwrap();
    let before = removed(&stage, "support").len();
    assert!((20..60).contains(&before), "{before}");
    stage.simulator.clear_fault(slow);
    let operator = stage.operator(&[]);
    let told = stage.until_reason("team", "AllPresent").await;
    assert_eq!(removed_sorted(&stage, "support"), people[41..], "each member is removed once");
    assert_eq!(stage.present("support"), rest);
    assert_eq!((status(&told).removed.unwrap().count, status(&told).pending_approval), (60, None));
    assert_eq!(status(&told).last_handled_approval.as_ref(), Some(&plan.hash));

    // The same plan is pending again: the annotation is still there, and its approval is used up.
    stage.apply("team", limited("support", &people)).await;
    stage.until_reason("team", "AllPresent").await;
    stage.apply("team", limited("support", &rest)).await;
    assert_eq!(until_approval_required(&stage, "team", 60).await, plan);
    stage.reconcile("team").await;
    assert_eq!((removed(&stage, "support").len(), stage.count("support")), (60, 101));
    let reasons: Vec<_> = stage.events("team").await.into_iter().filter_map(|event| event.note).collect();
    assert_eq!(reasons.iter().filter(|note| note.starts_with("approved")).count(), 1, "{reasons:?}");
    assert!(operator.stop().await.unwrap());
}

#[tokio::test]
async fn unlikely_removals_wait_and_an_approval_admits_exactly_that_plan() {
    let seed = ["emptied", "changed", "grown"].iter().fold(seed(12), |seed, id| seed.channel(ChannelSeed::new(id)));
    let stage = Stage::open(seed).await;
    let people = ids(12);
    stage.apply("emptied", owned("emptied", &people)).await;
    stage.apply("changed", limited("changed", &people)).await;
    let mut grown = spec("grown", &people[..1]);
    grown["limits"] = json!({"additions": 5});
    stage.apply("grown", grown.clone()).await;
    let _operator = stage.operator(&[]);
    for name in ["emptied", "changed", "grown"] {
        stage.until_reason(name, "AllPresent").await;
    }

    stage.apply("emptied", owned("emptied", &[] as &[&str])).await;
    stage.apply("changed", limited("changed", &people[..8])).await;
    grown["members"] = json!(people);
    stage.apply("grown", grown).await;

    let additions = stage.until("grown", "additions wait", |it| pending(it).additions == 11).await;
    assert_eq!((ready(&additions).1.as_str(), stage.count("grown")), ("ApprovalRequired", 1));
    approve(&stage, "grown", &pending(&additions).hash).await;
    let plan = until_approval_required(&stage, "emptied", 12).await;
    assert_eq!(plan.reasons, [ApprovalReason::NoMembersDeclared], "limits.removals does not matter");
    let first = until_approval_required(&stage, "changed", 4).await;
    stage.until_reason("grown", "AllPresent").await;
    assert_eq!(stage.present("grown"), people);

    // The approval is for another plan.
    stage.apply("changed", limited("changed", &people[..7])).await;
    approve(&stage, "changed", &first.hash).await;
    let second = until_approval_required(&stage, "changed", 5).await;
    assert_ne!(first.hash, second.hash);
    stage.reconcile("changed").await;
    assert_eq!((stage.calls(DELETE), stage.count("changed")), (0, 12));
    approve(&stage, "changed", &second.hash).await;
    let told = stage.until_reason("changed", "AllPresent").await;
    assert_eq!((stage.present("changed"), status(&told).pending_approval), (people[..7].to_vec(), None));

    // The edit is reverted: nothing is pending any more, and no member has left.
    stage.apply("emptied", owned("emptied", &people)).await;
    let told = stage.until_reason("emptied", "AllPresent").await;
    assert_eq!((status(&told).pending_approval, stage.present("emptied")), (None, people));
}
