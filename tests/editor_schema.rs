//! The schema for editors marks each wrong value at its place, and nothing that the API server
//! accepts.
//!
//! The independent library jsonschema validates by it, and a real API server judges the same
//! manifests.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says by a panic what is wrong")]

#[path = "support/control_plane.rs"]
mod control_plane;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use control_plane::ControlPlane;
use serde_json::{Value, json};

const SCHEMA: &str = "docs/channelmembership.schema.json";
const CHANNEL: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/demo/channel/support";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the places of errors in each manifest, as jsonschema reports them.
fn errors(manifests: &[Value]) -> Vec<Vec<String>> {
    let python = Command::new(root().join("hack/boto3-venv")).stderr(Stdio::inherit()).output().unwrap();
    assert!(python.status.success());
    let mut check = Command::new(String::from_utf8(python.stdout).unwrap().trim())
        .args([root().join("tests/editor_schema/check.py"), root().join(SCHEMA)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: Vec<String> = manifests.iter().map(Value::to_string).collect();
    let mut stdin = check.stdin.take().unwrap();
    let feed = std::thread::spawn(move || stdin.write_all(lines.join("\n").as_bytes()).unwrap());
    let output = check.wait_with_output().unwrap();
    feed.join().unwrap();
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    let errors: Vec<_> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(errors.len(), manifests.len());
    errors
}

fn manifest(spec: &Value) -> Value {
    json!({"apiVersion": "rollcall.dev/v1alpha1", "kind": "ChannelMembership", "metadata": {"name": "support"}, "spec": spec})
}

/// Returns a good manifest with one field of the spec changed; `null` takes it out.
fn with(field: &str, value: Value) -> Value {
    let mut spec = json!({"channelArn": CHANNEL, "members": ["alice"]});
    match value {
        Value::Null => drop(spec.as_object_mut().unwrap().remove(field)),
        value => spec[field] = value,
    }
    manifest(&spec)
}

/// Returns the API server's refusal of a manifest. A dry run keeps none that it accepts.
async fn refusal(namespace: &str, manifest: &Value) -> Option<String> {
    let apply = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-n", namespace, "-f", "-"];
    let control_plane = ControlPlane::shared().await.unwrap();
    let answer = control_plane.kubectl_with_input(&apply, &manifest.to_string()).await.unwrap();
    (!answer.success).then_some(answer.stderr)
}

async fn namespace() -> String {
    let control_plane = ControlPlane::shared().await.unwrap();
    control_plane.install_crd_file(&root().join("crds/channelmemberships.rollcall.dev.yaml")).await.unwrap();
    control_plane.namespace("schema").await.unwrap()
}

#[tokio::test]
async fn an_editor_marks_refused_values_at_their_place() {
    let key = |name: &str, key: &str| json!([{"configMapKeyRef": {"name": name, "key": key}}]);
    let twice = |id: &str| json!([id, "bob", id]);
    let mut kind = with("members", json!([]));
    kind["kind"] = json!("ChannelMember");
    let mut label = with("members", json!([]));
    label["metadata"]["labels"] = json!({"managed": true});
    let mut loose = with("members", json!([]));
    loose["prune"] = json!("Owned");
    let table = [
        (with("member", json!(["alice"])), "spec"),
        (with("members", Value::Null), "spec"),
        (manifest(&json!({"channelArn": CHANNEL, "membersFrom": []})), "spec"),
        (with("channelArn", Value::Null), "spec"),
        (with("channelArn", json!("support")), "spec.channelArn"),
        (with("channelArn", json!(CHANNEL.replace("/channel/", "/user/"))), "spec.channelArn"),
        (with("members", json!(["alice", 12345])), "spec.members.1"),
        (with("members", json!(["b b"])), "spec.members.0"),
        (with("members", json!([""])), "spec.members.0"),
        (with("members", twice("alice")), "spec.members"),
        (with("members", json!("alice")), "spec.members"),
        (with("members", json!((0..10_001).map(|n| format!("m{n}")).collect::<Vec<_>>())), "spec.members"),
        (with("membersFrom", key("On-Call", "members.txt")), "spec.membersFrom.0.configMapKeyRef.name"),
        (with("membersFrom", key("on-call", "members list")), "spec.membersFrom.0.configMapKeyRef.key"),
        (with("membersFrom", json!([{"configMapKeyRef": {"name": "on-call"}}])), "spec.membersFrom.0.configMapKeyRef"),
        (with("membersFrom", json!([{"configMap": {"name": "on-call"}}])), "spec.membersFrom.0"),
        (with("type", json!("hidden")), "spec.type"),
        (with("prune", json!("owned")), "spec.prune"),
        (with("mode", json!("Watch")), "spec.mode"),
        (with("deletionPolicy", json!("Remove")), "spec.deletionPolicy"),
        (with("onLeave", json!("Add")), "spec.onLeave"),
        (with("expiresAt", json!("tomorrow")), "spec.expiresAt"),
        (with("expiresAt", json!("2026-12-31")), "spec.expiresAt"),
        (with("resyncInterval", json!("90")), "spec.resyncInterval"),
        (with("resyncInterval", json!("0s")), "spec.resyncInterval"),
        (with("resyncInterval", json!(90)), "spec.resyncInterval"),
        (with("limits", json!({"removals": "3"})), "spec.limits.removals"),
        (with("limits", json!({"failed": "101%"})), "spec.limits.failed"),
        (with("limits", json!({"failed": -1})), "spec.limits.failed"),
        (with("limits", json!({"additions": "10%"})), "spec.limits.additions"),
        (with("limits", json!({"removal": 1})), "spec.limits"),
        (with("suspend", json!("yes")), "spec.suspend"),
        (with("subChannelId", json!("sub 1")), "spec.subChannelId"),
        (with("chimeBearer", json!("rollcall")), "spec.chimeBearer"),
        (kind, "kind"),
        (label, "metadata.labels.managed"),
        (loose, ""),
    ];
    let namespace = namespace().await;
    let manifests: Vec<Value> = table.iter().map(|(manifest, _)| manifest.clone()).collect();
    for ((manifest, place), errors) in table.iter().zip(errors(&manifests)) {
        assert!(errors.iter().any(|error| error == place), "{place}: {errors:?} in {manifest:.300}");
        assert!(refusal(&namespace, manifest).await.is_some(), "the API server takes {manifest:.300}");
    }
}

#[tokio::test]
async fn an_editor_marks_nothing_that_the_api_server_accepts() {
    let mut annotated = with("members", json!([]));
    annotated["metadata"]["annotations"] = json!({"rollcall.dev/approve": "5c1e", "team": "care"});
    let good = [
        annotated,
        with("members", json!(["alice", "user/bob", "bot/helper", "us-east-1:0f0a", "carol@example.com"])),
        with("members", json!([format!("{}/user/dave", CHANNEL.split("/channel/").next().unwrap())])),
        manifest(
            &json!({"channelArn": CHANNEL, "membersFrom": [{"configMapKeyRef": {"name": "a", "key": "b", "optional": true}}]}),
        ),
        with("type", json!("HIDDEN")),
        with("prune", json!("Declared")),
        with("expiresAt", json!("2026-12-31T18:00:00+02:00")),
        with("resyncInterval", json!("1h30m")),
        with("limits", json!({"removals": "25%", "additions": 1000, "failed": 0})),
        with("subChannelId", json!("blue-1")),
        with("suspend", json!(true)),
    ];
    let namespace = namespace().await;
    for manifest in &good {
        assert_eq!(refusal(&namespace, manifest).await, None, "{manifest}");
    }
    let found = errors(&good);
    assert!(found.iter().all(Vec::is_empty), "{found:?}");
}

#[test]
fn an_editor_marks_nothing_in_the_examples_and_pages() {
    let files = fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let mut texts: Vec<String> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .chain([root().join("examples/ten-thousand/everybody.yaml")])
        .chain([root().join("examples/gitops/repository/channels/support.yaml")])
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    for page in ["README.md", "docs/channelmembership.md", "docs/gitops.md"] {
        let page = fs::read_to_string(root().join(page)).unwrap();
        texts.extend(page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).map(str::to_owned));
    }
    let objects = texts.iter().flat_map(|text| serde_yaml::from_multiple::<Value>(text).unwrap());
    let manifests: Vec<Value> = objects.filter(|object| object["kind"] == "ChannelMembership").collect();
    assert!(manifests.len() > 12, "{}", manifests.len());
    for (manifest, errors) in manifests.iter().zip(errors(&manifests)) {
        assert_eq!(errors, [] as [&str; 0], "{manifest:#}");
    }
}
