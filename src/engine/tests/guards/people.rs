//! People who are not removed because of who they are.

use super::{
    CLAIMING, HOUR, MAIN, MINUTE, PRUNING, TEAM, WITHOUT_ERIN, all_stay, drop_erin, erin_left, generous, team,
    team_with,
};
use crate::api::{KeepReason, Prune, Tolerance};
use crate::chime::port::Operation;
use crate::engine::tests::fake::user;
use crate::engine::tests::operator::{Operator, Options};
use crate::engine::tests::world::{World, arn};
use crate::membership::arn::MemberArn;

#[tokio::test(start_paused = true)]
async fn a_moderator_stays() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.support().with(|channel| channel.moderators.insert(user("erin")));
        drop_erin(&world, &mut operator).await;
        all_stay(&world, prune);
        assert_eq!(world.stays(MAIN, "erin"), Some(KeepReason::Moderator), "{prune:?}");
        assert_eq!(world.reason(MAIN), "AllPresent", "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn before_it_is_known_who_moderates_nobody_is_said_to_leave_for_certain() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.support().with(|channel| channel.moderators.insert(user("erin")));
        world.cluster.declare(MAIN, WITHOUT_ERIN);
        operator.live(MINUTE / 12).await;
        let message = world.cluster.status(MAIN).conditions[0].message.clone();
        assert!(message.contains("up to 1 to be removed: at the earliest 10 s"), "{prune:?}: {message}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_became_a_moderator_since_the_last_removal_stays() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.cluster.edit(MAIN, |spec| spec.limits.get_or_insert_default().removals = Some(Tolerance::Percent(100)));
        world.cluster.declare(MAIN, WITHOUT_ERIN);
        operator.live(MINUTE * 5).await;
        assert_eq!(world.deletes(), ["erin"], "{prune:?}");
        world.support().with(|channel| channel.moderators.insert(user("dave")));
        world.cluster.declare(MAIN, &WITHOUT_ERIN[..3]);
        operator.live(HOUR).await;
        assert_eq!(world.deletes(), ["erin"], "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_moderator_on_the_second_page_of_moderators_stays() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.support().with(|channel| {
            channel.moderators.extend((0..120).map(|n| user(&format!("a{n:03}"))));
            channel.moderators.insert(user("erin"));
        });
        drop_erin(&world, &mut operator).await;
        all_stay(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn the_creator_of_the_channel_stays() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.support().with(|channel| channel.creator = Some(user("erin")));
        drop_erin(&world, &mut operator).await;
        all_stay(&world, prune);
        assert_eq!(world.stays(MAIN, "erin"), Some(KeepReason::Creator), "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_removed_while_it_is_not_known_who_made_the_channel() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.support().with(|channel| channel.creator = None);
        drop_erin(&world, &mut operator).await;
        all_stay(&world, prune);
        assert!(world.cluster.status(MAIN).last_declared.is_none_or(|names| names.iter().any(|id| id == "erin")));
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_removed_while_the_moderators_cannot_be_listed() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.deny(Operation::ListChannelModerators);
        drop_erin(&world, &mut operator).await;
        all_stay(&world, prune);
        assert_eq!(world.reason(MAIN), "AccessDenied", "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_removed_whose_membership_cannot_be_looked_at() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.deny(Operation::DescribeChannelMembership);
        drop_erin(&world, &mut operator).await;
        all_stay(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn the_bearer_stays() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.cluster.declare(MAIN, TEAM.iter().chain(&["rollcall"]));
        operator.live(MINUTE * 15).await;
        world.cluster.declare(MAIN, TEAM);
        operator.live(HOUR * 3).await;
        all_stay(&world, prune);
        assert_eq!(world.stays(MAIN, "rollcall"), Some(KeepReason::Bearer), "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_bearer_of_another_resource_of_the_channel_stays() {
    for prune in PRUNING {
        let mut options = generous();
        options.settings.allow_bearer_override = true;
        let (world, mut operator) = team_with(options, |spec| spec.prune = prune).await;
        world.create("zoo/other", ["zoe"], |spec| spec.chime_bearer = Some(user("erin")));
        drop_erin(&world, &mut operator).await;
        all_stay(&world, prune);
        assert_eq!(world.stays(MAIN, "erin"), Some(KeepReason::Bearer), "{prune:?}");
    }
}

fn heirs_of_erin(prune: Prune) -> Options {
    Options::with(|settings| {
        settings.allow_authoritative = prune == Prune::Authoritative;
        settings.former_bearers = vec![MemberArn::parse(&user("erin")).unwrap()];
    })
}

#[tokio::test(start_paused = true)]
async fn a_former_bearer_stays() {
    for prune in PRUNING {
        let (world, mut operator) = team_with(heirs_of_erin(prune), |spec| spec.prune = prune).await;
        drop_erin(&world, &mut operator).await;
        all_stay(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn whom_a_former_bearer_added_is_ours_and_whom_somebody_else_added_is_not() {
    for (inviter, ours) in [("erin", true), ("somebody", false)] {
        let (world, mut operator) = team_with(heirs_of_erin(Prune::Owned), |spec| spec.prune = Prune::Owned).await;
        world.support().with(|channel| channel.invited_by.insert(user("dave"), user(inviter)));
        world.cluster.declare(MAIN, ["alice", "bob", "carol", "erin"]);
        operator.live(HOUR * 3).await;
        let removed: &[&str] = if ours { &["dave"] } else { &[] };
        assert_eq!(world.deletes(), removed, "{inviter}");
    }
}

/// The helper bot was declared and is not any more; somebody, or Rollcall, had added it.
async fn bot_is_dropped(prune: Prune, inviter: &str) -> World {
    let world = World::new();
    world.support().with(|channel| channel.join(&arn("bot/helper"), &user(inviter), world.clock.now()));
    let mut operator = Operator::start_with(&world, generous());
    world.create(MAIN, TEAM.iter().chain(&["bot/helper"]), |spec| spec.prune = prune);
    operator.live(MINUTE * 15).await;
    world.cluster.declare(MAIN, TEAM);
    operator.live(HOUR * 3).await;
    world
}

#[tokio::test(start_paused = true)]
async fn a_bot_that_somebody_added_stays() {
    for prune in PRUNING {
        all_stay(&bot_is_dropped(prune, "somebody").await, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bot_that_we_added_is_removed_by_whoever_declared_it() {
    for prune in PRUNING {
        assert_eq!(bot_is_dropped(prune, "rollcall").await.deletes(), ["bot/helper"], "{prune:?}");
    }
}

/// Zoe, whom somebody added, was declared and is not any more.
async fn stranger_is_dropped(prune: Prune) -> World {
    let world = World::new();
    world.strangers(["zoe"]);
    let mut operator = Operator::start_with(&world, generous());
    world.create(MAIN, TEAM.iter().chain(&["zoe"]), |spec| spec.prune = prune);
    operator.live(MINUTE * 15).await;
    world.cluster.declare(MAIN, TEAM);
    operator.live(HOUR * 3).await;
    world
}

#[tokio::test(start_paused = true)]
async fn whom_somebody_else_added_stays_as_owned_and_is_not_claimed_any_more() {
    let world = stranger_is_dropped(Prune::Owned).await;
    all_stay(&world, "");
    assert_eq!(world.stays(MAIN, "zoe"), Some(KeepReason::NotOwned));
    let claims = world.cluster.status(MAIN).last_declared.unwrap();
    assert_eq!(claims.iter().collect::<Vec<_>>(), TEAM, "a later change to Declared does not take her in");
}

#[tokio::test(start_paused = true)]
async fn whom_somebody_else_added_is_removed_by_the_resource_that_declared_them_if_it_asks_for_that() {
    assert_eq!(stranger_is_dropped(Prune::Declared).await.deletes(), ["zoe"]);
}

#[tokio::test(start_paused = true)]
async fn who_was_never_declared_stays() {
    for prune in CLAIMING {
        let (world, mut operator) = team(prune).await;
        world.strangers(["zoe"]);
        operator.live(HOUR * 50).await;
        all_stay(&world, prune);
        assert_eq!(world.stays(MAIN, "zoe"), Some(KeepReason::NotOwned), "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_differs_from_a_declared_member_in_case_only_stays() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.cluster.declare(MAIN, ["alice", "bob", "carol", "dave", "Erin"]);
        operator.live(HOUR * 3).await;
        all_stay(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn a_moderator_or_bearer_who_is_spelt_in_another_case_stays() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.support().with(|channel| channel.moderators.insert(user("ERIN")));
        drop_erin(&world, &mut operator).await;
        all_stay(&world, prune);
    }
}

/// Just before the last look at erin she has left, and somebody else added her again.
async fn erin_is_added_anew_by_somebody(prune: Prune) -> World {
    let (world, mut operator) = team(prune).await;
    let (fake, clock) = (world.support(), world.clock);
    world.meanwhile(move |operation| {
        if operation == Operation::DescribeChannelMembership {
            fake.with(|channel| channel.join(&user("erin"), &user("somebody"), clock.now()));
        }
    });
    drop_erin(&world, &mut operator).await;
    world
}

#[tokio::test(start_paused = true)]
async fn who_was_added_anew_by_somebody_else_since_they_were_listed_stays() {
    for prune in CLAIMING {
        all_stay(&erin_is_added_anew_by_somebody(prune).await, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_the_other_type_since_they_were_listed_stays() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        let fake = world.support();
        world.meanwhile(move |operation| {
            if operation == Operation::DescribeChannelMembership {
                fake.with(|channel| channel.members.insert(user("erin"), crate::api::MembershipType::Hidden));
            }
        });
        drop_erin(&world, &mut operator).await;
        all_stay(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn a_protection_that_ends_ends_when_the_spec_changes() {
    let (world, mut operator) = team(Prune::Owned).await;
    world.support().with(|channel| channel.moderators.insert(user("erin")));
    drop_erin(&world, &mut operator).await;
    all_stay(&world, "");
    world.support().with(|channel| channel.moderators.clear());
    world.cluster.declare(MAIN, WITHOUT_ERIN.iter().chain(&["frank"]));
    operator.live(HOUR).await;
    erin_left(&world, "");
}
