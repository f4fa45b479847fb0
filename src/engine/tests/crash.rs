//! A run of additions and removals ends the same, whichever effect the process is killed at.
//!
//! The ports number every effect. An undisturbed run counts the effects and gives the expected end.
//! Then the process is killed at each effect: before it, after it and before its answer, and after
//! its answer. A process without any notes takes over.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::operator::{LATENCY, Options, TestOperator};
use super::process::{Moment, Process};
use super::world::{Move, TestWorld, arn};
use crate::api::{DeletionPolicy, Prune, Tolerance};
use crate::chime::port::Operation;

/// Long enough for all consequences of an edit, including the ten minutes of new members.
const PHASE: Duration = Duration::from_mins(20);

/// Members that may be requested more often than in the undisturbed run. Two resources declare the
/// first, and may request it at the same moment. The second is banned, and a new process requests
/// it again. Neither is added twice.
const ASKED_FOR_AGAIN: [&str; 2] = ["new2", "banned"];

/// The members of the channel with their inviters, and the state of each resource.
#[derive(Debug, PartialEq, Eq)]
struct EndState {
    members: BTreeMap<String, String>,
    resources: BTreeMap<String, Vec<String>>,
}

/// A run that has ended.
struct FinishedRun {
    process: Process,
    end_states: Vec<EndState>,
    /// How often a batch or a delete named each member.
    named: BTreeMap<(Operation, String), usize>,
    /// How often each member was really added or removed.
    moved: BTreeMap<Move, usize>,
    /// The members of the calls whose answer did not reach the killed process.
    ambiguous: Vec<(Operation, String)>,
}

fn end_state(world: &TestWorld) -> EndState {
    let members = world.support().with(|channel| channel.invited_by.clone());
    let resources = world.cluster.objects().into_iter().map(|(resource, object)| {
        let mut told = vec![format!("{:?} {}", object.finalizers, object.deleting_since.is_some())];
        if let Some(status) = &object.status {
            told.extend(
                status
                    .conditions
                    .iter()
                    .map(|c| format!("{}={} {} {:?}", c.type_, c.status, c.reason, c.observed_generation)),
            );
            let counts = (status.desired, status.present, status.pending, status.failed);
            told.push(format!("{counts:?} {:?} {:?}", status.last_declared, status.removing));
            told.push(format!(
                "{:?} {:?}",
                status.pending_approval,
                status.removed.as_ref().map(|removed| removed.count)
            ));
        }
        (resource, told)
    });
    EndState { members, resources: resources.collect() }
}

/// Runs the process until it dies, and then its successors, until the phase is over.
async fn run_phase(
    operator: &mut TestOperator,
    successors: &mut Vec<Process>,
    options: &Options,
    world: &TestWorld,
) -> EndState {
    let end = Instant::now() + PHASE;
    while operator.run_until_dead(end).await {
        operator.kill().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let successor = successors.pop().unwrap_or_else(|| Process::with_latency(LATENCY));
        *operator = TestOperator::start_as(world, options.clone(), successor);
    }
    end_state(world)
}

/// Some strangers are in the channel. One resource declares two of them and two new members, and
/// another resource declares one of these too. The first resource is edited to add one member and
/// drop two, and then deleted.
async fn run_life(prune: Prune, process: Process) -> FinishedRun {
    run_life_with_successors(prune, process, Vec::new()).await
}

