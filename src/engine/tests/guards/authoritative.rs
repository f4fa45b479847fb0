//! Rules of `Authoritative`, which also removes members that no resource ever declared.

use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use super::{HOUR, MAIN, MINUTE, TEAM, assert_none_removed, permissive_options, settled_team, settled_team_with};
use crate::api::{KeepReason, Prune, Tolerance};
use crate::chime::port::{CallErrorClass, Operation};
use crate::engine::tests::fake::{CallFault, user};
use crate::engine::tests::operator::{Options, TestOperator};
use crate::engine::tests::world::TestWorld;

#[tokio::test(start_paused = true)]
async fn foreign_member_is_removed_after_10min() {
    let (world, mut operator) = settled_team(Prune::Authoritative).await;
    world.cluster.edit(MAIN, |spec| spec.resync_interval = Some("10s".parse().unwrap()));
    operator.run_for(MINUTE).await;
    world.add_strangers(["zoe"]);
    operator.run_for(MINUTE * 9 + MINUTE * 5 / 6).await;
    assert_none_removed(&world, "");
    assert_eq!(world.keep_reason(MAIN, "zoe"), Some(KeepReason::JoinedLately));
    operator.run_for(MINUTE * 2).await;
    assert_eq!(world.deletes(), ["zoe"]);
}

#[tokio::test(start_paused = true)]
async fn foreign_member_is_removed_after_two_listings_5s_apart() {
    let world = TestWorld::new();
    world.add_strangers(["zoe"]);
    tokio::time::sleep(HOUR).await;
    let calls: Arc<Mutex<Vec<(Operation, Instant)>>> = Arc::default();
    let record = Arc::clone(&calls);
    world.before_each_call(move |operation| record.lock().unwrap().push((operation, Instant::now())));
    let mut operator = TestOperator::start_with(&world, permissive_options());
    world.create(MAIN, TEAM, |spec| spec.prune = Prune::Authoritative);
    operator.run_for(MINUTE * 5).await;
    assert_eq!(world.deletes(), ["zoe"]);
    let calls = calls.lock().unwrap();
    let delete = calls.iter().position(|(operation, _)| *operation == Operation::DeleteChannelMembership).unwrap();
    let lists = calls[..delete].iter().filter(|(operation, _)| *operation == Operation::ListChannelMemberships);
    let lists: Vec<Instant> = lists.map(|(_, at)| *at).collect();
    assert_eq!(lists.len(), 2);
    assert!(lists[1] - lists[0] >= MINUTE / 12, "{:?}", lists[1] - lists[0]);
}

#[tokio::test(start_paused = true)]
async fn foreign_member_missing_from_the_second_listing_stays() {
    let world = TestWorld::new();
    world.add_strangers(["zoe"]);
    tokio::time::sleep(HOUR).await;
    let (fake, mut listings) = (world.support(), 0);
    world.before_each_call(move |operation| {
        listings += usize::from(operation == Operation::ListChannelMemberships);
        fake.with(|channel| channel.unseen = if listings == 2 { vec![user("zoe")] } else { Vec::new() });
    });
    let mut operator = TestOperator::start_with(&world, permissive_options());
    world.create(MAIN, TEAM, |spec| spec.prune = Prune::Authoritative);
    operator.run_for(MINUTE * 5).await;
    assert_none_removed(&world, "");
}

#[tokio::test(start_paused = true)]
async fn foreign_member_missing_from_the_first_listing_stays_at_first() {
    let world = TestWorld::new();
    world.add_strangers(["yann", "zoe"]);
    tokio::time::sleep(HOUR).await;
    let (fake, mut listings) = (world.support(), 0);
    world.before_each_call(move |operation| {
        listings += usize::from(operation == Operation::ListChannelMemberships);
        fake.with(|channel| channel.unseen = if listings == 1 { vec![user("zoe")] } else { Vec::new() });
    });
    let mut operator = TestOperator::start_with(&world, permissive_options());
    world.create(MAIN, TEAM, |spec| {
        spec.prune = Prune::Authoritative;
        spec.limits.get_or_insert_default().removals = Some(Tolerance::Percent(100));
    });
    operator.run_for(MINUTE * 5).await;
    assert_eq!(world.deletes(), ["yann"]);
    operator.run_for(HOUR * 3).await;
    assert_eq!(world.deletes(), ["yann", "zoe"]);
}

