//! What happens around a pass: edits, restarts, stops, a store that fails?

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::fake::{Fake, Fault, Resource, engine, engine_at, engine_until, user, users};
use crate::chime::port::CallErrorClass::ChannelNotAccessible;
use crate::chime::port::Operation::{BatchCreateChannelMembership as Batch, ListChannelMemberships as List};
use crate::chime::rate_limit::Rates;
use crate::engine::Requeue;
use crate::engine::session::Session;
use crate::engine::store::StoreError;

const READY: &str = "Ready=True Reconciling=False Stalled=False AllPresent";

#[tokio::test(start_paused = true)]
async fn a_pass_that_waits_ends_at_once_when_something_newer_comes() {
    let service = Fake::default();
    let engine = engine_at(&service, Rates { channel_batch: Some("0.1".parse().unwrap()), ..Rates::UNLIMITED });
    let mut resource = Resource::declaring(users(1000));
    let cancel = CancellationToken::new();
    resource.cancel = cancel.clone();
    let (next, ()) = tokio::join!(resource.pass(&engine), async {
        tokio::time::sleep(Duration::from_secs(25)).await;
        cancel.cancel();
    });
    assert_eq!(next, Requeue::AtOnce);
    let done = service.calls(Batch);
    assert!((2..=4).contains(&done), "{done} batches in 25 s at one in 10 s");

    resource.cancel = CancellationToken::new();
    resource.edit(|spec| spec.members = Some(users(999).iter().collect()));
    resource.pass(&engine).await;
    assert_eq!(resource.conditions(), READY);
    assert_eq!((service.calls(List), service.calls(Batch)), (1, 10), "what was done is not done again");
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_while_a_pass_is_long() {
    let service = Fake::default();
    let engine = engine_at(&service, Rates { channel_batch: Some("1".parse().unwrap()), ..Rates::UNLIMITED });
    let mut resource = Resource::declaring(users(5000));
    resource.pass(&engine).await;
    let statuses = &resource.written.statuses;
    assert!((4..=8).contains(&statuses.len()), "{} writes in 50 s", statuses.len());
    let message = &statuses[1].conditions[0].message;
    assert!(message.contains("of 5,000 present, about") && message.contains("1 batch a second"), "{message}");
    for status in statuses {
        assert_eq!(status.desired.unwrap(), status.present.unwrap() + status.pending.unwrap() + status.failed.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_costs_a_listing_and_tries_nobody_again_too_soon() {
    let service = Fake::default();
    service.with(|channel| channel.refused.insert(user("u00001"), (Some("Forbidden".to_owned()), 1000)));
    let first = engine(&service);
    let mut resource = Resource::declaring(users(3));
    resource.pass(&first).await;
    let (status, statuses) = (resource.status().clone(), resource.written.statuses.len());

    resource.memory = Session::default();
    let second = engine(&service);
    resource.pass(&second).await;
    assert_eq!((service.calls(List), service.calls(Batch)), (2, 1));
    assert_eq!(resource.written.statuses.len(), statuses, "{:#?}", (status, resource.status()));
}

#[tokio::test(start_paused = true)]
async fn a_stopping_process_records_what_was_done() {
    let service = Fake::default();
    let stop = CancellationToken::new();
    let engine = {
        let slow = Rates { channel_batch: Some("0.1".parse().unwrap()), ..Rates::UNLIMITED };
        engine_until(&service, slow, stop.clone())
    };
    let mut resource = Resource::declaring(users(1000));
    resource.cancel = stop.child_token();
    tokio::join!(resource.pass(&engine), async {
        tokio::time::sleep(Duration::from_secs(15)).await;
        stop.cancel();
    });
    let there = service.with(|channel| channel.members.len());
    assert_eq!(resource.status().present, Some(u32::try_from(there).unwrap()));
    assert!(there >= 100);
}

#[tokio::test(start_paused = true)]
async fn a_status_that_did_not_get_through_is_written_later() {
    let service = Fake::default();
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(3));
    resource.written.failures.push_back(StoreError::Unavailable("down".to_owned()));
    let Requeue::After(rest) = resource.pass(&engine).await else { panic!("it is not tried again") };
    assert!(rest <= Duration::from_secs(10));
    let calls = service.all_calls();
    resource.pass(&engine).await;
    assert_eq!(resource.conditions(), READY);
    assert_eq!(service.all_calls(), calls, "no call is made for it");
}

#[tokio::test(start_paused = true)]
async fn what_the_operator_was_not_given_is_said_with_the_flag_that_gives_it() {
    let service = Fake::default();
    let engine = engine(&service);
    let mut resource = Resource::declaring(["alice"]);
    resource.spec.chime_bearer = Some(user("other"));
    assert_eq!(resource.pass(&engine).await, Requeue::OnChange);
    assert_eq!(resource.conditions(), "Ready=False Reconciling=False Stalled=True NotGranted");
    assert!(resource.message().contains("--allow-bearer-override"), "{}", resource.message());

    let mut resource = Resource::declaring(["alice"]);
    resource.spec.channel_arn = "arn:aws:chime:us-east-1:1:app-instance/other/channel/c".to_owned();
    resource.pass(&engine).await;
    assert_eq!(resource.conditions(), "Ready=False Reconciling=False Stalled=True BearerRejected");
    assert!(resource.message().contains("--chime-bearer arn:aws:chime:us-east-1:1:app-instance/other/"));
    assert_eq!(service.all_calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_bad_member_found_late_is_named_and_nothing_is_called() {
    let service = Fake::default();
    let engine = engine(&service);
    let mut resource = Resource::declaring(["alice", "b b"]);
    resource.pass(&engine).await;
    assert_eq!(resource.conditions(), "Ready=False Reconciling=False Stalled=True InvalidMember");
    assert!(resource.message().contains("\"b b\""), "{}", resource.message());
    assert_eq!(service.all_calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_trial_against_another_service_says_so_in_every_status() {
    let service = Fake::default();
    let mut engine = engine(&service);
    engine.settings.custom_endpoint = Some("http://127.0.0.1:4010".to_owned());
    let mut resource = Resource::declaring(["alice"]);
    resource.pass(&engine).await;
    assert!(resource.message().contains("http://127.0.0.1:4010, not AWS"), "{}", resource.message());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_taken_back_leaves_drift_detection_as_it_was() {
    let service = Fake::default();
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(3));
    resource.pass(&engine).await;
    resource.requested_at = Some("a".to_owned());
    tokio::time::sleep(Duration::from_secs(6)).await;
    resource.pass(&engine).await;
    resource.requested_at = None;
    let before = service.calls(List);
    resource.live(&engine, Duration::from_hours(10)).await;
    let lists = service.calls(List) - before;
    assert!((10..=12).contains(&lists), "{lists} listings in 10 resync intervals");
}

#[tokio::test(start_paused = true)]
async fn a_status_write_whose_answer_was_lost_is_made_again_though_nothing_seems_new() {
    let service = Fake::default();
    let engine = engine_at(&service, Rates { channel_batch: Some("0.02".parse().unwrap()), ..Rates::UNLIMITED });
    let mut resource = Resource::declaring(users(100));
    resource.spec.resync_interval = Some("10s".parse().unwrap());
    resource.pass(&engine).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    service.with(|channel| channel.members.remove(&user("u00001")));
    resource.written.failures.push_back(StoreError::Unavailable("applied, but the answer was lost".to_owned()));
    resource.pass(&engine).await;
    assert!(resource.written.failures.is_empty(), "progress was written while the batch waited for its turn");
    assert_eq!(
        resource.written.statuses.len(),
        2,
        "who is Ready as before is said to be, because it may not stand there"
    );
    assert_eq!(resource.conditions(), READY);
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_is_not_made_again_because_its_status_could_not_be_written() {
    let service = Fake::default();
    service.with(|channel| channel.faults.extend((0..9).map(|_| Fault::Before(ChannelNotAccessible, "Forbidden"))));
    let mut resource = Resource::declaring(users(3));
    resource.written.failures.push_back(StoreError::Unavailable("down".to_owned()));
    let Requeue::After(rest) = resource.pass(&engine(&service)).await else { panic!("it is not tried again") };
    assert!(rest >= Duration::from_mins(1), "{rest:?}");
}

#[tokio::test(start_paused = true)]
async fn somebody_who_leaves_in_the_middle_of_a_pass_is_not_left_out_until_the_next_resync() {
    let service = Fake::default();
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(40));
    resource.pass(&engine).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    service.with(|channel| {
        channel.members.extend(users(80).iter().map(|id| (user(id), crate::api::MembershipType::Default)));
        channel.vanishing = Some(user("u00000"));
    });
    resource.edit(|spec| spec.members = Some(users(80).iter().collect()));
    resource.live(&engine, Duration::from_secs(10)).await;
    assert_eq!(resource.conditions(), READY);
    assert!(service.with(|channel| channel.members.contains_key(&user("u00000"))));
}

#[tokio::test(start_paused = true)]
async fn the_numbers_of_another_spec_do_not_stand_beside_an_objection() {
    let service = Fake::default();
    let engine = engine(&service);
    let mut resource = Resource::declaring(users(3));
    resource.pass(&engine).await;
    resource.edit(|spec| spec.members = Some(["b b"].iter().collect()));
    resource.pass(&engine).await;
    let status = resource.status();
    assert_eq!((status.observed_generation, status.desired, status.present), (Some(2), None, None));
    assert_eq!(status.channel.as_deref(), Some("support"));
}

#[tokio::test(start_paused = true)]
async fn a_suspended_resource_stretches_nobodys_resync() {
    let service = Fake::default();
    service.with(|channel| {
        channel.members.extend(users(2000).iter().map(|id| (user(id), crate::api::MembershipType::Default)));
    });
    let engine = engine_at(&service, Rates { bearer: Some("1".parse().unwrap()), ..Rates::UNLIMITED });
    let mut other = Resource::declaring(["u00000"]);
    other.spec.channel_arn = other.spec.channel_arn.replace("/support", "/other");
    let mut resource = Resource::declaring(["u00000"]);
    for resource in [&mut other, &mut resource] {
        resource.spec.resync_interval = Some("10s".parse().unwrap());
        resource.pass(&engine).await;
    }
    assert_eq!(resource.status().resync_interval.unwrap().to_string(), "2m40s");
    other.edit(|spec| spec.suspend = true);
    other.pass(&engine).await;
    resource.edit(|spec| spec.mode = crate::api::Mode::Observe);
    resource.pass(&engine).await;
    assert_eq!(resource.status().resync_interval.unwrap().to_string(), "1m20s");
}
