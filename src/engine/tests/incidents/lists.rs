//! Lists that somebody broke.

use super::{ALL, HOUR, MAIN, MINUTE, PRUNING, generous, nobody_removed, removed_at_most, settled};
use crate::api::{ConfigMapKeyRef, Prune, SourceRef};
use crate::engine::tests::fake::users;
use crate::engine::tests::operator::Operator;
use crate::engine::tests::world::World;

fn source(name: &str, key: &str, optional: bool) -> SourceRef {
    let config_map_key_ref = ConfigMapKeyRef { name: name.to_owned(), key: key.to_owned(), optional };
    SourceRef { config_map_key_ref }
}

/// Twenty people from a ConfigMap, and one whom the spec names.
async fn from_a_config_map(prune: Prune, optional: bool) -> (World, Operator) {
    let world = World::new();
    let mut operator = Operator::start_with(&world, generous());
    world.cluster.set_source("care/on-call", "members.txt", &users(20).join("\n"));
    world.create(MAIN, ["alice"], |spec| {
        spec.prune = prune;
        spec.members_from = vec![source("on-call", "members.txt", optional)];
    });
    operator.live(MINUTE * 15).await;
    assert_eq!(world.reason(MAIN), "AllPresent");
    (world, operator)
}

async fn template_empties_the_list(prune: Prune) -> World {
    let (world, mut operator) = settled(20, prune).await;
    world.cluster.declare(MAIN, [""; 0]);
    operator.live(HOUR).await;
    operator.restart().await;
    operator.live(HOUR * 50).await;
    world
}

async fn template_replaces_everybody(prune: Prune) -> World {
    let (world, mut operator) = settled(20, prune).await;
    world.cluster.declare(MAIN, (0..20).map(|n| format!("x{n}")));
    operator.live(HOUR).await;
    operator.restart().await;
    operator.live(HOUR * 10).await;
    world
}

async fn source_is_emptied(prune: Prune) -> World {
    let world = World::new();
    let mut operator = Operator::start_with(&world, generous());
    world.cluster.set_source("care/on-call", "members.txt", &users(20).join("\n"));
    world.create(MAIN, [""; 0], |spec| {
        spec.prune = prune;
        spec.members_from = vec![source("on-call", "members.txt", false)];
    });
    operator.live(MINUTE * 15).await;
    world.cluster.set_source("care/on-call", "members.txt", "# nobody\n");
    operator.live(HOUR).await;
    operator.restart().await;
    operator.live(HOUR * 10).await;
    world
}

async fn list_shrinks_each_minute(prune: Prune) -> World {
    let (world, mut operator) = settled(100, prune).await;
    for minute in 1..=80 {
        world.cluster.declare(MAIN, users(100 - minute));
        operator.live(MINUTE).await;
        if minute % 16 == 0 {
            operator.restart().await;
        }
    }
    operator.live(HOUR).await;
    world
}

async fn key_is_renamed(prune: Prune, optional: bool) -> World {
    let (world, mut operator) = from_a_config_map(prune, optional).await;
    world.cluster.drop_source("care/on-call", "members.txt");
    world.cluster.set_source("care/on-call", "people.txt", &users(20).join("\n"));
    world.cluster.declare(MAIN, ["alice", "bob"]);
    operator.live(HOUR).await;
    operator.restart().await;
    operator.live(HOUR).await;
    assert!(world.members().contains("bob"), "adding goes on");
    if !optional {
        assert_eq!(world.reason(MAIN), "SourceNotReady");
    }
    world.cluster.edit(MAIN, |spec| spec.members_from = vec![source("on-call", "people.txt", optional)]);
    operator.live(HOUR).await;
    assert_eq!(world.reason(MAIN), "AllPresent");
    assert_eq!(world.members().len(), 22);
    world
}

async fn spec_flips_each_second(prune: Prune) -> World {
    let (world, mut operator) = settled(20, prune).await;
    for second in 0..600 {
        let people = users(20);
        world.cluster.declare(MAIN, if second % 2 == 0 { &people[5..] } else { &people[..15] });
        operator.live(MINUTE / 60).await;
    }
    world.cluster.declare(MAIN, users(20));
    operator.live(HOUR).await;
    world
}

async fn source_flips_each_second(prune: Prune) -> World {
    let (world, mut operator) = from_a_config_map(prune, false).await;
    for second in 0..300 {
        let people = users(20);
        let shown = if second % 2 == 0 { &people[4..] } else { &people[..] };
        world.cluster.set_source("care/on-call", "members.txt", &shown.join("\n"));
        operator.live(MINUTE / 60).await;
    }
    operator.live(HOUR).await;
    world
}

pub(super) async fn all(prune: Prune) -> Vec<World> {
    vec![
        template_empties_the_list(prune).await,
        template_replaces_everybody(prune).await,
        source_is_emptied(prune).await,
        list_shrinks_each_minute(prune).await,
        key_is_renamed(prune, false).await,
        key_is_renamed(prune, true).await,
        spec_flips_each_second(prune).await,
        source_flips_each_second(prune).await,
    ]
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_by_a_bad_template_kicks_nobody_and_waits_for_approval() {
    for prune in PRUNING {
        for world in [template_empties_the_list(prune).await, source_is_emptied(prune).await] {
            nobody_removed(&world, prune);
            assert_eq!(world.reason(MAIN), "ApprovalRequired", "prune: {prune:?}");
            assert_eq!(world.cluster.status(MAIN).pending_approval.unwrap().removals, 20, "prune: {prune:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_of_other_people_adds_them_and_kicks_nobody() {
    for prune in PRUNING {
        let world = template_replaces_everybody(prune).await;
        nobody_removed(&world, prune);
        assert_eq!(world.reason(MAIN), "ApprovalRequired", "prune: {prune:?}");
        assert_eq!(world.members().len(), 40, "prune: {prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_shrinks_each_minute_loses_a_quarter_in_a_day_and_no_more() {
    for prune in PRUNING {
        let world = list_shrinks_each_minute(prune).await;
        assert_eq!(world.deletes().len(), 25, "prune: {prune:?}");
        assert_eq!(world.reason(MAIN), "ApprovalRequired", "prune: {prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_renamed_key_of_a_config_map_kicks_nobody() {
    for prune in ALL {
        for optional in [false, true] {
            nobody_removed(&key_is_renamed(prune, optional).await, prune);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_spec_that_flips_each_second_kicks_nobody_and_adds_nobody_twice() {
    for prune in ALL {
        let world = spec_flips_each_second(prune).await;
        nobody_removed(&world, prune);
        assert_eq!(world.adds().len(), 20, "prune: {prune:?}");
        assert_eq!(world.reason(MAIN), "AllPresent", "prune: {prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_flips_each_second_kicks_nobody() {
    for prune in ALL {
        let world = source_flips_each_second(prune).await;
        nobody_removed(&world, prune);
        removed_at_most(&world, [""; 0], prune);
        assert_eq!(world.reason(MAIN), "AllPresent", "prune: {prune:?}");
    }
}
