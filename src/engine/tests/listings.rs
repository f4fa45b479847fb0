//! What happens around a listing that is long, late, or fails?

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::fake::{Fake, Fault, Resource, engine, engine_at, engine_until, user, users};
use crate::chime::port::CallErrorClass::Transient;
use crate::chime::port::Operation::ListChannelMemberships as List;
use crate::chime::rate_limit::Rates;
use crate::engine::Requeue;
use crate::engine::session::Session;
use crate::engine::store::StoreError;

const READY: &str = "Ready=True Reconciling=False Stalled=False AllPresent";

#[tokio::test(start_paused = true)]
async fn a_resync_that_waits_for_its_listing_writes_nothing_not_even_when_it_is_stopped() {
    let service = Fake::default();
    let mut resource = Resource::declaring(users(120));
    resource.pass(&engine(&service)).await;
    let (statuses, calls) = (resource.written.statuses.len(), service.calls(List));

    resource.memory = Session::default();
    let stop = CancellationToken::new();
    let restarted =
        engine_until(&service, Rates { bearer: Some("0.1".parse().unwrap()), ..Rates::UNLIMITED }, stop.clone());
    resource.cancel = stop.child_token();
    tokio::join!(resource.pass(&restarted), async {
        tokio::time::sleep(Duration::from_secs(15)).await;
        stop.cancel();
    });
    assert_eq!(service.calls(List) - calls, 2, "it has not seen the last page");
    assert_eq!(resource.written.statuses.len(), statuses, "{:#?}", resource.status());
}

#[tokio::test(start_paused = true)]
async fn edits_do_not_start_a_long_listing_over() {
    let service = Fake::default();
    service.with(|channel| {
        channel.members.extend(users(1000).iter().map(|id| (user(id), crate::api::MembershipType::Default)));
    });
    let engine = engine_at(&service, Rates { channel_list: Some("1".parse().unwrap()), ..Rates::UNLIMITED });
    let mut resource = Resource::declaring(users(1000));
    for edit in 0..30 {
        resource.cancel = CancellationToken::new();
        let cancel = resource.cancel.clone();
        tokio::join!(resource.pass(&engine), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            cancel.cancel();
        });
        resource.edit(|spec| spec.members = Some(users(1001 + edit).iter().collect()));
    }
    assert_eq!(service.calls(List), 20);
    assert_eq!(resource.conditions(), READY);
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_fails_while_nobody_waits_is_given_up() {
    let service = Fake::default();
    service.with(|channel| channel.faults.extend((0..1000).map(|_| Fault::Before(Transient, "ServiceFailure"))));
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(3));
    let cancel = resource.cancel.clone();
    tokio::join!(resource.pass(&engine), async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        cancel.cancel();
    });
    let calls = service.all_calls();
    tokio::time::sleep(Duration::from_hours(10)).await;
    assert!(service.all_calls() <= calls + 1);
}

