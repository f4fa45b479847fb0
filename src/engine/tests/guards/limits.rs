//! How many may be removed, and how fast.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{HOUR, MAIN, MINUTE, PRUNING, all_stay, generous, team_with, until};
use crate::api::{ApprovalReason, Limits, Prune, Tolerance};
use crate::chime::port::Operation;
use crate::engine::settings::RemovalSwitch;
use crate::engine::tests::fake::users;
use crate::engine::tests::operator::{Operator, Options};
use crate::engine::tests::world::World;

/// So many people are declared, and have been for a while.
async fn crowd(count: usize, options: Options, prune: Prune, removals: Option<Tolerance>) -> (World, Operator) {
    let world = World::new();
    let mut operator = Operator::start_with(&world, options);
    world.create(MAIN, users(count), |spec| {
        spec.prune = prune;
        spec.limits = Some(Limits { removals, ..Limits::default() });
    });
    operator.live(MINUTE * 15).await;
    assert_eq!(world.reason(MAIN), "AllPresent");
    (world, operator)
}

fn reasons(world: &World) -> Vec<ApprovalReason> {
    world.cluster.status(MAIN).pending_approval.map(|pending| pending.reasons).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_quarter_may_go_and_one_more_holds_them_all() {
    for prune in PRUNING {
        for (left, removed) in [(15, 5), (14, 0)] {
            let (world, mut operator) = crowd(20, generous(), prune, None).await;
            world.cluster.declare(MAIN, users(left));
            operator.live(HOUR * 3).await;
            assert_eq!(world.deletes().len(), removed, "{prune:?}");
            let pending = if removed == 0 { vec![ApprovalReason::TooManyRemovals] } else { Vec::new() };
            assert_eq!(reasons(&world), pending, "{prune:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_a_number_or_a_percentage_rounded_up() {
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
            let (world, mut operator) = crowd(20, generous(), Prune::Owned, Some(limit)).await;
            world.cluster.declare(MAIN, users(20 - dropped));
            operator.live(HOUR * 3).await;
            assert_eq!(world.deletes().len(), removed, "{limit:?}, {dropped} dropped");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn removals_count_for_a_day_across_edits_and_restarts() {
    for prune in PRUNING {
        let (world, mut operator) = crowd(20, generous(), prune, None).await;
        for left in (10..20).rev() {
            world.cluster.declare(MAIN, users(left));
            operator.live(HOUR).await;
            operator.restart().await;
        }
        assert_eq!(world.deletes().len(), 5, "{prune:?}");
        assert_eq!(world.cluster.status(MAIN).removed.unwrap().count, 5, "{prune:?}");
        operator.live(HOUR * 10).await;
        assert_eq!(world.deletes().len(), 5, "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_removed_stops_to_count_after_a_day() {
    let (world, mut operator) = crowd(20, generous(), Prune::Owned, None).await;
    world.cluster.declare(MAIN, users(15));
    operator.live(HOUR * 26).await;
    world.cluster.declare(MAIN, users(12));
    operator.live(HOUR).await;
    assert_eq!(world.deletes().len(), 8);
    assert_eq!(world.reason(MAIN), "AllPresent");
}

#[tokio::test(start_paused = true)]
async fn what_is_over_the_limit_goes_when_the_day_is_over_and_it_is_not_over_it_any_more() {
    let (world, mut operator) = crowd(20, generous(), Prune::Owned, None).await;
    world.cluster.declare(MAIN, users(15));
    operator.live(HOUR).await;
    world.cluster.declare(MAIN, users(14));
    operator.live(HOUR * 3).await;
    assert_eq!((world.deletes().len(), &*world.reason(MAIN)), (5, "ApprovalRequired"));
    operator.live(HOUR * 26).await;
    assert_eq!((world.deletes().len(), &*world.reason(MAIN)), (6, "AllPresent"));
}

#[tokio::test(start_paused = true)]
async fn removals_are_counted_before_they_are_made() {
    for prune in PRUNING {
        let (world, mut operator) = crowd(20, generous(), prune, None).await;
        let cluster = world.cluster.clone();
        let mut deleted = 0;
        world.meanwhile(move |operation| {
            if operation == Operation::DeleteChannelMembership {
                deleted += 1;
                let status = cluster.status(MAIN);
                assert!(status.removed.is_some_and(|removed| removed.count >= deleted));
                assert!(status.removing.is_some_and(|names| !names.is_empty()));
            }
        });
        world.cluster.declare(MAIN, users(16));
        operator.live(HOUR * 3).await;
        assert_eq!(world.deletes().len(), 4, "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn removals_that_were_begun_do_not_raise_the_limit() {
    for prune in PRUNING {
        let (on, of) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
        let (read, off) = (Arc::clone(&on), Arc::clone(&on));
        let options = Options::with(|settings| {
            settings.allow_authoritative = true;
            settings.removals = RemovalSwitch::new(move || read.load(Ordering::Relaxed));
        });
        let (world, mut operator) = crowd(20, options, prune, None).await;
        world.meanwhile(move |operation| {
            if operation == Operation::DescribeChannelMembership && of.swap(false, Ordering::Relaxed) {
                off.store(false, Ordering::Relaxed);
            }
        });
        world.cluster.declare(MAIN, users(15));
        operator.live(MINUTE * 5).await;
        world.cluster.declare(MAIN, users(14));
        operator.live(MINUTE * 5).await;
        all_stay(&world, prune);
        on.store(true, Ordering::Relaxed);
        operator.live(HOUR).await;
        let mut removed = world.deletes();
        removed.sort();
        assert_eq!(removed, users(20)[15..], "{prune:?}: five of twenty, and the sixth waits");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_removed_whose_removal_could_not_be_counted() {
    use crate::engine::store::StoreError;
    use crate::engine::tests::cluster::Op;
    for prune in PRUNING {
        let (world, mut operator) = crowd(20, generous(), prune, None).await;
        world.cluster.declare(MAIN, users(16));
        for _ in 0..1000 {
            world.cluster.fail(Op::Status, StoreError::Unavailable("down".to_owned()));
        }
        operator.live(MINUTE * 10).await;
        all_stay(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_the_hour_makes_removals_wait_and_no_more() {
    for prune in PRUNING {
        let mut options = generous();
        options.settings.max_removals_per_hour = 2;
        let (world, mut operator) = crowd(20, options, prune, None).await;
        operator.restart().await;
        world.cluster.declare(MAIN, users(15));
        for hours in 1..=3 {
            operator.live(HOUR).await;
            let removed = world.deletes().len();
            assert!(removed <= 2 * hours, "{prune:?}: {removed} in {hours} hours");
            if removed < 5 {
                assert_ne!(world.reason(MAIN), "ApprovalRequired", "{prune:?}");
                assert_ne!(world.reason(MAIN), "AllPresent", "{prune:?}");
            }
        }
        operator.live(HOUR).await;
        assert_eq!((world.deletes().len(), &*world.reason(MAIN)), (5, "AllPresent"), "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_does_not_buy_more_removals_of_the_hour() {
    let mut options = generous();
    options.settings.max_removals_per_hour = 2;
    let (world, mut operator) = crowd(20, options, Prune::Owned, None).await;
    operator.restart().await;
    world.cluster.declare(MAIN, users(15));
    for _ in 0..12 {
        operator.live(MINUTE * 20).await;
        operator.restart().await;
    }
    all_stay(&world, "each process lives for less than half an hour");
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_the_hour_is_one_for_all_resources() {
    let mut options = generous();
    options.settings.max_removals_per_hour = 4;
    let world = World::new();
    let mut operator = Operator::start_with(&world, options);
    for n in 0..4 {
        let channel = format!("c{n}");
        let mut spec = crate::engine::tests::world::spec_of(&channel, users(20));
        spec.prune = Prune::Owned;
        world.cluster.create(&format!("care/r{n}"), spec);
    }
    operator.live(MINUTE * 15).await;
    operator.restart().await;
    for n in 0..4 {
        world.cluster.declare(&format!("care/r{n}"), users(16));
    }
    operator.live(HOUR * 2).await;
    let removed = world.deletes().len();
    assert!((6..=8).contains(&removed), "{removed} in two hours");
    operator.live(HOUR * 3).await;
    assert_eq!(world.deletes().len(), 16);
}

#[tokio::test(start_paused = true)]
async fn more_additions_than_the_limit_wait_and_removals_go_on() {
    let (world, mut operator) = team_with(generous(), |spec| {
        spec.prune = Prune::Owned;
        spec.limits = Some(Limits { additions: Some(5), ..Limits::default() });
    })
    .await;
    world.cluster.declare(MAIN, ["alice", "bob", "carol", "dave"].into_iter().map(str::to_owned).chain(users(6)));
    operator.live(HOUR * 3).await;
    assert_eq!((world.adds().len(), world.deletes()), (5, vec!["erin".to_owned()]));
    let pending = world.cluster.status(MAIN).pending_approval.unwrap();
    assert_eq!((pending.additions, pending.removals, pending.reasons), (6, 0, vec![ApprovalReason::TooManyAdditions]));
    world.approve(MAIN);
    operator.live(MINUTE).await;
    assert_eq!((world.adds().len(), &*world.reason(MAIN)), (11, "AllPresent"));
}

#[tokio::test(start_paused = true)]
async fn more_removals_than_the_limit_wait_and_additions_go_on() {
    for prune in PRUNING {
        let (world, mut operator) = crowd(20, generous(), prune, None).await;
        world.cluster.declare(MAIN, users(10).into_iter().chain(["new".to_owned()]));
        operator.live(HOUR).await;
        all_stay(&world, prune);
        assert!(world.members().contains("new"), "{prune:?}");
        assert_eq!(reasons(&world), [ApprovalReason::TooManyRemovals], "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn approved_removals_under_way_let_no_additions_over_the_limit_through() {
    let mut slow = generous();
    slow.rates.bearer = Some("1".parse().unwrap());
    let world = World::new();
    let mut operator = Operator::start_with(&world, slow);
    world.create(MAIN, users(40), |spec| spec.prune = Prune::Owned);
    operator.live(MINUTE * 30).await;
    world.cluster.edit(MAIN, |spec| spec.limits = Some(Limits { additions: Some(5), ..Limits::default() }));
    world.cluster.declare(MAIN, users(10));
    operator.live(MINUTE * 5).await;
    world.approve(MAIN);
    until(&mut operator, || !world.deletes().is_empty()).await;
    world.cluster.declare(MAIN, users(10).into_iter().chain((0..6).map(|n| format!("new{n}"))));
    operator.live(HOUR * 3).await;
    assert_eq!(world.adds().len(), 40, "{}", world.reason(MAIN));
    assert_eq!((&*world.reason(MAIN), reasons(&world)), ("ApprovalRequired", vec![ApprovalReason::TooManyAdditions]));
}

#[tokio::test(start_paused = true)]
async fn approved_additions_are_finished_after_a_restart() {
    let mut slow = generous();
    slow.rates.channel_batch = Some("0.1".parse().unwrap());
    let world = World::new();
    let mut operator = Operator::start_with(&world, slow);
    world.create(MAIN, users(500), |spec| spec.limits = Some(Limits { additions: Some(5), ..Limits::default() }));
    operator.live(MINUTE * 10).await;
    assert_eq!((world.adds().len(), &*world.reason(MAIN)), (0, "ApprovalRequired"));
    world.approve(MAIN);
    until(&mut operator, || !world.adds().is_empty()).await;
    assert!(world.adds().len() < 500);
    operator.restart().await;
    operator.live(HOUR).await;
    assert_eq!((world.adds().len(), &*world.reason(MAIN)), (500, "AllPresent"));
}
