//! What would the operator do, once the resources of a scene are in force?

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::{self, StreamExt as _};

use super::cost::Bill;
use super::plan::{self, Change, Conflict, Counts, Plan, ResourcePlan, Stay, Waiting};
use super::scene::{Member, Scene};
use crate::api::{MemberList, Mode, Prune};
use crate::chime::port::Service;
use crate::chime::rate_limit::Rates;
use crate::engine::Engine;
use crate::engine::dry_run::{DryRun, PriorState};
use crate::engine::resource::Resource;
use crate::engine::session::Session;
use crate::membership::arn::{ChannelArn, display_name};
use crate::membership::member_set::NameSet;

/// So many channels are looked at at once: more than a pacer lets call, so that it has something to choose from.
const CHANNELS_AT_ONCE: usize = 128;

/// What waits may become possible by what another resource of the channel does; so often it is looked after.
const MAX_ROUNDS: usize = 4;

/// The plan of a scene. `progress` hears how many of all channels are done; `rates` are those of the operator that would carry it out.
///
/// Channels are looked at side by side, as fast as the engine's pace allows. One that cannot be read ends nothing but its own resources.
pub async fn plan<S: Service>(
    engine: &Engine<S>,
    scene: &Scene,
    rates: &Rates,
    mut progress: impl FnMut(usize, usize),
) -> Plan {
    let mut channels: BTreeMap<&str, Vec<&Member>> = BTreeMap::new();
    for member in scene.new.values() {
        channels.entry(member.object.channel()).or_default().push(member);
    }
    channels.retain(|_, members| members.iter().any(|member| member.change.is_some()));
    let mut before: BTreeMap<&str, Vec<Resource>> = BTreeMap::new();
    for object in scene.old.values().filter(|object| channels.contains_key(object.channel())) {
        before.entry(object.channel()).or_default().push(object.last_seen());
    }
    let all = channels.len();
    let looks = channels.iter().map(|(channel, members)| {
        let before = before.get(channel).map(Vec::as_slice).unwrap_or_default();
        look(engine, channel, members, (scene.before != plan::Before::Unknown).then_some(before))
    });
    let mut looks = stream::iter(looks).buffer_unordered(CHANNELS_AT_ONCE);
    let (mut bill, mut resources, mut done) = (Bill::default(), Vec::new(), 0);
    progress(done, all);
    while let Some(forecasts) = looks.next().await {
        for (member, forecast) in forecasts {
            bill.add(&forecast);
            resources.push(resource_plan(member, forecast));
        }
        done += 1;
        progress(done, all);
    }
    Plan::new(scene.before, remarks(scene), resources, bill.total(rates))
}

/// Looks at one channel, for all of its resources; `before` are those that stood there, if that is known.
async fn look<'a, S: Service>(
    engine: &Engine<S>,
    channel: &str,
    members: &[&'a Member],
    before: Option<&[Resource]>,
) -> Vec<(&'a Member, DryRun)> {
    // Nobody stood on a channel that cannot be read.
    let stood =
        |before| ChannelArn::parse(channel).map(|channel| engine.declarers_among(&channel, before)).unwrap_or_default();
    let stood = before.map(stood);
    let before = stood.as_ref().map_or(PriorState::Unknown, PriorState::Known);
    let mut memories: Vec<Session> = members.iter().map(|_| Session::default()).collect();
    for (member, memory) in members.iter().zip(&mut memories) {
        engine.register(&member.object.resource(), memory, Arc::new(|| ()));
    }
    let mut concerned: Vec<_> =
        members.iter().zip(&mut memories).filter(|(member, _)| member.change.is_some()).collect();
    let mut forecasts: Vec<DryRun> = Vec::new();
    // One after the other: whoever is added by one is there for the next.
    for (member, memory) in &mut concerned {
        forecasts.push(engine.dry_run(&member.object.resource(), memory, before).await);
    }
    for _ in 0..MAX_ROUNDS {
        let mut moved = false;
        for ((member, memory), forecast) in concerned.iter_mut().zip(&mut forecasts) {
            if forecast.may_change() {
                let again = engine.dry_run(&member.object.resource(), memory, before).await;
                moved |= forecast.extend(again);
            }
        }
        if !moved {
            break;
        }
    }
    concerned.into_iter().map(|(member, _)| *member).zip(forecasts).collect()
}

fn list(names: &NameSet) -> MemberList {
    names.iter().map(display_name).collect()
}

fn resource_plan(member: &Member, forecast: DryRun) -> ResourcePlan {
    let (object, spec) = (&member.object, member.object.spec.as_ref().ok());
    let change = member.change.unwrap_or(Change::Unchanged);
    let counts =
        forecast.counts.map(|it| Counts { desired: it.desired, present: it.present, undeclared: it.undeclared });
    let stays =
        forecast.kept.iter().map(|(name, reason)| Stay { member: display_name(name).to_owned(), reason: *reason });
    let mut remarks = Vec::new();
    if let Some(spec) = spec {
        if spec.suspend {
            remarks.push("spec.suspend is true: its channel is not looked at, and nothing is changed".to_owned());
        } else if spec.mode == Mode::Observe {
            remarks.push("mode: Observe: nothing is changed".to_owned());
        }
    }
    if change == Change::Deleted && forecast.counts.is_none() && forecast.error.is_none() && forecast.invalid.is_none()
    {
        remarks.push("it is deleted and declares no members any more; its members stay in the channel".to_owned());
    }
    ResourcePlan {
        resource: object.full_name().to_owned(),
        place: member.place.as_ref().map(ToString::to_string),
        change,
        channel_arn: object.channel().to_owned(),
        membership_type: spec.map(|spec| spec.membership_type).unwrap_or_default(),
        bearer: forecast.target.as_ref().map(|target| target.bearer.as_str().to_owned()),
        prune: spec.map(|spec| spec.prune).unwrap_or_default(),
        counts,
        add: list(&forecast.add),
        remove: list(&forecast.remove),
        at_most: forecast.at_most,
        pending_approval: forecast.pending_approval,
        waiting: forecast.waiting.map(|(names, why)| Waiting { members: list(&names), why }),
        stays: stays.collect(),
        problems: forecast.errors,
        conflict: forecast.invalid.map(|(reason, message)| Conflict { reason, message }),
        error: forecast.error.map(|error| format!("{error}: {}", forecast.next_step.unwrap_or_default())),
        remarks,
    }
}

/// What was not seen and may make a difference.
fn remarks(scene: &Scene) -> Vec<String> {
    let removes = |member: &Member| member.object.spec.as_ref().is_ok_and(|spec| spec.prune != Prune::Never);
    if !scene.concerned().any(removes) {
        return Vec::new();
    }
    let remarks: &[&str] = match scene.before {
        plan::Before::Cluster => &[],
        plan::Before::State => &["resources that are not in the state were not seen: whom they declare stays"],
        plan::Before::Manifests => &[
            "resources outside of these folders were not seen: whom they declare stays",
            "what was removed in the last 24 hours was not seen: it counts against limits.removals",
        ],
        plan::Before::Unknown => &[
            "what the resources declared before was not seen, so removals are at most those shown: give --with-cluster, --state or --base",
            "other resources of these channels were not seen: whom they declare stays",
            "what limits.removals would hold is not known",
        ],
    };
    remarks.iter().map(|&remark| remark.to_owned()).collect()
}
