//! More than one operator, or an older one.

use super::{ALL, HOUR, MAIN, MINUTE, generous, nobody_removed, pruning, removed_at_most, set};
use crate::api::Prune;
use crate::engine::tests::operator::Operator;
use crate::engine::tests::world::World;

const TEAM: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

/// Two operators carry out the same resources, through an edit and a deletion.
async fn two_without_a_leader(prune: Prune) -> World {
    let world = World::new();
    world.strangers(["stranger"]);
    world.create("zoo/strangers", ["stranger", "bob"], |_| {});
    world.create(MAIN, TEAM, pruning(prune));
    let mut first = Operator::start_with(&world, generous());
    let mut second = Operator::start_with(&world, generous());
    first.live(MINUTE * 15).await;
    world.cluster.declare(MAIN, &TEAM[..4]);
    second.live(MINUTE * 15).await;
    if prune != Prune::Never {
        assert_eq!(set(world.deletes()), set(["erin"]), "prune: {prune:?}");
    }
    world.cluster.delete(MAIN);
    first.live(HOUR * 3).await;
    second.live(HOUR).await;
    assert!(world.cluster.find(MAIN).is_none(), "prune: {prune:?}: it hangs");
    assert!(world.members().is_superset(&set(["stranger", "bob"])));
    world
}

/// The watch of one of two operators stands still: it has seen erin dropped, and not that she was taken in again.
async fn one_of_two_sees_an_old_list(prune: Prune) -> World {
    let world = World::new();
    world.create(MAIN, TEAM, |spec| spec.prune = prune);
    let mut first = Operator::start_with(&world, generous());
    let mut second = Operator::start_with(&world, generous());
    first.live(MINUTE * 15).await;
    world.cluster.declare(MAIN, &TEAM[..4]);
    second.live(MINUTE / 60).await;
    second.lose_watch();
    world.cluster.declare(MAIN, TEAM);
    first.live(HOUR * 3).await;
    second.live(HOUR).await;
    second.regain_watch();
    second.live(HOUR).await;
    world
}

/// The watch stands still, and what it does not show is another resource that declares erin.
async fn a_declarer_is_not_seen(prune: Prune) -> World {
    let world = World::new();
    world.create(MAIN, TEAM, |spec| spec.prune = prune);
    let mut operator = Operator::start_with(&world, generous());
    operator.live(MINUTE * 15).await;
    world.cluster.declare(MAIN, &TEAM[..4]);
    operator.live(MINUTE / 60).await;
    operator.lose_watch();
    world.create("zoo/erin", ["erin"], |_| {});
    operator.live(HOUR * 3).await;
    world
}

/// The operator is set back to a version that does not know a field of the spec; erin is dropped meanwhile.
async fn an_older_operator_does_not_know_a_field(prune: Prune) -> World {
    let world = World::new();
    world.create(MAIN, TEAM, |spec| spec.prune = prune);
    let mut operator = Operator::start_with(&world, generous());
    operator.live(MINUTE * 15).await;
    world.cluster.update(MAIN, |object| object.unknown_field = Some("except".to_owned()));
    operator.restart().await;
    world.cluster.declare(MAIN, ["alice", "bob", "carol", "dave", "frank"]);
    operator.live(HOUR * 30).await;
    assert!(world.members().contains("frank"), "adding goes on");
    world
}

/// As before, and the field is another resource's.
async fn an_older_operator_does_not_know_a_siblings_field(prune: Prune) -> World {
    let world = World::new();
    world.create(MAIN, TEAM, |spec| spec.prune = prune);
    world.create("zoo/other", ["bob"], |_| {});
    let mut operator = Operator::start_with(&world, generous());
    operator.live(MINUTE * 15).await;
    world.cluster.update("zoo/other", |object| object.unknown_field = Some("everybodyOf".to_owned()));
    operator.restart().await;
    world.cluster.declare(MAIN, &TEAM[..4]);
    operator.live(HOUR * 30).await;
    world
}

pub(super) async fn all(prune: Prune) -> Vec<World> {
    vec![
        two_without_a_leader(prune).await,
        one_of_two_sees_an_old_list(prune).await,
        a_declarer_is_not_seen(prune).await,
        an_older_operator_does_not_know_a_field(prune).await,
        an_older_operator_does_not_know_a_siblings_field(prune).await,
    ]
}

#[tokio::test(start_paused = true)]
async fn two_operators_at_once_remove_nobody_whom_one_would_not() {
    for prune in ALL {
        let world = two_without_a_leader(prune).await;
        removed_at_most(&world, ["alice", "carol", "dave", "erin"], prune);
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_sees_an_old_list_removes_nobody_whom_the_new_one_names() {
    for prune in ALL {
        nobody_removed(&one_of_two_sees_an_old_list(prune).await, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn a_declarer_whom_the_watch_does_not_show_protects_all_the_same() {
    for prune in ALL {
        nobody_removed(&a_declarer_is_not_seen(prune).await, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_does_not_know_a_field_of_a_declarer_removes_nobody_from_its_channel() {
    for prune in ALL {
        nobody_removed(&an_older_operator_does_not_know_a_field(prune).await, prune);
        nobody_removed(&an_older_operator_does_not_know_a_siblings_field(prune).await, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_operator_takes_up_what_an_older_one_left() {
    let world = an_older_operator_does_not_know_a_field(Prune::Owned).await;
    world.cluster.update(MAIN, |object| object.unknown_field = None);
    let mut newer = Operator::start_with(&world, generous());
    newer.live(HOUR).await;
    assert_eq!(world.deletes(), ["erin"]);
}
