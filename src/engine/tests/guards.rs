//! Each rule that keeps a member in a channel holds.
//!
//! Each rule has one test. For comparison, an unprotected member is removed.

mod approval;
mod authoritative;
mod deletion;
mod drift;
mod known_declarers;
mod limits;
mod order;
mod protected_members;
mod races;

use std::time::Duration;

use super::operator::{Options, TestOperator};
use super::world::TestWorld;
use crate::api::{ChannelMembershipSpec, Prune};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const MAIN: &str = "care/main";
const TEAM: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];
const WITHOUT_ERIN: [&str; 4] = ["alice", "bob", "carol", "dave"];

/// Options of an operator that may use every prune mode.
fn permissive_options() -> Options {
    Options::with(|settings| settings.allow_authoritative = true)
}

/// `care/main` declares the team, which joined more than ten minutes ago.
async fn settled_team(prune: Prune) -> (TestWorld, TestOperator) {
    settled_team_with(permissive_options(), |spec| spec.prune = prune).await
}

async fn settled_team_with(
    options: Options,
    change: impl FnOnce(&mut ChannelMembershipSpec),
) -> (TestWorld, TestOperator) {
    let world = TestWorld::new();
    let mut operator = TestOperator::start_with(&world, options);
    world.create(MAIN, TEAM, change);
    operator.run_for(MINUTE * 15).await;
    assert_eq!(world.ready_reason(MAIN), "AllPresent");
    (world, operator)
}

/// Stops to declare erin, and lets three hours pass.
async fn undeclare_erin(world: &TestWorld, operator: &mut TestOperator) {
    world.cluster.declare(MAIN, WITHOUT_ERIN);
    operator.run_for(HOUR * 3).await;
}

/// Lets time pass second by second until a condition holds, for at most an hour.
async fn run_until(operator: &mut TestOperator, holds: impl Fn() -> bool) {
    for _ in 0..3600 {
        if holds() {
            return;
        }
        operator.run_for(MINUTE / 60).await;
    }
    panic!("the condition did not hold within an hour");
}

/// Asserts that erin was removed, and no other member.
#[track_caller]
fn assert_erin_removed(world: &TestWorld, case: impl std::fmt::Debug) {
    assert_eq!(world.deletes(), ["erin"], "{case:?}");
    assert_eq!(world.ready_reason(MAIN), "AllPresent", "{case:?}");
}

/// Asserts that no delete call was made.
#[track_caller]
fn assert_none_removed(world: &TestWorld, case: impl std::fmt::Debug) {
    assert_eq!(world.deletes(), [""; 0], "{case:?}");
}

for_each_prune!(undeclared_unprotected_member_is_removed in [Owned, Declared, Authoritative]);
async fn undeclared_unprotected_member_is_removed(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    undeclare_erin(&world, &mut operator).await;
    assert_erin_removed(&world, prune);
}

#[tokio::test(start_paused = true)]
async fn no_member_is_removed_with_never() {
    let (world, mut operator) = settled_team(Prune::Never).await;
    undeclare_erin(&world, &mut operator).await;
    assert_none_removed(&world, "");
    assert_eq!(world.ready_reason(MAIN), "AllPresent");
}
