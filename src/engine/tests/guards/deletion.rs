//! The deletion of a resource.

use super::{HOUR, MAIN, MINUTE, TEAM, assert_none_removed, permissive_options, run_until, settled_team_with};
use crate::api::{DeletionPolicy, FINALIZER, Mode, Prune, RELEASE};
use crate::chime::port::{CallErrorClass, Operation};
use crate::engine::settings::RemovalSwitch;
use crate::engine::tests::fake::users;
use crate::engine::tests::operator::{Options, TestOperator};
use crate::engine::tests::world::TestWorld;

/// A settled team, whose resource has the deletion policy Delete.
async fn deletable_team(prune: Prune) -> (TestWorld, TestOperator) {
    deletable_team_with(permissive_options(), prune).await
}

async fn deletable_team_with(options: Options, prune: Prune) -> (TestWorld, TestOperator) {
    settled_team_with(options, |spec| {
        spec.prune = prune;
        spec.deletion_policy = DeletionPolicy::Delete;
    })
    .await
}

#[track_caller]
fn assert_ended(world: &TestWorld, case: impl std::fmt::Debug) {
    assert!(world.cluster.find(MAIN).is_none(), "{case:?}: {:#?}", world.cluster.find(MAIN));
}

fn has_warning(world: &TestWorld) -> bool {
    world.cluster.events(MAIN).last().is_some_and(|event| event.warning)
}

for_each_prune!(retain_sets_no_finalizer_and_keeps_all_members in [Owned, Declared, Authoritative]);
async fn retain_sets_no_finalizer_and_keeps_all_members(prune: Prune) {
    let (world, mut operator) = settled_team_with(permissive_options(), |spec| spec.prune = prune).await;
    assert!(world.cluster.get(MAIN).finalizers.is_empty());
    world.cluster.delete(MAIN);
    operator.run_for(HOUR * 3).await;
    assert_none_removed(&world, prune);
}

for_each_prune!(deleted_resource_removes_its_members_without_approval in [Owned, Declared, Authoritative]);
async fn deleted_resource_removes_its_members_without_approval(prune: Prune) {
    let (world, mut operator) = deletable_team(prune).await;
    assert_eq!(world.cluster.get(MAIN).finalizers, [FINALIZER]);
    world.cluster.delete(MAIN);
    operator.run_for(MINUTE * 2).await;
    assert_ended(&world, prune);
    let mut removed = world.deletes();
    removed.sort();
    assert_eq!(removed, TEAM);
}

for_each_prune!(deleted_resource_keeps_protected_members in [Owned, Declared]);
async fn deleted_resource_keeps_protected_members(prune: Prune) {
    let (world, mut operator) = deletable_team(prune).await;
    world.add_strangers(["stranger"]);
    world.create("zoo/other", ["bob"], |_| {});
    world.support().with(|channel| channel.moderators.insert(crate::engine::tests::fake::user("carol")));
    operator.run_for(MINUTE).await;
    world.cluster.delete(MAIN);
    operator.run_for(HOUR * 3).await;
    assert_ended(&world, prune);
    assert_eq!(world.members().into_iter().collect::<Vec<_>>(), ["bob", "carol", "stranger"]);
}

#[tokio::test(start_paused = true)]
async fn deleted_resource_keeps_foreign_members_pending_approval() {
    let (world, mut operator) = deletable_team(Prune::Authoritative).await;
    world.add_strangers(["victor", "wendy", "xenia", "yann", "zoe"]);
    operator.run_for(HOUR * 3).await;
    assert_eq!(world.ready_reason(MAIN), "ApprovalRequired");
    world.cluster.delete(MAIN);
    operator.run_for(HOUR).await;
    assert_ended(&world, "");
    let mut removed = world.deletes();
    removed.sort();
    assert_eq!(removed, TEAM);
}

#[tokio::test(start_paused = true)]
async fn deletion_obeys_the_hourly_limit() {
    let mut options = permissive_options();
    options.settings.max_removals_per_hour = 2;
    let (world, mut operator) = deletable_team_with(options, Prune::Owned).await;
    operator.restart().await;
    world.cluster.delete(MAIN);
    operator.run_for(HOUR).await;
    assert!((1..=2).contains(&world.deletes().len()), "{:?}", world.deletes());
    operator.run_for(HOUR * 3).await;
    assert_eq!(world.deletes().len(), TEAM.len());
    assert_ended(&world, "");
}

