//! An installation by the chart has all rights that the operator needs, and no others.

use std::process::Command;

use rollcall::api::MembershipType;
use rollcall::simulator::{ChannelSeed, Seed};
use serde_json::{Value, json};

use crate::release::{INSTANCE, Release, eventually, page, rollcall};
use crate::rules;

fn seed() -> Seed {
    Seed::new(INSTANCE)
        .users(["alice", "bob", "carol", "rollcall"])
        .admins(["rollcall"])
        .channel(ChannelSeed::new("support"))
}

fn channel() -> String {
    format!("{INSTANCE}/channel/support")
}

fn support(members: &[&str]) -> Value {
    json!({
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "ChannelMembership",
        "metadata": {"name": "support", "namespace": "care"},
        "spec": {
            "channelArn": channel(),
            "members": members,
            "membersFrom": [{"configMapKeyRef": {"name": "on-call", "key": "members"}}],
            "prune": "Owned",
            "deletionPolicy": "Delete",
            "limits": {"removals": "100%"},
        },
    })
}

fn on_call(members: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "on-call", "namespace": "care"}, "data": {"members": members}})
}

fn present(release: &Release) -> Vec<String> {
    let members = release.service.list_members(&channel(), MembershipType::Default);
    members.iter().map(|arn| arn.rsplit('/').next().unwrap().to_owned()).collect()
}

/// Runs a whole life: declared from a source, refused in part, changed, removed, deleted. Every
/// right that the chart grants is needed for it.
async fn live(release: &Release) {
    let operator = release.operator().await;
    release.apply(&on_call("carol")).await;
    release.apply(&support(&["alice", "bob", "ghost"])).await;
    let reason = "--output=jsonpath={.status.conditions[?(@.type==\"Ready\")].reason} {.status.observedGeneration} {.status.present}";
    let look = ["get", "chm", "support", "--namespace=care", reason];
    release.until("all members but the ghost are present", &look, |it| it == "MembersRefused 1 3").await;
    // The second time, the same event is counted up.
    release.apply(&support(&["alice", "ghost"])).await;
    release.until("bob was removed", &look, |it| it == "MembersRefused 2 2").await;
    assert_eq!(present(release), ["alice", "carol"]);
    metrics(release);
    let deleted = release.kubectl(&["delete", "chm", "support", "--namespace=care", "--timeout=15m"]).await;
    assert!(deleted.contains("deleted"), "{deleted}\n{}", release.log());
    assert_eq!(present(release), [""; 0]);

    let granted = release.granted("operator").await;
    let mut used = release.used("rollcall");
    // The last event may still be on its way.
    eventually(async || {
        used = release.used("rollcall");
        used.0.is_superset(&granted)
    })
    .await;
    assert_eq!(used.0, granted, "on the left what was used, on the right what was granted\n{}", release.log());
    assert_eq!(used.1, [""; 0]);
    assert!(operator.stop().await.unwrap(), "{}", release.log());
}

/// Checks that Prometheus can read `/metrics` and finds each metric of the alerts and the
/// dashboard.
fn metrics(release: &Release) {
    let told = page(release.ports[0], "/metrics").unwrap();
    for name in rules::asked_for() {
        assert!(
            told.contains(&format!("# TYPE {name} ")) || told.contains(&format!("\n{name}{{")),
            "no {name} in\n{told}"
        );
    }
    rules::takes_metrics(&release.file("metrics"), &told);
    let url = format!("http://127.0.0.1:{}/readyz", release.ports[1]);
    let asked = Command::new(rollcall()).args(["healthcheck", &url]).output().unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
}

/// Runs `rollcall doctor` as the chart's own test does. Returns its output, and whether it passed.
async fn doctor(release: &Release) -> (bool, String) {
    let hooks = release.helm(&["get", "hooks", "rollcall"]).await.expect_success().stdout;
    let hooks: Vec<Option<Value>> = serde_yaml::from_multiple(&hooks).unwrap();
    let pod = hooks.into_iter().flatten().find(|it| it["metadata"]["name"] == "rollcall-doctor").unwrap();
    let mut command = tokio::process::Command::from(release.container(&pod["spec"]).await);
    let output = command.output().await.unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test]
