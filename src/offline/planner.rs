//! The plan of a change set: what the operator would do with its resources.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::{self, StreamExt as _};

use super::change_set::{ChangeSet, ChangeSetEntry};
use super::cost::CostEstimate;
use super::plan::{self, Change, Conflict, Counts, Plan, ResourcePlan, Stay, WaitingMembers};
use crate::api::{MemberList, Mode, Prune};
use crate::chime::port::Service;
use crate::chime::rate_limit::Rates;
use crate::engine::Engine;
use crate::engine::dry_run::{DryRun, PriorState};
use crate::engine::resource::Resource;
use crate::engine::session::Session;
use crate::membership::arn::{ChannelArn, display_name};
use crate::membership::member_set::NameSet;

/// How many channels are planned at once: more than the rate limiter lets call, so that it can
/// choose.
const CHANNELS_AT_ONCE: usize = 128;

/// The most rounds over a channel: a blocked removal may become possible through another resource
/// of the channel.
const MAX_ROUNDS: usize = 4;

/// Plans a change set. `progress` gets how many of all channels are done. `rates` are those of the
/// operator that would do it.
///
/// Channels are planned in parallel, as fast as the engine's rate limiter allows. A channel that
/// cannot be read stops its own resources only.
pub async fn plan<S: Service>(
    engine: &Engine<S>,
    change_set: &ChangeSet,
    rates: &Rates,
    mut progress: impl FnMut(usize, usize),
) -> Plan {
    let mut channels: BTreeMap<&str, Vec<&ChangeSetEntry>> = BTreeMap::new();
    for entry in change_set.new.values() {
        channels.entry(entry.object.channel()).or_default().push(entry);
    }
    channels.retain(|_, entries| entries.iter().any(|entry| entry.change.is_some()));
    let mut before: BTreeMap<&str, Vec<Resource>> = BTreeMap::new();
    for object in change_set.old.values().filter(|object| channels.contains_key(object.channel())) {
        before.entry(object.channel()).or_default().push(object.last_seen());
    }
    let all = channels.len();
    let planned = channels.iter().map(|(channel, entries)| {
        let before = before.get(channel).map(Vec::as_slice).unwrap_or_default();
        plan_channel(engine, channel, entries, (change_set.before != plan::Before::Unknown).then_some(before))
    });
    let mut planned = stream::iter(planned).buffer_unordered(CHANNELS_AT_ONCE);
    let (mut cost, mut resources, mut done) = (CostEstimate::default(), Vec::new(), 0);
    progress(done, all);
    while let Some(dry_runs) = planned.next().await {
        for (entry, dry_run) in dry_runs {
            cost.add(&dry_run);
            resources.push(resource_plan(entry, dry_run));
        }
        done += 1;
        progress(done, all);
    }
    Plan::new(change_set.before, remarks(change_set), resources, cost.total(rates))
}

/// Plans one channel for all of its resources. `before` are the resources that were declared there
/// before, if known.
async fn plan_channel<'a, S: Service>(
    engine: &Engine<S>,
    channel: &str,
    entries: &[&'a ChangeSetEntry],
    before: Option<&[Resource]>,
) -> Vec<(&'a ChangeSetEntry, DryRun)> {
    // A channel whose ARN cannot be read had no declarers.
    let declarers_before =
        |before| ChannelArn::parse(channel).map(|channel| engine.declarers_among(&channel, before)).unwrap_or_default();
    let prior = before.map(declarers_before);
    let before = prior.as_ref().map_or(PriorState::Unknown, PriorState::Known);
    let mut sessions: Vec<Session> = entries.iter().map(|_| Session::default()).collect();
    for (entry, session) in entries.iter().zip(&mut sessions) {
        engine.register(&entry.object.resource(), session, Arc::new(|| ()));
    }
    let mut affected: Vec<_> = entries.iter().zip(&mut sessions).filter(|(entry, _)| entry.change.is_some()).collect();
    let mut dry_runs: Vec<DryRun> = Vec::new();
    // The resources run in turn: a member that one adds is present for the next.
    for (entry, session) in &mut affected {
        dry_runs.push(engine.dry_run(&entry.object.resource(), session, before).await);
    }
    for _ in 0..MAX_ROUNDS {
        let mut changed = false;
        for ((entry, session), dry_run) in affected.iter_mut().zip(&mut dry_runs) {
            if dry_run.may_change() {
                let again = engine.dry_run(&entry.object.resource(), session, before).await;
                changed |= dry_run.extend(again);
            }
        }
        if !changed {
            break;
        }
    }
    affected.into_iter().map(|(entry, _)| *entry).zip(dry_runs).collect()
}

