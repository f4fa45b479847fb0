//! Plans that need approval, and the effect of an approval.

use super::{HOUR, MAIN, MINUTE, assert_none_removed, permissive_options};
use crate::api::{APPROVE, ApprovalReason, Prune};
use crate::engine::tests::fake::users;
use crate::engine::tests::operator::{Options, TestOperator};
use crate::engine::tests::world::TestWorld;
use crate::membership::approval::{MAX_APPROVAL_MEMBERS, hash};

/// Twenty members are declared, and all but `left` are undeclared at once.
async fn awaiting_approval(prune: Prune, left: usize) -> (TestWorld, TestOperator) {
    awaiting_approval_with(permissive_options(), prune, left).await
}

async fn awaiting_approval_with(options: Options, prune: Prune, left: usize) -> (TestWorld, TestOperator) {
    let world = TestWorld::new();
    let mut operator = TestOperator::start_with(&world, options);
    world.create(MAIN, users(20), |spec| spec.prune = prune);
    operator.run_for(MINUTE * 30).await;
    world.cluster.declare(MAIN, users(left));
    operator.run_for(MINUTE * 10).await;
    assert_eq!(world.ready_reason(MAIN), "ApprovalRequired", "{prune:?}");
    assert_none_removed(&world, prune);
    (world, operator)
}

fn event_notes(world: &TestWorld) -> Vec<String> {
    world.cluster.events(MAIN).into_iter().map(|event| event.note).collect()
}

for_each_prune!(approved_plan_is_carried_out_and_published_twice in [Owned, Declared, Authoritative]);
async fn approved_plan_is_carried_out_and_published_twice(prune: Prune) {
    let (world, mut operator) = awaiting_approval(prune, 5).await;
    let hash = world.approve_plan(MAIN);
    operator.run_for(HOUR).await;
    let mut removed = world.deletes();
    removed.sort();
    assert_eq!(removed, users(20)[5..]);
    assert_eq!(world.ready_reason(MAIN), "AllPresent");
    assert_eq!(world.cluster.status(MAIN).pending_approval, None);
    let told = event_notes(&world);
    assert_eq!(told.iter().filter(|note| note.contains(&hash)).count(), 2, "{told:#?}");
}

for_each_prune!(approved_removals_are_never_reported_as_additions in [Owned, Declared, Authoritative]);
async fn approved_removals_are_never_reported_as_additions(prune: Prune) {
    let (world, mut operator) = awaiting_approval(prune, 5).await;
    world.approve_plan(MAIN);
    let mut reasons = Vec::new();
    while world.ready_reason(MAIN) != "AllPresent" {
        reasons.push(world.ready_reason(MAIN));
        // Shorter than any call of the operator, so that no status is missed.
        operator.run_for(MINUTE / 60_000).await;
        assert!(reasons.len() < 3_600_000, "the removals end within an hour");
    }
    reasons.dedup();
    assert_eq!(reasons, ["ApprovalRequired", "Removing"]);
}

for_each_prune!(wrong_hash_approves_nothing in [Owned, Declared, Authoritative]);
async fn wrong_hash_approves_nothing(prune: Prune) {
    let (world, mut operator) = awaiting_approval(prune, 5).await;
    for wrong in ["", "true", "yes", "0000000000000000"] {
        world.cluster.annotate(MAIN, APPROVE, wrong);
        operator.run_for(HOUR).await;
    }
    assert_none_removed(&world, prune);
    assert_eq!(world.ready_reason(MAIN), "ApprovalRequired");
}

for_each_prune!(changed_plan_needs_a_new_approval in [Owned, Declared, Authoritative]);
async fn changed_plan_needs_a_new_approval(prune: Prune) {
    let (world, mut operator) = awaiting_approval(prune, 5).await;
    let old = world.cluster.status(MAIN).pending_approval.unwrap().hash;
    world.cluster.declare(MAIN, users(4));
    operator.run_for(MINUTE).await;
    assert_ne!(world.cluster.status(MAIN).pending_approval.unwrap().hash, old);
    world.cluster.annotate(MAIN, APPROVE, &old);
    operator.run_for(HOUR).await;
    assert_none_removed(&world, prune);
    world.approve_plan(MAIN);
    operator.run_for(HOUR).await;
    assert_eq!(world.deletes().len(), 16);
}

for_each_prune!(approval_from_before_an_edit_is_ignored in [Owned, Declared, Authoritative]);
async fn approval_from_before_an_edit_is_ignored(prune: Prune) {
    let (world, mut operator) = awaiting_approval(prune, 5).await;
    world.approve_plan(MAIN);
    world.cluster.declare(MAIN, users(3));
    operator.run_for(HOUR).await;
    assert_none_removed(&world, prune);
    assert_eq!(world.ready_reason(MAIN), "ApprovalRequired");
}