#[tokio::test(start_paused = true)]
async fn own_member_is_listed_again_before_an_authoritative_removal() {
    let (world, mut operator) = settled_team(Prune::Authoritative).await;
    let calls: Arc<Mutex<Vec<(Operation, Instant)>>> = Arc::default();
    let record = Arc::clone(&calls);
    world.before_each_call(move |operation| record.lock().unwrap().push((operation, Instant::now())));
    world.cluster.declare(MAIN, TEAM.iter().chain(&["frank"]));
    operator.run_for(MINUTE / 6).await;
    world.cluster.declare(MAIN, TEAM);
    operator.run_for(HOUR * 2).await;
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
    let world = TestWorld::new();
    world.add_strangers(["zoe"]);
    let mut operator = TestOperator::start(&world);
    world.create(MAIN, TEAM, |spec| spec.prune = Prune::Authoritative);
    operator.run_for(HOUR * 3).await;
    assert_none_removed(&world, "");
    assert_eq!(world.ready_reason(MAIN), "NotGranted");
    assert!(world.cluster.status(MAIN).conditions[0].message.contains("--allow-authoritative"));
}

#[tokio::test(start_paused = true)]
async fn older_of_two_authoritative_resources_wins() {
    let (world, mut operator) = settled_team(Prune::Authoritative).await;
    world.create("a/newer", ["zoe"], |spec| spec.prune = Prune::Authoritative);
    operator.run_for(HOUR * 3).await;
    assert_none_removed(&world, "");
    assert_eq!(
        (world.ready_reason(MAIN), world.ready_reason("a/newer")),
        ("AllPresent".to_owned(), "OwnershipConflict".to_owned())
    );
    assert!(world.cluster.status("a/newer").conditions[0].message.contains(MAIN));
    assert!(world.members().contains("zoe"), "additions continue");
    world.add_strangers(["stranger"]);
    operator.run_for(HOUR * 3).await;
    assert_eq!(world.deletes(), ["stranger"]);
}

#[tokio::test(start_paused = true)]
async fn foreign_bot_stays_under_authoritative() {
    let (world, mut operator) = settled_team(Prune::Authoritative).await;
    world.add_strangers(["bot/helper", "zoe"]);
    operator.run_for(HOUR * 3).await;
    assert_eq!(world.deletes(), ["zoe"]);
    assert_eq!(world.keep_reason(MAIN, "bot/helper"), Some(KeepReason::Bot));
}

#[tokio::test(start_paused = true)]
async fn foreign_member_of_the_other_type_stays() {
    let (world, mut operator) = settled_team(Prune::Authoritative).await;
    world.add_strangers(["zoe"]);
    world.support().with(|channel| channel.members.insert(user("zoe"), crate::api::MembershipType::Hidden));
    operator.run_for(HOUR * 3).await;
    assert_none_removed(&world, "");
}

#[tokio::test(start_paused = true)]
async fn first_plan_over_the_limit_of_all_members_needs_approval() {
    for (strangers, removed) in [(1, 1), (2, 2), (3, 0)] {
        let world = TestWorld::new();
        world.add_strangers((0..strangers).map(|n| format!("s{n}")));
        tokio::time::sleep(HOUR).await;
        let mut operator = TestOperator::start_with(&world, permissive_options());
        world.create(MAIN, TEAM, |spec| spec.prune = Prune::Authoritative);
        operator.run_for(HOUR).await;
        assert_eq!(world.deletes().len(), removed, "{strangers} strangers beside five: a quarter is two");
    }
}

