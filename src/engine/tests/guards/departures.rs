//! Declared people whom somebody takes out.

use std::time::Duration;

use super::{HOUR, MAIN, MINUTE, TEAM, all_stay, generous, team, team_with, until};
use crate::api::{OnLeave, Prune, RECONCILE_REQUESTED_AT};
use crate::engine::tests::fake::user;
use crate::engine::tests::world::{World, spec};

const DAY: Duration = Duration::from_hours(24);

fn take_out(world: &World, id: &str) {
    world.support().with(|channel| channel.members.remove(&user(id)));
}

fn errors(world: &World) -> Vec<(String, String)> {
    let status = world.cluster.status(MAIN);
    let short = |arn: &str| arn.rsplit('/').next().unwrap_or_default().to_owned();
    status.errors.iter().map(|error| (short(&error.member_arn), error.error_code.clone())).collect()
}

fn times_added(world: &World, id: &str) -> usize {
    world.moves().iter().filter(|who| who.came && who.id == id).count()
}

#[tokio::test(start_paused = true)]
async fn who_is_taken_out_is_added_at_the_resync_then_after_six_hours_then_after_a_day_and_then_no_more() {
    let (world, mut operator) = team(Prune::Owned).await;
    let mut waits = Vec::new();
    for _ in 0..3 {
        take_out(&world, "erin");
        let mut waited = Duration::ZERO;
        while !world.members().contains("erin") {
            operator.live(MINUTE * 10).await;
            waited += MINUTE * 10;
            assert!(waited < DAY * 2, "{waits:?}: {:?}", errors(&world));
        }
        waits.push(waited);
    }
    assert!(waits[0] <= HOUR + MINUTE * 10, "{waits:?}");
    assert!((HOUR * 6..HOUR * 8).contains(&waits[1]), "{waits:?}");
    assert!((DAY..DAY + HOUR * 2).contains(&waits[2]), "{waits:?}");
    take_out(&world, "erin");
    operator.live(DAY * 10).await;
    assert_eq!(errors(&world), [("erin".to_owned(), "Contested".to_owned())]);
    assert_eq!((times_added(&world, "erin"), &*world.reason(MAIN)), (4, "MembersRefused"));
    world.cluster.annotate(MAIN, RECONCILE_REQUESTED_AT, "now");
    operator.live(MINUTE).await;
    assert_eq!((world.members().len(), &*world.reason(MAIN)), (5, "AllPresent"));
}

#[tokio::test(start_paused = true)]
async fn who_is_taken_out_stays_out_if_the_owner_wants_that_and_is_said_to_have_left() {
    let (world, mut operator) = team_with(generous(), |spec| {
        (spec.prune, spec.on_leave) = (Prune::Owned, OnLeave::Report);
    })
    .await;
    take_out(&world, "erin");
    operator.live(DAY * 3).await;
    operator.restart().await;
    operator.live(DAY * 3).await;
    assert_eq!(errors(&world), [("erin".to_owned(), "Left".to_owned())]);
    assert_eq!(times_added(&world, "erin"), 1);
    all_stay(&world, "");
}

#[tokio::test(start_paused = true)]
async fn who_was_not_there_before_the_spec_named_them_has_not_left() {
    for on_leave in [OnLeave::Readd, OnLeave::Report] {
        let (world, mut operator) =
            team_with(generous(), |spec| (spec.prune, spec.on_leave) = (Prune::Owned, on_leave)).await;
        world.cluster.declare(MAIN, &TEAM[..4]);
        operator.live(HOUR).await;
        assert!(!world.members().contains("erin"), "we removed her");
        world.cluster.declare(MAIN, TEAM);
        operator.live(HOUR * 2).await;
        assert_eq!((errors(&world), world.members().len()), (Vec::new(), 5), "{on_leave:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_resource_with_an_end_date_gives_access_for_a_time() {
    let (world, mut operator) = team(Prune::Owned).await;
    let at = world.clock.now().checked_add(HOUR * 5).unwrap();
    let mut guest = spec(["guest", "alice"]);
    guest.prune = Prune::Owned;
    guest.expires_at = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at));
    world.cluster.create("care/guests", guest);
    operator.live(HOUR * 4).await;
    assert!(world.members().contains("guest"));
    operator.live(HOUR + MINUTE).await;
    assert_eq!((world.deletes(), world.members().len()), (vec!["guest".to_owned()], 5));
}

#[tokio::test(start_paused = true)]
async fn whom_a_listing_misses_right_after_a_restart_is_claimed_still() {
    let (world, mut operator) = team(Prune::Owned).await;
    world.cluster.declare(MAIN, TEAM.iter().chain(&["frank"]));
    until(&mut operator, || world.members().contains("frank")).await;
    operator.kill().await;
    // Reads right after a write may miss it for some seconds.
    world.support().with(|channel| channel.unseen = vec![user("frank")]);
    world.cluster.declare(MAIN, TEAM);
    operator.restart().await;
    operator.live(MINUTE / 20).await;
    world.support().with(|channel| channel.unseen.clear());
    operator.live(HOUR * 2).await;
    assert_eq!(world.deletes(), ["frank"]);
}
