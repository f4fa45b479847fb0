//! The examples for kustomize name the ConfigMaps that it generates, and end as their comments say.

use std::fs;
use std::path::Path;

use rollcall::api::{ChannelMembership, MembershipType};
use rollcall::simulator::{ChannelSeed, Quotas, Seed, SimulatorOptions};
use serde_json::Value;
use tempfile::TempDir;

use crate::control_plane::ControlPlane;
use crate::{Applied, INSTANCE, is_ready, people, root};

/// Returns the output of `kubectl kustomize` for a folder.
async fn build(folder: &Path) -> Vec<Value> {
    let built = ControlPlane::shared().await.unwrap().kubectl(&["kustomize", folder.to_str().unwrap()]).await.unwrap();
    assert!(built.success, "{built:?}");
    serde_yaml::from_multiple(&built.stdout).unwrap()
}

/// Returns the only object of a kind.
fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found: Vec<&Value> = objects.iter().filter(|object| object["kind"] == kind).collect();
    assert_eq!(found.len(), 1, "{objects:#?}");
    found[0]
}

/// Returns the name of the generated ConfigMap, and checks that the resource has it as well.
fn source(objects: &[Value]) -> String {
    let name = only(objects, "ConfigMap")["metadata"]["name"].as_str().unwrap();
    let reference = &only(objects, "ChannelMembership")["spec"]["membersFrom"][0]["configMapKeyRef"];
    assert_eq!(reference["name"], name);
    name.to_owned()
}

/// Applies the built objects to the namespace of an example.
async fn apply(applied: &Applied, mut objects: Vec<Value>) {
    for object in &mut objects {
        object["metadata"]["namespace"] = applied.namespace.as_str().into();
    }
    let input = objects.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n");
    let apply = ["apply", "--server-side", "--validate=strict", "--filename=-"];
    let answer = ControlPlane::shared().await.unwrap().kubectl_with_input(&apply, &input).await.unwrap();
    assert!(answer.success, "{answer:?}");
}

/// Copies a folder of examples, so that a test can edit it.
fn copy(folder: &str) -> TempDir {
    fn files(from: &Path, to: &Path) {
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                fs::create_dir(&target).unwrap();
                files(&entry.path(), &target);
            } else {
                fs::copy(entry.path(), target).unwrap();
            }
        }
    }
    let copy = tempfile::tempdir().unwrap();
    files(&root().join("examples").join(folder), copy.path());
    copy
}

#[tokio::test]
async fn an_edited_rota_makes_a_new_config_map_that_the_resource_names() {
    let folder = copy("gitops/kustomize");
    let production = folder.path().join("overlays/production");
    let applied = Applied::nothing(people()).await;
    let before = build(&production).await;
    let first = source(&before);
    assert!(first.starts_with("on-call-") && first.len() > "on-call-".len(), "{first}");
    assert_eq!(only(&before, "ChannelMembership")["metadata"]["namespace"], "care");
    apply(&applied, before).await;
    assert!(is_ready(&applied.ends("support", "AllPresent").await));
    let members = |rota: &[&str]| {
        let all = ["alice", "bot/helper"].iter().chain(rota);
        all.map(|id| (*id).to_owned()).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(applied.members("support", MembershipType::Default), members(&["erin", "frank"]));

    fs::write(folder.path().join("base/on-call.txt"), "erin\ngrace\n").unwrap();
    let after = build(&production).await;
    let second = source(&after);
    assert_ne!(first, second);
    apply(&applied, after).await;
    let swapped = |object: Option<&ChannelMembership>| {
        let status = object.and_then(|object| object.status.as_ref());
        status.is_some_and(|it| is_ready(it) && it.sources.iter().any(|source| source.name == second))
    };
    applied.until("support", "the new rota is carried out", swapped).await;
    assert_eq!(applied.members("support", MembershipType::Default), members(&["erin", "grace"]));
}

#[tokio::test]
async fn the_staging_overlay_observes_another_channel() {
    let staging = build(&root().join("examples/gitops/kustomize/overlays/staging")).await;
    assert!(source(&staging).starts_with("staging-on-call-"), "{staging:#?}");
    let applied = Applied::nothing(people()).await;
    let before = applied.members("lobby", MembershipType::Default);
    apply(&applied, staging).await;
    let status = applied.ends("staging-support", "Observed").await;
    assert_eq!((status.desired, status.present), (Some(4), Some(0)));
    assert_eq!(applied.members("lobby", MembershipType::Default), before);
}

#[tokio::test]
async fn the_example_of_ten_thousand_fills_a_channel() {
    let people = (1..=10_000).map(|n| format!("m{n:05}"));
    let seed = Seed::new(INSTANCE).users(people).users(["rollcall"]).admins(["rollcall"]);
    let unpaced = ["--bearer-rate=0", "--channel-batch-rate=0", "--channel-list-rate=0"];
    let seed = seed.channel(ChannelSeed::new("lobby"));
    let applied =
        Applied::nothing_with(SimulatorOptions { seed, quotas: Quotas::Off, ..SimulatorOptions::default() }, &unpaced)
            .await;
    let objects = build(&root().join("examples/ten-thousand")).await;
    source(&objects);
    apply(&applied, objects).await;
    let status = applied.ends("everybody", "AllPresent").await;
    assert_eq!((status.desired, status.present), (Some(10_000), Some(10_000)));
    assert_eq!(applied.members("lobby", MembershipType::Default).len(), 10_000);
}

/// No other check keeps the two copies alike.
#[test]
fn there_is_one_configuration_of_name_references() {
    let read =
        |folder: &str| fs::read_to_string(root().join("examples").join(folder).join("name-reference.yaml")).unwrap();
    assert_eq!(read("gitops/kustomize/base"), read("ten-thousand"));
}
