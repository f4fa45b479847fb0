//! The calls that a user's change costs.

use std::time::Duration;

use std::collections::BTreeSet;

use axum::http::Method;
use rollcall::api::MembershipType;
use rollcall::simulator::{ApiOperation, ChannelSeed};
use serde_json::json;

use crate::independent_service::IndependentService;
use crate::stage::{BEARER, INSTANCE, Stage, UNPACED, channel, ids, seed, spec, support, user};

const LIST: ApiOperation = ApiOperation::ListChannelMemberships;
const BATCH: ApiOperation = ApiOperation::BatchCreateChannelMembership;

/// Runs the whole story of one channel on an independent service: `live` members are present, and
/// `missing` more are declared.
async fn check_complete_story(live: usize, missing: usize, region: &str) {
    let stage = Stage::open(seed(0)).await;
    let instance = INSTANCE.replace("us-east-1", region);
    let (arn, bearer) = (format!("{instance}/channel/support"), format!("{instance}/user/rollcall"));
    let arns = |ids: &[String]| ids.iter().map(|id| format!("{instance}/user/{id}")).collect::<BTreeSet<_>>();
    let members = ids(live + missing);
    let service = IndependentService::start(arns(&members[..live])).await;
    stage.apply("team", json!({"channelArn": arn, "members": members})).await;
    let flags = [format!("--watch-namespace={}", stage.namespace), format!("--chime-bearer={bearer}")];
    let flags: Vec<&str> = flags.iter().map(String::as_str).chain(UNPACED).collect();

    let operator = stage.operator_of(&service.endpoint(), &flags);
    stage.until_reason("team", "AllPresent").await;
    assert!(operator.stop().await.unwrap());

    assert_eq!(service.members(), arns(&members));
    let calls = service.calls();
    let path = format!("/channels/{}/memberships", arn.replace(':', "%3A").replace('/', "%2F"));
    for call in &calls {
        assert_eq!(call.path, path);
        assert_eq!(call.header("x-amz-chime-bearer"), Some(bearer.as_str()));
        assert_eq!(call.signature_problem(region, "chime"), None);
    }
    let listings: Vec<_> = calls.iter().filter(|call| call.method == Method::GET).collect();
    assert_eq!(listings.len(), live.div_ceil(50).max(1));
    for listing in listings {
        let query = listing.query();
        assert_eq!(query.get("max-results").map(String::as_str), Some("50"));
        assert_eq!(query.get("type").map(String::as_str), Some("DEFAULT"));
    }
    let batches: Vec<_> = calls.iter().filter(|call| call.method == Method::POST).collect();
    assert_eq!(batches.len(), missing.div_ceil(100));
    for batch in &batches {
        assert_eq!(batch.query, "operation=batch-create");
        assert_eq!(batch.json()["Type"], "DEFAULT");
        assert!(batch.member_arns().len() <= 100);
    }
    let sent: Vec<String> = batches.iter().flat_map(|batch| batch.member_arns()).collect();
    assert_eq!(sent.len(), missing);
    assert_eq!(sent.into_iter().collect::<BTreeSet<_>>(), arns(&members[live..]));
    assert_eq!(calls.len(), live.div_ceil(50).max(1) + missing.div_ceil(100));
}

#[tokio::test]
async fn a_channel_costs_its_pages_and_batches_signed_for_the_bearer() {
    check_complete_story(120, 230, "us-east-1").await;
}

#[tokio::test]
async fn an_empty_channel_costs_one_listing_and_its_batches_in_its_own_region() {
    check_complete_story(0, 100, "eu-central-1").await;
}

#[tokio::test]
async fn a_complete_channel_costs_its_listing_only() {
    check_complete_story(50, 0, "us-east-1").await;
}

