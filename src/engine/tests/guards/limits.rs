//! Limits of the number and the rate of removals.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{HOUR, MAIN, MINUTE, assert_none_removed, permissive_options, run_until, settled_team_with};
use crate::api::{ApprovalReason, Limits, Prune, Tolerance};
use crate::chime::port::Operation;
use crate::engine::settings::RemovalSwitch;
use crate::engine::tests::fake::users;
use crate::engine::tests::operator::{Options, TestOperator};
use crate::engine::tests::world::TestWorld;

/// A number of members have been declared for a while.
async fn settled_members(
    count: usize,
    options: Options,
    prune: Prune,
    removals: Option<Tolerance>,
) -> (TestWorld, TestOperator) {
    let world = TestWorld::new();
    let mut operator = TestOperator::start_with(&world, options);
    world.create(MAIN, users(count), |spec| {
        spec.prune = prune;
        spec.limits = Some(Limits { removals, ..Limits::default() });
    });
    operator.run_for(MINUTE * 15).await;
    assert_eq!(world.ready_reason(MAIN), "AllPresent");
    (world, operator)
}

fn approval_reasons(world: &TestWorld) -> Vec<ApprovalReason> {
    world.cluster.status(MAIN).pending_approval.map(|pending| pending.reasons).unwrap_or_default()
}

for_each_prune!(removals_over_a_quarter_all_need_approval in [Owned, Declared, Authoritative]);
async fn removals_over_a_quarter_all_need_approval(prune: Prune) {
    for (left, removed) in [(15, 5), (14, 0)] {
        let (world, mut operator) = settled_members(20, permissive_options(), prune, None).await;
        world.cluster.declare(MAIN, users(left));
        operator.run_for(HOUR * 3).await;
        assert_eq!(world.deletes().len(), removed);
        let pending = if removed == 0 { vec![ApprovalReason::TooManyRemovals] } else { Vec::new() };
        assert_eq!(approval_reasons(&world), pending);
    }
}

#[tokio::test(start_paused = true)]
async fn limit_is_a_number_or_a_percentage_rounded_up() {
    for (limit, most) in [
        (Tolerance::Count(0), 0),
        (Tolerance::Count(3), 3),
        (Tolerance::Percent(0), 0),
        (Tolerance::Percent(11), 3),
        (Tolerance::Percent(100), 19),
    ] {
        for (dropped, removed) in [(most, most), (most + 1, 0)] {
            if dropped >= 20 {
                continue;
            }
            let (world, mut operator) = settled_members(20, permissive_options(), Prune::Owned, Some(limit)).await;
            world.cluster.declare(MAIN, users(20 - dropped));
            operator.run_for(HOUR * 3).await;
            assert_eq!(world.deletes().len(), removed, "{limit:?}, {dropped} dropped");
        }
    }
}

