//! The operator signs calls for the right bearer, and reports a missing one.

use rollcall::simulator::{ChannelSeed, Seed};
use serde_json::{Value, json};

use crate::stage::{BEARER, INSTANCE, Stage, UNPACED, ids, ready, seed, status, support, user, verdict};

/// Another app instance, in the service's other region.
const SECOND: &str = "arn:aws:chime:eu-central-1:123456789012:app-instance/2e";

fn with_bearer(bearer: &str) -> Value {
    let mut spec = support(&ids(2));
    spec["chimeBearer"] = json!(bearer);
    spec
}

#[tokio::test]
async fn a_channel_without_a_bearer_names_the_flag_to_set() {
    let stage = Stage::open(seed(2)).await;
    stage.apply("team", support(&ids(2))).await;
    let operator = stage.bare_operator(&UNPACED);

    let told = stage.until_reason("team", "BearerRejected").await;

    assert_eq!(verdict(&told), ["False", "False", "True"]);
    let message = ready(&told).2;
    assert!(message.contains(&format!("--chime-bearer {INSTANCE}/user/<id>")), "{message}");
    assert_eq!(stage.simulator.call_log(), []);
    assert_eq!(stage.events("team").await.len(), 1);

    assert!(operator.stop().await.unwrap());
    let _operator = stage.operator(&[]);
    stage.until_reason("team", "AllPresent").await;
}

#[tokio::test]
async fn each_app_instance_is_called_with_its_own_bearer() {
    let second = Seed::new(SECOND).users(["m0000", "two"]).admins(["two"]).channel(ChannelSeed::new("sales"));
    let mut both = seed(2);
    both.app_instances.extend(second.app_instances);
    let stage = Stage::open(both).await;
    stage.apply("one", support(&ids(2))).await;
    stage.apply("two", json!({"channelArn": format!("{SECOND}/channel/sales"), "members": ["m0000"]})).await;
    let bearers = format!("--chime-bearer={BEARER},{SECOND}/user/two");
    let _operator = stage.bare_operator(&[&[bearers.as_str()], UNPACED.as_slice()].concat());

    let one = stage.until_reason("one", "AllPresent").await;
    let two = stage.until_reason("two", "AllPresent").await;

    assert_eq!(status(&one).bearer.as_deref(), Some(BEARER));
    assert_eq!(status(&two).bearer, Some(format!("{SECOND}/user/two")));
    for call in stage.simulator.call_log() {
        assert_eq!(call.bearer.unwrap().app_instance(), call.channel.unwrap().app_instance());
    }
}

#[tokio::test]
async fn a_bearer_of_a_resource_is_refused_unless_the_operator_allows_it() {
    let stage = Stage::open(seed(2).users(["own"]).admins(["own"])).await;
    stage.apply("team", with_bearer(&user("own"))).await;
    let operator = stage.operator(&[]);

    let told = stage.until_reason("team", "NotGranted").await;

    assert_eq!(verdict(&told), ["False", "False", "True"]);
    let message = ready(&told).2;
    assert!(message.contains(&user("own")) && message.contains("--allow-bearer-override"), "{message}");
    assert_eq!(stage.simulator.call_log(), []);

    assert!(operator.stop().await.unwrap());
    let _operator = stage.operator(&["--allow-bearer-override"]);
    let told = stage.until_reason("team", "AllPresent").await;
    assert_eq!(status(&told).bearer, Some(user("own")));
    let log = stage.simulator.call_log();
    assert!(log.iter().all(|call| call.bearer.as_ref().unwrap().as_str() == user("own")), "{log:?}");
}

#[tokio::test]
async fn an_unknown_bearer_of_a_resource_affects_no_other_resource() {
    let stage = Stage::open(seed(2)).await;
    stage.apply("lost", with_bearer(&user("nobody"))).await;
    stage.apply("team", support(&ids(2))).await;
    let _operator = stage.operator(&["--allow-bearer-override"]);

    let told = stage.until_reason("lost", "BearerRejected").await;

    assert!(ready(&told).2.contains(&user("nobody")), "{told:?}");
    stage.until_reason("team", "AllPresent").await;
}

#[tokio::test]
async fn every_status_says_when_the_service_is_not_aws() {
    let stage = Stage::open(seed(1)).await;
    stage.apply("team", support(&ids(1))).await;
    let _operator = stage.operator(&[]);

    let told = stage.until_reason("team", "AllPresent").await;

    let said = format!("1 of 1 present [the service is {}, not AWS]", stage.simulator.endpoint());
    assert_eq!(ready(&told).2, said);
}
