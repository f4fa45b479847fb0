//! Facts that must be known before a removal.

use super::{
    HOUR, MAIN, MINUTE, TEAM, WITHOUT_ERIN, assert_erin_removed, assert_none_removed, settled_team, undeclare_erin,
};
use crate::api::{ApprovalReason, ConfigMapKeyRef, Prune, SourceRef};
use crate::engine::store::StoreError;
use crate::engine::tests::cluster::StoreOperation;

fn config_map_source(name: &str, optional: bool) -> Vec<SourceRef> {
    let config_map_key_ref = ConfigMapKeyRef { name: name.to_owned(), key: "members.txt".to_owned(), optional };
    vec![SourceRef { config_map_key_ref }]
}

for_each_prune!(member_declared_by_another_resource_stays in [Owned, Declared, Authoritative]);
async fn member_declared_by_another_resource_stays(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.create("zoo/other", ["erin"], |_| {});
    undeclare_erin(&world, &mut operator).await;
    assert_none_removed(&world, prune);
    assert_eq!(world.ready_reason(MAIN), "AllPresent");
}

for_each_prune!(resource_of_the_other_type_protects_no_member in [Owned, Declared, Authoritative]);
async fn resource_of_the_other_type_protects_no_member(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.create("zoo/other", ["erin"], |spec| spec.membership_type = crate::api::MembershipType::Hidden);
    undeclare_erin(&world, &mut operator).await;
    assert_eq!(world.deletes(), ["erin"]);
}

for_each_prune!(member_undeclared_by_all_resources_is_removed in [Owned, Declared, Authoritative]);
async fn member_undeclared_by_all_resources_is_removed(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.create("zoo/other", ["erin", "zoe"], |_| {});
    undeclare_erin(&world, &mut operator).await;
    assert_none_removed(&world, prune);
    world.cluster.declare("zoo/other", ["zoe"]);
    operator.run_for(HOUR).await;
    assert_erin_removed(&world, prune);
}

for_each_prune!(unreadable_spec_stops_removals_in_its_channel in [Owned, Declared, Authoritative]);
async fn unreadable_spec_stops_removals_in_its_channel(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.create("zoo/other", ["zoe"], |_| {});
    world.cluster.update("zoo/other", |object| object.unreadable = Some("invalid type".to_owned()));
    undeclare_erin(&world, &mut operator).await;
    assert_none_removed(&world, prune);
    world.cluster.update("zoo/other", |object| object.unreadable = None);
    operator.restart().await;
    operator.run_for(HOUR).await;
    assert_erin_removed(&world, prune);
}

for_each_prune!(invalid_member_of_another_resource_stops_removals in [Owned, Declared, Authoritative]);
async fn invalid_member_of_another_resource_stops_removals(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.create("zoo/other", ["not a member"], |_| {});
    undeclare_erin(&world, &mut operator).await;
    assert_none_removed(&world, prune);
}

for_each_prune!(suspended_or_observing_resource_protects_its_members in [Owned, Declared, Authoritative]);
async fn suspended_or_observing_resource_protects_its_members(prune: Prune) {
    for suspend in [true, false] {
        let (world, mut operator) = settled_team(prune).await;
        world.create("zoo/other", ["erin"], |spec| {
            spec.suspend = suspend;
            spec.mode = if suspend { crate::api::Mode::Enforce } else { crate::api::Mode::Observe };
        });
        undeclare_erin(&world, &mut operator).await;
        assert_none_removed(&world, (prune, suspend));
    }
}

for_each_prune!(missing_source_of_another_resource_stops_removals in [Owned, Declared, Authoritative]);
async fn missing_source_of_another_resource_stops_removals(prune: Prune) {
    for optional in [false, true] {
        let (world, mut operator) = settled_team(prune).await;
        world.create("zoo/other", ["zoe"], |spec| spec.members_from = config_map_source("absent", optional));
        undeclare_erin(&world, &mut operator).await;
        assert_none_removed(&world, (prune, optional));
        world.cluster.set_source("zoo/absent", "members.txt", "yann");
        operator.run_for(HOUR).await;
        assert_erin_removed(&world, (prune, optional));
    }
}

for_each_prune!(unreadable_source_stops_removals_and_not_additions in [Owned, Declared, Authoritative]);
async fn unreadable_source_stops_removals_and_not_additions(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.cluster.edit(MAIN, |spec| spec.members_from = config_map_source("on-call", false));
    world.cluster.make_source_unreadable("care/on-call", "forbidden");
    world.cluster.declare(MAIN, WITHOUT_ERIN.iter().chain(&["frank"]));
    operator.run_for(HOUR * 3).await;
    assert_none_removed(&world, prune);
    assert!(world.members().contains("frank"));
    assert_eq!(world.ready_reason(MAIN), "SourceNotReady");
}

