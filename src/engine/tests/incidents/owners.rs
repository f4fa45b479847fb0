//! Resources that are created and deleted, and share members.

use super::{HOUR, MAIN, MINUTE, assert_none_removed, assert_removed_only, name_set, permissive_options, with_prune};
use crate::api::{DeletionPolicy, MembershipType, Prune};
use crate::engine::tests::fake::{user, users};
use crate::engine::tests::operator::TestOperator;
use crate::engine::tests::world::{TestWorld, arn, spec_of};

const TEAM: [&str; 4] = ["alice", "bob", "carol", "dave"];
const NEW: &str = "care/renamed";

/// `care/main` has declared the team for a while.
async fn settled_team(prune: Prune, policy: DeletionPolicy) -> (TestWorld, TestOperator) {
    let world = TestWorld::new();
    let mut operator = TestOperator::start_with(&world, permissive_options());
    world.create(MAIN, TEAM, |spec| {
        spec.prune = prune;
        spec.deletion_policy = if prune == Prune::Never { DeletionPolicy::Retain } else { policy };
    });
    operator.run_for(MINUTE * 15).await;
    assert_eq!(world.ready_reason(MAIN), "AllPresent");
    (world, operator)
}

#[derive(Clone, Copy, Debug)]
enum ReplaceOrder {
    CreateFirst,
    DeleteFirst,
}

const ORDERS: [ReplaceOrder; 2] = [ReplaceOrder::CreateFirst, ReplaceOrder::DeleteFirst];

/// The name of the resource changed in Git: one object is deleted and another created, some seconds
/// apart.
async fn resource_is_renamed(prune: Prune, policy: DeletionPolicy, order: ReplaceOrder) -> TestWorld {
    let (world, mut operator) = settled_team(prune, policy).await;
    let create = || {
        world.create(NEW, TEAM, |spec| {
            spec.prune = prune;
            spec.deletion_policy = if prune == Prune::Never { DeletionPolicy::Retain } else { policy };
        });
    };
    match order {
        ReplaceOrder::CreateFirst => {
            create();
            operator.run_for(MINUTE / 20).await;
            world.cluster.delete(MAIN);
        }
        ReplaceOrder::DeleteFirst => {
            world.cluster.delete(MAIN);
            operator.run_for(MINUTE / 20).await;
            create();
        }
    }
    operator.run_for(HOUR * 3).await;
    assert!(world.cluster.find(MAIN).is_none(), "{order:?}, prune: {prune:?}: the deletion does not end");
    world
}

/// A resource is deleted, and applied again while its members are still being removed. Then it is
/// created under the same name.
async fn recreated_under_the_same_name(prune: Prune) -> TestWorld {
    let world = TestWorld::new();
    world.add_strangers(["stranger"]);
    world.create("zoo/strangers", ["stranger"], |_| {});
    let mut slow = permissive_options();
    slow.rates.bearer = Some("2".parse().unwrap());
    let mut operator = TestOperator::start_with(&world, slow);
    world.create(MAIN, users(40), with_prune(prune));
    operator.run_for(MINUTE * 30).await;
    let old = world.cluster.get(MAIN).uid.clone();
    world.cluster.delete(MAIN);
    operator.run_for(MINUTE / 3).await;
    if world.cluster.find(MAIN).is_some() {
        // kubectl apply edits the object, because it still exists.
        world.cluster.declare(MAIN, users(41));
    }
    let mut waited = 0;
    while world.cluster.find(MAIN).is_some() {
        operator.run_for(MINUTE / 60).await;
        waited += 1;
        assert!(waited < 7200, "prune: {prune:?}: the deletion does not end");
    }
    world.create(MAIN, users(41), with_prune(prune));
    operator.run_for(HOUR * 3).await;
    assert_ne!(world.cluster.get(MAIN).uid, old);
    assert_eq!(world.ready_reason(MAIN), "AllPresent", "prune: {prune:?}");
    assert_eq!(world.members(), name_set(users(41).iter().map(String::as_str).chain(["stranger"])), "prune: {prune:?}");
    world
}

