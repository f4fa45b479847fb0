//! What holds for the one mode that removes people whom it never heard of.

use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use super::{HOUR, MAIN, MINUTE, TEAM, all_stay, generous, team, team_with};
use crate::api::{KeepReason, Prune, Tolerance};
use crate::chime::port::{CallErrorClass, Operation};
use crate::engine::tests::fake::{Fault, user};
use crate::engine::tests::operator::{Operator, Options};
use crate::engine::tests::world::World;

#[tokio::test(start_paused = true)]
async fn a_stranger_is_removed_after_ten_minutes_and_not_before() {
    let (world, mut operator) = team(Prune::Authoritative).await;
    world.cluster.edit(MAIN, |spec| spec.resync_interval = Some("10s".parse().unwrap()));
    operator.live(MINUTE).await;
    world.strangers(["zoe"]);
    operator.live(MINUTE * 9 + MINUTE * 5 / 6).await;
    all_stay(&world, "");
    assert_eq!(world.stays(MAIN, "zoe"), Some(KeepReason::JoinedLately));
    operator.live(MINUTE * 2).await;
    assert_eq!(world.deletes(), ["zoe"]);
}

#[tokio::test(start_paused = true)]
async fn a_stranger_is_seen_in_two_listings_five_seconds_apart() {
    let world = World::new();
    world.strangers(["zoe"]);
    tokio::time::sleep(HOUR).await;
    let calls: Arc<Mutex<Vec<(Operation, Instant)>>> = Arc::default();
    let record = Arc::clone(&calls);
    world.meanwhile(move |operation| record.lock().unwrap().push((operation, Instant::now())));
    let mut operator = Operator::start_with(&world, generous());
    world.create(MAIN, TEAM, |spec| spec.prune = Prune::Authoritative);
    operator.live(MINUTE * 5).await;
    assert_eq!(world.deletes(), ["zoe"]);
    let calls = calls.lock().unwrap();
    let delete = calls.iter().position(|(operation, _)| *operation == Operation::DeleteChannelMembership).unwrap();
    let lists = calls[..delete].iter().filter(|(operation, _)| *operation == Operation::ListChannelMemberships);
    let lists: Vec<Instant> = lists.map(|(_, at)| *at).collect();
    assert_eq!(lists.len(), 2);
    assert!(lists[1] - lists[0] >= MINUTE / 12, "{:?}", lists[1] - lists[0]);
}

#[tokio::test(start_paused = true)]
async fn a_stranger_whom_only_one_of_two_listings_shows_stays_for_now() {
    let world = World::new();
    world.strangers(["zoe"]);
    tokio::time::sleep(HOUR).await;
    let (fake, mut listings) = (world.support(), 0);
    world.meanwhile(move |operation| {
        listings += usize::from(operation == Operation::ListChannelMemberships);
        fake.with(|channel| channel.unseen = if listings == 2 { vec![user("zoe")] } else { Vec::new() });
    });
    let mut operator = Operator::start_with(&world, generous());
    world.create(MAIN, TEAM, |spec| spec.prune = Prune::Authoritative);
    operator.live(MINUTE * 5).await;
    all_stay(&world, "");
}

#[tokio::test(start_paused = true)]
async fn a_stranger_whom_only_the_second_of_two_listings_shows_stays_for_now() {
    let world = World::new();
    world.strangers(["yann", "zoe"]);
    tokio::time::sleep(HOUR).await;
    let (fake, mut listings) = (world.support(), 0);
    world.meanwhile(move |operation| {
        listings += usize::from(operation == Operation::ListChannelMemberships);
        fake.with(|channel| channel.unseen = if listings == 1 { vec![user("zoe")] } else { Vec::new() });
    });
    let mut operator = Operator::start_with(&world, generous());
    world.create(MAIN, TEAM, |spec| {
        spec.prune = Prune::Authoritative;
        spec.limits.get_or_insert_default().removals = Some(Tolerance::Percent(100));
    });
    operator.live(MINUTE * 5).await;
    assert_eq!(world.deletes(), ["yann"]);
    operator.live(HOUR * 3).await;
    assert_eq!(world.deletes(), ["yann", "zoe"]);
}

