//! What a client of the service sees of the simulator on the wire, and what tests see of it in-process.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking; clippy sees only functions marked as tests")]

#[path = "simulator/limits.rs"]
mod limits;
#[path = "simulator/removal.rs"]
mod removal;
#[path = "simulator/wire.rs"]
mod wire;

use std::time::Duration;

use rollcall::api::MembershipType;
use rollcall::simulator::{
    ApiOperation, ChannelMode, ChannelPrivacy, ChannelSeed, DeleteOfNonMember, Fault, FaultEffect, MembershipAction,
    MissingCode, Quotas, RepeatedMember, Seed, Simulator, SimulatorOptions, UndocumentedBehaviours,
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

/// No wait here is for time to pass; this only ends a test that would hang.
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.unwrap()
}

#[tokio::test]
async fn a_batch_adds_whom_it_may_and_says_why_not_the_others() {
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
async fn listing_turns_pages_of_fifty_until_there_are_no_more() {
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
        // Whoever leaves between pages shifts nobody.
        simulator.remove_member(&support(), "p00000").unwrap();
    }
    assert_eq!(sizes, [50, 50, 2]);
    assert_eq!(simulator.call_counts(), [(ApiOperation::ListChannelMemberships, 3)].into());
    assert_eq!(simulator.call_log().iter().map(|call| call.members).collect::<Vec<_>>(), [50, 50, 2]);
}

