//! The simulator as a client sees it over HTTP, and as a test sees it in-process.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking; clippy sees only functions marked as tests")]

#[path = "simulator/admin.rs"]
mod admin;
#[path = "simulator/faults.rs"]
mod faults;
#[path = "simulator/limits.rs"]
mod limits;
#[path = "simulator/removal.rs"]
mod removal;
#[path = "simulator/wire.rs"]
mod wire;

use std::time::Duration;

use rollcall::api::MembershipType;
use rollcall::simulator::{
    ApiOperation, ChannelMode, ChannelPrivacy, ChannelSeed, DeleteOfNonMember, MembershipAction, MissingCode, Quotas,
    RepeatedMember, Seed, Simulator, SimulatorOptions, UndocumentedBehaviours,
};
use serde_json::json;
use wire::{Client, arn, support};

const DEFAULT: MembershipType = MembershipType::Default;

fn people(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("p{n:05}")).collect()
}

fn seed() -> Seed {
    Seed::new(wire::APP_INSTANCE)
        .users(["rollcall", "alice", "bob", "carol", "mallory", "a@b.c", "us-east-1:0f"])
        .users(people(120))
        .bots(["helper"])
        .admins(["rollcall"])
        .channel(
            ChannelSeed::new("support")
                .mode(ChannelMode::Restricted)
                .privacy(ChannelPrivacy::Private)
                .bans(["mallory"])
                .members(["carol"]),
        )
}

async fn started(change: impl FnOnce(&mut SimulatorOptions)) -> (Simulator, Client) {
    let mut options = SimulatorOptions { seed: seed(), quotas: Quotas::Off, ..SimulatorOptions::default() };
    change(&mut options);
    let simulator = Simulator::start(options).await.unwrap();
    let client = Client::new(&simulator.endpoint());
    (simulator, client)
}

#[tokio::test]
async fn batch_adds_allowed_members_and_reports_the_others() {
    let (simulator, client) = started(|_| {}).await;
    let foreign = "arn:aws:chime:us-east-1:123456789012:app-instance/other/user/x";
    let members = [
        arn("user/alice"),
        arn("user/carol"),
        arn("user/mallory"),
        arn("user/ghost"),
        foreign.into(),
        arn("user/alice"),
    ];
    let answer = client.batch(&members).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let added = &answer.json["BatchChannelMemberships"];
    assert_eq!(added["Members"], json!([{"Arn": arn("user/alice"), "Name": "alice"}]));
    assert_eq!(added["InvitedBy"]["Arn"], json!(arn("user/rollcall")));
    assert_eq!(
        answer.codes(),
        [
            (arn("user/carol"), "Conflict".into()),
            (arn("user/mallory"), "Forbidden".into()),
            (arn("user/ghost"), "Forbidden".into()),
            (foreign.into(), "Forbidden".into()),
            (arn("user/alice"), "Conflict".into()),
        ]
    );
    assert_eq!(simulator.list_members(&support(), DEFAULT), [arn("user/alice"), arn("user/carol")].into());
    let log = simulator.membership_log();
    let last = log.last().unwrap();
    assert_eq!((last.action, last.member.as_str()), (MembershipAction::Added, arn("user/alice").as_str()));
    assert_eq!(last.bearer.as_ref().map(ToString::to_string), Some(arn("user/rollcall")));
    assert_eq!(last.operation, Some(ApiOperation::BatchCreateChannelMembership));
}

#[tokio::test]
async fn listing_has_pages_of_fifty_until_the_last() {
    let (simulator, client) = started(|_| {}).await;
    for id in people(101) {
        simulator.add_member(&support(), &id).unwrap();
    }
    let mut sizes = vec![];
    let mut token = String::new();
    loop {
        let page = client.list(&format!("max-results=50{token}")).await;
        sizes.push(page.json["ChannelMemberships"].as_array().unwrap().len());
        match page.json.get("NextToken").and_then(|token| token.as_str()) {
            Some(next) => token = format!("&next-token={next}"),
            None => break,
        }
        // A removal between two pages does not shift the other members.
        simulator.remove_member(&support(), "p00000").unwrap();
    }
    assert_eq!(sizes, [50, 50, 2]);
    assert_eq!(simulator.call_counts(), [(ApiOperation::ListChannelMemberships, 3)].into());
    assert_eq!(simulator.call_log().iter().map(|call| call.members).collect::<Vec<_>>(), [50, 50, 2]);
}

