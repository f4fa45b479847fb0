//! Does each of the rules hold that keep somebody in a channel?
//!
//! One test for each, and beside it what happens without: somebody whom nobody protects is removed.

mod approval;
mod authoritative;
mod deletion;
mod departures;
mod knowledge;
mod limits;
mod moments;
mod order;
mod people;

use std::time::Duration;

use super::operator::{Operator, Options};
use super::world::World;
use crate::api::{ChannelMembershipSpec, Prune};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const MAIN: &str = "care/main";
const TEAM: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];
const WITHOUT_ERIN: [&str; 4] = ["alice", "bob", "carol", "dave"];
const PRUNING: [Prune; 3] = [Prune::Owned, Prune::Declared, Prune::Authoritative];
const CLAIMING: [Prune; 2] = [Prune::Owned, Prune::Declared];

/// An operator that is allowed everything.
fn generous() -> Options {
    Options::with(|settings| settings.allow_authoritative = true)
}

/// `care/main` declares the team, which joined more than ten minutes ago.
async fn team(prune: Prune) -> (World, Operator) {
    team_with(generous(), |spec| spec.prune = prune).await
}

async fn team_with(options: Options, change: impl FnOnce(&mut ChannelMembershipSpec)) -> (World, Operator) {
    let world = World::new();
    let mut operator = Operator::start_with(&world, options);
    world.create(MAIN, TEAM, change);
    operator.live(MINUTE * 15).await;
    assert_eq!(world.reason(MAIN), "AllPresent");
    (world, operator)
}

/// Erin is dropped, and three hours pass.
async fn drop_erin(world: &World, operator: &mut Operator) {
    world.cluster.declare(MAIN, WITHOUT_ERIN);
    operator.live(HOUR * 3).await;
}

/// Lets time pass second by second until something is so: an hour at most.
async fn until(operator: &mut Operator, holds: impl Fn() -> bool) {
    for _ in 0..3600 {
        if holds() {
            return;
        }
        operator.live(MINUTE / 60).await;
    }
    panic!("it does not come to that");
}

/// Erin was removed, and nobody else.
#[track_caller]
fn erin_left(world: &World, case: impl std::fmt::Debug) {
    assert_eq!(world.deletes(), ["erin"], "{case:?}");
    assert_eq!(world.reason(MAIN), "AllPresent", "{case:?}");
}

/// No call that deletes was made.
#[track_caller]
fn all_stay(world: &World, case: impl std::fmt::Debug) {
    assert_eq!(world.deletes(), [""; 0], "{case:?}");
}

#[tokio::test(start_paused = true)]
async fn who_is_dropped_and_protected_by_nothing_is_removed() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        drop_erin(&world, &mut operator).await;
        erin_left(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn never_removes_nobody() {
    let (world, mut operator) = team(Prune::Never).await;
    drop_erin(&world, &mut operator).await;
    all_stay(&world, "");
    assert_eq!(world.reason(MAIN), "AllPresent");
}