for_each_prune!(approval_from_before_the_plan_is_ignored in [Owned, Declared, Authoritative]);
async fn approval_from_before_the_plan_is_ignored(prune: Prune) {
    let world = TestWorld::new();
    let mut operator = TestOperator::start_with(&world, permissive_options());
    world.create(MAIN, users(20), |spec| spec.prune = prune);
    operator.run_for(MINUTE * 30).await;
    let plan: Vec<String> = users(20)[5..].iter().map(|id| format!("-{id}")).collect();
    world.cluster.annotate(MAIN, APPROVE, &hash(&plan));
    operator.run_for(MINUTE).await;
    world.cluster.declare(MAIN, users(5));
    operator.run_for(HOUR * 3).await;
    assert_none_removed(&world, prune);
    assert_eq!(world.cluster.status(MAIN).pending_approval.unwrap().hash, hash(&plan));
}

for_each_prune!(approval_is_used_once in [Owned, Declared, Authoritative]);
async fn approval_is_used_once(prune: Prune) {
    let (world, mut operator) = awaiting_approval(prune, 5).await;
    world.approve_plan(MAIN);
    operator.run_for(HOUR).await;
    assert_eq!(world.deletes().len(), 15);
    world.cluster.declare(MAIN, users(20));
    operator.run_for(HOUR * 30).await;
    operator.restart().await;
    world.cluster.declare(MAIN, users(5));
    operator.run_for(HOUR * 3).await;
    assert_eq!(world.deletes().len(), 15, "the hash is the same and the annotation is still set");
    assert_eq!(world.ready_reason(MAIN), "ApprovalRequired");
}

for_each_prune!(approved_removals_are_finished_after_a_restart in [Owned, Declared, Authoritative]);
async fn approved_removals_are_finished_after_a_restart(prune: Prune) {
    let mut slow = permissive_options();
    slow.rates.bearer = Some("4".parse().unwrap());
    let world = TestWorld::new();
    let mut operator = TestOperator::start_with(&world, slow);
    world.create(MAIN, users(400), |spec| spec.prune = prune);
    operator.run_for(MINUTE * 30).await;
    world.cluster.declare(MAIN, users(100));
    operator.run_for(MINUTE * 10).await;
    world.approve_plan(MAIN);
    operator.run_for(MINUTE / 4).await;
    let begun = world.deletes().len();
    assert!((1..100).contains(&begun), "{begun}");
    operator.restart().await;
    operator.run_for(HOUR * 3).await;
    assert_eq!((world.deletes().len(), &*world.ready_reason(MAIN)), (300, "AllPresent"));
    assert_eq!(world.members().len(), 100);
}

for_each_prune!(member_declared_again_after_the_approval_stays in [Owned, Declared, Authoritative]);
async fn member_declared_again_after_the_approval_stays(prune: Prune) {
    let mut slow = permissive_options();
    slow.rates.bearer = Some("1".parse().unwrap());
    let (world, mut operator) = awaiting_approval_with(slow, prune, 5).await;
    world.approve_plan(MAIN);
    operator.run_for(MINUTE / 4).await;
    let begun = world.deletes();
    let again: Vec<String> = users(20).into_iter().filter(|id| !begun.contains(id)).collect();
    world.cluster.declare(MAIN, &again);
    operator.run_for(HOUR * 3).await;
    assert!(world.deletes().len() <= begun.len() + 1, "one removal may be under way");
    assert_eq!(world.ready_reason(MAIN), "AllPresent");
}

for_each_prune!(empty_list_is_carried_out_after_approval in [Owned, Declared, Authoritative]);
async fn empty_list_is_carried_out_after_approval(prune: Prune) {
    let (world, mut operator) = awaiting_approval(prune, 0).await;
    assert!(world.cluster.status(MAIN).pending_approval.unwrap().reasons.contains(&ApprovalReason::NoMembersDeclared));
    world.approve_plan(MAIN);
    operator.run_for(HOUR).await;
    assert_eq!(world.deletes().len(), 20);
}

for_each_prune!(empty_list_needs_approval_at_any_limit in [Owned, Declared, Authoritative]);
async fn empty_list_needs_approval_at_any_limit(prune: Prune) {
    let world = TestWorld::new();
    let mut operator = TestOperator::start_with(&world, permissive_options());
    world.create(MAIN, users(1), |spec| {
        spec.prune = prune;
        spec.limits.get_or_insert_default().removals = Some(crate::api::Tolerance::Percent(100));
    });
    operator.run_for(MINUTE * 30).await;
    world.cluster.declare(MAIN, [""; 0]);
    operator.run_for(HOUR * 30).await;
    assert_none_removed(&world, prune);
    assert_eq!(world.cluster.status(MAIN).pending_approval.unwrap().reasons, [ApprovalReason::NoMembersDeclared]);
}

for_each_prune!(pending_plan_keeps_its_hash_across_restarts in [Owned, Declared, Authoritative]);
async fn pending_plan_keeps_its_hash_across_restarts(prune: Prune) {
    let (world, mut operator) = awaiting_approval(prune, 5).await;
    let hash = world.cluster.status(MAIN).pending_approval.unwrap().hash;
    for _ in 0..5 {
        operator.restart().await;
        operator.run_for(MINUTE / 12).await;
        assert_eq!(world.cluster.status(MAIN).pending_approval.unwrap().hash, hash);
        operator.run_for(HOUR).await;
        assert_eq!(world.cluster.status(MAIN).pending_approval.unwrap().hash, hash);
    }
    assert_none_removed(&world, prune);
}

