//! What comes before what, and what stops removals while they go on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use super::{
    CLAIMING, HOUR, MAIN, MINUTE, PRUNING, TEAM, WITHOUT_ERIN, all_stay, drop_erin, erin_left, generous, team,
    team_with, until,
};
use crate::api::{ConfigMapKeyRef, Mode, Prune, SourceRef, Tolerance};
use crate::chime::port::Operation;
use crate::engine::settings::RemovalSwitch;
use crate::engine::tests::fake::users;
use crate::engine::tests::operator::{Operator, Options};
use crate::engine::tests::world::World;

/// When each call was made.
type Calls = Arc<Mutex<Vec<(Operation, Instant)>>>;

fn recorded(world: &World) -> Calls {
    let calls = Calls::default();
    let record = Arc::clone(&calls);
    world.meanwhile(move |operation| record.lock().unwrap().push((operation, Instant::now())));
    calls
}

fn first(calls: &Calls, operation: Operation) -> Option<Instant> {
    calls.lock().unwrap().iter().find(|(made, _)| *made == operation).map(|(_, at)| *at)
}

#[tokio::test(start_paused = true)]
async fn who_is_declared_again_within_ten_seconds_stays() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.cluster.declare(MAIN, WITHOUT_ERIN);
        operator.live(MINUTE * 9 / 60).await;
        world.cluster.declare(MAIN, TEAM);
        operator.live(HOUR).await;
        all_stay(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_removed_within_ten_seconds() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        let calls = recorded(&world);
        let dropped = Instant::now();
        drop_erin(&world, &mut operator).await;
        let waited = first(&calls, Operation::DeleteChannelMembership).unwrap() - dropped;
        assert!((MINUTE / 6..MINUTE).contains(&waited), "{prune:?}: {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_begins_the_ten_seconds_anew() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.cluster.declare(MAIN, WITHOUT_ERIN);
        for _ in 0..20 {
            operator.live(MINUTE * 8 / 60).await;
            operator.restart().await;
        }
        all_stay(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn each_delete_comes_right_after_a_look_at_that_member() {
    for prune in PRUNING {
        let (world, mut operator) = team_with(generous(), |spec| {
            spec.prune = prune;
            spec.limits.get_or_insert_default().removals = Some(Tolerance::Percent(100));
        })
        .await;
        world.support().with(|channel| channel.made.clear());
        world.cluster.declare(MAIN, ["alice"]);
        operator.live(HOUR).await;
        let made = world.support().with(|channel| channel.made.clone());
        let deletes = made.iter().enumerate().filter(|(_, made)| made.operation == Operation::DeleteChannelMembership);
        let mut count = 0;
        for (index, delete) in deletes {
            count += 1;
            assert_eq!(made[index - 1].operation, Operation::DescribeChannelMembership, "{prune:?}");
            assert_eq!(made[index - 1].members, delete.members, "{prune:?}");
        }
        assert_eq!(count, 4, "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whom_a_resource_declares_is_written_down_before_they_are_added() {
    for prune in CLAIMING {
        let world = World::new();
        let cluster = world.cluster.clone();
        world.meanwhile(move |operation| {
            if operation == Operation::BatchCreateChannelMembership {
                let claims = cluster.status(MAIN).last_declared.expect("no claims are written down");
                assert_eq!(claims.iter().collect::<Vec<_>>(), TEAM);
            }
        });
        let mut operator = Operator::start_with(&world, generous());
        world.create(MAIN, TEAM, |spec| spec.prune = prune);
        operator.live(HOUR).await;
        assert_eq!(world.members().len(), TEAM.len());
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_added_whose_claim_could_not_be_written_down() {
    use crate::engine::store::StoreError;
    use crate::engine::tests::cluster::Op;
    for prune in CLAIMING {
        let world = World::new();
        for _ in 0..1000 {
            world.cluster.fail(Op::Status, StoreError::Refused("too large".to_owned()));
        }
        let mut operator = Operator::start_with(&world, generous());
        world.create(MAIN, TEAM, |spec| spec.prune = prune);
        operator.live(HOUR).await;
        assert_eq!(world.adds(), [""; 0], "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_finalizer_is_on_before_anybody_is_added() {
    for prune in PRUNING {
        let world = World::new();
        let cluster = world.cluster.clone();
        world.meanwhile(move |operation| {
            let adds = operation == Operation::BatchCreateChannelMembership;
            assert!(!adds || cluster.get(MAIN).has_finalizer());
        });
        let mut operator = Operator::start_with(&world, generous());
        world.create(MAIN, TEAM, |spec| {
            spec.prune = prune;
            spec.deletion_policy = crate::api::DeletionPolicy::Delete;
        });
        operator.live(HOUR).await;
        assert_eq!(world.members().len(), TEAM.len());
    }
}

/// Twenty are declared; ten of them are dropped, and removed at one call a second.
async fn slowly(prune: Prune, removals: RemovalSwitch) -> (World, Operator) {
    let mut options = Options::with(|settings| {
        settings.allow_authoritative = true;
        settings.removals = removals;
    });
    options.rates.bearer = Some("1".parse().unwrap());
    let world = World::new();
    let mut operator = Operator::start_with(&world, options);
    world.create(MAIN, users(20), |spec| {
        spec.prune = prune;
        spec.limits.get_or_insert_default().removals = Some(Tolerance::Percent(100));
    });
    operator.live(MINUTE * 30).await;
    world.cluster.declare(MAIN, users(10));
    until(&mut operator, || world.deletes().len() >= 3).await;
    (world, operator)
}

#[tokio::test(start_paused = true)]
async fn removals_that_are_switched_off_stop_before_the_next_delete() {
    for prune in PRUNING {
        let on = Arc::new(AtomicBool::new(true));
        let switch = Arc::clone(&on);
        let (world, mut operator) = slowly(prune, RemovalSwitch::new(move || switch.load(Ordering::Relaxed))).await;
        on.store(false, Ordering::Relaxed);
        let removed = world.deletes().len();
        operator.live(HOUR).await;
        assert!(world.deletes().len() <= removed + 1, "{prune:?}: one may be under way");
        assert_ne!(world.reason(MAIN), "AllPresent", "{prune:?}");
        on.store(true, Ordering::Relaxed);
        operator.live(HOUR).await;
        assert_eq!((world.deletes().len(), &*world.reason(MAIN)), (10, "AllPresent"), "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_edit_stops_the_removals_of_the_spec_before_it() {
    for prune in PRUNING {
        let (world, mut operator) = slowly(prune, RemovalSwitch::new(|| true)).await;
        let removed = world.deletes().len();
        world.cluster.declare(MAIN, users(20));
        operator.live(HOUR).await;
        assert!(world.deletes().len() <= removed + 1, "{prune:?}: one may be under way");
        assert_eq!((world.members().len(), &*world.reason(MAIN)), (20, "AllPresent"), "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sibling_that_comes_while_people_are_removed_protects_those_who_are_left() {
    for prune in PRUNING {
        let (world, mut operator) = slowly(prune, RemovalSwitch::new(|| true)).await;
        let removed = world.deletes().len();
        world.create("zoo/other", &users(20)[10..], |_| {});
        operator.live(HOUR).await;
        assert!(world.deletes().len() <= removed + 1, "{prune:?}: one may be under way");
        assert_eq!(world.members().len(), 20, "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sibling_that_the_watch_does_not_show_protects_within_five_seconds() {
    for prune in PRUNING {
        let (world, mut operator) = slowly(prune, RemovalSwitch::new(|| true)).await;
        let removed = world.deletes().len();
        operator.lose_watch();
        world.create("zoo/other", &users(20)[10..], |_| {});
        operator.live(HOUR).await;
        // A look and a delete take two seconds here.
        assert!(world.deletes().len() <= removed + 3, "{prune:?}: {:?}", world.deletes());
    }
}

#[tokio::test(start_paused = true)]
async fn suspend_and_observe_stop_removals() {
    for prune in PRUNING {
        for suspend in [true, false] {
            let (world, mut operator) = team(prune).await;
            world.cluster.edit(MAIN, |spec| {
                spec.members = Some(WITHOUT_ERIN.iter().collect());
                spec.suspend = suspend;
                spec.mode = if suspend { Mode::Enforce } else { Mode::Observe };
            });
            operator.live(HOUR * 30).await;
            all_stay(&world, (prune, suspend));
            world.cluster.edit(MAIN, |spec| (spec.suspend, spec.mode) = (false, Mode::Enforce));
            operator.live(HOUR).await;
            erin_left(&world, (prune, suspend));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_only_reads_changes_nothing_and_nobody() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        let (adds, finalizers) = (world.adds().len(), world.cluster.get(MAIN).finalizers.clone());
        let mut reading = generous();
        reading.settings.read_only = true;
        operator.restart_with(reading).await;
        world.cluster.declare(MAIN, WITHOUT_ERIN.iter().chain(&["frank"]));
        world.create("care/ends", ["zoe"], |spec| {
            spec.prune = Prune::Owned;
            spec.deletion_policy = crate::api::DeletionPolicy::Delete;
        });
        operator.live(HOUR * 30).await;
        all_stay(&world, prune);
        assert_eq!((world.adds().len(), &world.cluster.get(MAIN).finalizers), (adds, &finalizers), "{prune:?}");
        assert!(!world.cluster.get("care/ends").has_finalizer());
        assert_eq!(world.reason(MAIN), "Observed", "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_whose_removals_are_off_adds_and_removes_nobody() {
    for prune in PRUNING {
        let off = Options::with(|settings| {
            settings.allow_authoritative = true;
            settings.removals = RemovalSwitch::new(|| false);
        });
        let (world, mut operator) = team_with(off, |spec| spec.prune = prune).await;
        world.cluster.declare(MAIN, WITHOUT_ERIN.iter().chain(&["frank"]));
        operator.live(HOUR * 30).await;
        all_stay(&world, prune);
        assert!(world.members().contains("frank"), "{prune:?}");
        operator.restart_with(generous()).await;
        operator.live(HOUR).await;
        erin_left(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn the_ten_seconds_begin_anew_when_a_version_of_the_spec_was_missed() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        let second = MINUTE / 60;
        world.cluster.declare(MAIN, WITHOUT_ERIN);
        operator.live(second).await;
        operator.lose_watch();
        operator.live(second * 4).await;
        world.cluster.declare(MAIN, TEAM);
        operator.live(second * 4).await;
        world.cluster.declare(MAIN, WITHOUT_ERIN);
        operator.regain_watch();
        operator.live(second * 9).await;
        all_stay(&world, prune);
        operator.live(HOUR).await;
        erin_left(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn the_ten_seconds_begin_anew_when_a_version_of_a_source_was_missed() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        let second = MINUTE / 60;
        let write = |text: &str| world.cluster.set_source("care/on-call", "a", text);
        write("erin\n");
        world.cluster.edit(MAIN, |spec| {
            let config_map_key_ref =
                ConfigMapKeyRef { name: "on-call".to_owned(), key: "a".to_owned(), optional: false };
            spec.members_from = vec![SourceRef { config_map_key_ref }];
            spec.members = Some(WITHOUT_ERIN.iter().collect());
        });
        operator.live(MINUTE).await;
        write("# nobody\n");
        operator.live(second * 9).await;
        // Seen as one change.
        write("erin\n");
        write("# nobody now\n");
        operator.live(second * 9).await;
        all_stay(&world, prune);
        operator.live(HOUR).await;
        erin_left(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_begins_to_remove_claims_nobody_whom_it_does_not_declare_any_more() {
    for prune in CLAIMING {
        let (world, mut operator) = team(Prune::Never).await;
        assert_eq!(world.cluster.status(MAIN).last_declared, None);
        world.cluster.edit(MAIN, |spec| {
            spec.prune = prune;
            spec.members = Some(WITHOUT_ERIN.iter().collect());
        });
        operator.live(HOUR * 3).await;
        all_stay(&world, prune);
        world.cluster.declare(MAIN, &WITHOUT_ERIN[..3]);
        operator.live(HOUR * 3).await;
        assert_eq!(world.deletes(), ["dave"], "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_ceases_to_remove_forgets_its_claims() {
    for prune in CLAIMING {
        let (world, mut operator) = team(prune).await;
        world.cluster.edit(MAIN, |spec| spec.prune = Prune::Never);
        operator.live(HOUR).await;
        world.cluster.declare(MAIN, WITHOUT_ERIN);
        operator.live(HOUR).await;
        assert_eq!(world.cluster.status(MAIN).last_declared, None, "{prune:?}");
        world.cluster.edit(MAIN, |spec| spec.prune = prune);
        operator.live(HOUR * 3).await;
        all_stay(&world, prune);
    }
}
