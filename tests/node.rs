//! The image runs on a real node as the chart installs it, through the whole life of a release.
//!
//! The test needs root, Debian's containerd and some minutes: `make test-node`. On a host that
//! cannot have a node, the script says why and the test is skipped.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says by a panic what is wrong")]

#[path = "node/host.rs"]
mod host;
#[path = "node/release.rs"]
mod release;
#[path = "node/tls.rs"]
mod tls;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use host::Node;
use release::{changes, declare, leader, members, metric, ready, until_ready};

const IMAGE: &str = "127.0.0.1:5000/rollcall";
const CHART: &str = "charts/rollcall";
/// Waits as Helm does. The bound only ends a test that hangs.
const WAIT: [&str; 3] = ["--namespace=rollcall", "--wait", "--timeout=15m"];

#[test]
#[ignore = "takes root and some minutes: make test-node"]
fn the_image_runs_on_a_real_node_through_the_life_of_a_release() {
    let before = machine();
    let Some(mut node) = Node::start() else { return };
    push_image(&node);

    has_nothing_but_the_program_and_certificates(&node);
    installs_and_one_of_two_leads(&node);
    carries_out_what_is_declared(&node);
    has_no_shell(&node);
    outlives_the_deletion_of_the_leader(&node);
    outlives_a_drain(&node);
    upgrades_and_goes_back_without_touching_a_member(&node);
    tls::resolves_the_service_and_trusts_the_certificates_of_the_image(&mut node);
    leaves_nothing_stuck(&node);

    drop(node);
    assert_eq!(machine(), before);
}

