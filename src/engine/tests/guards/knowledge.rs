//! What must be known before anybody is removed.

use super::{CLAIMING, HOUR, MAIN, MINUTE, PRUNING, TEAM, WITHOUT_ERIN, all_stay, drop_erin, erin_left, team};
use crate::api::{ApprovalReason, ConfigMapKeyRef, Prune, SourceRef};
use crate::engine::store::StoreError;
use crate::engine::tests::cluster::Op;

fn source(name: &str, optional: bool) -> Vec<SourceRef> {
    let config_map_key_ref = ConfigMapKeyRef { name: name.to_owned(), key: "members.txt".to_owned(), optional };
    vec![SourceRef { config_map_key_ref }]
}

#[tokio::test(start_paused = true)]
async fn whom_another_resource_of_the_type_declares_stays() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.create("zoo/other", ["erin"], |_| {});
        drop_erin(&world, &mut operator).await;
        all_stay(&world, prune);
        assert_eq!(world.reason(MAIN), "AllPresent", "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_declaration_of_the_other_type_protects_nobody() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.create("zoo/other", ["erin"], |spec| spec.membership_type = crate::api::MembershipType::Hidden);
        drop_erin(&world, &mut operator).await;
        assert_eq!(world.deletes(), ["erin"], "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whom_another_resource_drops_as_well_is_removed() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.create("zoo/other", ["erin", "zoe"], |_| {});
        drop_erin(&world, &mut operator).await;
        all_stay(&world, prune);
        world.cluster.declare("zoo/other", ["zoe"]);
        operator.live(HOUR).await;
        erin_left(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sibling_whose_spec_cannot_be_read_stops_removals_in_its_channel() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.create("zoo/other", ["zoe"], |_| {});
        world.cluster.update("zoo/other", |object| object.unreadable = Some("invalid type".to_owned()));
        drop_erin(&world, &mut operator).await;
        all_stay(&world, prune);
        world.cluster.update("zoo/other", |object| object.unreadable = None);
        operator.restart().await;
        operator.live(HOUR).await;
        erin_left(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sibling_that_names_no_member_that_can_be_read_stops_removals_in_its_channel() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.create("zoo/other", ["not a member"], |_| {});
        drop_erin(&world, &mut operator).await;
        all_stay(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn a_suspended_or_observing_sibling_protects_its_people() {
    for prune in PRUNING {
        for suspend in [true, false] {
            let (world, mut operator) = team(prune).await;
            world.create("zoo/other", ["erin"], |spec| {
                spec.suspend = suspend;
                spec.mode = if suspend { crate::api::Mode::Enforce } else { crate::api::Mode::Observe };
            });
            drop_erin(&world, &mut operator).await;
            all_stay(&world, (prune, suspend));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_source_of_a_sibling_stops_removals_in_its_channel_optional_or_not() {
    for prune in PRUNING {
        for optional in [false, true] {
            let (world, mut operator) = team(prune).await;
            world.create("zoo/other", ["zoe"], |spec| spec.members_from = source("absent", optional));
            drop_erin(&world, &mut operator).await;
            all_stay(&world, (prune, optional));
            world.cluster.set_source("zoo/absent", "members.txt", "yann");
            operator.live(HOUR).await;
            erin_left(&world, (prune, optional));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_source_stops_removals_in_its_channel_and_not_additions() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.cluster.edit(MAIN, |spec| spec.members_from = source("on-call", false));
        world.cluster.close_source("care/on-call", "forbidden");
        world.cluster.declare(MAIN, WITHOUT_ERIN.iter().chain(&["frank"]));
        operator.live(HOUR * 3).await;
        all_stay(&world, prune);
        assert!(world.members().contains("frank"), "{prune:?}");
        assert_eq!(world.reason(MAIN), "SourceNotReady", "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_with_a_bad_line_stops_removals_and_says_which_and_not_what() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.cluster.set_source("care/on-call", "members.txt", "frank\nthe secret line\n");
        world.cluster.edit(MAIN, |spec| spec.members_from = source("on-call", false));
        drop_erin(&world, &mut operator).await;
        all_stay(&world, prune);
        let message = world.cluster.status(MAIN).conditions[0].message.clone();
        assert!(
            message.contains("on-call") && message.contains("members.txt") && message.contains("line 2"),
            "{message}"
        );
        assert!(!message.contains("secret"), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_source_of_a_resource_that_is_deleted_stops_nobody() {
    for prune in CLAIMING {
        let (world, mut operator) = team(prune).await;
        world.create("zoo/other", ["zoe"], |spec| {
            spec.members_from = source("absent", false);
            spec.prune = Prune::Owned;
            spec.deletion_policy = crate::api::DeletionPolicy::Delete;
        });
        operator.live(MINUTE).await;
        world.deny(crate::chime::port::Operation::DescribeChannelMembership);
        world.cluster.delete("zoo/other");
        operator.live(MINUTE).await;
        assert!(world.cluster.get("zoo/other").deleting_since.is_some(), "it waits");
        world.allow();
        drop_erin(&world, &mut operator).await;
        assert!(world.deletes().contains(&"erin".to_owned()), "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_field_that_is_not_known_stops_removals_and_says_so() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.cluster.update(MAIN, |object| object.unknown_field = Some("except".to_owned()));
        drop_erin(&world, &mut operator).await;
        all_stay(&world, prune);
        let message = &world.cluster.status(MAIN).conditions[0].message;
        assert!(message.contains("except"), "{prune:?}: {message}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_removed_while_the_cluster_cannot_be_asked_and_then_they_are() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        for _ in 0..100 {
            world.cluster.fail(Op::Read, StoreError::Unavailable("down".to_owned()));
        }
        world.cluster.declare(MAIN, WITHOUT_ERIN);
        operator.live(MINUTE * 5).await;
        all_stay(&world, prune);
        operator.live(HOUR).await;
        erin_left(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_declared_by_a_resource_that_vanished_waits_for_approval() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.create("zoo/other", ["erin", "zoe"], |_| {});
        drop_erin(&world, &mut operator).await;
        world.cluster.delete("zoo/other");
        operator.live(HOUR * 30).await;
        all_stay(&world, prune);
        let pending = world.cluster.status(MAIN).pending_approval.unwrap();
        assert!(pending.reasons.contains(&ApprovalReason::DeclarerGone), "{prune:?}: {:?}", pending.reasons);
        world.approve(MAIN);
        operator.live(HOUR).await;
        assert!(world.deletes().contains(&"erin".to_owned()), "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_vanished_while_no_operator_ran_is_missed_all_the_same() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.create("zoo/other", ["erin", "zoe"], |_| {});
        drop_erin(&world, &mut operator).await;
        operator.kill().await;
        world.cluster.delete("zoo/other");
        operator.restart().await;
        operator.live(HOUR * 30).await;
        all_stay(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_vanished_and_came_back_protects_again() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.create("zoo/other", ["erin", "zoe"], |_| {});
        drop_erin(&world, &mut operator).await;
        world.cluster.delete("zoo/other");
        operator.live(HOUR).await;
        world.create("zoo/other", ["erin", "zoe"], |_| {});
        operator.live(HOUR).await;
        all_stay(&world, prune);
        assert_eq!(
            (world.reason(MAIN), world.cluster.status(MAIN).pending_approval),
            ("AllPresent".to_owned(), None),
            "{prune:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn who_expires_is_removed_without_approval_though_nobody_is_left() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        let at = world.clock.now().checked_add(HOUR).unwrap();
        world.cluster.edit(MAIN, |spec| {
            spec.expires_at = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at));
            spec.limits.get_or_insert_default().removals = Some(crate::api::Tolerance::Percent(100));
        });
        operator.live(MINUTE * 59).await;
        all_stay(&world, prune);
        operator.live(MINUTE * 5).await;
        assert_eq!(world.deletes().len(), TEAM.len(), "{prune:?}: {}", world.reason(MAIN));
        assert_eq!(world.reason(MAIN), "AllPresent", "{prune:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whom_an_expired_resource_declared_stays_for_another() {
    for prune in PRUNING {
        let (world, mut operator) = team(prune).await;
        world.create("zoo/other", WITHOUT_ERIN, |_| {});
        let at = world.clock.now().checked_add(HOUR).unwrap();
        world.cluster.edit(MAIN, |spec| {
            spec.expires_at = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at));
        });
        operator.live(HOUR * 3).await;
        assert_eq!(world.deletes(), ["erin"], "{prune:?}: {}", world.reason(MAIN));
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_declared_with_two_types_is_the_older_resources_and_the_newer_one_says_so() {
    let (world, mut operator) = team(Prune::Owned).await;
    world.create("a/hidden", ["erin", "zoe"], |spec| {
        spec.prune = Prune::Owned;
        spec.membership_type = crate::api::MembershipType::Hidden;
    });
    operator.live(HOUR * 3).await;
    all_stay(&world, "");
    assert_eq!((&*world.reason(MAIN), &*world.reason("a/hidden")), ("AllPresent", "OwnershipConflict"));
    assert!(world.cluster.status("a/hidden").conditions[0].message.contains(MAIN));
    assert!(world.members_as(crate::api::MembershipType::Hidden).contains("zoe"));
}

#[tokio::test(start_paused = true)]
async fn a_missing_source_of_ones_own_stops_removals_and_an_optional_one_is_no_fault() {
    for prune in PRUNING {
        for (optional, reason) in [(false, "SourceNotReady"), (true, "Removing")] {
            let (world, mut operator) = team(prune).await;
            world.cluster.edit(MAIN, |spec| spec.members_from = source("absent", optional));
            drop_erin(&world, &mut operator).await;
            all_stay(&world, (prune, optional));
            assert_eq!(world.reason(MAIN), reason, "{prune:?}");
            world.cluster.set_source("care/absent", "members.txt", "");
            operator.live(HOUR).await;
            erin_left(&world, (prune, optional));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sibling_that_is_not_granted_what_it_asks_for_protects_its_people() {
    type Ask = fn(&mut crate::api::ChannelMembershipSpec);
    let asks: [Ask; 2] = [
        |spec| spec.prune = Prune::Authoritative,
        |spec| spec.chime_bearer = Some(crate::engine::tests::fake::user("other")),
    ];
    for prune in CLAIMING {
        for ask in asks {
            let (world, mut operator) = super::team_with(super::Options::default(), |spec| spec.prune = prune).await;
            world.create("zoo/other", ["erin"], ask);
            drop_erin(&world, &mut operator).await;
            assert_eq!(world.reason("zoo/other"), "NotGranted");
            all_stay(&world, prune);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_edit_of_another_resource_is_none_the_less_one_when_the_pass_that_saw_it_is_cut_short() {
    for millis in 0..60 {
        let (world, mut operator) = team(Prune::Owned).await;
        world.create("care/other", ["erin"], |_| {});
        world.cluster.declare(MAIN, WITHOUT_ERIN);
        operator.live(MINUTE * 5).await;
        all_stay(&world, millis);
        // One commit drops her from the one and edits the other, and the next comes at once.
        world.cluster.declare("care/other", ["alice"]);
        world.cluster.edit(MAIN, |spec| spec.resync_interval = Some("30m".parse().unwrap()));
        world.cluster.annotate(MAIN, crate::api::RECONCILE_REQUESTED_AT, "now");
        operator.live(MINUTE / 60_000 * millis).await;
        world.cluster.edit(MAIN, |spec| spec.resync_interval = Some("40m".parse().unwrap()));
        operator.live(HOUR).await;
        erin_left(&world, millis);
    }
}
