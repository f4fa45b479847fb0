//! The order of steps, and the changes that stop removals under way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use super::{
    HOUR, MAIN, MINUTE, TEAM, WITHOUT_ERIN, assert_erin_removed, assert_none_removed, permissive_options, run_until,
    settled_team, settled_team_with, undeclare_erin,
};
use crate::api::{ConfigMapKeyRef, Mode, Prune, SourceRef, Tolerance};
use crate::chime::port::Operation;
use crate::engine::settings::RemovalSwitch;
use crate::engine::tests::fake::users;
use crate::engine::tests::operator::{Options, TestOperator};
use crate::engine::tests::world::TestWorld;

/// The operation and the time of each call.
type RecordedCalls = Arc<Mutex<Vec<(Operation, Instant)>>>;

fn record_calls(world: &TestWorld) -> RecordedCalls {
    let calls = RecordedCalls::default();
    let record = Arc::clone(&calls);
    world.before_each_call(move |operation| record.lock().unwrap().push((operation, Instant::now())));
    calls
}

fn first_call(calls: &RecordedCalls, operation: Operation) -> Option<Instant> {
    calls.lock().unwrap().iter().find(|(made, _)| *made == operation).map(|(_, at)| *at)
}

for_each_prune!(member_declared_again_within_10s_stays in [Owned, Declared, Authoritative]);
async fn member_declared_again_within_10s_stays(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.cluster.declare(MAIN, WITHOUT_ERIN);
    operator.run_for(MINUTE * 9 / 60).await;
    world.cluster.declare(MAIN, TEAM);
    operator.run_for(HOUR).await;
    assert_none_removed(&world, prune);
}

for_each_prune!(member_is_not_removed_within_10s in [Owned, Declared, Authoritative]);
async fn member_is_not_removed_within_10s(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    let calls = record_calls(&world);
    let dropped = Instant::now();
    undeclare_erin(&world, &mut operator).await;
    let waited = first_call(&calls, Operation::DeleteChannelMembership).unwrap() - dropped;
    assert!((MINUTE / 6..MINUTE).contains(&waited), "{waited:?}");
}

for_each_prune!(grace_period_starts_again_after_a_restart in [Owned, Declared, Authoritative]);
async fn grace_period_starts_again_after_a_restart(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.cluster.declare(MAIN, WITHOUT_ERIN);
    for _ in 0..20 {
        operator.run_for(MINUTE * 8 / 60).await;
        operator.restart().await;
    }
    assert_none_removed(&world, prune);
}

for_each_prune!(delete_call_directly_follows_the_describe_call in [Owned, Declared, Authoritative]);
async fn delete_call_directly_follows_the_describe_call(prune: Prune) {
    let (world, mut operator) = settled_team_with(permissive_options(), |spec| {
        spec.prune = prune;
        spec.limits.get_or_insert_default().removals = Some(Tolerance::Percent(100));
    })
    .await;
    world.support().with(|channel| channel.made.clear());
    world.cluster.declare(MAIN, ["alice"]);
    operator.run_for(HOUR).await;
    let made = world.support().with(|channel| channel.made.clone());
    let deletes = made.iter().enumerate().filter(|(_, made)| made.operation == Operation::DeleteChannelMembership);
    let mut count = 0;
    for (index, delete) in deletes {
        count += 1;
        assert_eq!(made[index - 1].operation, Operation::DescribeChannelMembership);
        assert_eq!(made[index - 1].members, delete.members);
    }
    assert_eq!(count, 4);
}

for_each_prune!(ownership_is_recorded_before_members_are_added in [Owned, Declared]);
async fn ownership_is_recorded_before_members_are_added(prune: Prune) {
    let world = TestWorld::new();
    let cluster = world.cluster.clone();
    world.before_each_call(move |operation| {
        if operation == Operation::BatchCreateChannelMembership {
            let owned = cluster.status(MAIN).last_declared.expect("ownership is not recorded");
            assert_eq!(owned.iter().collect::<Vec<_>>(), TEAM);
        }
    });
    let mut operator = TestOperator::start_with(&world, permissive_options());
    world.create(MAIN, TEAM, |spec| spec.prune = prune);
    operator.run_for(HOUR).await;
    assert_eq!(world.members().len(), TEAM.len());
}

for_each_prune!(no_member_is_added_while_ownership_cannot_be_recorded in [Owned, Declared]);
async fn no_member_is_added_while_ownership_cannot_be_recorded(prune: Prune) {
    use crate::engine::store::StoreError;
    use crate::engine::tests::cluster::StoreOperation;
    let world = TestWorld::new();
    for _ in 0..1000 {
        world.cluster.fail_next(StoreOperation::Status, StoreError::Refused("too large".to_owned()));
    }
    let mut operator = TestOperator::start_with(&world, permissive_options());
    world.create(MAIN, TEAM, |spec| spec.prune = prune);
    operator.run_for(HOUR).await;
    assert_eq!(world.adds(), [""; 0]);
}

