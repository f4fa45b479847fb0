//! Members that are protected for what they are: moderators, bearers, bots, members of others.

use super::{
    HOUR, MAIN, MINUTE, TEAM, WITHOUT_ERIN, assert_erin_removed, assert_none_removed, permissive_options, settled_team,
    settled_team_with, undeclare_erin,
};
use crate::api::{KeepReason, Prune, Tolerance};
use crate::chime::port::Operation;
use crate::engine::tests::fake::user;
use crate::engine::tests::operator::{Options, TestOperator};
use crate::engine::tests::world::{TestWorld, arn};
use crate::membership::arn::MemberArn;

for_each_prune!(moderator_stays in [Owned, Declared, Authoritative]);
async fn moderator_stays(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.support().with(|channel| channel.moderators.insert(user("erin")));
    undeclare_erin(&world, &mut operator).await;
    assert_none_removed(&world, prune);
    assert_eq!(world.keep_reason(MAIN, "erin"), Some(KeepReason::Moderator));
    assert_eq!(world.ready_reason(MAIN), "AllPresent");
}

for_each_prune!(status_promises_no_removal_before_moderators_are_listed in [Owned, Declared, Authoritative]);
async fn status_promises_no_removal_before_moderators_are_listed(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.support().with(|channel| channel.moderators.insert(user("erin")));
    world.cluster.declare(MAIN, WITHOUT_ERIN);
    operator.run_for(MINUTE / 12).await;
    let message = world.cluster.status(MAIN).conditions[0].message.clone();
    assert!(message.contains("up to 1 to be removed: at the earliest 10 s"), "{message}");
}

for_each_prune!(member_who_became_a_moderator_since_the_last_removal_stays in [Owned, Declared, Authoritative]);
async fn member_who_became_a_moderator_since_the_last_removal_stays(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.cluster.edit(MAIN, |spec| spec.limits.get_or_insert_default().removals = Some(Tolerance::Percent(100)));
    world.cluster.declare(MAIN, WITHOUT_ERIN);
    operator.run_for(MINUTE * 5).await;
    assert_eq!(world.deletes(), ["erin"]);
    world.support().with(|channel| channel.moderators.insert(user("dave")));
    world.cluster.declare(MAIN, &WITHOUT_ERIN[..3]);
    operator.run_for(HOUR).await;
    assert_eq!(world.deletes(), ["erin"]);
}

for_each_prune!(moderator_on_the_second_page_of_moderators_stays in [Owned, Declared, Authoritative]);
async fn moderator_on_the_second_page_of_moderators_stays(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.support().with(|channel| {
        channel.moderators.extend((0..120).map(|n| user(&format!("a{n:03}"))));
        channel.moderators.insert(user("erin"));
    });
    undeclare_erin(&world, &mut operator).await;
    assert_none_removed(&world, prune);
}

for_each_prune!(creator_of_the_channel_stays in [Owned, Declared, Authoritative]);
async fn creator_of_the_channel_stays(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.support().with(|channel| channel.creator = Some(user("erin")));
    undeclare_erin(&world, &mut operator).await;
    assert_none_removed(&world, prune);
    assert_eq!(world.keep_reason(MAIN, "erin"), Some(KeepReason::Creator));
}

for_each_prune!(no_member_is_removed_while_the_creator_is_unknown in [Owned, Declared, Authoritative]);
async fn no_member_is_removed_while_the_creator_is_unknown(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.support().with(|channel| channel.creator = None);
    undeclare_erin(&world, &mut operator).await;
    assert_none_removed(&world, prune);
    assert!(world.cluster.status(MAIN).last_declared.is_none_or(|names| names.iter().any(|id| id == "erin")));
}

for_each_prune!(no_member_is_removed_while_moderators_cannot_be_listed in [Owned, Declared, Authoritative]);
async fn no_member_is_removed_while_moderators_cannot_be_listed(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.deny_operation(Operation::ListChannelModerators);
    undeclare_erin(&world, &mut operator).await;
    assert_none_removed(&world, prune);
    assert_eq!(world.ready_reason(MAIN), "AccessDenied");
}