fn list(names: &NameSet) -> MemberList {
    names.iter().map(display_name).collect()
}

fn resource_plan(entry: &ChangeSetEntry, dry_run: DryRun) -> ResourcePlan {
    let (object, spec) = (&entry.object, entry.object.spec.as_ref().ok());
    let change = entry.change.unwrap_or(Change::Unchanged);
    let counts =
        dry_run.counts.map(|it| Counts { desired: it.desired, present: it.present, undeclared: it.undeclared });
    let stays =
        dry_run.kept.iter().map(|(name, reason)| Stay { member: display_name(name).to_owned(), reason: *reason });
    let mut remarks = Vec::new();
    if let Some(spec) = spec {
        if spec.suspend {
            remarks.push("spec.suspend is true: its channel is not read, and nothing changes".to_owned());
        } else if spec.mode == Mode::Observe {
            remarks.push("mode: Observe: nothing changes".to_owned());
        }
    }
    if change == Change::Deleted && dry_run.counts.is_none() && dry_run.error.is_none() && dry_run.invalid.is_none() {
        remarks.push("the resource is deleted and declares no members; its members stay in the channel".to_owned());
    }
    ResourcePlan {
        resource: object.full_name().to_owned(),
        place: entry.place.as_ref().map(ToString::to_string),
        change,
        channel_arn: object.channel().to_owned(),
        membership_type: spec.map(|spec| spec.membership_type).unwrap_or_default(),
        bearer: dry_run.target.as_ref().map(|target| target.bearer.as_str().to_owned()),
        prune: spec.map(|spec| spec.prune).unwrap_or_default(),
        counts,
        add: list(&dry_run.add),
        remove: list(&dry_run.remove),
        at_most: dry_run.at_most,
        pending_approval: dry_run.pending_approval,
        waiting: dry_run.waiting.map(|(names, why)| WaitingMembers { members: list(&names), why }),
        stays: stays.collect(),
        problems: dry_run.errors,
        conflict: dry_run.invalid.map(|(reason, message)| Conflict { reason, message }),
        error: dry_run.error.map(|error| format!("{error}: {}", dry_run.next_step.unwrap_or_default())),
        remarks,
    }
}

/// Lists the facts that were not read and may make a difference.
fn remarks(change_set: &ChangeSet) -> Vec<String> {
    let removes = |entry: &ChangeSetEntry| entry.object.spec.as_ref().is_ok_and(|spec| spec.prune != Prune::Never);
    if !change_set.affected().any(removes) {
        return Vec::new();
    }
    let remarks: &[&str] = match change_set.before {
        plan::Before::Cluster => &[],
        plan::Before::State => &["resources that are not in the state were not read: the members they declare stay"],
        plan::Before::Manifests => &[
            "resources outside these folders were not read: the members they declare stay",
            "removals of the last 24 hours were not read: they count against limits.removals",
        ],
        plan::Before::Unknown => &[
            "what the resources declared before was not read, so removals are at most those shown: give --with-cluster, --state or --base",
            "other resources of these channels were not read: the members they declare stay",
            "the effect of limits.removals is unknown",
        ],
    };
    remarks.iter().map(|&remark| remark.to_owned()).collect()
}
