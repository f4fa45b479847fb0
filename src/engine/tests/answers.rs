//! The effect of each answer of the service.

use std::time::Duration;

use super::fake::{CallFault, FakeService, TestResource, engine, user, users};
use crate::api::MembershipType;
use crate::chime::port::CallErrorClass::{
    AccessDenied, BearerRejected, ChannelNotAccessible, Refused, Throttled, Transient,
};
use crate::chime::port::Operation::{
    BatchCreateChannelMembership as Batch, DescribeChannelMembership as Describe, ListChannelMemberships as List,
};

const READY: &str = "Ready=True Reconciling=False Stalled=False AllPresent";
const REFUSED: &str = "Ready=False Reconciling=False Stalled=True MembersRefused";
const MINUTE: Duration = Duration::from_mins(1);

fn refuse(service: &FakeService, codes: &[(&str, Option<&str>)], times: usize) {
    service.with(|channel| {
        channel.refused = codes.iter().map(|(id, code)| (user(id), (code.map(str::to_owned), times))).collect();
    });
}

#[tokio::test(start_paused = true)]
async fn refused_members_are_retried_on_request() {
    let service = FakeService::default();
    refuse(
        &service,
        &[("u00001", Some("Forbidden")), ("u00002", Some("NotFound")), ("u00003", Some("BadRequest"))],
        1000,
    );
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(20));
    resource.run_for(&engine, MINUTE * 55).await;
    assert_eq!(resource.conditions(), REFUSED);
    assert_eq!(resource.errors(), [("u00001", "Forbidden", 1), ("u00002", "NotFound", 1), ("u00003", "BadRequest", 1)]);
    assert_eq!(resource.status().present, Some(17));
    assert_eq!(resource.store.events.len(), 1, "{:?}", resource.store.events);
    assert_eq!(service.calls(Batch), 1);

    service.with(|channel| channel.refused.clear());
    resource.requested_at = Some("mended".to_owned());
    resource.reconcile(&engine).await;
    assert_eq!(resource.conditions(), READY);
    assert_eq!(service.batches()[1].len(), 3);
}

#[tokio::test(start_paused = true)]
async fn refused_member_is_retried_at_the_resync_after_1h() {
    let service = FakeService::default();
    refuse(&service, &[("u00001", Some("Forbidden"))], 1);
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(2));
    resource.run_for(&engine, MINUTE * 130).await;
    assert_eq!(resource.conditions(), READY);
    assert_eq!(service.calls(Batch), 2);
}

#[tokio::test(start_paused = true)]
async fn resource_is_ready_while_refusals_are_within_the_limit() {
    let service = FakeService::default();
    refuse(&service, &[("u00001", Some("Forbidden"))], 1000);
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(20));
    resource.spec.limits = Some(crate::api::Limits { failed: Some("5%".parse().unwrap()), ..Default::default() });
    resource.reconcile(&engine).await;
    assert_eq!(resource.conditions(), "Ready=True Reconciling=False Stalled=False RefusedWithinLimit");
    resource.edit(|spec| spec.limits = None);
    resource.reconcile(&engine).await;
    assert_eq!(resource.conditions(), REFUSED);
}

#[tokio::test(start_paused = true)]
async fn throttled_member_is_retried_alone_within_a_minute() {
    let service = FakeService::default();
    refuse(&service, &[("u00001", Some("Throttled"))], 2);
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(20));
    resource.reconcile(&engine).await;
    assert_eq!(resource.conditions(), "Ready=False Reconciling=True Stalled=False Retrying");
    assert_eq!((resource.status().pending, resource.status().failed), (Some(1), Some(0)));
    resource.run_for(&engine, MINUTE).await;
    assert_eq!(resource.conditions(), READY);
    let batches = service.batches();
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [20, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn unknown_error_code_counts_as_refused_after_5_attempts() {
    let service = FakeService::default();
    refuse(&service, &[("u00001", None), ("u00002", Some("Surprise"))], 1000);
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(20));
    resource.run_for(&engine, MINUTE * 50).await;
    assert_eq!(resource.conditions(), REFUSED);
    assert_eq!(resource.errors(), [("u00001", "Unknown", 5), ("u00002", "Surprise", 5)]);
}

#[tokio::test(start_paused = true)]
async fn conflict_for_a_present_member_counts_as_success() {
    let service = FakeService::default();
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(1));
    resource.reconcile(&engine).await;
    service.with(|channel| channel.members.insert(user("u00001"), MembershipType::Default));
    resource.edit(|spec| spec.members = Some(users(2).iter().collect()));
    resource.reconcile(&engine).await;
    assert_eq!(resource.conditions(), READY);
    assert_eq!(service.calls(Describe), 1);
}

