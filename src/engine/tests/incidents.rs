//! Incidents that emptied channels elsewhere do not empty a channel here.
//!
//! Each incident is a function of `prune`, so that all incidents also run with `Never`, which never
//! deletes.

mod listings;
mod lists;
mod operators;
mod owners;
mod statuses;

use std::collections::BTreeSet;
use std::time::Duration;

use super::fake::users;
use super::operator::{Options, TestOperator};
use super::world::TestWorld;
use crate::api::{ChannelMembershipSpec, DeletionPolicy, Prune};
use crate::chime::port::Operation;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const MAIN: &str = "care/main";

/// Options of an operator that may use every prune mode.
fn permissive_options() -> Options {
    Options::with(|settings| settings.allow_authoritative = true)
}

/// Sets `prune`, and `deletionPolicy: Delete` with every mode that allows it.
fn with_prune(prune: Prune) -> impl Fn(&mut ChannelMembershipSpec) {
    move |spec| {
        spec.prune = prune;
        spec.deletion_policy = if prune == Prune::Never { DeletionPolicy::Retain } else { DeletionPolicy::Delete };
    }
}

/// `care/main` declares a number of members, which have been in the channel for more than ten
/// minutes.
async fn settled_members(count: usize, prune: Prune) -> (TestWorld, TestOperator) {
    let world = TestWorld::new();
    let mut operator = TestOperator::start_with(&world, permissive_options());
    world.create(MAIN, users(count), |spec| spec.prune = prune);
    operator.run_for(MINUTE * 15).await;
    assert_eq!(world.ready_reason(MAIN), "AllPresent");
    (world, operator)
}

fn name_set<T: AsRef<str>>(ids: impl IntoIterator<Item = T>) -> BTreeSet<String> {
    ids.into_iter().map(|id| id.as_ref().to_owned()).collect()
}

/// Asserts that no delete call was made.
#[track_caller]
fn assert_none_removed(world: &TestWorld, prune: Prune) {
    assert_eq!(world.deletes(), [""; 0], "prune: {prune:?}");
}

/// Asserts that no other member was ever removed, and with `Never` no member at all.
#[track_caller]
fn assert_removed_only<T: AsRef<str>>(world: &TestWorld, ids: impl IntoIterator<Item = T>, prune: Prune) {
    let allowed = if prune == Prune::Never { BTreeSet::new() } else { name_set(ids) };
    let removed = name_set(world.deletes());
    assert!(removed.is_subset(&allowed), "prune: {prune:?} removed {:?}", removed.difference(&allowed));
}

#[tokio::test(start_paused = true)]
async fn removing_one_of_10000_members_costs_4_calls_and_no_listing() {
    let (world, mut operator) = settled_members(10_000, Prune::Owned).await;
    world.support().with(|channel| channel.made.clear());
    world.cluster.declare(MAIN, users(9_999));
    operator.run_for(MINUTE).await;
    let made: Vec<Operation> = world.support().with(|channel| channel.made.iter().map(|made| made.operation).collect());
    let mut cost = made.clone();
    cost.sort_unstable();
    assert_eq!(
        cost,
        [
            Operation::DescribeChannelMembership,
            Operation::DeleteChannelMembership,
            Operation::DescribeChannel,
            Operation::ListChannelModerators
        ]
    );
    assert_eq!(made[2..], [Operation::DescribeChannelMembership, Operation::DeleteChannelMembership]);
    assert_eq!(world.deletes(), ["u09999"]);
    assert_eq!(world.ready_reason(MAIN), "AllPresent");
}

#[tokio::test(start_paused = true)]
async fn delete_is_not_called_with_never_in_any_incident() {
    let mut worlds = lists::all_incidents(Prune::Never).await;
    worlds.extend(listings::all_incidents(Prune::Never).await);
    worlds.extend(statuses::all_incidents(Prune::Never).await);
    worlds.extend(owners::all_incidents(Prune::Never).await);
    worlds.extend(operators::all_incidents(Prune::Never).await);
    assert!(worlds.len() >= 30, "{} incidents", worlds.len());
    for world in worlds {
        assert_eq!(world.calls(Operation::DeleteChannelMembership), 0);
    }
}
