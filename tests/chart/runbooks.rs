//! The commands of the runbooks work.
//!
//! The tests run each page from top to bottom as one script, on a release with an operator that
//! follows the changes of the page.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rollcall::api::MembershipType;
use rollcall::simulator::{ChannelSeed, Seed};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::release::{INSTANCE, Release, rollcall};
use crate::tools;

/// The scripts leave these commands out, because they need a real node.
const NEEDS_A_NODE: [&str; 2] = ["kubectl rollout status", "kubectl logs"];

fn seed() -> Seed {
    let users = ["alice", "bob", "carol", "dave", "rollcall", "rollcall-2"];
    let mut seed = Seed::new(INSTANCE).users(users).admins(["rollcall", "rollcall-2"]);
    for channel in ["support", "one", "two", "three"] {
        seed = seed.channel(ChannelSeed::new(channel).members(["dave"]));
    }
    seed
}

fn support(members: &[&str]) -> Value {
    let channel = format!("{INSTANCE}/channel/support");
    let spec = json!({"channelArn": channel, "members": members, "prune": "Owned"});
    json!({"apiVersion": "rollcall.dev/v1alpha1", "kind": "ChannelMembership", "metadata": {"name": "support", "namespace": "care"}, "spec": spec})
}

/// Returns the commands of a page in their order, each with its continuation lines.
fn commands(page: &str) -> Vec<String> {
    commands_of(page, &fs::read_to_string(format!("docs/runbooks/{page}.md")).unwrap())
}

/// Returns the commands of a text. `page` names its origin.
fn commands_of(page: &str, text: &str) -> Vec<String> {
    let blocks = text.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut commands: Vec<String> = Vec::new();
    for line in blocks.flat_map(str::lines) {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push(command.to_owned()),
            (None, Some(last)) => last.extend(["\n", line]),
            (None, None) => panic!("{page}: {line} belongs to no command"),
        }
    }
    assert!(!commands.is_empty(), "{page}");
    commands
}

/// Returns a folder in which the commands find the chart and the programs that they name.
async fn command_folder(release: &Release) -> PathBuf {
    let folder = release.file("folder");
    fs::create_dir_all(folder.join("bin")).unwrap();
    link(Path::new(env!("CARGO_MANIFEST_DIR")).join("charts"), folder.join("charts"));
    for name in ["rollcall", "kubectl-rollcall", "kubectl_complete-rollcall"] {
        link(rollcall(), folder.join("bin").join(name));
    }
    for program in ["helm", "kubectl"] {
        link(tools::program(program).await, folder.join("bin").join(program));
    }
    folder
}

/// An earlier page may have made the folder already.
fn link(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let to = to.as_ref();
    if !to.exists() {
        symlink(from, to).unwrap();
    }
}

/// Runs commands as one script, which ends at the first failure.
async fn run(release: &Release, kubeconfig: &Path, commands: &[String]) {
    let script = commands.iter().filter(|command| !NEEDS_A_NODE.iter().any(|it| command.starts_with(it)));
    let script: Vec<&str> = ["set -eu"].into_iter().chain(script.map(String::as_str)).collect();
    let folder = command_folder(release).await;
    let path = format!("{}:{}", folder.join("bin").display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("bash");
    shell
        .args(["-xc", &script.join("\n")])
        .current_dir(&folder)
        .env("PATH", path)
        .env("KUBECONFIG", kubeconfig)
        .env("HOME", &folder)
        .env("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", release.service.endpoint())
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test");
    let output = shell.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::select! {
        () = release.node() => unreachable!("a node runs for ever"),
        output = output => output.unwrap(),
    };
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}{told}\n{}", String::from_utf8_lossy(&output.stdout), release.log());
}

/// Runs `story` while a node does its work.
async fn with_node<T>(release: &Release, story: impl Future<Output = T>) -> T {
    tokio::select! {
        () = release.node() => unreachable!("a node runs for ever"),
        done = story => done,
    }
}

async fn until_reason(release: &Release, reason: &str) {
    let look = [
        "get",
        "chm",
        "support",
        "--namespace=care",
        "--output=jsonpath={.status.conditions[?(@.type==\"Ready\")].reason}",
    ];
    with_node(release, release.until(reason, &look, |it| it == reason)).await;
}

