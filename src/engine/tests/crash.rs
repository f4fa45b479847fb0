//! Is a life of adding and removing the same, whatever effect the process is killed at?
//!
//! Every effect is numbered by the ports. An undisturbed life counts them and says what its end is; then the process is killed
//! at each of them, before it, after it but before its answer, and after its answer, and one that knows nothing takes over.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::operator::{LATENCY, Operator, Options};
use super::process::{Moment, Process};
use super::world::{Move, World, arn};
use crate::api::{DeletionPolicy, Prune, Tolerance};
use crate::chime::port::Operation;

/// Long enough for whatever follows an edit, newcomers' ten minutes among it.
const PHASE: Duration = Duration::from_mins(20);

/// Two resources declare the one, and may ask for it in the same moment; the other is banned, and is asked for again by
/// whoever does not know yet. Neither comes twice.
const ASKED_FOR_AGAIN: [&str; 2] = ["new2", "banned"];

/// Who is in the channel and by whom, and what each resource says.
#[derive(Debug, PartialEq, Eq)]
struct Scene {
    members: BTreeMap<String, String>,
    resources: BTreeMap<String, Vec<String>>,
}

/// A life that was lived.
struct Lived {
    process: Process,
    scenes: Vec<Scene>,
    /// How often somebody was named by a batch or a delete.
    named: BTreeMap<(Operation, String), usize>,
    /// How often somebody came or went by that.
    moved: BTreeMap<Move, usize>,
    /// Whom the calls named of which the process that died heard nothing.
    ambiguous: Vec<(Operation, String)>,
}

fn scene(world: &World) -> Scene {
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
    Scene { members, resources: resources.collect() }
}

/// The process lives until it dies, and another after it, until the time is over.
async fn phase(operator: &mut Operator, heirs: &mut Vec<Process>, options: &Options, world: &World) -> Scene {
    let end = Instant::now() + PHASE;
    while operator.live_or_die(end).await {
        operator.kill().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let heir = heirs.pop().unwrap_or_else(|| Process::with_latency(LATENCY));
        *operator = Operator::start_as(world, options.clone(), heir);
    }
    scene(world)
}

/// Some strangers are in the channel. One resource declares two of them and two new people, another one of these too; it is
/// edited to add one and drop two, and deleted.
async fn live(prune: Prune, process: Process) -> Lived {
    live_on(prune, process, Vec::new()).await
}

/// The same; after the first process others take over, the last one first, and then one that does not die.
async fn live_on(prune: Prune, process: Process, mut heirs: Vec<Process>) -> Lived {
    let all: Vec<Process> = heirs.iter().chain([&process]).cloned().collect();
    let world = World::new();
    world.strangers(["old1", "old2", "stranger"]);
    world.support().with(|channel| channel.bans.insert(arn("banned")));
    tokio::time::sleep(PHASE).await;
    let options = Options::with(|settings| settings.allow_authoritative = true);
    let mut operator = Operator::start_as(&world, options.clone(), process.clone());

    world.create("care/main", ["old1", "old2", "new1", "new2"], |spec| {
        spec.prune = prune;
        spec.deletion_policy = if prune == Prune::Never { DeletionPolicy::Retain } else { DeletionPolicy::Delete };
        spec.limits.get_or_insert_default().removals = Some(Tolerance::Percent(100));
    });
    world.create("care/other", ["new2", "other1", "banned"], |spec| {
        spec.prune = if prune == Prune::Never { Prune::Never } else { Prune::Owned };
    });
    let mut scenes = vec![phase(&mut operator, &mut heirs, &options, &world).await];
    world.cluster.declare("care/main", ["old2", "new2", "new3"]);
    scenes.push(phase(&mut operator, &mut heirs, &options, &world).await);
    world.cluster.delete("care/main");
    scenes.push(phase(&mut operator, &mut heirs, &options, &world).await);

    let mut named = BTreeMap::new();
    for (operation, ids) in
        [(Operation::BatchCreateChannelMembership, world.adds()), (Operation::DeleteChannelMembership, world.deletes())]
    {
        for id in ids {
            *named.entry((operation, id)).or_default() += 1;
        }
    }
    let mut moved = BTreeMap::new();
    for who in world.moves() {
        *moved.entry(who).or_default() += 1;
    }
    let unanswered = all.iter().flat_map(Process::unanswered);
    let ambiguous = unanswered.flat_map(|what| named_by(&what)).collect();
    Lived { process, scenes, named, moved, ambiguous }
}

/// Whom an effect added or removed.
fn named_by(what: &str) -> Vec<(Operation, String)> {
    let of = [Operation::BatchCreateChannelMembership, Operation::DeleteChannelMembership];
    let Some(operation) = of.into_iter().find(|operation| what.starts_with(operation.as_str())) else {
        return Vec::new();
    };
    let ids = what.split_once(": ").map_or("", |(_, ids)| ids);
    ids.split_whitespace().map(|id| (operation, id.to_owned())).collect()
}