for_each_prune!(finalizer_is_set_before_members_are_added in [Owned, Declared, Authoritative]);
async fn finalizer_is_set_before_members_are_added(prune: Prune) {
    let world = TestWorld::new();
    let cluster = world.cluster.clone();
    world.before_each_call(move |operation| {
        let adds = operation == Operation::BatchCreateChannelMembership;
        assert!(!adds || cluster.get(MAIN).has_finalizer());
    });
    let mut operator = TestOperator::start_with(&world, permissive_options());
    world.create(MAIN, TEAM, |spec| {
        spec.prune = prune;
        spec.deletion_policy = crate::api::DeletionPolicy::Delete;
    });
    operator.run_for(HOUR).await;
    assert_eq!(world.members().len(), TEAM.len());
}

/// Twenty members are declared. Ten of them are undeclared, and removed at one call a second.
async fn start_slow_removals(prune: Prune, removals: RemovalSwitch) -> (TestWorld, TestOperator) {
    let mut options = Options::with(|settings| {
        settings.allow_authoritative = true;
        settings.removals = removals;
    });
    options.rates.bearer = Some("1".parse().unwrap());
    let world = TestWorld::new();
    let mut operator = TestOperator::start_with(&world, options);
    world.create(MAIN, users(20), |spec| {
        spec.prune = prune;
        spec.limits.get_or_insert_default().removals = Some(Tolerance::Percent(100));
    });
    operator.run_for(MINUTE * 30).await;
    world.cluster.declare(MAIN, users(10));
    run_until(&mut operator, || world.deletes().len() >= 3).await;
    (world, operator)
}

for_each_prune!(switched_off_removals_stop_before_the_next_delete in [Owned, Declared, Authoritative]);
async fn switched_off_removals_stop_before_the_next_delete(prune: Prune) {
    let on = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&on);
    let (world, mut operator) =
        start_slow_removals(prune, RemovalSwitch::new(move || switch.load(Ordering::Relaxed))).await;
    on.store(false, Ordering::Relaxed);
    let removed = world.deletes().len();
    operator.run_for(HOUR).await;
    assert!(world.deletes().len() <= removed + 1, "one removal may be under way");
    assert_ne!(world.ready_reason(MAIN), "AllPresent");
    on.store(true, Ordering::Relaxed);
    operator.run_for(HOUR).await;
    assert_eq!((world.deletes().len(), &*world.ready_reason(MAIN)), (10, "AllPresent"));
}

for_each_prune!(edit_stops_the_removals_of_the_earlier_spec in [Owned, Declared, Authoritative]);
async fn edit_stops_the_removals_of_the_earlier_spec(prune: Prune) {
    let (world, mut operator) = start_slow_removals(prune, RemovalSwitch::new(|| true)).await;
    let removed = world.deletes().len();
    world.cluster.declare(MAIN, users(20));
    operator.run_for(HOUR).await;
    assert!(world.deletes().len() <= removed + 1, "one removal may be under way");
    assert_eq!((world.members().len(), &*world.ready_reason(MAIN)), (20, "AllPresent"));
}

for_each_prune!(new_resource_protects_members_during_removals in [Owned, Declared, Authoritative]);
async fn new_resource_protects_members_during_removals(prune: Prune) {
    let (world, mut operator) = start_slow_removals(prune, RemovalSwitch::new(|| true)).await;
    let removed = world.deletes().len();
    world.create("zoo/other", &users(20)[10..], |_| {});
    operator.run_for(HOUR).await;
    assert!(world.deletes().len() <= removed + 1, "one removal may be under way");
    assert_eq!(world.members().len(), 20);
}

for_each_prune!(resource_unseen_by_the_watch_protects_within_5s in [Owned, Declared, Authoritative]);
async fn resource_unseen_by_the_watch_protects_within_5s(prune: Prune) {
    let (world, mut operator) = start_slow_removals(prune, RemovalSwitch::new(|| true)).await;
    let removed = world.deletes().len();
    operator.lose_watch();
    world.create("zoo/other", &users(20)[10..], |_| {});
    operator.run_for(HOUR).await;
    // A describe call and a delete take two seconds here.
    assert!(world.deletes().len() <= removed + 3, "{:?}", world.deletes());
}

for_each_prune!(suspend_and_observe_stop_removals in [Owned, Declared, Authoritative]);
async fn suspend_and_observe_stop_removals(prune: Prune) {
    for suspend in [true, false] {
        let (world, mut operator) = settled_team(prune).await;
        world.cluster.edit(MAIN, |spec| {
            spec.members = Some(WITHOUT_ERIN.iter().collect());
            spec.suspend = suspend;
            spec.mode = if suspend { Mode::Enforce } else { Mode::Observe };
        });
        operator.run_for(HOUR * 30).await;
        assert_none_removed(&world, (prune, suspend));
        world.cluster.edit(MAIN, |spec| (spec.suspend, spec.mode) = (false, Mode::Enforce));
        operator.run_for(HOUR).await;
        assert_erin_removed(&world, (prune, suspend));
    }
}

