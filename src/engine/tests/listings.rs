//! Listings that are long, late, or fail.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::fake::{CallFault, FakeService, TestResource, engine, engine_at, engine_until, user, users};
use crate::chime::port::CallErrorClass::Transient;
use crate::chime::port::Operation::ListChannelMemberships as List;
use crate::chime::rate_limit::Rates;
use crate::engine::Requeue;
use crate::engine::session::Session;
use crate::engine::store::StoreError;

const READY: &str = "Ready=True Reconciling=False Stalled=False AllPresent";

#[tokio::test(start_paused = true)]
async fn status_is_not_written_when_a_waiting_resync_is_stopped() {
    let service = FakeService::default();
    let mut resource = TestResource::declaring(users(120));
    resource.reconcile(&engine(&service)).await;
    let (statuses, calls) = (resource.store.statuses.len(), service.calls(List));

    resource.session = Session::default();
    let stop = CancellationToken::new();
    let restarted =
        engine_until(&service, Rates { bearer: Some("0.1".parse().unwrap()), ..Rates::UNLIMITED }, stop.clone());
    resource.cancel = stop.child_token();
    tokio::join!(resource.reconcile(&restarted), async {
        tokio::time::sleep(Duration::from_secs(15)).await;
        stop.cancel();
    });
    assert_eq!(service.calls(List) - calls, 2, "the last page was not read");
    assert_eq!(resource.store.statuses.len(), statuses, "{:#?}", resource.status());
}

#[tokio::test(start_paused = true)]
async fn edits_do_not_restart_a_long_listing() {
    let service = FakeService::default();
    service.with(|channel| {
        channel.members.extend(users(1000).iter().map(|id| (user(id), crate::api::MembershipType::Default)));
    });
    let engine = engine_at(&service, Rates { channel_list: Some("1".parse().unwrap()), ..Rates::UNLIMITED });
    let mut resource = TestResource::declaring(users(1000));
    for edit in 0..30 {
        resource.cancel = CancellationToken::new();
        let cancel = resource.cancel.clone();
        tokio::join!(resource.reconcile(&engine), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            cancel.cancel();
        });
        resource.edit(|spec| spec.members = Some(users(1001 + edit).iter().collect()));
    }
    assert_eq!(service.calls(List), 20);
    assert_eq!(resource.conditions(), READY);
}

#[tokio::test(start_paused = true)]
async fn failing_listing_ends_when_no_reconcile_waits() {
    let service = FakeService::default();
    service.with(|channel| channel.faults.extend((0..1000).map(|_| CallFault::Before(Transient, "ServiceFailure"))));
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(3));
    let cancel = resource.cancel.clone();
    tokio::join!(resource.reconcile(&engine), async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        cancel.cancel();
    });
    let calls = service.all_calls();
    tokio::time::sleep(Duration::from_hours(10)).await;
    assert!(service.all_calls() <= calls + 1);
}

