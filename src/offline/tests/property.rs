//! The operator adds and removes exactly the members of the plan. Afterwards the plan is empty.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{MINUTE, files, plan, settings, state};
use crate::api::{
    ChannelMembershipSpec, DeletionPolicy, Limits, PendingApproval, Prune, RECONCILE_REQUESTED_AT, Tolerance,
};
use crate::engine::tests::fake::user;
use crate::engine::tests::operator::{Options, TestOperator};
use crate::engine::tests::world::{TestWorld, arn, spec_of};
use crate::offline::change_set::Origin;
use crate::offline::plan::Plan;

const PEOPLE: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "bot/h"];
pub(super) const CHANNELS: [&str; 2] = ["support", "lobby"];

/// A resource of a manifest.
#[derive(Clone, Debug)]
pub(super) struct ResourceSpec {
    prune: Prune,
    policy: DeletionPolicy,
    removals: Option<Tolerance>,
    additions: Option<u32>,
    members: Vec<&'static str>,
}

/// The edit of one resource, by its number, between the state and the plan.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    Keeps,
    Declares(Vec<&'static str>),
    Becomes(ResourceSpec),
    Ends,
}

pub(super) fn people() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(PEOPLE.to_vec(), 0..=PEOPLE.len())
}

pub(super) fn written() -> impl Strategy<Value = ResourceSpec> {
    let prune =
        prop::sample::select(vec![Prune::Never, Prune::Owned, Prune::Owned, Prune::Declared, Prune::Authoritative]);
    let removals = prop::sample::select(vec![
        None,
        Some(Tolerance::Percent(100)),
        Some(Tolerance::Percent(100)),
        Some(Tolerance::Count(1)),
    ]);
    let additions = prop::sample::select(vec![None, None, None, Some(1)]);
    (prune, any::<bool>(), removals, additions, people()).prop_map(|(prune, ends, removals, additions, members)| {
        let policy = if ends && prune != Prune::Never { DeletionPolicy::Delete } else { DeletionPolicy::Retain };
        ResourceSpec { prune, policy, removals, additions, members }
    })
}

pub(super) fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        2 => Just(Edit::Keeps),
        4 => people().prop_map(Edit::Declares),
        2 => written().prop_map(Edit::Becomes),
        1 => Just(Edit::Ends),
    ]
}