for_each_prune!(no_member_is_removed_while_it_cannot_be_described in [Owned, Declared, Authoritative]);
async fn no_member_is_removed_while_it_cannot_be_described(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.deny_operation(Operation::DescribeChannelMembership);
    undeclare_erin(&world, &mut operator).await;
    assert_none_removed(&world, prune);
}

for_each_prune!(bearer_stays in [Owned, Declared, Authoritative]);
async fn bearer_stays(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.cluster.declare(MAIN, TEAM.iter().chain(&["rollcall"]));
    operator.run_for(MINUTE * 15).await;
    world.cluster.declare(MAIN, TEAM);
    operator.run_for(HOUR * 3).await;
    assert_none_removed(&world, prune);
    assert_eq!(world.keep_reason(MAIN, "rollcall"), Some(KeepReason::Bearer));
}

for_each_prune!(bearer_of_another_resource_of_the_channel_stays in [Owned, Declared, Authoritative]);
async fn bearer_of_another_resource_of_the_channel_stays(prune: Prune) {
    let mut options = permissive_options();
    options.settings.allow_bearer_override = true;
    let (world, mut operator) = settled_team_with(options, |spec| spec.prune = prune).await;
    world.create("zoo/other", ["zoe"], |spec| spec.chime_bearer = Some(user("erin")));
    undeclare_erin(&world, &mut operator).await;
    assert_none_removed(&world, prune);
    assert_eq!(world.keep_reason(MAIN, "erin"), Some(KeepReason::Bearer));
}

fn former_bearer_options(prune: Prune) -> Options {
    Options::with(|settings| {
        settings.allow_authoritative = prune == Prune::Authoritative;
        settings.former_bearers = vec![MemberArn::parse(&user("erin")).unwrap()];
    })
}

for_each_prune!(former_bearer_stays in [Owned, Declared, Authoritative]);
async fn former_bearer_stays(prune: Prune) {
    let (world, mut operator) = settled_team_with(former_bearer_options(prune), |spec| spec.prune = prune).await;
    undeclare_erin(&world, &mut operator).await;
    assert_none_removed(&world, prune);
}

#[tokio::test(start_paused = true)]
async fn member_added_by_a_former_bearer_is_owned() {
    for (inviter, ours) in [("erin", true), ("somebody", false)] {
        let (world, mut operator) =
            settled_team_with(former_bearer_options(Prune::Owned), |spec| spec.prune = Prune::Owned).await;
        world.support().with(|channel| channel.invited_by.insert(user("dave"), user(inviter)));
        world.cluster.declare(MAIN, ["alice", "bob", "carol", "erin"]);
        operator.run_for(HOUR * 3).await;
        let removed: &[&str] = if ours { &["dave"] } else { &[] };
        assert_eq!(world.deletes(), removed, "{inviter}");
    }
}

/// The helper bot is declared and then undeclared. `inviter` had added it.
async fn bot_is_dropped(prune: Prune, inviter: &str) -> TestWorld {
    let world = TestWorld::new();
    world.support().with(|channel| channel.join(&arn("bot/helper"), &user(inviter), world.clock.now()));
    let mut operator = TestOperator::start_with(&world, permissive_options());
    world.create(MAIN, TEAM.iter().chain(&["bot/helper"]), |spec| spec.prune = prune);
    operator.run_for(MINUTE * 15).await;
    world.cluster.declare(MAIN, TEAM);
    operator.run_for(HOUR * 3).await;
    world
}

for_each_prune!(bot_added_by_another_user_stays in [Owned, Declared, Authoritative]);
async fn bot_added_by_another_user_stays(prune: Prune) {
    assert_none_removed(&bot_is_dropped(prune, "somebody").await, prune);
}

for_each_prune!(own_bot_is_removed_when_undeclared in [Owned, Declared, Authoritative]);
async fn own_bot_is_removed_when_undeclared(prune: Prune) {
    assert_eq!(bot_is_dropped(prune, "rollcall").await.deletes(), ["bot/helper"]);
}