#[tokio::test(start_paused = true)]
async fn a_restart_behind_a_queue_takes_ready_from_nobody() {
    let service = Fake::default();
    service.with(|channel| {
        channel.members.extend(users(1000).iter().map(|id| (user(id), crate::api::MembershipType::Default)));
    });
    let mut resource = Resource::declaring(users(1000));
    resource.pass(&engine(&service)).await;
    let written = resource.written.statuses.len();
    let slow = Rates { channel_list: Some("1".parse().unwrap()), ..Rates::UNLIMITED };
    let restarted = engine_at(&service, slow);
    resource.memory = Session::default();
    resource.live(&restarted, Duration::from_hours(5)).await;
    assert_eq!(resource.written.statuses.len(), written, "a listing of 20 s is nobody's business");
    assert_eq!(resource.written.events.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_before_the_first_listing_leaves_the_status_alone() {
    let service = Fake::default();
    let mut resource = Resource::declaring(users(3));
    resource.pass(&engine(&service)).await;
    let written = resource.written.statuses.len();
    let stop = CancellationToken::new();
    let restarted = engine_until(&service, Rates::UNLIMITED, stop.clone());
    service.with(|channel| channel.faults.extend((0..99).map(|_| Fault::Before(Transient, "ServiceFailure"))));
    resource.memory = Session::default();
    resource.cancel = stop.child_token();
    tokio::join!(resource.pass(&restarted), async {
        tokio::time::sleep(Duration::from_mins(1)).await;
        stop.cancel();
    });
    assert_eq!(resource.written.statuses.len(), written);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_ten_minutes_is_told_of_a_resource_that_was_ready() {
    let service = Fake::default();
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(3));
    resource.pass(&engine).await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    service.with(|channel| channel.faults.extend((0..12).map(|_| Fault::Before(Transient, "ServiceUnavailable"))));
    resource.pass(&engine).await;
    let told: Vec<&str> = resource.written.statuses.iter().map(|status| status.conditions[0].reason.as_str()).collect();
    assert_eq!(told, ["AllPresent", "Retrying", "AllPresent"]);
    assert_eq!(resource.written.statuses[1].present, Some(3), "what was last seen stands");
}

#[tokio::test(start_paused = true)]
async fn a_request_ends_the_rest_of_a_listing_that_failed() {
    let service = Fake::default();
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(3));
    resource.pass(&engine).await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    service.with(|channel| channel.faults.extend((0..9).map(|_| Fault::Before(Transient, "ServiceUnavailable"))));
    let cancel = resource.cancel.clone();
    tokio::join!(resource.pass(&engine), async {
        while service.with(|channel| !channel.faults.is_empty()) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        cancel.cancel();
    });
    resource.cancel = CancellationToken::new();
    resource.requested_at = Some("mended".to_owned());
    let asked = tokio::time::Instant::now();
    resource.pass(&engine).await;
    assert!(asked.elapsed() < Duration::from_secs(3), "waited for {:?}", asked.elapsed());
    assert_eq!(resource.conditions(), READY);
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_could_not_be_told_is_told_later() {
    let service = Fake::default();
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(3));
    resource.pass(&engine).await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    service.with(|channel| channel.faults.extend((0..20).map(|_| Fault::Before(Transient, "ServiceUnavailable"))));
    resource.written.failures.push_back(StoreError::Unavailable("a blip".to_owned()));
    resource.pass(&engine).await;
    let told: Vec<&str> = resource.written.statuses.iter().map(|status| status.conditions[0].reason.as_str()).collect();
    assert_eq!(told, ["AllPresent", "Retrying", "AllPresent"]);
}

#[tokio::test(start_paused = true)]
async fn people_added_while_a_listing_is_under_way_are_not_lost_when_it_lands() {
    let service = Fake::default();
    service.with(|channel| {
        channel.members.extend(users(1000).iter().map(|id| (user(id), crate::api::MembershipType::Default)));
    });
    let engine = engine_at(&service, Rates { channel_list: Some("1".parse().unwrap()), ..Rates::UNLIMITED });
    let mut resource = Resource::declaring(["u00000"]);
    resource.pass(&engine).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let mut sibling = Resource::declaring(["u00001"]);
    sibling.requested_at = Some("now".to_owned());
    tokio::join!(sibling.pass(&engine), async {
        // The page that the first belongs on has been read by then; that of the second has not.
        for (after, id) in [(2, "a0"), (8, "zz")] {
            tokio::time::sleep(Duration::from_secs(after)).await;
            let held = resource.spec.members.take().unwrap_or_default();
            resource.edit(|spec| spec.members = Some(held.iter().chain([id]).collect()));
            resource.pass(&engine).await;
            assert_eq!(service.batches().last().unwrap(), &[user(id)], "an edit does not wait for another's listing");
            assert!((21..40).contains(&service.calls(List)), "the listing is under way");
        }
    });
    resource.edit(|spec| spec.suspend = false);
    resource.pass(&engine).await;
    assert_eq!(service.batches().len(), 2, "nobody is added twice");
    assert_eq!(resource.conditions(), READY);
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_an_outage_held_up_is_as_recent_as_its_answers() {
    let service = Fake::default();
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(3));
    resource.spec.resync_interval = Some("10s".parse().unwrap());
    service.with(|channel| channel.faults.extend((0..6).map(|_| Fault::Before(Transient, "ServiceUnavailable"))));
    let Requeue::After(rest) = resource.pass(&engine).await else { panic!("nothing is due") };
    assert!(rest >= Duration::from_secs(9), "{rest:?}");
}
