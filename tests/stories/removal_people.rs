//! Members may leave, be banned, expire, or belong to a sub-channel.

use jiff::{SignedDuration, Timestamp};
use rollcall::api::{ChannelMembership, MembershipType};
use rollcall::simulator::{ApiOperation, ChannelSeed, ElasticConfiguration};
use serde_json::json;

use crate::removal::{owned, removed, with};
use crate::stage::{Stage, channel, counts, ids, ready, seed, spec, status, user};

/// Returns the id and the code of each member error.
fn problems(object: &ChannelMembership) -> Vec<(String, String)> {
    let id = |arn: &str| arn.rsplit('/').next().unwrap().to_owned();
    status(object).errors.into_iter().map(|it| (id(&it.member_arn), it.error_code)).collect()
}

fn problem(id: &str, code: &str) -> (String, String) {
    (id.to_owned(), code.to_owned())
}

#[tokio::test]
async fn on_leave_adds_members_again_or_not_and_banned_ones_are_named() {
    let seed = seed(4).channel(ChannelSeed::new("patient")).channel(ChannelSeed::new("banned").bans(["m0002"]));
    let stage = Stage::open(seed).await;
    stage.apply("dragging", spec("support", &ids(3))).await;
    stage.apply("patient", with("patient", &ids(3), json!({"onLeave": "Report", "prune": "Declared"}))).await;
    stage.apply("banned", spec("banned", &["m0001", "m0002", "ghost"])).await;
    let _operator = stage.operator(&["--resync-interval=1s", "--min-resync-interval=1s"]);
    stage.until_reason("dragging", "AllPresent").await;
    stage.until_reason("patient", "AllPresent").await;

    let told = stage.until_reason("banned", "MembersRefused").await;
    assert_eq!(problems(&told), [problem("ghost", "Forbidden"), problem("m0002", "Forbidden")]);
    let messages: Vec<String> = status(&told).errors.into_iter().map(|it| it.error_message).collect();
    assert!(messages[1].starts_with("is banned from the channel: lift the ban"), "{messages:?}");
    assert!(!messages[0].contains("banned from the channel: lift"), "{messages:?}");
    assert_eq!(stage.calls(ApiOperation::ListChannelBans), 1);

    for id in ["support", "patient"] {
        assert!(stage.simulator.remove_member(&channel(id), "m0001").unwrap());
    }
    stage.until_service("the member returns", |_| stage.count("support") == 3).await;
    let told = stage.until("patient", "the member is left out", |it| problems(it) == [problem("m0001", "Left")]).await;
    assert_eq!((ready(&told).1.as_str(), counts(&told)), ("MembersRefused", [3, 2, 0, 1]));
    assert_eq!(status(&told).errors[0].next_attempt, None);
    // Another edit adds no such member again.
    stage.apply("patient", with("patient", &ids(4), json!({"onLeave": "Report", "prune": "Declared"}))).await;
    stage.until("patient", "the new member is present", |it| counts(it) == [4, 3, 0, 1]).await;
    assert_eq!(stage.present("patient"), ["m0000", "m0002", "m0003"]);

    stage.until_reason("dragging", "AllPresent").await;
    assert!(stage.simulator.remove_member(&channel("support"), "m0001").unwrap());
    let told = stage.until("dragging", "a second time waits", |it| problems(it) == [problem("m0001", "Left")]).await;
    let next = status(&told).errors[0].next_attempt.clone().unwrap().0.duration_since(Timestamp::now());
    assert!((5 * 3600..=6 * 3600).contains(&next.as_secs()), "{told:?}");
    assert_eq!(stage.count("support"), 2);
    stage.reconcile("dragging").await;
    assert_eq!(stage.count("support"), 3, "a requested reconcile adds the member");
}

#[tokio::test]
async fn access_ends_at_its_date_and_sub_channels_need_an_elastic_channel() {
    let townhall = ChannelSeed::new("townhall").moderators(["m0001"]).elastic(ElasticConfiguration {
        maximum_sub_channels: 3,
        target_memberships_per_sub_channel: 2,
        minimum_membership_percentage: 20,
    });
    let stage = Stage::open(seed(5).channel(townhall.members(["m0002", "m0003", "m0004"]))).await;
    stage.apply("staff", owned("support", &ids(2))).await;
    let mut guests = owned("support", &ids(5)[1..4]);
    guests["expiresAt"] = json!("2099-12-31T00:00:00Z");
    stage.apply("guests", guests.clone()).await;
    stage.apply("moderator", with("townhall", &["m0001"], json!({"subChannelId": "sub-0002"}))).await;
    stage.apply("nowhere", with("support", &["m0001"], json!({"subChannelId": "sub-0002"}))).await;
    let _operator = stage.operator(&[]);

    let told = stage.until("guests", "the guests are present", |it| counts(it) == [3, 3, 0, 0]).await;
    assert_eq!(ready(&told).1, "AllPresent");
    stage.until_reason("moderator", "AllPresent").await;
    assert!(stage.simulator.list_members(&channel("townhall"), MembershipType::Default).contains(&user("m0001")));
    let told = stage.until_reason("nowhere", "InvalidMember").await;
    assert!(ready(&told).2.contains("\"sub-0002\" cannot be used, because the channel is not elastic"), "{told:?}");

    // The end is set after the members are present, so that a slow machine cannot reach it first.
    let ends = Timestamp::now() + SignedDuration::from_secs(8);
    guests["expiresAt"] = json!(ends.to_string());
    stage.apply("guests", guests.clone()).await;
    stage.until_service("the guests leave", |_| removed(&stage, "support") == ["m0002", "m0003"]).await;
    let told = stage.until("guests", "no members are declared", |it| counts(it) == [0, 0, 0, 0]).await;
    assert!(Timestamp::now() > ends);
    assert_eq!((status(&told).pending_approval, stage.present("support")), (None, ids(2)), "no approval was needed");

    // A later date admits the guests again.
    guests["expiresAt"] = json!("2099-12-31T00:00:00Z");
    stage.apply("guests", guests).await;
    stage.until_service("the guests return", |_| stage.present("support") == ids(4)).await;
}
