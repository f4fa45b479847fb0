//! `rollcall apply` carries out manifests without a cluster. The tests run the real binary on files
//! and the simulator.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says by a panic what is wrong; clippy sees only functions marked as tests"
)]

#[path = "plan/desk.rs"]
mod desk;
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

use desk::{Desk, INSTANCE, resource};
use rollcall::api::MembershipType;
use serde_json::json;

/// Returns the short ids of the members of a channel.
fn members(desk: &Desk, channel: &str) -> Vec<String> {
    let members = desk.simulator.list_members(&format!("{INSTANCE}/channel/{channel}"), MembershipType::Default);
    members.iter().map(|arn| arn.rsplit('/').next().unwrap_or_default().to_owned()).collect()
}

/// Checks that the next plan is empty after an apply.
async fn nothing_is_left_to_plan(desk: &Desk) {
    let plan = desk.plan(&["-f", "m.json", "--state", "state.yaml", "--detailed-exitcode"]).await;
    assert_eq!(plan.code, Some(0), "{plan:?}");
}

#[tokio::test]
async fn manifests_are_applied_and_the_next_plan_is_empty() {
    let desk = Desk::open().await;
    let lobby = resource("lobby", json!({"members": ["alice", "erin"], "prune": "Owned"}));
    desk.write("m.json", &[lobby, resource("support", json!({"members": ["dave"]}))]);
    let said = desk.apply(&["-f", "m.json", "--state", "state.yaml"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.stdout.contains("+ erin") && said.stdout.contains("care/lobby: AllPresent: 2 of 2 present"),
        "{said:?}"
    );
    assert_eq!(members(&desk, "lobby"), ["alice", "erin"]);
    assert_eq!(members(&desk, "support"), ["alice", "bob", "carol", "dave", "zoe"]);
    nothing_is_left_to_plan(&desk).await;
    let calls = desk.calls();
    let again = desk.apply(&["-f", "m.json", "--state", "state.yaml"]).await;
    assert_eq!(again.code, Some(0), "{again:?}");
    // The plan and the reconciles list two channels.
    assert_eq!(desk.calls() - calls, 4, "{:?}", desk.simulator.call_counts());
}

#[tokio::test]
async fn a_shown_plan_changes_neither_channel_nor_folder() {
    let desk = Desk::open().await;
    desk.write("m.json", &[resource("lobby", json!({"members": ["alice"], "prune": "Owned"}))]);
    let said = desk.apply(&["-f", "m.json", "--state", "state.yaml", "--dry-run"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.stdout.contains("+ alice"), "{said:?}");
    desk.nothing_was_changed();
    assert!(!desk.folder.path().join("state.yaml").exists());
}

#[tokio::test]
async fn an_incomplete_apply_fails_and_says_what_to_do() {
    let desk = Desk::open().await;
    let ghost = resource("lobby", json!({"members": ["alice", "ghost"]}));
    desk.write("m.json", &[ghost, resource("nowhere", json!({"members": ["bob"]}))]);
    let said = desk.apply(&["-f", "m.json", "--state", "state.yaml"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stdout.contains("care/lobby: MembersRefused: 1 of 2 present"), "{said:?}");
    assert!(said.stdout.contains("\n  ghost: "), "{said:?}");
    assert!(said.stdout.contains("care/nowhere: ChannelNotAccessible: "), "{said:?}");
    let last = said.stderr.lines().last().unwrap();
    assert_eq!(last, "error: 2 of 2 resources are not as declared (care/lobby, care/nowhere)");
    assert_eq!(members(&desk, "lobby"), ["alice"]);
}

#[tokio::test]
async fn wrong_manifests_are_reported_before_any_call_or_write() {
    let desk = Desk::open().await;
    desk.write("m.json", &[resource("lobby", json!({"members": [12345]}))]);
    let said = desk.apply(&["-f", "m.json", "--state", "state.yaml"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stderr.contains("m.json") && said.stderr.contains("12345"), "{said:?}");
    assert_eq!(desk.calls(), 0);
    assert!(!desk.folder.path().join("state.yaml").exists());
}
