//! Resources that come, go, and share people.

use super::{ALL, HOUR, MAIN, MINUTE, generous, nobody_removed, pruning, removed_at_most, set};
use crate::api::{DeletionPolicy, MembershipType, Prune};
use crate::engine::tests::fake::{user, users};
use crate::engine::tests::operator::Operator;
use crate::engine::tests::world::{World, arn, spec_of};

const TEAM: [&str; 4] = ["alice", "bob", "carol", "dave"];
const NEW: &str = "care/renamed";

/// `care/main` declares the team and has done so for a while.
async fn team(prune: Prune, policy: DeletionPolicy) -> (World, Operator) {
    let world = World::new();
    let mut operator = Operator::start_with(&world, generous());
    world.create(MAIN, TEAM, |spec| {
        spec.prune = prune;
        spec.deletion_policy = if prune == Prune::Never { DeletionPolicy::Retain } else { policy };
    });
    operator.live(MINUTE * 15).await;
    assert_eq!(world.reason(MAIN), "AllPresent");
    (world, operator)
}

#[derive(Clone, Copy, Debug)]
enum Order {
    CreateFirst,
    DeleteFirst,
}

const ORDERS: [Order; 2] = [Order::CreateFirst, Order::DeleteFirst];

/// The name in Git was changed: one is deleted and another created, some seconds apart.
async fn resource_is_renamed(prune: Prune, policy: DeletionPolicy, order: Order) -> World {
    let (world, mut operator) = team(prune, policy).await;
    let create = || {
        world.create(NEW, TEAM, |spec| {
            spec.prune = prune;
            spec.deletion_policy = if prune == Prune::Never { DeletionPolicy::Retain } else { policy };
        });
    };
    match order {
        Order::CreateFirst => {
            create();
            operator.live(MINUTE / 20).await;
            world.cluster.delete(MAIN);
        }
        Order::DeleteFirst => {
            world.cluster.delete(MAIN);
            operator.live(MINUTE / 20).await;
            create();
        }
    }
    operator.live(HOUR * 3).await;
    assert!(world.cluster.find(MAIN).is_none(), "{order:?}, prune: {prune:?}: it hangs");
    world
}

/// It is deleted, and applied again while it still removes its people; then created under the same name.
async fn recreated_under_the_same_name(prune: Prune) -> World {
    let world = World::new();
    world.strangers(["stranger"]);
    world.create("zoo/strangers", ["stranger"], |_| {});
    let mut slow = generous();
    slow.rates.bearer = Some("2".parse().unwrap());
    let mut operator = Operator::start_with(&world, slow);
    world.create(MAIN, users(40), pruning(prune));
    operator.live(MINUTE * 30).await;
    let old = world.cluster.get(MAIN).uid.clone();
    world.cluster.delete(MAIN);
    operator.live(MINUTE / 3).await;
    if world.cluster.find(MAIN).is_some() {
        // What kubectl apply does: the object is there, so it is edited.
        world.cluster.declare(MAIN, users(41));
    }
    let mut waited = 0;
    while world.cluster.find(MAIN).is_some() {
        operator.live(MINUTE / 60).await;
        waited += 1;
        assert!(waited < 7200, "prune: {prune:?}: it hangs");
    }
    world.create(MAIN, users(41), pruning(prune));
    operator.live(HOUR * 3).await;
    assert_ne!(world.cluster.get(MAIN).uid, old);
    assert_eq!(world.reason(MAIN), "AllPresent", "prune: {prune:?}");
    assert_eq!(world.members(), set(users(41).iter().map(String::as_str).chain(["stranger"])), "prune: {prune:?}");
    world
}

/// The old one ends and a new one of its name is there before the operator's watch has shown either.
async fn recreated_unseen(prune: Prune) -> World {
    let (world, mut operator) = team(prune, DeletionPolicy::Delete).await;
    operator.lose_watch();
    world.cluster.delete(MAIN);
    world.cluster.force_end(MAIN);
    world.create(MAIN, TEAM, pruning(prune));
    operator.live(HOUR * 2).await;
    operator.regain_watch();
    operator.live(HOUR).await;
    assert_eq!(world.reason(MAIN), "AllPresent", "prune: {prune:?}");
    assert_eq!(world.members(), set(TEAM), "prune: {prune:?}");
    world
}

