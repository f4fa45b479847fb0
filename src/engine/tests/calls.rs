//! The number of calls and status writes of a reconcile.

use std::time::Duration;

use super::fake::{FakeService, TestResource, engine, engine_at, user, users};
use crate::api::MembershipType;
use crate::chime::port::Operation::{
    BatchCreateChannelMembership as Batch, DescribeChannelMembership as Describe, ListChannelMemberships as List,
};
use crate::chime::rate_limit::Rates;
use crate::engine::Requeue;

const READY: &str = "Ready=True Reconciling=False Stalled=False AllPresent";

#[tokio::test(start_paused = true)]
async fn channel_costs_one_call_per_page_and_per_batch() {
    let service = FakeService::default();
    service.with(|channel| channel.members.extend(users(120).iter().map(|id| (user(id), MembershipType::Default))));
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(370));
    resource.reconcile(&engine).await;
    assert_eq!((service.calls(List), service.calls(Batch), service.calls(Describe)), (3, 3, 0));
    assert!(service.batches().iter().all(|batch| batch.len() <= 100));
    assert_eq!(service.with(|channel| channel.members.len()), 370);
    assert_eq!(resource.conditions(), READY);
    assert_eq!(resource.store.statuses.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn adding_a_member_to_a_listed_channel_takes_one_call() {
    let service = FakeService::default();
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(300));
    resource.reconcile(&engine).await;
    let before = service.all_calls();
    tokio::time::sleep(Duration::from_mins(50)).await;
    resource.edit(|spec| spec.members = Some(users(301).iter().collect()));
    resource.reconcile(&engine).await;
    assert_eq!(service.all_calls() - before, 1);
    assert_eq!(service.batches().last().unwrap(), &[user("u00300")]);
    assert_eq!(resource.conditions(), READY);
}

#[tokio::test(start_paused = true)]
async fn resources_of_a_channel_share_one_listing_per_resync() {
    let service = FakeService::default();
    service.with(|channel| channel.members.extend(users(40).iter().map(|id| (user(id), MembershipType::Default))));
    let engine = engine(&service);
    let mut resources: Vec<TestResource> =
        (0..4).map(|n| TestResource::declaring(&users(40)[n * 10..n * 10 + 10])).collect();
    let day = Duration::from_hours(24);
    futures::future::join_all(resources.iter_mut().map(|resource| resource.run_for(&engine, day))).await;
    let lists = service.calls(List);
    assert!((24..=28).contains(&lists), "{lists} listings in 24 resync intervals of an hour less up to a tenth");
    assert_eq!(service.all_calls(), lists);
    assert!(resources.iter().all(|resource| resource.conditions() == READY));
}

#[tokio::test(start_paused = true)]
async fn status_is_not_written_while_nothing_changes() {
    let service = FakeService::default();
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(3));
    resource.run_for(&engine, Duration::from_hours(24)).await;
    assert_eq!(resource.store.statuses.len(), 1);
    assert_eq!(service.calls(Batch), 1);
}

#[tokio::test(start_paused = true)]
async fn removed_member_is_added_again_at_the_next_resync() {
    let service = FakeService::default();
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(3));
    resource.reconcile(&engine).await;
    service.with(|channel| channel.members.remove(&user("u00001")));
    resource.run_for(&engine, Duration::from_secs(3601)).await;
    assert!(service.with(|channel| channel.members.contains_key(&user("u00001"))));
}

#[tokio::test(start_paused = true)]
async fn reconcile_request_triggers_one_listing() {
    let service = FakeService::default();
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(3));
    resource.reconcile(&engine).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    service.with(|channel| channel.members.remove(&user("u00001")));
    resource.requested_at = Some("now".to_owned());
    resource.reconcile(&engine).await;
    assert_eq!(service.calls(List), 2);
    assert!(service.with(|channel| channel.members.contains_key(&user("u00001"))));
    assert_eq!(resource.status().last_handled_reconcile_at.as_deref(), Some("now"));
    resource.reconcile(&engine).await;
    assert_eq!(service.calls(List), 2, "a request triggers one listing");
}

