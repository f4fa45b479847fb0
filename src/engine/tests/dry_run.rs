//! A dry run predicts the changes of reconciles and makes none itself.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use super::cluster::{StoredObject, TestCluster};
use super::fake::{CallFault, INSTANCE, user, users};
use super::operator::{LATENCY, Options, TestOperator};
use super::process::Process;
use super::world::{TestWorld, spec};
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

type Objects = BTreeMap<String, Arc<StoredObject>>;

fn sources(cluster: &TestCluster, object: &StoredObject) -> Vec<Source> {
    cluster.sources(object.namespace(), &object.spec.members_from)
}

/// Makes a dry run of all resources, with the prior state `before`. Asserts that it changed
/// nothing.
async fn dry_run_all(world: &TestWorld, before: Option<&Objects>) -> BTreeMap<String, DryRun> {
    let options = Options::with(|settings| settings.allow_authoritative = true);
    let client = Client::new(
        Arc::new(world.service_port(&Process::with_latency(LATENCY))),
        Arc::new(RateLimiter::new(Rates::UNLIMITED, NonZeroU16::MAX)),
    );
    let engine = Engine::new(client, options.settings, world.clock, CancellationToken::new());
    let (objects, moves) = (world.cluster.objects(), world.moves());
    let sources: Vec<Vec<Source>> = objects.values().map(|object| sources(&world.cluster, object)).collect();
    let mut sessions: Vec<Session> = objects.iter().map(|_| Session::default()).collect();
    for ((object, sources), session) in objects.values().zip(&sources).zip(&mut sessions) {
        engine.register(&object.resource(sources), session, std::sync::Arc::new(|| ()));
    }
    let snapshots: Vec<Resource> = before
        .into_iter()
        .flatten()
        .map(|(_, object)| object.resource(&self::sources(&world.cluster, object)))
        .collect();
    let pending_runs = objects.values().zip(&sources).zip(&mut sessions).map(|((object, sources), session)| {
        let channel = ChannelArn::parse(&object.spec.channel_arn);
        let stood =
            before.map(|_| channel.map(|channel| engine.declarers_among(&channel, &snapshots)).unwrap_or_default());
        let engine = &engine;
        async move {
            let before = stood.as_ref().map_or(PriorState::Unknown, PriorState::Known);
            (object.resource.clone(), engine.dry_run(&object.resource(sources), session, before).await)
        }
    });
    let dry_runs = join_all(pending_runs).await;
    assert_eq!(world.moves(), moves);
    assert_eq!(world.cluster.objects(), objects);
    dry_runs.into_iter().collect()
}

/// Returns a world in which `care/main` has had its members for a while, and no operator runs any
/// more.
async fn settled_world(members: impl IntoIterator<Item = impl AsRef<str>>, prune: Prune) -> (TestWorld, Objects) {
    let world = TestWorld::new();
    world.create(MAIN, members, |spec| spec.prune = prune);
    settle_world(world).await
}

async fn settle_world(world: TestWorld) -> (TestWorld, Objects) {
    let mut operator = TestOperator::start_with(&world, Options::with(|settings| settings.allow_authoritative = true));
    operator.run_for(MINUTE * 15).await;
    operator.kill().await;
    let objects = world.cluster.objects();
    (world, objects)
}

async fn dry_run_main(world: &TestWorld, before: &Objects) -> DryRun {
    dry_run_all(world, Some(before)).await.remove(MAIN).unwrap()
}

fn short_names(names: &NameSet) -> Vec<&str> {
    names.iter().map(|name| name.strip_prefix("user/").unwrap_or(name)).collect()
}

fn approval_reasons(dry_run: &DryRun) -> Vec<ApprovalReason> {
    dry_run.pending_approval.as_ref().map(|pending| pending.reasons.clone()).unwrap_or_default()
}

for_each_prune!(dry_run_names_changes_without_making_them in [Owned, Declared, Authoritative]);
async fn dry_run_names_changes_without_making_them(prune: Prune) {
    let (world, before) = settled_world(TEAM, prune).await;
    let (adds, deletes) = (world.adds().len(), world.deletes().len());
    world.cluster.declare(MAIN, ["alice", "bob", "carol", "dave", "frank"]);
    let dry_run = dry_run_main(&world, &before).await;
    assert_eq!((short_names(&dry_run.add), short_names(&dry_run.remove)), (vec!["frank"], vec!["erin"]));
    assert!(dry_run.pending_approval.is_none() && dry_run.waiting.is_none() && !dry_run.at_most);
    let standing = dry_run.counts.unwrap();
    assert_eq!((standing.desired, standing.present, standing.undeclared, standing.pages), (5, 4, 1, 1));
    assert_eq!((world.adds().len(), world.deletes().len()), (adds, deletes));
}