async fn the_chart_test_passes_with_its_rights_and_names_a_problem() {
    let values = json!({"doctor": {"channels": [channel()]}});
    let release = Release::install(seed(), &["care"], values.clone()).await;
    let operator = release.operator().await;
    let mut found = (false, String::new());
    let content = eventually(async || {
        found = doctor(&release).await;
        found.0
    });
    assert!(content.await, "{}\n{}", found.1, release.log());
    for words in [
        "ok       leader",
        "granted: list channelmemberships.rollcall.dev in all namespaces",
        "as system:serviceaccount:rollcall:rollcall",
    ] {
        assert!(found.1.contains(words), "{words:?} is not in\n{}", found.1);
    }
    let (used, refused) = release.used("rollcall");
    let granted = release.granted("operator").await;
    // Every authenticated user of a cluster has these two rights.
    let more: Vec<String> = used.difference(&granted).map(|(_, resource, verb)| format!("{verb} {resource}")).collect();
    assert_eq!(more, ["create selfsubjectreviews", "create selfsubjectaccessreviews"]);
    assert_eq!(refused, [""; 0]);
    assert!(operator.stop().await.unwrap(), "{}", release.log());

    let mut wrong = values;
    wrong["rbac"] = json!({"create": false});
    release.upgrade(wrong).await;
    let found = eventually(async || {
        found = doctor(&release).await;
        found.1.contains("failed   rights")
    });
    assert!(found.await);
}

async fn may(release: &Release, verb: &str, resource: &str, namespace: &str) -> bool {
    let identity = "--as=system:serviceaccount:rollcall:rollcall";
    let namespace = if namespace == "*" { "--all-namespaces".to_owned() } else { format!("--namespace={namespace}") };
    let asked = release.cluster.kubectl(&["auth", "can-i", verb, resource, identity, &namespace]).await.unwrap();
    asked.stdout.trim() == "yes"
}

#[tokio::test]
async fn cluster_wide_rights_are_exactly_the_rights_used() {
    let release = Release::install(seed(), &["care"], json!({})).await;
    live(&release).await;
    for (verb, resource) in [
        ("get", "secrets"),
        ("list", "secrets"),
        ("patch", "configmaps"),
        ("delete", "channelmemberships"),
        ("get", "pods"),
    ] {
        assert!(!may(&release, verb, resource, "*").await, "{verb} {resource}");
    }
}

#[tokio::test]
async fn a_namespaced_release_works_there_and_has_no_rights_elsewhere() {
    let grants = json!([{"namespaces": ["care"], "channels": [format!("{INSTANCE}/channel/*")]}]);
    let release =
        Release::install(seed(), &["care", "sales"], json!({"watchNamespaces": ["care"], "grants": grants})).await;
    let roles = release.get(&["clusterroles", "--selector=app.kubernetes.io/instance=rollcall"]).await;
    assert_eq!(roles["items"], json!([]));
    live(&release).await;
    assert!(may(&release, "list", "channelmemberships.rollcall.dev", "care").await);
    for (verb, resource, namespace) in [
        ("list", "channelmemberships.rollcall.dev", "sales"),
        ("list", "channelmemberships.rollcall.dev", "*"),
        ("get", "configmaps", "sales"),
        ("get", "configmaps", "rollcall"),
        ("create", "events.events.k8s.io", "sales"),
        ("update", "leases.coordination.k8s.io", "care"),
        ("get", "secrets", "care"),
        ("get", "secrets", "rollcall"),
    ] {
        assert!(!may(&release, verb, resource, namespace).await, "{verb} {resource} in {namespace}");
    }
}

#[tokio::test]
async fn the_notes_name_the_bearer_and_missing_settings() {
    let release = Release::install(seed(), &["care"], json!({})).await;
    let notes = release.upgrade(json!({})).await.stdout;
    for words in
        ["removes them as resources ask", "all namespaces", BEARER_LINE, "rollcall/rollcall", "no grants", "helm test"]
    {
        assert!(notes.contains(words), "{words:?} is not in\n{notes}");
    }
    let role =
        json!({"serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/rollcall"}}});
    let notes = release.upgrade(role).await.stdout;
    assert!(notes.contains("AWS_ACCESS_KEY_ID of extraEnv is used instead of arn:aws:iam::1:role/rollcall"), "{notes}");
    let none = json!({"chimeBearers": [], "readOnly": true, "watchNamespaces": ["care"]});
    let notes = release.upgrade(none).await.stdout;
    for words in ["read-only", "the namespaces care", "no bearer is set", "every watched namespace"] {
        assert!(notes.contains(words), "{words:?} is not in\n{notes}");
    }
}

const BEARER_LINE: &str = "Bearers:   arn:aws:chime:us-east-1:123456789012:app-instance/1f/user/rollcall\n";
