//! `rollcall release` prepares an uninstall: no member is lost, and no resource is stuck.

use std::process::{Command, Output};

use futures::{StreamExt as _, stream};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use rollcall::simulator::{ApiOperation, ChannelSeed};
use serde_json::json;

use crate::stage::{Stage, channel, eventually, ids, ready, seed, shared, spec};

const RESOURCES: usize = 500;
const CHANNELS: usize = 50;

async fn release(stage: &Stage) -> Output {
    let kubeconfig = shared().await.kubeconfig();
    Command::new(env!("CARGO_BIN_EXE_rollcall"))
        .args(["release", "--watch-namespace", &stage.namespace])
        .env("KUBECONFIG", kubeconfig)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn release_of_500_resources_under_a_running_operator_removes_no_member() {
    let channels = (0..CHANNELS).map(|n| format!("c{n}"));
    let stage = Stage::open(channels.fold(seed(20), |seed, id| seed.channel(ChannelSeed::new(&id)))).await;
    let operator = stage.operator(&["--resync-interval=10s"]);
    let everyone = ids(20);
    let apply = |n: usize| {
        let mut spec = spec(&format!("c{}", n % CHANNELS), &everyone[n % 10..n % 10 + 10]);
        spec["prune"] = json!(["Owned", "Declared", "Never"][n % 3]);
        spec["deletionPolicy"] = json!(if n % 3 == 2 || n.is_multiple_of(7) { "Retain" } else { "Delete" });
        let stage = &stage;
        async move { stage.apply(&format!("r{n}"), spec).await }
    };
    stream::iter(0..RESOURCES).map(apply).buffer_unordered(16).collect::<Vec<_>>().await;
    let list = || async { stage.resources.list(&ListParams::default()).await.unwrap().items };
    eventually("all resources are ready", async || {
        let all = list().await;
        all.iter().all(|object| ready(object).1 == "AllPresent").then_some(())
    })
    .await;
    let bound = list().await.iter().filter(|object| !object.finalizers().is_empty()).count();
    assert!(bound > 250, "{bound}");
    let before: Vec<usize> = (0..CHANNELS).map(|n| stage.count(&format!("c{n}"))).collect();

    assert_eq!(
        said(&release(&stage).await),
        format!("released {bound} ChannelMemberships; no member was removed from a channel\n")
    );
    assert!(said(&release(&stage).await).starts_with("released 0 "), "a second run succeeds");

    // The operator still runs, and reconciles each resource again.
    let asked = stage.reconcile("r1").await;
    assert!(asked.finalizers().is_empty(), "{asked:?}");
    stage.resources.delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    eventually("no resource is left", async || list().await.is_empty().then_some(())).await;
    assert!(operator.stop().await.unwrap());
    assert_eq!((0..CHANNELS).map(|n| stage.count(&format!("c{n}"))).collect::<Vec<_>>(), before);
    assert_eq!(stage.calls(ApiOperation::DeleteChannelMembership), 0);
}

#[tokio::test]
async fn release_ends_stuck_deletions_and_keeps_other_finalizers() {
    let stage = Stage::open(seed(1)).await;
    let mut spec = spec("support", &["m0000"]);
    (spec["prune"], spec["deletionPolicy"]) = (json!("Owned"), json!("Delete"));
    stage.apply("team", spec.clone()).await;
    stage.apply("kept", spec).await;
    let both = json!({"metadata": {"finalizers": ["example.com/other", "rollcall.dev/prune"]}});
    stage.patch("team", json!({"metadata": {"finalizers": ["rollcall.dev/prune"]}})).await;
    stage.patch("kept", both).await;
    stage.simulator.add_member(&channel("support"), "m0000").unwrap();
    for name in ["team", "kept"] {
        stage.resources.delete(name, &DeleteParams::default()).await.unwrap();
    }
    assert!(said(&release(&stage).await).starts_with("released 2 "));
    assert!(stage.resources.get_opt("team").await.unwrap().is_none());
    assert_eq!(stage.get("kept").await.finalizers(), ["example.com/other"]);
    stage.patch("kept", json!({"metadata": {"finalizers": []}})).await;
    assert_eq!(stage.count("support"), 1);
}
