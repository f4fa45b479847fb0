//! Statuses that say something else than what was written.

use super::{ALL, HOUR, MAIN, MINUTE, generous, nobody_removed, pruning, removed_at_most, set};
use crate::api::{ChannelMembershipStatus, MemberList, Prune};
use crate::engine::tests::operator::Operator;
use crate::engine::tests::world::{World, arn};

const TEAM: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

async fn team(prune: Prune) -> (World, Operator) {
    let world = World::new();
    world.strangers(["stranger"]);
    // With `Authoritative` a second resource declares the stranger, who is to stay whatever happens.
    world.create("zoo/strangers", ["stranger"], |_| {});
    let mut operator = Operator::start_with(&world, generous());
    world.create(MAIN, TEAM, |spec| spec.prune = prune);
    operator.live(MINUTE * 15).await;
    (world, operator)
}

fn write(world: &World, status: Option<ChannelMembershipStatus>) {
    world.cluster.update(MAIN, |object| object.status = status);
}

/// Erin was dropped while nobody knew any more that she had been declared.
async fn status_is_wiped(prune: Prune) -> World {
    let (world, mut operator) = team(prune).await;
    operator.kill().await;
    write(&world, None);
    world.cluster.declare(MAIN, &TEAM[..4]);
    operator.restart().await;
    operator.live(HOUR * 3).await;
    world
}

/// Erin was dropped and removed, somebody else added her again, and a status of before that is restored.
async fn status_is_restored_from_an_older_copy(prune: Prune) -> World {
    let (world, mut operator) = team(prune).await;
    let copy = world.cluster.status(MAIN);
    world.cluster.declare(MAIN, &TEAM[..4]);
    operator.live(MINUTE * 15).await;
    operator.kill().await;
    removed_at_most(&world, ["erin"], prune);
    if prune != Prune::Never {
        assert_eq!(world.deletes(), ["erin"], "prune: {prune:?}");
    }
    world.strangers(["erin"]);
    write(&world, Some(copy));
    operator.restart().await;
    operator.live(HOUR * 3).await;
    world
}

/// A copy of the resource is restored from a backup, under another UID, and claims a stranger.
async fn status_is_restored_under_another_uid(prune: Prune) -> World {
    let (world, mut operator) = team(prune).await;
    let mut copy = world.cluster.status(MAIN);
    copy.last_declared = Some(TEAM.iter().copied().chain(["stranger", "erin"]).collect::<MemberList>());
    operator.kill().await;
    world.cluster.delete(MAIN);
    world.cluster.delete("zoo/strangers");
    world.create(MAIN, &TEAM[..4], |spec| spec.prune = prune);
    write(&world, Some(copy));
    operator.restart().await;
    operator.live(HOUR * 3).await;
    world
}

/// A status that claims a stranger is written over while the operator runs.
async fn status_is_overwritten_while_the_operator_runs(prune: Prune) -> World {
    let (world, mut operator) = team(prune).await;
    let old = world.cluster.status(MAIN);
    for round in 0..20 {
        write(&world, if round % 2 == 0 { None } else { Some(old.clone()) });
        world.cluster.declare(MAIN, if round % 2 == 0 { &TEAM[..4] } else { &TEAM[..] });
        operator.live(MINUTE * 2).await;
    }
    world
}

/// It is deleted, and its status wiped while its people are removed.
async fn status_is_wiped_of_a_resource_that_is_deleted(prune: Prune) -> World {
    let world = World::new();
    world.strangers(["stranger"]);
    let mut operator = Operator::start_with(&world, generous());
    world.create("zoo/strangers", ["stranger", "alice"], |_| {});
    world.create(MAIN, TEAM, pruning(prune));
    operator.live(MINUTE * 15).await;
    world.cluster.delete(MAIN);
    operator.live(MINUTE / 12).await;
    operator.kill().await;
    if world.cluster.find(MAIN).is_some() {
        write(&world, None);
    }
    operator.restart().await;
    operator.live(HOUR * 30).await;
    assert!(world.cluster.find(MAIN).is_none(), "prune: {prune:?}: it hangs");
    world
}

pub(super) async fn all(prune: Prune) -> Vec<World> {
    vec![
        status_is_wiped(prune).await,
        status_is_restored_from_an_older_copy(prune).await,
        status_is_restored_under_another_uid(prune).await,
        status_is_overwritten_while_the_operator_runs(prune).await,
        status_is_wiped_of_a_resource_that_is_deleted(prune).await,
    ]
}

#[tokio::test(start_paused = true)]
async fn a_wiped_status_claims_nobody() {
    for prune in [Prune::Never, Prune::Owned, Prune::Declared] {
        nobody_removed(&status_is_wiped(prune).await, prune);
    }
    assert_eq!(status_is_wiped(Prune::Authoritative).await.deletes(), ["erin"]);
}

#[tokio::test(start_paused = true)]
async fn an_older_status_does_not_claim_whom_somebody_else_added_since() {
    for prune in [Prune::Never, Prune::Owned, Prune::Declared] {
        let world = status_is_restored_from_an_older_copy(prune).await;
        assert!(world.members().contains("erin"), "prune: {prune:?}");
        removed_at_most(&world, ["erin"], prune);
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_of_another_uid_claims_nobody() {
    for prune in [Prune::Never, Prune::Owned, Prune::Declared] {
        let world = status_is_restored_under_another_uid(prune).await;
        nobody_removed(&world, prune);
        assert_eq!(world.members(), set(TEAM.iter().chain(&["stranger"])), "prune: {prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_that_others_write_over_costs_nobody_but_whom_the_spec_dropped() {
    for prune in ALL {
        removed_at_most(&status_is_overwritten_while_the_operator_runs(prune).await, ["erin"], prune);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_resource_whose_status_is_wiped_comes_to_its_end_and_kicks_nobody_else() {
    for prune in ALL {
        let world = status_is_wiped_of_a_resource_that_is_deleted(prune).await;
        removed_at_most(&world, &TEAM[1..], prune);
        assert!(world.support().with(|channel| channel.members.contains_key(&arn("stranger"))));
    }
}
