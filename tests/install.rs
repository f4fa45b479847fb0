//! The install steps of the README suffice, and grant no unneeded right.

#![allow(clippy::unwrap_used, reason = "a test says by a panic what is wrong")]

#[path = "support/control_plane.rs"]
mod control_plane;
#[path = "support/operator.rs"]
mod operator;

use std::process::Command;
use std::time::Duration;

use control_plane::ControlPlane;
use operator::{Launch, Operator};
use rollcall::api::MembershipType;
use rollcall::simulator::{Seed, Simulator, SimulatorOptions};
use serde_json::Value;

const BEARER: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/demo/user/rollcall";
const IDENTITY: &str = "system:serviceaccount:rollcall:rollcall";

#[tokio::test]
async fn the_rights_of_the_install_manifest_suffice_and_reach_no_secret() {
    let cluster = ControlPlane::start().await.unwrap();
    cluster.install_crd_file("crds/channelmemberships.rollcall.dev.yaml".as_ref()).await.unwrap();
    let applied = cluster.kubectl(&["apply", "--server-side", "-f", "examples/install/rollcall.yaml"]).await.unwrap();
    assert!(applied.success, "{}", applied.stderr);
    let seed = Seed::from_yaml(&std::fs::read_to_string("examples/simulator/seed.yaml").unwrap()).unwrap();
    let service = Simulator::start(SimulatorOptions { seed, ..SimulatorOptions::default() }).await.unwrap();
    let kubeconfig = cluster.kubeconfig_as(IDENTITY, &["system:serviceaccounts", "system:authenticated"]).unwrap();
    let log = cluster.folder().join("operator.log");
    let launch = Launch {
        program: env!("CARGO_BIN_EXE_rollcall").as_ref(),
        kubeconfig: &kubeconfig,
        endpoint: &service.endpoint(),
        log: &log,
    };
    let mut command = launch.command();
    command.args(flags(&cluster).await).args(["--chime-bearer", BEARER, "--lease-namespace", "rollcall"]);
    let operator = Operator::spawn(&command, &log).unwrap();
    let manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: on-call}, data: {members: carol}}\n---\n\
                    {apiVersion: rollcall.dev/v1alpha1, kind: ChannelMembership, metadata: {name: support}, spec: {channelArn: \
                    'arn:aws:chime:us-east-1:123456789012:app-instance/demo/channel/support', members: [bob, ghost], \
                    membersFrom: [{configMapKeyRef: {name: on-call, key: members}}], prune: Owned, deletionPolicy: Delete}}";
    let applied = cluster.kubectl_with_input(&["apply", "--server-side", "-f", "-"], manifest).await.unwrap();
    assert!(applied.success, "{}", applied.stderr);
    let told =
        ["wait", "--for=create", "events.events.k8s.io", "--field-selector=reason=MembersRefused", "--timeout=15m"];
    let events = cluster.kubectl(&told).await.unwrap();
    assert!(events.success, "{}\n{}", events.stderr, operator.log());
    let present = ["get", "chm", "support", "-o", "jsonpath={.status.present}"];
    assert_eq!(cluster.kubectl(&present).await.unwrap().stdout, "2");
    let deleted = cluster.kubectl(&["delete", "chm", "support", "--timeout=15m"]).await.unwrap();
    assert!(deleted.success, "{}\n{}", deleted.stderr, operator.log());
    let channel = "arn:aws:chime:us-east-1:123456789012:app-instance/demo/channel/support";
    let left = service.list_members(channel, MembershipType::Default);
    assert!(!left.iter().any(|arn| arn.ends_with("/bob") || arn.ends_with("/carol")), "{left:?}");
    for page in probes(&cluster).await {
        let url = format!("http://{}{page}", address(&operator));
        let asked = Command::new(launch.program).args(["healthcheck", &url]).status().unwrap();
        assert!(asked.success(), "{page}");
    }
    for (verb, resource, answer) in [
        ("patch", "channelmemberships", "yes"),
        ("get", "configmaps", "yes"),
        ("list", "configmaps", "yes"),
        ("watch", "configmaps", "yes"),
        ("get", "secrets", "no"),
        ("patch", "configmaps", "no"),
        ("update", "channelmemberships", "no"),
        ("delete", "channelmemberships", "no"),
        ("delete", "events", "no"),
        ("patch", "events.events.k8s.io", "no"),
        ("list", "leases.coordination.k8s.io", "no"),
    ] {
        let asked = cluster.kubectl(&["auth", "can-i", verb, resource, "--as", IDENTITY]).await.unwrap();
        assert_eq!(asked.stdout.trim(), answer, "{verb} {resource}");
    }
    assert!(!operator.log().contains("is forbidden: User"), "{}", operator.log());
    assert!(tokio::time::timeout(Duration::from_secs(20), operator.stop()).await.unwrap().unwrap());
}

/// Returns the container of the manifest's Deployment as it was applied.
async fn container(cluster: &ControlPlane) -> Value {
    let deployment = ["get", "deployment", "rollcall", "--namespace=rollcall", "--output=json"];
    let deployment = cluster.kubectl(&deployment).await.unwrap();
    let deployment: Value = serde_json::from_str(&deployment.stdout).unwrap();
    deployment["spec"]["template"]["spec"]["containers"][0].clone()
}

/// Returns its flags, with ports that no other test uses.
async fn flags(cluster: &ControlPlane) -> Vec<String> {
    let container = container(cluster).await;
    let arguments = container["args"].as_array().unwrap().iter().skip(1).map(|it| it.as_str().unwrap());
    let here = |flag: &str| match flag.split_once("-address=") {
        Some((name, _)) => format!("{name}-address=127.0.0.1:0"),
        None => flag.to_owned(),
    };
    arguments.map(here).collect()
}

/// Returns the pages that the kubelet asks for.
async fn probes(cluster: &ControlPlane) -> [String; 2] {
    let container = container(cluster).await;
    ["livenessProbe", "readinessProbe"].map(|probe| container[probe]["httpGet"]["path"].as_str().unwrap().to_owned())
}

/// Returns its address from its log.
fn address(operator: &Operator) -> String {
    let log = operator.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut listening = lines.filter(|line| line["message"] == "listening");
    listening.find_map(|line| line["address"].as_str().map(str::to_owned)).unwrap()
}