#[tokio::test(start_paused = true)]
async fn dry_run_of_never_removes_no_member() {
    let (world, before) = settled_world(TEAM, Prune::Never).await;
    world.cluster.declare(MAIN, ["alice"]);
    let dry_run = dry_run_main(&world, &before).await;
    assert!(dry_run.remove.is_empty() && dry_run.pending_approval.is_none() && dry_run.waiting.is_none());
    assert!(
        !dry_run_all(&world, None).await[MAIN].at_most,
        "the result is exact for a resource that removes no member"
    );
}

#[tokio::test(start_paused = true)]
async fn dry_run_over_the_limit_has_the_hash_of_the_operator() {
    let world = TestWorld::new();
    world.create(MAIN, users(20), |spec| {
        spec.prune = Prune::Owned;
        spec.limits = Some(Limits { additions: Some(1), ..Limits::default() });
    });
    // A member that is already present needs no approval.
    world.add_strangers(users(1));
    world.cluster.edit(MAIN, |spec| spec.limits = None);
    let (world, before) = settle_world(world).await;
    world.cluster.declare(MAIN, users(25).into_iter().skip(10));
    world.cluster.edit(MAIN, |spec| spec.limits = Some(Limits { additions: Some(1), ..Limits::default() }));
    let dry_run = dry_run_main(&world, &before).await;
    assert!(dry_run.add.is_empty() && dry_run.remove.is_empty());
    let pending = dry_run.pending_approval.clone().unwrap();
    assert_eq!((pending.additions, pending.removals), (5, 10));
    assert_eq!(approval_reasons(&dry_run), [ApprovalReason::TooManyAdditions, ApprovalReason::TooManyRemovals]);

    let (world, before) = settle_world(world).await;
    assert_eq!(world.cluster.status(MAIN).pending_approval.as_ref(), Some(&pending));
    world.cluster.annotate(MAIN, APPROVE, &pending.hash);
    let dry_run = dry_run_main(&world, &before).await;
    assert_eq!((dry_run.add.len(), dry_run.remove.len()), (5, 9), "one member is not owned");
    assert!(dry_run.pending_approval.is_none() && dry_run.waiting.is_none());
    assert_eq!(dry_run.kept, [("user/u00000".into(), KeepReason::NotOwned)]);
}

#[tokio::test(start_paused = true)]
async fn dry_run_ignores_an_approval_that_was_not_requested() {
    let (world, before) = settled_world(TEAM, Prune::Owned).await;
    world.cluster.declare(MAIN, ["alice"]);
    let hash = dry_run_main(&world, &before).await.pending_approval.unwrap().hash;
    world.cluster.annotate(MAIN, APPROVE, &hash);
    let dry_run = dry_run_main(&world, &before).await;
    assert!(dry_run.remove.is_empty() && dry_run.pending_approval.is_some());
}

#[tokio::test(start_paused = true)]
async fn dry_run_names_the_reasons_for_approval() {
    let (world, before) = settled_world(TEAM, Prune::Owned).await;
    world.cluster.declare(MAIN, [""; 0]);
    assert_eq!(
        approval_reasons(&dry_run_main(&world, &before).await),
        [ApprovalReason::TooManyRemovals, ApprovalReason::NoMembersDeclared]
    );
    // The list shrinks without a new generation.
    world.cluster.update(MAIN, |object| {
        (object.generation, object.spec) = (before[MAIN].generation, spec(["alice", "bob", "carol", "dave"]));
        object.spec.prune = Prune::Owned;
    });
    assert_eq!(approval_reasons(&dry_run_main(&world, &before).await), [ApprovalReason::ShrankUnchanged]);
}

#[tokio::test(start_paused = true)]
async fn dry_run_keeps_members_of_other_declarers() {
    let world = TestWorld::new();
    world.create(MAIN, TEAM, |spec| spec.prune = Prune::Owned);
    world.create("care/other", ["erin"], |_| {});
    let (world, _) = settle_world(world).await;
    world.cluster.declare(MAIN, ["alice", "bob", "carol", "dave"]);
    let (world, before) = settle_world(world).await;
    let dry_run = dry_run_main(&world, &before).await;
    assert!(dry_run.remove.is_empty() && dry_run.pending_approval.is_none(), "another resource declares erin");
    let with_other = world.cluster.get("care/other");
    world.cluster.declare("care/other", ["alice"]);
    assert_eq!(short_names(&dry_run_main(&world, &before).await.remove), ["erin"], "an edit releases erin");
    world.cluster.update("care/other", |object| *object = (*with_other).clone());
    world.cluster.delete("care/other");
    assert_eq!(approval_reasons(&dry_run_main(&world, &before).await), [ApprovalReason::DeclarerGone]);
}

