//! `rollcall apply`, killed at any effect and run again, ends as an undisturbed run does and
//! removes no member that should stay.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::harness::ApplyHarness;
use crate::api::{DeletionPolicy, Prune, Tolerance};
use crate::engine::tests::operator::LATENCY;
use crate::engine::tests::process::{Moment, Process};
use crate::engine::tests::world::Move;
use crate::offline::scheduler::End;

/// The time after which a new member no longer counts as new.
const BETWEEN: Duration = Duration::from_mins(20);

/// The members with the bearers that added them, and the status of each resource.
type FinalState = (BTreeMap<String, String>, BTreeMap<String, Vec<String>>);

fn final_state(harness: &ApplyHarness) -> FinalState {
    let members = harness.service.support().with(|channel| channel.invited_by.clone());
    let resources = harness.state().memberships.into_iter().map(|it| {
        let (metadata, status) = (it.object.metadata, it.object.status.unwrap_or_default());
        let mut told = vec![format!("{:?} {:?}", metadata.finalizers, metadata.generation)];
        told.extend(status.conditions.iter().map(|c| format!("{}={} {}", c.type_, c.status, c.reason)));
        told.push(format!("{:?} {:?} {:?}", status.desired, status.present, status.last_declared));
        told.push(format!("{:?} {:?}", status.pending_approval, status.removed.map(|removed| removed.count)));
        (metadata.name.unwrap_or_default(), told)
    });
    (members, resources.collect())
}

/// Runs apply. After a kill it runs again, and once more when no member counts as new.
async fn run(harness: &ApplyHarness, first: &Process) {
    for process in [first.clone(), Process::with_latency(LATENCY)] {
        let mut process = process;
        if process.is_dead() {
            process = Process::with_latency(LATENCY);
        }
        while harness.apply_as(process.clone(), &CancellationToken::new()).await != Some(End::AtRest) {
            process = Process::with_latency(LATENCY);
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

/// Two resources declare members. One is edited to add one member and drop two, and then leaves the
/// files.
async fn live(prune: Prune, process: &Process) -> (Vec<FinalState>, BTreeMap<Move, usize>) {
    let mut harness = ApplyHarness::new();
    harness.prune = true;
    harness.service.add_strangers(["old1", "old2", "stranger"]);
    tokio::time::sleep(BETWEEN).await;
    let main = |spec: &mut crate::api::ChannelMembershipSpec| {
        spec.prune = prune;
        spec.deletion_policy = if prune == Prune::Never { DeletionPolicy::Retain } else { DeletionPolicy::Delete };
        spec.limits.get_or_insert_default().removals = Some(Tolerance::Percent(100));
    };
    harness.write("care/main", ["old1", "old2", "new1", "new2"], main);
    harness.write("care/other", ["new2", "other1"], |spec| {
        spec.prune = if prune == Prune::Never { Prune::Never } else { Prune::Owned };
    });
    run(&harness, process).await;
    let mut states = vec![final_state(&harness)];
    harness.write("care/main", ["old2", "new2", "new3"], main);
    run(&harness, process).await;
    states.push(final_state(&harness));
    harness.files.remove("care/main");
    run(&harness, process).await;
    states.push(final_state(&harness));
    let mut moved = BTreeMap::new();
    for who in harness.service.moves() {
        *moved.entry(who).or_default() += 1;
    }
    (states, moved)
}

async fn assert_same_end_after_any_kill(prune: Prune, stay: &[&str]) {
    let process = Process::with_latency(LATENCY);
    let undisturbed = live(prune, &process).await;
    let effects = process.effects();
    let there: Vec<&str> = undisturbed.0[2].0.keys().map(|arn| arn.rsplit('/').next().unwrap()).collect();
    assert_eq!(there, stay, "{effects:#?}");
    assert!(effects.len() > 10, "{effects:#?}");
    assert!(undisturbed.1.values().all(|times| *times == 1), "{:?}", undisturbed.1);
    for (effect, what) in effects.iter().enumerate() {
        for moment in Moment::ALL {
            let lived = live(prune, &Process::killed_at(LATENCY, effect, moment)).await;
            assert_eq!(lived, undisturbed, "{moment:?} {effect} ({what})");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn killed_run_without_removals_ends_as_if_undisturbed() {
    assert_same_end_after_any_kill(Prune::Never, &["new1", "new2", "new3", "old1", "old2", "other1", "stranger"]).await;
}

#[tokio::test(start_paused = true)]
async fn killed_run_that_removes_owned_members_ends_as_if_undisturbed() {
    assert_same_end_after_any_kill(Prune::Owned, &["new2", "old1", "old2", "other1", "stranger"]).await;
}

#[tokio::test(start_paused = true)]
async fn killed_run_that_removes_declared_members_ends_as_if_undisturbed() {
    assert_same_end_after_any_kill(Prune::Declared, &["new2", "other1", "stranger"]).await;
}

#[tokio::test(start_paused = true)]
async fn killed_run_that_removes_all_others_ends_as_if_undisturbed() {
    assert_same_end_after_any_kill(Prune::Authoritative, &["new2", "other1"]).await;
}
