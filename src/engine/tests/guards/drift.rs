//! Declared members that another user removes, or that leave.

use std::time::Duration;

use super::{
    HOUR, MAIN, MINUTE, TEAM, assert_none_removed, permissive_options, run_until, settled_team, settled_team_with,
};
use crate::api::{OnLeave, Prune, RECONCILE_REQUESTED_AT};
use crate::engine::tests::fake::user;
use crate::engine::tests::world::{TestWorld, spec};

const DAY: Duration = Duration::from_hours(24);

fn remove_as_other_user(world: &TestWorld, id: &str) {
    world.support().with(|channel| channel.members.remove(&user(id)));
}

fn errors(world: &TestWorld) -> Vec<(String, String)> {
    let status = world.cluster.status(MAIN);
    let short = |arn: &str| arn.rsplit('/').next().unwrap_or_default().to_owned();
    status.errors.iter().map(|error| (short(&error.member_arn), error.error_code.clone())).collect()
}

fn times_added(world: &TestWorld, id: &str) -> usize {
    world.moves().iter().filter(|change| change.came && change.id == id).count()
}

#[tokio::test(start_paused = true)]
async fn departed_member_is_added_three_times_with_growing_waits() {
    let (world, mut operator) = settled_team(Prune::Owned).await;
    let mut waits = Vec::new();
    for _ in 0..3 {
        remove_as_other_user(&world, "erin");
        let mut waited = Duration::ZERO;
        while !world.members().contains("erin") {
            operator.run_for(MINUTE * 10).await;
            waited += MINUTE * 10;
            assert!(waited < DAY * 2, "{waits:?}: {:?}", errors(&world));
        }
        waits.push(waited);
    }
    assert!(waits[0] <= HOUR + MINUTE * 10, "{waits:?}");
    assert!((HOUR * 6..HOUR * 8).contains(&waits[1]), "{waits:?}");
    assert!((DAY..DAY + HOUR * 2).contains(&waits[2]), "{waits:?}");
    remove_as_other_user(&world, "erin");
    operator.run_for(DAY * 10).await;
    assert_eq!(errors(&world), [("erin".to_owned(), "Contested".to_owned())]);
    assert_eq!((times_added(&world, "erin"), &*world.ready_reason(MAIN)), (4, "MembersRefused"));
    world.cluster.annotate(MAIN, RECONCILE_REQUESTED_AT, "now");
    operator.run_for(MINUTE).await;
    assert_eq!((world.members().len(), &*world.ready_reason(MAIN)), (5, "AllPresent"));
}

#[tokio::test(start_paused = true)]
async fn departed_member_is_reported_as_left_under_report() {
    let (world, mut operator) = settled_team_with(permissive_options(), |spec| {
        (spec.prune, spec.on_leave) = (Prune::Owned, OnLeave::Report);
    })
    .await;
    remove_as_other_user(&world, "erin");
    operator.run_for(DAY * 3).await;
    operator.restart().await;
    operator.run_for(DAY * 3).await;
    assert_eq!(errors(&world), [("erin".to_owned(), "Left".to_owned())]);
    assert_eq!(times_added(&world, "erin"), 1);
    assert_none_removed(&world, "");
}

#[tokio::test(start_paused = true)]
async fn newly_declared_member_has_not_left() {
    for on_leave in [OnLeave::Readd, OnLeave::Report] {
        let (world, mut operator) =
            settled_team_with(permissive_options(), |spec| (spec.prune, spec.on_leave) = (Prune::Owned, on_leave))
                .await;
        world.cluster.declare(MAIN, &TEAM[..4]);
        operator.run_for(HOUR).await;
        assert!(!world.members().contains("erin"), "the operator removed erin");
        world.cluster.declare(MAIN, TEAM);
        operator.run_for(HOUR * 2).await;
        assert_eq!((errors(&world), world.members().len()), (Vec::new(), 5), "{on_leave:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn member_is_removed_when_the_resource_expires() {
    let (world, mut operator) = settled_team(Prune::Owned).await;
    let at = world.clock.now().checked_add(HOUR * 5).unwrap();
    let mut guest = spec(["guest", "alice"]);
    guest.prune = Prune::Owned;
    guest.expires_at = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at));
    world.cluster.create("care/guests", guest);
    operator.run_for(HOUR * 4).await;
    assert!(world.members().contains("guest"));
    operator.run_for(HOUR + MINUTE).await;
    assert_eq!((world.deletes(), world.members().len()), (vec!["guest".to_owned()], 5));
}

#[tokio::test(start_paused = true)]
async fn member_missing_from_a_listing_after_restart_stays_owned() {
    let (world, mut operator) = settled_team(Prune::Owned).await;
    world.cluster.declare(MAIN, TEAM.iter().chain(&["frank"]));
    run_until(&mut operator, || world.members().contains("frank")).await;
    operator.kill().await;
    // Listings may miss a write for some seconds.
    world.support().with(|channel| channel.unseen = vec![user("frank")]);
    world.cluster.declare(MAIN, TEAM);
    operator.restart().await;
    operator.run_for(MINUTE / 20).await;
    world.support().with(|channel| channel.unseen.clear());
    operator.run_for(HOUR * 2).await;
    assert_eq!(world.deletes(), ["frank"]);
}
