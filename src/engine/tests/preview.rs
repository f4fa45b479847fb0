//! Does a preview say what passes will do, and does it do nothing itself?

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use super::cluster::{Cluster, Object};
use super::fake::{Fault, INSTANCE, user, users};
use super::operator::{LATENCY, Operator, Options};
use super::process::Process;
use super::world::{World, spec};
use crate::api::{
    APPROVE, ApprovalReason, DeletionPolicy, KeepReason, Limits, MembershipType, Mode, Prune, Reason, SourceRef,
};
use crate::chime::client::Client;
use crate::chime::port::{CallErrorClass, Operation};
use crate::chime::rate_limit::{RateLimiter, Rates};
use crate::engine::Engine;
use crate::engine::dry_run::{DryRun, PriorState};
use crate::engine::resource::{Resource, Source};
use crate::engine::session::Session;
use crate::membership::arn::ChannelArn;
use crate::membership::member_set::NameSet;

const MINUTE: Duration = Duration::from_mins(1);
const MAIN: &str = "care/main";
const TEAM: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

type Objects = BTreeMap<String, Arc<Object>>;

fn sources(cluster: &Cluster, object: &Object) -> Vec<Source> {
    cluster.sources(object.namespace(), &object.spec.members_from)
}

/// What would become of all resources of a world, that stood like `before`. Whatever a preview might change is as it was.
async fn foresee(world: &World, before: Option<&Objects>) -> BTreeMap<String, DryRun> {
    let options = Options::with(|settings| settings.allow_authoritative = true);
    let client = Client::new(
        Arc::new(world.port(&Process::with_latency(LATENCY))),
        Arc::new(RateLimiter::new(Rates::UNLIMITED, NonZeroU16::MAX)),
    );
    let engine = Engine::new(client, options.settings, world.clock, CancellationToken::new());
    let (objects, moves) = (world.cluster.objects(), world.moves());
    let sources: Vec<Vec<Source>> = objects.values().map(|object| sources(&world.cluster, object)).collect();
    let mut memories: Vec<Session> = objects.iter().map(|_| Session::default()).collect();
    for ((object, sources), memory) in objects.values().zip(&sources).zip(&mut memories) {
        engine.register(&object.resource(sources), memory, std::sync::Arc::new(|| ()));
    }
    let snapshots: Vec<Resource> = before
        .into_iter()
        .flatten()
        .map(|(_, object)| object.resource(&self::sources(&world.cluster, object)))
        .collect();
    let previews = objects.values().zip(&sources).zip(&mut memories).map(|((object, sources), memory)| {
        let channel = ChannelArn::parse(&object.spec.channel_arn);
        let stood =
            before.map(|_| channel.map(|channel| engine.declarers_among(&channel, &snapshots)).unwrap_or_default());
        let engine = &engine;
        async move {
            let before = stood.as_ref().map_or(PriorState::Unknown, PriorState::Known);
            (object.resource.clone(), engine.dry_run(&object.resource(sources), memory, before).await)
        }
    });
    let forecasts = join_all(previews).await;
    assert_eq!(world.moves(), moves);
    assert_eq!(world.cluster.objects(), objects);
    forecasts.into_iter().collect()
}

/// People who are `care/main`'s since a while, as an operator left it.
async fn settled(members: impl IntoIterator<Item = impl AsRef<str>>, prune: Prune) -> (World, Objects) {
    let world = World::new();
    world.create(MAIN, members, |spec| spec.prune = prune);
    settle(world).await
}

async fn settle(world: World) -> (World, Objects) {
    let mut operator = Operator::start_with(&world, Options::with(|settings| settings.allow_authoritative = true));
    operator.live(MINUTE * 15).await;
    operator.kill().await;
    let objects = world.cluster.objects();
    (world, objects)
}

async fn main(world: &World, before: &Objects) -> DryRun {
    foresee(world, Some(before)).await.remove(MAIN).unwrap()
}

fn ids(names: &NameSet) -> Vec<&str> {
    names.iter().map(|name| name.strip_prefix("user/").unwrap_or(name)).collect()
}

