//! What happens when there is no room, or no time?

use rollcall::simulator::{ChannelSeed, ElasticConfiguration, Quotas, ServiceLimits};
use serde_json::json;

use super::wire::{self, arn, support};
use super::{DEFAULT, people, seed, started};

#[tokio::test]
async fn a_full_channel_takes_as_many_as_fit() {
    let (_simulator, client) =
        started(|options| options.limits = ServiceLimits { members_per_channel: 2, ..ServiceLimits::default() }).await;
    let answer = client.batch(&[arn("user/alice"), arn("user/bob")]).await;
    assert_eq!(answer.codes(), [(arn("user/bob"), "ResourceLimitExceeded".to_owned())]);
    let full = client.batch(&[arn("user/bob")]).await;
    assert_eq!(full.refusal(), (400, "ResourceLimitExceededException".into()));
}

#[tokio::test]
async fn an_elastic_channel_keeps_to_the_services_limits_below_its_own() {
    let configuration = ElasticConfiguration {
        maximum_sub_channels: 3,
        target_memberships_per_sub_channel: 3,
        minimum_membership_percentage: 20,
    };
    for (limits, room) in [
        (ServiceLimits::default(), 9),
        (ServiceLimits { members_per_sub_channel: 2, ..ServiceLimits::default() }, 6),
        (ServiceLimits { sub_channels_per_elastic_channel: 2, ..ServiceLimits::default() }, 6),
    ] {
        let (simulator, _) = started(|options| {
            options.seed = seed().channel(ChannelSeed::new("townhall").elastic(configuration));
            options.limits = limits;
        })
        .await;
        let added = people(12).iter().filter(|id| simulator.add_member(&arn("channel/townhall"), id).is_ok()).count();
        assert_eq!(added, room);
    }
}

#[tokio::test]
async fn a_channel_whose_members_are_refused_is_not_made_and_nobody_was_added() {
    let body = |members: &[&str]| {
        let members: Vec<_> = members.iter().map(|member| arn(member)).collect();
        json!({
            "AppInstanceArn": wire::APP_INSTANCE, "Name": "new", "ChannelId": "new", "ClientRequestToken": "t",
            "MemberArns": members,
        })
        .to_string()
    };
    for limits in [
        ServiceLimits { channels_per_user: 1, ..ServiceLimits::default() },
        ServiceLimits { members_per_channel: 2, ..ServiceLimits::default() },
    ] {
        let (simulator, client) = started(|options| options.limits = limits).await;
        let before = simulator.membership_log();
        // carol is in a channel already; with rollcall, who makes it, they are three.
        let refused = client.send("POST", "/channels", &body(&["user/bob", "user/carol"])).await;
        assert_eq!(refused.refusal(), (400, "ResourceLimitExceededException".into()));
        assert_eq!(simulator.membership_log(), before);
        let made = client.send("POST", "/channels", &body(&["user/bob", "user/bob"])).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert_eq!(
            simulator.list_members(&arn("channel/new"), DEFAULT),
            [arn("user/bob"), arn("user/rollcall")].into()
        );
    }
}

#[tokio::test]
async fn over_the_rate_a_call_is_throttled_without_effect() {
    let (simulator, client) = started(|options| options.quotas = Quotas::Aws).await;
    assert_eq!(client.batch(&[arn("user/alice")]).await.status, 200);
    let throttled = client.batch(&[arn("user/bob")]).await;
    assert_eq!(throttled.refusal(), (429, "ThrottledClientException".into()));
    assert_eq!(throttled.json["Code"], "Throttled");
    assert!(!simulator.list_members(&support(), DEFAULT).contains(&arn("user/bob")));
}