for_each_prune!(large_deletion_is_finished_after_a_restart in [Owned, Declared, Authoritative]);
async fn large_deletion_is_finished_after_a_restart(prune: Prune) {
    let mut slow = permissive_options();
    slow.rates.bearer = Some("2".parse().unwrap());
    let world = TestWorld::new();
    let mut operator = TestOperator::start_with(&world, slow);
    world.create(MAIN, users(50), |spec| {
        spec.prune = prune;
        spec.deletion_policy = DeletionPolicy::Delete;
    });
    operator.run_for(MINUTE * 30).await;
    world.cluster.delete(MAIN);
    operator.run_for(MINUTE / 2).await;
    assert!((1..50).contains(&world.deletes().len()), "{}", world.deletes().len());
    operator.restart().await;
    operator.run_for(HOUR).await;
    assert_ended(&world, prune);
    assert_eq!((world.deletes().len(), world.members().len()), (50, 0));
}

for_each_prune!(released_resource_removes_no_member in [Owned, Declared, Authoritative]);
async fn released_resource_removes_no_member(prune: Prune) {
    type EditWorld = fn(&TestWorld);
    let ways: [(&str, EditWorld); 4] = [
        ("released", |world| world.cluster.annotate(MAIN, RELEASE, "true")),
        ("retained", |world| world.cluster.edit(MAIN, |spec| spec.deletion_policy = DeletionPolicy::Retain)),
        ("suspended", |world| world.cluster.edit(MAIN, |spec| spec.suspend = true)),
        ("observed", |world| world.cluster.edit(MAIN, |spec| spec.mode = Mode::Observe)),
    ];
    for (way, change) in ways {
        let off = Options::with(|settings| {
            settings.allow_authoritative = true;
            settings.removals = RemovalSwitch::new(|| false);
        });
        let (world, mut operator) = deletable_team_with(off, prune).await;
        world.cluster.delete(MAIN);
        operator.run_for(HOUR).await;
        assert!(world.cluster.find(MAIN).is_some(), "{way}: the deletion waits");
        change(&world);
        operator.restart_with(permissive_options()).await;
        operator.run_for(MINUTE).await;
        assert_ended(&world, (prune, way));
        assert_none_removed(&world, (prune, way));
    }
}

#[tokio::test(start_paused = true)]
async fn release_annotation_other_than_true_is_ignored() {
    let (world, mut operator) = deletable_team(Prune::Owned).await;
    world.cluster.annotate(MAIN, RELEASE, "false");
    world.cluster.delete(MAIN);
    operator.run_for(HOUR).await;
    assert_eq!(world.deletes().len(), TEAM.len());
}

for_each_prune!(release_stops_removals_under_way in [Owned, Declared, Authoritative]);
async fn release_stops_removals_under_way(prune: Prune) {
    let mut slow = permissive_options();
    slow.rates.bearer = Some("1".parse().unwrap());
    let (world, mut operator) = deletable_team_with(slow, prune).await;
    world.cluster.delete(MAIN);
    run_until(&mut operator, || !world.deletes().is_empty()).await;
    world.cluster.annotate(MAIN, RELEASE, "true");
    operator.run_for(HOUR).await;
    assert_ended(&world, prune);
    assert!(world.deletes().len() <= 2, "{:?}", world.deletes());
}

for_each_prune!(finalizer_is_removed_when_the_policy_becomes_retain in [Owned, Declared, Authoritative]);
async fn finalizer_is_removed_when_the_policy_becomes_retain(prune: Prune) {
    let (world, mut operator) = deletable_team(prune).await;
    world.cluster.edit(MAIN, |spec| spec.deletion_policy = DeletionPolicy::Retain);
    operator.run_for(MINUTE).await;
    assert!(world.cluster.get(MAIN).finalizers.is_empty());
    world.cluster.delete(MAIN);
    operator.run_for(HOUR).await;
    assert_none_removed(&world, prune);
}

