//! `rollcall apply` removes only members of the plan, and only after a confirmation.

use serde_json::json;

use crate::workspace::{Workspace, resource};
use crate::{members, nothing_is_left_to_plan};

const APPLY: [&str; 4] = ["-f", "m.json", "--state", "state.yaml"];

fn with(flags: &[&'static str]) -> Vec<&'static str> {
    [&APPLY, flags].concat()
}

async fn applied(workspace: &Workspace, members: &[&str]) {
    workspace.write("m.json", &[resource("lobby", json!({"members": members, "prune": "Owned"}))]);
    let said = workspace.apply(&APPLY).await;
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[tokio::test]
async fn planned_members_are_removed_only_with_yes() {
    let workspace = Workspace::open().await;
    applied(&workspace, &["alice", "bob", "dave", "erin"]).await;
    workspace.write("m.json", &[resource("lobby", json!({"members": ["alice", "bob", "dave"], "prune": "Owned"}))]);
    let said = workspace.apply(&APPLY).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    let last = said.stderr.lines().last().unwrap();
    assert!(last.starts_with("error: 1 member would be removed: ") && last.contains("--yes"), "{said:?}");
    assert_eq!(members(&workspace, "lobby").len(), 4);
    let said = workspace.apply(&with(&["--yes"])).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(members(&workspace, "lobby"), ["alice", "bob", "dave"]);
    nothing_is_left_to_plan(&workspace).await;
}

#[tokio::test]
async fn no_member_is_removed_without_a_state_and_apply_says_so_once() {
    let workspace = Workspace::open().await;
    let members_of = |members: &[&str]| json!({"members": members, "prune": "Declared", "deletionPolicy": "Delete"});
    workspace.write(
        "m.json",
        &[resource("lobby", members_of(&["alice", "bob"])), resource("support", members_of(&["bob"]))],
    );
    for _ in 0..2 {
        let said = workspace.apply(&["-f", "m.json", "--yes"]).await;
        assert_eq!(said.code, Some(0), "{said:?}");
        assert_eq!(said.stderr.matches("no members are removed").count(), 1, "{said:?}");
        workspace
            .write("m.json", &[resource("lobby", members_of(&["bob"])), resource("support", members_of(&["bob"]))]);
    }
    assert_eq!((members(&workspace, "lobby").len(), members(&workspace, "support").len()), (2, 4));
}

#[tokio::test]
async fn a_plan_pending_approval_is_applied_by_its_hash() {
    let workspace = Workspace::open().await;
    applied(&workspace, &["alice", "bob", "dave", "erin"]).await;
    workspace.write("m.json", &[resource("lobby", json!({"members": ["alice"], "prune": "Owned"}))]);
    let said = workspace.apply(&APPLY).await;
    assert_eq!((said.code, members(&workspace, "lobby").len()), (Some(1), 4), "{said:?}");
    let hash = said
        .stdout
        .rsplit_once("run the command again with --approve ")
        .expect("the output names the flag")
        .1
        .trim()
        .to_owned();
    let wrong = workspace.apply(&with(&["--approve", "5c1e", "--yes"])).await;
    assert_eq!((wrong.code, members(&workspace, "lobby").len()), (Some(1), 4), "{wrong:?}");
    assert!(wrong.stderr.contains("warning: no plan 5c1e waited for approval"), "{wrong:?}");
    let unasked = workspace.apply(&[&APPLY[..], &["--approve", &hash]].concat()).await;
    assert_eq!((unasked.code, members(&workspace, "lobby").len()), (Some(1), 4), "{unasked:?}");
    let said = workspace.apply(&[&APPLY[..], &["--approve", &hash, "--yes"]].concat()).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(members(&workspace, "lobby"), ["alice"]);
    nothing_is_left_to_plan(&workspace).await;
}

#[tokio::test]
async fn a_resource_without_a_file_stays_unless_prune_is_set() {
    let workspace = Workspace::open().await;
    let support = || resource("support", json!({"members": ["dave"]}));
    let spec = json!({"members": ["alice", "bob"], "prune": "Owned", "deletionPolicy": "Delete"});
    workspace.write("m.json", &[resource("lobby", spec), support()]);
    assert_eq!(workspace.apply(&APPLY).await.code, Some(0));
    workspace.write("m.json", &[support()]);
    let said = workspace.apply(&APPLY).await;
    assert_eq!((said.code, members(&workspace, "lobby").len()), (Some(0), 2), "{said:?}");
    assert!(said.stderr.contains("note: care/lobby is in the state and not among the files"), "{said:?}");
    let said = workspace.apply(&with(&["--prune"])).await;
    assert_eq!((said.code, members(&workspace, "lobby").len()), (Some(1), 2), "{said:?}");
    let said = workspace.apply(&with(&["--prune", "--yes"])).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.stdout.contains("care/lobby: deleted: "), "{said:?}");
    assert!(members(&workspace, "lobby").is_empty());
    let state = std::fs::read_to_string(workspace.folder.path().join("state.yaml")).unwrap();
    assert!(!state.contains("name: lobby"), "{state}");
}
