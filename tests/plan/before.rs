//! A plan knows the prior state from nothing, a state file, or the manifests before the change.

use serde_json::{Value, json};

use crate::workspace::{Workspace, carried_out, resource};

fn of<'a>(plan: &'a Value, name: &str) -> &'a Value {
    let found = plan["resources"].as_array().unwrap().iter().find(|it| it["resource"] == format!("care/{name}"));
    found.unwrap_or_else(|| panic!("{plan:#}"))
}

#[tokio::test]
async fn removals_are_an_upper_bound_when_the_prior_state_is_unknown() {
    let workspace = Workspace::open().await;
    workspace.write("team.yaml", &[resource("support", json!({"members": ["alice", "dave"], "prune": "Owned"}))]);
    let said = workspace.plan(&["-f", "team.yaml"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let lines: Vec<&str> = said.stdout.lines().map(str::trim).collect();
    assert!(lines.contains(&"+ dave") && lines.contains(&"-? bob"), "{said:?}");
    assert!(!said.stdout.contains("zoe"), "another user added her: {said:?}");
    for words in ["at most these are removed", "what the resources declared before was not read", "other resources"] {
        assert!(said.stdout.contains(words), "{words}: {said:?}");
    }
    assert!(
        said.stdout.contains("Plan: 1 to add, 0 to remove, at most 1 more to remove (not proven), 0 pending approval"),
        "{said:?}"
    );
    workspace.nothing_was_changed();
}

#[tokio::test]
async fn a_state_gives_exact_removals_and_pending_approvals() {
    let workspace = Workspace::open().await;
    let spec = json!({"members": ["alice", "bob", "carol", "zoe"], "prune": "Owned", "limits": {"removals": 1}});
    workspace.write("state.yaml", &[carried_out("support", spec)]);
    for (members, add, remove, pending) in [
        (json!(["alice", "carol", "zoe", "dave"]), json!(["dave"]), json!(["bob"]), 0),
        (json!(["carol", "zoe"]), json!([]), json!([]), 2),
    ] {
        let spec = json!({"members": members, "prune": "Owned", "limits": {"removals": 1}});
        workspace.write("team.yaml", &[resource("support", spec)]);
        let said = workspace.plan(&["-f", "team.yaml", "--state", "state.yaml", "-o", "json"]).await;
        let plan = said.json();
        let support = of(&plan, "support");
        assert_eq!((&support["add"], &support["remove"], &support["atMost"]), (&add, &remove, &json!(false)));
        assert_eq!(support["pendingApproval"]["removals"].as_u64().unwrap_or_default(), pending);
        assert_eq!(plan["before"], "state");
    }
    let text = workspace.plan(&["-f", "team.yaml", "--state", "state.yaml"]).await.stdout;
    assert!(text.contains("! -alice") && text.contains("more removals in 24 hours than limits.removals"), "{text}");
    assert!(text.contains("kubectl annotate --overwrite -n care chm support rollcall.dev/approve="), "{text}");
    workspace.nothing_was_changed();
}

#[tokio::test]
async fn undeclared_members_that_stay_are_listed_with_the_reason() {
    let workspace = Workspace::open().await;
    let spec = |members: Value| json!({"members": members, "prune": "Owned", "limits": {"removals": "100%"}});
    workspace.write("state.yaml", &[carried_out("support", spec(json!(["alice", "bob", "carol", "zoe"])))]);
    workspace.write("team.yaml", &[resource("support", spec(json!(["alice"])))]);
    let said = workspace.plan(&["-f", "team.yaml", "--state", "state.yaml"]).await;
    for line in ["  - bob", "  ~ carol stays (Moderator)", "  ~ zoe stays (NotOwned)"] {
        assert!(said.stdout.lines().any(|it| it == line), "{line}: {said:?}");
    }
}

#[tokio::test]
async fn resources_of_the_state_without_a_file_stay_unless_pruned() {
    let workspace = Workspace::open().await;
    let mut state =
        carried_out("support", json!({"members": ["alice", "bob"], "prune": "Owned", "deletionPolicy": "Delete"}));
    state["metadata"]["finalizers"] = json!(["rollcall.dev/prune"]);
    workspace.write("state.yaml", &[state]);
    let mut other = resource("support", json!({"members": ["alice", "dave"]}));
    other["metadata"]["name"] = json!("other");
    workspace.write("team.yaml", &[other]);
    let plan = workspace.plan(&["-f", "team.yaml", "--state", "state.yaml", "-o", "json"]).await.json();
    assert_eq!((plan["resources"].as_array().unwrap().len(), &plan["totals"]["remove"]), (1, &json!(0)));
    let plan = workspace.plan(&["-f", "team.yaml", "--state", "state.yaml", "--prune", "-o", "json"]).await.json();
    let gone = of(&plan, "support");
    assert_eq!((&gone["change"], &gone["remove"]), (&json!("deleted"), &json!(["bob"])), "{plan:#}");
}

#[tokio::test]
async fn earlier_manifests_give_the_earlier_members_and_deleted_resources() {
    let workspace = Workspace::open().await;
    for (policy, removed) in [("Delete", json!(["alice", "bob"])), ("Retain", json!([]))] {
        let spec = json!({"members": ["alice", "bob"], "prune": "Owned", "deletionPolicy": policy});
        workspace.write("main/support.yaml", &[resource("support", spec)]);
        workspace.write("main/lobby.yaml", &[resource("lobby", json!({"members": ["alice"]}))]);
        workspace.write("branch/lobby.yaml", &[resource("lobby", json!({"members": ["alice", "bob"]}))]);
        let said = workspace.plan(&["-f", "branch", "--base", "main", "-o", "json"]).await;
        let plan = said.json();
        let gone = of(&plan, "support");
        assert_eq!((&gone["change"], &gone["remove"]), (&json!("deleted"), &removed), "{plan:#}");
        assert_eq!(gone["remarks"].as_array().unwrap().len(), usize::from(policy == "Retain"), "{plan:#}");
        assert_eq!(of(&plan, "lobby")["add"], json!(["alice", "bob"]));
    }
    let spec = |members: Value| json!({"members": members, "prune": "Owned"});
    workspace.write("main/support.yaml", &[resource("support", spec(json!(["alice", "bob", "dave"])))]);
    workspace.write("branch/support.yaml", &[resource("support", spec(json!(["alice", "dave"])))]);
    let plan = workspace.plan(&["-f", "branch", "--base", "main", "-o", "json"]).await.json();
    assert_eq!(of(&plan, "support")["remove"], json!(["bob"]));
    assert!(plan["remarks"][0].as_str().unwrap().contains("outside these folders"), "{plan:#}");
}

#[tokio::test]
async fn config_maps_among_the_files_are_read_and_others_reported_missing() {
    let workspace = Workspace::open().await;
    let from = json!([{"configMapKeyRef": {"name": "on-call", "key": "members.txt"}}]);
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "on-call", "namespace": "care"},
        "data": {"members.txt": "dave\nerin\n"},
    });
    let support = resource("support", json!({"membersFrom": from}));
    workspace.write("team.yaml", &[support.clone(), map]);
    let plan = workspace.plan(&["-f", "team.yaml", "-o", "json"]).await.json();
    assert_eq!(of(&plan, "support")["add"], json!(["dave", "erin"]));
    workspace.write("team.yaml", &[support]);
    let plan = workspace.plan(&["-f", "team.yaml", "-o", "json"]).await.json();
    let conflict = &of(&plan, "support")["conflict"];
    assert_eq!(conflict["reason"], "SourceNotReady");
    assert!(conflict["message"].as_str().unwrap().contains("ConfigMap on-call is not among the files"), "{conflict}");
}