#[tokio::test(start_paused = true)]
async fn observe_mode_lists_and_changes_nothing() {
    let service = FakeService::default();
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(3));
    resource.spec.mode = crate::api::Mode::Observe;
    resource.reconcile(&engine).await;
    assert_eq!((service.calls(List), service.all_calls()), (1, 1));
    assert_eq!(resource.conditions(), "Ready=False Reconciling=False Stalled=False Observed");
    service.with(|channel| channel.members.extend(users(3).iter().map(|id| (user(id), MembershipType::Default))));
    tokio::time::sleep(Duration::from_secs(6)).await;
    resource.requested_at = Some("again".to_owned());
    resource.reconcile(&engine).await;
    assert_eq!(resource.conditions(), "Ready=True Reconciling=False Stalled=False Observed");
}

#[tokio::test(start_paused = true)]
async fn suspended_resource_makes_no_call_and_keeps_its_condition() {
    let service = FakeService::default();
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(3));
    resource.reconcile(&engine).await;
    let calls = service.all_calls();
    resource.edit(|spec| spec.suspend = true);
    assert_eq!(resource.reconcile(&engine).await, Requeue::OnChange);
    assert_eq!(resource.conditions(), "Ready=True Reconciling=False Stalled=False Suspended");
    let status = resource.status();
    assert_eq!((status.observed_generation, status.conditions[0].observed_generation), (Some(2), Some(1)));

    let mut new = TestResource::declaring(users(3));
    new.spec.suspend = true;
    new.reconcile(&engine).await;
    assert_eq!(new.conditions(), "Ready=Unknown Reconciling=False Stalled=False Suspended");
    assert_eq!(service.all_calls(), calls);
}

#[tokio::test(start_paused = true)]
async fn resync_interval_grows_when_listings_need_over_half_the_rate() {
    let service = FakeService::default();
    service.with(|channel| channel.members.extend(users(2000).iter().map(|id| (user(id), MembershipType::Default))));
    let rates = Rates { bearer: Some("1".parse().unwrap()), ..Rates::UNLIMITED };
    let engine = engine_at(&service, rates);
    let mut resource = TestResource::declaring(["u00000"]);
    resource.spec.resync_interval = Some("10s".parse().unwrap());
    resource.reconcile(&engine).await;
    let Requeue::After(rest) = resource.reconcile(&engine).await else { panic!("nothing is due") };
    assert!(rest > Duration::from_secs(25), "40 pages at half of 1 call a second take 80 s, not {rest:?}");
    assert_eq!(resource.status().resync_interval.unwrap().to_string(), "1m20s");
}

#[tokio::test(start_paused = true)]
async fn listing_without_a_just_added_member_is_not_trusted() {
    let service = FakeService::default();
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(3));
    resource.reconcile(&engine).await;
    service.with(|channel| channel.unseen = vec![user("u00001")]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    resource.requested_at = Some("now".to_owned());
    resource.reconcile(&engine).await;
    assert_eq!((service.calls(List), service.calls(Batch)), (2, 1));
    assert_eq!(resource.conditions(), READY);

    service.with(|channel| channel.members.remove(&user("u00002")));
    tokio::time::sleep(Duration::from_secs(10)).await;
    resource.requested_at = Some("later".to_owned());
    resource.reconcile(&engine).await;
    assert_eq!(service.calls(Batch), 2, "a member missing from a listing long after its addition is gone");
}

#[tokio::test(start_paused = true)]
async fn second_resource_needs_no_call_for_present_members() {
    let service = FakeService::default();
    service.with(|channel| channel.members.extend(users(300).iter().map(|id| (user(id), MembershipType::Default))));
    let engine = engine(&service);
    let mut first = TestResource::declaring(users(10));
    first.reconcile(&engine).await;
    let calls = service.all_calls();
    let mut second = TestResource::declaring(users(300));
    second.reconcile(&engine).await;
    assert_eq!(service.all_calls(), calls);
    assert_eq!(second.conditions(), READY);
}