/// Makes the same run. The successors take over after the first process, the last of the list
/// first, and then a process that does not die.
async fn run_life_with_successors(prune: Prune, process: Process, mut successors: Vec<Process>) -> FinishedRun {
    let all: Vec<Process> = successors.iter().chain([&process]).cloned().collect();
    let world = TestWorld::new();
    world.add_strangers(["old1", "old2", "stranger"]);
    world.support().with(|channel| channel.bans.insert(arn("banned")));
    tokio::time::sleep(PHASE).await;
    let options = Options::with(|settings| settings.allow_authoritative = true);
    let mut operator = TestOperator::start_as(&world, options.clone(), process.clone());

    world.create("care/main", ["old1", "old2", "new1", "new2"], |spec| {
        spec.prune = prune;
        spec.deletion_policy = if prune == Prune::Never { DeletionPolicy::Retain } else { DeletionPolicy::Delete };
        spec.limits.get_or_insert_default().removals = Some(Tolerance::Percent(100));
    });
    world.create("care/other", ["new2", "other1", "banned"], |spec| {
        spec.prune = if prune == Prune::Never { Prune::Never } else { Prune::Owned };
    });
    let mut end_states = vec![run_phase(&mut operator, &mut successors, &options, &world).await];
    world.cluster.declare("care/main", ["old2", "new2", "new3"]);
    end_states.push(run_phase(&mut operator, &mut successors, &options, &world).await);
    world.cluster.delete("care/main");
    end_states.push(run_phase(&mut operator, &mut successors, &options, &world).await);

    let mut named = BTreeMap::new();
    for (operation, ids) in
        [(Operation::BatchCreateChannelMembership, world.adds()), (Operation::DeleteChannelMembership, world.deletes())]
    {
        for id in ids {
            *named.entry((operation, id)).or_default() += 1;
        }
    }
    let mut moved = BTreeMap::new();
    for change in world.moves() {
        *moved.entry(change).or_default() += 1;
    }
    let unanswered = all.iter().flat_map(Process::unanswered);
    let ambiguous = unanswered.flat_map(|what| named_by(&what)).collect();
    FinishedRun { process, end_states, named, moved, ambiguous }
}

/// Returns the members that an effect added or removed.
fn named_by(what: &str) -> Vec<(Operation, String)> {
    let of = [Operation::BatchCreateChannelMembership, Operation::DeleteChannelMembership];
    let Some(operation) = of.into_iter().find(|operation| what.starts_with(operation.as_str())) else {
        return Vec::new();
    };
    let ids = what.split_once(": ").map_or("", |(_, ids)| ids);
    ids.split_whitespace().map(|id| (operation, id.to_owned())).collect()
}

/// Makes one run for each effect and each moment.
async fn assert_same_end_after_any_crash(prune: Prune, stay: &[&str]) {
    let undisturbed = run_life(prune, Process::with_latency(LATENCY)).await;
    let effects = undisturbed.process.effects();
    let there: Vec<&str> =
        undisturbed.end_states[2].members.keys().map(|arn| arn.rsplit('/').next().unwrap()).collect();
    assert_eq!(there, stay, "{effects:#?}");
    assert!(!undisturbed.end_states[2].resources.contains_key("care/main"), "{:#?}", undisturbed.end_states[2]);
    let twice: Vec<_> = undisturbed.moved.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");

    let mut troubles = Vec::new();
    for (effect, what) in effects.iter().enumerate() {
        for moment in Moment::ALL {
            let run = run_life(prune, Process::killed_at(LATENCY, effect, moment)).await;
            troubles.extend(run.differences(&undisturbed).map(|it| format!("{moment:?} {effect} ({what}): {it}")));
        }
    }
    assert_no_troubles(&troubles);
}

impl FinishedRun {
    /// Returns the differences from the undisturbed run.
    fn differences(&self, undisturbed: &Self) -> impl Iterator<Item = String> {
        let mut troubles = Vec::new();
        for (phase, (now, then)) in self.end_states.iter().zip(&undisturbed.end_states).enumerate() {
            if now != then {
                troubles.push(format!("phase {phase} ended in {now:#?}, not in {then:#?}"));
            }
        }
        if self.moved != undisturbed.moved {
            troubles.push(format!("{:?} came and went, not {:?}", self.moved, undisturbed.moved));
        }
        for (call @ (operation, id), times) in &self.named {
            let ambiguous = self.ambiguous.iter().filter(|named| *named == call).count();
            let most = undisturbed.named.get(call).copied().unwrap_or_default() + ambiguous;
            if *times > most && !ASKED_FOR_AGAIN.contains(&id.as_str()) {
                troubles.push(format!("{operation} of {id} {times} times instead of {most}"));
            }
        }
        troubles.into_iter()
    }
}

