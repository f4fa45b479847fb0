//! The limits and the call rates of the service.

use rollcall::simulator::{ChannelSeed, ElasticConfiguration, Quotas, ServiceLimits};
use serde_json::json;

use super::wire::{self, arn, support};
use super::{DEFAULT, people, seed, started};

#[tokio::test]
async fn batch_adds_only_members_that_fit_into_the_channel() {
    let (_simulator, client) =
        started(|options| options.limits = ServiceLimits { members_per_channel: 2, ..ServiceLimits::default() }).await;
    let answer = client.batch(&[arn("user/alice"), arn("user/bob")]).await;
    assert_eq!(answer.codes(), [(arn("user/bob"), "ResourceLimitExceeded".to_owned())]);
    let full = client.batch(&[arn("user/bob")]).await;
    assert_eq!(full.refusal(), (400, "ResourceLimitExceededException".into()));
}

async fn elastic_capacity(limits: ServiceLimits) -> usize {
    let configuration = ElasticConfiguration {
        maximum_sub_channels: 3,
        target_memberships_per_sub_channel: 3,
        minimum_membership_percentage: 20,
    };
    let (simulator, _) = started(|options| {
        options.seed = seed().channel(ChannelSeed::new("townhall").elastic(configuration));
        options.limits = limits;
    })
    .await;
    people(12).iter().filter(|id| simulator.add_member(&arn("channel/townhall"), id).is_ok()).count()
}

#[tokio::test]
async fn elastic_channel_keeps_to_its_configuration() {
    assert_eq!(elastic_capacity(ServiceLimits::default()).await, 9);
}

#[tokio::test]
async fn elastic_channel_keeps_to_lower_limits_of_the_service() {
    assert_eq!(elastic_capacity(ServiceLimits { members_per_sub_channel: 2, ..ServiceLimits::default() }).await, 6);
    assert_eq!(
        elastic_capacity(ServiceLimits { sub_channels_per_elastic_channel: 2, ..ServiceLimits::default() }).await,
        6
    );
}

#[tokio::test]
async fn channel_with_a_refused_member_is_not_created() {
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
        // carol is in a channel already. With the creator rollcall, the channel would have three
        // members.
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
async fn call_above_the_rate_is_throttled_without_effect() {
    let (simulator, client) = started(|options| options.quotas = Quotas::Aws).await;
    assert_eq!(client.batch(&[arn("user/alice")]).await.status, 200);
    let throttled = client.batch(&[arn("user/bob")]).await;
    assert_eq!(throttled.refusal(), (429, "ThrottledClientException".into()));
    assert_eq!(throttled.json["Code"], "Throttled");
    assert!(!simulator.list_members(&support(), DEFAULT).contains(&arn("user/bob")));
}