#[tokio::test(start_paused = true)]
async fn whom_we_added_is_listed_again_before_they_are_removed_as_strangers() {
    let (world, mut operator) = team(Prune::Authoritative).await;
    let calls: Arc<Mutex<Vec<(Operation, Instant)>>> = Arc::default();
    let record = Arc::clone(&calls);
    world.meanwhile(move |operation| record.lock().unwrap().push((operation, Instant::now())));
    world.cluster.declare(MAIN, TEAM.iter().chain(&["frank"]));
    operator.live(MINUTE / 6).await;
    world.cluster.declare(MAIN, TEAM);
    operator.live(HOUR * 2).await;
    assert_eq!(world.deletes(), ["frank"]);
    let calls = calls.lock().unwrap();
    let at = |operation| calls.iter().find(|(made, _)| *made == operation).unwrap().1;
    let delete = at(Operation::DeleteChannelMembership);
    let added = at(Operation::BatchCreateChannelMembership);
    let after = |(operation, at): &&(Operation, Instant)| {
        *operation == Operation::ListChannelMemberships && (added + MINUTE / 12..delete).contains(at)
    };
    assert!(calls.iter().filter(after).count() >= 1, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn authoritative_is_not_granted_without_the_flag() {
    let world = World::new();
    world.strangers(["zoe"]);
    let mut operator = Operator::start(&world);
    world.create(MAIN, TEAM, |spec| spec.prune = Prune::Authoritative);
    operator.live(HOUR * 3).await;
    all_stay(&world, "");
    assert_eq!(world.reason(MAIN), "NotGranted");
    assert!(world.cluster.status(MAIN).conditions[0].message.contains("--allow-authoritative"));
}

#[tokio::test(start_paused = true)]
async fn of_two_that_want_all_others_out_the_older_one_has_its_way() {
    let (world, mut operator) = team(Prune::Authoritative).await;
    world.create("a/newer", ["zoe"], |spec| spec.prune = Prune::Authoritative);
    operator.live(HOUR * 3).await;
    all_stay(&world, "");
    assert_eq!(
        (world.reason(MAIN), world.reason("a/newer")),
        ("AllPresent".to_owned(), "OwnershipConflict".to_owned())
    );
    assert!(world.cluster.status("a/newer").conditions[0].message.contains(MAIN));
    assert!(world.members().contains("zoe"), "adding goes on");
    world.strangers(["stranger"]);
    operator.live(HOUR * 3).await;
    assert_eq!(world.deletes(), ["stranger"]);
}

#[tokio::test(start_paused = true)]
async fn bots_are_nobodys_strangers() {
    let (world, mut operator) = team(Prune::Authoritative).await;
    world.strangers(["bot/helper", "zoe"]);
    operator.live(HOUR * 3).await;
    assert_eq!(world.deletes(), ["zoe"]);
    assert_eq!(world.stays(MAIN, "bot/helper"), Some(KeepReason::Bot));
}

#[tokio::test(start_paused = true)]
async fn strangers_of_the_other_type_stay() {
    let (world, mut operator) = team(Prune::Authoritative).await;
    world.strangers(["zoe"]);
    world.support().with(|channel| channel.members.insert(user("zoe"), crate::api::MembershipType::Hidden));
    operator.live(HOUR * 3).await;
    all_stay(&world, "");
}

#[tokio::test(start_paused = true)]
async fn the_limit_is_of_all_who_are_there_and_a_first_plan_over_it_waits() {
    for (strangers, removed) in [(1, 1), (2, 2), (3, 0)] {
        let world = World::new();
        world.strangers((0..strangers).map(|n| format!("s{n}")));
        tokio::time::sleep(HOUR).await;
        let mut operator = Operator::start_with(&world, generous());
        world.create(MAIN, TEAM, |spec| spec.prune = Prune::Authoritative);
        operator.live(HOUR).await;
        assert_eq!(world.deletes().len(), removed, "{strangers} strangers beside five: a quarter is two");
    }
}

/// An elastic channel with the team in one sub-channel and strangers in another.
fn elastic(spans: bool) -> World {
    let world = World::new();
    world.strangers(TEAM);
    world.strangers(["zoe"]);
    world.support().with(|channel| {
        (channel.elastic, channel.spans) = (true, spans);
        channel.sub_channels.insert("one".to_owned(), TEAM.iter().map(|id| user(id)).collect());
        channel.sub_channels.insert("two".to_owned(), [user("zoe")].into());
    });
    world
}

#[tokio::test(start_paused = true)]
async fn the_sub_channels_of_an_elastic_channel_are_walked_before_anybody_is_removed() {
    for spans in [true, false] {
        let world = elastic(spans);
        tokio::time::sleep(HOUR).await;
        let mut operator = Operator::start_with(&world, generous());
        world.create(MAIN, TEAM, |spec| spec.prune = Prune::Authoritative);
        operator.live(HOUR).await;
        assert_eq!(world.deletes(), ["zoe"], "{spans}");
        let made = world.support().with(|channel| channel.made.clone());
        let delete = made.iter().position(|made| made.operation == Operation::DeleteChannelMembership).unwrap();
        let walked = |id: &str| made[..delete].iter().any(|made| made.sub_channel.as_deref() == Some(id));
        assert!(walked("one") && walked("two"), "{spans}");
        assert_eq!(world.members().len(), TEAM.len(), "{spans}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_elastic_channel_that_refuses_to_be_listed_as_a_whole_is_listed_by_its_sub_channels() {
    let world = elastic(false);
    world.support().with(|channel| {
        channel.faults.push_back(Fault::Before(CallErrorClass::Refused, "BadRequest"));
    });
    let mut operator = Operator::start(&world);
    world.create(MAIN, TEAM, |_| ());
    operator.live(MINUTE).await;
    let status = world.cluster.status(MAIN);
    assert_eq!((status.conditions[0].reason.as_str(), status.present), ("AllPresent", u32::try_from(TEAM.len()).ok()));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_removed_from_an_elastic_channel_whose_sub_channels_cannot_be_listed() {
    for spans in [true, false] {
        let world = elastic(spans);
        world.deny(Operation::ListSubChannels);
        tokio::time::sleep(HOUR).await;
        let mut operator = Operator::start_with(&world, generous());
        world.create(MAIN, TEAM, |spec| spec.prune = Prune::Authoritative);
        operator.live(HOUR * 3).await;
        all_stay(&world, spans);
    }
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_becomes_authoritative_waits_for_two_listings_too() {
    let (world, mut operator) = team_with(Options::with(|settings| settings.allow_authoritative = true), |_| {}).await;
    world.strangers(["zoe"]);
    operator.live(MINUTE * 30).await;
    world.cluster.edit(MAIN, |spec| spec.prune = Prune::Authoritative);
    operator.live(MINUTE).await;
    let listed = world.calls(Operation::ListChannelMemberships);
    all_stay(&world, "no listing has shown her yet");
    operator.live(HOUR * 2).await;
    assert_eq!(world.deletes(), ["zoe"]);
    assert!(world.calls(Operation::ListChannelMemberships) >= listed + 2);
}

#[tokio::test(start_paused = true)]
async fn the_newer_of_two_has_its_way_when_the_older_is_gone() {
    let (world, mut operator) = team(Prune::Authoritative).await;
    world.create("a/newer", TEAM, |spec| spec.prune = Prune::Authoritative);
    world.strangers(["zoe"]);
    operator.live(MINUTE).await;
    world.cluster.delete(MAIN);
    operator.live(HOUR * 3).await;
    assert_eq!((world.deletes(), &*world.reason("a/newer")), (vec!["zoe".to_owned()], "AllPresent"));
}