/// Returns the parts of the machine that a kubelet changes: kernel settings, process groups, mounts
/// and interfaces.
fn machine() -> Vec<String> {
    let mut seen: Vec<String> = ["kernel/panic", "kernel/panic_on_oops", "vm/overcommit_memory"]
        .map(|setting| {
            format!("{setting} {}", fs::read_to_string(Path::new("/proc/sys").join(setting)).unwrap().trim())
        })
        .into();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    seen.push(format!("{} mounts", mounts.lines().count()));
    let groups = fs::read_dir("/sys/fs/cgroup").unwrap().map(|entry| entry.unwrap().path());
    let ours = |path: &PathBuf| path.to_string_lossy().contains("rollcall-node-");
    seen.extend(groups.flat_map(|group| inside(&group)).filter(ours).map(|path| path.display().to_string()));
    let mut links: Vec<_> = fs::read_dir("/sys/class/net")
        .unwrap()
        .map(|it| it.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    links.sort();
    seen.extend(links);
    seen
}

/// Returns a folder and its contents.
fn inside(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    entries.chain([folder.to_owned()]).collect()
}

fn push_image(node: &Node) {
    let tarball = Path::new(env!("CARGO_TARGET_TMPDIR")).join("image.tar");
    let made = Command::new("hack/image").arg(&tarball).arg("ci").stderr(Stdio::inherit()).output().unwrap();
    println!("{}", host::said(&made, || "hack/image".to_owned()).trim());
    let name = format!("{IMAGE}:{}", env!("CARGO_PKG_VERSION"));
    host::said(&node.tool("crane", &["push", tarball.to_str().unwrap(), &name]).output().unwrap(), || name.clone());
}

fn has_nothing_but_the_program_and_certificates(node: &Node) {
    let files = node.file("files.tar", "");
    let name = format!("{IMAGE}:{}", env!("CARGO_PKG_VERSION"));
    host::said(&node.tool("crane", &["export", &name, files.to_str().unwrap()]).output().unwrap(), || name.clone());
    let list = Command::new("tar").arg("--list").arg("--file").arg(&files).output().unwrap();
    let listed = host::said(&list, || "tar".to_owned());
    let certificates = ["etc", "etc/ssl", "etc/ssl/certs", "etc/ssl/certs/ca-certificates.crt"];
    assert_eq!(listed.lines().collect::<Vec<_>>(), [&[".", "LICENSE"], &certificates[..], &["rollcall"]].concat());
}

fn installs_and_one_of_two_leads(node: &Node) {
    node.kubectl(&["create", "namespace", "rollcall"]);
    // The API server then refuses a pod that exceeds the restricted standard.
    node.kubectl(&["label", "namespace", "rollcall", "pod-security.kubernetes.io/enforce=restricted"]);
    node.kubectl(&["create", "namespace", "care"]);
    upgrade(node, &[]);
    assert_eq!(ready(node).len(), 2);
    one_leads(node);
}

fn upgrade(node: &Node, values: &[&str]) {
    let image = format!("--set=image.repository={IMAGE}");
    let arguments = ["upgrade", "--install", "rollcall", CHART, &image, "--set=simulator.enabled=true"];
    node.helm(&[&arguments, &WAIT[..], values].concat());
}

/// Checks that one of two ready pods leads and reports so, and that the other waits.
fn one_leads(node: &Node) -> String {
    let look = || {
        let leader = leader(node);
        let told: Vec<_> = ready(node).into_iter().map(|pod| (metric(node, &pod, "rollcall_leader"), pod)).collect();
        (leader, told)
    };
    let (leader, _) = node.until("one of two ready pods leads", look, |(leader, told)| {
        told.len() == 2
            && told.iter().all(|(leads, pod)| *leads == Some(f64::from(u8::from(pod == leader))))
            && told.iter().any(|(_, pod)| pod == leader)
    });
    leader
}

fn carries_out_what_is_declared(node: &Node) {
    declare(node, "care", "support", &["alice", "bob", "carol"]);
    until_ready(node, "care", "support");
    assert_eq!(members(node), ["alice", "bob", "carol"]);
    declare(node, "care", "support", &["alice", "carol"]);
    node.until("bob is removed", || members(node), |members| members == &["alice", "carol"]);
    until_ready(node, "care", "support");
}

fn has_no_shell(node: &Node) {
    let pod = leader(node);
    let exec = ["exec", "--namespace=rollcall", &pod, "--", "sh", "-c", "true"];
    let asked = node.tool("kubectl", &exec).stdin(Stdio::null()).output().unwrap();
    let answer = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert!(!asked.status.success() && answer.contains("executable file not found"), "{answer}");
}

fn outlives_the_deletion_of_the_leader(node: &Node) {
    let first = leader(node);
    node.kubectl(&["delete", "pod", &first, "--namespace=rollcall"]);
    assert_ne!(one_leads(node), first);
    declare(node, "care", "support", &["alice", "dave"]);
    node.until("the next leader continues", || members(node), |members| members == &["alice", "dave"]);
    until_ready(node, "care", "support");
}

/// There is no other node, so the disruption budget keeps one pod here, and that pod leads.
fn outlives_a_drain(node: &Node) {
    let selector = "--pod-selector=app.kubernetes.io/component=operator";
    let drain = ["drain", "node", selector, "--delete-emptydir-data", "--timeout=20s"];
    let drained = node.tool("kubectl", &drain).stdin(Stdio::null()).output().unwrap();
    let answer = String::from_utf8_lossy(&drained.stderr).into_owned();
    assert!(answer.contains("violate the pod's disruption budget"), "{answer}");
    let left = ready(node);
    assert_eq!(left.len(), 1, "{answer}");
    node.until("the remaining pod leads", || leader(node), |leader| *leader == left[0]);
    declare(node, "care", "support", &["alice", "erin"]);
    node.until("the remaining pod does the work", || members(node), |members| members == &["alice", "erin"]);
    node.kubectl(&["uncordon", "node"]);
    one_leads(node);
    until_ready(node, "care", "support");
}

fn upgrades_and_goes_back_without_touching_a_member(node: &Node) {
    let before = changes(node);
    upgrade(node, &["--set=resyncInterval=30m"]);
    one_leads(node);
    node.helm(&[&["rollback", "rollcall", "1"], &WAIT[..]].concat());
    one_leads(node);
    node.helm(&["test", "rollcall", "--namespace=rollcall", "--timeout=15m"]);
    // The current operator has listed the channel and made no change.
    let ask = "rollcall.dev/reconcile-requested-at=after-rollback";
    node.kubectl(&["annotate", "chm", "support", "--namespace=care", ask]);
    let look = || node.get(&["chm", "support", "--namespace=care"])["status"]["lastHandledReconcileAt"].clone();
    node.until("the channel was listed", look, |handled| handled == "after-rollback");
    until_ready(node, "care", "support");
    assert_eq!(changes(node), before);
}

fn leaves_nothing_stuck(node: &Node) {
    node.helm(&["uninstall", "rollcall", "--namespace=rollcall", "--wait", "--timeout=15m"]);
    let support = node.get(&["chm", "support", "--namespace=care"]);
    assert!(support["metadata"]["finalizers"].is_null(), "{support}");
    node.kubectl(&["delete", "namespace", "care", "rollcall", "--timeout=15m"]);
    node.kubectl(&["delete", "crd", "channelmemberships.rollcall.dev", "--timeout=15m"]);
}