#[tokio::test(start_paused = true)]
async fn dry_run_names_kept_members_with_their_reason() {
    let (world, before) = settled_world(TEAM, Prune::Declared).await;
    world.support().with(|channel| {
        channel.moderators.insert(user("erin"));
        channel.join(&format!("{INSTANCE}/bot/helper"), &user("somebody"), world.clock.now());
    });
    world.cluster.declare(MAIN, ["alice", "bob", "carol", "dave"]);
    assert_eq!(dry_run_main(&world, &before).await.kept, [("user/erin".into(), KeepReason::Moderator)]);

    let (world, before) = settled_world(TEAM, Prune::Owned).await;
    world.support().with(|channel| channel.invited_by.insert(user("erin"), user("somebody")));
    world.cluster.declare(MAIN, ["alice", "bob", "carol", "dave"]);
    let dry_run = dry_run_main(&world, &before).await;
    assert_eq!((dry_run.remove.len(), &*dry_run.kept), (0, &[("user/erin".into(), KeepReason::NotOwned)][..]));
}

#[tokio::test(start_paused = true)]
async fn dry_run_keeps_a_foreign_member_that_joined_lately() {
    let (world, before) = settled_world(TEAM, Prune::Authoritative).await;
    world.support().with(|channel| {
        channel.join(&user("old"), &user("somebody"), world.clock.now().checked_sub(MINUTE * 11).unwrap());
        channel.join(&user("young"), &user("somebody"), world.clock.now());
    });
    let dry_run = dry_run_main(&world, &before).await;
    assert_eq!(short_names(&dry_run.remove), ["old"]);
    assert_eq!(dry_run.kept, [("user/young".into(), KeepReason::JoinedLately)]);
}

#[tokio::test(start_paused = true)]
async fn dry_run_without_prior_state_gives_an_upper_bound() {
    let (world, _) = settled_world(TEAM, Prune::Owned).await;
    world.add_strangers(["zoe"]);
    world.cluster.declare(MAIN, ["alice"]);
    world.cluster.update(MAIN, |object| object.status = None);
    let dry_run = dry_run_all(&world, None).await.remove(MAIN).unwrap();
    assert_eq!((dry_run.at_most, short_names(&dry_run.remove)), (true, vec!["bob", "carol", "dave", "erin"]));
    assert!(dry_run.pending_approval.is_none() && dry_run.waiting.is_none());
    let looks = world.calls(Operation::DescribeChannelMembership);
    world.add_strangers(users(700));
    let dry_run = dry_run_all(&world, None).await.remove(MAIN).unwrap();
    assert_eq!(dry_run.remove.len(), 705, "too many for a describe call each");
    assert_eq!(world.calls(Operation::DescribeChannelMembership), looks);
}