fn present(release: &Release, channel: &str) -> Vec<String> {
    let members = release.service.list_members(&format!("{INSTANCE}/channel/{channel}"), MembershipType::Default);
    members.iter().map(|arn| arn.rsplit('/').next().unwrap().to_owned()).collect()
}

/// Installs a release with the resource `support`, one member of which is refused.
async fn usual() -> Release {
    let release = Release::install(seed(), &["care"], json!({})).await;
    release.apply(&support(&["alice", "bob", "ghost"])).await;
    until_reason(&release, "MembersRefused").await;
    release
}

#[tokio::test]
async fn the_adoption_page_works_for_many_channels() {
    let release = Release::install(seed(), &["care"], json!({})).await;
    run(&release, &release.cluster.kubeconfig(), &commands("adopt-500-channels")).await;
    let count = "--output=jsonpath={range .items[*]}{.status.present}/{.status.undeclared.count} {.spec.mode} {end}";
    let adopted = release.kubectl(&["get", "chm", "--namespace=care", "--selector=wave=first", count]).await;
    assert_eq!(adopted, "1/0 Enforce 1/0 Enforce 1/0 Enforce 1/0 Enforce ");
    for channel in ["one", "two", "three"] {
        assert_eq!(present(&release, channel), ["dave"]);
    }
}

#[tokio::test]
async fn the_pages_on_missing_members_throttling_and_stuck_resources_work() {
    let release = usual().await;
    for page in ["someone-cannot-see-a-channel", "throttling", "stuck"] {
        run(&release, &release.cluster.kubeconfig(), &commands(page)).await;
    }
}

#[tokio::test]
async fn a_plan_pending_approval_is_read_and_approved() {
    let release = Release::install(seed(), &["care"], json!({})).await;
    release.apply(&support(&["alice", "bob"])).await;
    until_reason(&release, "AllPresent").await;
    release.apply(&support(&[])).await;
    until_reason(&release, "ApprovalRequired").await;
    run(&release, &release.cluster.kubeconfig(), &commands("pending-approval")).await;
    assert_eq!(present(&release, "support"), ["dave"]);
}

