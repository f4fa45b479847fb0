//! What waits for somebody's approval, and what that lets through.

use super::{HOUR, MAIN, MINUTE, PRUNING, all_stay, generous};
use crate::api::{APPROVE, ApprovalReason, Prune};
use crate::engine::tests::fake::users;
use crate::engine::tests::operator::{Operator, Options};
use crate::engine::tests::world::World;
use crate::membership::approval::{MAX_APPROVAL_MEMBERS, hash};

/// Twenty are declared, and all but so many are dropped at once.
async fn awaiting_approval(prune: Prune, left: usize) -> (World, Operator) {
    awaiting_approval_with(generous(), prune, left).await
}

async fn awaiting_approval_with(options: Options, prune: Prune, left: usize) -> (World, Operator) {
    let world = World::new();
    let mut operator = Operator::start_with(&world, options);
    world.create(MAIN, users(20), |spec| spec.prune = prune);
    operator.live(MINUTE * 30).await;
    world.cluster.declare(MAIN, users(left));
    operator.live(MINUTE * 10).await;
    assert_eq!(world.reason(MAIN), "ApprovalRequired", "{prune:?}");
    all_stay(&world, prune);
    (world, operator)
}

fn notes(world: &World) -> Vec<String> {
    world.cluster.events(MAIN).into_iter().map(|event| event.note).collect()
}