#[tokio::test(start_paused = true)]
async fn many_conflicts_are_confirmed_by_one_listing() {
    let service = FakeService::default();
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(1));
    resource.reconcile(&engine).await;
    service.with(|channel| channel.members.extend(users(40).iter().map(|id| (user(id), MembershipType::Default))));
    tokio::time::sleep(MINUTE).await;
    resource.edit(|spec| spec.members = Some(users(40).iter().collect()));
    resource.reconcile(&engine).await;
    assert_eq!(resource.conditions(), READY);
    assert_eq!((service.calls(List), service.calls(Describe)), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn member_of_the_other_type_is_reported_as_type_mismatch_once() {
    let service = FakeService::default();
    service.with(|channel| channel.members.insert(user("u00001"), MembershipType::Hidden));
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(3));
    resource.run_for(&engine, MINUTE * 50).await;
    assert_eq!(resource.conditions(), REFUSED);
    assert_eq!(resource.errors(), [("u00001", "TypeMismatch", 1)]);
    assert_eq!((service.calls(Batch), service.calls(Describe)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn member_missing_from_the_batch_answer_is_described() {
    let service = FakeService::default();
    service.with(|channel| channel.forgotten.push(user("u00001")));
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(3));
    resource.reconcile(&engine).await;
    assert_eq!(resource.errors(), [("u00001", "Unknown", 1)]);
    service.with(|channel| channel.forgotten.clear());
    resource.run_for(&engine, MINUTE).await;
    assert_eq!(resource.conditions(), READY);
}

#[tokio::test(start_paused = true)]
async fn invalid_member_does_not_block_the_others_of_its_batch() {
    let service = FakeService::default();
    service.with(|channel| channel.poison = vec![user("u00000")]);
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(250));
    resource.reconcile(&engine).await;
    assert_eq!(resource.status().present, Some(249));
    assert_eq!(resource.errors(), [("u00000", "BadRequest", 1)]);
    assert_eq!(resource.conditions(), REFUSED);
}

#[tokio::test(start_paused = true)]
async fn several_invalid_members_do_not_fail_the_others() {
    for poison in [&[0, 1][..], &[0, 1, 2], &[0, 99], &[99, 199], &[100, 101], &[248, 249]] {
        let service = FakeService::default();
        service.with(|channel| channel.poison = poison.iter().map(|n| user(&format!("u{n:05}"))).collect());
        let engine = engine(&service);
        let mut resource = TestResource::declaring(users(250));
        resource.reconcile(&engine).await;
        assert_eq!(resource.status().failed, Some(u32::try_from(poison.len()).unwrap()), "{poison:?}");
        assert_eq!(resource.status().pending, Some(0));
    }
}

#[tokio::test(start_paused = true)]
async fn denied_describe_call_sets_a_condition_and_no_member_error() {
    let service = FakeService::default();
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(1));
    resource.reconcile(&engine).await;
    service.with(|channel| channel.members.insert(user("u00001"), MembershipType::Hidden));
    service.with(|channel| channel.describe_denied = true);
    resource.edit(|spec| spec.members = Some(users(2).iter().collect()));
    resource.reconcile(&engine).await;
    assert_eq!(resource.conditions(), "Ready=False Reconciling=False Stalled=True AccessDenied");
    assert!(resource.message().contains("chime:DescribeChannelMembership"), "{}", resource.message());
    assert_eq!(resource.errors(), []);
}

#[tokio::test(start_paused = true)]
async fn eight_refused_batches_in_a_row_are_reported_for_the_channel() {
    let service = FakeService::default();
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(1));
    resource.reconcile(&engine).await;
    service
        .with(|channel| channel.faults.extend((0..100).map(|_| CallFault::Before(ChannelNotAccessible, "Forbidden"))));
    resource.edit(|spec| spec.members = Some(users(5000).iter().collect()));
    resource.reconcile(&engine).await;
    assert_eq!(resource.conditions(), "Ready=False Reconciling=False Stalled=True ChannelNotAccessible");
    assert_eq!(service.calls(Batch), 1 + 8);
    assert_eq!(resource.errors(), [], "no member has an error");
}

#[tokio::test(start_paused = true)]
async fn full_channel_is_reported_after_a_few_calls() {
    let service = FakeService::default();
    let engine = engine(&service);
    service.with(|channel| channel.faults.push_back(CallFault::Before(Transient, "ServiceFailure")));
    let mut resource = TestResource::declaring(users(1));
    resource.reconcile(&engine).await;
    service
        .with(|channel| channel.faults.extend((0..100).map(|_| CallFault::Before(Refused, "ResourceLimitExceeded"))));
    resource.edit(|spec| spec.members = Some(users(5000).iter().collect()));
    resource.reconcile(&engine).await;
    assert_eq!(resource.conditions(), REFUSED);
    assert!(service.calls(Batch) <= 1 + 26, "{} batches", service.calls(Batch));
    assert_eq!((resource.status().failed, resource.status().errors_omitted), (Some(4999), Some(4799)));
}

