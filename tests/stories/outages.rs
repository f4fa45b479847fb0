//! The operator recovers from outages of the API server. Each story has an API server of its own.

use std::time::Duration;

use rollcall::api::custom_resource_definition;
use rollcall::simulator::{ApiOperation, Fault, FaultEffect, Quotas, SimulatorOptions};

use crate::control_plane::ControlPlane;
use crate::operator::Operator;
use crate::stage::{BEARER, Stage, UNPACED, channel, counts, eventually, ids, seed, support, verdict};

const BATCH: ApiOperation = ApiOperation::BatchCreateChannelMembership;

/// Starts a cluster of its own, and an operator that watches all of it.
async fn cluster(users: usize) -> (ControlPlane, Stage) {
    let control_plane = ControlPlane::start().await.unwrap();
    control_plane.install_crd(&custom_resource_definition()).await.unwrap();
    let options = SimulatorOptions { seed: seed(users), quotas: Quotas::Off, ..SimulatorOptions::default() };
    let stage = Stage::with(&control_plane, options).await;
    (control_plane, stage)
}

fn start(stage: &Stage, flags: &[&str]) -> Operator {
    let bearer = format!("--chime-bearer={BEARER}");
    stage.operator_of(&stage.simulator.endpoint(), &[&[bearer.as_str()], UNPACED.as_slice(), flags].concat())
}

#[tokio::test]
async fn an_api_server_outage_stops_no_work_and_loses_no_edit() {
    let (mut control_plane, stage) = cluster(400).await;
    stage.simulator.inject_fault(Fault::new(FaultEffect::latency(Duration::from_millis(300))).on(BATCH));
    stage.apply("team", support(&ids(300))).await;
    let operator = start(&stage, &[]);
    stage.until_service("the work has begun", |_| stage.count("support") >= 100).await;

    control_plane.kill_apiserver();
    stage.until_service("the work goes on", |_| stage.count("support") == 300).await;
    eventually("the operator has noticed", async || {
        operator.log().contains("the status is written again").then_some(())
    })
    .await;
    control_plane.start_apiserver().await.unwrap();

    let told = stage.until_reason("team", "AllPresent").await;
    assert_eq!((verdict(&told), counts(&told)), (["True", "False", "False"].map(str::to_owned), [300, 300, 0, 0]));
    stage.apply("team", support(&ids(400))).await;
    let told = stage.until("team", "400 are present", |it| counts(it) == [400, 400, 0, 0]).await;
    assert_eq!((verdict(&told), stage.count("support")), (["True", "False", "False"].map(str::to_owned), 400));
    assert!(operator.stop().await.unwrap());
    control_plane.stop().await;
}

#[tokio::test]
async fn the_operator_waits_for_a_late_or_hanging_api_server() {
    let (mut control_plane, stage) = cluster(20).await;
    stage.apply("team", support(&ids(10))).await;
    control_plane.kill_apiserver();
    let operator = start(&stage, &["--resync-interval=1s", "--min-resync-interval=1s"]);
    eventually("the operator has noticed", async || operator.log().contains("the watch failed").then_some(())).await;
    control_plane.start_apiserver().await.unwrap();
    stage.until_reason("team", "AllPresent").await;

    // Connections stay open and get no answer, but every call has a timeout.
    stage.simulator.ban_member(&channel("support"), "m0000").unwrap();
    control_plane.pause_apiserver().unwrap();
    eventually("a write is given up", async || operator.log().contains("no answer within 10 s").then_some(())).await;
    control_plane.resume_apiserver().unwrap();

    let told = stage.until_reason("team", "MembersRefused").await;
    assert_eq!(counts(&told), [10, 9, 0, 1]);
    control_plane.kill_apiserver();
    assert!(operator.stop().await.unwrap(), "the operator stops while the API server is away");
    control_plane.stop().await;
}
