//! What becomes of each answer of the service?

use std::time::Duration;

use super::fake::{Fake, Fault, Resource, engine, user, users};
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

fn refuse(service: &Fake, codes: &[(&str, Option<&str>)], times: usize) {
    service.with(|channel| {
        channel.refused = codes.iter().map(|(id, code)| (user(id), (code.map(str::to_owned), times))).collect();
    });
}

#[tokio::test(start_paused = true)]
async fn refused_members_are_named_and_rest_until_somebody_asks() {
    let service = Fake::default();
    refuse(
        &service,
        &[("u00001", Some("Forbidden")), ("u00002", Some("NotFound")), ("u00003", Some("BadRequest"))],
        1000,
    );
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(20));
    resource.live(&engine, MINUTE * 55).await;
    assert_eq!(resource.conditions(), REFUSED);
    assert_eq!(resource.errors(), [("u00001", "Forbidden", 1), ("u00002", "NotFound", 1), ("u00003", "BadRequest", 1)]);
    assert_eq!(resource.status().present, Some(17));
    assert_eq!(resource.written.events.len(), 1, "{:?}", resource.written.events);
    assert_eq!(service.calls(Batch), 1);

    service.with(|channel| channel.refused.clear());
    resource.requested_at = Some("mended".to_owned());
    resource.pass(&engine).await;
    assert_eq!(resource.conditions(), READY);
    assert_eq!(service.batches()[1].len(), 3);
}

#[tokio::test(start_paused = true)]
async fn refused_members_are_tried_again_at_a_resync_after_an_hour() {
    let service = Fake::default();
    refuse(&service, &[("u00001", Some("Forbidden"))], 1);
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(2));
    resource.live(&engine, MINUTE * 130).await;
    assert_eq!(resource.conditions(), READY);
    assert_eq!(service.calls(Batch), 2);
}

#[tokio::test(start_paused = true)]
async fn refused_members_within_the_limit_leave_the_resource_ready() {
    let service = Fake::default();
    refuse(&service, &[("u00001", Some("Forbidden"))], 1000);
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(20));
    resource.spec.limits = Some(crate::api::Limits { failed: Some("5%".parse().unwrap()), ..Default::default() });
    resource.pass(&engine).await;
    assert_eq!(resource.conditions(), "Ready=True Reconciling=False Stalled=False RefusedWithinLimit");
    resource.edit(|spec| spec.limits = None);
    resource.pass(&engine).await;
    assert_eq!(resource.conditions(), REFUSED);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_member_is_retried_alone_and_soon() {
    let service = Fake::default();
    refuse(&service, &[("u00001", Some("Throttled"))], 2);
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(20));
    resource.pass(&engine).await;
    assert_eq!(resource.conditions(), "Ready=False Reconciling=True Stalled=False Retrying");
    assert_eq!((resource.status().pending, resource.status().failed), (Some(1), Some(0)));
    resource.live(&engine, MINUTE).await;
    assert_eq!(resource.conditions(), READY);
    let batches = service.batches();
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [20, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_code_nobody_knows_is_refused_after_five_tries() {
    let service = Fake::default();
    refuse(&service, &[("u00001", None), ("u00002", Some("Surprise"))], 1000);
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(20));
    resource.live(&engine, MINUTE * 50).await;
    assert_eq!(resource.conditions(), REFUSED);
    assert_eq!(resource.errors(), [("u00001", "Unknown", 5), ("u00002", "Surprise", 5)]);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_for_someone_present_is_success() {
    let service = Fake::default();
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(1));
    resource.pass(&engine).await;
    service.with(|channel| channel.members.insert(user("u00001"), MembershipType::Default));
    resource.edit(|spec| spec.members = Some(users(2).iter().collect()));
    resource.pass(&engine).await;
    assert_eq!(resource.conditions(), READY);
    assert_eq!(service.calls(Describe), 1);
}

