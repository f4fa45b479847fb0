//! A deleted resource removes or keeps its members, and its deletion always ends.

use kube::api::DeleteParams;
use rollcall::api::FINALIZER;
use rollcall::simulator::{ChannelSeed, Fault, FaultEffect};
use serde_json::{Value, json};

use crate::removal::{DELETE, owned, removed_sorted};
use crate::stage::{Stage, channel, eventually, ids, seed};

fn ending(channel_id: &str, members: &[impl AsRef<str>]) -> Value {
    let mut spec = owned(channel_id, members);
    spec["deletionPolicy"] = json!("Delete");
    spec
}

const ENDING: [&str; 6] = ["pruned", "closed", "lost", "suspended", "observed", "changed"];

#[tokio::test]
async fn a_deleted_resource_removes_or_keeps_its_members_and_always_goes() {
    let seed = ENDING.iter().fold(seed(5), |seed, id| seed.channel(ChannelSeed::new(id).members(["m0003"])));
    let stage = Stage::open(seed).await;
    for name in ENDING {
        stage.apply(name, ending(name, &ids(3))).await;
    }
    // It declares one member of `pruned` as well, and one more.
    stage.apply("other", owned("pruned", &["m0000", "m0004"])).await;
    let _operator = stage.operator(&[]);
    for name in ENDING {
        let told = stage.until_reason(name, "AllPresent").await;
        assert_eq!(told.metadata.finalizers.as_deref(), Some([FINALIZER.to_owned()].as_slice()));
    }
    stage.until_reason("other", "AllPresent").await;
    let answers = |id: &str, status: u16, code: &str| {
        stage.simulator.inject_fault(Fault::new(FaultEffect::error(status, code)).channel(&channel(id)))
    };
    answers("closed", 403, "ForbiddenException");
    answers("lost", 404, "NotFoundException");

    for name in ENDING {
        stage.resources.delete(name, &DeleteParams::default()).await.unwrap();
    }
    stage.patch("suspended", json!({"spec": {"suspend": true}})).await;
    stage.patch("observed", json!({"spec": {"mode": "Observe"}})).await;
    stage.patch("changed", json!({"spec": {"deletionPolicy": "Retain"}})).await;

    let gone = async |name: &str| {
        let what = format!("{name} is gone");
        eventually(&what, async || stage.resources.get_opt(name).await.unwrap().is_none().then_some(())).await;
    };
    for name in ["suspended", "observed", "changed", "lost"] {
        gone(name).await;
    }
    stage.until_reason("closed", "ChannelNotAccessible").await;
    gone("pruned").await;
    assert_eq!(removed_sorted(&stage, "pruned"), ["m0001", "m0002"], "members that another resource declares stay");
    assert_eq!(stage.present("pruned"), ["m0000", "m0003", "m0004"]);
    assert!(stage.resources.get_opt("closed").await.unwrap().is_some(), "the deletion waits for its channel");

    stage.patch("closed", json!({"metadata": {"annotations": {"rollcall.dev/release": "true"}}})).await;
    gone("closed").await;

    assert_eq!(stage.calls(DELETE), 2);
    for name in &ENDING[1..] {
        assert_eq!(stage.present(name), ids(4), "{name}");
    }
}
