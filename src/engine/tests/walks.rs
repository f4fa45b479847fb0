//! Whatever people, faults and restarts do to a channel of several resources: is anybody removed whom nothing lets go?
//!
//! Each delete is judged when it is made, by what the test itself knows of the cluster's history.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::cluster::{Cluster, Op};
use super::fake::{Fault, user};
use super::operator::{LATENCY, Operator, Options};
use super::process::{Moment, Process};
use super::world::{World, spec};
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
    StoreFails(Op),
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
        4 => (which(), prune(), any::<bool>(), people()).prop_map(|(n, prune, ends, who)| Step::Create(n, prune, ends, who)),
        8 => (which(), people()).prop_map(|(n, who)| Step::Declare(n, who)),
        1 => (which(), prune(), any::<bool>()).prop_map(|(n, prune, ends)| Step::Change(n, prune, ends)),
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
        2 => prop::sample::select(vec![Op::Status, Op::Finalizer, Op::Read]).prop_map(Step::StoreFails),
        16 => prop::sample::select(vec![1, 3, 8, 11, 20, 60, 700, 4000]).prop_map(Step::Wait),
    ]
}

/// What the test knows.
#[derive(Default)]
struct History {
    /// Whom a resource ever declared, by its UID.
    declared: BTreeMap<String, BTreeSet<String>>,
    /// When somebody was last declared by a resource that was not being deleted, and whether they still are.
    last: BTreeMap<String, (Instant, bool)>,
    /// Since when somebody moderates.
    moderates: BTreeMap<&'static str, Instant>,
    /// What each UID asked for lately: an operator may still be at it.
    prunes: BTreeMap<String, Vec<(Instant, Prune)>>,
    complaints: Vec<String>,
}

