//! Two operators at once, or an older operator.

use super::{HOUR, MAIN, MINUTE, assert_none_removed, assert_removed_only, name_set, permissive_options, with_prune};
use crate::api::Prune;
use crate::engine::tests::operator::TestOperator;
use crate::engine::tests::world::TestWorld;

const TEAM: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

/// Two operators reconcile the same resources, through an edit and a deletion.
async fn two_operators_without_a_leader(prune: Prune) -> TestWorld {
    let world = TestWorld::new();
    world.add_strangers(["stranger"]);
    world.create("zoo/strangers", ["stranger", "bob"], |_| {});
    world.create(MAIN, TEAM, with_prune(prune));
    let mut first = TestOperator::start_with(&world, permissive_options());
    let mut second = TestOperator::start_with(&world, permissive_options());
    first.run_for(MINUTE * 15).await;
    world.cluster.declare(MAIN, &TEAM[..4]);
    second.run_for(MINUTE * 15).await;
    if prune != Prune::Never {
        assert_eq!(name_set(world.deletes()), name_set(["erin"]), "prune: {prune:?}");
    }
    world.cluster.delete(MAIN);
    first.run_for(HOUR * 3).await;
    second.run_for(HOUR).await;
    assert!(world.cluster.find(MAIN).is_none(), "prune: {prune:?}: the deletion does not end");
    assert!(world.members().is_superset(&name_set(["stranger", "bob"])));
    world
}

/// The watch of one of two operators stops after erin was undeclared, and misses that erin was
/// declared again.
async fn one_of_two_has_a_stale_watch(prune: Prune) -> TestWorld {
    let world = TestWorld::new();
    world.create(MAIN, TEAM, |spec| spec.prune = prune);
    let mut first = TestOperator::start_with(&world, permissive_options());
    let mut second = TestOperator::start_with(&world, permissive_options());
    first.run_for(MINUTE * 15).await;
    world.cluster.declare(MAIN, &TEAM[..4]);
    second.run_for(MINUTE / 60).await;
    second.lose_watch();
    world.cluster.declare(MAIN, TEAM);
    first.run_for(HOUR * 3).await;
    second.run_for(HOUR).await;
    second.regain_watch();
    second.run_for(HOUR).await;
    world
}

/// The watch stops, and misses another resource that declares erin.
async fn declarer_is_unseen_by_the_watch(prune: Prune) -> TestWorld {
    let world = TestWorld::new();
    world.create(MAIN, TEAM, |spec| spec.prune = prune);
    let mut operator = TestOperator::start_with(&world, permissive_options());
    operator.run_for(MINUTE * 15).await;
    world.cluster.declare(MAIN, &TEAM[..4]);
    operator.run_for(MINUTE / 60).await;
    operator.lose_watch();
    world.create("zoo/erin", ["erin"], |_| {});
    operator.run_for(HOUR * 3).await;
    world
}

/// The operator is downgraded to a version that does not know a field of the spec, and erin is
/// undeclared.
async fn older_operator_meets_an_unknown_field(prune: Prune) -> TestWorld {
    let world = TestWorld::new();
    world.create(MAIN, TEAM, |spec| spec.prune = prune);
    let mut operator = TestOperator::start_with(&world, permissive_options());
    operator.run_for(MINUTE * 15).await;
    world.cluster.update(MAIN, |object| object.unknown_field = Some("except".to_owned()));
    operator.restart().await;
    world.cluster.declare(MAIN, ["alice", "bob", "carol", "dave", "frank"]);
    operator.run_for(HOUR * 30).await;
    assert!(world.members().contains("frank"), "additions continue");
    world
}

/// The operator is downgraded in the same way, and the unknown field is in another resource.
async fn older_operator_meets_an_unknown_field_of_another_resource(prune: Prune) -> TestWorld {
    let world = TestWorld::new();
    world.create(MAIN, TEAM, |spec| spec.prune = prune);
    world.create("zoo/other", ["bob"], |_| {});
    let mut operator = TestOperator::start_with(&world, permissive_options());
    operator.run_for(MINUTE * 15).await;
    world.cluster.update("zoo/other", |object| object.unknown_field = Some("membersOf".to_owned()));
    operator.restart().await;
    world.cluster.declare(MAIN, &TEAM[..4]);
    operator.run_for(HOUR * 30).await;
    world
}

pub(super) async fn all_incidents(prune: Prune) -> Vec<TestWorld> {
    vec![
        two_operators_without_a_leader(prune).await,
        one_of_two_has_a_stale_watch(prune).await,
        declarer_is_unseen_by_the_watch(prune).await,
        older_operator_meets_an_unknown_field(prune).await,
        older_operator_meets_an_unknown_field_of_another_resource(prune).await,
    ]
}

for_each_prune!(two_operators_remove_no_more_than_one in [Never, Owned, Declared, Authoritative]);
async fn two_operators_remove_no_more_than_one(prune: Prune) {
    let world = two_operators_without_a_leader(prune).await;
    assert_removed_only(&world, ["alice", "carol", "dave", "erin"], prune);
}

for_each_prune!(operator_with_a_stale_watch_removes_no_declared_member in [Never, Owned, Declared, Authoritative]);
async fn operator_with_a_stale_watch_removes_no_declared_member(prune: Prune) {
    assert_none_removed(&one_of_two_has_a_stale_watch(prune).await, prune);
}

for_each_prune!(declarer_unseen_by_the_watch_protects_its_members in [Never, Owned, Declared, Authoritative]);
async fn declarer_unseen_by_the_watch_protects_its_members(prune: Prune) {
    assert_none_removed(&declarer_is_unseen_by_the_watch(prune).await, prune);
}

for_each_prune!(older_operator_removes_no_member_beside_an_unknown_field in [Never, Owned, Declared, Authoritative]);
async fn older_operator_removes_no_member_beside_an_unknown_field(prune: Prune) {
    assert_none_removed(&older_operator_meets_an_unknown_field(prune).await, prune);
    assert_none_removed(&older_operator_meets_an_unknown_field_of_another_resource(prune).await, prune);
}

#[tokio::test(start_paused = true)]
async fn newer_operator_finishes_the_work_of_an_older_one() {
    let world = older_operator_meets_an_unknown_field(Prune::Owned).await;
    world.cluster.update(MAIN, |object| object.unknown_field = None);
    let mut newer = TestOperator::start_with(&world, permissive_options());
    newer.run_for(HOUR).await;
    assert_eq!(world.deletes(), ["erin"]);
}