/// Zoe, added by another user, is declared and then undeclared.
async fn stranger_is_dropped(prune: Prune) -> TestWorld {
    let world = TestWorld::new();
    world.add_strangers(["zoe"]);
    let mut operator = TestOperator::start_with(&world, permissive_options());
    world.create(MAIN, TEAM.iter().chain(&["zoe"]), |spec| spec.prune = prune);
    operator.run_for(MINUTE * 15).await;
    world.cluster.declare(MAIN, TEAM);
    operator.run_for(HOUR * 3).await;
    world
}

#[tokio::test(start_paused = true)]
async fn foreign_member_stays_under_owned_and_is_released() {
    let world = stranger_is_dropped(Prune::Owned).await;
    assert_none_removed(&world, "");
    assert_eq!(world.keep_reason(MAIN, "zoe"), Some(KeepReason::NotOwned));
    let owned = world.cluster.status(MAIN).last_declared.unwrap();
    assert_eq!(owned.iter().collect::<Vec<_>>(), TEAM, "a later change to Declared does not own zoe");
}

#[tokio::test(start_paused = true)]
async fn foreign_member_is_removed_under_declared() {
    assert_eq!(stranger_is_dropped(Prune::Declared).await.deletes(), ["zoe"]);
}

for_each_prune!(never_declared_member_stays in [Owned, Declared]);
async fn never_declared_member_stays(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.add_strangers(["zoe"]);
    operator.run_for(HOUR * 50).await;
    assert_none_removed(&world, prune);
    assert_eq!(world.keep_reason(MAIN, "zoe"), Some(KeepReason::NotOwned));
}

for_each_prune!(case_variant_of_a_declared_member_stays in [Owned, Declared, Authoritative]);
async fn case_variant_of_a_declared_member_stays(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.cluster.declare(MAIN, ["alice", "bob", "carol", "dave", "Erin"]);
    operator.run_for(HOUR * 3).await;
    assert_none_removed(&world, prune);
}

for_each_prune!(case_variant_of_a_moderator_stays in [Owned, Declared, Authoritative]);
async fn case_variant_of_a_moderator_stays(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.support().with(|channel| channel.moderators.insert(user("ERIN")));
    undeclare_erin(&world, &mut operator).await;
    assert_none_removed(&world, prune);
}

/// Just before the describe call, erin leaves and another user adds her again.
async fn erin_is_added_again_by_another_user(prune: Prune) -> TestWorld {
    let (world, mut operator) = settled_team(prune).await;
    let (fake, clock) = (world.support(), world.clock);
    world.before_each_call(move |operation| {
        if operation == Operation::DescribeChannelMembership {
            fake.with(|channel| channel.join(&user("erin"), &user("somebody"), clock.now()));
        }
    });
    undeclare_erin(&world, &mut operator).await;
    world
}

for_each_prune!(member_added_again_by_another_user_stays in [Owned, Declared]);
async fn member_added_again_by_another_user_stays(prune: Prune) {
    assert_none_removed(&erin_is_added_again_by_another_user(prune).await, prune);
}

for_each_prune!(member_whose_type_changed_since_the_listing_stays in [Owned, Declared, Authoritative]);
async fn member_whose_type_changed_since_the_listing_stays(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    let fake = world.support();
    world.before_each_call(move |operation| {
        if operation == Operation::DescribeChannelMembership {
            fake.with(|channel| channel.members.insert(user("erin"), crate::api::MembershipType::Hidden));
        }
    });
    undeclare_erin(&world, &mut operator).await;
    assert_none_removed(&world, prune);
}

#[tokio::test(start_paused = true)]
async fn ended_protection_takes_effect_at_the_next_edit() {
    let (world, mut operator) = settled_team(Prune::Owned).await;
    world.support().with(|channel| channel.moderators.insert(user("erin")));
    undeclare_erin(&world, &mut operator).await;
    assert_none_removed(&world, "");
    world.support().with(|channel| channel.moderators.clear());
    world.cluster.declare(MAIN, WITHOUT_ERIN.iter().chain(&["frank"]));
    operator.run_for(HOUR).await;
    assert_erin_removed(&world, "");
}