/// The old object ends and a new object of its name exists before the watch shows either change.
async fn recreated_unseen(prune: Prune) -> TestWorld {
    let (world, mut operator) = settled_team(prune, DeletionPolicy::Delete).await;
    operator.lose_watch();
    world.cluster.delete(MAIN);
    world.cluster.force_delete(MAIN);
    world.create(MAIN, TEAM, with_prune(prune));
    operator.run_for(HOUR * 2).await;
    operator.regain_watch();
    operator.run_for(HOUR).await;
    assert_eq!(world.ready_reason(MAIN), "AllPresent", "prune: {prune:?}");
    assert_eq!(world.members(), name_set(TEAM), "prune: {prune:?}");
    world
}

/// Two resources declare bob and carol, and the first is deleted.
async fn one_of_two_declarers_is_deleted(prune: Prune, policy: DeletionPolicy) -> TestWorld {
    let (world, mut operator) = settled_team(prune, policy).await;
    world.create("care/other", ["bob", "carol", "erin"], |spec| {
        spec.prune = if prune == Prune::Authoritative { Prune::Owned } else { prune };
    });
    operator.run_for(MINUTE * 15).await;
    world.cluster.delete(MAIN);
    operator.run_for(HOUR * 30).await;
    assert!(world.cluster.find(MAIN).is_none(), "prune: {prune:?}: the deletion does not end");
    assert!(world.members().is_superset(&name_set(["bob", "carol", "erin"])), "prune: {prune:?}");
    world
}

/// Bob is moved from the DEFAULT resource to the HIDDEN resource, in either order.
async fn moved_to_the_other_type(prune: Prune, order: ReplaceOrder) -> TestWorld {
    let world = TestWorld::new();
    let mut operator = TestOperator::start_with(&world, permissive_options());
    world.create(MAIN, TEAM, |spec| spec.prune = prune);
    world.create("care/hidden", ["zoe", "yann", "xia", "walt"], |spec| {
        spec.prune = prune;
        spec.membership_type = MembershipType::Hidden;
    });
    operator.run_for(MINUTE * 15).await;
    let take = || world.cluster.declare(MAIN, ["alice", "carol", "dave"]);
    let give = || world.cluster.declare("care/hidden", ["bob", "zoe", "yann", "xia", "walt"]);
    match order {
        ReplaceOrder::CreateFirst => {
            give();
            operator.run_for(MINUTE * 3).await;
            take();
        }
        ReplaceOrder::DeleteFirst => {
            take();
            operator.run_for(MINUTE / 20).await;
            give();
        }
    }
    operator.run_for(HOUR * 3).await;
    world
}

/// A namespace of 500 resources over fifty channels is deleted. Another namespace declares two
/// members of each channel.
async fn namespace_is_deleted(prune: Prune) -> TestWorld {
    let world = TestWorld::new();
    let mut operator = TestOperator::start_with(&world, permissive_options());
    let channels: Vec<String> = (0..50).map(|n| format!("c{n}")).collect();
    for (n, channel) in channels.iter().enumerate() {
        world.channel(channel).with(|channel| channel.join(&arn("stranger"), &user("somebody"), world.clock.now()));
        world.cluster.create(&format!("other/keeps-{n}"), spec_of(channel, ["shared", "kept"]));
        for m in 0..10 {
            // An `Authoritative` resource would remove the stranger at once, and this test is about
            // the end of the namespace.
            let prune = if prune == Prune::Authoritative { Prune::Declared } else { prune };
            let mut spec = spec_of(channel, [format!("p{m}"), format!("q{m}"), "shared".to_owned()]);
            with_prune(prune)(&mut spec);
            world.cluster.create(&format!("gone/r-{n}-{m}"), spec);
        }
    }
    operator.run_for(MINUTE * 15).await;
    for channel in &channels {
        assert_eq!(world.members_of(channel).len(), 23);
    }
    let gone = |world: &TestWorld| world.cluster.objects().into_keys().filter(|name| name.starts_with("gone/")).count();
    for name in world.cluster.objects().into_keys().filter(|name| name.starts_with("gone/")) {
        world.cluster.delete(&name);
    }
    operator.run_for(MINUTE / 12).await;
    operator.restart().await;
    operator.run_for(HOUR * 6).await;
    assert_eq!(gone(&world), 0, "prune: {prune:?}: the deletions do not end");
    for channel in &channels {
        assert!(world.members_of(channel).is_superset(&name_set(["shared", "kept", "stranger"])), "prune: {prune:?}");
    }
    world
}

