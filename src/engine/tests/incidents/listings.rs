//! Listings that end too early.

use super::{HOUR, MAIN, MINUTE, assert_removed_only, settled_members};
use crate::api::{Prune, RECONCILE_REQUESTED_AT};
use crate::chime::port::{CallError, CallErrorClass, Operation};
use crate::engine::tests::fake::users;
use crate::engine::tests::world::TestWorld;

#[derive(Clone, Copy, Debug)]
enum ListingCut {
    /// The fourth page is refused.
    Refused,
    /// The third page returns the token of its own request.
    Repeated,
    /// The third page has no next token.
    Lost,
}

const CUTS: [ListingCut; 3] = [ListingCut::Refused, ListingCut::Repeated, ListingCut::Lost];

/// Ends all listings after three pages.
fn cut_listings(world: &TestWorld, cut: ListingCut) {
    let mut page = 0;
    world.alter_pages(move |token, answer| {
        page = if token.is_none() { 1 } else { page + 1 };
        match (cut, page) {
            (ListingCut::Refused, 4..) => Err(CallError {
                class: CallErrorClass::Refused,
                operation: Operation::ListChannelMemberships,
                code: "BadRequest".to_owned(),
                message: "the token is not valid any more".to_owned(),
                request_id: None,
            }),
            (ListingCut::Repeated, 3) => {
                answer.map(|page| crate::chime::port::Page { next: token.map(str::to_owned), ..page })
            }
            (ListingCut::Lost, 3) => answer.map(|page| crate::chime::port::Page { next: None, ..page }),
            _ => answer,
        }
    });
}

/// 300 members fill six pages. One member of the first page and one of the fifth are undeclared
/// while listings are cut.
async fn listing_is_cut_after_page_three(prune: Prune, how: ListingCut) -> TestWorld {
    let (world, mut operator) = settled_members(300, prune).await;
    cut_listings(&world, how);
    let left = |id: &String| id != "u00007" && id != "u00220";
    world.cluster.declare(MAIN, users(300).into_iter().filter(left));
    world.cluster.annotate(MAIN, RECONCILE_REQUESTED_AT, "now");
    operator.run_for(HOUR * 3).await;
    operator.restart().await;
    operator.run_for(HOUR * 10).await;
    world.restore_pages();
    operator.restart().await;
    operator.run_for(HOUR * 3).await;
    for id in users(300).iter().filter(|id| left(id)) {
        assert!(world.members().contains(id), "{how:?}, prune: {prune:?}: {id}");
    }
    world
}

pub(super) async fn all_incidents(prune: Prune) -> Vec<TestWorld> {
    let mut worlds = Vec::new();
    for how in CUTS {
        worlds.push(listing_is_cut_after_page_three(prune, how).await);
    }
    worlds
}

for_each_prune!(truncated_listing_removes_no_declared_member in [Never, Owned, Declared, Authoritative]);
async fn truncated_listing_removes_no_declared_member(prune: Prune) {
    for how in CUTS {
        let world = listing_is_cut_after_page_three(prune, how).await;
        assert_removed_only(&world, ["u00007", "u00220"], prune);
        assert_eq!(world.ready_reason(MAIN), "AllPresent", "{how:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn incomplete_listing_stops_authoritative_removals() {
    for how in [ListingCut::Refused, ListingCut::Repeated] {
        let world = TestWorld::new();
        world.add_strangers(users(300));
        cut_listings(&world, how);
        let mut operator = super::TestOperator::start_with(&world, super::permissive_options());
        world.create(MAIN, &users(300)[1..], |spec| spec.prune = Prune::Authoritative);
        operator.run_for(HOUR * 3).await;
        super::assert_none_removed(&world, Prune::Authoritative);
        world.restore_pages();
        world.cluster.annotate(MAIN, RECONCILE_REQUESTED_AT, "now");
        operator.run_for(MINUTE * 3).await;
        assert_eq!(world.deletes(), ["u00000"]);
    }
}