#[tokio::test(start_paused = true)]
async fn ready_resource_stays_ready_during_a_slow_restart() {
    let service = FakeService::default();
    service.with(|channel| {
        channel.members.extend(users(1000).iter().map(|id| (user(id), crate::api::MembershipType::Default)));
    });
    let mut resource = TestResource::declaring(users(1000));
    resource.reconcile(&engine(&service)).await;
    let written = resource.store.statuses.len();
    let slow = Rates { channel_list: Some("1".parse().unwrap()), ..Rates::UNLIMITED };
    let restarted = engine_at(&service, slow);
    resource.session = Session::default();
    resource.run_for(&restarted, Duration::from_hours(5)).await;
    assert_eq!(resource.store.statuses.len(), written, "a listing of 20 s is not reported");
    assert_eq!(resource.store.events.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn status_is_not_written_when_stopped_before_the_first_listing() {
    let service = FakeService::default();
    let mut resource = TestResource::declaring(users(3));
    resource.reconcile(&engine(&service)).await;
    let written = resource.store.statuses.len();
    let stop = CancellationToken::new();
    let restarted = engine_until(&service, Rates::UNLIMITED, stop.clone());
    service.with(|channel| channel.faults.extend((0..99).map(|_| CallFault::Before(Transient, "ServiceFailure"))));
    resource.session = Session::default();
    resource.cancel = stop.child_token();
    tokio::join!(resource.reconcile(&restarted), async {
        tokio::time::sleep(Duration::from_mins(1)).await;
        stop.cancel();
    });
    assert_eq!(resource.store.statuses.len(), written);
}

#[tokio::test(start_paused = true)]
async fn outage_of_10min_is_reported_on_a_ready_resource() {
    let service = FakeService::default();
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(3));
    resource.reconcile(&engine).await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    service.with(|channel| channel.faults.extend((0..12).map(|_| CallFault::Before(Transient, "ServiceUnavailable"))));
    resource.reconcile(&engine).await;
    let told: Vec<&str> = resource.store.statuses.iter().map(|status| status.conditions[0].reason.as_str()).collect();
    assert_eq!(told, ["AllPresent", "Retrying", "AllPresent"]);
    assert_eq!(resource.store.statuses[1].present, Some(3), "the last known count stays");
}

#[tokio::test(start_paused = true)]
async fn reconcile_request_ends_the_pause_after_a_failed_listing() {
    let service = FakeService::default();
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(3));
    resource.reconcile(&engine).await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    service.with(|channel| channel.faults.extend((0..9).map(|_| CallFault::Before(Transient, "ServiceUnavailable"))));
    let cancel = resource.cancel.clone();
    tokio::join!(resource.reconcile(&engine), async {
        while service.with(|channel| !channel.faults.is_empty()) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        cancel.cancel();
    });
    resource.cancel = CancellationToken::new();
    resource.requested_at = Some("mended".to_owned());
    let asked = tokio::time::Instant::now();
    resource.reconcile(&engine).await;
    assert!(asked.elapsed() < Duration::from_secs(3), "waited for {:?}", asked.elapsed());
    assert_eq!(resource.conditions(), READY);
}

#[tokio::test(start_paused = true)]
async fn outage_is_reported_later_after_a_failed_status_write() {
    let service = FakeService::default();
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(3));
    resource.reconcile(&engine).await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    service.with(|channel| channel.faults.extend((0..20).map(|_| CallFault::Before(Transient, "ServiceUnavailable"))));
    resource.store.failures.push_back(StoreError::Unavailable("a blip".to_owned()));
    resource.reconcile(&engine).await;
    let told: Vec<&str> = resource.store.statuses.iter().map(|status| status.conditions[0].reason.as_str()).collect();
    assert_eq!(told, ["AllPresent", "Retrying", "AllPresent"]);
}

#[tokio::test(start_paused = true)]
async fn members_added_during_a_listing_are_kept_when_it_ends() {
    let service = FakeService::default();
    service.with(|channel| {
        channel.members.extend(users(1000).iter().map(|id| (user(id), crate::api::MembershipType::Default)));
    });
    let engine = engine_at(&service, Rates { channel_list: Some("1".parse().unwrap()), ..Rates::UNLIMITED });
    let mut resource = TestResource::declaring(["u00000"]);
    resource.reconcile(&engine).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let mut sibling = TestResource::declaring(["u00001"]);
    sibling.requested_at = Some("now".to_owned());
    tokio::join!(sibling.reconcile(&engine), async {
        // The page of the first name has been read by then; the page of the second has not.
        for (after, id) in [(2, "a0"), (8, "zz")] {
            tokio::time::sleep(Duration::from_secs(after)).await;
            let members = resource.spec.members.take().unwrap_or_default();
            resource.edit(|spec| spec.members = Some(members.iter().chain([id]).collect()));
            resource.reconcile(&engine).await;
            assert_eq!(
                service.batches().last().unwrap(),
                &[user(id)],
                "an edit does not wait for the listing of another resource"
            );
            assert!((21..40).contains(&service.calls(List)), "the listing is under way");
        }
    });
    resource.edit(|spec| spec.suspend = false);
    resource.reconcile(&engine).await;
    assert_eq!(service.batches().len(), 2, "no member is added twice");
    assert_eq!(resource.conditions(), READY);
}

#[tokio::test(start_paused = true)]
async fn delayed_listing_is_as_recent_as_its_answers() {
    let service = FakeService::default();
    let engine = engine(&service);
    let mut resource = TestResource::declaring(users(3));
    resource.spec.resync_interval = Some("10s".parse().unwrap());
    service.with(|channel| channel.faults.extend((0..6).map(|_| CallFault::Before(Transient, "ServiceUnavailable"))));
    let Requeue::After(rest) = resource.reconcile(&engine).await else { panic!("nothing is due") };
    assert!(rest >= Duration::from_secs(9), "{rest:?}");
}