for_each_prune!(removals_count_for_a_day_across_edits_and_restarts in [Owned, Declared, Authoritative]);
async fn removals_count_for_a_day_across_edits_and_restarts(prune: Prune) {
    let (world, mut operator) = settled_members(20, permissive_options(), prune, None).await;
    for left in (10..20).rev() {
        world.cluster.declare(MAIN, users(left));
        operator.run_for(HOUR).await;
        operator.restart().await;
    }
    assert_eq!(world.deletes().len(), 5);
    assert_eq!(world.cluster.status(MAIN).removed.unwrap().count, 5);
    operator.run_for(HOUR * 10).await;
    assert_eq!(world.deletes().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn removals_stop_counting_after_a_day() {
    let (world, mut operator) = settled_members(20, permissive_options(), Prune::Owned, None).await;
    world.cluster.declare(MAIN, users(15));
    operator.run_for(HOUR * 26).await;
    world.cluster.declare(MAIN, users(12));
    operator.run_for(HOUR).await;
    assert_eq!(world.deletes().len(), 8);
    assert_eq!(world.ready_reason(MAIN), "AllPresent");
}

#[tokio::test(start_paused = true)]
async fn pending_removal_proceeds_when_the_day_is_over() {
    let (world, mut operator) = settled_members(20, permissive_options(), Prune::Owned, None).await;
    world.cluster.declare(MAIN, users(15));
    operator.run_for(HOUR).await;
    world.cluster.declare(MAIN, users(14));
    operator.run_for(HOUR * 3).await;
    assert_eq!((world.deletes().len(), &*world.ready_reason(MAIN)), (5, "ApprovalRequired"));
    operator.run_for(HOUR * 26).await;
    assert_eq!((world.deletes().len(), &*world.ready_reason(MAIN)), (6, "AllPresent"));
}

for_each_prune!(removals_are_recorded_before_they_are_made in [Owned, Declared, Authoritative]);
async fn removals_are_recorded_before_they_are_made(prune: Prune) {
    let (world, mut operator) = settled_members(20, permissive_options(), prune, None).await;
    let cluster = world.cluster.clone();
    let mut deleted = 0;
    world.before_each_call(move |operation| {
        if operation == Operation::DeleteChannelMembership {
            deleted += 1;
            let status = cluster.status(MAIN);
            assert!(status.removed.is_some_and(|removed| removed.count >= deleted));
            assert!(status.removing.is_some_and(|names| !names.is_empty()));
        }
    });
    world.cluster.declare(MAIN, users(16));
    operator.run_for(HOUR * 3).await;
    assert_eq!(world.deletes().len(), 4);
}

for_each_prune!(removals_under_way_do_not_raise_the_limit in [Owned, Declared, Authoritative]);
async fn removals_under_way_do_not_raise_the_limit(prune: Prune) {
    let (on, of) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
    let (read, off) = (Arc::clone(&on), Arc::clone(&on));
    let options = Options::with(|settings| {
        settings.allow_authoritative = true;
        settings.removals = RemovalSwitch::new(move || read.load(Ordering::Relaxed));
    });
    let (world, mut operator) = settled_members(20, options, prune, None).await;
    world.before_each_call(move |operation| {
        if operation == Operation::DescribeChannelMembership && of.swap(false, Ordering::Relaxed) {
            off.store(false, Ordering::Relaxed);
        }
    });
    world.cluster.declare(MAIN, users(15));
    operator.run_for(MINUTE * 5).await;
    world.cluster.declare(MAIN, users(14));
    operator.run_for(MINUTE * 5).await;
    assert_none_removed(&world, prune);
    on.store(true, Ordering::Relaxed);
    operator.run_for(HOUR).await;
    let mut removed = world.deletes();
    removed.sort();
    assert_eq!(removed, users(20)[15..], "five of twenty are removed, and the sixth waits");
}

for_each_prune!(no_member_is_removed_while_the_status_cannot_be_written in [Owned, Declared, Authoritative]);
async fn no_member_is_removed_while_the_status_cannot_be_written(prune: Prune) {
    use crate::engine::store::StoreError;
    use crate::engine::tests::cluster::StoreOperation;
    let (world, mut operator) = settled_members(20, permissive_options(), prune, None).await;
    world.cluster.declare(MAIN, users(16));
    for _ in 0..1000 {
        world.cluster.fail_next(StoreOperation::Status, StoreError::Unavailable("down".to_owned()));
    }
    operator.run_for(MINUTE * 10).await;
    assert_none_removed(&world, prune);
}

for_each_prune!(hourly_limit_delays_removals_without_approval in [Owned, Declared, Authoritative]);
async fn hourly_limit_delays_removals_without_approval(prune: Prune) {
    let mut options = permissive_options();
    options.settings.max_removals_per_hour = 2;
    let (world, mut operator) = settled_members(20, options, prune, None).await;
    operator.restart().await;
    world.cluster.declare(MAIN, users(15));
    for hours in 1..=3 {
        operator.run_for(HOUR).await;
        let removed = world.deletes().len();
        assert!(removed <= 2 * hours, "{removed} in {hours} hours");
        if removed < 5 {
            assert_ne!(world.ready_reason(MAIN), "ApprovalRequired");
            assert_ne!(world.ready_reason(MAIN), "AllPresent");
        }
    }
    operator.run_for(HOUR).await;
    assert_eq!((world.deletes().len(), &*world.ready_reason(MAIN)), (5, "AllPresent"));
}

#[tokio::test(start_paused = true)]
async fn restart_does_not_refill_the_hourly_limit() {
    let mut options = permissive_options();
    options.settings.max_removals_per_hour = 2;
    let (world, mut operator) = settled_members(20, options, Prune::Owned, None).await;
    operator.restart().await;
    world.cluster.declare(MAIN, users(15));
    for _ in 0..12 {
        operator.run_for(MINUTE * 20).await;
        operator.restart().await;
    }
    assert_none_removed(&world, "each process runs for less than half an hour");
}

#[tokio::test(start_paused = true)]
async fn hourly_limit_is_shared_by_all_resources() {
    let mut options = permissive_options();
    options.settings.max_removals_per_hour = 4;
    let world = TestWorld::new();
    let mut operator = TestOperator::start_with(&world, options);
    for n in 0..4 {
        let channel = format!("c{n}");
        let mut spec = crate::engine::tests::world::spec_of(&channel, users(20));
        spec.prune = Prune::Owned;
        world.cluster.create(&format!("care/r{n}"), spec);
    }
    operator.run_for(MINUTE * 15).await;
    operator.restart().await;
    for n in 0..4 {
        world.cluster.declare(&format!("care/r{n}"), users(16));
    }
    operator.run_for(HOUR * 2).await;
    let removed = world.deletes().len();
    assert!((6..=8).contains(&removed), "{removed} in two hours");
    operator.run_for(HOUR * 3).await;
    assert_eq!(world.deletes().len(), 16);
}

#[tokio::test(start_paused = true)]
async fn additions_over_the_limit_wait_and_removals_continue() {
    let (world, mut operator) = settled_team_with(permissive_options(), |spec| {
        spec.prune = Prune::Owned;
        spec.limits = Some(Limits { additions: Some(5), ..Limits::default() });
    })
    .await;
    world.cluster.declare(MAIN, ["alice", "bob", "carol", "dave"].into_iter().map(str::to_owned).chain(users(6)));
    operator.run_for(HOUR * 3).await;
    assert_eq!((world.adds().len(), world.deletes()), (5, vec!["erin".to_owned()]));
    let pending = world.cluster.status(MAIN).pending_approval.unwrap();
    assert_eq!((pending.additions, pending.removals, pending.reasons), (6, 0, vec![ApprovalReason::TooManyAdditions]));
    world.approve_plan(MAIN);
    operator.run_for(MINUTE).await;
    assert_eq!((world.adds().len(), &*world.ready_reason(MAIN)), (11, "AllPresent"));
}

for_each_prune!(removals_over_the_limit_wait_and_additions_continue in [Owned, Declared, Authoritative]);
async fn removals_over_the_limit_wait_and_additions_continue(prune: Prune) {
    let (world, mut operator) = settled_members(20, permissive_options(), prune, None).await;
    world.cluster.declare(MAIN, users(10).into_iter().chain(["new".to_owned()]));
    operator.run_for(HOUR).await;
    assert_none_removed(&world, prune);
    assert!(world.members().contains("new"));
    assert_eq!(approval_reasons(&world), [ApprovalReason::TooManyRemovals]);
}

#[tokio::test(start_paused = true)]
async fn approved_removals_do_not_approve_additions() {
    let mut slow = permissive_options();
    slow.rates.bearer = Some("1".parse().unwrap());
    let world = TestWorld::new();
    let mut operator = TestOperator::start_with(&world, slow);
    world.create(MAIN, users(40), |spec| spec.prune = Prune::Owned);
    operator.run_for(MINUTE * 30).await;
    world.cluster.edit(MAIN, |spec| spec.limits = Some(Limits { additions: Some(5), ..Limits::default() }));
    world.cluster.declare(MAIN, users(10));
    operator.run_for(MINUTE * 5).await;
    world.approve_plan(MAIN);
    run_until(&mut operator, || !world.deletes().is_empty()).await;
    world.cluster.declare(MAIN, users(10).into_iter().chain((0..6).map(|n| format!("new{n}"))));
    operator.run_for(HOUR * 3).await;
    assert_eq!(world.adds().len(), 40, "{}", world.ready_reason(MAIN));
    assert_eq!(
        (&*world.ready_reason(MAIN), approval_reasons(&world)),
        ("ApprovalRequired", vec![ApprovalReason::TooManyAdditions])
    );
}

#[tokio::test(start_paused = true)]
async fn approved_additions_are_finished_after_a_restart() {
    let mut slow = permissive_options();
    slow.rates.channel_batch = Some("0.1".parse().unwrap());
    let world = TestWorld::new();
    let mut operator = TestOperator::start_with(&world, slow);
    world.create(MAIN, users(500), |spec| spec.limits = Some(Limits { additions: Some(5), ..Limits::default() }));
    operator.run_for(MINUTE * 10).await;
    assert_eq!((world.adds().len(), &*world.ready_reason(MAIN)), (0, "ApprovalRequired"));
    world.approve_plan(MAIN);
    run_until(&mut operator, || !world.adds().is_empty()).await;
    assert!(world.adds().len() < 500);
    operator.restart().await;
    operator.run_for(HOUR).await;
    assert_eq!((world.adds().len(), &*world.ready_reason(MAIN)), (500, "AllPresent"));
}
