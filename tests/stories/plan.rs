//! A plan predicts what the operator then does. The tests run against a real cluster, with each
//! source of the earlier declarations.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use crate::removal::{owned, removed_sorted};
use crate::stage::{BEARER, DEADLINE, Stage, ids, seed, shared, spec};

/// Runs `rollcall plan` with access to the cluster and the service, and with this standard input.
/// Returns the plan and the exit code.
async fn plan(stage: &Stage, folder: &Path, input: &str, args: &[&str]) -> (Value, Option<i32>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rollcall"))
        .env_clear()
        .env("KUBECONFIG", shared().await.kubeconfig())
        .env("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", stage.simulator.endpoint())
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .current_dir(folder)
        .args(["plan", "--bearer-rate=0", "--channel-list-rate=0", "-o", "json", "--detailed-exitcode"])
        .args(["--chime-bearer", BEARER, "-n", &stage.namespace])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = timeout(DEADLINE, child.wait_with_output()).await.expect("the command ends").unwrap();
    (serde_json::from_slice(&output.stdout).unwrap_or_default(), output.status.code())
}

fn manifest(name: &str, spec: &Value) -> Value {
    let (api_version, kind) = ("rollcall.dev/v1alpha1", "ChannelMembership");
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn set(names: &Value) -> BTreeSet<&str> {
    names.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_plan_of_an_edit_matches_its_effect_from_cluster_or_file() {
    let stage = Stage::open(seed(12)).await;
    let people = ids(12);
    stage.apply("team", owned("support", &people[..10])).await;
    let operator = stage.operator(&[]);
    stage.until_reason("team", "AllPresent").await;

    let folder = tempfile::tempdir().unwrap();
    // Two members leave and two are added. A kustomization has the same content.
    let edited = owned("support", &people[2..]);
    std::fs::write(folder.path().join("team.yaml"), manifest("team", &edited).to_string()).unwrap();
    let kustomization = format!("resources: [team.yaml]\nnamespace: {}\n", stage.namespace);
    std::fs::write(folder.path().join("kustomization.yaml"), kustomization).unwrap();
    let control_plane = shared().await;
    let get = ["get", "channelmemberships", "-n", &stage.namespace, "-o", "yaml"];
    let objects = control_plane.kubectl(&get).await.unwrap().stdout;
    std::fs::write(folder.path().join("state.yaml"), objects).unwrap();
    let build = ["kustomize", folder.path().to_str().unwrap()];
    let printed = control_plane.kubectl(&build).await.unwrap().stdout;

    let calls = stage.simulator.call_counts();
    let of_cluster = ["--with-cluster", "--watch-namespace", &stage.namespace];
    let (asked, code) = plan(&stage, folder.path(), "", &[&["-f", "team.yaml"], &of_cluster[..]].concat()).await;
    assert_eq!((code, &asked["before"]), (Some(2), &json!("cluster")));
    let (read, _) = plan(&stage, folder.path(), &printed, &["-f", "-", "--state", "state.yaml"]).await;
    for plan in [&asked, &read] {
        let team = &plan["resources"][0];
        assert_eq!(team["change"], "changed", "{plan:#}");
        assert_eq!(set(&team["add"]), people[10..].iter().map(String::as_str).collect());
        assert_eq!(set(&team["remove"]), people[..2].iter().map(String::as_str).collect());
    }
    for change in [rollcall::simulator::ApiOperation::BatchCreateChannelMembership, crate::removal::DELETE] {
        assert_eq!(stage.simulator.call_counts().get(&change), calls.get(&change), "a plan changes nothing");
    }

    stage.apply("team", edited).await;
    stage.until_service("the two are removed", |_| removed_sorted(&stage, "support").len() == 2).await;
    assert_eq!(removed_sorted(&stage, "support"), people[..2]);
    stage.until_reason("team", "AllPresent").await;
    assert_eq!(stage.present("support"), people[2..]);
    let (after, code) = plan(&stage, folder.path(), "", &[&["-f", "team.yaml"], &of_cluster[..]].concat()).await;
    assert_eq!((code, &after["totals"]["affected"]), (Some(0), &json!(0)), "{after:#}");
    assert!(operator.stop().await.unwrap());
}

#[tokio::test]
async fn config_maps_missing_from_the_files_are_read_from_the_cluster() {
    let stage = Stage::open(seed(3)).await;
    stage.config_map("on-call", json!({"members.txt": "m0001\nm0002\n"})).await;
    let folder = tempfile::tempdir().unwrap();
    let mut from = spec("support", &["m0000"]);
    from["membersFrom"] = json!([{"configMapKeyRef": {"name": "on-call", "key": "members.txt"}}]);
    std::fs::write(folder.path().join("team.yaml"), manifest("team", &from).to_string()).unwrap();
    let args = ["-f", "team.yaml", "--with-cluster", "--watch-namespace", &stage.namespace];
    let (plan, code) = plan(&stage, folder.path(), "", &args).await;
    assert_eq!((code, &plan["resources"][0]["add"]), (Some(2), &json!(["m0000", "m0001", "m0002"])), "{plan:#}");
}

#[tokio::test]
async fn an_unreachable_cluster_ends_a_plan_before_any_call() {
    let stage = Stage::open(seed(1)).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("team.yaml"), manifest("team", &spec("support", &["m0000"])).to_string())
        .unwrap();
    let nowhere = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    });
    std::fs::write(folder.path().join("kubeconfig"), nowhere.to_string()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_rollcall"))
        .env_clear()
        .env("KUBECONFIG", folder.path().join("kubeconfig"))
        .env("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", stage.simulator.endpoint())
        .current_dir(folder.path())
        .args(["plan", "-f", "team.yaml", "--with-cluster", "--chime-bearer", BEARER])
        .output();
    let output = timeout(DEADLINE, output).await.expect("the command ends").unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.starts_with("error: failed to read the ChannelMemberships of the cluster: "), "{said}");
    assert!(stage.simulator.call_counts().is_empty());
}
