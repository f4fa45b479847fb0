//! Statuses that differ from the status that the operator wrote.

use super::{HOUR, MAIN, MINUTE, assert_none_removed, assert_removed_only, name_set, permissive_options, with_prune};
use crate::api::{ChannelMembershipStatus, MemberList, Prune};
use crate::engine::tests::operator::TestOperator;
use crate::engine::tests::world::{TestWorld, arn};

const TEAM: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

async fn settled_team(prune: Prune) -> (TestWorld, TestOperator) {
    let world = TestWorld::new();
    world.add_strangers(["stranger"]);
    // A second resource declares the stranger, which must stay under `Authoritative` too.
    world.create("zoo/strangers", ["stranger"], |_| {});
    let mut operator = TestOperator::start_with(&world, permissive_options());
    world.create(MAIN, TEAM, |spec| spec.prune = prune);
    operator.run_for(MINUTE * 15).await;
    (world, operator)
}

fn write(world: &TestWorld, status: Option<ChannelMembershipStatus>) {
    world.cluster.update(MAIN, |object| object.status = status);
}

/// Erin is undeclared after the record of her declaration was lost.
async fn status_is_wiped(prune: Prune) -> TestWorld {
    let (world, mut operator) = settled_team(prune).await;
    operator.kill().await;
    write(&world, None);
    world.cluster.declare(MAIN, &TEAM[..4]);
    operator.restart().await;
    operator.run_for(HOUR * 3).await;
    world
}

/// Erin is undeclared and removed, another user adds her again, and an older status is restored.
async fn status_is_restored_from_an_older_copy(prune: Prune) -> TestWorld {
    let (world, mut operator) = settled_team(prune).await;
    let copy = world.cluster.status(MAIN);
    world.cluster.declare(MAIN, &TEAM[..4]);
    operator.run_for(MINUTE * 15).await;
    operator.kill().await;
    assert_removed_only(&world, ["erin"], prune);
    if prune != Prune::Never {
        assert_eq!(world.deletes(), ["erin"], "prune: {prune:?}");
    }
    world.add_strangers(["erin"]);
    write(&world, Some(copy));
    operator.restart().await;
    operator.run_for(HOUR * 3).await;
    world
}

/// A copy of the resource is restored from a backup under another UID, and its status owns a
/// stranger.
async fn status_is_restored_under_another_uid(prune: Prune) -> TestWorld {
    let (world, mut operator) = settled_team(prune).await;
    let mut copy = world.cluster.status(MAIN);
    copy.last_declared = Some(TEAM.iter().copied().chain(["stranger", "erin"]).collect::<MemberList>());
    operator.kill().await;
    world.cluster.delete(MAIN);
    world.cluster.delete("zoo/strangers");
    world.create(MAIN, &TEAM[..4], |spec| spec.prune = prune);
    write(&world, Some(copy));
    operator.restart().await;
    operator.run_for(HOUR * 3).await;
    world
}

/// The status is overwritten while the operator runs.
async fn status_is_overwritten_while_the_operator_runs(prune: Prune) -> TestWorld {
    let (world, mut operator) = settled_team(prune).await;
    let old = world.cluster.status(MAIN);
    for round in 0..20 {
        write(&world, if round % 2 == 0 { None } else { Some(old.clone()) });
        world.cluster.declare(MAIN, if round % 2 == 0 { &TEAM[..4] } else { &TEAM[..] });
        operator.run_for(MINUTE * 2).await;
    }
    world
}

/// A resource is deleted, and its status is wiped while its members are removed.
async fn status_of_a_deleted_resource_is_wiped(prune: Prune) -> TestWorld {
    let world = TestWorld::new();
    world.add_strangers(["stranger"]);
    let mut operator = TestOperator::start_with(&world, permissive_options());
    world.create("zoo/strangers", ["stranger", "alice"], |_| {});
    world.create(MAIN, TEAM, with_prune(prune));
    operator.run_for(MINUTE * 15).await;
    world.cluster.delete(MAIN);
    operator.run_for(MINUTE / 12).await;
    operator.kill().await;
    if world.cluster.find(MAIN).is_some() {
        write(&world, None);
    }
    operator.restart().await;
    operator.run_for(HOUR * 30).await;
    assert!(world.cluster.find(MAIN).is_none(), "prune: {prune:?}: the deletion does not end");
    world
}

pub(super) async fn all_incidents(prune: Prune) -> Vec<TestWorld> {
    vec![
        status_is_wiped(prune).await,
        status_is_restored_from_an_older_copy(prune).await,
        status_is_restored_under_another_uid(prune).await,
        status_is_overwritten_while_the_operator_runs(prune).await,
        status_of_a_deleted_resource_is_wiped(prune).await,
    ]
}

for_each_prune!(wiped_status_owns_no_member in [Never, Owned, Declared]);
async fn wiped_status_owns_no_member(prune: Prune) {
    assert_none_removed(&status_is_wiped(prune).await, prune);
}

#[tokio::test(start_paused = true)]
async fn undeclared_member_is_removed_by_authoritative_after_a_status_wipe() {
    assert_eq!(status_is_wiped(Prune::Authoritative).await.deletes(), ["erin"]);
}

for_each_prune!(older_status_does_not_own_a_member_added_since in [Never, Owned, Declared]);
async fn older_status_does_not_own_a_member_added_since(prune: Prune) {
    let world = status_is_restored_from_an_older_copy(prune).await;
    assert!(world.members().contains("erin"));
    assert_removed_only(&world, ["erin"], prune);
}

for_each_prune!(status_of_another_uid_owns_no_member in [Never, Owned, Declared]);
async fn status_of_another_uid_owns_no_member(prune: Prune) {
    let world = status_is_restored_under_another_uid(prune).await;
    assert_none_removed(&world, prune);
    assert_eq!(world.members(), name_set(TEAM.iter().chain(&["stranger"])));
}

for_each_prune!(overwritten_status_removes_only_undeclared_members in [Never, Owned, Declared, Authoritative]);
async fn overwritten_status_removes_only_undeclared_members(prune: Prune) {
    assert_removed_only(&status_is_overwritten_while_the_operator_runs(prune).await, ["erin"], prune);
}

for_each_prune!(deleted_resource_with_a_wiped_status_ends in [Never, Owned, Declared, Authoritative]);
async fn deleted_resource_with_a_wiped_status_ends(prune: Prune) {
    let world = status_of_a_deleted_resource_is_wiped(prune).await;
    assert_removed_only(&world, &TEAM[1..], prune);
    assert!(world.support().with(|channel| channel.members.contains_key(&arn("stranger"))));
}