#[tokio::test]
async fn hidden_members_are_another_list() {
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
async fn what_is_malformed_is_refused_before_any_change() {
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
async fn calls_must_be_signed_for_the_service_and_the_region_if_one_is_set() {
    let (_simulator, client) = started(|options| options.region = Some("eu-central-1".into())).await;
    assert_eq!(client.list("").await.refusal(), (403, "InvalidSignatureException".into()));
    assert_eq!(client.signed_for("eu-central-1").list("").await.status, 200);
    assert_eq!(client.unsigned().list("").await.refusal(), (403, "MissingAuthenticationTokenException".into()));
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_a_date() {
    let (_simulator, client) = started(|_| {}).await;
    for answer in [client.list("").await, client.send("GET", "/nowhere", "").await, client.list("max-results=0").await]
    {
        assert!(answer.headers.contains_key("x-amzn-requestid") && answer.headers.contains_key("date"), "{answer:?}");
    }
    assert_eq!(client.send("GET", "/nowhere", "").await.refusal(), (404, "UnknownOperationException".into()));
}

#[tokio::test]
async fn what_is_undocumented_can_be_switched() {
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
async fn by_default_a_vanished_channel_is_forbidden_to_readers_and_not_found_for_writers() {
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
async fn refusals_can_be_injected_for_some_calls() {
    let (simulator, client) = started(|_| {}).await;
    let fault = Fault::new(FaultEffect::status(503))
        .on(ApiOperation::ListChannelMemberships)
        .channel(&support())
        .skip(1)
        .times(2);
    let id = simulator.inject_fault(fault);
    let mut statuses = vec![];
    for _ in 0..4 {
        statuses.push(client.list("").await.status);
    }
    assert_eq!(statuses, [200, 503, 503, 200]);
    assert_eq!(simulator.fault_hits(id), 2);
    simulator.inject_fault(Fault::new(FaultEffect::error(403, "AccessDeniedException")).bearer(&arn("user/rollcall")));
    assert_eq!(client.list("").await.refusal(), (403, "AccessDeniedException".into()));
    simulator.clear_faults();
    assert_eq!(client.list("").await.status, 200);
}

#[tokio::test]
async fn a_batch_can_be_refused_for_as_long_as_it_names_somebody() {
    let (simulator, client) = started(|_| {}).await;
    simulator.inject_fault(
        Fault::new(FaultEffect::status(400)).on(ApiOperation::BatchCreateChannelMembership).member(&arn("user/bob")),
    );
    assert_eq!(client.batch(&[arn("user/alice"), arn("user/bob")]).await.refusal().0, 400);
    assert_eq!(client.batch(&[arn("user/alice")]).await.status, 200);
}

#[tokio::test]
async fn an_answer_lost_after_the_effect_is_not_a_call_cut_before_it() {
    let (simulator, client) = started(|_| {}).await;
    simulator.inject_fault(Fault::new(FaultEffect::LoseAnswer).times(1));
    client.try_batch(&[arn("user/alice")]).await.unwrap_err();
    assert!(simulator.list_members(&support(), DEFAULT).contains(&arn("user/alice")));
    simulator.inject_fault(Fault::new(FaultEffect::Cut).times(1));
    client.try_batch(&[arn("user/bob")]).await.unwrap_err();
    assert!(!simulator.list_members(&support(), DEFAULT).contains(&arn("user/bob")));
    assert_eq!(simulator.call_log().iter().map(|call| call.cut).collect::<Vec<_>>(), [true, true]);
    assert_eq!(client.list("").await.status, 200);
}

#[tokio::test]
async fn members_of_a_batch_can_be_refused_or_forgotten_one_by_one() {
    let (simulator, client) = started(|_| {}).await;
    simulator.inject_fault(Fault::new(FaultEffect::members("ServiceFailure", [arn("user/alice")])));
    let nameless = FaultEffect::RefuseMembers { members: vec![arn("bot/helper")], code: None, message: None };
    simulator.inject_fault(Fault::new(nameless));
    simulator.inject_fault(Fault::new(FaultEffect::OmitMembers { members: vec![arn("user/bob")], added: true }));
    simulator.inject_fault(Fault::new(FaultEffect::OmitMembers { members: vec![arn("user/a@b.c")], added: false }));
    let answer = client
        .batch(&[arn("user/alice"), arn("bot/helper"), arn("user/bob"), arn("user/a@b.c"), arn("user/us-east-1:0f")])
        .await;
    assert_eq!(
        answer.json["Errors"],
        json!([
            {"MemberArn": arn("user/alice"), "ErrorCode": "ServiceFailure", "ErrorMessage": "injected fault"},
            {"MemberArn": arn("bot/helper")},
        ])
    );
    assert_eq!(answer.json["BatchChannelMemberships"]["Members"].as_array().unwrap().len(), 1);
    let there = [arn("user/carol"), arn("user/bob"), arn("user/us-east-1:0f")];
    assert_eq!(simulator.list_members(&support(), DEFAULT), there.into());
}

#[tokio::test]
async fn listings_can_go_in_circles_or_end_early() {
    let (simulator, client) = started(|_| {}).await;
    simulator.add_member(&support(), "alice").unwrap();
    simulator.add_member(&support(), "bob").unwrap();
    let token =
        |answer: &wire::Answer| answer.json.get("NextToken").and_then(|token| token.as_str()).map(str::to_owned);
    let first = token(&client.list("max-results=1").await).unwrap();
    let round = simulator.inject_fault(Fault::new(FaultEffect::RepeatToken));
    let second = client.list(&format!("max-results=1&next-token={first}")).await;
    assert_eq!(token(&second).as_deref(), Some(first.as_str()));
    assert!(simulator.clear_fault(round));
    simulator.inject_fault(Fault::new(FaultEffect::EndEarly));
    assert_eq!(token(&client.list("max-results=1").await), None);
}

#[tokio::test]
async fn a_proxys_page_can_stand_in_for_an_answer() {
    let (simulator, client) = started(|_| {}).await;
    let page = FaultEffect::Refuse { status: 200, code: None, message: None, body: Some("<html>".into()) };
    simulator.inject_fault(Fault::new(page));
    let answer = client.list("").await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "<html>"));
    assert!(!answer.headers.contains_key("x-amzn-errortype"));
}

#[tokio::test]
async fn a_condition_is_awaited_without_sleeping() {
    let (simulator, client) = started(|_| {}).await;
    simulator.inject_fault(Fault::new(FaultEffect::latency(Duration::from_millis(20))));
    let members = [arn("user/alice")];
    let (answer, ()) =
        tokio::join!(client.batch(&members), simulator.wait_until(|it| it.member_count(&support(), DEFAULT) == 2));
    assert_eq!(answer.status, 200);
    let call = &simulator.call_log()[0];
    assert!(call.answered_at >= call.at + Duration::from_millis(20));
}

#[tokio::test]
async fn a_shutdown_does_not_wait_out_an_injected_latency() {
    let (simulator, client) = started(|_| {}).await;
    let fault = simulator.inject_fault(Fault::new(FaultEffect::latency(Duration::from_hours(1))));
    let pending = tokio::spawn(async move { client.try_batch(&[arn("user/alice")]).await });
    within(simulator.wait_until(|it| it.fault_hits(fault) == 1)).await;
    within(simulator.shutdown()).await;
    within(pending).await.unwrap().unwrap_err();
}

#[tokio::test]
async fn the_admin_page_shows_and_changes_everything() {
    let (simulator, client) = started(|_| {}).await;
    let index = client.send("GET", "/_admin", "").await;
    assert!(index.json.get("GET /_admin/state").is_some());
    let members = json!({"channel": support(), "members": ["alice", "mallory"]}).to_string();
    let added = client.send("POST", "/_admin/members", &members).await;
    assert_eq!(added.json[arn("user/alice")], "added");
    assert!(added.json[arn("user/mallory")].as_str().unwrap().starts_with("Forbidden"));
    let listed = client.send("GET", &format!("/_admin/members?channel={}", support()), "").await;
    assert_eq!(listed.json, json!([arn("user/alice"), arn("user/carol")]));
    let state = client.send("GET", "/_admin/state", "").await;
    assert_eq!(state.json["channels"][support()]["defaultMembers"], 2);
    let fault = r#"{"operation": "ListChannelMemberships", "times": 1, "effect": {"kind": "refuse", "status": 500}}"#;
    let id = client.send("POST", "/_admin/faults", fault).await.json["id"].as_u64().unwrap();
    assert_eq!(client.list("").await.status, 500);
    assert_eq!(client.send("GET", "/_admin/faults", "").await.json[0]["hits"], 1);
    assert_eq!(client.send("DELETE", &format!("/_admin/faults?id={id}"), "").await.json["done"], true);
    assert_eq!(client.send("GET", "/_admin/calls", "").await.json["counts"]["ListChannelMemberships"], 1);
    assert_eq!(client.send("DELETE", "/_admin/members", &members).await.json[arn("user/mallory")], "no change");
    let last = client.send("GET", "/_admin/log?last=1", "").await;
    assert_eq!((&last.json[0]["action"], &last.json[0]["bearer"]), (&json!("removed"), &json!(null)));
    let news = client.send("GET", "/_admin/log?after=1", "").await;
    let numbered: Vec<_> =
        news.json.as_array().unwrap().iter().map(|entry| (&entry["number"], &entry["action"])).collect();
    assert_eq!(numbered, [(&json!(2), &json!("added")), (&json!(3), &json!("removed"))]);
    assert_eq!(client.send("GET", "/_admin/log?after=3", "").await.json, json!([]));
    client.send("POST", "/_admin/bans", &json!({"channel": support(), "members": ["bob"]}).to_string()).await;
    assert!(simulator.list_bans(&support()).contains(&arn("user/bob")));
    client.send("DELETE", "/_admin/bans", &json!({"channel": support(), "members": ["bob"]}).to_string()).await;
    assert!(!simulator.list_bans(&support()).contains(&arn("user/bob")));
    let more = format!("appInstances: [{{arn: '{}', channels: [{{id: more, createdBy: bob}}]}}]", wire::APP_INSTANCE);
    assert_eq!(client.send("POST", "/_admin/seed", &more).await.status, 200);
    for (method, path, body) in [
        ("GET", "/_admin/nothing", ""),
        ("POST", "/_admin/faults", "{}"),
        ("POST", "/_admin/seed", "x: y"),
        ("DELETE", "/_admin/faults?id=x", ""),
        ("GET", "/_admin/members", ""),
        ("GET", "/_admin/log?after=x", ""),
        ("GET", "/_admin/log?after=1&last=1", ""),
        ("POST", "/_admin/members", r#"{"channel": "x", "members": []}"#),
    ] {
        let answer = client.send(method, path, body).await;
        assert!(answer.status >= 400 && answer.json["error"].is_string(), "{method} {path}: {answer:?}");
    }
}

#[tokio::test]
async fn a_seed_that_makes_no_sense_does_not_start_and_names_the_value() {
    for (seed, value) in [
        (Seed::new("nonsense"), "nonsense"),
        (Seed::new(wire::APP_INSTANCE).users(["-"]), "\"-\""),
        (Seed::new(wire::APP_INSTANCE).users(["bot/x"]), "bot/x"),
        (Seed::new(wire::APP_INSTANCE).admins(["nobody"]), "nobody"),
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
async fn the_sample_seed_starts() {
    let seed = Seed::from_yaml(include_str!("../examples/simulator/seed.yaml")).unwrap();
    let simulator = Simulator::start(SimulatorOptions { seed, ..SimulatorOptions::default() }).await.unwrap();
    assert_eq!(simulator.list_members(&support(), DEFAULT), [arn("user/alice")].into());
    assert_eq!(simulator.list_bans(&support()), [arn("user/mallory")].into());
}