/// A change of a channel that no resource makes, before the plan.
#[derive(Clone, Debug)]
enum Event {
    Leaves(&'static str),
    Moderates(&'static str),
}

fn event() -> impl Strategy<Value = (usize, Event)> {
    let person = || prop::sample::select(PEOPLE.to_vec());
    let event = prop_oneof![2 => person().prop_map(Event::Leaves), 1 => person().prop_map(Event::Moderates)];
    (0..CHANNELS.len(), event)
}

pub(super) fn spec(number: usize, written: &ResourceSpec) -> ChannelMembershipSpec {
    ChannelMembershipSpec {
        prune: written.prune,
        deletion_policy: written.policy,
        limits: Some(Limits { removals: written.removals, additions: written.additions, failed: None }),
        ..spec_of(channel(number), &written.members)
    }
}

/// Three resources declare one channel, and one declares another.
fn channel(number: usize) -> &'static str {
    if number == 3 { CHANNELS[1] } else { CHANNELS[0] }
}

pub(super) fn name(number: usize) -> String {
    format!("care/r{number}")
}

pub(super) fn arns(ids: &[&'static str]) -> Vec<String> {
    ids.iter().map(|id| arn(id)).collect()
}

/// Returns the members that the plan adds or removes, by channel.
pub(super) fn planned_moves(plan: &Plan, came: bool) -> BTreeSet<(String, String)> {
    let channel = |arn: &str| arn.rsplit('/').next().unwrap_or_default().to_owned();
    plan.resources
        .iter()
        .flat_map(|it| {
            let names = if came { &it.add } else { &it.remove };
            names.iter().map(|name| (channel(&it.channel_arn), name.to_owned())).collect::<Vec<_>>()
        })
        .collect()
}

fn pending_approvals(world: &TestWorld) -> BTreeMap<String, PendingApproval> {
    let objects = world.cluster.objects();
    objects.into_iter().filter_map(|(resource, it)| Some((resource, it.status.clone()?.pending_approval?))).collect()
}

async fn check(
    old: Vec<Option<ResourceSpec>>,
    strangers: Vec<&'static str>,
    edits: Vec<Edit>,
    events: Vec<(usize, Event)>,
    approves: bool,
) -> Result<(), TestCaseError> {
    let world = TestWorld::new();
    for id in CHANNELS {
        let now = world.clock.now();
        world.channel(id).with(|channel| {
            for member in arns(&strangers) {
                channel.join(&member, &user("somebody"), now);
            }
        });
    }
    for (number, written) in old.iter().enumerate() {
        if let Some(written) = written {
            world.cluster.create(&name(number), spec(number, written));
        }
    }
    let options = Options::with(|settings| *settings = self::settings());
    let mut operator = TestOperator::start_with(&world, options);
    operator.run_for(MINUTE * 60 * 3).await;
    if approves {
        for (resource, pending) in pending_approvals(&world) {
            world.cluster.annotate(&resource, crate::api::APPROVE, &pending.hash);
        }
        operator.run_for(MINUTE * 10).await;
    }
    let ends = edits.iter().any(|edit| matches!(edit, Edit::Ends));
    for (number, event) in events {
        // Between apply and prune, a resource that is about to end adds a member that left.
        if ends && matches!(event, Event::Leaves(_)) {
            continue;
        }
        world.channel(CHANNELS[number]).with(|channel| match event {
            Event::Leaves(id) => {
                let member = arns(&[id]).remove(0);
                channel.members.remove(&member);
                channel.invited_by.remove(&member);
            }
            Event::Moderates(id) => _ = channel.moderators.insert(arns(&[id]).remove(0)),
        });
    }
    // The change is in Git, and not in the cluster yet.
    let before = state(&world);
    let mut after: BTreeMap<String, ChannelMembershipSpec> =
        world.cluster.objects().into_iter().map(|(resource, it)| (resource, it.spec.clone())).collect();
    for (number, edit) in edits.iter().enumerate() {
        let resource = name(number);
        match edit {
            Edit::Keeps => {}
            Edit::Declares(members) => {
                if let Some(spec) = after.get_mut(&resource) {
                    spec.members = Some(members.iter().collect());
                }
            }
            Edit::Becomes(written) => _ = after.insert(resource, spec(number, written)),
            Edit::Ends => _ = after.remove(&resource),
        }
    }
    let moves = world.moves().len();
    operator.lose_watch();
    let planned = plan(&world, &files(&after), &Origin::State(before)).await;
    let (adds, removals) = (planned_moves(&planned, true), planned_moves(&planned, false));
    prop_assert_eq!(world.moves().len(), moves, "a plan changed a member");

    // The change is merged. GitOps first applies it and then prunes.
    let old = world.cluster.objects();
    // For `Authoritative`, which checks every member twice, apply and the later prune are two
    // plans. The first may be within the limit, where both together, as the plan shows, wait for
    // approval.
    let pruned: Vec<_> = old.iter().filter(|(resource, _)| !after.contains_key(*resource)).collect();
    let authoritative = |spec: &ChannelMembershipSpec| spec.prune == Prune::Authoritative;
    let two_plans = after.values().any(authoritative) || pruned.iter().any(|(_, object)| authoritative(&object.spec));
    prop_assume!(pruned.is_empty() || !two_plans);
    for (resource, spec) in &after {
        match old.get(resource) {
            Some(_) => world.cluster.edit(resource, |it| *it = spec.clone()),
            None => _ = world.cluster.create(resource, spec.clone()),
        }
    }
    // The operator lists the channels again on request, as the plan did: its last resync does not
    // show that a member left.
    for resource in after.keys() {
        world.cluster.annotate(resource, RECONCILE_REQUESTED_AT, "now");
    }
    operator.regain_watch();
    operator.run_for(MINUTE / 60).await;
    for resource in old.keys().filter(|resource| !after.contains_key(*resource)) {
        world.cluster.delete(resource);
    }
    operator.run_for(MINUTE * 60 * 3).await;
    let since = world.moves().split_off(moves);
    let of = |came: bool| -> BTreeSet<(String, String)> {
        since.iter().filter(|it| it.came == came).map(|it| (it.channel.clone(), it.id.clone())).collect()
    };
    let told = || format!("{planned:#?}\n{:#?}", world.cluster.objects());
    prop_assert_eq!(of(true), adds, "added; {}", told());
    prop_assert_eq!(of(false), removals, "removed; {}", told());
    let plans = super::by_name(&planned);
    for (resource, pending) in pending_approvals(&world) {
        let planned_approval = plans.get(&*resource).and_then(|plan| plan.pending_approval.as_ref());
        prop_assert_eq!(planned_approval, Some(&pending), "{} holds; {}", resource, told());
    }

    // Then the plan is empty.
    let specs: BTreeMap<String, ChannelMembershipSpec> =
        world.cluster.objects().into_iter().map(|(resource, it)| (resource, it.spec.clone())).collect();
    let again = plan(&world, &files(&specs), &Origin::State(state(&world))).await;
    prop_assert!(planned_moves(&again, true).is_empty(), "{again:#?}");
    prop_assert!(planned_moves(&again, false).is_empty(), "{again:#?}");
    Ok(())
}

proptest! {
    #[test]
    fn operator_does_what_the_plan_says_and_leaves_an_empty_plan(
        old in prop::collection::vec(prop::option::weighted(0.8, written()), 4),
        strangers in people(),
        edits in prop::collection::vec(edit(), 4),
        events in prop::collection::vec(event(), 0..3),
        approves in any::<bool>(),
    ) {
        let clock = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        clock.expect("a runtime without sockets").block_on(check(old, strangers, edits, events, approves))?;
    }
}
