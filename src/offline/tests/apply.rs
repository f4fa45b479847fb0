//! `rollcall apply` with a state on disk, a service in memory and a paused clock.

use std::fs;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::harness::ApplyHarness;
use crate::api::{DeletionPolicy, Limits, Prune, Tolerance};
use crate::chime::port::{CallErrorClass, Operation};
use crate::engine::tests::world::spec_of;
use crate::offline::scheduler::End;

fn owned(spec: &mut crate::api::ChannelMembershipSpec) {
    spec.prune = Prune::Owned;
    spec.limits = Some(Limits { removals: Some(Tolerance::Percent(100)), ..Limits::default() });
}

fn members(harness: &ApplyHarness) -> Vec<String> {
    harness.service.members().into_iter().collect()
}

#[tokio::test(start_paused = true)]
async fn second_run_changes_nothing() {
    let mut harness = ApplyHarness::new();
    harness.write("care/main", ["alice", "bob"], owned);
    assert_eq!(harness.apply().await, End::AtRest);
    assert_eq!(
        (members(&harness), harness.reason("care/main")),
        (vec!["alice".into(), "bob".into()], "AllPresent".into())
    );
    assert_eq!(harness.status("care/main").last_declared.unwrap().len(), 2);
    assert!(!harness.plan().await.has_changes());
    let (calls, text) = (harness.service.adds().len(), fs::read_to_string(harness.path()).unwrap());
    assert_eq!(harness.apply().await, End::AtRest);
    assert_eq!(harness.service.adds().len(), calls);
    let again = fs::read_to_string(harness.path()).unwrap();
    let differs = text.lines().zip(again.lines()).filter(|(a, b)| a != b).map(|(a, _)| a.trim().to_owned());
    let differs: Vec<String> = differs.filter(|line| !line.starts_with("# ")).collect();
    assert!(differs.iter().all(|line| line.starts_with("resourceVersion")), "{differs:?}");
}

#[tokio::test(start_paused = true)]
async fn undeclared_member_is_removed_after_10s() {
    let mut harness = ApplyHarness::new();
    harness.service.add_strangers(["stranger"]);
    harness.write("care/main", ["alice", "bob"], owned);
    harness.apply().await;
    harness.write("care/main", ["bob"], owned);
    assert_eq!(harness.plan().await.totals.remove, 1);
    let before = Instant::now();
    assert_eq!(harness.apply().await, End::AtRest);
    assert_eq!(members(&harness), ["bob", "stranger"]);
    assert!(before.elapsed() >= Duration::from_secs(10) && before.elapsed() < Duration::from_secs(30));
    assert_eq!(harness.find("care/main").unwrap().metadata.generation, Some(2));
    assert!(!harness.plan().await.has_changes());
}

#[tokio::test(start_paused = true)]
async fn removal_is_skipped_without_confirmation() {
    let mut harness = ApplyHarness::new();
    harness.write("care/main", ["alice", "bob"], owned);
    harness.apply().await;
    harness.write("care/main", ["bob", "carol"], owned);
    harness.removes = false;
    let before = Instant::now();
    assert_eq!(harness.apply().await, End::AtRest);
    assert_eq!((members(&harness).len(), harness.reason("care/main")), (3, "Removing".to_owned()));
    assert!(before.elapsed() < Duration::from_mins(2));
    harness.removes = true;
    harness.apply().await;
    assert_eq!(members(&harness), ["bob", "carol"]);
}