#[tokio::test]
async fn one_more_member_of_a_listed_channel_costs_one_batch_and_no_listing() {
    let stage = Stage::open(seed(121)).await;
    stage.apply("team", support(&ids(120))).await;
    let _operator = stage.operator(&[]);
    stage.until_reason("team", "AllPresent").await;
    stage.simulator.reset_calls();

    stage.apply("team", support(&ids(121))).await;
    stage.until("team", "121 are present", |it| it.status.as_ref().unwrap().present == Some(121)).await;

    let log = stage.simulator.call_log();
    assert_eq!(log.len(), 1, "{log:?}");
    assert_eq!((log[0].operation, log[0].members), (BATCH, 1));
}

#[tokio::test]
async fn resources_of_one_channel_share_one_listing_at_each_resync() {
    const RESYNCS: u64 = 5;
    let stage = Stage::open(seed(40)).await;
    let members = ids(40);
    let names: Vec<String> = (0..8).map(|n| format!("team-{n}")).collect();
    for (name, part) in names.iter().zip(members.chunks(5)) {
        stage.apply(name, support(part)).await;
    }
    let _operator = stage.operator(&["--resync-interval=2s", "--min-resync-interval=1s"]);
    for name in &names {
        stage.until_reason(name, "AllPresent").await;
    }
    assert_eq!(stage.present("support"), members);

    stage.until_listed(RESYNCS).await;

    let listings: Vec<_> = stage.simulator.call_log().into_iter().filter(|call| call.operation == LIST).collect();
    // If each of the eight resources listed for itself, there would be four listings a second.
    let (first, last) = (listings[0].at, listings[listings.len() - 1].at);
    let apart = (last - first) / u32::try_from(listings.len() - 1).unwrap();
    assert!(apart > Duration::from_secs(1), "{apart:?} apart: {listings:?}");
    assert!(stage.calls(BATCH) <= 8);
}

#[tokio::test]
async fn a_member_of_two_resources_is_added_once_and_both_are_ready() {
    let stage = Stage::open(seed(3)).await;
    stage.apply("one", support(&["m0000", "m0001"])).await;
    stage.apply("other", support(&["m0001", &user("m0002"), "user/m0001"])).await;
    let _operator = stage.operator(&[]);

    stage.until_reason("one", "AllPresent").await;
    let other = stage.until_reason("other", "AllPresent").await;

    assert_eq!(other.status.unwrap().desired, Some(2), "an id and its ARN are one member");
    assert_eq!(stage.present("support"), ids(3));
    assert!(stage.simulator.membership_log().iter().all(|entry| entry.bearer.as_ref().unwrap().as_str() == BEARER));
}

#[tokio::test]
async fn hidden_members_are_listed_and_added_as_hidden() {
    let channel_seed = ChannelSeed::new("quiet").members(["m0000"]).hidden(["m0001"]);
    let stage = Stage::open(seed(3).channel(channel_seed)).await;
    let mut hidden = spec("quiet", &["m0001", "m0002"]);
    hidden["type"] = json!("HIDDEN");
    stage.apply("observers", hidden).await;
    let _operator = stage.operator(&[]);

    stage.until_reason("observers", "AllPresent").await;

    assert_eq!(
        stage.simulator.list_members(&channel("quiet"), MembershipType::Hidden),
        [user("m0001"), user("m0002")].into()
    );
    let log = stage.simulator.call_log();
    assert_eq!(log.iter().map(|call| (call.operation, call.members)).collect::<Vec<_>>(), [(LIST, 1), (BATCH, 1)]);
}

#[tokio::test]
async fn only_the_named_namespaces_are_watched() {
    let stage = Stage::open(seed(3)).await;
    let second = Stage::open(seed(0)).await;
    let third = Stage::open(seed(0)).await;
    stage.apply("team", support(&["m0000"])).await;
    second.apply("team", support(&["m0001"])).await;
    third.apply("team", support(&["m0002"])).await;
    let _operator = stage.operator(&["--watch-namespace", &second.namespace]);

    stage.until_reason("team", "AllPresent").await;
    second.until_reason("team", "AllPresent").await;

    let unseen = third.get("team").await;
    assert_eq!(unseen.status.unwrap().observed_generation, Some(-1));
    assert_eq!(stage.present("support"), ["m0000", "m0001"]);
}
