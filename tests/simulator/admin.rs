//! The admin pages.

use serde_json::json;

use super::started;
use super::wire::{self, arn, support};

#[tokio::test]
async fn admin_pages_show_and_change_the_state() {
    let (simulator, client) = started(|_| {}).await;
    let index = client.send("GET", "/_admin", "").await;
    assert!(index.json.get("GET /_admin/state").is_some());
    let members = json!({"channel": support(), "members": ["alice", "mallory"]}).to_string();
    let added = client.send("POST", "/_admin/members", &members).await;
    assert_eq!(added.json[arn("user/alice")], "added");
    assert!(added.json[arn("user/mallory")].as_str().unwrap().starts_with("Forbidden"));
    let listed = client.send("GET", &format!("/_admin/members?channel={}", support()), "").await;
    assert_eq!(listed.json, json!([arn("user/alice"), arn("user/carol")]));
    let state = client.send("GET", "/_admin/state", "").await;
    assert_eq!(state.json["channels"][support()]["defaultMembers"], 2);
    let fault = r#"{"operation": "ListChannelMemberships", "times": 1, "effect": {"kind": "refuse", "status": 500}}"#;
    let id = client.send("POST", "/_admin/faults", fault).await.json["id"].as_u64().unwrap();
    assert_eq!(client.list("").await.status, 500);
    assert_eq!(client.send("GET", "/_admin/faults", "").await.json[0]["hits"], 1);
    assert_eq!(client.send("DELETE", &format!("/_admin/faults?id={id}"), "").await.json["done"], true);
    assert_eq!(client.send("GET", "/_admin/calls", "").await.json["counts"]["ListChannelMemberships"], 1);
    assert_eq!(client.send("DELETE", "/_admin/members", &members).await.json[arn("user/mallory")], "no change");
    let last = client.send("GET", "/_admin/log?last=1", "").await;
    assert_eq!((&last.json[0]["action"], &last.json[0]["bearer"]), (&json!("removed"), &json!(null)));
    let news = client.send("GET", "/_admin/log?after=1", "").await;
    let numbered: Vec<_> =
        news.json.as_array().unwrap().iter().map(|entry| (&entry["number"], &entry["action"])).collect();
    assert_eq!(numbered, [(&json!(2), &json!("added")), (&json!(3), &json!("removed"))]);
    assert_eq!(client.send("GET", "/_admin/log?after=3", "").await.json, json!([]));
    client.send("POST", "/_admin/bans", &json!({"channel": support(), "members": ["bob"]}).to_string()).await;
    assert!(simulator.list_bans(&support()).contains(&arn("user/bob")));
    client.send("DELETE", "/_admin/bans", &json!({"channel": support(), "members": ["bob"]}).to_string()).await;
    assert!(!simulator.list_bans(&support()).contains(&arn("user/bob")));
    let more = format!("appInstances: [{{arn: '{}', channels: [{{id: more, createdBy: bob}}]}}]", wire::APP_INSTANCE);
    assert_eq!(client.send("POST", "/_admin/seed", &more).await.status, 200);
    for (method, path, body) in [
        ("GET", "/_admin/nothing", ""),
        ("POST", "/_admin/faults", "{}"),
        ("POST", "/_admin/seed", "x: y"),
        ("DELETE", "/_admin/faults?id=x", ""),
        ("GET", "/_admin/members", ""),
        ("GET", "/_admin/log?after=x", ""),
        ("GET", "/_admin/log?after=1&last=1", ""),
        ("POST", "/_admin/members", r#"{"channel": "x", "members": []}"#),
    ] {
        let answer = client.send(method, path, body).await;
        assert!(answer.status >= 400 && answer.json["error"].is_string(), "{method} {path}: {answer:?}");
    }
}
