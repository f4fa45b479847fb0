//! Changes between one call of a removal and the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;

use super::{
    HOUR, MAIN, MINUTE, TEAM, WITHOUT_ERIN, assert_erin_removed, assert_none_removed, permissive_options, settled_team,
    settled_team_with, undeclare_erin,
};
use crate::api::{ChannelMembershipSpec, ConfigMapKeyRef, MemberList, Prune, SourceRef};
use crate::chime::port::{CallErrorClass, Operation};
use crate::engine::settings::RemovalSwitch;
use crate::engine::tests::cluster::StoredObject;
use crate::engine::tests::operator::Options;
use crate::engine::tests::world::TestWorld;

/// Runs a change once, just before the first call of an operation has its effect.
fn on_first_call(world: &TestWorld, wanted: Operation, happens: impl FnOnce(&TestWorld) + Send + 'static) {
    let (mut happens, shared_world) = (Some(happens), world.clone());
    world.before_each_call(move |operation| {
        if operation == wanted
            && let Some(happens) = happens.take()
        {
            happens(&shared_world);
        }
    });
}

for_each_prune!(member_declared_again_during_the_describe_call_stays in [Owned, Declared, Authoritative]);
async fn member_declared_again_during_the_describe_call_stays(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    on_first_call(&world, Operation::DescribeChannelMembership, |world| world.cluster.declare(MAIN, TEAM));
    undeclare_erin(&world, &mut operator).await;
    assert_none_removed(&world, prune);
}

for_each_prune!(removals_switched_off_during_the_describe_call_stop in [Owned, Declared, Authoritative]);
async fn removals_switched_off_during_the_describe_call_stop(prune: Prune) {
    let on = Arc::new(AtomicBool::new(true));
    let read = Arc::clone(&on);
    let options = Options::with(|settings| {
        settings.allow_authoritative = true;
        settings.removals = RemovalSwitch::new(move || read.load(Ordering::Relaxed));
    });
    let (world, mut operator) = settled_team_with(options, |spec| spec.prune = prune).await;
    on_first_call(&world, Operation::DescribeChannelMembership, move |_| on.store(false, Ordering::Relaxed));
    undeclare_erin(&world, &mut operator).await;
    assert_none_removed(&world, prune);
}

for_each_prune!(member_declared_elsewhere_during_the_describe_call_stays in [Owned, Declared, Authoritative]);
async fn member_declared_elsewhere_during_the_describe_call_stays(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    on_first_call(&world, Operation::DescribeChannelMembership, |world| {
        world.create("zoo/other", ["erin"], |_| {});
    });
    undeclare_erin(&world, &mut operator).await;
    assert_none_removed(&world, prune);
}

for_each_prune!(unknown_declarer_during_the_describe_call_stops_the_removal in [Owned, Declared, Authoritative]);
async fn unknown_declarer_during_the_describe_call_stops_the_removal(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    on_first_call(&world, Operation::DescribeChannelMembership, |world| {
        world.create("zoo/other", ["zoe"], |spec| {
            let absent = ConfigMapKeyRef { name: "absent".to_owned(), key: "a".to_owned(), optional: true };
            spec.members_from = vec![SourceRef { config_map_key_ref: absent }];
        });
    });
    undeclare_erin(&world, &mut operator).await;
    assert_none_removed(&world, prune);
}

for_each_prune!(member_declared_elsewhere_briefly_stays_10s_longer in [Owned, Declared, Authoritative]);
async fn member_declared_elsewhere_briefly_stays_10s_longer(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.create("zoo/other", ["zoe"], |_| {});
    operator.run_for(MINUTE).await;
    let shared_world = world.clone();
    let dropped = Arc::<std::sync::Mutex<Option<Instant>>>::default();
    let when = Arc::clone(&dropped);
    world.before_each_call(move |operation| {
        let mut when = when.lock().unwrap();
        match operation {
            Operation::DescribeChannel if when.is_none() => shared_world.cluster.declare("zoo/other", ["zoe", "erin"]),
            Operation::ListChannelModerators if when.is_none() => {
                shared_world.cluster.declare("zoo/other", ["zoe"]);
                *when = Some(Instant::now());
            }
            Operation::DeleteChannelMembership => {
                assert!(when.unwrap().elapsed() >= MINUTE / 6, "{:?}", when.unwrap().elapsed());
            }
            _ => {}
        }
    });
    undeclare_erin(&world, &mut operator).await;
    assert_erin_removed(&world, prune);
    assert!(dropped.lock().unwrap().is_some());
}

