//! Two operators at once do no harm.

use std::collections::BTreeMap;

use rollcall::simulator::MembershipAction;

use crate::removal::{owned, removed_sorted};
use crate::stage::{Stage, ids, seed, status};

#[tokio::test]
async fn two_operators_at_once_add_and_remove_each_member_once() {
    let stage = Stage::open(seed(150)).await;
    let people = ids(150);
    stage.apply("team", owned("support", &people)).await;
    let (_one, _two) = (stage.operator(&[]), stage.operator(&[]));
    stage.until_reason("team", "AllPresent").await;

    stage.apply("team", owned("support", &people[..30])).await;
    stage.until_service("the members leave", |_| stage.count("support") == 30).await;
    let told = stage.until_reason("team", "AllPresent").await;

    assert_eq!(stage.present("support"), people[..30]);
    assert_eq!(removed_sorted(&stage, "support"), people[30..], "each member is removed once");
    let mut added = BTreeMap::<String, usize>::new();
    for entry in stage.simulator.membership_log().iter().filter(|entry| entry.action == MembershipAction::Added) {
        *added.entry(entry.member.to_string()).or_default() += 1;
    }
    assert!(added.len() == 150 && added.values().all(|&times| times == 1), "{added:?}");
    assert_eq!(status(&told).removed.unwrap().count, 120, "each removal is counted once");
}
