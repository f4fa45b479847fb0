//! An upgrade of the chart and a rollback change no member.
//!
//! The CRD changes under a running operator. `tests/data/crd-before-removal.yaml` is the last one
//! without `prune`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::manual_assert,
    clippy::unchecked_time_subtraction,
    reason = "a test says by a panic what is wrong"
)]

#[path = "support/control_plane.rs"]
mod control_plane;
#[path = "support/operator.rs"]
mod operator;
#[allow(dead_code, reason = "stories use the rest")]
#[path = "stories/stage.rs"]
mod stage;
#[allow(dead_code, reason = "tests of the chart use the rest")]
#[path = "chart/tools.rs"]
mod tools;

use std::fs;
use std::path::Path;

use kube::ResourceExt as _;
use kube::api::DeleteParams;
use rollcall::api::FINALIZER;
use rollcall::simulator::{ApiOperation, ChannelSeed, Quotas, SimulatorOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use control_plane::ControlPlane;
use stage::{BEARER, Stage, eventually, ids, ready, seed, spec, status};
use tools::{CHART, run_against};

const DEFINITION: &str = "crds/channelmemberships.rollcall.dev.yaml";
const BEFORE_REMOVAL: &str = "tests/data/crd-before-removal.yaml";

/// Returns a copy of the chart with another version and another CRD.
fn chart_of(version: &str, definition: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(Path::new(CHART), folder.path());
    let about = fs::read_to_string(folder.path().join("Chart.yaml")).unwrap();
    let line = about.lines().find(|line| line.starts_with("version: ")).unwrap();
    fs::write(folder.path().join("Chart.yaml"), about.replace(line, &format!("version: {version}"))).unwrap();
    fs::write(folder.path().join("files/channelmemberships.rollcall.dev.yaml"), definition).unwrap();
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|it| (it.path(), it.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(path, to.join(name)).unwrap();
        }
    }
}

/// Runs helm in the namespace of the release, and waits until the CRD has the expected fields.
async fn helm(cluster: &ControlPlane, arguments: &[&str], field: &str, served: bool) {
    let bearer = format!("--set=chimeBearers={{{BEARER}}}");
    let values: &[&str] = if arguments[0] == "upgrade" { &["--install", "--create-namespace", &bearer] } else { &[] };
    let arguments = [arguments, values, &["--namespace=rollcall"]].concat();
    run_against(&cluster.kubeconfig(), "helm", &arguments).await.expect_success();
    let established = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=15m"];
    assert!(cluster.kubectl(&established).await.unwrap().success);
    let fields = format!("chm.spec.{field}");
    let explained = async || (cluster.kubectl(&["explain", &fields]).await.unwrap().success == served).then_some(());
    eventually("the CRD is served", explained).await;
}

fn options() -> SimulatorOptions {
    let seed = seed(10).channel(ChannelSeed::new("team"));
    SimulatorOptions { seed, quotas: Quotas::Off, ..SimulatorOptions::default() }
}

/// Returns the number of additions and removals.
fn writes(stage: &Stage) -> [u64; 2] {
    [ApiOperation::BatchCreateChannelMembership, ApiOperation::DeleteChannelMembership].map(|it| stage.calls(it))
}

/// Returns the spec as the API server gives it, without the types of this version.
async fn raw(cluster: &ControlPlane, stage: &Stage, name: &str) -> Value {
    let get = ["get", "chm", name, "--namespace", &stage.namespace, "--output=json"];
    let object: Value = serde_json::from_str(&cluster.kubectl(&get).await.unwrap().stdout).unwrap();
    json!({"spec": object["spec"], "generation": object["metadata"]["generation"], "uid": object["metadata"]["uid"]})
}

async fn finalized(stage: &Stage) -> bool {
    stage.get("team").await.finalizers().iter().any(|it| it == FINALIZER)
}

