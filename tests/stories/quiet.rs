//! The operator makes few calls and few writes.

use rollcall::simulator::{ApiOperation, ChannelSeed};
use serde_json::json;

use crate::stage::{Stage, counts, ids, seed, spec, status};
use crate::writes::Writes;

const BATCH: ApiOperation = ApiOperation::BatchCreateChannelMembership;
const LIST: ApiOperation = ApiOperation::ListChannelMemberships;

/// The number of resources in the story of many. `make bench` runs 1,000.
const RESOURCES: usize = 200;
const MEMBERS: usize = 100;

fn name(n: usize) -> String {
    format!("team-{n:04}")
}

#[tokio::test]
async fn many_fresh_channels_cost_two_calls_each_and_at_most_two_status_writes() {
    let channels = (0..RESOURCES).map(|n| ChannelSeed::new(&name(n)));
    let stage = Stage::open(channels.fold(seed(MEMBERS), rollcall::simulator::Seed::channel)).await;
    let members = ids(MEMBERS);
    for n in 0..RESOURCES {
        stage.apply(&name(n), spec(&name(n), &members)).await;
    }
    let writes = Writes::watch(&stage).await;
    let operator = stage.operator(&[]);

    for n in 0..RESOURCES {
        let told = stage.until_reason(&name(n), "AllPresent").await;
        assert_eq!(counts(&told), [100, 100, 0, 0]);
    }

    let calls = u64::try_from(RESOURCES).unwrap();
    assert_eq!(stage.simulator.call_counts(), [(BATCH, calls), (LIST, calls)].into());
    assert!((0..RESOURCES).all(|n| stage.count(&name(n)) == MEMBERS));
    let converged = writes.so_far(&stage).await;
    assert!(converged.values().all(|times| (1..=2).contains(times)), "{converged:?}");

    // No status is written while nothing changes, neither by this process nor by one that lists all
    // the time.
    assert!(operator.stop().await.unwrap());
    let operator = stage.operator(&["--resync-interval=1s", "--min-resync-interval=1s"]);
    stage.until_listed(3 * calls).await;
    assert!(operator.stop().await.unwrap());
    assert_eq!(writes.so_far(&stage).await, converged);
    assert_eq!(stage.calls(BATCH), calls);
}

#[tokio::test]
async fn a_status_is_written_only_when_it_changes() {
    let stage = Stage::open(seed(5)).await;
    stage.apply("team", spec("support", &ids(4))).await;
    let writes = Writes::watch(&stage).await;
    let _operator = stage.operator(&["--resync-interval=1s", "--min-resync-interval=1s"]);
    let told = stage.until_reason("team", "AllPresent").await;

    stage.until_listed(4).await;
    let quiet = stage.get("team").await;
    assert_eq!(quiet.metadata.resource_version, told.metadata.resource_version);
    assert_eq!(writes.so_far(&stage).await["team"], 1);
    assert_eq!(stage.events("team").await.len(), 1, "Ready is reported once");

    // A change outside of the spec causes neither a listing nor a write.
    stage.simulator.reset_calls();
    stage.patch("team", json!({"metadata": {"labels": {"colour": "blue"}}})).await;
    stage.until_listed(2).await;
    assert_eq!((writes.so_far(&stage).await["team"], stage.calls(BATCH)), (1, 0));

    stage.apply("team", spec("support", &ids(5))).await;
    stage.until("team", "five are present", |it| status(it).present == Some(5)).await;
    stage.until_listed(2).await;
    assert_eq!(writes.so_far(&stage).await["team"], 2);
}