/// Two declare bob and carol; the first is deleted.
async fn one_of_two_declarers_is_deleted(prune: Prune, policy: DeletionPolicy) -> World {
    let (world, mut operator) = team(prune, policy).await;
    world.create("care/other", ["bob", "carol", "erin"], |spec| {
        spec.prune = if prune == Prune::Authoritative { Prune::Owned } else { prune };
    });
    operator.live(MINUTE * 15).await;
    world.cluster.delete(MAIN);
    operator.live(HOUR * 30).await;
    assert!(world.cluster.find(MAIN).is_none(), "prune: {prune:?}: it hangs");
    assert!(world.members().is_superset(&set(["bob", "carol", "erin"])), "prune: {prune:?}");
    world
}

/// Bob is moved from the DEFAULT resource to the HIDDEN one, in either order.
async fn moved_to_the_other_type(prune: Prune, order: Order) -> World {
    let world = World::new();
    let mut operator = Operator::start_with(&world, generous());
    world.create(MAIN, TEAM, |spec| spec.prune = prune);
    world.create("care/hidden", ["zoe", "yann", "xia", "walt"], |spec| {
        spec.prune = prune;
        spec.membership_type = MembershipType::Hidden;
    });
    operator.live(MINUTE * 15).await;
    let take = || world.cluster.declare(MAIN, ["alice", "carol", "dave"]);
    let give = || world.cluster.declare("care/hidden", ["bob", "zoe", "yann", "xia", "walt"]);
    match order {
        Order::CreateFirst => {
            give();
            operator.live(MINUTE * 3).await;
            take();
        }
        Order::DeleteFirst => {
            take();
            operator.live(MINUTE / 20).await;
            give();
        }
    }
    operator.live(HOUR * 3).await;
    world
}

/// A namespace of 500 resources over fifty channels is deleted; another namespace declares one person of each channel.
async fn namespace_is_deleted(prune: Prune) -> World {
    let world = World::new();
    let mut operator = Operator::start_with(&world, generous());
    let channels: Vec<String> = (0..50).map(|n| format!("c{n}")).collect();
    for (n, channel) in channels.iter().enumerate() {
        world.channel(channel).with(|channel| channel.join(&arn("stranger"), &user("somebody"), world.clock.now()));
        world.cluster.create(&format!("other/keeps-{n}"), spec_of(channel, ["shared", "kept"]));
        for m in 0..10 {
            // One `Authoritative` a channel would remove the stranger at once; here it is the namespace's end that counts.
            let prune = if prune == Prune::Authoritative { Prune::Declared } else { prune };
            let mut spec = spec_of(channel, [format!("p{m}"), format!("q{m}"), "shared".to_owned()]);
            pruning(prune)(&mut spec);
            world.cluster.create(&format!("gone/r-{n}-{m}"), spec);
        }
    }
    operator.live(MINUTE * 15).await;
    for channel in &channels {
        assert_eq!(world.members_of(channel).len(), 23);
    }
    let gone = |world: &World| world.cluster.objects().into_keys().filter(|name| name.starts_with("gone/")).count();
    for name in world.cluster.objects().into_keys().filter(|name| name.starts_with("gone/")) {
        world.cluster.delete(&name);
    }
    operator.live(MINUTE / 12).await;
    operator.restart().await;
    operator.live(HOUR * 6).await;
    assert_eq!(gone(&world), 0, "prune: {prune:?}: they hang");
    for channel in &channels {
        assert!(world.members_of(channel).is_superset(&set(["shared", "kept", "stranger"])), "prune: {prune:?}");
    }
    world
}

pub(super) async fn all(prune: Prune) -> Vec<World> {
    let mut worlds = vec![
        recreated_under_the_same_name(prune).await,
        recreated_unseen(prune).await,
        one_of_two_declarers_is_deleted(prune, DeletionPolicy::Retain).await,
        one_of_two_declarers_is_deleted(prune, DeletionPolicy::Delete).await,
        namespace_is_deleted(prune).await,
    ];
    for order in ORDERS {
        worlds.push(moved_to_the_other_type(prune, order).await);
        for policy in [DeletionPolicy::Retain, DeletionPolicy::Delete] {
            worlds.push(resource_is_renamed(prune, policy, order).await);
        }
    }
    worlds
}

