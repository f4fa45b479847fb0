//! Does `rollcall apply`, killed at any effect and run again, end where it would have ended, and remove nobody who should stay?

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use crate::api::{DeletionPolicy, Prune, Tolerance};
use crate::engine::tests::operator::LATENCY;
use crate::engine::tests::process::{Moment, Process};
use crate::engine::tests::world::Move;
use crate::offline::passes::End;

/// Long enough for newcomers to be none any more.
const BETWEEN: Duration = Duration::from_mins(20);

/// Who is in the channel and by whom, and what each resource says.
type Scene = (BTreeMap<String, String>, BTreeMap<String, Vec<String>>);

fn scene(desk: &Desk) -> Scene {
    let members = desk.service.support().with(|channel| channel.invited_by.clone());
    let resources = desk.state().memberships.into_iter().map(|it| {
        let (metadata, status) = (it.object.metadata, it.object.status.unwrap_or_default());
        let mut told = vec![format!("{:?} {:?}", metadata.finalizers, metadata.generation)];
        told.extend(status.conditions.iter().map(|c| format!("{}={} {}", c.type_, c.status, c.reason)));
        told.push(format!("{:?} {:?} {:?}", status.desired, status.present, status.last_declared));
        told.push(format!("{:?} {:?}", status.pending_approval, status.removed.map(|removed| removed.count)));
        (metadata.name.unwrap_or_default(), told)
    });
    (members, resources.collect())
}

/// It is run; killed, it is run again. And once more when newcomers are none any more.
async fn run(desk: &Desk, first: &Process) {
    for process in [first.clone(), Process::with_latency(LATENCY)] {
        let mut process = process;
        if process.is_dead() {
            process = Process::with_latency(LATENCY);
        }
        while desk.apply_as(process.clone(), &CancellationToken::new()).await != Some(End::AtRest) {
            process = Process::with_latency(LATENCY);
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

/// Two resources declare members; one is edited to add one and drop two; then it is not among the files any more.
async fn live(prune: Prune, process: &Process) -> (Vec<Scene>, BTreeMap<Move, usize>) {
    let mut desk = Desk::new();
    desk.prune = true;
    desk.service.add_strangers(["old1", "old2", "stranger"]);
    tokio::time::sleep(BETWEEN).await;
    let main = |spec: &mut crate::api::ChannelMembershipSpec| {
        spec.prune = prune;
        spec.deletion_policy = if prune == Prune::Never { DeletionPolicy::Retain } else { DeletionPolicy::Delete };
        spec.limits.get_or_insert_default().removals = Some(Tolerance::Percent(100));
    };
    desk.write("care/main", ["old1", "old2", "new1", "new2"], main);
    desk.write("care/other", ["new2", "other1"], |spec| {
        spec.prune = if prune == Prune::Never { Prune::Never } else { Prune::Owned };
    });
    run(&desk, process).await;
    let mut scenes = vec![scene(&desk)];
    desk.write("care/main", ["old2", "new2", "new3"], main);
    run(&desk, process).await;
    scenes.push(scene(&desk));
    desk.files.remove("care/main");
    run(&desk, process).await;
    scenes.push(scene(&desk));
    let mut moved = BTreeMap::new();
    for who in desk.service.moves() {
        *moved.entry(who).or_default() += 1;
    }
    (scenes, moved)
}

async fn whatever_effect_it_is_killed_at(prune: Prune, stay: &[&str]) {
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
async fn one_that_removes_nobody_ends_as_if_it_had_not_been_killed() {
    whatever_effect_it_is_killed_at(Prune::Never, &["new1", "new2", "new3", "old1", "old2", "other1", "stranger"])
        .await;
}

#[tokio::test(start_paused = true)]
async fn one_that_removes_whom_it_added_ends_as_if_it_had_not_been_killed() {
    whatever_effect_it_is_killed_at(Prune::Owned, &["new2", "old1", "old2", "other1", "stranger"]).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_removes_whom_it_declared_ends_as_if_it_had_not_been_killed() {
    whatever_effect_it_is_killed_at(Prune::Declared, &["new2", "other1", "stranger"]).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_removes_all_others_ends_as_if_it_had_not_been_killed() {
    whatever_effect_it_is_killed_at(Prune::Authoritative, &["new2", "other1"]).await;
}