#[tokio::test]
async fn hidden_members_are_listed_apart() {
    let (simulator, client) = started(|_| {}).await;
    simulator.add_member_as(&support(), "bob", MembershipType::Hidden).unwrap();
    assert_eq!(client.list("").await.members(), [arn("user/carol")]);
    assert_eq!(client.list("type=HIDDEN").await.members(), [arn("user/bob")]);
    let conflict = client.batch(&[arn("user/bob")]).await;
    assert_eq!(conflict.codes(), [(arn("user/bob"), "Conflict".to_owned())]);
    assert_eq!(simulator.remove_member(&support(), "bob"), Ok(true));
    assert_eq!(simulator.member_count(&support(), MembershipType::Hidden), 0);
}

#[tokio::test]
async fn malformed_call_is_refused_before_any_change() {
    let (simulator, client) = started(|_| {}).await;
    let many: Vec<String> = people(101).iter().map(|id| arn(&format!("user/{id}"))).collect();
    assert_eq!(client.batch(&many).await.refusal(), (400, "BadRequestException".into()));
    assert_eq!(client.batch(&[]).await.refusal(), (400, "BadRequestException".into()));
    assert_eq!(client.batch(&[arn("user/alice"), "nonsense".into()]).await.refusal().0, 400);
    for body in ["", "{", "[]", "null", "\u{fffd}", r#"{"MemberArns": 1}"#, r#"{"MemberArns": ["x"], "Type": "ODD"}"#] {
        let path = wire::memberships("?operation=batch-create");
        assert_eq!(client.send("POST", &path, body).await.refusal().0, 400, "{body}");
    }
    for query in
        ["max-results=0", "max-results=51", "max-results=x", "next-token=made-up", "type=ODD", "sub-channel-id=x"]
    {
        assert_eq!(client.list(query).await.refusal(), (400, "BadRequestException".into()), "{query}");
    }
    assert_eq!(simulator.member_count(&support(), DEFAULT), 1);
}

#[tokio::test]
async fn bearers_need_a_header_an_identity_and_a_role() {
    let (_simulator, client) = started(|_| {}).await;
    assert_eq!(client.as_bearer(None).list("").await.refusal(), (400, "BadRequestException".into()));
    for unknown in ["nonsense".to_owned(), arn("user/ghost")] {
        let answer = client.as_bearer(Some(&unknown)).list("").await;
        assert_eq!(answer.refusal(), (401, "UnauthorizedClientException".into()));
        assert_eq!(answer.json["Code"], "Unauthorized");
    }
    assert_eq!(client.as_bearer(Some(&arn("user/alice"))).list("").await.refusal(), (403, "ForbiddenException".into()));
    let carol = client.as_bearer(Some(&arn("user/carol")));
    assert_eq!(carol.list("").await.status, 200);
    assert_eq!(carol.list("type=HIDDEN").await.refusal().0, 403);
    assert_eq!(carol.batch(&[arn("user/alice")]).await.refusal().0, 403);
}

#[tokio::test]
async fn call_must_be_signed_for_the_service_and_the_region() {
    let (_simulator, client) = started(|options| options.region = Some("eu-central-1".into())).await;
    assert_eq!(client.list("").await.refusal(), (403, "InvalidSignatureException".into()));
    assert_eq!(client.signed_for("eu-central-1").list("").await.status, 200);
    assert_eq!(client.unsigned().list("").await.refusal(), (403, "MissingAuthenticationTokenException".into()));
}

#[tokio::test]
async fn every_response_has_a_request_id_and_a_date() {
    let (_simulator, client) = started(|_| {}).await;
    for answer in [client.list("").await, client.send("GET", "/nowhere", "").await, client.list("max-results=0").await]
    {
        assert!(answer.headers.contains_key("x-amzn-requestid") && answer.headers.contains_key("date"), "{answer:?}");
    }
    assert_eq!(client.send("GET", "/nowhere", "").await.refusal(), (404, "UnknownOperationException".into()));
}