#[tokio::test]
async fn resources_and_members_survive_an_upgrade_and_a_rollback() {
    let cluster = ControlPlane::start().await.unwrap();
    let older = chart_of("0.0.9", &fs::read_to_string(BEFORE_REMOVAL).unwrap());
    helm(&cluster, &["upgrade", "rollcall", older.path().to_str().unwrap()], "prune", false).await;
    let stage = Stage::with(&cluster, options()).await;

    // The operator continues with the fields of the older CRD.
    let running = stage.operator(&[]);
    stage.apply("support", spec("support", &ids(4))).await;
    stage.until_reason("support", "AllPresent").await;
    let told = async || running.log().contains("spec.prune").then_some(());
    eventually("the log names the missing fields of the CRD", told).await;
    let (before, calls) = (raw(&cluster, &stage, "support").await, writes(&stage));

    helm(&cluster, &["upgrade", "rollcall", CHART], "prune", true).await;
    stage.reconcile("support").await;
    assert_eq!(raw(&cluster, &stage, "support").await, before);
    assert_eq!((writes(&stage), stage.present("support")), (calls, ids(4)));

    // A running operator still watches by the older CRD, so a field may be missing from a changed
    // object. A new operator, which an upgrade of the chart starts, reads everything anew.
    let owned = json!({"prune": "Owned", "deletionPolicy": "Delete", "limits": {"removals": "100%"}});
    stage.patch("support", json!({"spec": owned})).await;
    assert!(running.stop().await.unwrap());
    let running = stage.operator(&[]);
    stage.until("support", "its claim is written", |it| status(it).last_declared.is_some_and(|it| it.len() == 4)).await;
    stage.patch("support", json!({"spec": {"members": ids(3)}})).await;
    stage.until_service("one member was removed", |_| stage.count("support") == 3).await;
    stage.config_map("on-call", json!({"members": ids(2).join("\n")})).await;
    let mut team = owned.clone();
    team["channelArn"] = json!(stage::channel("team"));
    team["membersFrom"] = json!([{"configMapKeyRef": {"name": "on-call", "key": "members"}}]);
    stage.apply("team", team).await;
    stage.until_reason("team", "AllPresent").await;
    stage.until_reason("support", "AllPresent").await;
    assert!(finalized(&stage).await);
    let calls = writes(&stage);

    helm(&cluster, &["rollback", "rollcall", "1"], "prune", false).await;
    let left = raw(&cluster, &stage, "support").await;
    assert_eq!((&left["spec"]["prune"], &left["spec"]["deletionPolicy"]), (&Value::Null, &Value::Null), "{left}");
    // No field of the newer CRD makes a running or a new operator remove a member.
    stage.patch("support", json!({"spec": {"members": ids(1)}})).await;
    stage.until_reason("support", "AllPresent").await;
    stage.config_map("on-call", json!({"members": "m0000"})).await;
    stage.reconcile("team").await;
    assert!(running.stop().await.unwrap());
    let running = stage.operator(&[]);
    stage.reconcile("support").await;
    stage.reconcile("team").await;
    assert!(!finalized(&stage).await, "the older CRD has deletionPolicy Retain");
    stage.resources.delete("team", &DeleteParams::default()).await.unwrap();
    let gone = async || stage.resources.get_opt("team").await.unwrap().is_none().then_some(());
    eventually("no finalizer of the newer version is left", gone).await;
    assert_eq!((stage.present("support"), stage.present("team")), (ids(3), ids(2)));
    assert_eq!(writes(&stage), calls);

    // Upgrade again.
    helm(&cluster, &["upgrade", "rollcall", CHART], "prune", true).await;
    stage.patch("support", json!({"spec": owned})).await;
    let again = stage.reconcile("support").await;
    assert_eq!(ready(&again).1, "AllPresent", "{again:?}");
    assert_eq!((stage.present("support"), stage.present("team")), (ids(3), ids(2)));
    assert_eq!(writes(&stage), calls, "no resource owns a member that was undeclared in between");
    assert!(running.stop().await.unwrap());
}

#[tokio::test]
async fn an_older_operator_removes_no_member_while_a_newer_field_is_set() {
    let cluster = ControlPlane::start().await.unwrap();
    let with_one_more = "              suspend:\n                description:";
    let later = "              alsoFrom:\n                type: string\n";
    let newer = fs::read_to_string(DEFINITION).unwrap();
    assert!(newer.contains(with_one_more));
    let newer = chart_of("0.2.0", &newer.replacen(with_one_more, &format!("{later}{with_one_more}"), 1));
    helm(&cluster, &["upgrade", "rollcall", CHART], "alsoFrom", false).await;
    helm(&cluster, &["upgrade", "rollcall", newer.path().to_str().unwrap()], "alsoFrom", true).await;
    let stage = Stage::with(&cluster, options()).await;
    let running = stage.operator(&[]);
    let mut support = spec("support", &ids(4));
    support["prune"] = json!("Owned");
    stage.apply("support", support).await;
    stage.until_reason("support", "AllPresent").await;

    // The unknown field may be the one that declares the other members.
    stage.patch("support", json!({"spec": {"alsoFrom": "somewhere", "members": ["m0000", "m0004"]}})).await;
    stage.until_service("additions continue", |_| stage.count("support") == 5).await;
    let waits = stage.reconcile("support").await;
    assert!(ready(&waits).2.contains("alsoFrom"), "{:?}", ready(&waits));
    assert_eq!(stage.calls(ApiOperation::DeleteChannelMembership), 0);

    // The older CRD drops the field without an error and without a new generation. The user did not
    // ask to remove the other members.
    assert!(running.stop().await.unwrap());
    helm(&cluster, &["rollback", "rollcall", "1"], "alsoFrom", false).await;
    assert_eq!(raw(&cluster, &stage, "support").await["spec"]["alsoFrom"], Value::Null);
    let running = stage.operator(&[]);
    stage.until_reason("support", "ApprovalRequired").await;
    assert_eq!((stage.count("support"), stage.calls(ApiOperation::DeleteChannelMembership)), (5, 0));
    assert!(running.stop().await.unwrap());
}