for_each_prune!(invalid_source_line_stops_removals_and_is_named_by_number in [Owned, Declared, Authoritative]);
async fn invalid_source_line_stops_removals_and_is_named_by_number(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.cluster.set_source("care/on-call", "members.txt", "frank\nthe secret line\n");
    world.cluster.edit(MAIN, |spec| spec.members_from = config_map_source("on-call", false));
    undeclare_erin(&world, &mut operator).await;
    assert_none_removed(&world, prune);
    let message = world.cluster.status(MAIN).conditions[0].message.clone();
    assert!(message.contains("on-call") && message.contains("members.txt") && message.contains("line 2"), "{message}");
    assert!(!message.contains("secret"), "{message}");
}

for_each_prune!(missing_source_of_a_deleted_resource_stops_no_removal in [Owned, Declared]);
async fn missing_source_of_a_deleted_resource_stops_no_removal(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.create("zoo/other", ["zoe"], |spec| {
        spec.members_from = config_map_source("absent", false);
        spec.prune = Prune::Owned;
        spec.deletion_policy = crate::api::DeletionPolicy::Delete;
    });
    operator.run_for(MINUTE).await;
    world.deny_operation(crate::chime::port::Operation::DescribeChannelMembership);
    world.cluster.delete("zoo/other");
    operator.run_for(MINUTE).await;
    assert!(world.cluster.get("zoo/other").deleting_since.is_some(), "the deletion waits");
    world.allow_calls();
    undeclare_erin(&world, &mut operator).await;
    assert!(world.deletes().contains(&"erin".to_owned()));
}

for_each_prune!(unknown_field_stops_removals_and_is_named in [Owned, Declared, Authoritative]);
async fn unknown_field_stops_removals_and_is_named(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.cluster.update(MAIN, |object| object.unknown_field = Some("except".to_owned()));
    undeclare_erin(&world, &mut operator).await;
    assert_none_removed(&world, prune);
    let message = &world.cluster.status(MAIN).conditions[0].message;
    assert!(message.contains("except"), "{message}");
}

for_each_prune!(removal_waits_until_the_cluster_can_be_read in [Owned, Declared, Authoritative]);
async fn removal_waits_until_the_cluster_can_be_read(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    for _ in 0..100 {
        world.cluster.fail_next(StoreOperation::Read, StoreError::Unavailable("down".to_owned()));
    }
    world.cluster.declare(MAIN, WITHOUT_ERIN);
    operator.run_for(MINUTE * 5).await;
    assert_none_removed(&world, prune);
    operator.run_for(HOUR).await;
    assert_erin_removed(&world, prune);
}

for_each_prune!(removal_needs_approval_after_the_declarer_vanished in [Owned, Declared, Authoritative]);
async fn removal_needs_approval_after_the_declarer_vanished(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.create("zoo/other", ["erin", "zoe"], |_| {});
    undeclare_erin(&world, &mut operator).await;
    world.cluster.delete("zoo/other");
    operator.run_for(HOUR * 30).await;
    assert_none_removed(&world, prune);
    let pending = world.cluster.status(MAIN).pending_approval.unwrap();
    assert!(pending.reasons.contains(&ApprovalReason::DeclarerGone), "{:?}", pending.reasons);
    world.approve_plan(MAIN);
    operator.run_for(HOUR).await;
    assert!(world.deletes().contains(&"erin".to_owned()));
}

for_each_prune!(declarer_that_vanished_without_an_operator_blocks_removals in [Owned, Declared, Authoritative]);
async fn declarer_that_vanished_without_an_operator_blocks_removals(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.create("zoo/other", ["erin", "zoe"], |_| {});
    undeclare_erin(&world, &mut operator).await;
    operator.kill().await;
    world.cluster.delete("zoo/other");
    operator.restart().await;
    operator.run_for(HOUR * 30).await;
    assert_none_removed(&world, prune);
}

for_each_prune!(recreated_resource_protects_its_members_again in [Owned, Declared, Authoritative]);
async fn recreated_resource_protects_its_members_again(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.create("zoo/other", ["erin", "zoe"], |_| {});
    undeclare_erin(&world, &mut operator).await;
    world.cluster.delete("zoo/other");
    operator.run_for(HOUR).await;
    world.create("zoo/other", ["erin", "zoe"], |_| {});
    operator.run_for(HOUR).await;
    assert_none_removed(&world, prune);
    assert_eq!(
        (world.ready_reason(MAIN), world.cluster.status(MAIN).pending_approval),
        ("AllPresent".to_owned(), None)
    );
}

