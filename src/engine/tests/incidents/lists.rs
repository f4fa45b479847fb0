//! Broken lists of members.

use super::{HOUR, MAIN, MINUTE, assert_none_removed, assert_removed_only, permissive_options, settled_members};
use crate::api::{ConfigMapKeyRef, Prune, SourceRef};
use crate::engine::tests::fake::users;
use crate::engine::tests::operator::TestOperator;
use crate::engine::tests::world::TestWorld;

fn config_map_source(name: &str, key: &str, optional: bool) -> SourceRef {
    let config_map_key_ref = ConfigMapKeyRef { name: name.to_owned(), key: key.to_owned(), optional };
    SourceRef { config_map_key_ref }
}

/// Twenty members come from a ConfigMap, and one from the spec.
async fn settled_from_config_map(prune: Prune, optional: bool) -> (TestWorld, TestOperator) {
    let world = TestWorld::new();
    let mut operator = TestOperator::start_with(&world, permissive_options());
    world.cluster.set_source("care/on-call", "members.txt", &users(20).join("\n"));
    world.create(MAIN, ["alice"], |spec| {
        spec.prune = prune;
        spec.members_from = vec![config_map_source("on-call", "members.txt", optional)];
    });
    operator.run_for(MINUTE * 15).await;
    assert_eq!(world.ready_reason(MAIN), "AllPresent");
    (world, operator)
}

async fn template_empties_the_list(prune: Prune) -> TestWorld {
    let (world, mut operator) = settled_members(20, prune).await;
    world.cluster.declare(MAIN, [""; 0]);
    operator.run_for(HOUR).await;
    operator.restart().await;
    operator.run_for(HOUR * 50).await;
    world
}

async fn template_replaces_all_members(prune: Prune) -> TestWorld {
    let (world, mut operator) = settled_members(20, prune).await;
    world.cluster.declare(MAIN, (0..20).map(|n| format!("x{n}")));
    operator.run_for(HOUR).await;
    operator.restart().await;
    operator.run_for(HOUR * 10).await;
    world
}

async fn source_is_emptied(prune: Prune) -> TestWorld {
    let world = TestWorld::new();
    let mut operator = TestOperator::start_with(&world, permissive_options());
    world.cluster.set_source("care/on-call", "members.txt", &users(20).join("\n"));
    world.create(MAIN, [""; 0], |spec| {
        spec.prune = prune;
        spec.members_from = vec![config_map_source("on-call", "members.txt", false)];
    });
    operator.run_for(MINUTE * 15).await;
    world.cluster.set_source("care/on-call", "members.txt", "# no members\n");
    operator.run_for(HOUR).await;
    operator.restart().await;
    operator.run_for(HOUR * 10).await;
    world
}

async fn list_shrinks_each_minute(prune: Prune) -> TestWorld {
    let (world, mut operator) = settled_members(100, prune).await;
    for minute in 1..=80 {
        world.cluster.declare(MAIN, users(100 - minute));
        operator.run_for(MINUTE).await;
        if minute % 16 == 0 {
            operator.restart().await;
        }
    }
    operator.run_for(HOUR).await;
    world
}

async fn key_is_renamed(prune: Prune, optional: bool) -> TestWorld {
    let (world, mut operator) = settled_from_config_map(prune, optional).await;
    world.cluster.remove_source_key("care/on-call", "members.txt");
    world.cluster.set_source("care/on-call", "people.txt", &users(20).join("\n"));
    world.cluster.declare(MAIN, ["alice", "bob"]);
    operator.run_for(HOUR).await;
    operator.restart().await;
    operator.run_for(HOUR).await;
    assert!(world.members().contains("bob"), "additions continue");
    if !optional {
        assert_eq!(world.ready_reason(MAIN), "SourceNotReady");
    }
    world.cluster.edit(MAIN, |spec| spec.members_from = vec![config_map_source("on-call", "people.txt", optional)]);
    operator.run_for(HOUR).await;
    assert_eq!(world.ready_reason(MAIN), "AllPresent");
    assert_eq!(world.members().len(), 22);
    world
}