#[tokio::test(start_paused = true)]
async fn an_approved_plan_goes_through_and_is_told_once_each_way() {
    for prune in PRUNING {
        let (world, mut operator) = awaiting_approval(prune, 5).await;
        let hash = world.approve(MAIN);
        operator.live(HOUR).await;
        let mut removed = world.deletes();
        removed.sort();
        assert_eq!(removed, users(20)[5..], "{prune:?}");
        assert_eq!(world.reason(MAIN), "AllPresent", "{prune:?}");
        assert_eq!(world.cluster.status(MAIN).pending_approval, None, "{prune:?}");
        let told = notes(&world);
        assert_eq!(told.iter().filter(|note| note.contains(&hash)).count(), 2, "{prune:?}: {told:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_hash_approves_nothing() {
    for prune in PRUNING {
        let (world, mut operator) = awaiting_approval(prune, 5).await;
        for wrong in ["", "true", "yes", "0000000000000000"] {
            world.cluster.annotate(MAIN, APPROVE, wrong);
            operator.live(HOUR).await;
        }
        all_stay(&world, prune);
        assert_eq!(world.reason(MAIN), "ApprovalRequired", "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_changed_before_it_was_approved_needs_a_new_approval() {
    for prune in PRUNING {
        let (world, mut operator) = awaiting_approval(prune, 5).await;
        let old = world.cluster.status(MAIN).pending_approval.unwrap().hash;
        world.cluster.declare(MAIN, users(4));
        operator.live(MINUTE).await;
        assert_ne!(world.cluster.status(MAIN).pending_approval.unwrap().hash, old, "{prune:?}");
        world.cluster.annotate(MAIN, APPROVE, &old);
        operator.live(HOUR).await;
        all_stay(&world, prune);
        world.approve(MAIN);
        operator.live(HOUR).await;
        assert_eq!(world.deletes().len(), 16, "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_is_older_than_the_edit_lets_nobody_through() {
    for prune in PRUNING {
        let (world, mut operator) = awaiting_approval(prune, 5).await;
        world.approve(MAIN);
        world.cluster.declare(MAIN, users(3));
        operator.live(HOUR).await;
        all_stay(&world, prune);
        assert_eq!(world.reason(MAIN), "ApprovalRequired", "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_stood_there_before_there_was_a_plan_lets_nobody_through() {
    for prune in PRUNING {
        let world = World::new();
        let mut operator = Operator::start_with(&world, generous());
        world.create(MAIN, users(20), |spec| spec.prune = prune);
        operator.live(MINUTE * 30).await;
        let plan: Vec<String> = users(20)[5..].iter().map(|id| format!("-{id}")).collect();
        world.cluster.annotate(MAIN, APPROVE, &hash(&plan));
        operator.live(MINUTE).await;
        world.cluster.declare(MAIN, users(5));
        operator.live(HOUR * 3).await;
        all_stay(&world, prune);
        assert_eq!(world.cluster.status(MAIN).pending_approval.unwrap().hash, hash(&plan), "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_approval_lets_a_plan_through_once() {
    for prune in PRUNING {
        let (world, mut operator) = awaiting_approval(prune, 5).await;
        world.approve(MAIN);
        operator.live(HOUR).await;
        assert_eq!(world.deletes().len(), 15, "{prune:?}");
        world.cluster.declare(MAIN, users(20));
        operator.live(HOUR * 30).await;
        operator.restart().await;
        world.cluster.declare(MAIN, users(5));
        operator.live(HOUR * 3).await;
        assert_eq!(world.deletes().len(), 15, "{prune:?}: the same hash, and the annotation is there still");
        assert_eq!(world.reason(MAIN), "ApprovalRequired", "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_approved_plan_is_finished_after_a_restart() {
    for prune in PRUNING {
        let mut slow = generous();
        slow.rates.bearer = Some("4".parse().unwrap());
        let world = World::new();
        let mut operator = Operator::start_with(&world, slow);
        world.create(MAIN, users(400), |spec| spec.prune = prune);
        operator.live(MINUTE * 30).await;
        world.cluster.declare(MAIN, users(100));
        operator.live(MINUTE * 10).await;
        world.approve(MAIN);
        operator.live(MINUTE / 4).await;
        let begun = world.deletes().len();
        assert!((1..100).contains(&begun), "{prune:?}: {begun}");
        operator.restart().await;
        operator.live(HOUR * 3).await;
        assert_eq!((world.deletes().len(), &*world.reason(MAIN)), (300, "AllPresent"), "{prune:?}");
        assert_eq!(world.members().len(), 100, "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_declared_again_after_the_approval_stays() {
    for prune in PRUNING {
        let mut slow = generous();
        slow.rates.bearer = Some("1".parse().unwrap());
        let (world, mut operator) = awaiting_approval_with(slow, prune, 5).await;
        world.approve(MAIN);
        operator.live(MINUTE / 4).await;
        let begun = world.deletes();
        let again: Vec<String> = users(20).into_iter().filter(|id| !begun.contains(id)).collect();
        world.cluster.declare(MAIN, &again);
        operator.live(HOUR * 3).await;
        assert!(world.deletes().len() <= begun.len() + 1, "{prune:?}: one may be under way");
        assert_eq!(world.reason(MAIN), "AllPresent", "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_waits_and_goes_through_when_approved() {
    for prune in PRUNING {
        let (world, mut operator) = awaiting_approval(prune, 0).await;
        assert!(
            world.cluster.status(MAIN).pending_approval.unwrap().reasons.contains(&ApprovalReason::NoMembersDeclared),
            "{prune:?}"
        );
        world.approve(MAIN);
        operator.live(HOUR).await;
        assert_eq!(world.deletes().len(), 20, "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_waits_whatever_the_limit() {
    for prune in PRUNING {
        let world = World::new();
        let mut operator = Operator::start_with(&world, generous());
        world.create(MAIN, users(1), |spec| {
            spec.prune = prune;
            spec.limits.get_or_insert_default().removals = Some(crate::api::Tolerance::Percent(100));
        });
        operator.live(MINUTE * 30).await;
        world.cluster.declare(MAIN, [""; 0]);
        operator.live(HOUR * 30).await;
        all_stay(&world, prune);
        assert_eq!(
            world.cluster.status(MAIN).pending_approval.unwrap().reasons,
            [ApprovalReason::NoMembersDeclared],
            "{prune:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_awaits_approval_across_restarts_with_its_hash() {
    for prune in PRUNING {
        let (world, mut operator) = awaiting_approval(prune, 5).await;
        let hash = world.cluster.status(MAIN).pending_approval.unwrap().hash;
        for _ in 0..5 {
            operator.restart().await;
            operator.live(MINUTE / 12).await;
            assert_eq!(world.cluster.status(MAIN).pending_approval.unwrap().hash, hash, "{prune:?}");
            operator.live(HOUR).await;
            assert_eq!(world.cluster.status(MAIN).pending_approval.unwrap().hash, hash, "{prune:?}");
        }
        all_stay(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_is_taken_back_awaits_approval_no_more() {
    for prune in PRUNING {
        let (world, mut operator) = awaiting_approval(prune, 5).await;
        world.cluster.declare(MAIN, users(20));
        operator.live(MINUTE).await;
        assert_eq!(
            (world.reason(MAIN), world.cluster.status(MAIN).pending_approval),
            ("AllPresent".to_owned(), None),
            "{prune:?}"
        );
        all_stay(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_shrank_though_nothing_was_changed_waits() {
    for prune in PRUNING {
        let (world, mut operator) = {
            let world = World::new();
            let mut operator = Operator::start_with(&world, generous());
            world.create(MAIN, users(20), |spec| spec.prune = prune);
            operator.live(MINUTE * 30).await;
            (world, operator)
        };
        operator.kill().await;
        // As an operator does that reads the same spec in another way.
        world.cluster.update(MAIN, |object| object.spec.members = Some(users(19).iter().collect()));
        operator.restart().await;
        operator.live(HOUR * 30).await;
        operator.restart().await;
        operator.live(HOUR * 30).await;
        all_stay(&world, prune);
        assert_eq!(
            world.cluster.status(MAIN).pending_approval.unwrap().reasons,
            [ApprovalReason::ShrankUnchanged],
            "{prune:?}"
        );
        world.approve(MAIN);
        operator.live(HOUR).await;
        assert_eq!(world.deletes(), ["u00019"], "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_of_more_than_two_thousand_is_approved_in_parts() {
    let world = World::new();
    let mut operator = Operator::start_with(&world, generous());
    world.create(MAIN, users(5_000), |spec| spec.prune = Prune::Owned);
    operator.live(MINUTE * 30).await;
    world.cluster.declare(MAIN, users(1_000));
    operator.live(MINUTE).await;
    assert_eq!(world.cluster.status(MAIN).pending_approval.unwrap().removals, 4_000);
    world.approve(MAIN);
    operator.live(HOUR * 3).await;
    assert_eq!((world.deletes().len(), &*world.reason(MAIN)), (MAX_APPROVAL_MEMBERS, "ApprovalRequired"));
    world.approve(MAIN);
    operator.live(HOUR * 3).await;
    assert_eq!((world.deletes().len(), &*world.reason(MAIN)), (4_000, "AllPresent"));
}

#[tokio::test(start_paused = true)]
async fn an_approved_removal_counts_against_the_limit_of_the_day() {
    let (world, mut operator) = awaiting_approval(Prune::Owned, 5).await;
    world.approve(MAIN);
    operator.live(HOUR).await;
    world.cluster.declare(MAIN, users(4));
    operator.live(HOUR * 3).await;
    assert_eq!((world.deletes().len(), &*world.reason(MAIN)), (15, "ApprovalRequired"));
}

#[tokio::test(start_paused = true)]
async fn an_approval_overrules_no_other_resource_and_no_protection() {
    for prune in PRUNING {
        let (world, mut operator) = awaiting_approval(prune, 5).await;
        world.approve(MAIN);
        world.create("zoo/other", ["u00007"], |_| {});
        world.support().with(|channel| channel.moderators.insert(crate::engine::tests::fake::user("u00008")));
        operator.live(HOUR * 3).await;
        assert_eq!(world.deletes().len(), 13, "{prune:?}");
        assert!(["u00007", "u00008"].iter().all(|id| world.members().contains(*id)), "{prune:?}");
        assert_eq!(world.reason(MAIN), "AllPresent", "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_is_not_asked_for_any_more_awaits_approval_no_more() {
    let world = World::new();
    world.strangers(["zoe"]);
    let mut operator = Operator::start_with(&world, generous());
    world.create(MAIN, [""; 0], |spec| spec.prune = Prune::Authoritative);
    operator.live(MINUTE * 30).await;
    assert_eq!(world.reason(MAIN), "ApprovalRequired");
    // Her it never declared.
    world.cluster.edit(MAIN, |spec| spec.prune = Prune::Owned);
    operator.live(MINUTE * 10).await;
    assert_eq!((&*world.reason(MAIN), world.cluster.status(MAIN).pending_approval), ("AllPresent", None));
}
