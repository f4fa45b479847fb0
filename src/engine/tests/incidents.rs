//! What emptied other people's channels: does it empty one here?
//!
//! Each incident is a function of `prune`, so that all of them can also be lived through with `Never`, which never deletes.

mod listings;
mod lists;
mod operators;
mod owners;
mod statuses;

use std::collections::BTreeSet;
use std::time::Duration;

use super::fake::users;
use super::operator::{Operator, Options};
use super::world::World;
use crate::api::{ChannelMembershipSpec, DeletionPolicy, Prune};
use crate::chime::port::Operation;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const MAIN: &str = "care/main";
const ALL: [Prune; 4] = [Prune::Never, Prune::Owned, Prune::Declared, Prune::Authoritative];
const PRUNING: [Prune; 3] = [Prune::Owned, Prune::Declared, Prune::Authoritative];

/// An operator that is allowed everything.
fn generous() -> Options {
    Options::with(|settings| settings.allow_authoritative = true)
}

/// `prune` as it is, and `deletionPolicy: Delete` with all that allow it.
fn pruning(prune: Prune) -> impl Fn(&mut ChannelMembershipSpec) {
    move |spec| {
        spec.prune = prune;
        spec.deletion_policy = if prune == Prune::Never { DeletionPolicy::Retain } else { DeletionPolicy::Delete };
    }
}

/// So many people are declared by `care/main` and in the channel, for more than ten minutes.
async fn settled(count: usize, prune: Prune) -> (World, Operator) {
    let world = World::new();
    let mut operator = Operator::start_with(&world, generous());
    world.create(MAIN, users(count), |spec| spec.prune = prune);
    operator.live(MINUTE * 15).await;
    assert_eq!(world.reason(MAIN), "AllPresent");
    (world, operator)
}

fn set<T: AsRef<str>>(ids: impl IntoIterator<Item = T>) -> BTreeSet<String> {
    ids.into_iter().map(|id| id.as_ref().to_owned()).collect()
}

/// No call that deletes was made.
#[track_caller]
fn nobody_removed(world: &World, prune: Prune) {
    assert_eq!(world.deletes(), [""; 0], "prune: {prune:?}");
}

/// Nobody but these was ever removed, and nobody at all by `Never`.
#[track_caller]
fn removed_at_most<T: AsRef<str>>(world: &World, ids: impl IntoIterator<Item = T>, prune: Prune) {
    let allowed = if prune == Prune::Never { BTreeSet::new() } else { set(ids) };
    let removed = set(world.deletes());
    assert!(removed.is_subset(&allowed), "prune: {prune:?} removed {:?}", removed.difference(&allowed));
}

#[tokio::test(start_paused = true)]
async fn dropping_one_of_ten_thousand_costs_four_calls_and_no_listing() {
    let (world, mut operator) = settled(10_000, Prune::Owned).await;
    world.support().with(|channel| channel.made.clear());
    world.cluster.declare(MAIN, users(9_999));
    operator.live(MINUTE).await;
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
    assert_eq!(world.reason(MAIN), "AllPresent");
}

#[tokio::test(start_paused = true)]
async fn never_does_not_call_delete_in_any_incident() {
    let mut worlds = lists::all(Prune::Never).await;
    worlds.extend(listings::all(Prune::Never).await);
    worlds.extend(statuses::all(Prune::Never).await);
    worlds.extend(owners::all(Prune::Never).await);
    worlds.extend(operators::all(Prune::Never).await);
    assert!(worlds.len() >= 30, "{} incidents", worlds.len());
    for world in worlds {
        assert_eq!(world.calls(Operation::DeleteChannelMembership), 0);
    }
}
