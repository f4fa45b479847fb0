//! What comes up between one call of a removal and the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;

use super::{
    CLAIMING, HOUR, MAIN, MINUTE, PRUNING, TEAM, WITHOUT_ERIN, all_stay, drop_erin, erin_left, generous, team,
    team_with,
};
use crate::api::{ChannelMembershipSpec, ConfigMapKeyRef, MemberList, Prune, SourceRef};
use crate::chime::port::{CallErrorClass, Operation};
use crate::engine::settings::RemovalSwitch;
use crate::engine::tests::cluster::Object;
use crate::engine::tests::operator::Options;
use crate::engine::tests::world::World;

/// Something happens once, just before the first call of a kind has its effect.
fn at_first(world: &World, wanted: Operation, happens: impl FnOnce(&World) + Send + 'static) {
    let (mut happens, of) = (Some(happens), world.clone());
    world.meanwhile(move |operation| {
        if operation == wanted
            && let Some(happens) = happens.take()
        {
            happens(&of);
        }
    });
}

#[tokio::test(start_paused = true)]
async fn who_is_declared_again_while_they_are_looked_at_stays() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        at_first(&world, Operation::DescribeChannelMembership, |world| world.cluster.declare(MAIN, TEAM));
        drop_erin(&world, &mut operator).await;
        all_stay(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn removals_that_are_switched_off_while_somebody_is_looked_at_stop_before_their_delete() {
    for prune in PRUNING {
        let on = Arc::new(AtomicBool::new(true));
        let read = Arc::clone(&on);
        let options = Options::with(|settings| {
            settings.allow_authoritative = true;
            settings.removals = RemovalSwitch::new(move || read.load(Ordering::Relaxed));
        });
        let (world, mut operator) = team_with(options, |spec| spec.prune = prune).await;
        at_first(&world, Operation::DescribeChannelMembership, move |_| on.store(false, Ordering::Relaxed));
        drop_erin(&world, &mut operator).await;
        all_stay(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn whom_another_resource_begins_to_declare_while_they_are_looked_at_stays() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        at_first(&world, Operation::DescribeChannelMembership, |world| {
            world.create("zoo/other", ["erin"], |_| {});
        });
        drop_erin(&world, &mut operator).await;
        all_stay(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_removed_when_a_resource_of_unknown_members_comes_while_they_are_looked_at() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        at_first(&world, Operation::DescribeChannelMembership, |world| {
            world.create("zoo/other", ["zoe"], |spec| {
                let absent = ConfigMapKeyRef { name: "absent".to_owned(), key: "a".to_owned(), optional: true };
                spec.members_from = vec![SourceRef { config_map_key_ref: absent }];
            });
        });
        drop_erin(&world, &mut operator).await;
        all_stay(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_declared_by_another_resource_for_a_moment_stays_for_ten_seconds_more() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.create("zoo/other", ["zoe"], |_| {});
        operator.live(MINUTE).await;
        let of = world.clone();
        let dropped = Arc::<std::sync::Mutex<Option<Instant>>>::default();
        let when = Arc::clone(&dropped);
        world.meanwhile(move |operation| {
            let mut when = when.lock().unwrap();
            match operation {
                Operation::DescribeChannel if when.is_none() => of.cluster.declare("zoo/other", ["zoe", "erin"]),
                Operation::ListChannelModerators if when.is_none() => {
                    of.cluster.declare("zoo/other", ["zoe"]);
                    *when = Some(Instant::now());
                }
                Operation::DeleteChannelMembership => {
                    assert!(when.unwrap().elapsed() >= MINUTE / 6, "{prune:?}: {:?}", when.unwrap().elapsed());
                }
                _ => {}
            }
        });
        drop_erin(&world, &mut operator).await;
        erin_left(&world, prune);
        assert!(dropped.lock().unwrap().is_some());
    }
}

/// Between two reads a ConfigMap may hold somebody for a moment, and nothing but its version tells.
#[tokio::test(start_paused = true)]
async fn who_may_have_stood_in_a_source_for_a_moment_stays_for_ten_seconds_more() {
    for prune in PRUNING {
        for whose in [MAIN, "zoo/other"] {
            let (world, mut operator) = team(prune).await;
            let (namespace, _) = whose.split_once('/').unwrap();
            let (map, key) = (format!("{namespace}/on-call"), "members.txt");
            let place = ConfigMapKeyRef { name: "on-call".to_owned(), key: key.to_owned(), optional: false };
            world.cluster.set_source(&map, key, "zoe");
            if whose != MAIN {
                world.create(whose, ["zoe"], |_| {});
            }
            world.cluster.edit(whose, |spec| spec.members_from = vec![SourceRef { config_map_key_ref: place }]);
            operator.live(MINUTE).await;
            let (of, when) = (world.clone(), Arc::<std::sync::Mutex<Option<Instant>>>::default());
            let happened = Arc::clone(&when);
            world.meanwhile(move |operation| {
                let mut when = when.lock().unwrap();
                match operation {
                    Operation::DescribeChannel if when.is_none() => {
                        of.cluster.set_source(&map, key, "zoe\nerin");
                        of.cluster.set_source(&map, key, "zoe");
                        *when = Some(Instant::now());
                    }
                    Operation::DeleteChannelMembership => {
                        let waited = when.unwrap().elapsed();
                        assert!(waited >= MINUTE / 6, "{prune:?} {whose}: {waited:?}");
                    }
                    _ => {}
                }
            });
            drop_erin(&world, &mut operator).await;
            erin_left(&world, (prune, whose));
            assert!(happened.lock().unwrap().is_some());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_decided_before_a_long_outage_is_decided_again_after_it() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        at_first(&world, Operation::DescribeChannelMembership, |world| {
            world.refuse_all(CallErrorClass::Transient, "ServiceUnavailable");
        });
        world.cluster.declare(MAIN, WITHOUT_ERIN);
        operator.live(MINUTE).await;
        all_stay(&world, prune);
        operator.lose_watch();
        world.create("zoo/other", ["erin"], |_| {});
        world.allow();
        operator.live(HOUR * 3).await;
        all_stay(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_the_watch_does_not_show_stops_removals() {
    let edits: [fn(&mut ChannelMembershipSpec); 3] = [
        |spec| spec.suspend = true,
        |spec| spec.prune = Prune::Never,
        |spec| spec.members = Some(TEAM.iter().collect()),
    ];
    for prune in PRUNING {
        for edit in edits {
            let (world, mut operator) = team(prune).await;
            world.cluster.declare(MAIN, WITHOUT_ERIN);
            operator.live(MINUTE / 60).await;
            operator.lose_watch();
            world.cluster.edit(MAIN, edit);
            operator.live(HOUR).await;
            all_stay(&world, prune);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_the_watch_does_not_show_protects_its_people_suspended_or_not() {
    for prune in PRUNING {
        for suspend in [false, true] {
            let (world, mut operator) = team(prune).await;
            world.cluster.declare(MAIN, WITHOUT_ERIN);
            operator.live(MINUTE / 60).await;
            operator.lose_watch();
            world.create("zoo/other", ["erin"], |spec| spec.suspend = suspend);
            operator.live(HOUR).await;
            all_stay(&world, (prune, suspend));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_the_watch_does_not_show_and_nobody_can_read_in_full_stops_removals() {
    let unknown: [fn(&mut Object); 2] = [
        |object| object.unknown_field = Some("except".to_owned()),
        |object| object.unreadable = Some("it is no spec".to_owned()),
    ];
    for prune in PRUNING {
        for (index, unknown) in unknown.into_iter().enumerate() {
            let (world, mut operator) = team(prune).await;
            world.cluster.declare(MAIN, WITHOUT_ERIN);
            operator.live(MINUTE / 60).await;
            operator.lose_watch();
            world.create("zoo/other", ["zoe"], |_| {});
            world.cluster.update("zoo/other", unknown);
            operator.live(HOUR).await;
            all_stay(&world, (prune, index));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_somebody_else_writes_during_a_pass_is_not_lost() {
    for prune in CLAIMING {
        let (world, mut operator) = team_with(generous(), |spec| spec.prune = prune).await;
        world.strangers(["zoe"]);
        at_first(&world, Operation::BatchCreateChannelMembership, |world| {
            world.cluster.update(MAIN, |object| {
                let status = object.status.as_mut().unwrap();
                let claims = status.last_declared.take().unwrap();
                status.last_declared = Some(claims.iter().chain(["zoe"]).collect::<MemberList>());
            });
        });
        world.cluster.declare(MAIN, TEAM.iter().chain(&["frank"]));
        operator.live(MINUTE / 20).await;
        assert!(world.members().contains("frank"));
        let claims = world.cluster.status(MAIN).last_declared.unwrap();
        assert!(claims.iter().any(|name| name == "zoe"), "{prune:?}: {claims:?}");
    }
}