#[tokio::test(start_paused = true)]
async fn many_conflicts_are_confirmed_by_one_listing() {
    let service = Fake::default();
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(1));
    resource.pass(&engine).await;
    service.with(|channel| channel.members.extend(users(40).iter().map(|id| (user(id), MembershipType::Default))));
    tokio::time::sleep(MINUTE).await;
    resource.edit(|spec| spec.members = Some(users(40).iter().collect()));
    resource.pass(&engine).await;
    assert_eq!(resource.conditions(), READY);
    assert_eq!((service.calls(List), service.calls(Describe)), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn someone_there_with_the_other_type_is_a_type_mismatch_found_once() {
    let service = Fake::default();
    service.with(|channel| channel.members.insert(user("u00001"), MembershipType::Hidden));
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(3));
    resource.live(&engine, MINUTE * 50).await;
    assert_eq!(resource.conditions(), REFUSED);
    assert_eq!(resource.errors(), [("u00001", "TypeMismatch", 1)]);
    assert_eq!((service.calls(Batch), service.calls(Describe)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_member_in_neither_list_of_the_answer_is_looked_for() {
    let service = Fake::default();
    service.with(|channel| channel.forgotten.push(user("u00001")));
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(3));
    resource.pass(&engine).await;
    assert_eq!(resource.errors(), [("u00001", "Unknown", 1)]);
    service.with(|channel| channel.forgotten.clear());
    resource.live(&engine, MINUTE).await;
    assert_eq!(resource.conditions(), READY);
}

#[tokio::test(start_paused = true)]
async fn one_member_who_spoils_the_batch_does_not_block_the_others() {
    let service = Fake::default();
    service.with(|channel| channel.poison = vec![user("u00000")]);
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(250));
    resource.pass(&engine).await;
    assert_eq!(resource.status().present, Some(249));
    assert_eq!(resource.errors(), [("u00000", "BadRequest", 1)]);
    assert_eq!(resource.conditions(), REFUSED);
}

#[tokio::test(start_paused = true)]
async fn two_bad_members_at_the_head_of_a_list_do_not_fail_everybody_else() {
    for poison in [&[0, 1][..], &[0, 1, 2], &[0, 99], &[99, 199], &[100, 101], &[248, 249]] {
        let service = Fake::default();
        service.with(|channel| channel.poison = poison.iter().map(|n| user(&format!("u{n:05}"))).collect());
        let engine = engine(&service);
        let mut resource = Resource::declaring(users(250));
        resource.pass(&engine).await;
        assert_eq!(resource.status().failed, Some(u32::try_from(poison.len()).unwrap()), "{poison:?}");
        assert_eq!(resource.status().pending, Some(0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_describe_that_iam_does_not_allow_is_a_condition_and_no_members_error() {
    let service = Fake::default();
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(1));
    resource.pass(&engine).await;
    service.with(|channel| channel.members.insert(user("u00001"), MembershipType::Hidden));
    service.with(|channel| channel.describe_denied = true);
    resource.edit(|spec| spec.members = Some(users(2).iter().collect()));
    resource.pass(&engine).await;
    assert_eq!(resource.conditions(), "Ready=False Reconciling=False Stalled=True AccessDenied");
    assert!(resource.message().contains("chime:DescribeChannelMembership"), "{}", resource.message());
    assert_eq!(resource.errors(), []);
}

#[tokio::test(start_paused = true)]
async fn eight_refusals_in_a_row_are_the_channels_problem_and_no_list_of_errors() {
    let service = Fake::default();
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(1));
    resource.pass(&engine).await;
    service.with(|channel| channel.faults.extend((0..100).map(|_| Fault::Before(ChannelNotAccessible, "Forbidden"))));
    resource.edit(|spec| spec.members = Some(users(5000).iter().collect()));
    resource.pass(&engine).await;
    assert_eq!(resource.conditions(), "Ready=False Reconciling=False Stalled=True ChannelNotAccessible");
    assert_eq!(service.calls(Batch), 1 + 8);
    assert_eq!(resource.errors(), [], "nobody is blamed for it");
}

#[tokio::test(start_paused = true)]
async fn a_full_channel_is_reported_after_a_few_calls() {
    let service = Fake::default();
    let engine = engine(&service);
    service.with(|channel| channel.faults.push_back(Fault::Before(Transient, "ServiceFailure")));
    let mut resource = Resource::declaring(users(1));
    resource.pass(&engine).await;
    service.with(|channel| channel.faults.extend((0..100).map(|_| Fault::Before(Refused, "ResourceLimitExceeded"))));
    resource.edit(|spec| spec.members = Some(users(5000).iter().collect()));
    resource.pass(&engine).await;
    assert_eq!(resource.conditions(), REFUSED);
    assert!(service.calls(Batch) <= 1 + 26, "{} batches", service.calls(Batch));
    assert_eq!((resource.status().failed, resource.status().errors_omitted), (Some(4999), Some(4799)));
}

#[tokio::test(start_paused = true)]
async fn a_call_refused_whole_is_a_condition_and_no_hot_loop() {
    for (class, code, reason) in [
        (ChannelNotAccessible, "Forbidden", "ChannelNotAccessible"),
        (ChannelNotAccessible, "NotFound", "ChannelNotAccessible"),
        (BearerRejected, "Unauthorized", "BearerRejected"),
        (AccessDenied, "AccessDenied", "AccessDenied"),
    ] {
        let service = Fake::default();
        service.with(|channel| channel.faults.extend((0..100).map(|_| Fault::Before(class, code))));
        let engine = engine(&service);
        let mut resource = Resource::declaring(users(300));
        resource.live(&engine, MINUTE * 60).await;
        assert_eq!(resource.conditions(), format!("Ready=False Reconciling=False Stalled=True {reason}"));
        assert_eq!(resource.errors(), []);
        assert!(service.all_calls() <= 6, "{} calls in an hour", service.all_calls());
        assert_eq!((resource.written.statuses.len(), resource.written.events.len()), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_failed_is_asked_for_with_its_token() {
    let service = Fake::default();
    service.with(|channel| channel.members.extend(users(120).iter().map(|id| (user(id), MembershipType::Default))));
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(120));
    service.with(|channel| {
        channel.faults.extend([Fault::Before(Throttled, "Throttled"), Fault::After(Transient, "Timeout")]);
    });
    resource.pass(&engine).await;
    let tokens: Vec<Option<String>> =
        service.with(|channel| channel.made.iter().map(|made| made.token.clone()).collect());
    assert_eq!(tokens[..3], [None, None, None]);
    assert_eq!(tokens.len(), 5);
    assert_eq!(resource.conditions(), READY);
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_answer_was_lost_is_made_again_and_nobody_is_missing() {
    let service = Fake::default();
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(1));
    resource.pass(&engine).await;
    service.with(|channel| channel.faults.push_back(Fault::After(Transient, "ConnectionFailed")));
    resource.edit(|spec| spec.members = Some(users(100).iter().collect()));
    resource.pass(&engine).await;
    assert_eq!(resource.conditions(), READY);
    assert_eq!(service.batches().iter().map(Vec::len).collect::<Vec<_>>(), [1, 99, 99]);
    assert_eq!((service.calls(List), service.calls(Describe)), (1 + 2, 0), "two pages show all 100");
}

#[tokio::test(start_paused = true)]
async fn a_long_outage_is_told_while_it_lasts() {
    let service = Fake::default();
    service.with(|channel| channel.faults.extend((0..6).map(|_| Fault::Before(Transient, "ServiceUnavailable"))));
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(2));
    resource.pass(&engine).await;
    let told: Vec<&str> = resource.written.statuses.iter().map(|status| status.conditions[0].reason.as_str()).collect();
    assert_eq!(told, ["Retrying", "AllPresent"]);
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_was_refused_is_not_ready_again_by_an_older_listing() {
    let service = Fake::default();
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(3));
    resource.pass(&engine).await;
    tokio::time::sleep(MINUTE * 10).await;
    service.with(|channel| channel.faults.extend((0..99).map(|_| Fault::Before(ChannelNotAccessible, "Forbidden"))));
    resource.requested_at = Some("look".to_owned());
    resource.live(&engine, MINUTE * 10).await;
    assert_eq!(resource.conditions(), "Ready=False Reconciling=False Stalled=True ChannelNotAccessible");
    let mut sibling = Resource::declaring(users(2));
    sibling.pass(&engine).await;
    assert_eq!(sibling.conditions(), "Ready=False Reconciling=False Stalled=True ChannelNotAccessible");
    service.with(|channel| channel.faults.clear());
    resource.live(&engine, MINUTE * 60).await;
    assert_eq!(resource.conditions(), READY);
}

#[tokio::test(start_paused = true)]
async fn a_member_is_not_blamed_for_a_channel_that_has_gone_since_it_was_listed() {
    let service = Fake::default();
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(3));
    resource.spec.limits =
        Some(crate::api::Limits { failed: Some(crate::api::Tolerance::Count(1)), ..Default::default() });
    resource.pass(&engine).await;
    tokio::time::sleep(MINUTE).await;
    service.with(|channel| channel.faults.extend((0..99).map(|_| Fault::Before(ChannelNotAccessible, "NotFound"))));
    resource.edit(|spec| spec.members = Some(users(4).iter().collect()));
    resource.pass(&engine).await;
    assert_eq!(resource.conditions(), "Ready=False Reconciling=False Stalled=True ChannelNotAccessible");
    assert_eq!(resource.errors(), []);
}

#[tokio::test(start_paused = true)]
async fn members_who_failed_together_are_tried_again_together() {
    let service = Fake::default();
    let all: Vec<String> = users(100);
    let codes: Vec<(&str, Option<&str>)> = all.iter().map(|id| (id.as_str(), Some("ServiceFailure"))).collect();
    refuse(&service, &codes, 6);
    let engine = engine(&service);
    let mut resource = Resource::declaring(&all);
    resource.live(&engine, MINUTE * 10).await;
    assert_eq!(resource.conditions(), READY);
    assert_eq!(service.batches().iter().map(Vec::len).collect::<Vec<_>>(), [100; 7]);
}
