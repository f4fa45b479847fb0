//! The end of a plan: exit codes, errors, and output for programs.

use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

use crate::workspace::{BEARER, INSTANCE, Workspace, carried_out, resource};

#[tokio::test]
async fn a_detailed_exit_code_tells_changes_from_none_and_both_from_an_error() {
    let workspace = Workspace::open().await;
    workspace.write("same.yaml", &[resource("support", json!({"members": ["alice"]}))]);
    workspace.write("more.yaml", &[resource("support", json!({"members": ["alice", "dave"]}))]);
    workspace.write("gone.yaml", &[resource("nowhere", json!({"members": ["alice"]}))]);
    workspace
        .write("pending.yaml", &[resource("lobby", json!({"members": ["alice", "bob"], "limits": {"additions": 1}}))]);
    for (file, plain, detailed) in
        [("same.yaml", 0, 0), ("more.yaml", 0, 2), ("pending.yaml", 0, 2), ("gone.yaml", 1, 1), ("none.yaml", 1, 1)]
    {
        assert_eq!(workspace.plan(&["-f", file]).await.code, Some(plain), "{file}");
        assert_eq!(workspace.plan(&["-f", file, "--detailed-exitcode"]).await.code, Some(detailed), "{file}");
    }
    assert_eq!(
        workspace.plan(&["-f", "same.yaml"]).await.last_line(),
        "Plan: 0 to add, 0 to remove, 0 pending approval, 0 conflicts in 0 of 1 resource."
    );
    workspace.nothing_was_changed();
}

#[tokio::test]
async fn a_plan_is_printed_as_a_comment_and_as_a_page_too() {
    let workspace = Workspace::open().await;
    let pending = resource("lobby", json!({"members": ["alice", "bob"], "limits": {"additions": 1}}));
    workspace.write("team.yaml", &[resource("support", json!({"members": ["alice", "dave"]})), pending]);
    let comment = workspace.plan(&["-f", "team.yaml", "-o", "markdown"]).await;
    assert!(
        comment
            .stdout
            .starts_with("<!-- rollcall plan -->\n### Rollcall: 1 added, 2 pending approval in 2 of 2 resources\n")
    );
    assert!(comment.stdout.contains("\n+ dave\n"), "{comment:?}");
    let page = workspace.plan(&["-f", "team.yaml", "-o", "html"]).await;
    assert!(page.stdout.starts_with("<!doctype html>\n") && page.stdout.ends_with("</html>\n"), "{page:?}");
    for sum in ["data-sum=\"add\">1<", "data-sum=\"remove\">0<", "data-sum=\"pendingApproval\">2<"] {
        assert!(page.stdout.contains(sum), "{sum}: {page:?}");
    }
    assert_eq!((comment.code, page.code), (Some(0), Some(0)));
    workspace.nothing_was_changed();
}

#[tokio::test]
async fn an_unreadable_channel_does_not_stop_the_plan_of_the_others() {
    let workspace = Workspace::open().await;
    let resources = ["support", "nowhere"].map(|name| resource(name, json!({"members": ["dave"]})));
    workspace.write("team.yaml", &resources);
    let said = workspace.plan(&["-f", "team.yaml"]).await;
    assert_eq!(said.code, Some(1));
    assert!(said.stdout.contains("+ dave"), "{said:?}");
    assert!(said.stdout.contains("error: ListChannelMemberships answered Forbidden"), "{said:?}");
    assert!(said.stdout.contains("check that the channel exists and that"), "{said:?}");
    assert_eq!(said.stderr, "error: the channels of 1 of 2 resources could not be read\n");
}

#[tokio::test]
async fn all_errors_of_the_files_are_reported_and_nothing_is_called() {
    let workspace = Workspace::open().await;
    workspace.write("team.yaml", &[resource("support", json!({"members": [7], "prune": "Sometimes"}))]);
    workspace.write("good.yaml", &[resource("support", json!({"members": ["alice"]}))]);
    let mut other = carried_out("support", json!({"members": ["alice"]}));
    other["spec"]["channelArn"] = json!(format!("{INSTANCE}/channel/lobby"));
    workspace.write("state.yaml", &[other]);
    for (args, words) in [
        (&["-f", "team.yaml"][..], "error: 2 problems in these manifests"),
        (&["-f", "good.yaml", "--state", "state.yaml"], "channelArn"),
        (&["-f", "good.yaml", "--state", "none.yaml"], "none.yaml"),
        (&["-f", "good.yaml", "--state", "state.yaml", "--base", "."], "cannot be used with"),
        (&["-f", "good.yaml", "--with-cluster", "--base", "."], "cannot be used with"),
        (&["-f", "good.yaml", "-o", "pdf"], "pdf"),
        (&[], "--filename"),
    ] {
        let said = workspace.plan(args).await;
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{args:?}: {said:?}");
        assert!(said.stderr.contains(words), "{args:?}: {said:?}");
    }
    assert_eq!(workspace.calls(), 0);
}

#[tokio::test]
async fn standard_input_is_read_as_kustomize_prints_it() {
    let workspace = Workspace::open().await;
    let printed: Vec<String> = [
        resource("support", json!({"members": ["alice", "dave"]})),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {}}),
        resource("lobby", json!({"members": ["erin"]})),
    ]
    .iter()
    .map(Value::to_string)
    .collect();
    let said = workspace.plan_of(&printed.join("\n---\n"), &["-f", "-", "-o", "json"]).await;
    assert_eq!((said.code, &said.json()["totals"]["add"]), (Some(0), &json!(2)), "{said:?}");
}