for_each_prune!(deleted_resource_ends_when_its_channel_is_gone in [Owned, Declared, Authoritative]);
async fn deleted_resource_ends_when_its_channel_is_gone(prune: Prune) {
    let (world, mut operator) = deletable_team(prune).await;
    world.refuse_calls(CallErrorClass::ChannelNotAccessible, "NotFound");
    world.cluster.delete(MAIN);
    operator.run_for(MINUTE * 2).await;
    assert_ended(&world, prune);
}

for_each_prune!(deleted_resource_is_released_with_a_warning_after_a_day in [Owned, Declared, Authoritative]);
async fn deleted_resource_is_released_with_a_warning_after_a_day(prune: Prune) {
    for (class, code) in [
        (CallErrorClass::ChannelNotAccessible, "Forbidden"),
        (CallErrorClass::AccessDenied, "AccessDenied"),
        (CallErrorClass::BearerRejected, "Unauthorized"),
    ] {
        let (world, mut operator) = deletable_team(prune).await;
        world.refuse_calls(class, code);
        world.cluster.delete(MAIN);
        operator.run_for(HOUR * 23).await;
        assert!(world.cluster.find(MAIN).is_some(), "{code}");
        operator.restart().await;
        operator.run_for(HOUR * 2).await;
        assert_ended(&world, (prune, code));
        assert!(has_warning(&world), "{code}: {:#?}", world.cluster.events(MAIN));
        assert_none_removed(&world, (prune, code));
    }
}

for_each_prune!(deleted_resource_is_released_after_a_day_of_removals_off in [Owned, Declared, Authoritative]);
async fn deleted_resource_is_released_after_a_day_of_removals_off(prune: Prune) {
    let off = Options::with(|settings| {
        settings.allow_authoritative = true;
        settings.removals = RemovalSwitch::new(|| false);
    });
    let (world, mut operator) = deletable_team_with(off, prune).await;
    world.cluster.delete(MAIN);
    operator.run_for(HOUR * 23).await;
    assert!(world.cluster.find(MAIN).is_some());
    operator.run_for(HOUR * 2).await;
    assert_ended(&world, prune);
    assert_none_removed(&world, prune);
    assert!(has_warning(&world));
}

for_each_prune!(deleted_resource_keeps_members_of_a_vanished_declarer in [Owned, Declared]);
async fn deleted_resource_keeps_members_of_a_vanished_declarer(prune: Prune) {
    let (world, mut operator) = deletable_team(prune).await;
    world.create("zoo/other", ["erin", "zoe"], |_| {});
    world.cluster.declare(MAIN, &TEAM[..4]);
    operator.run_for(HOUR).await;
    world.cluster.delete("zoo/other");
    operator.run_for(HOUR).await;
    assert_eq!(world.ready_reason(MAIN), "ApprovalRequired");
    world.cluster.delete(MAIN);
    operator.run_for(HOUR * 26).await;
    assert_ended(&world, prune);
    assert!(world.members().contains("erin"));
}

#[tokio::test(start_paused = true)]
async fn resource_without_a_reconcile_ends_when_deleted() {
    let (world, mut operator) = deletable_team(Prune::Owned).await;
    operator.kill().await;
    world.create("care/new", ["zoe"], |spec| {
        spec.prune = Prune::Owned;
        spec.deletion_policy = DeletionPolicy::Delete;
    });
    world.cluster.delete("care/new");
    operator.restart().await;
    operator.run_for(HOUR).await;
    assert!(!world.members().contains("zoe"));
    assert_none_removed(&world, "");
}

for_each_prune!(deleted_resource_protects_no_member in [Owned, Declared]);
async fn deleted_resource_protects_no_member(prune: Prune) {
    let (world, mut operator) = deletable_team(prune).await;
    world.create("care/other", TEAM, |spec| {
        spec.prune = Prune::Owned;
        spec.deletion_policy = DeletionPolicy::Delete;
    });
    operator.run_for(MINUTE * 15).await;
    world.cluster.delete(MAIN);
    world.cluster.delete("care/other");
    operator.run_for(HOUR * 3).await;
    assert_ended(&world, prune);
    assert!(world.cluster.find("care/other").is_none(), "{}", world.ready_reason("care/other"));
    assert!(world.members().is_empty(), "{:?}", world.members());
    assert_eq!(world.calls(Operation::DeleteChannelMembership), TEAM.len());
}
