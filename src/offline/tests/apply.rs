//! Does `rollcall apply` do what whoever runs it expects? Over a state on disk, a service in memory and a clock that stands still.

use std::fs;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use crate::api::{DeletionPolicy, Limits, Prune, Tolerance};
use crate::chime::port::{CallErrorClass, Operation};
use crate::engine::tests::world::spec_of;
use crate::offline::passes::End;

fn owned(spec: &mut crate::api::ChannelMembershipSpec) {
    spec.prune = Prune::Owned;
    spec.limits = Some(Limits { removals: Some(Tolerance::Percent(100)), ..Limits::default() });
}

fn members(desk: &Desk) -> Vec<String> {
    desk.service.members().into_iter().collect()
}

#[tokio::test(start_paused = true)]
async fn members_are_added_and_claimed_and_a_second_run_lists_and_does_nothing_else() {
    let mut desk = Desk::new();
    desk.write("care/main", ["alice", "bob"], owned);
    assert_eq!(desk.apply().await, End::AtRest);
    assert_eq!((members(&desk), desk.reason("care/main")), (vec!["alice".into(), "bob".into()], "AllPresent".into()));
    assert_eq!(desk.status("care/main").last_declared.unwrap().len(), 2);
    assert!(!desk.plan().await.has_changes());
    let (calls, text) = (desk.service.adds().len(), fs::read_to_string(desk.path()).unwrap());
    assert_eq!(desk.apply().await, End::AtRest);
    assert_eq!(desk.service.adds().len(), calls);
    let again = fs::read_to_string(desk.path()).unwrap();
    let differs = text.lines().zip(again.lines()).filter(|(a, b)| a != b).map(|(a, _)| a.trim().to_owned());
    let differs: Vec<String> = differs.filter(|line| !line.starts_with("# ")).collect();
    assert!(differs.iter().all(|line| line.starts_with("resourceVersion")), "{differs:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_is_not_declared_any_more_is_removed_ten_seconds_later_and_the_next_plan_is_empty() {
    let mut desk = Desk::new();
    desk.service.add_strangers(["stranger"]);
    desk.write("care/main", ["alice", "bob"], owned);
    desk.apply().await;
    desk.write("care/main", ["bob"], owned);
    assert_eq!(desk.plan().await.totals.remove, 1);
    let before = Instant::now();
    assert_eq!(desk.apply().await, End::AtRest);
    assert_eq!(members(&desk), ["bob", "stranger"]);
    assert!(before.elapsed() >= Duration::from_secs(10) && before.elapsed() < Duration::from_secs(30));
    assert_eq!(desk.find("care/main").unwrap().metadata.generation, Some(2));
    assert!(!desk.plan().await.has_changes());
}

#[tokio::test(start_paused = true)]
async fn without_consent_nobody_is_removed_and_nobody_is_waited_for() {
    let mut desk = Desk::new();
    desk.write("care/main", ["alice", "bob"], owned);
    desk.apply().await;
    desk.write("care/main", ["bob", "carol"], owned);
    desk.removes = false;
    let before = Instant::now();
    assert_eq!(desk.apply().await, End::AtRest);
    assert_eq!((members(&desk).len(), desk.reason("care/main")), (3, "Removing".to_owned()));
    assert!(before.elapsed() < Duration::from_mins(2));
    desk.removes = true;
    desk.apply().await;
    assert_eq!(members(&desk), ["bob", "carol"]);
}

#[tokio::test(start_paused = true)]
async fn a_plan_over_its_limit_waits_for_its_hash_and_for_no_other() {
    let mut desk = Desk::new();
    let limited = |spec: &mut crate::api::ChannelMembershipSpec| spec.prune = Prune::Owned;
    desk.write("care/main", ["a", "b", "c", "d"], limited);
    desk.apply().await;
    desk.write("care/main", ["a"], limited);
    let foreseen = desk.plan().await.resources[0].pending_approval.clone().unwrap().hash;
    assert_eq!(desk.apply().await, End::AtRest);
    assert_eq!((members(&desk).len(), desk.reason("care/main")), (4, "ApprovalRequired".to_owned()));
    let hash = desk.status("care/main").pending_approval.unwrap().hash;
    assert_eq!(hash, foreseen);
    desk.approved = vec!["another".to_owned()];
    desk.apply().await;
    assert_eq!(members(&desk).len(), 4);
    desk.approved = vec!["another".to_owned(), hash];
    assert_eq!(desk.apply().await, End::AtRest);
    assert_eq!((members(&desk), desk.reason("care/main")), (vec!["a".to_owned()], "AllPresent".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_was_read_before_it_waited_can_be_approved_in_the_same_run() {
    let mut desk = Desk::new();
    let limited = |spec: &mut crate::api::ChannelMembershipSpec| spec.prune = Prune::Owned;
    desk.write("care/main", ["a", "b", "c", "d"], limited);
    desk.apply().await;
    desk.write("care/main", ["a"], limited);
    desk.approved = vec![desk.plan().await.resources[0].pending_approval.clone().unwrap().hash];
    assert_eq!(desk.apply().await, End::AtRest);
    assert_eq!((members(&desk), desk.reason("care/main")), (vec!["a".to_owned()], "AllPresent".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_is_not_among_the_files_goes_on_declaring_its_members() {
    let mut desk = Desk::new();
    desk.write("care/main", ["alice", "bob"], owned);
    desk.write("care/other", ["alice"], owned);
    desk.apply().await;
    desk.files.remove("care/other");
    desk.write("care/main", ["bob"], owned);
    desk.apply().await;
    assert_eq!(members(&desk), ["alice", "bob"]);
    assert!(desk.find("care/other").is_some());
}

#[tokio::test(start_paused = true)]
async fn with_prune_a_resource_that_is_not_among_the_files_ends_with_its_members_or_without() {
    for (policy, left) in [(DeletionPolicy::Delete, vec!["bob"]), (DeletionPolicy::Retain, vec!["alice", "bob"])] {
        let mut desk = Desk::new();
        desk.write("care/main", ["bob"], owned);
        desk.write("care/other", ["alice"], |spec| {
            owned(spec);
            spec.deletion_policy = policy;
        });
        desk.apply().await;
        desk.files.remove("care/other");
        desk.prune = true;
        assert_eq!(desk.apply().await, End::AtRest);
        assert_eq!(members(&desk), left, "{policy:?}");
        assert!(desk.find("care/other").is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_was_not_finished_goes_on_without_being_asked_for_and_ends_when_it_is_put_back() {
    let mut desk = Desk::new();
    desk.write("care/main", ["bob"], owned);
    desk.write("care/other", ["alice"], |spec| {
        owned(spec);
        spec.deletion_policy = DeletionPolicy::Delete;
    });
    desk.apply().await;
    let spec = desk.files.remove("care/other").unwrap();
    (desk.prune, desk.timeout) = (true, Duration::from_secs(5));
    assert_eq!(desk.apply().await, End::OutOfTime);
    assert!(desk.find("care/other").unwrap().metadata.deletion_timestamp.is_some());
    (desk.prune, desk.timeout) = (false, Duration::from_mins(30));
    desk.files.insert("care/other".to_owned(), spec);
    desk.apply().await;
    assert_eq!((members(&desk).len(), desk.reason("care/other")), (2, "AllPresent".to_owned()));
    let spec = desk.files.remove("care/other").unwrap();
    (desk.prune, desk.timeout) = (true, Duration::from_secs(5));
    desk.apply().await;
    (desk.prune, desk.timeout) = (false, Duration::from_mins(30));
    assert_eq!(desk.plan().await.totals.remove, 1);
    assert_eq!(desk.apply().await, End::AtRest);
    assert_eq!(members(&desk), ["bob"]);
    desk.files.insert("care/other".to_owned(), spec);
    desk.apply().await;
    assert_eq!(members(&desk).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_fails_and_may_pass_is_tried_again_until_the_time_is_over() {
    let mut desk = Desk::new();
    desk.write("care/main", ["alice"], owned);
    desk.service.refuse_calls(CallErrorClass::Transient, "ServiceFailure");
    desk.timeout = Duration::from_mins(5);
    let before = Instant::now();
    assert_eq!(desk.apply().await, End::OutOfTime);
    assert!(before.elapsed() >= desk.timeout && before.elapsed() < desk.timeout + Duration::from_secs(30));
    let service = desk.service.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_mins(2)).await;
        service.allow_calls();
    });
    assert_eq!(desk.apply().await, End::AtRest);
    assert_eq!((members(&desk), desk.reason("care/main")), (vec!["alice".to_owned()], "AllPresent".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_is_refused_is_told_at_once_and_holds_up_no_other() {
    let mut desk = Desk::new();
    desk.write("care/main", ["alice"], owned);
    desk.service.deny_operation(Operation::BatchCreateChannelMembership);
    let before = Instant::now();
    assert_eq!(desk.apply().await, End::AtRest);
    assert_eq!(desk.reason("care/main"), "AccessDenied");
    assert!(before.elapsed() < Duration::from_mins(1));
}

#[tokio::test(start_paused = true)]
async fn refused_members_are_told_and_rest_until_their_time_however_often_it_is_run() {
    let mut desk = Desk::new();
    desk.service.support().with(|channel| channel.bans.insert(crate::engine::tests::world::arn("banned")));
    desk.write("care/main", ["alice", "banned"], owned);
    let before = Instant::now();
    assert_eq!(desk.apply().await, End::AtRest);
    assert!(before.elapsed() < Duration::from_mins(2));
    assert_eq!(desk.reason("care/main"), "MembersRefused");
    let asked = desk.service.adds().iter().filter(|id| *id == "banned").count();
    desk.apply().await;
    let again = desk.service.adds().iter().filter(|id| *id == "banned").count();
    assert_eq!(again, asked, "its hour is not over");
    tokio::time::sleep(Duration::from_hours(2)).await;
    desk.apply().await;
    assert!(desk.service.adds().iter().filter(|id| *id == "banned").count() > asked);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_stopped_records_what_it_did_and_the_next_goes_on() {
    let mut desk = Desk::new();
    desk.write("care/main", (0..1000).map(|n| format!("m{n:04}")), owned);
    let stop = CancellationToken::new();
    let stopper = stop.clone();
    desk.service.before_each_call(move |operation| {
        if operation == Operation::BatchCreateChannelMembership {
            stopper.cancel();
        }
    });
    assert_eq!(desk.apply_until(&stop).await, End::Stopped);
    let there = members(&desk).len();
    assert!(there > 0 && there < 1000, "{there}");
    let status = desk.status("care/main");
    assert_eq!(status.last_declared.as_ref().map(crate::api::MemberList::len), Some(1000));
    assert_eq!(status.present.unwrap_or_default() as usize, there);
    assert_eq!(desk.apply().await, End::AtRest);
    assert_eq!((members(&desk).len(), desk.service.adds().len()), (1000, 1000));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_added_whom_the_state_could_not_take_in() {
    let mut desk = Desk::new();
    desk.write("care/main", ["alice"], owned);
    assert_eq!(desk.apply().await, End::AtRest);
    let text = fs::read_to_string(desk.path()).unwrap();
    desk.write("care/main", ["alice", "bob"], owned);
    // What is in the way of the successor cannot be taken away.
    let folder = desk.folder.path().to_owned();
    desk.service.before_each_call(move |_| fs::create_dir_all(folder.join(".state.yaml.new/x")).unwrap());
    assert_eq!(desk.apply().await, End::Broken);
    assert_eq!(members(&desk), ["alice"]);
    fs::remove_dir_all(desk.folder.path().join(".state.yaml.new")).unwrap();
    desk.service.before_each_call(|_| ());
    assert_eq!(desk.find("care/main").unwrap().metadata.uid, {
        fs::write(desk.folder.path().join("old.yaml"), text).unwrap();
        let old = crate::manifests::Input::Path(desk.folder.path().join("old.yaml"));
        let old = crate::manifests::read_state(&[old], "default").unwrap();
        old.memberships[0].object.metadata.uid.clone()
    });
    assert_eq!(desk.apply().await, End::AtRest);
    assert_eq!(members(&desk), ["alice", "bob"]);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_channels_are_worked_off_together() {
    let mut desk = Desk::new();
    for n in 0..100 {
        let mut spec = spec_of(&format!("c{n}"), ["alice", "bob"]);
        owned(&mut spec);
        desk.files.insert(format!("care/r{n}"), spec);
    }
    assert_eq!(desk.apply().await, End::AtRest);
    assert_eq!(desk.service.adds().len(), 200);
    assert!(!desk.plan().await.has_changes());
}
