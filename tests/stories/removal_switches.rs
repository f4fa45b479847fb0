//! Flags of the operator limit removals whatever the resources ask for.

use std::time::Duration;

use rollcall::simulator::{ApiOperation, ChannelSeed, MembershipChange};
use serde_json::json;

use crate::removal::{DELETE, owned, removed, with};
use crate::stage::{Stage, count, ids, ready, seed, status, verdict};

async fn removals_wait_while_they_are_off() {
    // `greedy` has a channel of its own. On `support` it would be a declarer whose end needs
    // approval if the operator sees it together with the edit of `team`.
    let guarded = ChannelSeed::new("guarded").members(["m0000", "m0003"]);
    let stage = Stage::open(seed(4).channel(guarded)).await;
    let switch = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(switch.path(), "off\n").unwrap();
    stage.apply("team", owned("support", &ids(4))).await;
    stage.apply("greedy", with("guarded", &ids(1), json!({"prune": "Authoritative"}))).await;
    let _operator = stage.operator(&[&format!("--removals={}", switch.path().display())]);
    stage.until_reason("team", "AllPresent").await;
    let greedy = stage.until_reason("greedy", "NotGranted").await;
    assert!(ready(&greedy).2.contains("--allow-authoritative"), "{greedy:?}");

    stage.apply("team", owned("support", &ids(2))).await;
    let off = |it: &_| ready(it).1 == "Removing" && ready(it).2.contains("removals are off (--removals)");
    let told = stage.until("team", "removals are off", off).await;
    assert_eq!((verdict(&told), stage.calls(DELETE)), (["False", "True", "False"].map(str::to_owned), 0));

    std::fs::write(switch.path(), "on\n").unwrap();
    stage.request_reconcile("team").await;
    stage.until_reason("team", "AllPresent").await;
    assert_eq!((removed(&stage, "support"), stage.present("support")), (ids(4)[2..].to_vec(), ids(2)));
    assert_eq!(stage.present("guarded"), ["m0000", "m0003"]);
}

/// Allows one removal in three seconds; a new operator has no unused ones.
async fn an_hourly_limit_makes_removals_wait_and_no_more() {
    let stage = Stage::open(seed(10)).await;
    stage.apply("team", owned("support", &ids(10))).await;
    let operator = stage.operator(&[]);
    stage.until_reason("team", "AllPresent").await;
    operator.kill().await.unwrap();
    stage.apply("team", owned("support", &ids(3))).await;

    let _operator = stage.operator(&["--max-removals-per-hour=1200"]);
    let began = stage.simulator.elapsed();
    let waits = |it: &_| ready(it).1 == "Removing" && ready(it).2.contains("--max-removals-per-hour is used up");
    stage.until("team", "the limit is used up", waits).await;
    let told = stage.until_reason("team", "AllPresent").await;

    assert_eq!((stage.present("support"), status(&told).removed.unwrap().count), (ids(3), 7));
    let log: Vec<MembershipChange> =
        stage.simulator.membership_log().into_iter().filter(|it| it.operation == Some(DELETE)).collect();
    for (before, entry) in log.iter().enumerate() {
        let most = (entry.at - began).as_secs_f64() / 3.0 + 1.0;
        assert!(f64::from(u32::try_from(before + 1).unwrap()) <= most, "{before} before {entry:?}");
    }
}

async fn a_reader_calls_for_lists_and_nothing_else() {
    let stage = Stage::open(seed(6)).await;
    let mut spec = owned("support", &ids(4));
    spec["deletionPolicy"] = json!("Delete");
    stage.apply("team", spec.clone()).await;
    let operator = stage.operator(&[]);
    stage.until_reason("team", "AllPresent").await;
    operator.kill().await.unwrap();
    stage.simulator.reset_calls();
    spec["members"] = json!([ids(6), vec!["ghost".to_owned()]].concat()[2..]);
    stage.apply("team", spec).await;

    let reading = ["--read-only", "--allow-authoritative", "--resync-interval=1s", "--min-resync-interval=1s"];
    let _operator = stage.operator(&reading);
    let told = stage.until_reason("team", "Observed").await;
    assert!(ready(&told).2.starts_with("2 of 5 present, 3 missing"), "{told:?}");
    stage.apply("greedy", with("support", &ids(1), json!({"prune": "Authoritative"}))).await;
    stage.until_reason("greedy", "Observed").await;
    // This is longer than the time until an undeclared member would be removed.
    let since = stage.simulator.elapsed();
    let long = |it: &rollcall::simulator::Simulator| it.elapsed() - since > Duration::from_secs(12);
    stage
        .until_service("the operator continues to list", |it| {
            long(it) && count(it, ApiOperation::ListChannelMemberships) >= 8
        })
        .await;

    let calls = stage.simulator.call_counts();
    assert!(calls.keys().all(|operation| *operation == ApiOperation::ListChannelMemberships), "{calls:?}");
    assert_eq!(stage.present("support"), ids(4));
}

#[tokio::test]
async fn removals_stop_or_slow_down_by_flag_and_read_only_only_lists() {
    tokio::join!(
        removals_wait_while_they_are_off(),
        an_hourly_limit_makes_removals_wait_and_no_more(),
        a_reader_calls_for_lists_and_nothing_else(),
    );
}
