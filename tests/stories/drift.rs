//! A channel stays as it is declared, and only if the resource asks for that.

use rollcall::simulator::ApiOperation;
use serde_json::json;

use crate::stage::{Stage, channel, counts, ids, ready, seed, status, support, verdict};

const BATCH: ApiOperation = ApiOperation::BatchCreateChannelMembership;
const LIST: ApiOperation = ApiOperation::ListChannelMemberships;

#[tokio::test]
async fn a_removed_member_returns_at_the_resync_interval() {
    let stage = Stage::open(seed(5)).await;
    let mut spec = support(&ids(5));
    spec["resyncInterval"] = json!("10s");
    stage.apply("team", spec).await;
    let _operator = stage.operator(&[]);
    let told = stage.until_reason("team", "AllPresent").await;
    assert_eq!(status(&told).resync_interval.unwrap().to_string(), "10s");

    assert!(stage.simulator.remove_member(&channel("support"), "m0003").unwrap());
    stage.until_service("the member returns", |it| it.membership_log().len() == 7).await;

    assert_eq!(stage.present("support"), ids(5));
    assert_eq!((stage.calls(LIST), stage.calls(BATCH)), (2, 2));
    let listings: Vec<_> = stage.simulator.call_log().into_iter().filter(|call| call.operation == LIST).collect();
    assert!((listings[1].at - listings[0].at).as_secs() >= 5, "the second listing is not much too early: {listings:?}");
}

#[tokio::test]
async fn a_removed_member_returns_when_a_reconcile_is_requested() {
    let stage = Stage::open(seed(5)).await;
    stage.apply("team", support(&ids(5))).await;
    let _operator = stage.operator(&[]);
    stage.until_reason("team", "AllPresent").await;

    for _ in 0..2 {
        assert!(stage.simulator.remove_member(&channel("support"), "m0003").unwrap());
        stage.reconcile("team").await;
        // A listing that misses a member added a moment ago is repeated before it is trusted.
        stage.until_service("the member returns", |_| stage.count("support") == 5).await;
        let told = stage.until_reason("team", "AllPresent").await;
        assert_eq!(counts(&told), [5, 5, 0, 0]);
    }
    assert_eq!(stage.calls(BATCH), 3);
}

#[tokio::test]
async fn undeclared_members_of_the_channel_stay() {
    let stage = Stage::open(seed(6)).await;
    stage.simulator.add_member(&channel("support"), "m0005").unwrap();
    stage.apply("team", support(&ids(5))).await;
    let _operator = stage.operator(&[]);
    stage.until_reason("team", "AllPresent").await;

    stage.apply("team", support(&ids(2))).await;
    let told = stage.until("team", "two are declared", |it| status(it).desired == Some(2)).await;

    assert_eq!((ready(&told).1.as_str(), counts(&told)), ("AllPresent", [2, 2, 0, 0]));
    assert_eq!(stage.present("support"), ids(6), "undeclared members stay");
    assert_eq!(stage.calls(ApiOperation::DeleteChannelMembership), 0);
    stage.resources.delete("team", &kube::api::DeleteParams::default()).await.unwrap();
    assert!(stage.resources.get_opt("team").await.unwrap().is_none(), "no finalizer delays a deletion");
}

#[tokio::test]
async fn an_empty_member_list_is_ready_after_one_listing() {
    let stage = Stage::open(seed(1)).await;
    stage.simulator.add_member(&channel("support"), "m0000").unwrap();
    stage.apply("team", support(&[] as &[&str])).await;
    let _operator = stage.operator(&[]);

    let told = stage.until_reason("team", "AllPresent").await;

    assert_eq!((counts(&told), stage.present("support")), ([0, 0, 0, 0], ids(1)));
    assert_eq!((stage.calls(LIST), stage.calls(BATCH)), (1, 0));
}

#[tokio::test]
async fn a_suspended_resource_is_neither_listed_nor_judged() {
    let stage = Stage::open(seed(3)).await;
    let mut suspended = support(&ids(3));
    suspended["suspend"] = json!(true);
    stage.apply("new", suspended.clone()).await;
    stage.apply("team", support(&ids(2))).await;
    let _operator = stage.operator(&["--resync-interval=1s", "--min-resync-interval=1s"]);

    let new = stage.until_reason("new", "Suspended").await;
    assert_eq!(verdict(&new), ["Unknown", "False", "False"]);
    stage.until_reason("team", "AllPresent").await;
    stage.apply("team", suspended).await;
    let team = stage.until_reason("team", "Suspended").await;

    assert_eq!(verdict(&team), ["True", "False", "False"], "Ready keeps its status");
    let judged = status(&team).conditions.into_iter().find(|it| it.type_ == "Ready").unwrap();
    assert_eq!(judged.observed_generation, Some(1), "the message is about the earlier state");
    stage.simulator.reset_calls();
    stage.simulator.remove_member(&channel("support"), "m0000").unwrap();
    stage.reconcile("team").await;
    stage.reconcile("new").await;
    assert_eq!(stage.simulator.call_log(), []);

    stage.apply("team", support(&ids(3))).await;
    stage.until_service("all members are present", |_| stage.count("support") == 3).await;
}

#[tokio::test]
async fn an_observed_channel_is_reported_and_not_changed() {
    let stage = Stage::open(seed(3)).await;
    stage.simulator.add_member(&channel("support"), "m0000").unwrap();
    let mut observed = support(&ids(3));
    observed["mode"] = json!("Observe");
    stage.apply("team", observed.clone()).await;
    let _operator = stage.operator(&["--resync-interval=1s", "--min-resync-interval=1s"]);

    let told = stage.until_reason("team", "Observed").await;
    assert_eq!((verdict(&told), counts(&told)), (["False", "False", "False"].map(str::to_owned), [3, 1, 2, 0]));
    assert!(ready(&told).2.contains("1 of 3 present, 2 missing"), "{told:?}");

    for id in &ids(3)[1..] {
        stage.simulator.add_member(&channel("support"), id).unwrap();
    }
    let told = stage.until("team", "all members are present", |it| status(it).present == Some(3)).await;
    assert_eq!((verdict(&told), ready(&told).1.as_str()), (["True", "False", "False"].map(str::to_owned), "Observed"));
    assert_eq!(stage.calls(BATCH), 0);
}