/// Lives the life once for each effect of it and each moment of that.
async fn whatever_effect_it_dies_at(prune: Prune, stay: &[&str]) {
    let undisturbed = live(prune, Process::with_latency(LATENCY)).await;
    let effects = undisturbed.process.effects();
    let there: Vec<&str> = undisturbed.scenes[2].members.keys().map(|arn| arn.rsplit('/').next().unwrap()).collect();
    assert_eq!(there, stay, "{effects:#?}");
    assert!(!undisturbed.scenes[2].resources.contains_key("care/main"), "{:#?}", undisturbed.scenes[2]);
    let twice: Vec<_> = undisturbed.moved.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");

    let mut troubles = Vec::new();
    for (effect, what) in effects.iter().enumerate() {
        for moment in Moment::ALL {
            let lived = live(prune, Process::fated(LATENCY, effect, moment)).await;
            troubles.extend(lived.unlike(&undisturbed).map(|it| format!("{moment:?} {effect} ({what}): {it}")));
        }
    }
    none(&troubles);
}

impl Lived {
    /// In what it was another life.
    fn unlike(&self, undisturbed: &Self) -> impl Iterator<Item = String> {
        let mut troubles = Vec::new();
        for (phase, (now, then)) in self.scenes.iter().zip(&undisturbed.scenes).enumerate() {
            if now != then {
                troubles.push(format!("phase {phase} ended in {now:#?}, not in {then:#?}"));
            }
        }
        if self.moved != undisturbed.moved {
            troubles.push(format!("{:?} came and went, not {:?}", self.moved, undisturbed.moved));
        }
        for (who @ (operation, id), times) in &self.named {
            let ambiguous = self.ambiguous.iter().filter(|named| *named == who).count();
            let most = undisturbed.named.get(who).copied().unwrap_or_default() + ambiguous;
            if *times > most && !ASKED_FOR_AGAIN.contains(&id.as_str()) {
                troubles.push(format!("{operation} of {id} {times} times instead of {most}"));
            }
        }
        troubles.into_iter()
    }
}

#[track_caller]
fn none(troubles: &[String]) {
    let shown = &troubles[..troubles.len().min(20)];
    assert!(troubles.is_empty(), "{} troubles, the first:\n{}", troubles.len(), shown.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_removes_nobody_ends_as_if_its_process_had_not_been_killed() {
    whatever_effect_it_dies_at(Prune::Never, &["new1", "new2", "new3", "old1", "old2", "other1", "stranger"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_removes_whom_it_added_ends_as_if_its_process_had_not_been_killed() {
    whatever_effect_it_dies_at(Prune::Owned, &["new2", "old1", "old2", "other1", "stranger"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_removes_whom_it_declared_ends_as_if_its_process_had_not_been_killed() {
    whatever_effect_it_dies_at(Prune::Declared, &["new2", "other1", "stranger"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_removes_all_others_ends_as_if_its_process_had_not_been_killed() {
    whatever_effect_it_dies_at(Prune::Authoritative, &["new2", "other1"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_life_of_which_one_call_fails_is_as_if_it_had_not() {
    let mut troubles = Vec::new();
    for prune in [Prune::Never, Prune::Owned, Prune::Declared, Prune::Authoritative] {
        let undisturbed = live(prune, Process::with_latency(LATENCY)).await;
        for (effect, what) in undisturbed.process.effects().iter().enumerate() {
            for after in [false, true] {
                let lived = live(prune, Process::failing(LATENCY, effect, after)).await;
                let unlike = lived.unlike(&undisturbed);
                troubles.extend(unlike.map(|it| format!("{prune:?} {effect} ({what}), after: {after}: {it}")));
            }
        }
    }
    none(&troubles);
}

#[tokio::test(start_paused = true)]
async fn a_second_process_that_dies_soon_after_the_first_changes_nothing() {
    let undisturbed = live(Prune::Owned, Process::with_latency(LATENCY)).await;
    let mut troubles = Vec::new();
    for (effect, what) in undisturbed.process.effects().iter().enumerate() {
        for moment in Moment::ALL {
            for heirs in 0..8 {
                let heir = Process::fated(LATENCY, heirs, moment);
                let lived = live_on(Prune::Owned, Process::fated(LATENCY, effect, moment), vec![heir]).await;
                let unlike = lived.unlike(&undisturbed);
                troubles.extend(unlike.map(|it| format!("{moment:?} {effect} ({what}), then {heirs}: {it}")));
            }
        }
    }
    none(&troubles);
}

#[tokio::test(start_paused = true)]
async fn processes_that_die_young_bring_a_life_to_its_end_together() {
    for age in [12, 17, 25] {
        let world = World::new();
        world.strangers(["stranger"]);
        world.create("care/main", ["a", "b", "c"], |spec| {
            spec.prune = Prune::Owned;
            spec.deletion_policy = DeletionPolicy::Delete;
        });
        let mut step = 0;
        for life in 0..200 {
            let process = Process::fated(LATENCY, age + life % 3, Moment::ALL[life % 3]);
            let mut operator = Operator::start_as(&world, Options::default(), process);
            let died = operator.live_or_die(Instant::now() + Duration::from_mins(1)).await;
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