pub(super) async fn all_incidents(prune: Prune) -> Vec<TestWorld> {
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

for_each_prune!(renamed_resource_removes_no_member in [Never, Owned, Declared, Authoritative]);
async fn renamed_resource_removes_no_member(prune: Prune) {
    for policy in [DeletionPolicy::Retain, DeletionPolicy::Delete] {
        for order in ORDERS {
            let world = resource_is_renamed(prune, policy, order).await;
            assert_none_removed(&world, prune);
            assert_eq!(world.adds().len(), TEAM.len(), "{order:?}");
            assert_eq!(world.ready_reason(NEW), "AllPresent", "{order:?}");
        }
    }
}

for_each_prune!(resource_recreated_during_its_deletion_has_all_its_members in [Never, Owned, Declared, Authoritative]);
async fn resource_recreated_during_its_deletion_has_all_its_members(prune: Prune) {
    assert_removed_only(&recreated_under_the_same_name(prune).await, users(40), prune);
}

for_each_prune!(resource_recreated_unseen_by_the_watch_loses_no_member in [Never, Owned, Declared, Authoritative]);
async fn resource_recreated_unseen_by_the_watch_loses_no_member(prune: Prune) {
    assert_none_removed(&recreated_unseen(prune).await, prune);
}

for_each_prune!(member_of_two_resources_stays_after_one_is_deleted in [Never, Owned, Declared, Authoritative]);
async fn member_of_two_resources_stays_after_one_is_deleted(prune: Prune) {
    let world = one_of_two_declarers_is_deleted(prune, DeletionPolicy::Retain).await;
    assert_none_removed(&world, prune);
    let world = one_of_two_declarers_is_deleted(prune, DeletionPolicy::Delete).await;
    assert_removed_only(&world, ["alice", "dave"], prune);
    if prune != Prune::Never {
        assert_eq!(world.deletes().len(), 2);
    }
}

for_each_prune!(moved_member_ends_with_the_type_of_the_new_resource in [Never, Owned, Declared, Authoritative]);
async fn moved_member_ends_with_the_type_of_the_new_resource(prune: Prune) {
    for order in ORDERS {
        let world = moved_to_the_other_type(prune, order).await;
        assert_removed_only(&world, ["bob"], prune);
        let hidden = world.members_as(MembershipType::Hidden);
        assert_eq!(hidden.contains("bob"), prune != Prune::Never, "{order:?}");
        let reason = if prune == Prune::Never { "MembersRefused" } else { "AllPresent" };
        assert_eq!(world.ready_reason("care/hidden"), reason, "{order:?}");
        assert_eq!(world.members().len(), 8, "{order:?}");
    }
}

for_each_prune!(deleted_namespace_of_500_resources_removes_only_its_members in [Never, Owned, Declared]);
async fn deleted_namespace_of_500_resources_removes_only_its_members(prune: Prune) {
    let world = namespace_is_deleted(prune).await;
    let left = if prune == Prune::Never { 23 } else { 3 };
    assert!((0..50).all(|n| world.members_of(&format!("c{n}")).len() == left));
}

#[tokio::test(start_paused = true)]
async fn member_declared_by_two_resources_at_once_is_added_once() {
    let world = TestWorld::new();
    let mut operator = TestOperator::start_with(&world, permissive_options());
    world.create(MAIN, TEAM, |_| {});
    world.create("care/other", TEAM, |_| {});
    operator.run_for(MINUTE).await;
    assert_eq!(world.adds().len(), TEAM.len());
}

#[tokio::test(start_paused = true)]
async fn member_undeclared_by_two_resources_at_once_is_removed_once() {
    for apart in (0..200).step_by(5) {
        let world = TestWorld::new();
        let mut operator = TestOperator::start_with(&world, permissive_options());
        let all = |spec: &mut crate::api::ChannelMembershipSpec| {
            spec.prune = Prune::Owned;
            spec.limits.get_or_insert_default().removals = Some(crate::api::Tolerance::Percent(100));
        };
        world.create(MAIN, ["a", "d"], all);
        world.create("care/other", ["c", "d", "f"], all);
        operator.run_for(MINUTE * 15).await;
        world.cluster.declare("care/other", ["c"]);
        operator.run_for(std::time::Duration::from_millis(apart)).await;
        world.cluster.declare(MAIN, ["a"]);
        operator.run_for(HOUR * 3).await;
        let mut removed = world.deletes();
        removed.sort();
        assert_eq!(removed, ["d", "f"], "{apart} ms apart");
    }
}