async fn spec_flips_each_second(prune: Prune) -> TestWorld {
    let (world, mut operator) = settled_members(20, prune).await;
    for second in 0..600 {
        let people = users(20);
        world.cluster.declare(MAIN, if second % 2 == 0 { &people[5..] } else { &people[..15] });
        operator.run_for(MINUTE / 60).await;
    }
    world.cluster.declare(MAIN, users(20));
    operator.run_for(HOUR).await;
    world
}

async fn source_flips_each_second(prune: Prune) -> TestWorld {
    let (world, mut operator) = settled_from_config_map(prune, false).await;
    for second in 0..300 {
        let people = users(20);
        let shown = if second % 2 == 0 { &people[4..] } else { &people[..] };
        world.cluster.set_source("care/on-call", "members.txt", &shown.join("\n"));
        operator.run_for(MINUTE / 60).await;
    }
    operator.run_for(HOUR).await;
    world
}

pub(super) async fn all_incidents(prune: Prune) -> Vec<TestWorld> {
    vec![
        template_empties_the_list(prune).await,
        template_replaces_all_members(prune).await,
        source_is_emptied(prune).await,
        list_shrinks_each_minute(prune).await,
        key_is_renamed(prune, false).await,
        key_is_renamed(prune, true).await,
        spec_flips_each_second(prune).await,
        source_flips_each_second(prune).await,
    ]
}

for_each_prune!(list_emptied_by_a_bad_template_needs_approval in [Owned, Declared, Authoritative]);
async fn list_emptied_by_a_bad_template_needs_approval(prune: Prune) {
    for world in [template_empties_the_list(prune).await, source_is_emptied(prune).await] {
        assert_none_removed(&world, prune);
        assert_eq!(world.ready_reason(MAIN), "ApprovalRequired");
        assert_eq!(world.cluster.status(MAIN).pending_approval.unwrap().removals, 20);
    }
}

for_each_prune!(replaced_list_adds_members_and_removes_none in [Owned, Declared, Authoritative]);
async fn replaced_list_adds_members_and_removes_none(prune: Prune) {
    let world = template_replaces_all_members(prune).await;
    assert_none_removed(&world, prune);
    assert_eq!(world.ready_reason(MAIN), "ApprovalRequired");
    assert_eq!(world.members().len(), 40);
}

for_each_prune!(list_shrinking_each_minute_loses_a_quarter_a_day in [Owned, Declared, Authoritative]);
async fn list_shrinking_each_minute_loses_a_quarter_a_day(prune: Prune) {
    let world = list_shrinks_each_minute(prune).await;
    assert_eq!(world.deletes().len(), 25);
    assert_eq!(world.ready_reason(MAIN), "ApprovalRequired");
}

for_each_prune!(renamed_config_map_key_removes_no_member in [Never, Owned, Declared, Authoritative]);
async fn renamed_config_map_key_removes_no_member(prune: Prune) {
    for optional in [false, true] {
        assert_none_removed(&key_is_renamed(prune, optional).await, prune);
    }
}

for_each_prune!(spec_alternating_each_second_removes_no_member in [Never, Owned, Declared, Authoritative]);
async fn spec_alternating_each_second_removes_no_member(prune: Prune) {
    let world = spec_flips_each_second(prune).await;
    assert_none_removed(&world, prune);
    assert_eq!(world.adds().len(), 20);
    assert_eq!(world.ready_reason(MAIN), "AllPresent");
}

for_each_prune!(source_alternating_each_second_removes_no_member in [Never, Owned, Declared, Authoritative]);
async fn source_alternating_each_second_removes_no_member(prune: Prune) {
    let world = source_flips_each_second(prune).await;
    assert_none_removed(&world, prune);
    assert_removed_only(&world, [""; 0], prune);
    assert_eq!(world.ready_reason(MAIN), "AllPresent");
}