for_each_prune!(reverted_plan_needs_no_approval in [Owned, Declared, Authoritative]);
async fn reverted_plan_needs_no_approval(prune: Prune) {
    let (world, mut operator) = awaiting_approval(prune, 5).await;
    world.cluster.declare(MAIN, users(20));
    operator.run_for(MINUTE).await;
    assert_eq!(
        (world.ready_reason(MAIN), world.cluster.status(MAIN).pending_approval),
        ("AllPresent".to_owned(), None)
    );
    assert_none_removed(&world, prune);
}

for_each_prune!(shrunk_list_without_an_edit_needs_approval in [Owned, Declared, Authoritative]);
async fn shrunk_list_without_an_edit_needs_approval(prune: Prune) {
    let (world, mut operator) = {
        let world = TestWorld::new();
        let mut operator = TestOperator::start_with(&world, permissive_options());
        world.create(MAIN, users(20), |spec| spec.prune = prune);
        operator.run_for(MINUTE * 30).await;
        (world, operator)
    };
    operator.kill().await;
    // Another version of the operator may read the same spec in another way.
    world.cluster.update(MAIN, |object| object.spec.members = Some(users(19).iter().collect()));
    operator.restart().await;
    operator.run_for(HOUR * 30).await;
    operator.restart().await;
    operator.run_for(HOUR * 30).await;
    assert_none_removed(&world, prune);
    assert_eq!(world.cluster.status(MAIN).pending_approval.unwrap().reasons, [ApprovalReason::ShrankUnchanged]);
    world.approve_plan(MAIN);
    operator.run_for(HOUR).await;
    assert_eq!(world.deletes(), ["u00019"]);
}

#[tokio::test(start_paused = true)]
async fn plan_over_2000_members_is_approved_in_parts() {
    let world = TestWorld::new();
    let mut operator = TestOperator::start_with(&world, permissive_options());
    world.create(MAIN, users(5_000), |spec| spec.prune = Prune::Owned);
    operator.run_for(MINUTE * 30).await;
    world.cluster.declare(MAIN, users(1_000));
    operator.run_for(MINUTE).await;
    assert_eq!(world.cluster.status(MAIN).pending_approval.unwrap().removals, 4_000);
    world.approve_plan(MAIN);
    operator.run_for(HOUR * 3).await;
    assert_eq!((world.deletes().len(), &*world.ready_reason(MAIN)), (MAX_APPROVAL_MEMBERS, "ApprovalRequired"));
    world.approve_plan(MAIN);
    operator.run_for(HOUR * 3).await;
    assert_eq!((world.deletes().len(), &*world.ready_reason(MAIN)), (4_000, "AllPresent"));
}

#[tokio::test(start_paused = true)]
async fn approved_removals_count_toward_the_daily_limit() {
    let (world, mut operator) = awaiting_approval(Prune::Owned, 5).await;
    world.approve_plan(MAIN);
    operator.run_for(HOUR).await;
    world.cluster.declare(MAIN, users(4));
    operator.run_for(HOUR * 3).await;
    assert_eq!((world.deletes().len(), &*world.ready_reason(MAIN)), (15, "ApprovalRequired"));
}

for_each_prune!(approval_overrides_no_declarer_and_no_protection in [Owned, Declared, Authoritative]);
async fn approval_overrides_no_declarer_and_no_protection(prune: Prune) {
    let (world, mut operator) = awaiting_approval(prune, 5).await;
    world.approve_plan(MAIN);
    world.create("zoo/other", ["u00007"], |_| {});
    world.support().with(|channel| channel.moderators.insert(crate::engine::tests::fake::user("u00008")));
    operator.run_for(HOUR * 3).await;
    assert_eq!(world.deletes().len(), 13);
    assert!(["u00007", "u00008"].iter().all(|id| world.members().contains(*id)));
    assert_eq!(world.ready_reason(MAIN), "AllPresent");
}

#[tokio::test(start_paused = true)]
async fn removal_no_longer_requested_needs_no_approval() {
    let world = TestWorld::new();
    world.add_strangers(["zoe"]);
    let mut operator = TestOperator::start_with(&world, permissive_options());
    world.create(MAIN, [""; 0], |spec| spec.prune = Prune::Authoritative);
    operator.run_for(MINUTE * 30).await;
    assert_eq!(world.ready_reason(MAIN), "ApprovalRequired");
    // The resource never declared zoe.
    world.cluster.edit(MAIN, |spec| spec.prune = Prune::Owned);
    operator.run_for(MINUTE * 10).await;
    assert_eq!((&*world.ready_reason(MAIN), world.cluster.status(MAIN).pending_approval), ("AllPresent", None));
}
