//! The calls that removal takes, and those about sub-channels.

use super::*;
use crate::chime::port::{ChannelInfo, ChannelsQuery, Privacy};
use crate::chime::removal;

const BEARER: &str = "arn:aws:chime:eu-central-1:123456789012:app-instance/1f/bot/rollcall";

fn in_sub_channel() -> Target {
    Target { sub_channel: Some("blue".into()), ..target(MembershipType::Default) }
}

/// The path of a membership.
fn membership_of(id: &str) -> String {
    let member = "arn%3Aaws%3Achime%3Aeu-central-1%3A123456789012%3Aapp-instance%2F1f%2Fuser%2F";
    format!("{CHANNEL_PATH}/memberships/{member}{id}")
}

#[tokio::test]
async fn a_delete_names_one_membership_and_is_made_in_the_bearers_name() {
    let stand_in = StandIn::answering(204, None, "").await;
    let place = target(MembershipType::Default);
    assert_eq!(
        stand_in.sdk().await.delete_membership(&place, removal::of(&place, "user/a@b")).await.map(|_| ()),
        Ok(())
    );
    let asked = stand_in.only_request();
    assert_eq!(asked.line(), ("DELETE", membership_of("a%40b")));
    assert_eq!((asked.uri.query(), asked.body.len()), (None, 0));
    assert_eq!(asked.header("x-amz-chime-bearer"), BEARER);
    assert!(asked.header("amz-sdk-request").contains("max=1"));
}

#[tokio::test]
async fn who_is_not_there_any_more_counts_as_deleted_where_the_service_says_so() {
    let place = target(MembershipType::Default);
    for (status, header, deleted) in [
        (404, Some("NotFoundException"), Ok(())),
        // No answer of the service: something in between knows no such page.
        (404, None, Err((CallErrorClass::ChannelNotAccessible, "Http404"))),
        (409, Some("ConflictException"), Err((CallErrorClass::Refused, "Conflict"))),
        (403, Some("ForbiddenException"), Err((CallErrorClass::ChannelNotAccessible, "Forbidden"))),
        (400, Some("BadRequestException"), Err((CallErrorClass::Refused, "BadRequest"))),
        (503, Some("ServiceUnavailableException"), Err((CallErrorClass::Transient, "ServiceUnavailable"))),
    ] {
        let stand_in = StandIn::answering(status, header, "").await;
        let answer = stand_in.sdk().await.delete_membership(&place, removal::of(&place, "user/a")).await;
        assert_eq!(
            answer.as_ref().map(|_| &()).map_err(|error| (error.class, error.code.as_str())),
            deleted.as_ref().map_err(|e| *e)
        );
        assert!(answer.err().is_none_or(|error| error.operation == Operation::DeleteChannelMembership));
    }
}

