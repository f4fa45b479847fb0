//! The reads that precede a removal: memberships, moderators, bans and sub-channels.

use rollcall::api::MembershipType;
use rollcall::chime::port::{ChannelInfo, ListRequest, Membership, Page, Service as _, Target};
use rollcall::chime::sdk::{Sdk, SdkOptions};
use rollcall::membership::arn::{ChannelArn, MemberArn};
use rollcall::simulator::{ApiOperation, ChannelSeed, ElasticConfiguration, Fault, FaultEffect, Seed};
use serde_json::json;

use super::wire::{self, HttpResponse, arn, support};
use super::{DEFAULT, people, seed, started};

const LONG_AGO: &str = "2026-01-02T03:04:05Z";

fn elastic() -> ChannelSeed {
    ChannelSeed::new("townhall").elastic(ElasticConfiguration {
        maximum_sub_channels: 60,
        target_memberships_per_sub_channel: 2,
        minimum_membership_percentage: 20,
    })
}

fn inviter_and_time(described: &HttpResponse) -> (&str, f64) {
    let membership = &described.json["ChannelMembership"];
    (membership["InvitedBy"]["Arn"].as_str().unwrap(), membership["CreatedTimestamp"].as_f64().unwrap())
}

#[tokio::test]
async fn membership_has_its_inviter_and_time() {
    let long_ago: jiff::Timestamp = LONG_AGO.parse().unwrap();
    let seconds = 1_767_323_045.0;
    let channel =
        ChannelSeed::new("support").members(["carol"]).invited("bob", Some(long_ago), ["alice", "bot/helper"]);
    let (simulator, client) = started(|options| {
        let instance = Seed::new(wire::APP_INSTANCE).users(["rollcall", "alice", "bob", "carol", "dora", "emil"]);
        options.seed = instance.bots(["helper"]).admins(["rollcall"]).channel(channel);
    })
    .await;
    for id in ["user/alice", "bot/helper"] {
        assert_eq!(inviter_and_time(&client.describe(id).await), (arn("user/bob").as_str(), seconds));
    }
    let carol = client.describe("user/carol").await;
    let (inviter, now) = inviter_and_time(&carol);
    assert_eq!(inviter, arn("user/rollcall"), "the creator");
    simulator.add_member_by(&support(), "dora", "alice", None).unwrap();
    let dora = client.describe("user/dora").await;
    assert_eq!(inviter_and_time(&dora).0, arn("user/alice"));
    assert!(inviter_and_time(&dora).1 >= now);
    let emil = json!({"channel": support(), "members": ["emil"], "invitedBy": "bob", "created": LONG_AGO}).to_string();
    assert_eq!(client.send("POST", "/_admin/members", &emil).await.json[arn("user/emil")], "added");
    assert_eq!(inviter_and_time(&client.describe("user/emil").await), (arn("user/bob").as_str(), seconds));
    assert_eq!(
        simulator.membership_log().last().unwrap().bearer.as_ref().map(MemberArn::as_str),
        Some(arn("user/bob").as_str())
    );
    // A member that is added again has a new inviter and time.
    client.delete("user/alice").await;
    client.batch(&[arn("user/alice")]).await;
    let alice = client.describe("user/alice").await;
    assert_eq!(inviter_and_time(&alice).0, arn("user/rollcall"));
    assert!(inviter_and_time(&alice).1 >= now);
}

#[tokio::test]
async fn seed_has_inviters_and_refuses_an_unknown_one() {
    let yaml = |by: &str| {
        format!(
            "appInstances:\n  - arn: {}\n    users: [alice, bob]\n    admins: [alice]\n    channels:\n      - id: support\n        \
             invited:\n          - {{by: {by}, at: {LONG_AGO}, members: [bob]}}\n",
            wire::APP_INSTANCE
        )
    };
    let (simulator, _) = started(|options| options.seed = Seed::from_yaml(&yaml("alice")).unwrap()).await;
    assert_eq!(simulator.list_members(&support(), DEFAULT), [arn("user/bob")].into());
    let error =
        simulator.apply_seed(&Seed::from_yaml(&yaml("ghost").replace("support", "other")).unwrap()).unwrap_err();
    assert!(error.to_string().contains("line 8: \"ghost\""), "{error}");
}

#[tokio::test]
async fn only_moderators_and_admins_remove_others() {
    let channel = ChannelSeed::new("support").members(["carol", "alice", "mallory"]).moderators(["bob"]);
    let (simulator, client) = started(|options| {
        let instance = Seed::new(wire::APP_INSTANCE).users(["rollcall", "alice", "bob", "carol", "mallory"]);
        options.seed = instance.admins(["rollcall"]).channel(channel);
    })
    .await;
    assert_eq!(simulator.list_moderators(&support()), [arn("user/bob")].into());
    let (carol, bob) = (client.as_bearer(Some(&arn("user/carol"))), client.as_bearer(Some(&arn("user/bob"))));
    assert_eq!(carol.delete("user/alice").await.refusal(), (403, "ForbiddenException".into()));
    assert_eq!(bob.delete("user/alice").await.status, 204);
    assert_eq!(client.delete("user/mallory").await.status, 204);
    assert_eq!(carol.delete("user/carol").await.status, 204, "a member may leave");
    assert_eq!(carol.delete("user/carol").await.refusal().0, 403, "a former member has no role");
    assert_eq!(simulator.list_members(&support(), DEFAULT), [].into());
}

