//! Random walks: users, faults and restarts act on a channel with several resources, and no member
//! is removed without a right to.
//!
//! The test checks each delete when it is made, against its own history of the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::cluster::{StoreOperation, TestCluster};
use super::fake::{CallFault, user};
use super::operator::{LATENCY, Options, TestOperator};
use super::process::{Moment, Process};
use super::world::{TestWorld, spec};
use crate::api::{
    APPROVE, ChannelMembershipStatus, DeletionPolicy, MemberList, Prune, RECONCILE_REQUESTED_AT, Tolerance,
};
use crate::chime::port::CallErrorClass;
use crate::engine::store::StoreError;

const PEOPLE: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

#[derive(Clone, Debug)]
enum Step {
    Create(usize, Prune, bool, Vec<&'static str>),
    Declare(usize, Vec<&'static str>),
    Change(usize, Prune, bool),
    Delete(usize),
    Suspend(usize, bool),
    Approve(usize),
    WipeStatus(usize),
    OlderStatus(usize),
    Joins(&'static str),
    Leaves(&'static str),
    Moderates(&'static str),
    LoseWatch,
    RegainWatch,
    Restart,
    RestartFated(usize, Moment),
    ServiceFails,
    StoreFails(StoreOperation),
    Wait(u64),
}

fn people() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(PEOPLE.to_vec(), 0..=PEOPLE.len())
}

fn prune() -> impl Strategy<Value = Prune> {
    prop::sample::select(vec![Prune::Never, Prune::Owned, Prune::Owned, Prune::Declared, Prune::Authoritative])
}

fn step() -> impl Strategy<Value = Step> {
    let which = || 0..3_usize;
    let person = || prop::sample::select(PEOPLE.to_vec());
    prop_oneof![
        4 => (which(), prune(), any::<bool>(), people()).prop_map(|(n, prune, deletes, members)| Step::Create(n, prune, deletes, members)),
        8 => (which(), people()).prop_map(|(n, members)| Step::Declare(n, members)),
        1 => (which(), prune(), any::<bool>()).prop_map(|(n, prune, deletes)| Step::Change(n, prune, deletes)),
        1 => which().prop_map(Step::Delete),
        1 => (which(), any::<bool>()).prop_map(|(n, suspend)| Step::Suspend(n, suspend)),
        3 => which().prop_map(Step::Approve),
        1 => which().prop_map(Step::WipeStatus),
        1 => which().prop_map(Step::OlderStatus),
        2 => person().prop_map(Step::Joins),
        2 => person().prop_map(Step::Leaves),
        1 => prop::sample::select(vec!["a", "f"]).prop_map(Step::Moderates),
        1 => Just(Step::LoseWatch),
        2 => Just(Step::RegainWatch),
        2 => Just(Step::Restart),
        2 => (0..30_usize, prop::sample::select(Moment::ALL.to_vec())).prop_map(|(n, when)| Step::RestartFated(n, when)),
        2 => Just(Step::ServiceFails),
        2 => prop::sample::select(vec![StoreOperation::Status, StoreOperation::Finalizer, StoreOperation::Read]).prop_map(Step::StoreFails),
        16 => prop::sample::select(vec![1, 3, 8, 11, 20, 60, 700, 4000]).prop_map(Step::Wait),
    ]
}

/// The history of the cluster as the test knows it.
#[derive(Default)]
struct History {
    /// All members that a resource ever declared, by its UID.
    declared: BTreeMap<String, BTreeSet<String>>,
    /// The last time at which a resource that was not being deleted declared a member, and whether
    /// one still does.
    last: BTreeMap<String, (Instant, bool)>,
    /// The time since when a member moderates.
    moderates: BTreeMap<&'static str, Instant>,
    /// The latest prune modes of each UID: an operator may still carry out the one before.
    prunes: BTreeMap<String, Vec<(Instant, Prune)>>,
    complaints: Vec<String>,
}

impl History {
    /// Records the state of the cluster. Every change of the cluster needs a call.
    fn record_state(&mut self, cluster: &TestCluster) {
        let now = Instant::now();
        let mut current = BTreeSet::new();
        let objects = cluster.objects();
        for object in objects.values() {
            let members: Vec<String> =
                object.spec.members.iter().flat_map(|list| list.iter().map(str::to_owned)).collect();
            self.declared.entry(object.uid.clone()).or_default().extend(members.iter().cloned());
            if object.deleting_since.is_none() {
                current.extend(members);
            }
            let prune = if object.spec.suspend { Prune::Never } else { object.spec.prune };
            let prunes = self.prunes.entry(object.uid.clone()).or_default();
            if prunes.last().is_none_or(|(_, last)| *last != prune) {
                prunes.push((now, prune));
            }
        }
        for (id, (at, still)) in &mut self.last {
            if *still && !current.contains(id) {
                (*at, *still) = (now, false);
            }
        }
        for id in current {
            self.last.insert(id, (now, true));
        }
    }

    /// Checks a delete just before its effect.
    fn judge_delete(&mut self, world: &TestWorld, id: &str) {
        let now = Instant::now();
        let mut complain = |what: &str| self.complaints.push(format!("{id} was removed {what}"));
        // The operator cannot know what happened between its last read and the delete.
        let race = LATENCY * 4;
        if let Some((at, still)) = self.last.get(id)
            && (*still && now - *at > race || !*still && now - *at < Duration::from_secs(9))
        {
            complain(if *still { "while declared" } else { "too soon" });
        }
        if !world.members().contains(id) {
            complain("twice");
            return;
        }
        let (moderator, inviter) = world
            .support()
            .with(|channel| (channel.moderators.contains(&user(id)), channel.invited_by.get(&user(id)).cloned()));
        // The list of moderators is at most ten seconds old.
        let known = self.moderates.get(id).is_some_and(|since| now - *since > Duration::from_secs(10) + race);
        if moderator && known {
            complain("while a moderator");
        }
        let ours = inviter == Some(user("rollcall"));
        let objects = world.cluster.objects();
        let entitled = objects.values().any(|object| {
            let declared = self.declared.get(&object.uid).is_some_and(|declared| declared.contains(id));
            let asked = self.prunes.get(&object.uid).into_iter().flatten().rev();
            // The current mode, and the modes that ended a moment ago.
            let mut until = now;
            let asked = asked.take_while(|(at, _)| {
                let recent = now - until <= race;
                until = *at;
                recent
            });
            asked.into_iter().any(|(_, prune)| match prune {
                Prune::Never => false,
                Prune::Owned => declared && ours,
                Prune::Declared => declared,
                Prune::Authoritative => true,
            })
        });
        if !entitled {
            complain("without a resource that has the right");
        }
    }
}

fn resource_name(which: usize) -> String {
    format!("care/r{which}")
}

fn permissive_options() -> Options {
    Options::with(|settings| settings.allow_authoritative = true)
}

async fn run_walk(first: Prune, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let world = TestWorld::new();
    let history: Arc<Mutex<History>> = Arc::default();
    let (judge, judged) = (Arc::clone(&history), world.clone());
    world.before_delete(move |id| judge.lock().unwrap().judge_delete(&judged, id));
    let mut operator = TestOperator::start_with(&world, permissive_options());
    let mut older_statuses: BTreeMap<String, (String, ChannelMembershipStatus)> = BTreeMap::new();
    // Two resources share members for more than ten minutes.
    let settled = [
        Step::Create(0, first, true, vec!["a", "b", "c", "d"]),
        Step::Create(1, Prune::Owned, false, vec!["c", "d", "e", "f"]),
        Step::Wait(700),
    ];
    for step in settled.into_iter().chain(steps) {
        if let Step::Moderates(id) = step {
            history.lock().unwrap().moderates.entry(id).or_insert_with(Instant::now);
        }
        take_step(&world, &mut operator, &mut older_statuses, step).await;
        history.lock().unwrap().record_state(&world.cluster);
        operator.run_for(Duration::from_millis(1)).await;
        for (resource, object) in world.cluster.objects() {
            if let Some(status) = &object.status {
                older_statuses.entry(resource).or_insert((object.uid.clone(), status.clone()));
            }
        }
    }
    // After all faults, every declared member is present and every deletion has ended.
    world.support().with(|channel| channel.faults.clear());
    world.cluster.clear_faults();
    operator.regain_watch();
    operator.restart_with(permissive_options()).await;
    for (resource, object) in world.cluster.objects() {
        if object.deleting_since.is_none() {
            world.cluster.edit(&resource, |spec| spec.suspend = false);
            world.cluster.annotate(&resource, RECONCILE_REQUESTED_AT, "at last");
        }
    }
    history.lock().unwrap().record_state(&world.cluster);
    operator.run_for(Duration::from_hours(30)).await;
    let history = history.lock().unwrap();
    prop_assert!(history.complaints.is_empty(), "{:?}", history.complaints);
    for (resource, object) in world.cluster.objects() {
        prop_assert!(object.deleting_since.is_none(), "{resource} hangs: {:#?}", object.status);
        for id in object.spec.members.iter().flat_map(MemberList::iter) {
            prop_assert!(world.members().contains(id), "{id} of {resource} is missing: {:#?}", object.status);
        }
    }
    Ok(())
}

async fn take_step(
    world: &TestWorld,
    operator: &mut TestOperator,
    older_statuses: &mut BTreeMap<String, (String, ChannelMembershipStatus)>,
    step: Step,
) {
    let cluster = &world.cluster;
    let there = |which: usize| cluster.find(&resource_name(which)).is_some();
    let policy = |prune: Prune, deletes: bool| {
        if deletes && prune != Prune::Never { DeletionPolicy::Delete } else { DeletionPolicy::Retain }
    };
    match step {
        Step::Create(which, prune, deletes, members) if !there(which) => {
            older_statuses.remove(&resource_name(which));
            let mut spec = spec(members);
            (spec.prune, spec.deletion_policy) = (prune, policy(prune, deletes));
            spec.limits.get_or_insert_default().removals = Some(Tolerance::Percent(100));
            cluster.create(&resource_name(which), spec);
        }
        Step::Declare(which, members) if there(which) => cluster.declare(&resource_name(which), members),
        Step::Change(which, prune, deletes) if there(which) => cluster.edit(&resource_name(which), |spec| {
            (spec.prune, spec.deletion_policy) = (prune, policy(prune, deletes));
        }),
        // No read can show a resource that is created and deleted while the watch is lost.
        Step::Delete(which) if there(which) && operator.sees(&resource_name(which)) => {
            cluster.delete(&resource_name(which));
        }
        Step::Suspend(which, suspend) if there(which) => {
            cluster.edit(&resource_name(which), |spec| spec.suspend = suspend);
        }
        Step::Approve(which) => {
            let pending =
                cluster.find(&resource_name(which)).and_then(|object| object.status.clone()?.pending_approval);
            if let Some(pending) = pending {
                cluster.annotate(&resource_name(which), APPROVE, &pending.hash);
            }
        }
        Step::WipeStatus(which) if there(which) => cluster.update(&resource_name(which), |object| object.status = None),
        Step::OlderStatus(which) if there(which) => {
            if let Some((_, status)) = older_statuses.get(&resource_name(which)).cloned() {
                cluster.update(&resource_name(which), |object| object.status = Some(status));
            }
        }
        Step::Joins(id) if !world.members().contains(id) => world.add_strangers([id]),
        Step::Leaves(id) => world.support().with(|channel| {
            channel.members.remove(&user(id));
            channel.invited_by.remove(&user(id));
        }),
        Step::Moderates(id) => world.support().with(|channel| {
            channel.moderators.insert(user(id));
        }),
        Step::LoseWatch => operator.lose_watch(),
        Step::RegainWatch => operator.regain_watch(),
        Step::Restart => operator.restart().await,
        Step::RestartFated(effect, moment) => {
            operator.kill().await;
            *operator =
                TestOperator::start_as(world, permissive_options(), Process::killed_at(LATENCY, effect, moment));
        }
        Step::ServiceFails => world.support().with(|channel| {
            channel.faults.push_back(CallFault::After(CallErrorClass::Transient, "ConnectionFailed"));
        }),
        Step::StoreFails(op) => cluster.fail_next(op, StoreError::Unavailable("as the test has it".to_owned())),
        Step::Wait(seconds) => operator.run_for(Duration::from_secs(seconds)).await,
        _ => {}
    }
}

proptest! {
    #[test]
    fn removals_are_justified_and_declared_members_end_present(
        first in prune(),
        steps in prop::collection::vec(step(), 1..30),
    ) {
        let clock = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        clock.expect("a runtime without sockets").block_on(run_walk(first, steps))?;
    }
}