impl History {
    /// Takes in how the cluster is now; to be called after each change.
    fn note(&mut self, cluster: &Cluster) {
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

    /// A call that deletes is about to have its effect.
    fn judge(&mut self, world: &World, id: &str) {
        let now = Instant::now();
        let mut complain = |what: &str| self.complaints.push(format!("{id} was removed {what}"));
        // What happened between the last look and the delete cannot be known.
        let race = LATENCY * 4;
        if let Some((at, still)) = self.last.get(id)
            && (*still && now - *at > race || !*still && now - *at < Duration::from_secs(9))
        {
            complain(if *still { "though declared" } else { "too soon" });
        }
        if !world.members().contains(id) {
            complain("twice");
            return;
        }
        let (moderator, inviter) = world
            .support()
            .with(|channel| (channel.moderators.contains(&user(id)), channel.invited_by.get(&user(id)).cloned()));
        // Who moderates was asked ten seconds ago at most.
        let known = self.moderates.get(id).is_some_and(|since| now - *since > Duration::from_secs(10) + race);
        if moderator && known {
            complain("though a moderator");
        }
        let ours = inviter == Some(user("rollcall"));
        let objects = world.cluster.objects();
        let entitled = objects.values().any(|object| {
            let claimed = self.declared.get(&object.uid).is_some_and(|declared| declared.contains(id));
            let asked = self.prunes.get(&object.uid).into_iter().flatten().rev();
            // The last thing asked for, and what was asked for until just now.
            let mut until = now;
            let asked = asked.take_while(|(at, _)| {
                let recent = now - until <= race;
                until = *at;
                recent
            });
            asked.into_iter().any(|(_, prune)| match prune {
                Prune::Never => false,
                Prune::Owned => claimed && ours,
                Prune::Declared => claimed,
                Prune::Authoritative => true,
            })
        });
        if !entitled {
            complain("by no resource that may");
        }
    }
}

fn name(which: usize) -> String {
    format!("care/r{which}")
}

fn options() -> Options {
    Options::with(|settings| settings.allow_authoritative = true)
}

async fn walk(first: Prune, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let world = World::new();
    let history: Arc<Mutex<History>> = Arc::default();
    let (judge, judged) = (Arc::clone(&history), world.clone());
    world.before_delete(move |id| judge.lock().unwrap().judge(&judged, id));
    let mut operator = Operator::start_with(&world, options());
    let mut older: BTreeMap<String, (String, ChannelMembershipStatus)> = BTreeMap::new();
    // Two resources that share people, for more than ten minutes.
    let settled = [
        Step::Create(0, first, true, vec!["a", "b", "c", "d"]),
        Step::Create(1, Prune::Owned, false, vec!["c", "d", "e", "f"]),
        Step::Wait(700),
    ];
    for step in settled.into_iter().chain(steps) {
        if let Step::Moderates(id) = step {
            history.lock().unwrap().moderates.entry(id).or_insert_with(Instant::now);
        }
        take(&world, &mut operator, &mut older, step).await;
        history.lock().unwrap().note(&world.cluster);
        operator.live(Duration::from_millis(1)).await;
        for (resource, object) in world.cluster.objects() {
            if let Some(status) = &object.status {
                older.entry(resource).or_insert((object.uid.clone(), status.clone()));
            }
        }
    }
    // Once all is well again, everybody who is declared is there, and nothing hangs.
    world.support().with(|channel| channel.faults.clear());
    world.cluster.mend();
    operator.regain_watch();
    operator.restart_with(options()).await;
    for (resource, object) in world.cluster.objects() {
        if object.deleting_since.is_none() {
            world.cluster.edit(&resource, |spec| spec.suspend = false);
            world.cluster.annotate(&resource, RECONCILE_REQUESTED_AT, "at last");
        }
    }
    history.lock().unwrap().note(&world.cluster);
    operator.live(Duration::from_hours(30)).await;
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

async fn take(
    world: &World,
    operator: &mut Operator,
    older: &mut BTreeMap<String, (String, ChannelMembershipStatus)>,
    step: Step,
) {
    let cluster = &world.cluster;
    let there = |which: usize| cluster.find(&name(which)).is_some();
    let policy = |prune: Prune, ends: bool| {
        if ends && prune != Prune::Never { DeletionPolicy::Delete } else { DeletionPolicy::Retain }
    };
    match step {
        Step::Create(which, prune, ends, who) if !there(which) => {
            older.remove(&name(which));
            let mut spec = spec(who);
            (spec.prune, spec.deletion_policy) = (prune, policy(prune, ends));
            spec.limits.get_or_insert_default().removals = Some(Tolerance::Percent(100));
            cluster.create(&name(which), spec);
        }
        Step::Declare(which, who) if there(which) => cluster.declare(&name(which), who),
        Step::Change(which, prune, ends) if there(which) => cluster.edit(&name(which), |spec| {
            (spec.prune, spec.deletion_policy) = (prune, policy(prune, ends));
        }),
        Step::Delete(which) if there(which) => cluster.delete(&name(which)),
        Step::Suspend(which, suspend) if there(which) => cluster.edit(&name(which), |spec| spec.suspend = suspend),
        Step::Approve(which) => {
            let pending = cluster.find(&name(which)).and_then(|object| object.status.clone()?.pending_approval);
            if let Some(pending) = pending {
                cluster.annotate(&name(which), APPROVE, &pending.hash);
            }
        }
        Step::WipeStatus(which) if there(which) => cluster.update(&name(which), |object| object.status = None),
        Step::OlderStatus(which) if there(which) => {
            if let Some((_, status)) = older.get(&name(which)).cloned() {
                cluster.update(&name(which), |object| object.status = Some(status));
            }
        }
        Step::Joins(id) if !world.members().contains(id) => world.strangers([id]),
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
            *operator = Operator::start_as(world, options(), Process::fated(LATENCY, effect, moment));
        }
        Step::ServiceFails => world.support().with(|channel| {
            channel.faults.push_back(Fault::After(CallErrorClass::Transient, "ConnectionFailed"));
        }),
        Step::StoreFails(op) => cluster.fail(op, StoreError::Unavailable("as the test has it".to_owned())),
        Step::Wait(seconds) => operator.live(Duration::from_secs(seconds)).await,
        _ => {}
    }
}

proptest! {
    #[test]
    fn nobody_is_removed_whom_nothing_lets_go_and_everybody_declared_is_there_in_the_end(
        first in prune(),
        steps in prop::collection::vec(step(), 1..30),
    ) {
        let clock = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        clock.expect("a runtime without sockets").block_on(walk(first, steps))?;
    }
}