for_each_prune!(read_only_operator_changes_nothing in [Owned, Declared, Authoritative]);
async fn read_only_operator_changes_nothing(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    let (adds, finalizers) = (world.adds().len(), world.cluster.get(MAIN).finalizers.clone());
    let mut reading = permissive_options();
    reading.settings.read_only = true;
    operator.restart_with(reading).await;
    world.cluster.declare(MAIN, WITHOUT_ERIN.iter().chain(&["frank"]));
    world.create("care/ends", ["zoe"], |spec| {
        spec.prune = Prune::Owned;
        spec.deletion_policy = crate::api::DeletionPolicy::Delete;
    });
    operator.run_for(HOUR * 30).await;
    assert_none_removed(&world, prune);
    assert_eq!((world.adds().len(), &world.cluster.get(MAIN).finalizers), (adds, &finalizers));
    assert!(!world.cluster.get("care/ends").has_finalizer());
    assert_eq!(world.ready_reason(MAIN), "Observed");
}

for_each_prune!(operator_with_removals_off_adds_and_does_not_remove in [Owned, Declared, Authoritative]);
async fn operator_with_removals_off_adds_and_does_not_remove(prune: Prune) {
    let off = Options::with(|settings| {
        settings.allow_authoritative = true;
        settings.removals = RemovalSwitch::new(|| false);
    });
    let (world, mut operator) = settled_team_with(off, |spec| spec.prune = prune).await;
    world.cluster.declare(MAIN, WITHOUT_ERIN.iter().chain(&["frank"]));
    operator.run_for(HOUR * 30).await;
    assert_none_removed(&world, prune);
    assert!(world.members().contains("frank"));
    operator.restart_with(permissive_options()).await;
    operator.run_for(HOUR).await;
    assert_erin_removed(&world, prune);
}

for_each_prune!(grace_period_starts_again_after_a_missed_spec_version in [Owned, Declared, Authoritative]);
async fn grace_period_starts_again_after_a_missed_spec_version(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    let second = MINUTE / 60;
    world.cluster.declare(MAIN, WITHOUT_ERIN);
    operator.run_for(second).await;
    operator.lose_watch();
    operator.run_for(second * 4).await;
    world.cluster.declare(MAIN, TEAM);
    operator.run_for(second * 4).await;
    world.cluster.declare(MAIN, WITHOUT_ERIN);
    operator.regain_watch();
    operator.run_for(second * 9).await;
    assert_none_removed(&world, prune);
    operator.run_for(HOUR).await;
    assert_erin_removed(&world, prune);
}

for_each_prune!(grace_period_starts_again_after_a_missed_source_version in [Owned, Declared, Authoritative]);
async fn grace_period_starts_again_after_a_missed_source_version(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    let second = MINUTE / 60;
    let write = |text: &str| world.cluster.set_source("care/on-call", "a", text);
    write("erin\n");
    world.cluster.edit(MAIN, |spec| {
        let config_map_key_ref = ConfigMapKeyRef { name: "on-call".to_owned(), key: "a".to_owned(), optional: false };
        spec.members_from = vec![SourceRef { config_map_key_ref }];
        spec.members = Some(WITHOUT_ERIN.iter().collect());
    });
    operator.run_for(MINUTE).await;
    write("# no members\n");
    operator.run_for(second * 9).await;
    // The operator sees both writes as one change.
    write("erin\n");
    write("# no members now\n");
    operator.run_for(second * 9).await;
    assert_none_removed(&world, prune);
    operator.run_for(HOUR).await;
    assert_erin_removed(&world, prune);
}

for_each_prune!(enabling_prune_takes_no_ownership_of_undeclared_members in [Owned, Declared]);
async fn enabling_prune_takes_no_ownership_of_undeclared_members(prune: Prune) {
    let (world, mut operator) = settled_team(Prune::Never).await;
    assert_eq!(world.cluster.status(MAIN).last_declared, None);
    world.cluster.edit(MAIN, |spec| {
        spec.prune = prune;
        spec.members = Some(WITHOUT_ERIN.iter().collect());
    });
    operator.run_for(HOUR * 3).await;
    assert_none_removed(&world, prune);
    world.cluster.declare(MAIN, &WITHOUT_ERIN[..3]);
    operator.run_for(HOUR * 3).await;
    assert_eq!(world.deletes(), ["dave"]);
}

for_each_prune!(change_to_never_releases_ownership in [Owned, Declared]);
async fn change_to_never_releases_ownership(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.cluster.edit(MAIN, |spec| spec.prune = Prune::Never);
    operator.run_for(HOUR).await;
    world.cluster.declare(MAIN, WITHOUT_ERIN);
    operator.run_for(HOUR).await;
    assert_eq!(world.cluster.status(MAIN).last_declared, None);
    world.cluster.edit(MAIN, |spec| spec.prune = prune);
    operator.run_for(HOUR * 3).await;
    assert_none_removed(&world, prune);
}