#[track_caller]
fn assert_no_troubles(troubles: &[String]) {
    let shown = &troubles[..troubles.len().min(20)];
    assert!(troubles.is_empty(), "{} troubles, the first:\n{}", troubles.len(), shown.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn resource_with_never_ends_the_same_after_a_crash_at_any_effect() {
    assert_same_end_after_any_crash(Prune::Never, &["new1", "new2", "new3", "old1", "old2", "other1", "stranger"])
        .await;
}

#[tokio::test(start_paused = true)]
async fn resource_with_owned_ends_the_same_after_a_crash_at_any_effect() {
    assert_same_end_after_any_crash(Prune::Owned, &["new2", "old1", "old2", "other1", "stranger"]).await;
}

#[tokio::test(start_paused = true)]
async fn resource_with_declared_ends_the_same_after_a_crash_at_any_effect() {
    assert_same_end_after_any_crash(Prune::Declared, &["new2", "other1", "stranger"]).await;
}

#[tokio::test(start_paused = true)]
async fn authoritative_resource_ends_the_same_after_a_crash_at_any_effect() {
    assert_same_end_after_any_crash(Prune::Authoritative, &["new2", "other1"]).await;
}

for_each_prune!(run_ends_the_same_after_a_failure_of_any_call in [Never, Owned, Declared, Authoritative]);
async fn run_ends_the_same_after_a_failure_of_any_call(prune: Prune) {
    let mut troubles = Vec::new();
    let undisturbed = run_life(prune, Process::with_latency(LATENCY)).await;
    for (effect, what) in undisturbed.process.effects().iter().enumerate() {
        for after in [false, true] {
            let run = run_life(prune, Process::failing_at(LATENCY, effect, after)).await;
            let differences = run.differences(&undisturbed);
            troubles.extend(differences.map(|it| format!("{effect} ({what}), after: {after}: {it}")));
        }
    }
    assert_no_troubles(&troubles);
}

#[tokio::test(start_paused = true)]
async fn run_ends_the_same_after_a_second_crash_soon_after_the_first() {
    let undisturbed = run_life(Prune::Owned, Process::with_latency(LATENCY)).await;
    let mut troubles = Vec::new();
    for (effect, what) in undisturbed.process.effects().iter().enumerate() {
        for moment in Moment::ALL {
            for second in 0..8 {
                let successor = Process::killed_at(LATENCY, second, moment);
                let run = run_life_with_successors(
                    Prune::Owned,
                    Process::killed_at(LATENCY, effect, moment),
                    vec![successor],
                )
                .await;
                let differences = run.differences(&undisturbed);
                troubles.extend(differences.map(|it| format!("{moment:?} {effect} ({what}), then {second}: {it}")));
            }
        }
    }
    assert_no_troubles(&troubles);
}

#[tokio::test(start_paused = true)]
async fn short_lived_processes_finish_the_work_together() {
    for age in [12, 17, 25] {
        let world = TestWorld::new();
        world.add_strangers(["stranger"]);
        world.create("care/main", ["a", "b", "c"], |spec| {
            spec.prune = Prune::Owned;
            spec.deletion_policy = DeletionPolicy::Delete;
        });
        let mut step = 0;
        for life in 0..200 {
            let process = Process::killed_at(LATENCY, age + life % 3, Moment::ALL[life % 3]);
            let mut operator = TestOperator::start_as(&world, Options::default(), process);
            let died = operator.run_until_dead(Instant::now() + Duration::from_mins(1)).await;
            operator.kill().await;
            if died {
                continue;
            }
            step += 1;
            match step {
                1 => world.cluster.declare("care/main", ["a", "b"]),
                2 => world.cluster.delete("care/main"),
                _ => break,
            }
        }
        assert!(world.cluster.find("care/main").is_none(), "aged {age}");
        assert_eq!(world.members().into_iter().collect::<Vec<_>>(), ["stranger"], "aged {age}");
    }
}
