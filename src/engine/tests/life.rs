//! Edits, restarts, stops, and a failing store during a reconcile.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::fake::{CallFault, FakeService, TestResource, engine, engine_at, engine_until, user, users};
use crate::chime::port::CallErrorClass::ChannelNotAccessible;
use crate::chime::port::Operation::{BatchCreateChannelMembership as Batch, ListChannelMemberships as List};
use crate::chime::rate_limit::Rates;
use crate::engine::Requeue;
use crate::engine::session::Session;
use crate::engine::store::StoreError;

const READY: &str = "Ready=True Reconciling=False Stalled=False AllPresent";

#[tokio::test(start_paused = true)]
async fn waiting_reconcile_ends_at_once_when_cancelled() {
    let service = FakeService::default();
    let engine = engine_at(&service, Rates { channel_batch: Some("0.1".parse().unwrap()), ..Rates::UNLIMITED });
    let mut resource = TestResource::declaring(users(1000));
    let cancel = CancellationToken::new();
    resource.cancel = cancel.clone();
    let (next, ()) = tokio::join!(resource.reconcile(&engine), async {
        tokio::time::sleep(Duration::from_secs(25)).await;
        cancel.cancel();
    });
    assert_eq!(next, Requeue::AtOnce);
    let done = service.calls(Batch);
    assert!((2..=4).contains(&done), "{done} batches in 25 s at one in 10 s");

    resource.cancel = CancellationToken::new();
    resource.edit(|spec| spec.members = Some(users(999).iter().collect()));
    resource.reconcile(&engine).await;
    assert_eq!(resource.conditions(), READY);
    assert_eq!((service.calls(List), service.calls(Batch)), (1, 10), "finished batches are not repeated");
}