for_each_prune!(expired_members_are_removed_without_approval in [Owned, Declared, Authoritative]);
async fn expired_members_are_removed_without_approval(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    let at = world.clock.now().checked_add(HOUR).unwrap();
    world.cluster.edit(MAIN, |spec| {
        spec.expires_at = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at));
        spec.limits.get_or_insert_default().removals = Some(crate::api::Tolerance::Percent(100));
    });
    operator.run_for(MINUTE * 59).await;
    assert_none_removed(&world, prune);
    operator.run_for(MINUTE * 5).await;
    assert_eq!(world.deletes().len(), TEAM.len(), "{}", world.ready_reason(MAIN));
    assert_eq!(world.ready_reason(MAIN), "AllPresent");
}

for_each_prune!(member_of_an_expired_resource_stays_for_another in [Owned, Declared, Authoritative]);
async fn member_of_an_expired_resource_stays_for_another(prune: Prune) {
    let (world, mut operator) = settled_team(prune).await;
    world.create("zoo/other", WITHOUT_ERIN, |_| {});
    let at = world.clock.now().checked_add(HOUR).unwrap();
    world.cluster.edit(MAIN, |spec| {
        spec.expires_at = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at));
    });
    operator.run_for(HOUR * 3).await;
    assert_eq!(world.deletes(), ["erin"], "{}", world.ready_reason(MAIN));
}

#[tokio::test(start_paused = true)]
async fn newer_resource_reports_a_type_conflict_with_an_older_one() {
    let (world, mut operator) = settled_team(Prune::Owned).await;
    world.create("a/hidden", ["erin", "zoe"], |spec| {
        spec.prune = Prune::Owned;
        spec.membership_type = crate::api::MembershipType::Hidden;
    });
    operator.run_for(HOUR * 3).await;
    assert_none_removed(&world, "");
    assert_eq!((&*world.ready_reason(MAIN), &*world.ready_reason("a/hidden")), ("AllPresent", "OwnershipConflict"));
    assert!(world.cluster.status("a/hidden").conditions[0].message.contains(MAIN));
    assert!(world.members_as(crate::api::MembershipType::Hidden).contains("zoe"));
}

for_each_prune!(missing_own_source_stops_removals_even_when_optional in [Owned, Declared, Authoritative]);
async fn missing_own_source_stops_removals_even_when_optional(prune: Prune) {
    for (optional, reason) in [(false, "SourceNotReady"), (true, "Removing")] {
        let (world, mut operator) = settled_team(prune).await;
        world.cluster.edit(MAIN, |spec| spec.members_from = config_map_source("absent", optional));
        undeclare_erin(&world, &mut operator).await;
        assert_none_removed(&world, (prune, optional));
        assert_eq!(world.ready_reason(MAIN), reason);
        world.cluster.set_source("care/absent", "members.txt", "");
        operator.run_for(HOUR).await;
        assert_erin_removed(&world, (prune, optional));
    }
}

for_each_prune!(resource_with_a_denied_request_protects_its_members in [Owned, Declared]);
async fn resource_with_a_denied_request_protects_its_members(prune: Prune) {
    type Ask = fn(&mut crate::api::ChannelMembershipSpec);
    let asks: [Ask; 2] = [
        |spec| spec.prune = Prune::Authoritative,
        |spec| spec.chime_bearer = Some(crate::engine::tests::fake::user("other")),
    ];
    for ask in asks {
        let (world, mut operator) =
            super::settled_team_with(super::Options::default(), |spec| spec.prune = prune).await;
        world.create("zoo/other", ["erin"], ask);
        undeclare_erin(&world, &mut operator).await;
        assert_eq!(world.ready_reason("zoo/other"), "NotGranted");
        assert_none_removed(&world, prune);
    }
}

#[tokio::test(start_paused = true)]
async fn edit_is_not_taken_for_a_deletion_after_a_cancelled_reconcile() {
    for millis in 0..60 {
        let (world, mut operator) = settled_team(Prune::Owned).await;
        world.create("care/other", ["erin"], |_| {});
        world.cluster.declare(MAIN, WITHOUT_ERIN);
        operator.run_for(MINUTE * 5).await;
        assert_none_removed(&world, millis);
        // One commit undeclares erin in one resource and edits the other. The next commit follows
        // at once.
        world.cluster.declare("care/other", ["alice"]);
        world.cluster.edit(MAIN, |spec| spec.resync_interval = Some("30m".parse().unwrap()));
        world.cluster.annotate(MAIN, crate::api::RECONCILE_REQUESTED_AT, "now");
        operator.run_for(MINUTE / 60_000 * millis).await;
        world.cluster.edit(MAIN, |spec| spec.resync_interval = Some("40m".parse().unwrap()));
        operator.run_for(HOUR).await;
        assert_erin_removed(&world, millis);
    }
}