#[tokio::test]
async fn undocumented_behaviours_can_be_changed() {
    let behaviours = UndocumentedBehaviours {
        existing_member: RepeatedMember::Success,
        duplicate_in_batch: RepeatedMember::Success,
        delete_of_non_member: DeleteOfNonMember::Conflict,
        missing_channel_read: MissingCode::NotFound,
        missing_channel_write: MissingCode::Forbidden,
        unknown_member: MissingCode::NotFound,
        ..UndocumentedBehaviours::default()
    };
    let (simulator, client) = started(|options| options.behaviours = behaviours).await;
    let answer = client.batch(&[arn("user/carol"), arn("user/alice"), arn("user/alice"), arn("user/ghost")]).await;
    assert_eq!(answer.codes(), [(arn("user/ghost"), "NotFound".to_owned())]);
    assert_eq!(answer.json["BatchChannelMemberships"]["Members"].as_array().unwrap().len(), 3);
    assert_eq!(client.delete("user/bob").await.refusal(), (409, "ConflictException".into()));
    assert_eq!(simulator.delete_channel(&support()), Ok(true));
    assert_eq!(client.list("").await.refusal(), (404, "NotFoundException".into()));
    assert_eq!(client.batch(&[arn("user/bob")]).await.refusal(), (403, "ForbiddenException".into()));
}

#[tokio::test]
async fn missing_channel_is_forbidden_to_read_and_not_found_to_add() {
    let (simulator, client) = started(|_| {}).await;
    assert_eq!(client.delete("user/bob").await.status, 204);
    simulator.delete_channel(&support()).unwrap();
    assert_eq!(client.list("").await.refusal().0, 403);
    assert_eq!(client.delete("user/bob").await.refusal().0, 403);
    assert_eq!(client.batch(&[arn("user/bob")]).await.refusal().0, 404);
}

#[tokio::test]
async fn reads_lag_behind_writes_by_the_visibility_delay() {
    let (simulator, client) = started(|options| options.visibility_delay = Duration::from_hours(1)).await;
    client.batch(&[arn("user/alice")]).await;
    assert!(simulator.list_members(&support(), DEFAULT).contains(&arn("user/alice")));
    assert_eq!(client.list("").await.members(), [arn("user/carol")]);
    assert_eq!(client.describe("user/alice").await.refusal(), (404, "NotFoundException".into()));
    assert_eq!(client.batch(&[arn("user/alice")]).await.codes()[0].1, "Conflict");
    assert_eq!(client.delete("user/carol").await.status, 204);
    assert_eq!(client.list("").await.members(), [arn("user/carol")]);
}

#[tokio::test]
async fn invalid_seed_is_refused_with_the_value() {
    for (seed, value) in [
        (Seed::new("nonsense"), "nonsense"),
        (Seed::new(wire::APP_INSTANCE).users(["-"]), "\"-\""),
        (Seed::new(wire::APP_INSTANCE).users(["bot/x"]), "bot/x"),
        (Seed::new(wire::APP_INSTANCE).admins(["ghost"]), "ghost"),
        (seed().channel(ChannelSeed::new("support")), "support"),
        (seed().channel(ChannelSeed::new("a b")), "a b"),
        (seed().channel(ChannelSeed::new("c").members(["ghost"])), "ghost"),
        (seed().channel(ChannelSeed::new("c").members(["bob"]).bans(["bob"])), "bob"),
        (Seed::new(wire::APP_INSTANCE).channel(ChannelSeed::new("c")), "createdBy"),
    ] {
        let error =
            Simulator::start(SimulatorOptions { seed, ..SimulatorOptions::default() }).await.unwrap_err().to_string();
        assert!(error.contains(value), "{error}");
    }
}

#[tokio::test]
async fn sample_seed_starts() {
    let seed = Seed::from_yaml(include_str!("../examples/simulator/seed.yaml")).unwrap();
    let simulator = Simulator::start(SimulatorOptions { seed, ..SimulatorOptions::default() }).await.unwrap();
    assert_eq!(simulator.list_members(&support(), DEFAULT), [arn("user/alice")].into());
    assert_eq!(simulator.list_bans(&support()), [arn("user/mallory")].into());
}
