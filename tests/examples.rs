//! A real API server accepts the examples, and each example ends as its comment says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails in here fails its test")]

#[path = "support/control_plane.rs"]
mod control_plane;
#[path = "support/operator.rs"]
mod operator;

#[path = "examples/kustomized.rs"]
mod kustomized;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use control_plane::ControlPlane;
use kube::Api;
use kube::runtime::wait::await_condition;
use operator::{Launch, Operator};
use rollcall::api::{ChannelMembership, ChannelMembershipStatus, MembershipType};
use rollcall::simulator::{Seed, Simulator, SimulatorOptions};
use tokio::time::timeout;

const INSTANCE: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/demo";
const DEADLINE: Duration = Duration::from_mins(5);

/// The files with a test of their own below.
const TESTED: [&str; 9] = [
    "hidden-auditors.yaml",
    "limits.yaml",
    "minimal.yaml",
    "observe.yaml",
    "on-call.yaml",
    "support.yaml",
    "take-over.yaml",
    "temporary.yaml",
    "two-teams.yaml",
];

/// An example, applied, with an operator and a service of its own.
struct Applied {
    simulator: Simulator,
    operator: Operator,
    namespace: String,
    resources: Api<ChannelMembership>,
}

impl Applied {
    /// Applies one file, with the users of the local service's example.
    async fn example(file: &str) -> Self {
        let control_plane = ControlPlane::shared().await.unwrap();
        let applied = Self::nothing(people()).await;
        let path = root().join("examples").join(file);
        let apply = ["apply", "--server-side", "--namespace", &applied.namespace, "--filename", path.to_str().unwrap()];
        let answer = control_plane.kubectl(&apply).await.unwrap();
        assert!(answer.success, "{file}: {answer:?}");
        applied
    }

    /// Starts an operator and a service with these users; no resource is declared.
    async fn nothing(seed: Seed) -> Self {
        Self::nothing_with(SimulatorOptions { seed, ..SimulatorOptions::default() }, &[]).await
    }

    /// Starts them as [`Self::nothing`] does, with these flags and another service.
    async fn nothing_with(options: SimulatorOptions, flags: &[&str]) -> Self {
        let control_plane = ControlPlane::shared().await.unwrap();
        control_plane.install_crd_file(&root().join("crds/channelmemberships.rollcall.dev.yaml")).await.unwrap();
        let namespace = control_plane.namespace("example").await.unwrap();
        let simulator = Simulator::start(options).await.unwrap();
        let launch = Launch {
            program: Path::new(env!("CARGO_BIN_EXE_rollcall")),
            kubeconfig: &control_plane.kubeconfig(),
            endpoint: &simulator.endpoint(),
            log: &control_plane.folder().join(format!("{namespace}.log")),
        };
        let bearer = format!("{INSTANCE}/user/rollcall");
        let flags = [&["--chime-bearer", &bearer, "--watch-namespace", &namespace], flags].concat();
        let operator = Operator::start(&launch, flags).unwrap();
        let resources = Api::namespaced(control_plane.client().await.unwrap(), &namespace);
        Self { simulator, operator, namespace, resources }
    }

    /// Returns the status of a resource once its Ready has this reason.
    async fn ends(&self, name: &str, reason: &str) -> ChannelMembershipStatus {
        let there = |object: Option<&ChannelMembership>| ready(object).is_some_and(|(_, told)| told == reason);
        self.until(name, reason, there).await
    }

    /// Returns the status of a resource once it is as expected.
    async fn until(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(Option<&ChannelMembership>) -> bool,
    ) -> ChannelMembershipStatus {
        let ended = timeout(DEADLINE, await_condition(self.resources.clone(), name, holds)).await;
        let Ok(object) = ended else { panic!("{name}: never {what}; the operator's log:\n{}", self.operator.log()) };
        object.unwrap().unwrap().status.unwrap()
    }