fn reasons(forecast: &DryRun) -> Vec<ApprovalReason> {
    forecast.pending_approval.as_ref().map(|pending| pending.reasons.clone()).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn who_is_added_and_removed_is_named_and_nothing_is_done() {
    for prune in [Prune::Owned, Prune::Declared, Prune::Authoritative] {
        let (world, before) = settled(TEAM, prune).await;
        let (adds, deletes) = (world.adds().len(), world.deletes().len());
        world.cluster.declare(MAIN, ["alice", "bob", "carol", "dave", "frank"]);
        let forecast = main(&world, &before).await;
        assert_eq!((ids(&forecast.add), ids(&forecast.remove)), (vec!["frank"], vec!["erin"]), "{prune:?}");
        assert!(forecast.pending_approval.is_none() && forecast.waiting.is_none() && !forecast.at_most);
        let standing = forecast.counts.unwrap();
        assert_eq!((standing.desired, standing.present, standing.undeclared, standing.pages), (5, 4, 1, 1));
        assert_eq!((world.adds().len(), world.deletes().len()), (adds, deletes));
    }
}

#[tokio::test(start_paused = true)]
async fn who_never_removes_is_not_foreseen_to() {
    let (world, before) = settled(TEAM, Prune::Never).await;
    world.cluster.declare(MAIN, ["alice"]);
    let forecast = main(&world, &before).await;
    assert!(forecast.remove.is_empty() && forecast.pending_approval.is_none() && forecast.waiting.is_none());
    assert!(!foresee(&world, None).await[MAIN].at_most, "that is proven of whoever removes nobody");
}

#[tokio::test(start_paused = true)]
async fn a_plan_over_its_limit_awaits_approval_with_the_hash_the_operator_will_ask_for() {
    let world = World::new();
    world.create(MAIN, users(20), |spec| {
        spec.prune = Prune::Owned;
        spec.limits = Some(Limits { additions: Some(1), ..Limits::default() });
    });
    // A member that is already present needs no approval.
    world.strangers(users(1));
    world.cluster.edit(MAIN, |spec| spec.limits = None);
    let (world, before) = settle(world).await;
    world.cluster.declare(MAIN, users(25).into_iter().skip(10));
    world.cluster.edit(MAIN, |spec| spec.limits = Some(Limits { additions: Some(1), ..Limits::default() }));
    let forecast = main(&world, &before).await;
    assert!(forecast.add.is_empty() && forecast.remove.is_empty());
    let pending = forecast.pending_approval.clone().unwrap();
    assert_eq!((pending.additions, pending.removals), (5, 10));
    assert_eq!(reasons(&forecast), [ApprovalReason::TooManyAdditions, ApprovalReason::TooManyRemovals]);

    let (world, before) = settle(world).await;
    assert_eq!(world.cluster.status(MAIN).pending_approval.as_ref(), Some(&pending));
    world.cluster.annotate(MAIN, APPROVE, &pending.hash);
    let forecast = main(&world, &before).await;
    assert_eq!((forecast.add.len(), forecast.remove.len()), (5, 9), "one is a stranger's");
    assert!(forecast.pending_approval.is_none() && forecast.waiting.is_none());
    assert_eq!(forecast.kept, [("user/u00000".into(), KeepReason::NotOwned)]);
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_nobody_was_asked_for_lets_nothing_through() {
    let (world, before) = settled(TEAM, Prune::Owned).await;
    world.cluster.declare(MAIN, ["alice"]);
    let hash = main(&world, &before).await.pending_approval.unwrap().hash;
    world.cluster.annotate(MAIN, APPROVE, &hash);
    let forecast = main(&world, &before).await;
    assert!(forecast.remove.is_empty() && forecast.pending_approval.is_some());
}

#[tokio::test(start_paused = true)]
async fn the_waits_for_people_are_told_by_their_reasons() {
    let (world, before) = settled(TEAM, Prune::Owned).await;
    world.cluster.declare(MAIN, [""; 0]);
    assert_eq!(
        reasons(&main(&world, &before).await),
        [ApprovalReason::TooManyRemovals, ApprovalReason::NoMembersDeclared]
    );
    // The same list, but nobody changed it.
    world.cluster.update(MAIN, |object| {
        (object.generation, object.spec) = (before[MAIN].generation, spec(["alice", "bob", "carol", "dave"]));
        object.spec.prune = Prune::Owned;
    });
    assert_eq!(reasons(&main(&world, &before).await), [ApprovalReason::ShrankUnchanged]);
}

#[tokio::test(start_paused = true)]
async fn whom_another_resource_declares_stays_and_whose_last_declarer_is_deleted_waits() {
    let world = World::new();
    world.create(MAIN, TEAM, |spec| spec.prune = Prune::Owned);
    world.create("care/other", ["erin"], |_| {});
    let (world, _) = settle(world).await;
    world.cluster.declare(MAIN, ["alice", "bob", "carol", "dave"]);
    let (world, before) = settle(world).await;
    let forecast = main(&world, &before).await;
    assert!(forecast.remove.is_empty() && forecast.pending_approval.is_none(), "another declares her");
    let with_other = world.cluster.get("care/other");
    world.cluster.declare("care/other", ["alice"]);
    assert_eq!(ids(&main(&world, &before).await.remove), ["erin"], "that was an edit");
    world.cluster.update("care/other", |object| *object = (*with_other).clone());
    world.cluster.delete("care/other");
    assert_eq!(reasons(&main(&world, &before).await), [ApprovalReason::DeclarerGone]);
}

#[tokio::test(start_paused = true)]
async fn who_stays_is_told_with_the_reason() {
    let (world, before) = settled(TEAM, Prune::Declared).await;
    world.support().with(|channel| {
        channel.moderators.insert(user("erin"));
        channel.join(&format!("{INSTANCE}/bot/helper"), &user("somebody"), world.clock.now());
    });
    world.cluster.declare(MAIN, ["alice", "bob", "carol", "dave"]);
    assert_eq!(main(&world, &before).await.kept, [("user/erin".into(), KeepReason::Moderator)]);

    let (world, before) = settled(TEAM, Prune::Owned).await;
    world.support().with(|channel| channel.invited_by.insert(user("erin"), user("somebody")));
    world.cluster.declare(MAIN, ["alice", "bob", "carol", "dave"]);
    let forecast = main(&world, &before).await;
    assert_eq!((forecast.remove.len(), &*forecast.kept), (0, &[("user/erin".into(), KeepReason::NotOwned)][..]));
}

#[tokio::test(start_paused = true)]
async fn whoever_was_never_declared_goes_without_a_second_look_but_not_lately_joined() {
    let (world, before) = settled(TEAM, Prune::Authoritative).await;
    world.support().with(|channel| {
        channel.join(&user("old"), &user("somebody"), world.clock.now().checked_sub(MINUTE * 11).unwrap());
        channel.join(&user("young"), &user("somebody"), world.clock.now());
    });
    let forecast = main(&world, &before).await;
    assert_eq!(ids(&forecast.remove), ["old"]);
    assert_eq!(forecast.kept, [("user/young".into(), KeepReason::JoinedLately)]);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_known_of_before_removals_are_at_most_those_whom_rollcall_added() {
    let (world, _) = settled(TEAM, Prune::Owned).await;
    world.strangers(["zoe"]);
    world.cluster.declare(MAIN, ["alice"]);
    world.cluster.update(MAIN, |object| object.status = None);
    let forecast = foresee(&world, None).await.remove(MAIN).unwrap();
    assert_eq!((forecast.at_most, ids(&forecast.remove)), (true, vec!["bob", "carol", "dave", "erin"]));
    assert!(forecast.pending_approval.is_none() && forecast.waiting.is_none());
    let looks = world.calls(Operation::DescribeChannelMembership);
    world.strangers(users(700));
    let forecast = foresee(&world, None).await.remove(MAIN).unwrap();
    assert_eq!(forecast.remove.len(), 705, "too many to look at each");
    assert_eq!(world.calls(Operation::DescribeChannelMembership), looks);
}

#[tokio::test(start_paused = true)]
async fn while_it_is_not_known_whom_somebody_declares_removals_wait_for_that() {
    let world = World::new();
    world.create(MAIN, TEAM, |spec| spec.prune = Prune::Owned);
    world.create("care/other", ["alice"], |_| {});
    let (world, before) = settle(world).await;
    world.cluster.declare(MAIN, ["alice", "bob", "carol", "dave"]);
    let on_call: SourceRef =
        serde_json::from_str(r#"{"configMapKeyRef": {"name": "on-call", "key": "members"}}"#).unwrap();
    world.cluster.edit("care/other", |spec| spec.members_from = vec![on_call]);
    let mut forecasts = foresee(&world, Some(&before)).await;
    let (waiting, why) = forecasts.remove(MAIN).unwrap().waiting.unwrap();
    assert_eq!(ids(&waiting), ["erin"]);
    assert!(why.contains("care/other") && why.contains("on-call"), "{why}");
    assert_eq!(forecasts["care/other"].invalid.as_ref().unwrap().0, Reason::SourceNotReady);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_resource_removes_whom_its_deletion_policy_asks_for() {
    for (policy, removed) in [(DeletionPolicy::Delete, 5), (DeletionPolicy::Retain, 0)] {
        let world = World::new();
        world.create(MAIN, TEAM, |spec| (spec.prune, spec.deletion_policy) = (Prune::Owned, policy));
        let (world, before) = settle(world).await;
        // One that stays as long as a finalizer is on it.
        world.cluster.update(MAIN, |object| object.finalizers.push("example.com/other".to_owned()));
        world.cluster.delete(MAIN);
        let forecast = main(&world, &before).await;
        assert_eq!((forecast.add.len(), forecast.remove.len()), (0, removed), "{policy:?}");
        world.cluster.annotate(MAIN, crate::api::RELEASE, "true");
        assert!(main(&world, &before).await.remove.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn who_only_looks_or_is_suspended_changes_nothing() {
    let (world, before) = settled(TEAM, Prune::Owned).await;
    world.cluster.declare(MAIN, ["frank"]);
    world.cluster.edit(MAIN, |spec| spec.mode = Mode::Observe);
    let forecast = main(&world, &before).await;
    assert!(forecast.add.is_empty() && forecast.remove.is_empty() && forecast.pending_approval.is_none());
    assert_eq!(forecast.counts.unwrap().present, 0);
    let listings = world.calls(Operation::ListChannelMemberships);
    world.cluster.edit(MAIN, |spec| spec.suspend = true);
    assert!(main(&world, &before).await.counts.is_none());
    assert_eq!(world.calls(Operation::ListChannelMemberships), listings);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_keeps_failing_is_given_up_and_one_that_is_refused_is_told() {
    let (world, before) = settled(TEAM, Prune::Owned).await;
    let fault = || Fault::Before(CallErrorClass::Transient, "ServiceFailure");
    world.support().with(|channel| channel.faults.extend((0..4).map(|_| fault())));
    assert!(main(&world, &before).await.error.is_none(), "it passes at last");
    world.support().with(|channel| channel.faults.extend((0..50).map(|_| fault())));
    assert_eq!(main(&world, &before).await.error.unwrap().code, "ServiceFailure");
    world.support().with(|channel| channel.faults.clear());
    world.refuse_all(CallErrorClass::ChannelNotAccessible, "Forbidden");
    let forecast = main(&world, &before).await;
    assert_eq!((forecast.error.unwrap().code.as_str(), forecast.counts), ("Forbidden", None));
    world.allow();
    world.cluster.declare(MAIN, ["alice", "bob", "carol", "dave", "frank"]);
    world.deny(Operation::DescribeChannelMembership);
    let forecast = main(&world, &before).await;
    assert_eq!((ids(&forecast.add), forecast.remove.len()), (vec!["frank"], 0), "that much is known");
    assert_eq!(forecast.error.unwrap().operation, Operation::DescribeChannelMembership);
}

#[tokio::test(start_paused = true)]
async fn whom_an_older_resource_declares_with_the_other_type_is_not_added() {
    let world = World::new();
    world.create("care/a", ["alice"], |spec| spec.membership_type = MembershipType::Hidden);
    let (world, before) = settle(world).await;
    world.create(MAIN, ["alice", "bob"], |_| {});
    let forecast = main(&world, &before).await;
    assert_eq!(ids(&forecast.add), ["bob"]);
    assert_eq!(forecast.errors.len(), 1);
    assert_eq!(forecast.errors[0].error_code, "OwnershipConflict");
}

#[tokio::test(start_paused = true)]
async fn one_listing_serves_all_resources_of_a_channel() {
    let world = World::new();
    for n in 0..10 {
        world.create(&format!("care/r{n}"), ["alice"], |spec| spec.prune = Prune::Owned);
    }
    let (world, before) = settle(world).await;
    let calls = world.support().all_calls();
    foresee(&world, Some(&before)).await;
    assert_eq!(world.support().all_calls(), calls + 1);
}

#[tokio::test(start_paused = true)]
async fn members_of_an_elastic_channel_are_looked_for_in_its_sub_channels() {
    let world = World::new();
    world.support().with(|channel| {
        channel.elastic = true;
        for id in TEAM {
            channel.join(&user(id), &user("rollcall"), jiff::Timestamp::UNIX_EPOCH);
        }
        channel.sub_channels.insert("blue".to_owned(), TEAM.map(user).into());
    });
    world.create(MAIN, TEAM, |_| {});
    let forecast = main(&world, &Objects::new()).await;
    assert!(forecast.add.is_empty(), "{:?}", forecast.add);
    assert_eq!(forecast.counts.unwrap().present, 5);
}
