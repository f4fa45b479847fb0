//! The faults that a test injects into calls.

use std::time::Duration;

use rollcall::simulator::{ApiOperation, Fault, FaultEffect};
use serde_json::json;

use super::wire::{self, arn, support};
use super::{DEFAULT, started};

/// Ends a test that would hang otherwise. The waits in these tests are for conditions, not for
/// time.
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.unwrap()
}

#[tokio::test]
async fn injected_refusal_selects_calls() {
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
async fn injected_refusal_selects_batches_by_member() {
    let (simulator, client) = started(|_| {}).await;
    simulator.inject_fault(
        Fault::new(FaultEffect::status(400)).on(ApiOperation::BatchCreateChannelMembership).member(&arn("user/bob")),
    );
    assert_eq!(client.batch(&[arn("user/alice"), arn("user/bob")]).await.refusal().0, 400);
    assert_eq!(client.batch(&[arn("user/alice")]).await.status, 200);
}

#[tokio::test]
async fn lost_response_has_an_effect_and_a_cut_call_has_none() {
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
async fn members_of_a_batch_can_be_refused_or_omitted() {
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
    let present = [arn("user/carol"), arn("user/bob"), arn("user/us-east-1:0f")];
    assert_eq!(simulator.list_members(&support(), DEFAULT), present.into());
}

#[tokio::test]
async fn listing_can_repeat_its_token_or_end_early() {
    let (simulator, client) = started(|_| {}).await;
    simulator.add_member(&support(), "alice").unwrap();
    simulator.add_member(&support(), "bob").unwrap();
    let token =
        |answer: &wire::HttpResponse| answer.json.get("NextToken").and_then(|token| token.as_str()).map(str::to_owned);
    let first = token(&client.list("max-results=1").await).unwrap();
    let round = simulator.inject_fault(Fault::new(FaultEffect::RepeatToken));
    let second = client.list(&format!("max-results=1&next-token={first}")).await;
    assert_eq!(token(&second).as_deref(), Some(first.as_str()));
    assert!(simulator.clear_fault(round));
    simulator.inject_fault(Fault::new(FaultEffect::EndEarly));
    assert_eq!(token(&client.list("max-results=1").await), None);
}

#[tokio::test]
async fn raw_body_of_a_proxy_can_replace_a_response() {
    let (simulator, client) = started(|_| {}).await;
    let page = FaultEffect::Refuse { status: 200, code: None, message: None, body: Some("<html>".into()) };
    simulator.inject_fault(Fault::new(page));
    let answer = client.list("").await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "<html>"));
    assert!(!answer.headers.contains_key("x-amzn-errortype"));
}

#[tokio::test]
async fn wait_until_returns_when_the_condition_holds() {
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
async fn shutdown_does_not_wait_for_an_injected_latency() {
    let (simulator, client) = started(|_| {}).await;
    let fault = simulator.inject_fault(Fault::new(FaultEffect::latency(Duration::from_hours(1))));
    let pending = tokio::spawn(async move { client.try_batch(&[arn("user/alice")]).await });
    within(simulator.wait_until(|it| it.fault_hits(fault) == 1)).await;
    within(simulator.shutdown()).await;
    within(pending).await.unwrap().unwrap_err();
}