/// An elastic channel with the team in one sub-channel and a stranger in another.
fn elastic_world(spans: bool) -> TestWorld {
    let world = TestWorld::new();
    world.add_strangers(TEAM);
    world.add_strangers(["zoe"]);
    world.support().with(|channel| {
        (channel.elastic, channel.spans) = (true, spans);
        channel.sub_channels.insert("one".to_owned(), TEAM.iter().map(|id| user(id)).collect());
        channel.sub_channels.insert("two".to_owned(), [user("zoe")].into());
    });
    world
}

#[tokio::test(start_paused = true)]
async fn all_sub_channels_are_listed_before_a_removal() {
    for spans in [true, false] {
        let world = elastic_world(spans);
        tokio::time::sleep(HOUR).await;
        let mut operator = TestOperator::start_with(&world, permissive_options());
        world.create(MAIN, TEAM, |spec| spec.prune = Prune::Authoritative);
        operator.run_for(HOUR).await;
        assert_eq!(world.deletes(), ["zoe"], "{spans}");
        let made = world.support().with(|channel| channel.made.clone());
        let delete = made.iter().position(|made| made.operation == Operation::DeleteChannelMembership).unwrap();
        let walked = |id: &str| made[..delete].iter().any(|made| made.sub_channel.as_deref() == Some(id));
        assert!(walked("one") && walked("two"), "{spans}");
        assert_eq!(world.members().len(), TEAM.len(), "{spans}");
    }
}

#[tokio::test(start_paused = true)]
async fn elastic_channel_is_listed_by_sub_channel_after_a_refusal() {
    let world = elastic_world(false);
    world.support().with(|channel| {
        channel.faults.push_back(CallFault::Before(CallErrorClass::Refused, "BadRequest"));
    });
    let mut operator = TestOperator::start(&world);
    world.create(MAIN, TEAM, |_| ());
    operator.run_for(MINUTE).await;
    let status = world.cluster.status(MAIN);
    assert_eq!((status.conditions[0].reason.as_str(), status.present), ("AllPresent", u32::try_from(TEAM.len()).ok()));
}

#[tokio::test(start_paused = true)]
async fn no_member_is_removed_while_sub_channels_cannot_be_listed() {
    for spans in [true, false] {
        let world = elastic_world(spans);
        world.deny_operation(Operation::ListSubChannels);
        tokio::time::sleep(HOUR).await;
        let mut operator = TestOperator::start_with(&world, permissive_options());
        world.create(MAIN, TEAM, |spec| spec.prune = Prune::Authoritative);
        operator.run_for(HOUR * 3).await;
        assert_none_removed(&world, spans);
    }
}

#[tokio::test(start_paused = true)]
async fn change_to_authoritative_waits_for_two_listings() {
    let (world, mut operator) =
        settled_team_with(Options::with(|settings| settings.allow_authoritative = true), |_| {}).await;
    world.add_strangers(["zoe"]);
    operator.run_for(MINUTE * 30).await;
    world.cluster.edit(MAIN, |spec| spec.prune = Prune::Authoritative);
    operator.run_for(MINUTE).await;
    let listed = world.calls(Operation::ListChannelMemberships);
    assert_none_removed(&world, "no listing has shown zoe yet");
    operator.run_for(HOUR * 2).await;
    assert_eq!(world.deletes(), ["zoe"]);
    assert!(world.calls(Operation::ListChannelMemberships) >= listed + 2);
}

#[tokio::test(start_paused = true)]
async fn newer_authoritative_resource_takes_over_from_a_deleted_one() {
    let (world, mut operator) = settled_team(Prune::Authoritative).await;
    world.create("a/newer", TEAM, |spec| spec.prune = Prune::Authoritative);
    world.add_strangers(["zoe"]);
    operator.run_for(MINUTE).await;
    world.cluster.delete(MAIN);
    operator.run_for(HOUR * 3).await;
    assert_eq!((world.deletes(), &*world.ready_reason("a/newer")), (vec!["zoe".to_owned()], "AllPresent"));
}