#[tokio::test]
async fn sub_channel_has_no_hidden_members() {
    let (simulator, client) = started(|options| options.seed = seed().channel(elastic())).await;
    simulator.add_member(&arn("channel/townhall"), "alice").unwrap();
    let list = async |query: &str| {
        client.send("GET", &wire::of_channel("townhall", &format!("/memberships?{query}")), "").await
    };
    assert_eq!(list("sub-channel-id=sub-0001&type=DEFAULT").await.members(), [arn("user/alice")]);
    assert_eq!(list("sub-channel-id=sub-0001&type=HIDDEN").await.members(), Vec::<String>::new());
}

#[tokio::test]
async fn every_list_can_repeat_its_token_or_end_early() {
    let (simulator, client) = started(|options| {
        let channel = elastic().moderators(["alice", "bob"]).bans(["mallory", "p00119"]);
        options.seed = seed().channel(channel);
    })
    .await;
    for id in people(4) {
        simulator.add_member(&arn("channel/townhall"), &id).unwrap();
    }
    for list in ["moderators", "bans", "subchannels"] {
        let page = async |query: &str| {
            client.send("GET", &wire::of_channel("townhall", &format!("/{list}?max-results=1{query}")), "").await
        };
        let first = page("").await.json["NextToken"].as_str().unwrap().to_owned();
        assert_eq!(page(&format!("&next-token={first}")).await.json.get("NextToken"), None, "{list}");
        simulator.inject_fault(Fault::new(FaultEffect::RepeatToken));
        assert_eq!(page(&format!("&next-token={first}")).await.json["NextToken"], json!(first), "{list}");
        simulator.clear_faults();
        simulator.inject_fault(Fault::new(FaultEffect::EndEarly));
        assert_eq!(page("").await.json.get("NextToken"), None, "{list}");
        simulator.clear_faults();
    }
}

/// Uses the operator's own client, which must understand the service's model as the simulator does.
#[tokio::test]
async fn operator_client_reads_all_that_a_removal_needs() {
    let long_ago: jiff::Timestamp = LONG_AGO.parse().unwrap();
    let (simulator, _) = started(|options| {
        let channel = elastic().created_by("alice").moderators(people(60)).bans(["mallory"]);
        let support = ChannelSeed::new("plain").created_by("bob").invited("carol", Some(long_ago), ["alice"]);
        options.seed =
            seed().channel(channel.invited("carol", Some(long_ago), people(120).split_off(60))).channel(support);
    })
    .await;
    let credentials = Some(("simulator".to_owned(), "simulator".to_owned()));
    let endpoint = Some(simulator.endpoint());
    let sdk = Sdk::load(SdkOptions { endpoint, credentials, ..SdkOptions::default() }).await.unwrap();
    let target = |channel: &str, bearer: &str| Target {
        channel: ChannelArn::parse(&arn(channel)).unwrap(),
        membership_type: MembershipType::Default,
        bearer: MemberArn::parse(&arn(bearer)).unwrap(),
        sub_channel: None,
    };
    let (elastic, plain) = (target("channel/townhall", "user/rollcall"), target("channel/plain", "user/rollcall"));
    let made_by = |name: &str, id: &str, elastic| {
        Ok(ChannelInfo { name: Some(name.to_owned()), created_by: Some(arn(id)), elastic })
    };
    assert_eq!(sdk.describe_channel(&elastic).await, made_by("townhall", "user/alice", true));
    assert_eq!(sdk.describe_channel(&plain).await, made_by("plain", "user/bob", false));
    let first = sdk.list_page(ListRequest::Moderators(&elastic), None).await.unwrap();
    assert_eq!((first.items.len(), first.items[0].id.as_str()), (50, arn("user/p00000").as_str()));
    let rest = sdk.list_page(ListRequest::Moderators(&elastic), first.next.as_deref()).await.unwrap();
    assert_eq!((rest.items.len(), rest.next), (10, None));
    let bans = sdk.list_page(ListRequest::Bans(&elastic), None).await;
    assert_eq!(bans, Ok(Page { items: vec![arn("user/mallory").into()], next: None }));
    let sub_channels = sdk.list_page(ListRequest::SubChannels(&elastic), None).await.unwrap();
    assert_eq!((sub_channels.items.len(), sub_channels.next), (30, None));
    let third = Target { sub_channel: Some(sub_channels.items[2].id.as_str().into()), ..elastic.clone() };
    let listed = sdk.list_page(ListRequest::Members(&third), None).await.unwrap();
    let listed: Vec<String> = listed.items.into_iter().map(|item| item.id).collect();
    assert_eq!(listed, [arn("user/p00064"), arn("user/p00065")]);
    let membership = Membership {
        membership_type: Some(MembershipType::Default),
        invited_by: Some(arn("user/carol")),
        created: Some(long_ago),
    };
    let sixty_four = MemberArn::parse(&arn("user/p00064")).unwrap();
    assert_eq!(sdk.describe_membership(&third, &sixty_four).await, Ok(Some(membership.clone())));
    assert_eq!(sdk.describe_membership(&elastic, &sixty_four).await, Ok(Some(membership)));
    let elsewhere = Target { sub_channel: Some(sub_channels.items[0].id.as_str().into()), ..elastic.clone() };
    assert_eq!(sdk.describe_membership(&elsewhere, &sixty_four).await, Ok(None));
    let member = target("channel/plain", "user/alice");
    for error in [
        sdk.list_page(ListRequest::Moderators(&member), None).await.unwrap_err(),
        sdk.list_page(ListRequest::Bans(&member), None).await.unwrap_err(),
    ] {
        assert_eq!(error.code, "Forbidden");
    }
    assert_eq!(sdk.list_page(ListRequest::SubChannels(&plain), None).await.unwrap_err().code, "BadRequest");
    assert_eq!(simulator.call_counts()[&ApiOperation::ListChannelModerators], 3);
}