/// Returns the commands under a heading of the page about the command line, without their output.
fn command_lines(heading: &str) -> Vec<String> {
    let page = fs::read_to_string("docs/command-line.md").unwrap();
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no part {heading}"));
    let section = section.split("\n## ").next().unwrap();
    let all = commands_of(heading, section).into_iter();
    all.map(|command| command.lines().next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_commands_for_people_on_call_work_as_their_page_says() {
    let release = Release::install(seed(), &["care"], json!({})).await;
    release.apply(&support(&["alice", "bob", "carol"])).await;
    until_reason(&release, "AllPresent").await;
    let folders =
        ["mkdir -p ~/.local/bin ~/.local/share/bash-completion/completions ~/.zfunc ~/.config/fish/completions"];
    let mut lines: Vec<String> = folders.map(str::to_owned).into();
    lines.extend(command_lines("As a plugin of kubectl"));
    lines.extend(command_lines("Look at what is declared and what is there: status, why, undeclared"));
    lines.extend(command_lines("Completion and man pages"));
    let mut act = command_lines("Act: reconcile, suspend, resume, approve");
    let approve = act.pop().unwrap();
    assert!(approve.starts_with("rollcall approve"), "{approve}");
    lines.extend(act);
    let kubeconfig = release.cluster.kubeconfig();
    run(&release, &kubeconfig, &lines).await;
    let written = fs::read_dir(release.file("folder").join(".local/share/man/man1")).unwrap().count();
    assert!(written > 10, "{written} manual pages");

    release.apply(&support(&["alice"])).await;
    until_reason(&release, "ApprovalRequired").await;
    run(&release, &kubeconfig, &[approve]).await;
    until_reason(&release, "AllPresent").await;
    assert_eq!(present(&release, "support"), ["alice", "dave"]);

    // frank is in no channel by now.
    run(&release, &kubeconfig, &command_lines("A person leaves the company: offboard")).await;
    let receipt = fs::read_to_string(release.file("folder").join("frank.json")).unwrap();
    let receipt: Value = serde_json::from_str(&receipt).unwrap();
    assert_eq!(receipt["gone"], json!(true));
}

#[tokio::test]
async fn role_and_bearer_rotation_keeps_the_members_owned() {
    let release = Release::install(seed(), &["care"], json!({})).await;
    release.apply(&support(&["alice", "bob"])).await;
    until_reason(&release, "AllPresent").await;
    run(&release, &release.cluster.kubeconfig(), &commands("rotate-role-and-bearer")).await;
    let look = ["get", "chm", "support", "--namespace=care", "--output=jsonpath={.status.bearer}"];
    with_node(&release, release.until("the new bearer", &look, |it| it.ends_with("/rollcall-2"))).await;
    let mut smaller = support(&["alice"]);
    smaller["spec"]["limits"] = json!({"removals": "100%"});
    release.apply(&smaller).await;
    let look = ["get", "chm", "support", "--namespace=care", "--output=jsonpath={.status}"];
    with_node(&release, release.until("bob is gone", &look, |_| present(&release, "support") == ["alice", "dave"]))
        .await;
}

#[tokio::test]
async fn a_move_to_another_cluster_removes_no_member() {
    let old = usual().await;
    old.apply(&support(&["alice", "bob"])).await;
    until_reason(&old, "AllPresent").await;
    let before = present(&old, "support");
    let new = Release::install_for(std::sync::Arc::clone(&old.service), &["care"], json!({})).await;
    let merged = old.file("both");
    let merge = |name: &str, it: &Release| {
        let config: Value = serde_json::from_str(&fs::read_to_string(it.cluster.kubeconfig()).unwrap()).unwrap();
        [
            ("clusters", json!({"name": name, "cluster": config["clusters"][0]["cluster"]})),
            ("users", json!({"name": name, "user": config["users"][0]["user"]})),
            ("contexts", json!({"name": name, "context": {"cluster": name, "user": name}})),
        ]
    };
    let mut both = json!({"apiVersion": "v1", "kind": "Config"});
    for ((list, one), (_, other)) in merge("old", &old).into_iter().zip(merge("new", &new)) {
        both[list] = json!([one, other]);
    }
    fs::write(&merged, both.to_string()).unwrap();
    with_node(&new, run(&old, &merged, &commands("move-cluster"))).await;
    assert_eq!(present(&old, "support"), before);
}

#[tokio::test]
async fn a_restore_without_status_removes_no_member_until_asked_to() {
    let release = Release::install(seed(), &["care"], json!({})).await;
    release.apply(&support(&["alice", "bob"])).await;
    until_reason(&release, "AllPresent").await;
    // The backup is restored after bob was taken off the list.
    release.kubectl(&["delete", "chm", "support", "--namespace=care"]).await;
    release.apply(&support(&["alice"])).await;
    until_reason(&release, "AllPresent").await;
    assert_eq!(present(&release, "support"), ["alice", "bob", "dave"]);
    let mut pages = commands("restore-without-status");
    // The last command stops everything.
    let read_only = pages.pop().unwrap();
    assert!(read_only.contains("readOnly=true"), "{read_only}");
    run(&release, &release.cluster.kubeconfig(), &pages).await;
    let look = ["get", "chm", "support", "--namespace=care"];
    with_node(&release, release.until("bob is gone", &look, |_| present(&release, "support") == ["alice", "dave"]))
        .await;
    run(&release, &release.cluster.kubeconfig(), &[read_only]).await;
}

#[tokio::test]
async fn an_uninstall_by_hand_works_as_its_page_says() {
    let release = Release::install(seed(), &["care"], json!({})).await;
    release.apply(&support(&["alice", "bob"])).await;
    until_reason(&release, "AllPresent").await;
    let all = commands("uninstall");
    let [uninstall, delete_crd, scale, release_all, without_hooks, come_back, prune, claimed, ready, delete] =
        all.try_into().unwrap();
    let kubeconfig = release.cluster.kubeconfig();
    run(&release, &kubeconfig, &[prune, claimed, ready, delete]).await;
    assert_eq!(present(&release, "support"), ["dave"]);
    release.apply(&support(&["alice", "bob"])).await;
    until_reason(&release, "AllPresent").await;
    run(&release, &kubeconfig, &[scale, release_all, without_hooks, come_back, delete_crd]).await;
    assert_eq!(present(&release, "support"), ["alice", "bob", "dave"]);
    assert_eq!(uninstall, "helm uninstall rollcall --namespace rollcall");
}