    /// Returns the ids of the members of a channel.
    fn members(&self, channel: &str, membership_type: MembershipType) -> BTreeSet<String> {
        let arns = self.simulator.list_members(&format!("{INSTANCE}/channel/{channel}"), membership_type);
        arns.iter().map(|arn| arn[INSTANCE.len() + 1..].trim_start_matches("user/").to_owned()).collect()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the users of the local service's example.
fn people() -> Seed {
    Seed::from_yaml(&fs::read_to_string(root().join("examples/simulator/seed.yaml")).unwrap()).unwrap()
}

/// Returns status and reason of the condition Ready.
fn ready(object: Option<&ChannelMembership>) -> Option<(&str, &str)> {
    let conditions = &object?.status.as_ref()?.conditions;
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready")?;
    Some((&ready.status, &ready.reason))
}

fn is_ready(status: &ChannelMembershipStatus) -> bool {
    status.conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn ids<const N: usize>(ids: [&str; N]) -> BTreeSet<String> {
    ids.map(str::to_owned).into()
}

#[tokio::test]
async fn the_minimal_example_adds_its_members_and_leaves_the_others() {
    let applied = Applied::example("minimal.yaml").await;
    assert!(is_ready(&applied.ends("lobby", "AllPresent").await));
    assert_eq!(applied.members("lobby", MembershipType::Default), ids(["alice", "bob", "grace", "heidi"]));
}

#[tokio::test]
async fn the_support_example_adds_ten_and_explains_the_other_two() {
    let applied = Applied::example("support.yaml").await;
    let status = applied.ends("support", "MembersRefused").await;
    assert_eq!((status.desired, status.present, status.failed), (Some(12), Some(10), Some(2)));
    let refused: Vec<&str> = status.errors.iter().filter_map(|error| error.member_arn.rsplit('/').next()).collect();
    assert_eq!(refused, ["mallory", "zoe"]);
    assert!(status.errors[0].error_message.contains("banned"), "{status:?}");
    assert_eq!(applied.members("support", MembershipType::Default).len(), 10);
}

#[tokio::test]
async fn the_observing_example_counts_missing_members_and_adds_none() {
    let applied = Applied::example("observe.yaml").await;
    let before = applied.members("lobby", MembershipType::Default);
    let status = applied.ends("lobby-audit", "Observed").await;
    assert_eq!((status.desired, status.present, is_ready(&status)), (Some(3), Some(2), false));
    assert_eq!(applied.members("lobby", MembershipType::Default), before);
}

#[tokio::test]
async fn the_example_with_a_limit_is_ready_with_one_member_refused() {
    let applied = Applied::example("limits.yaml").await;
    let status = applied.ends("support-tolerant", "RefusedWithinLimit").await;
    assert_eq!((status.desired, status.failed, is_ready(&status)), (Some(5), Some(1), true));
}

#[tokio::test]
async fn the_two_teams_of_an_example_share_a_channel() {
    let applied = Applied::example("two-teams.yaml").await;
    assert!(is_ready(&applied.ends("support-team", "AllPresent").await));
    assert!(is_ready(&applied.ends("support-on-call", "AllPresent").await));
    let both = ids(["alice", "bob", "carol", "dave", "erin", "bot/helper"]);
    assert_eq!(applied.members("support", MembershipType::Default), both);
}

#[tokio::test]
async fn the_hidden_auditors_of_an_example_are_hidden() {
    let applied = Applied::example("hidden-auditors.yaml").await;
    assert!(is_ready(&applied.ends("support-auditors", "AllPresent").await));
    assert_eq!(applied.members("support", MembershipType::Hidden), ids(["judy", "us-east-1:oscar"]));
    assert_eq!(applied.members("support", MembershipType::Default), ids(["alice"]));
}

#[tokio::test]
async fn the_on_call_example_adds_the_members_of_the_config_map() {
    let applied = Applied::example("on-call.yaml").await;
    assert!(is_ready(&applied.ends("on-call", "AllPresent").await));
    let all = ids(["bot/helper", "erin", "frank", "grace", "heidi"]);
    assert_eq!(applied.members("lobby", MembershipType::Default), all);
}

#[tokio::test]
async fn the_example_with_an_end_adds_its_guests_until_then() {
    let applied = Applied::example("temporary.yaml").await;
    assert!(is_ready(&applied.ends("support-guests", "AllPresent").await));
    assert_eq!(applied.members("support", MembershipType::Default), ids(["alice", "ivan", "judy"]));
}

#[tokio::test]
async fn the_example_that_takes_over_a_channel_changes_nothing_at_first() {
    let applied = Applied::example("take-over.yaml").await;
    let before = applied.members("lobby", MembershipType::Default);
    let status = applied.ends("lobby-take-over", "Observed").await;
    assert_eq!((status.desired, status.present, is_ready(&status)), (Some(3), Some(1), false));
    let too_many = status.undeclared.unwrap();
    assert_eq!(too_many.count, 1, "heidi: {too_many:?}");
    assert_eq!(applied.members("lobby", MembershipType::Default), before);
}

#[tokio::test]
async fn the_api_server_takes_every_example() {
    let control_plane = ControlPlane::shared().await.unwrap();
    control_plane.install_crd_file(&root().join("crds/channelmemberships.rollcall.dev.yaml")).await.unwrap();
    for file in TESTED {
        let namespace = control_plane.namespace("accepted").await.unwrap();
        let path = root().join("examples").join(file);
        // Strict validation refuses a misspelt field, which would be dropped otherwise.
        let apply = ["apply", "--server-side", "--validate=strict", "--namespace", &namespace, "--filename"];
        let applied = control_plane.kubectl(&[apply.as_slice(), &[path.to_str().unwrap()]].concat()).await.unwrap();
        assert!(applied.success, "{file}: {applied:?}");
    }
}

#[test]
fn every_example_has_a_test_and_begins_with_a_comment() {
    let folder = root().join("examples");
    let files: BTreeSet<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    assert_eq!(files, ids(TESTED));
    let needs = fs::read_to_string(folder.join("README.md")).unwrap();
    for file in files {
        assert!(fs::read_to_string(folder.join(&file)).unwrap().starts_with("# "), "{file}");
        assert!(needs.contains(&format!("]({file})")), "examples/README.md does not say what {file} is for");
    }
}