#[tokio::test(start_paused = true)]
async fn refused_call_sets_a_condition_without_a_hot_loop() {
    for (class, code, reason) in [
        (ChannelNotAccessible, "Forbidden", "ChannelNotAccessible"),
        (ChannelNotAccessible, "NotFound", "ChannelNotAccessible"),
        (BearerRejected, "Unauthorized", "BearerRejected"),
        (AccessDenied, "AccessDenied", "AccessDenied"),
    ] {
        let service = FakeService::default();
        service.with(|channel| channel.faults.extend((0..100).map(|_| CallFault::Before(class, code))));
        let engine = engine(&service);
        let mut resource = TestResource::declaring(users(300));
        resource.run_for(&engine, MINUTE * 60).await;
        assert_eq!(resource.conditions(), format!("Ready=False Reconciling=False Stalled=True {reason}"));
        assert_eq!(resource.errors(), []);
        assert!(service.all_calls() <= 6, "{} calls in an hour", service.all_calls());
        assert_eq!((resource.store.statuses.len(), resource.store.events.len()), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn failed_page_is_requested_again_with_its_token() {
    let service = FakeService::default();
    service.with(|channel| channel.members.extend(users(120).iter().map(|id| (user(id), MembershipType::Default))));
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(120));
    service.with(|channel| {
        channel.faults.extend([CallFault::Before(Throttled, "Throttled"), CallFault::After(Transient, "Timeout")]);
    });
    resource.reconcile(&engine).await;
    let tokens: Vec<Option<String>> =
        service.with(|channel| channel.made.iter().map(|made| made.token.clone()).collect());
    assert_eq!(tokens[..3], [None, None, None]);
    assert_eq!(tokens.len(), 5);
    assert_eq!(resource.conditions(), READY);
}

#[tokio::test(start_paused = true)]
async fn batch_is_repeated_after_its_answer_was_lost() {
    let service = FakeService::default();
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(1));
    resource.reconcile(&engine).await;
    service.with(|channel| channel.faults.push_back(CallFault::After(Transient, "ConnectionFailed")));
    resource.edit(|spec| spec.members = Some(users(100).iter().collect()));
    resource.reconcile(&engine).await;
    assert_eq!(resource.conditions(), READY);
    assert_eq!(service.batches().iter().map(Vec::len).collect::<Vec<_>>(), [1, 99, 99]);
    assert_eq!((service.calls(List), service.calls(Describe)), (1 + 2, 0), "two pages show all 100");
}

#[tokio::test(start_paused = true)]
async fn long_outage_is_reported_while_it_lasts() {
    let service = FakeService::default();
    service.with(|channel| channel.faults.extend((0..6).map(|_| CallFault::Before(Transient, "ServiceUnavailable"))));
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(2));
    resource.reconcile(&engine).await;
    let told: Vec<&str> = resource.store.statuses.iter().map(|status| status.conditions[0].reason.as_str()).collect();
    assert_eq!(told, ["Retrying", "AllPresent"]);
}

#[tokio::test(start_paused = true)]
async fn older_listing_does_not_make_a_refused_channel_ready() {
    let service = FakeService::default();
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(3));
    resource.reconcile(&engine).await;
    tokio::time::sleep(MINUTE * 10).await;
    service
        .with(|channel| channel.faults.extend((0..99).map(|_| CallFault::Before(ChannelNotAccessible, "Forbidden"))));
    resource.requested_at = Some("again".to_owned());
    resource.run_for(&engine, MINUTE * 10).await;
    assert_eq!(resource.conditions(), "Ready=False Reconciling=False Stalled=True ChannelNotAccessible");
    let mut sibling = TestResource::declaring(users(2));
    sibling.reconcile(&engine).await;
    assert_eq!(sibling.conditions(), "Ready=False Reconciling=False Stalled=True ChannelNotAccessible");
    service.with(|channel| channel.faults.clear());
    resource.run_for(&engine, MINUTE * 60).await;
    assert_eq!(resource.conditions(), READY);
}

#[tokio::test(start_paused = true)]
async fn deleted_channel_is_not_reported_as_a_member_error() {
    let service = FakeService::default();
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(3));
    resource.spec.limits =
        Some(crate::api::Limits { failed: Some(crate::api::Tolerance::Count(1)), ..Default::default() });
    resource.reconcile(&engine).await;
    tokio::time::sleep(MINUTE).await;
    service.with(|channel| channel.faults.extend((0..99).map(|_| CallFault::Before(ChannelNotAccessible, "NotFound"))));
    resource.edit(|spec| spec.members = Some(users(4).iter().collect()));
    resource.reconcile(&engine).await;
    assert_eq!(resource.conditions(), "Ready=False Reconciling=False Stalled=True ChannelNotAccessible");
    assert_eq!(resource.errors(), []);
}

#[tokio::test(start_paused = true)]
async fn members_that_failed_together_are_retried_together() {
    let service = FakeService::default();
    let all: Vec<String> = users(100);
    let codes: Vec<(&str, Option<&str>)> = all.iter().map(|id| (id.as_str(), Some("ServiceFailure"))).collect();
    refuse(&service, &codes, 6);
    let engine = engine(&service);
    let mut resource = TestResource::declaring(&all);
    resource.run_for(&engine, MINUTE * 10).await;
    assert_eq!(resource.conditions(), READY);
    assert_eq!(service.batches().iter().map(Vec::len).collect::<Vec<_>>(), [100; 7]);
}
