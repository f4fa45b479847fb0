//! The page about `rollcall plan` matches the program.

use std::collections::BTreeSet;

use rollcall::simulator::{ChannelSeed, Seed};
use serde_json::{Value, json};

use crate::page;
use crate::workspace::{Workspace, resource};

const INSTANCE: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/1f0c2d3e";

fn section() -> String {
    page::section("See what would happen")
}

#[tokio::test]
async fn the_commands_of_the_page_print_what_stands_below_them() {
    let support = ChannelSeed::new("support").invited("rollcall", None, ["alice", "bob", "carol"]);
    let support = support.invited("erin", None, ["zoe"]);
    let users = ["alice", "bob", "carol", "dave", "erin", "zoe", "rollcall"];
    let workspace = Workspace::with(Seed::new(INSTANCE).users(users).admins(["rollcall"]).channel(support)).await;
    assert_eq!(page::follow(&section(), &workspace).await, 1);
}

#[test]
fn every_flag_has_its_row_and_its_variable() {
    page::every_flag_has_its_row("plan", &section());
}

/// Returns the names of all fields, without the ones of `pendingApproval` and `problems`, which the
/// status defines.
fn fields(value: &Value, names: &mut BTreeSet<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        names.insert(name.clone());
        if !["pendingApproval", "problems"].contains(&name.as_str()) {
            fields(value, names);
            value.as_array().into_iter().flatten().for_each(|item| fields(item, names));
        }
    }
}

#[tokio::test]
async fn every_field_of_the_json_is_on_the_page() {
    let workspace = Workspace::open().await;
    let from = json!([{"configMapKeyRef": {"name": "on-call", "key": "members.txt"}}]);
    workspace.write(
        "team.yaml",
        &[
            resource("support", json!({"members": ["dave"], "prune": "Declared"})),
            resource("lobby", json!({"members": ["alice", "bob"], "limits": {"additions": 1}, "membersFrom": from})),
            resource("nowhere", json!({"members": ["alice"]})),
        ],
    );
    let mut names = BTreeSet::new();
    fields(&workspace.plan(&["-f", "team.yaml", "-o", "json"]).await.json(), &mut names);
    assert!(names.len() > 30, "{names:?}");
    let section = section();
    for name in names.iter().map(String::as_str).chain(["waiting", "stays"]) {
        assert!(section.contains(&format!("`{name}`")) || section.contains(&format!("`{name}[]`")), "{name}");
    }
}
