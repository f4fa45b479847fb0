//! Listings that end too early.

use super::{ALL, HOUR, MAIN, MINUTE, removed_at_most, settled};
use crate::api::{Prune, RECONCILE_REQUESTED_AT};
use crate::chime::port::{CallError, CallErrorClass, Operation};
use crate::engine::tests::fake::users;
use crate::engine::tests::world::World;

#[derive(Clone, Copy, Debug)]
enum Cut {
    /// The fourth page is refused.
    Refused,
    /// The third page gives the token that it was asked with.
    Repeated,
    /// The third page says that it is the last.
    Lost,
}

const CUTS: [Cut; 3] = [Cut::Refused, Cut::Repeated, Cut::Lost];

/// Listings of the world show three pages and no more.
fn cut(world: &World, cut: Cut) {
    let mut page = 0;
    world.spoil(move |token, answer| {
        page = if token.is_none() { 1 } else { page + 1 };
        match (cut, page) {
            (Cut::Refused, 4..) => Err(CallError {
                class: CallErrorClass::Refused,
                operation: Operation::ListChannelMemberships,
                code: "BadRequest".to_owned(),
                message: "the token is not valid any more".to_owned(),
                request_id: None,
            }),
            (Cut::Repeated, 3) => {
                answer.map(|page| crate::chime::port::Page { next: token.map(str::to_owned), ..page })
            }
            (Cut::Lost, 3) => answer.map(|page| crate::chime::port::Page { next: None, ..page }),
            _ => answer,
        }
    });
}

/// Of 300 people on six pages, one of the first and one of the fifth page are dropped while listings are cut.
async fn listing_is_cut_after_page_three(prune: Prune, how: Cut) -> World {
    let (world, mut operator) = settled(300, prune).await;
    cut(&world, how);
    let left = |id: &String| id != "u00007" && id != "u00220";
    world.cluster.declare(MAIN, users(300).into_iter().filter(left));
    world.cluster.annotate(MAIN, RECONCILE_REQUESTED_AT, "now");
    operator.live(HOUR * 3).await;
    operator.restart().await;
    operator.live(HOUR * 10).await;
    world.mend();
    operator.restart().await;
    operator.live(HOUR * 3).await;
    for id in users(300).iter().filter(|id| left(id)) {
        assert!(world.members().contains(id), "{how:?}, prune: {prune:?}: {id}");
    }
    world
}

pub(super) async fn all(prune: Prune) -> Vec<World> {
    let mut worlds = Vec::new();
    for how in CUTS {
        worlds.push(listing_is_cut_after_page_three(prune, how).await);
    }
    worlds
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_is_cut_after_its_third_page_kicks_nobody_who_is_declared() {
    for prune in ALL {
        for how in CUTS {
            let world = listing_is_cut_after_page_three(prune, how).await;
            removed_at_most(&world, ["u00007", "u00220"], prune);
            assert_eq!(world.reason(MAIN), "AllPresent", "{how:?}, prune: {prune:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_of_which_a_page_is_refused_lets_no_undeclared_member_be_removed() {
    for how in [Cut::Refused, Cut::Repeated] {
        let world = World::new();
        world.strangers(users(300));
        cut(&world, how);
        let mut operator = super::Operator::start_with(&world, super::generous());
        world.create(MAIN, &users(300)[1..], |spec| spec.prune = Prune::Authoritative);
        operator.live(HOUR * 3).await;
        super::nobody_removed(&world, Prune::Authoritative);
        world.mend();
        world.cluster.annotate(MAIN, RECONCILE_REQUESTED_AT, "now");
        operator.live(MINUTE * 3).await;
        assert_eq!(world.deletes(), ["u00000"]);
    }
}