for_each_prune!(member_stays_10s_longer_after_any_source_change in [Owned, Declared, Authoritative]);
/// Between two reads, a ConfigMap may name a member for a moment. The version of the ConfigMap is
/// the only trace.
async fn member_stays_10s_longer_after_any_source_change(prune: Prune) {
    for declarer in [MAIN, "zoo/other"] {
        let (world, mut operator) = settled_team(prune).await;
        let (namespace, _) = declarer.split_once('/').unwrap();
        let (map, key) = (format!("{namespace}/on-call"), "members.txt");
        let place = ConfigMapKeyRef { name: "on-call".to_owned(), key: key.to_owned(), optional: false };
        world.cluster.set_source(&map, key, "zoe");
        if declarer != MAIN {
            world.create(declarer, ["zoe"], |_| {});
        }
        world.cluster.edit(declarer, |spec| spec.members_from = vec![SourceRef { config_map_key_ref: place }]);
        operator.run_for(MINUTE).await;
        let (shared_world, when) = (world.clone(), Arc::<std::sync::Mutex<Option<Instant>>>::default());
        let happened = Arc::clone(&when);
        world.before_each_call(move |operation| {
            let mut when = when.lock().unwrap();
            match operation {
                Operation::DescribeChannel if when.is_none() => {
                    shared_world.cluster.set_source(&map, key, "zoe\nerin");
                    shared_world.cluster.set_source(&map, key, "zoe");
                    *when = Some(Instant::now());
                }
                Operation::DeleteChannelMembership => {
                    let waited = when.unwrap().elapsed();
                    assert!(waited >= MINUTE / 6, "{declarer}: {waited:?}");
                }
                _ => {}
            }
        });
        undeclare_erin(&world, &mut operator).await;
        assert_erin_removed(&world, (prune, declarer));
        assert!(happened.lock().unwrap().is_some());
    }
}

for_each_prune!(removal_is_decided_again_after_a_long_outage in [Owned, Declared, Authoritative]);
async fn removal_is_decided_again_after_a_long_outage(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    on_first_call(&world, Operation::DescribeChannelMembership, |world| {
        world.refuse_calls(CallErrorClass::Transient, "ServiceUnavailable");
    });
    world.cluster.declare(MAIN, WITHOUT_ERIN);
    operator.run_for(MINUTE).await;
    assert_none_removed(&world, prune);
    operator.lose_watch();
    world.create("zoo/other", ["erin"], |_| {});
    world.allow_calls();
    operator.run_for(HOUR * 3).await;
    assert_none_removed(&world, prune);
}

for_each_prune!(edit_unseen_by_the_watch_stops_removals in [Owned, Declared, Authoritative]);
async fn edit_unseen_by_the_watch_stops_removals(prune: Prune) {
    let edits: [fn(&mut ChannelMembershipSpec); 3] = [
        |spec| spec.suspend = true,
        |spec| spec.prune = Prune::Never,
        |spec| spec.members = Some(TEAM.iter().collect()),
    ];
    for edit in edits {
        let (world, mut operator) = settled_team(prune).await;
        world.cluster.declare(MAIN, WITHOUT_ERIN);
        operator.run_for(MINUTE / 60).await;
        operator.lose_watch();
        world.cluster.edit(MAIN, edit);
        operator.run_for(HOUR).await;
        assert_none_removed(&world, prune);
    }
}

for_each_prune!(resource_unseen_by_the_watch_protects_its_members in [Owned, Declared, Authoritative]);
async fn resource_unseen_by_the_watch_protects_its_members(prune: Prune) {
    for suspend in [false, true] {
        let (world, mut operator) = settled_team(prune).await;
        world.cluster.declare(MAIN, WITHOUT_ERIN);
        operator.run_for(MINUTE / 60).await;
        operator.lose_watch();
        world.create("zoo/other", ["erin"], |spec| spec.suspend = suspend);
        operator.run_for(HOUR).await;
        assert_none_removed(&world, (prune, suspend));
    }
}

for_each_prune!(unreadable_resource_unseen_by_the_watch_stops_removals in [Owned, Declared, Authoritative]);
async fn unreadable_resource_unseen_by_the_watch_stops_removals(prune: Prune) {
    let unknown: [fn(&mut StoredObject); 2] = [
        |object| object.unknown_field = Some("except".to_owned()),
        |object| object.unreadable = Some("it is no spec".to_owned()),
    ];
    for (index, unknown) in unknown.into_iter().enumerate() {
        let (world, mut operator) = settled_team(prune).await;
        world.cluster.declare(MAIN, WITHOUT_ERIN);
        operator.run_for(MINUTE / 60).await;
        operator.lose_watch();
        world.create("zoo/other", ["zoe"], |_| {});
        world.cluster.update("zoo/other", unknown);
        operator.run_for(HOUR).await;
        assert_none_removed(&world, (prune, index));
    }
}

for_each_prune!(ownership_written_by_another_client_during_a_reconcile_is_kept in [Owned, Declared]);
async fn ownership_written_by_another_client_during_a_reconcile_is_kept(prune: Prune) {
    let (world, mut operator) = settled_team_with(permissive_options(), |spec| spec.prune = prune).await;
    world.add_strangers(["zoe"]);
    on_first_call(&world, Operation::BatchCreateChannelMembership, |world| {
        world.cluster.update(MAIN, |object| {
            let status = object.status.as_mut().unwrap();
            let owned = status.last_declared.take().unwrap();
            status.last_declared = Some(owned.iter().chain(["zoe"]).collect::<MemberList>());
        });
    });
    world.cluster.declare(MAIN, TEAM.iter().chain(&["frank"]));
    operator.run_for(MINUTE / 20).await;
    assert!(world.members().contains("frank"));
    let owned = world.cluster.status(MAIN).last_declared.unwrap();
    assert!(owned.iter().any(|name| name == "zoe"), "{owned:?}");
}