#[tokio::test(start_paused = true)]
async fn dry_run_removals_wait_for_unknown_declarers() {
    let world = TestWorld::new();
    world.create(MAIN, TEAM, |spec| spec.prune = Prune::Owned);
    world.create("care/other", ["alice"], |_| {});
    let (world, before) = settle_world(world).await;
    world.cluster.declare(MAIN, ["alice", "bob", "carol", "dave"]);
    let on_call: SourceRef =
        serde_json::from_str(r#"{"configMapKeyRef": {"name": "on-call", "key": "members"}}"#).unwrap();
    world.cluster.edit("care/other", |spec| spec.members_from = vec![on_call]);
    let mut dry_runs = dry_run_all(&world, Some(&before)).await;
    let (waiting, why) = dry_runs.remove(MAIN).unwrap().waiting.unwrap();
    assert_eq!(short_names(&waiting), ["erin"]);
    assert!(why.contains("care/other") && why.contains("on-call"), "{why}");
    assert_eq!(dry_runs["care/other"].invalid.as_ref().unwrap().0, Reason::SourceNotReady);
}

#[tokio::test(start_paused = true)]
async fn dry_run_of_a_deletion_follows_the_deletion_policy() {
    for (policy, removed) in [(DeletionPolicy::Delete, 5), (DeletionPolicy::Retain, 0)] {
        let world = TestWorld::new();
        world.create(MAIN, TEAM, |spec| (spec.prune, spec.deletion_policy) = (Prune::Owned, policy));
        let (world, before) = settle_world(world).await;
        // A finalizer keeps the object.
        world.cluster.update(MAIN, |object| object.finalizers.push("example.com/other".to_owned()));
        world.cluster.delete(MAIN);
        let dry_run = dry_run_main(&world, &before).await;
        assert_eq!((dry_run.add.len(), dry_run.remove.len()), (0, removed), "{policy:?}");
        world.cluster.annotate(MAIN, crate::api::RELEASE, "true");
        assert!(dry_run_main(&world, &before).await.remove.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn dry_run_of_observe_or_suspend_changes_nothing() {
    let (world, before) = settled_world(TEAM, Prune::Owned).await;
    world.cluster.declare(MAIN, ["frank"]);
    world.cluster.edit(MAIN, |spec| spec.mode = Mode::Observe);
    let dry_run = dry_run_main(&world, &before).await;
    assert!(dry_run.add.is_empty() && dry_run.remove.is_empty() && dry_run.pending_approval.is_none());
    assert_eq!(dry_run.counts.unwrap().present, 0);
    let listings = world.calls(Operation::ListChannelMemberships);
    world.cluster.edit(MAIN, |spec| spec.suspend = true);
    assert!(dry_run_main(&world, &before).await.counts.is_none());
    assert_eq!(world.calls(Operation::ListChannelMemberships), listings);
}

#[tokio::test(start_paused = true)]
async fn dry_run_reports_failing_and_refused_calls() {
    let (world, before) = settled_world(TEAM, Prune::Owned).await;
    let fault = || CallFault::Before(CallErrorClass::Transient, "ServiceFailure");
    world.support().with(|channel| channel.faults.extend((0..4).map(|_| fault())));
    assert!(dry_run_main(&world, &before).await.error.is_none(), "the last attempt succeeds");
    world.support().with(|channel| channel.faults.extend((0..50).map(|_| fault())));
    assert_eq!(dry_run_main(&world, &before).await.error.unwrap().code, "ServiceFailure");
    world.support().with(|channel| channel.faults.clear());
    world.refuse_calls(CallErrorClass::ChannelNotAccessible, "Forbidden");
    let dry_run = dry_run_main(&world, &before).await;
    assert_eq!((dry_run.error.unwrap().code.as_str(), dry_run.counts), ("Forbidden", None));
    world.allow_calls();
    world.cluster.declare(MAIN, ["alice", "bob", "carol", "dave", "frank"]);
    world.deny_operation(Operation::DescribeChannelMembership);
    let dry_run = dry_run_main(&world, &before).await;
    assert_eq!((short_names(&dry_run.add), dry_run.remove.len()), (vec!["frank"], 0), "the additions are known");
    assert_eq!(dry_run.error.unwrap().operation, Operation::DescribeChannelMembership);
}

#[tokio::test(start_paused = true)]
async fn dry_run_does_not_add_a_member_in_a_type_conflict() {
    let world = TestWorld::new();
    world.create("care/a", ["alice"], |spec| spec.membership_type = MembershipType::Hidden);
    let (world, before) = settle_world(world).await;
    world.create(MAIN, ["alice", "bob"], |_| {});
    let dry_run = dry_run_main(&world, &before).await;
    assert_eq!(short_names(&dry_run.add), ["bob"]);
    assert_eq!(dry_run.errors.len(), 1);
    assert_eq!(dry_run.errors[0].error_code, "OwnershipConflict");
}

#[tokio::test(start_paused = true)]
async fn dry_runs_of_a_channel_share_one_listing() {
    let world = TestWorld::new();
    for n in 0..10 {
        world.create(&format!("care/r{n}"), ["alice"], |spec| spec.prune = Prune::Owned);
    }
    let (world, before) = settle_world(world).await;
    let calls = world.support().all_calls();
    dry_run_all(&world, Some(&before)).await;
    assert_eq!(world.support().all_calls(), calls + 1);
}

#[tokio::test(start_paused = true)]
async fn dry_run_lists_the_sub_channels_of_an_elastic_channel() {
    let world = TestWorld::new();
    world.support().with(|channel| {
        channel.elastic = true;
        for id in TEAM {
            channel.join(&user(id), &user("rollcall"), jiff::Timestamp::UNIX_EPOCH);
        }
        channel.sub_channels.insert("blue".to_owned(), TEAM.map(user).into());
    });
    world.create(MAIN, TEAM, |_| {});
    let dry_run = dry_run_main(&world, &Objects::new()).await;
    assert!(dry_run.add.is_empty(), "{:?}", dry_run.add);
    assert_eq!(dry_run.counts.unwrap().present, 5);
}