#[tokio::test(start_paused = true)]
async fn progress_is_reported_during_a_long_reconcile() {
    let service = FakeService::default();
    let engine = engine_at(&service, Rates { channel_batch: Some("1".parse().unwrap()), ..Rates::UNLIMITED });
    let mut resource = TestResource::declaring(users(5000));
    resource.reconcile(&engine).await;
    let statuses = &resource.store.statuses;
    assert!((4..=8).contains(&statuses.len()), "{} writes in 50 s", statuses.len());
    let message = &statuses[1].conditions[0].message;
    assert!(message.contains("of 5,000 present, about") && message.contains("1 batch a second"), "{message}");
    for status in statuses {
        assert_eq!(status.desired.unwrap(), status.present.unwrap() + status.pending.unwrap() + status.failed.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn restart_costs_one_listing_and_no_early_retry() {
    let service = FakeService::default();
    service.with(|channel| channel.refused.insert(user("u00001"), (Some("Forbidden".to_owned()), 1000)));
    let first = engine(&service);
    let mut resource = TestResource::declaring(users(3));
    resource.reconcile(&first).await;
    let (status, statuses) = (resource.status().clone(), resource.store.statuses.len());

    resource.session = Session::default();
    let second = engine(&service);
    resource.reconcile(&second).await;
    assert_eq!((service.calls(List), service.calls(Batch)), (2, 1));
    assert_eq!(resource.store.statuses.len(), statuses, "{:#?}", (status, resource.status()));
}

#[tokio::test(start_paused = true)]
async fn stopping_process_writes_its_progress() {
    let service = FakeService::default();
    let stop = CancellationToken::new();
    let engine = {
        let slow = Rates { channel_batch: Some("0.1".parse().unwrap()), ..Rates::UNLIMITED };
        engine_until(&service, slow, stop.clone())
    };
    let mut resource = TestResource::declaring(users(1000));
    resource.cancel = stop.child_token();
    tokio::join!(resource.reconcile(&engine), async {
        tokio::time::sleep(Duration::from_secs(15)).await;
        stop.cancel();
    });
    let there = service.with(|channel| channel.members.len());
    assert_eq!(resource.status().present, Some(u32::try_from(there).unwrap()));
    assert!(there >= 100);
}

#[tokio::test(start_paused = true)]
async fn failed_status_write_is_repeated_later() {
    let service = FakeService::default();
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(3));
    resource.store.failures.push_back(StoreError::Unavailable("down".to_owned()));
    let Requeue::After(rest) = resource.reconcile(&engine).await else { panic!("no retry is due") };
    assert!(rest <= Duration::from_secs(10));
    let calls = service.all_calls();
    resource.reconcile(&engine).await;
    assert_eq!(resource.conditions(), READY);
    assert_eq!(service.all_calls(), calls, "the retry makes no call");
}

#[tokio::test(start_paused = true)]
async fn missing_bearer_is_reported_with_the_flag_that_adds_it() {
    let service = FakeService::default();
    let engine = engine(&service);
    let mut resource = TestResource::declaring(["alice"]);
    resource.spec.chime_bearer = Some(user("other"));
    assert_eq!(resource.reconcile(&engine).await, Requeue::OnChange);
    assert_eq!(resource.conditions(), "Ready=False Reconciling=False Stalled=True NotGranted");
    assert!(resource.message().contains("--allow-bearer-override"), "{}", resource.message());

    let mut resource = TestResource::declaring(["alice"]);
    resource.spec.channel_arn = "arn:aws:chime:us-east-1:1:app-instance/other/channel/c".to_owned();
    resource.reconcile(&engine).await;
    assert_eq!(resource.conditions(), "Ready=False Reconciling=False Stalled=True BearerRejected");
    assert!(resource.message().contains("--chime-bearer arn:aws:chime:us-east-1:1:app-instance/other/"));
    assert_eq!(service.all_calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn invalid_member_is_named_without_any_call() {
    let service = FakeService::default();
    let engine = engine(&service);
    let mut resource = TestResource::declaring(["alice", "b b"]);
    resource.reconcile(&engine).await;
    assert_eq!(resource.conditions(), "Ready=False Reconciling=False Stalled=True InvalidMember");
    assert!(resource.message().contains("\"b b\""), "{}", resource.message());
    assert_eq!(service.all_calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn custom_endpoint_is_named_in_every_status() {
    let service = FakeService::default();
    let mut engine = engine(&service);
    engine.settings.custom_endpoint = Some("http://127.0.0.1:4010".to_owned());
    let mut resource = TestResource::declaring(["alice"]);
    resource.reconcile(&engine).await;
    assert!(resource.message().contains("http://127.0.0.1:4010, not AWS"), "{}", resource.message());
}

#[tokio::test(start_paused = true)]
async fn withdrawn_request_keeps_the_resync_interval() {
    let service = FakeService::default();
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(3));
    resource.reconcile(&engine).await;
    resource.requested_at = Some("a".to_owned());
    tokio::time::sleep(Duration::from_secs(6)).await;
    resource.reconcile(&engine).await;
    resource.requested_at = None;
    let before = service.calls(List);
    resource.run_for(&engine, Duration::from_hours(10)).await;
    let lists = service.calls(List) - before;
    assert!((10..=12).contains(&lists), "{lists} listings in 10 resync intervals");
}

#[tokio::test(start_paused = true)]
async fn status_is_written_again_after_its_answer_was_lost() {
    let service = FakeService::default();
    let engine = engine_at(&service, Rates { channel_batch: Some("0.02".parse().unwrap()), ..Rates::UNLIMITED });
    let mut resource = TestResource::declaring(users(100));
    resource.spec.resync_interval = Some("10s".parse().unwrap());
    resource.reconcile(&engine).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    service.with(|channel| channel.members.remove(&user("u00001")));
    resource.store.failures.push_back(StoreError::Unavailable("applied, but the answer was lost".to_owned()));
    resource.reconcile(&engine).await;
    assert!(resource.store.failures.is_empty(), "progress was written while the batch waited for a permit");
    assert_eq!(
        resource.store.statuses.len(),
        2,
        "the unchanged condition is written again, because the stored one may differ"
    );
    assert_eq!(resource.conditions(), READY);
}

#[tokio::test(start_paused = true)]
async fn failed_status_write_does_not_repeat_a_refused_call() {
    let service = FakeService::default();
    service.with(|channel| channel.faults.extend((0..9).map(|_| CallFault::Before(ChannelNotAccessible, "Forbidden"))));
    let mut resource = TestResource::declaring(users(3));
    resource.store.failures.push_back(StoreError::Unavailable("down".to_owned()));
    let Requeue::After(rest) = resource.reconcile(&engine(&service)).await else { panic!("no retry is due") };
    assert!(rest >= Duration::from_mins(1), "{rest:?}");
}

#[tokio::test(start_paused = true)]
async fn member_that_leaves_during_a_reconcile_is_added_again_soon() {
    let service = FakeService::default();
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(40));
    resource.reconcile(&engine).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    service.with(|channel| {
        channel.members.extend(users(80).iter().map(|id| (user(id), crate::api::MembershipType::Default)));
        channel.vanishing = Some(user("u00000"));
    });
    resource.edit(|spec| spec.members = Some(users(80).iter().collect()));
    resource.run_for(&engine, Duration::from_secs(10)).await;
    assert_eq!(resource.conditions(), READY);
    assert!(service.with(|channel| channel.members.contains_key(&user("u00000"))));
}

#[tokio::test(start_paused = true)]
async fn invalid_spec_clears_the_counts_of_the_earlier_spec() {
    let service = FakeService::default();
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(3));
    resource.reconcile(&engine).await;
    resource.edit(|spec| spec.members = Some(["b b"].iter().collect()));
    resource.reconcile(&engine).await;
    let status = resource.status();
    assert_eq!((status.observed_generation, status.desired, status.present), (Some(2), None, None));
    assert_eq!(status.channel.as_deref(), Some("support"));
}

#[tokio::test(start_paused = true)]
async fn suspended_resource_does_not_lengthen_resync_intervals() {
    let service = FakeService::default();
    service.with(|channel| {
        channel.members.extend(users(2000).iter().map(|id| (user(id), crate::api::MembershipType::Default)));
    });
    let engine = engine_at(&service, Rates { bearer: Some("1".parse().unwrap()), ..Rates::UNLIMITED });
    let mut other = TestResource::declaring(["u00000"]);
    other.spec.channel_arn = other.spec.channel_arn.replace("/support", "/other");
    let mut resource = TestResource::declaring(["u00000"]);
    for resource in [&mut other, &mut resource] {
        resource.spec.resync_interval = Some("10s".parse().unwrap());
        resource.reconcile(&engine).await;
    }
    assert_eq!(resource.status().resync_interval.unwrap().to_string(), "2m40s");
    other.edit(|spec| spec.suspend = true);
    other.reconcile(&engine).await;
    resource.edit(|spec| spec.mode = crate::api::Mode::Observe);
    resource.reconcile(&engine).await;
    assert_eq!(resource.status().resync_interval.unwrap().to_string(), "1m20s");
}
