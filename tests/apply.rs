//! `rollcall apply` carries out manifests without a cluster. The tests run the real binary on files
//! and the simulator.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says by a panic what is wrong; clippy sees only functions marked as tests"
)]

#[path = "apply/docs.rs"]
mod docs;
#[path = "apply/interrupted.rs"]
mod interrupted;
#[path = "support/page.rs"]
mod page;
#[path = "apply/removals.rs"]
mod removals;
#[path = "apply/state.rs"]
mod state;
#[path = "plan/workspace.rs"]
mod workspace;

use rollcall::api::MembershipType;
use serde_json::json;
use workspace::{INSTANCE, Workspace, resource};

/// Returns the short ids of the members of a channel.
fn members(workspace: &Workspace, channel: &str) -> Vec<String> {
    let members = workspace.simulator.list_members(&format!("{INSTANCE}/channel/{channel}"), MembershipType::Default);
    members.iter().map(|arn| arn.rsplit('/').next().unwrap_or_default().to_owned()).collect()
}

/// Checks that the next plan is empty after an apply.
async fn nothing_is_left_to_plan(workspace: &Workspace) {
    let plan = workspace.plan(&["-f", "m.json", "--state", "state.yaml", "--detailed-exitcode"]).await;
    assert_eq!(plan.code, Some(0), "{plan:?}");
}

#[tokio::test]
async fn manifests_are_applied_and_the_next_plan_is_empty() {
    let workspace = Workspace::open().await;
    let lobby = resource("lobby", json!({"members": ["alice", "erin"], "prune": "Owned"}));
    workspace.write("m.json", &[lobby, resource("support", json!({"members": ["dave"]}))]);
    let said = workspace.apply(&["-f", "m.json", "--state", "state.yaml"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.stdout.contains("+ erin") && said.stdout.contains("care/lobby: AllPresent: 2 of 2 present"),
        "{said:?}"
    );
    assert_eq!(members(&workspace, "lobby"), ["alice", "erin"]);
    assert_eq!(members(&workspace, "support"), ["alice", "bob", "carol", "dave", "zoe"]);
    nothing_is_left_to_plan(&workspace).await;
    let calls = workspace.calls();
    let again = workspace.apply(&["-f", "m.json", "--state", "state.yaml"]).await;
    assert_eq!(again.code, Some(0), "{again:?}");
    // The plan and the reconciles list two channels.
    assert_eq!(workspace.calls() - calls, 4, "{:?}", workspace.simulator.call_counts());
}

#[tokio::test]
async fn a_shown_plan_changes_neither_channel_nor_folder() {
    let workspace = Workspace::open().await;
    workspace.write("m.json", &[resource("lobby", json!({"members": ["alice"], "prune": "Owned"}))]);
    let said = workspace.apply(&["-f", "m.json", "--state", "state.yaml", "--dry-run"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.stdout.contains("+ alice"), "{said:?}");
    workspace.nothing_was_changed();
    assert!(!workspace.folder.path().join("state.yaml").exists());
}

#[tokio::test]
async fn an_incomplete_apply_fails_and_says_what_to_do() {
    let workspace = Workspace::open().await;
    let ghost = resource("lobby", json!({"members": ["alice", "ghost"]}));
    workspace.write("m.json", &[ghost, resource("nowhere", json!({"members": ["bob"]}))]);
    let said = workspace.apply(&["-f", "m.json", "--state", "state.yaml"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stdout.contains("care/lobby: MembersRefused: 1 of 2 present"), "{said:?}");
    assert!(said.stdout.contains("\n  ghost: "), "{said:?}");
    assert!(said.stdout.contains("care/nowhere: ChannelNotAccessible: "), "{said:?}");
    let last = said.stderr.lines().last().unwrap();
    assert_eq!(last, "error: 2 of 2 resources are not as declared (care/lobby, care/nowhere)");
    assert_eq!(members(&workspace, "lobby"), ["alice"]);
}

#[tokio::test]
async fn wrong_manifests_are_reported_before_any_call_or_write() {
    let workspace = Workspace::open().await;
    workspace.write("m.json", &[resource("lobby", json!({"members": [12345]}))]);
    let said = workspace.apply(&["-f", "m.json", "--state", "state.yaml"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stderr.contains("m.json") && said.stderr.contains("12345"), "{said:?}");
    assert_eq!(workspace.calls(), 0);
    assert!(!workspace.folder.path().join("state.yaml").exists());
}