#[tokio::test(start_paused = true)]
async fn plan_over_its_limit_waits_for_its_own_hash() {
    let mut harness = ApplyHarness::new();
    let limited = |spec: &mut crate::api::ChannelMembershipSpec| spec.prune = Prune::Owned;
    harness.write("care/main", ["a", "b", "c", "d"], limited);
    harness.apply().await;
    harness.write("care/main", ["a"], limited);
    let foreseen = harness.plan().await.resources[0].pending_approval.clone().unwrap().hash;
    assert_eq!(harness.apply().await, End::AtRest);
    assert_eq!((members(&harness).len(), harness.reason("care/main")), (4, "ApprovalRequired".to_owned()));
    let hash = harness.status("care/main").pending_approval.unwrap().hash;
    assert_eq!(hash, foreseen);
    harness.approved = vec!["another".to_owned()];
    harness.apply().await;
    assert_eq!(members(&harness).len(), 4);
    harness.approved = vec!["another".to_owned(), hash];
    assert_eq!(harness.apply().await, End::AtRest);
    assert_eq!((members(&harness), harness.reason("care/main")), (vec!["a".to_owned()], "AllPresent".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn planned_hash_approves_in_the_same_run() {
    let mut harness = ApplyHarness::new();
    let limited = |spec: &mut crate::api::ChannelMembershipSpec| spec.prune = Prune::Owned;
    harness.write("care/main", ["a", "b", "c", "d"], limited);
    harness.apply().await;
    harness.write("care/main", ["a"], limited);
    harness.approved = vec![harness.plan().await.resources[0].pending_approval.clone().unwrap().hash];
    assert_eq!(harness.apply().await, End::AtRest);
    assert_eq!((members(&harness), harness.reason("care/main")), (vec!["a".to_owned()], "AllPresent".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn resource_outside_the_files_still_declares_its_members() {
    let mut harness = ApplyHarness::new();
    harness.write("care/main", ["alice", "bob"], owned);
    harness.write("care/other", ["alice"], owned);
    harness.apply().await;
    harness.files.remove("care/other");
    harness.write("care/main", ["bob"], owned);
    harness.apply().await;
    assert_eq!(members(&harness), ["alice", "bob"]);
    assert!(harness.find("care/other").is_some());
}

#[tokio::test(start_paused = true)]
async fn pruned_resource_follows_its_deletion_policy() {
    for (policy, left) in [(DeletionPolicy::Delete, vec!["bob"]), (DeletionPolicy::Retain, vec!["alice", "bob"])] {
        let mut harness = ApplyHarness::new();
        harness.write("care/main", ["bob"], owned);
        harness.write("care/other", ["alice"], |spec| {
            owned(spec);
            spec.deletion_policy = policy;
        });
        harness.apply().await;
        harness.files.remove("care/other");
        harness.prune = true;
        assert_eq!(harness.apply().await, End::AtRest);
        assert_eq!(members(&harness), left, "{policy:?}");
        assert!(harness.find("care/other").is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn interrupted_deletion_continues_until_the_file_returns() {
    let mut harness = ApplyHarness::new();
    harness.write("care/main", ["bob"], owned);
    harness.write("care/other", ["alice"], |spec| {
        owned(spec);
        spec.deletion_policy = DeletionPolicy::Delete;
    });
    harness.apply().await;
    let spec = harness.files.remove("care/other").unwrap();
    (harness.prune, harness.timeout) = (true, Duration::from_secs(5));
    assert_eq!(harness.apply().await, End::OutOfTime);
    assert!(harness.find("care/other").unwrap().metadata.deletion_timestamp.is_some());
    (harness.prune, harness.timeout) = (false, Duration::from_mins(30));
    harness.files.insert("care/other".to_owned(), spec);
    harness.apply().await;
    assert_eq!((members(&harness).len(), harness.reason("care/other")), (2, "AllPresent".to_owned()));
    let spec = harness.files.remove("care/other").unwrap();
    (harness.prune, harness.timeout) = (true, Duration::from_secs(5));
    harness.apply().await;
    (harness.prune, harness.timeout) = (false, Duration::from_mins(30));
    assert_eq!(harness.plan().await.totals.remove, 1);
    assert_eq!(harness.apply().await, End::AtRest);
    assert_eq!(members(&harness), ["bob"]);
    harness.files.insert("care/other".to_owned(), spec);
    harness.apply().await;
    assert_eq!(members(&harness).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn transient_failure_is_retried_until_the_timeout() {
    let mut harness = ApplyHarness::new();
    harness.write("care/main", ["alice"], owned);
    harness.service.refuse_calls(CallErrorClass::Transient, "ServiceFailure");
    harness.timeout = Duration::from_mins(5);
    let before = Instant::now();
    assert_eq!(harness.apply().await, End::OutOfTime);
    assert!(before.elapsed() >= harness.timeout && before.elapsed() < harness.timeout + Duration::from_secs(30));
    let service = harness.service.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_mins(2)).await;
        service.allow_calls();
    });
    assert_eq!(harness.apply().await, End::AtRest);
    assert_eq!((members(&harness), harness.reason("care/main")), (vec!["alice".to_owned()], "AllPresent".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn refused_channel_ends_at_once() {
    let mut harness = ApplyHarness::new();
    harness.write("care/main", ["alice"], owned);
    harness.service.deny_operation(Operation::BatchCreateChannelMembership);
    let before = Instant::now();
    assert_eq!(harness.apply().await, End::AtRest);
    assert_eq!(harness.reason("care/main"), "AccessDenied");
    assert!(before.elapsed() < Duration::from_mins(1));
}

#[tokio::test(start_paused = true)]
async fn refused_member_is_retried_only_after_its_delay() {
    let mut harness = ApplyHarness::new();
    harness.service.support().with(|channel| channel.bans.insert(crate::engine::tests::world::arn("banned")));
    harness.write("care/main", ["alice", "banned"], owned);
    let before = Instant::now();
    assert_eq!(harness.apply().await, End::AtRest);
    assert!(before.elapsed() < Duration::from_mins(2));
    assert_eq!(harness.reason("care/main"), "MembersRefused");
    let asked = harness.service.adds().iter().filter(|id| *id == "banned").count();
    harness.apply().await;
    let again = harness.service.adds().iter().filter(|id| *id == "banned").count();
    assert_eq!(again, asked, "the delay of one hour is not over");
    tokio::time::sleep(Duration::from_hours(2)).await;
    harness.apply().await;
    assert!(harness.service.adds().iter().filter(|id| *id == "banned").count() > asked);
}

#[tokio::test(start_paused = true)]
async fn stopped_run_is_recorded_and_the_next_run_continues() {
    let mut harness = ApplyHarness::new();
    harness.write("care/main", (0..1000).map(|n| format!("m{n:04}")), owned);
    let stop = CancellationToken::new();
    let stopper = stop.clone();
    harness.service.before_each_call(move |operation| {
        if operation == Operation::BatchCreateChannelMembership {
            stopper.cancel();
        }
    });
    assert_eq!(harness.apply_until(&stop).await, End::Stopped);
    let there = members(&harness).len();
    assert!(there > 0 && there < 1000, "{there}");
    let status = harness.status("care/main");
    assert_eq!(status.last_declared.as_ref().map(crate::api::MemberList::len), Some(1000));
    assert_eq!(status.present.unwrap_or_default() as usize, there);
    assert_eq!(harness.apply().await, End::AtRest);
    assert_eq!((members(&harness).len(), harness.service.adds().len()), (1000, 1000));
}

#[tokio::test(start_paused = true)]
async fn no_member_is_added_if_the_state_cannot_be_written() {
    let mut harness = ApplyHarness::new();
    harness.write("care/main", ["alice"], owned);
    assert_eq!(harness.apply().await, End::AtRest);
    let text = fs::read_to_string(harness.path()).unwrap();
    harness.write("care/main", ["alice", "bob"], owned);
    // A folder in place of the new file cannot be removed.
    let folder = harness.folder.path().to_owned();
    harness.service.before_each_call(move |_| fs::create_dir_all(folder.join(".state.yaml.new/x")).unwrap());
    assert_eq!(harness.apply().await, End::Broken);
    assert_eq!(members(&harness), ["alice"]);
    fs::remove_dir_all(harness.folder.path().join(".state.yaml.new")).unwrap();
    harness.service.before_each_call(|_| ());
    assert_eq!(harness.find("care/main").unwrap().metadata.uid, {
        fs::write(harness.folder.path().join("old.yaml"), text).unwrap();
        let old = crate::manifests::Input::Path(harness.folder.path().join("old.yaml"));
        let old = crate::manifests::read_state(&[old], "default").unwrap();
        old.memberships[0].object.metadata.uid.clone()
    });
    assert_eq!(harness.apply().await, End::AtRest);
    assert_eq!(members(&harness), ["alice", "bob"]);
}

#[tokio::test(start_paused = true)]
async fn hundred_channels_are_reconciled_together() {
    let mut harness = ApplyHarness::new();
    for n in 0..100 {
        let mut spec = spec_of(&format!("c{n}"), ["alice", "bob"]);
        owned(&mut spec);
        harness.files.insert(format!("care/r{n}"), spec);
    }
    assert_eq!(harness.apply().await, End::AtRest);
    assert_eq!(harness.service.adds().len(), 200);
    assert!(!harness.plan().await.has_changes());
}