#[tokio::test]
async fn leave_to_delete_from_one_channel_deletes_from_no_other() {
    let stand_in = StandIn::answering(204, None, "").await;
    let place = target(MembershipType::Default);
    let other = Target { channel: ChannelArn::parse(&format!("{INSTANCE}/channel/other")).unwrap(), ..place.clone() };
    let error = stand_in.sdk().await.delete_membership(&place, removal::of(&other, "user/a")).await.unwrap_err();
    assert_eq!((error.class, error.operation), (CallErrorClass::Refused, Operation::DeleteChannelMembership));
    for named in ["user/a", "channel/us:a@b", "channel/other"] {
        assert!(error.message.contains(named), "{error}");
    }
    assert!(stand_in.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_sub_channel_is_named_by_each_call_about_memberships() {
    let stand_in = StandIn::answering(200, None, r#"{"ChannelMembership":{}}"#).await;
    let (sdk, place) = (stand_in.sdk().await, in_sub_channel());
    sdk.list_page(ListRequest::Members(&place), None).await.unwrap();
    sdk.describe_membership(&place, &member("a")).await.unwrap();
    sdk.delete_membership(&place, removal::of(&place, "user/a")).await.unwrap();
    sdk.batch_create(&place, &[member("a")]).await.unwrap();
    let asked = stand_in.asked.lock().unwrap();
    let queries: Vec<_> = asked.iter().map(Asked::query).collect();
    let only = vec!["sub-channel-id=blue"];
    let listing = vec!["max-results=50", "sub-channel-id=blue", "type=DEFAULT"];
    assert_eq!(queries, [listing, only.clone(), only, vec!["operation=batch-create"]]);
    let body: serde_json::Value = serde_json::from_slice(&asked[3].body).unwrap();
    assert_eq!(body["SubChannelId"], "blue");
}

#[tokio::test]
async fn a_channel_is_described_by_its_maker_and_whether_it_is_elastic() {
    let elastic = r#"{"Channel":{"CreatedBy":{"Arn":"boss","Name":"Boss"},"ElasticChannelConfiguration":
        {"MaximumSubChannels":2,"TargetMembershipsPerSubChannel":2,"MinimumMembershipPercentage":40}}}"#;
    let plain = r#"{"Channel":{"Name":"c","CreatedBy":{"Arn":"boss"}}}"#;
    for (body, name, created_by, elastic) in [
        (elastic, None, Some("boss"), true),
        (plain, Some("c"), Some("boss"), false),
        (r#"{"Channel":{}}"#, None, None, false),
        ("{}", None, None, false),
    ] {
        let stand_in = StandIn::answering(200, None, body).await;
        let described = stand_in.sdk().await.describe_channel(&target(MembershipType::Hidden)).await;
        let [name, created_by] = [name, created_by].map(|text: Option<&str>| text.map(str::to_owned));
        assert_eq!(described, Ok(ChannelInfo { name, created_by, elastic }));
        let asked = stand_in.only_request();
        assert_eq!(asked.line(), ("GET", CHANNEL_PATH.to_owned()));
        assert_eq!((asked.uri.query(), asked.header("x-amz-chime-bearer")), (None, BEARER));
    }
}

#[tokio::test]
async fn moderators_bans_and_sub_channels_are_listed_by_fifty() {
    let answer = r#"{"ChannelArn":"c","NextToken":"t","ChannelModerators":[{"Moderator":{"Arn":"m1"}},{}],
        "ChannelBans":[{"Member":{"Arn":"m2","Name":"Two"}},{"Member":{}}],"SubChannels":[{"SubChannelId":"s","MembershipCount":3},{}]}"#;
    let stand_in = StandIn::answering(200, None, answer).await;
    // About the channel as a whole, whichever sub-channel is meant.
    let (sdk, place) = (stand_in.sdk().await, in_sub_channel());
    let page = |item: &str| Ok(Page { items: vec![item.to_owned().into()], next: Some("t".to_owned()) });
    assert_eq!(sdk.list_page(ListRequest::Moderators(&place), Some("to/ken=")).await, page("m1"));
    assert_eq!(sdk.list_page(ListRequest::Bans(&place), Some("to/ken=")).await, page("m2"));
    assert_eq!(sdk.list_page(ListRequest::SubChannels(&place), Some("to/ken=")).await, page("s"));
    let asked = stand_in.asked.lock().unwrap();
    for (asked, list) in asked.iter().zip(["moderators", "bans", "subchannels"]) {
        assert_eq!(asked.line(), ("GET", format!("{CHANNEL_PATH}/{list}")));
        assert_eq!(asked.query(), ["max-results=50", "next-token=to%2Fken%3D"]);
        assert_eq!(asked.header("x-amz-chime-bearer"), BEARER);
    }
}

#[tokio::test]
async fn channels_are_listed_by_fifty_and_by_privacy() {
    let answer =
        r#"{"NextToken":"t","Channels":[{"Name":"One","ChannelArn":"c1","Privacy":"PRIVATE"},{"Name":"none"}]}"#;
    let stand_in = StandIn::answering(200, None, answer).await;
    let sdk = stand_in.sdk().await;
    for (privacy, asked_for) in [(Privacy::Public, "PUBLIC"), (Privacy::Private, "PRIVATE")] {
        let whose = ChannelsQuery { bearer: in_sub_channel().bearer, privacy };
        let page = Page { items: vec!["c1".to_owned().into()], next: Some("t".to_owned()) };
        assert_eq!(sdk.list_page(ListRequest::Channels(&whose), None).await, Ok(page));
        let asked = stand_in.asked.lock().unwrap().pop().unwrap();
        assert_eq!(asked.line(), ("GET", "/channels".to_owned()));
        let instance = "arn%3Aaws%3Achime%3Aeu-central-1%3A123456789012%3Aapp-instance%2F1f";
        let (instance, privacy) = (format!("app-instance-arn={instance}"), format!("privacy={asked_for}"));
        assert_eq!(asked.query(), [instance.as_str(), "max-results=50", privacy.as_str()]);
        assert_eq!(asked.header("x-amz-chime-bearer"), BEARER);
    }
}

#[tokio::test]
async fn the_last_page_of_any_list_may_have_an_empty_token_and_nothing_in_it() {
    for body in ["{}", r#"{"NextToken":""}"#] {
        let stand_in = StandIn::answering(200, None, body).await;
        let (sdk, place) = (stand_in.sdk().await, target(MembershipType::Default));
        assert_eq!(sdk.list_page(ListRequest::Moderators(&place), None).await, Ok(Page::default()));
        assert_eq!(sdk.list_page(ListRequest::Bans(&place), None).await, Ok(Page::default()));
        assert_eq!(sdk.list_page(ListRequest::SubChannels(&place), None).await, Ok(Page::default()));
        assert!(stand_in.asked.lock().unwrap().iter().all(|asked| asked.query() == ["max-results=50"]));
    }
}

#[tokio::test]
async fn a_refusal_tells_which_call_was_refused() {
    let stand_in = StandIn::answering(403, Some("ForbiddenException"), r#"{"Message":"no role"}"#).await;
    let (sdk, place) = (stand_in.sdk().await, target(MembershipType::Default));
    for (error, operation) in [
        (sdk.describe_channel(&place).await.unwrap_err(), Operation::DescribeChannel),
        (sdk.list_page(ListRequest::Moderators(&place), None).await.unwrap_err(), Operation::ListChannelModerators),
        (sdk.list_page(ListRequest::Bans(&place), None).await.unwrap_err(), Operation::ListChannelBans),
        (sdk.list_page(ListRequest::SubChannels(&place), None).await.unwrap_err(), Operation::ListSubChannels),
    ] {
        assert_eq!((error.operation, error.class), (operation, CallErrorClass::ChannelNotAccessible));
        assert_eq!((error.code.as_str(), error.message.as_str()), ("Forbidden", "no role"));
    }
}

#[tokio::test]
async fn a_membership_says_when_it_began_as_far_as_that_is_a_time() {
    for (time, created) in [
        ("1700000000.25", Some(jiff::Timestamp::from_millisecond(1_700_000_000_250).unwrap())),
        ("1e15", None),
        ("null", None),
    ] {
        let body = format!(r#"{{"ChannelMembership":{{"Type":"DEFAULT","CreatedTimestamp":{time}}}}}"#);
        let stand_in = StandIn::answering(200, None, body.leak()).await;
        let described = stand_in.sdk().await.describe_membership(&target(MembershipType::Default), &member("a")).await;
        assert_eq!(described.unwrap().unwrap().created, created, "{time}");
    }
}