#[tokio::test(start_paused = true)]
async fn a_renamed_resource_costs_nobody_a_place() {
    for prune in ALL {
        for policy in [DeletionPolicy::Retain, DeletionPolicy::Delete] {
            for order in ORDERS {
                let world = resource_is_renamed(prune, policy, order).await;
                nobody_removed(&world, prune);
                assert_eq!(world.adds().len(), TEAM.len(), "{order:?}, prune: {prune:?}");
                assert_eq!(world.reason(NEW), "AllPresent", "{order:?}, prune: {prune:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_created_anew_while_the_old_one_ends_has_all_its_people() {
    for prune in ALL {
        removed_at_most(&recreated_under_the_same_name(prune).await, users(40), prune);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_took_the_place_of_another_unseen_loses_nobody() {
    for prune in ALL {
        nobody_removed(&recreated_unseen(prune).await, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn whom_two_declared_stays_for_the_second() {
    for prune in ALL {
        let world = one_of_two_declarers_is_deleted(prune, DeletionPolicy::Retain).await;
        nobody_removed(&world, prune);
        let world = one_of_two_declarers_is_deleted(prune, DeletionPolicy::Delete).await;
        removed_at_most(&world, ["alice", "dave"], prune);
        if prune != Prune::Never {
            assert_eq!(world.deletes().len(), 2, "prune: {prune:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_moved_to_a_resource_of_the_other_type_ends_with_that_type() {
    for prune in ALL {
        for order in ORDERS {
            let world = moved_to_the_other_type(prune, order).await;
            removed_at_most(&world, ["bob"], prune);
            let hidden = world.members_as(MembershipType::Hidden);
            assert_eq!(hidden.contains("bob"), prune != Prune::Never, "{order:?}, prune: {prune:?}");
            let reason = if prune == Prune::Never { "MembersRefused" } else { "AllPresent" };
            assert_eq!(world.reason("care/hidden"), reason, "{order:?}, prune: {prune:?}");
            assert_eq!(world.members().len(), 8, "{order:?}, prune: {prune:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_of_five_hundred_resources_ends_and_takes_nobody_elses_people() {
    for prune in [Prune::Never, Prune::Owned, Prune::Declared] {
        let world = namespace_is_deleted(prune).await;
        let left = if prune == Prune::Never { 23 } else { 3 };
        assert!((0..50).all(|n| world.members_of(&format!("c{n}")).len() == left), "prune: {prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whom_two_resources_declare_in_the_same_moment_is_asked_for_once() {
    let world = World::new();
    let mut operator = Operator::start_with(&world, generous());
    world.create(MAIN, TEAM, |_| {});
    world.create("care/other", TEAM, |_| {});
    operator.live(MINUTE).await;
    assert_eq!(world.adds().len(), TEAM.len());
}

#[tokio::test(start_paused = true)]
async fn whom_two_resources_drop_at_about_the_same_time_is_removed_once() {
    for apart in (0..200).step_by(5) {
        let world = World::new();
        let mut operator = Operator::start_with(&world, generous());
        let all = |spec: &mut crate::api::ChannelMembershipSpec| {
            spec.prune = Prune::Owned;
            spec.limits.get_or_insert_default().removals = Some(crate::api::Tolerance::Percent(100));
        };
        world.create(MAIN, ["a", "d"], all);
        world.create("care/other", ["c", "d", "f"], all);
        operator.live(MINUTE * 15).await;
        world.cluster.declare("care/other", ["c"]);
        operator.live(std::time::Duration::from_millis(apart)).await;
        world.cluster.declare(MAIN, ["a"]);
        operator.live(HOUR * 3).await;
        let mut removed = world.deletes();
        removed.sort();
        assert_eq!(removed, ["d", "f"], "{apart} ms apart");
    }
}