#[tokio::test]
async fn long_lists_are_cut_in_text_and_complete_in_json() {
    let workspace = Workspace::open().await;
    let members: Vec<String> = (0..332).map(|n| format!("m{n:03}")).collect();
    workspace.write("team.yaml", &[resource("lobby", json!({"members": members}))]);
    let text = workspace.plan(&["-f", "team.yaml"]).await.stdout;
    assert!(text.contains("  + m019\n  and 312 more (-o json has all)\n"), "{text}");
    let plan = workspace.plan(&["-f", "team.yaml", "-o", "json"]).await.json();
    assert_eq!(plan["resources"][0]["add"].as_array().unwrap().len(), 332);
    assert_eq!((&plan["cost"]["batches"], &plan["cost"]["seconds"]), (&json!(4), &json!(5)), "0.8 batches a second");
    let plan = workspace.plan(&["-f", "team.yaml", "-o", "json", "--operator-share", "20%"]).await.json();
    assert_eq!(plan["cost"]["seconds"], 20);
}

/// Programs depend on this: a field may be added, but none may go or change its meaning without
/// another `format`.
#[tokio::test]
async fn the_json_matches_its_page() {
    let workspace = Workspace::open().await;
    let spec = |members: Value| json!({"members": members, "prune": "Owned"});
    workspace.write("state.yaml", &[carried_out("support", spec(json!(["alice", "bob", "carol", "zoe"])))]);
    workspace.write("team.yaml", &[resource("support", spec(json!(["alice", "carol", "dave", "zoe"])))]);
    let said = workspace.plan(&["-f", "team.yaml", "--state", "state.yaml", "-o", "json"]).await;
    let plan = said.json();
    let endpoint = workspace.simulator.endpoint();
    assert_eq!(
        plan,
        json!({
            "format": 1,
            "before": "state",
            "remarks": [
                "resources that are not in the state were not read: the members they declare stay",
                format!("the service is {endpoint}, not AWS"),
            ],
            "resources": [{
                "resource": "care/support",
                "place": "team.yaml:4",
                "change": "changed",
                "channelArn": format!("{INSTANCE}/channel/support"),
                "type": "DEFAULT",
                "bearer": BEARER,
                "prune": "Owned",
                "desired": 4,
                "present": 3,
                "undeclared": 1,
                "add": ["dave"],
                "remove": ["bob"],
                "atMost": false,
                "stays": [],
                "problems": [],
                "remarks": [],
            }],
            "totals": {
                "resources": 1, "affected": 1, "add": 1, "remove": 1, "removeAtMost": 0, "additionsPendingApproval": 0,
                "removalsPendingApproval": 0, "waiting": 0, "stays": 0, "conflicts": 0, "errors": 0,
            },
            "cost": {
                "listingPages": 1, "batches": 1, "describes": 1, "deletes": 1, "channelLooks": 2, "calls": 6, "seconds": 2,
            },
        })
    );
}

#[tokio::test]
async fn policy_flags_work_as_the_flags_of_the_operator() {
    let workspace = Workspace::open().await;
    workspace.write("team.yaml", &[resource("support", json!({"members": ["alice"], "prune": "Authoritative"}))]);
    workspace.write("state.yaml", &[carried_out("lobby", json!({"members": []}))]);
    let conflict = |plan: Value| plan["resources"][0]["conflict"]["reason"].clone();
    let known = ["-f", "team.yaml", "--state", "state.yaml", "-o", "json"];
    assert_eq!(conflict(workspace.plan(&known).await.json()), "NotGranted");
    let allowed = workspace.plan(&[&known[..], &["--allow-authoritative"]].concat()).await.json();
    assert_eq!(conflict(allowed), Value::Null);
    std::fs::write(workspace.folder.path().join("grants.yaml"), "[]").unwrap();
    let granted =
        workspace.plan(&[&known[..], &["--allow-authoritative", "--grants", "grants.yaml"]].concat()).await.json();
    assert_eq!(conflict(granted), "NotGranted");
    let mut command = workspace.command(&known);
    let output = command.env_remove("ROLLCALL_CHIME_BEARER").output().await.unwrap();
    assert_eq!(conflict(serde_json::from_slice(&output.stdout).unwrap()), "BearerRejected");
}

#[tokio::test]
async fn an_interrupt_ends_a_plan_at_once() {
    let workspace = Workspace::open().await;
    workspace.write("team.yaml", &[resource("support", json!({"members": ["alice"]}))]);
    workspace.write("more.yaml", &[resource("lobby", json!({"members": ["alice"]}))]);
    // The rate allows one call in a quarter of an hour.
    let args = ["-f", "team.yaml", "-f", "more.yaml", "--bearer-rate", "0.001"];
    let mut child = workspace.command(&args).spawn().unwrap();
    workspace.simulator.wait_until(|service| service.call_counts().values().sum::<u64>() > 0).await;
    let id = child.id().unwrap().to_string();
    assert!(Command::new("sh").args(["-c", r#"kill -INT "$0""#, &id]).status().await.unwrap().success());
    let status = timeout(std::time::Duration::from_mins(5), child.wait()).await.unwrap().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(2));
}
