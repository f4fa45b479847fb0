//! How a resource ends.

use super::{CLAIMING, HOUR, MAIN, MINUTE, PRUNING, TEAM, all_stay, generous, team_with, until};
use crate::api::{DeletionPolicy, FINALIZER, Mode, Prune, RELEASE};
use crate::chime::port::{CallErrorClass, Operation};
use crate::engine::settings::RemovalSwitch;
use crate::engine::tests::fake::users;
use crate::engine::tests::operator::{Operator, Options};
use crate::engine::tests::world::World;

/// The team, whose resource takes it along when it ends.
async fn mortal(prune: Prune) -> (World, Operator) {
    mortal_with(generous(), prune).await
}

async fn mortal_with(options: Options, prune: Prune) -> (World, Operator) {
    team_with(options, |spec| {
        spec.prune = prune;
        spec.deletion_policy = DeletionPolicy::Delete;
    })
    .await
}

#[track_caller]
fn ended(world: &World, case: impl std::fmt::Debug) {
    assert!(world.cluster.find(MAIN).is_none(), "{case:?}: {:#?}", world.cluster.find(MAIN));
}

fn warned(world: &World) -> bool {
    world.cluster.events(MAIN).last().is_some_and(|event| event.warning)
}

#[tokio::test(start_paused = true)]
async fn retain_has_no_finalizer_and_leaves_everybody() {
    for prune in PRUNING {
        let (world, mut operator) = team_with(generous(), |spec| spec.prune = prune).await;
        assert!(world.cluster.get(MAIN).finalizers.is_empty());
        world.cluster.delete(MAIN);
        operator.live(HOUR * 3).await;
        all_stay(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_resource_takes_everybody_along_at_once_and_without_approval() {
    for prune in PRUNING {
        let (world, mut operator) = mortal(prune).await;
        assert_eq!(world.cluster.get(MAIN).finalizers, [FINALIZER]);
        world.cluster.delete(MAIN);
        operator.live(MINUTE * 2).await;
        ended(&world, prune);
        let mut removed = world.deletes();
        removed.sort();
        assert_eq!(removed, TEAM, "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_resource_leaves_whom_nothing_lets_it_remove() {
    for prune in CLAIMING {
        let (world, mut operator) = mortal(prune).await;
        world.strangers(["stranger"]);
        world.create("zoo/other", ["bob"], |_| {});
        world.support().with(|channel| channel.moderators.insert(crate::engine::tests::fake::user("carol")));
        operator.live(MINUTE).await;
        world.cluster.delete(MAIN);
        operator.live(HOUR * 3).await;
        ended(&world, prune);
        assert_eq!(world.members().into_iter().collect::<Vec<_>>(), ["bob", "carol", "stranger"], "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_resource_takes_no_strangers_along_whose_removal_waited_for_approval() {
    let (world, mut operator) = mortal(Prune::Authoritative).await;
    world.strangers(["victor", "wendy", "xenia", "yann", "zoe"]);
    operator.live(HOUR * 3).await;
    assert_eq!(world.reason(MAIN), "ApprovalRequired");
    world.cluster.delete(MAIN);
    operator.live(HOUR).await;
    ended(&world, "");
    let mut removed = world.deletes();
    removed.sort();
    assert_eq!(removed, TEAM);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_is_not_free_of_the_limit_of_the_hour() {
    let mut options = generous();
    options.settings.max_removals_per_hour = 2;
    let (world, mut operator) = mortal_with(options, Prune::Owned).await;
    operator.restart().await;
    world.cluster.delete(MAIN);
    operator.live(HOUR).await;
    assert!((1..=2).contains(&world.deletes().len()), "{:?}", world.deletes());
    operator.live(HOUR * 3).await;
    assert_eq!(world.deletes().len(), TEAM.len());
    ended(&world, "");
}

#[tokio::test(start_paused = true)]
async fn a_large_deletion_is_finished_after_a_restart() {
    for prune in PRUNING {
        let mut slow = generous();
        slow.rates.bearer = Some("2".parse().unwrap());
        let world = World::new();
        let mut operator = Operator::start_with(&world, slow);
        world.create(MAIN, users(50), |spec| {
            spec.prune = prune;
            spec.deletion_policy = DeletionPolicy::Delete;
        });
        operator.live(MINUTE * 30).await;
        world.cluster.delete(MAIN);
        operator.live(MINUTE / 2).await;
        assert!((1..50).contains(&world.deletes().len()), "{prune:?}: {}", world.deletes().len());
        operator.restart().await;
        operator.live(HOUR).await;
        ended(&world, prune);
        assert_eq!((world.deletes().len(), world.members().len()), (50, 0), "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_let_go_of_takes_nobody_along() {
    type Change = fn(&World);
    let ways: [(&str, Change); 4] = [
        ("released", |world| world.cluster.annotate(MAIN, RELEASE, "true")),
        ("retained", |world| world.cluster.edit(MAIN, |spec| spec.deletion_policy = DeletionPolicy::Retain)),
        ("suspended", |world| world.cluster.edit(MAIN, |spec| spec.suspend = true)),
        ("observed", |world| world.cluster.edit(MAIN, |spec| spec.mode = Mode::Observe)),
    ];
    for prune in PRUNING {
        for (way, change) in ways {
            let off = Options::with(|settings| {
                settings.allow_authoritative = true;
                settings.removals = RemovalSwitch::new(|| false);
            });
            let (world, mut operator) = mortal_with(off, prune).await;
            world.cluster.delete(MAIN);
            operator.live(HOUR).await;
            assert!(world.cluster.find(MAIN).is_some(), "{prune:?}, {way}: it waits");
            change(&world);
            operator.restart_with(generous()).await;
            operator.live(MINUTE).await;
            ended(&world, (prune, way));
            all_stay(&world, (prune, way));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_that_is_not_true_lets_go_of_nothing() {
    let (world, mut operator) = mortal(Prune::Owned).await;
    world.cluster.annotate(MAIN, RELEASE, "false");
    world.cluster.delete(MAIN);
    operator.live(HOUR).await;
    assert_eq!(world.deletes().len(), TEAM.len());
}

#[tokio::test(start_paused = true)]
async fn a_release_stops_removals_that_are_under_way() {
    for prune in PRUNING {
        let mut slow = generous();
        slow.rates.bearer = Some("1".parse().unwrap());
        let (world, mut operator) = mortal_with(slow, prune).await;
        world.cluster.delete(MAIN);
        until(&mut operator, || !world.deletes().is_empty()).await;
        world.cluster.annotate(MAIN, RELEASE, "true");
        operator.live(HOUR).await;
        ended(&world, prune);
        assert!(world.deletes().len() <= 2, "{prune:?}: {:?}", world.deletes());
    }
}

#[tokio::test(start_paused = true)]
async fn the_finalizer_goes_when_the_policy_becomes_retain_and_nobody_with_it() {
    for prune in PRUNING {
        let (world, mut operator) = mortal(prune).await;
        world.cluster.edit(MAIN, |spec| spec.deletion_policy = DeletionPolicy::Retain);
        operator.live(MINUTE).await;
        assert!(world.cluster.get(MAIN).finalizers.is_empty(), "{prune:?}");
        world.cluster.delete(MAIN);
        operator.live(HOUR).await;
        all_stay(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_is_gone_ends_its_resource() {
    for prune in PRUNING {
        let (world, mut operator) = mortal(prune).await;
        world.refuse_all(CallErrorClass::ChannelNotAccessible, "NotFound");
        world.cluster.delete(MAIN);
        operator.live(MINUTE * 2).await;
        ended(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_end_is_let_go_a_day_after_it_was_deleted_with_a_warning() {
    for prune in PRUNING {
        for (class, code) in [
            (CallErrorClass::ChannelNotAccessible, "Forbidden"),
            (CallErrorClass::AccessDenied, "AccessDenied"),
            (CallErrorClass::BearerRejected, "Unauthorized"),
        ] {
            let (world, mut operator) = mortal(prune).await;
            world.refuse_all(class, code);
            world.cluster.delete(MAIN);
            operator.live(HOUR * 23).await;
            assert!(world.cluster.find(MAIN).is_some(), "{prune:?}, {code}");
            operator.restart().await;
            operator.live(HOUR * 2).await;
            ended(&world, (prune, code));
            assert!(warned(&world), "{prune:?}, {code}: {:#?}", world.cluster.events(MAIN));
            all_stay(&world, (prune, code));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn removals_that_are_off_for_a_day_let_a_deleted_resource_go() {
    for prune in PRUNING {
        let off = Options::with(|settings| {
            settings.allow_authoritative = true;
            settings.removals = RemovalSwitch::new(|| false);
        });
        let (world, mut operator) = mortal_with(off, prune).await;
        world.cluster.delete(MAIN);
        operator.live(HOUR * 23).await;
        assert!(world.cluster.find(MAIN).is_some(), "{prune:?}");
        operator.live(HOUR * 2).await;
        ended(&world, prune);
        all_stay(&world, prune);
        assert!(warned(&world), "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_resource_whose_declarer_vanished_is_let_go_after_a_day_and_keeps_those_people() {
    for prune in CLAIMING {
        let (world, mut operator) = mortal(prune).await;
        world.create("zoo/other", ["erin", "zoe"], |_| {});
        world.cluster.declare(MAIN, &TEAM[..4]);
        operator.live(HOUR).await;
        world.cluster.delete("zoo/other");
        operator.live(HOUR).await;
        assert_eq!(world.reason(MAIN), "ApprovalRequired", "{prune:?}");
        world.cluster.delete(MAIN);
        operator.live(HOUR * 26).await;
        ended(&world, prune);
        assert!(world.members().contains("erin"), "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_never_had_a_pass_ends_when_it_is_deleted() {
    let (world, mut operator) = mortal(Prune::Owned).await;
    operator.kill().await;
    world.create("care/new", ["zoe"], |spec| {
        spec.prune = Prune::Owned;
        spec.deletion_policy = DeletionPolicy::Delete;
    });
    world.cluster.delete("care/new");
    operator.restart().await;
    operator.live(HOUR).await;
    assert!(!world.members().contains("zoe"));
    all_stay(&world, "");
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_is_deleted_protects_nobody() {
    for prune in CLAIMING {
        let (world, mut operator) = mortal(prune).await;
        world.create("care/other", TEAM, |spec| {
            spec.prune = Prune::Owned;
            spec.deletion_policy = DeletionPolicy::Delete;
        });
        operator.live(MINUTE * 15).await;
        world.cluster.delete(MAIN);
        world.cluster.delete("care/other");
        operator.live(HOUR * 3).await;
        ended(&world, prune);
        assert!(world.cluster.find("care/other").is_none(), "{prune:?}: {}", world.reason("care/other"));
        assert!(world.members().is_empty(), "{prune:?}: {:?}", world.members());
        assert_eq!(world.calls(Operation::DeleteChannelMembership), TEAM.len(), "{prune:?}");
    }
}
