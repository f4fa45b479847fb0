//! A run that was killed or interrupted leaves a usable state, and the next run continues from it.

use std::collections::BTreeMap;
use std::time::Duration;

use rollcall::simulator::{ApiOperation, ChannelSeed, MembershipAction, Seed};
use serde_json::json;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::workspace::{INSTANCE, Workspace, resource};
use crate::{members, nothing_is_left_to_plan};

const MANY: usize = 5000;
const APPLY: [&str; 6] = ["-f", "m.json", "--state", "state.yaml", "--channel-batch-rate", "25"];

/// Returns a workspace with an empty channel `lobby` and a manifest that declares thousands of
/// members of it.
async fn thousands() -> Workspace {
    let ids: Vec<String> = (0..MANY).map(|n| format!("m{n:04}")).collect();
    let seed = Seed::new(INSTANCE).users(&ids).users(["rollcall"]).admins(["rollcall"]);
    let workspace = Workspace::with(seed.channel(ChannelSeed::new("lobby"))).await;
    workspace.write("m.json", &[resource("lobby", json!({"members": ids, "prune": "Owned"}))]);
    workspace
}

async fn in_the_middle(workspace: &Workspace) -> Child {
    let child = workspace.rollcall("apply", &APPLY).spawn().unwrap();
    let channel = format!("{INSTANCE}/channel/lobby");
    let some = |count: usize| count >= MANY / 5;
    let wait =
        workspace.simulator.wait_until(|it| some(it.member_count(&channel, rollcall::api::MembershipType::Default)));
    timeout(Duration::from_mins(15), wait).await.expect("members are added");
    child
}

async fn goes_on(workspace: &Workspace) {
    let said = workspace.apply(&APPLY).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(members(workspace, "lobby").len(), MANY);
    let mut came: BTreeMap<String, usize> = BTreeMap::new();
    for entry in workspace.simulator.membership_log() {
        assert!(entry.action == MembershipAction::Added, "{entry:?}");
        *came.entry(entry.member.to_string()).or_default() += 1;
    }
    assert!(came.len() == MANY && came.values().all(|times| *times == 1), "each member is added once");
    // Batches in flight at the end of the first run may be sent again.
    let batches = workspace.simulator.call_counts()[&ApiOperation::BatchCreateChannelMembership];
    assert!(batches <= MANY as u64 / 100 + 4, "{batches}");
    nothing_is_left_to_plan(workspace).await;
}

#[tokio::test]
async fn a_second_run_adds_the_rest_of_5000_after_a_kill() {
    let workspace = thousands().await;
    let mut child = in_the_middle(&workspace).await;
    child.kill().await.unwrap();
    let there = members(&workspace, "lobby").len();
    assert!(there < MANY, "{there}");
    goes_on(&workspace).await;
}

#[tokio::test]
async fn a_second_run_adds_the_rest_after_an_interrupt() {
    for signal in ["TERM", "INT"] {
        let workspace = thousands().await;
        let child = in_the_middle(&workspace).await;
        // The shell's own `kill` is used, because not every machine has the program.
        let kill = format!("kill -{signal} {}", child.id().unwrap());
        assert!(Command::new("sh").args(["-c", &kill]).status().await.unwrap().success());
        let said = workspace.end_of(child).await;
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.stderr.ends_with("run it again to continue\n"), "{said:?}");
        let state = std::fs::read_to_string(workspace.folder.path().join("state.yaml")).unwrap();
        let there = members(&workspace, "lobby").len();
        assert!(there < MANY && state.contains(&format!("present: {there}\n")), "{there}");
        goes_on(&workspace).await;
    }
}

#[tokio::test]
async fn two_runs_at_once_do_not_mix() {
    let workspace = thousands().await;
    let mut first = in_the_middle(&workspace).await;
    let calls = workspace.simulator.call_counts()[&ApiOperation::ListChannelMemberships];
    let second = workspace.apply(&APPLY).await;
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(
        second.stderr.contains("another rollcall apply works with the state") && second.stderr.contains("state.yaml")
    );
    assert_eq!(workspace.simulator.call_counts()[&ApiOperation::ListChannelMemberships], calls);
    assert!(first.wait().await.unwrap().success());
    goes_on(&workspace).await;
}
