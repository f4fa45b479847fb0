//! Admission policies refuse ungranted fields at apply, and refuse approvals by users without the
//! right.

use serde_json::{Value, json};

use crate::control_plane::{ControlPlane, Kubectl};
use crate::tools::{CHART, run_against};

const INSTANCE: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/1f";
const OTHER: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/2b";

/// Starts a cluster and installs the chart with these values.
async fn cluster(values: &Value) -> ControlPlane {
    let cluster = ControlPlane::start().await.unwrap();
    for namespace in ["care", "sales", "platform"] {
        assert!(cluster.kubectl(&["create", "namespace", namespace]).await.unwrap().success);
    }
    install(&cluster, values).await;
    cluster
}

/// Installs the chart, or upgrades it to these values.
async fn install(cluster: &ControlPlane, values: &Value) {
    let file = cluster.folder().join("values.yaml");
    std::fs::write(&file, values.to_string()).unwrap();
    let values = format!("--values={}", file.display());
    let install = ["upgrade", "--install", "rollcall", CHART, "--namespace=rollcall", "--create-namespace", &values];
    run_against(&cluster.kubeconfig(), "helm", &install).await.expect_success();
    let established = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=15m"];
    assert!(cluster.kubectl(&established).await.unwrap().success);
}

/// Applies a ChannelMembership with this spec, as `kubectl apply` does. `more` are further flags.
async fn apply(cluster: &ControlPlane, namespace: &str, metadata: Value, spec: Value, more: &[&str]) -> Kubectl {
    let mut metadata = metadata;
    metadata["namespace"] = json!(namespace);
    let object =
        json!({"apiVersion": "rollcall.dev/v1alpha1", "kind": "ChannelMembership", "metadata": metadata, "spec": spec});
    let apply = [["apply", "--server-side", "--force-conflicts", "--filename=-"].as_slice(), more].concat();
    cluster.kubectl_with_input(&apply, &object.to_string()).await.unwrap()
}

/// Applies until the answer contains, or does not contain, this word: a policy takes effect a
/// moment after it is created.
async fn until(cluster: &ControlPlane, namespace: &str, metadata: Value, spec: Value, refused: Option<&str>) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_mins(15);
    loop {
        let answer = apply(cluster, namespace, metadata.clone(), spec.clone(), &["--dry-run=server"]).await;
        let expected = refused.map_or(answer.success, |word| !answer.success && answer.stderr.contains(word));
        if expected {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{namespace} {spec}: {answer:?}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

fn channel(instance: &str, id: &str) -> String {
    format!("{instance}/channel/{id}")
}

fn spec(instance: &str, id: &str, more: &Value) -> Value {
    let mut spec = json!({"channelArn": channel(instance, id), "members": ["alice"]});
    for (name, value) in more.as_object().unwrap() {
        spec[name] = value.clone();
    }
    spec
}

#[tokio::test]
async fn ungranted_fields_are_refused_at_apply_in_each_cell_of_the_matrix() {
    let bearer = format!("{INSTANCE}/user/care-bot");
    let grants = json!([
        {"namespaces": ["care"], "channels": [channel(INSTANCE, "care-*"), channel(OTHER, "lobby")]},
        {"namespaces": ["care"], "channels": [channel(INSTANCE, "own")], "bearers": [bearer], "prune": ["Authoritative"]},
        {"namespaces": ["*"], "appInstances": [OTHER], "prune": ["Never"]},
    ]);
    let by_default = format!("{INSTANCE}/user/rollcall");
    let values = json!({"grants": grants, "allowBearerOverride": true, "chimeBearers": [by_default]});
    let cluster = cluster(&values).await;
    let named = || json!({"name": "cell"});
    let no_channel = "may not declare members of";
    until(&cluster, "sales", named(), spec(INSTANCE, "care-1", &json!({})), Some(no_channel)).await;

    let table: [(&str, &str, &str, Value, Option<&str>); 17] = [
        ("care", INSTANCE, "care-1", json!({}), None),
        ("care", INSTANCE, "care-2@eu", json!({}), None),
        ("care", INSTANCE, "care", json!({}), Some(no_channel)),
        ("care", INSTANCE, "xcare-1", json!({}), Some(no_channel)),
        ("care", INSTANCE, "care-1", json!({"prune": "Declared"}), None),
        ("care", INSTANCE, "care-1", json!({"prune": "Authoritative"}), Some("may not declare prune: Authoritative")),
        ("care", INSTANCE, "care-1", json!({"chimeBearer": format!("{INSTANCE}/user/anyone")}), None),
        ("care", INSTANCE, "own", json!({"chimeBearer": bearer}), Some("may not declare prune: Never")),
        (
            "care",
            INSTANCE,
            "own",
            json!({"prune": "Authoritative"}),
            Some("may not use the bearer arn:aws:chime:us-east-1:123456789012:app-instance/1f/user/rollcall there"),
        ),
        ("care", INSTANCE, "own", json!({"prune": "Authoritative", "chimeBearer": bearer}), None),
        (
            "care",
            INSTANCE,
            "own",
            json!({"prune": "Authoritative", "chimeBearer": format!("{INSTANCE}/user/anyone")}),
            Some("may not use the bearer arn:"),
        ),
        ("care", OTHER, "lobby", json!({"prune": "Owned"}), None),
        ("sales", OTHER, "lobby", json!({"prune": "Owned"}), Some("may not declare prune: Owned")),
        ("sales", OTHER, "lobby", json!({}), None),
        ("platform", OTHER, "anything", json!({"prune": "Never"}), None),
        ("platform", INSTANCE, "care-1", json!({}), Some(no_channel)),
        ("sales", INSTANCE, "own", json!({}), Some(no_channel)),
    ];
    for (namespace, instance, id, more, refused) in table {
        let answer = apply(&cluster, namespace, named(), spec(instance, id, &more), &["--dry-run=server"]).await;
        match refused {
            None => assert!(answer.success, "{namespace} {id} {more}: {}", answer.stderr),
            Some(words) => {
                assert!(!answer.success, "{namespace} {id} {more} was accepted");
                assert!(answer.stderr.contains(words), "{namespace} {id} {more}: {}", answer.stderr);
            }
        }
    }
}

#[tokio::test]
async fn a_resource_with_a_revoked_grant_can_still_be_deleted() {
    let grant = |id: &str| json!({"grants": [{"namespaces": ["care"], "channels": [channel(INSTANCE, id)]}]});
    let cluster = cluster(&grant("a")).await;
    let finalized = json!({"name": "team", "finalizers": [rollcall::api::FINALIZER]});
    let made = apply(&cluster, "care", finalized, spec(INSTANCE, "a", &json!({})), &[]).await;
    assert!(made.success, "{}", made.stderr);
    install(&cluster, &grant("b")).await;
    let edited = spec(INSTANCE, "a", &json!({"members": ["bob"]}));
    until(&cluster, "care", json!({"name": "team"}), edited, Some("not granted")).await;

    let labelled = cluster.kubectl(&["label", "chm", "team", "--namespace=care", "a=b"]).await.unwrap();
    assert!(labelled.success, "{}", labelled.stderr);
    let delete = ["delete", "chm", "team", "--namespace=care", "--wait=false"];
    assert!(cluster.kubectl(&delete).await.unwrap().success);
    let let_go =
        ["patch", "chm", "team", "--namespace=care", "--type=merge", "--patch={\"metadata\":{\"finalizers\":null}}"];
    let let_go = cluster.kubectl(&let_go).await.unwrap();
    assert!(let_go.success, "{}", let_go.stderr);
    assert!(cluster.kubectl(&["get", "chm", "--namespace=care", "--output=name"]).await.unwrap().stdout.is_empty());
}

#[tokio::test]
async fn only_an_approval_needs_the_approve_right() {
    let cluster = cluster(&json!({"admission": {"approval": true}})).await;
    for (user, role) in [("editor", "edit"), ("owner", "admin")] {
        // A controller that does not run here fills the roles that these are added to.
        let binding = format!("--clusterrole=rollcall-{role}");
        let bind = ["create", "rolebinding", user, &binding, "--namespace=care", &format!("--user={user}")];
        assert!(cluster.kubectl(&bind).await.unwrap().success);
    }
    let approved = json!({"name": "team", "annotations": {"rollcall.dev/approve": "5c1e"}});
    let refused = "needs the verb approve on channelmemberships.rollcall.dev in namespace care";
    let spec = spec(INSTANCE, "a", &json!({}));
    let made = apply(&cluster, "care", json!({"name": "team"}), spec.clone(), &["--as=editor"]).await;
    assert!(made.success, "{}", made.stderr);
    let annotate = async |who: &str, what: &str| {
        let annotate = ["annotate", "chm", "team", "--namespace=care", "--overwrite", what, &format!("--as={who}")];
        cluster.kubectl(&annotate).await.unwrap()
    };
    // The policy takes effect a moment after it is created. An approval that came before is taken
    // back.
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_mins(15);
    while annotate("editor", "rollcall.dev/approve=5c1e").await.success {
        assert!(tokio::time::Instant::now() < deadline, "an editor may still approve");
        assert!(annotate("editor", "rollcall.dev/approve-").await.success);
    }
    let by_editor = annotate("editor", "rollcall.dev/approve=5c1e").await;
    assert!(by_editor.stderr.contains(refused), "{}", by_editor.stderr);
    let at_once =
        apply(&cluster, "care", json!({"name": "new", "annotations": approved["annotations"]}), spec, &["--as=editor"]);
    let at_once = at_once.await;
    assert!(at_once.stderr.contains(refused), "{}", at_once.stderr);
    let other = annotate("editor", "rollcall.dev/reconcile-requested-at=now").await;
    assert!(other.success, "{}", other.stderr);

    let by_owner = annotate("owner", "rollcall.dev/approve=5c1e").await;
    assert!(by_owner.success, "{}", by_owner.stderr);
    // Keeping an approval is not a new approval. Every editor may take one away.
    let other = annotate("editor", "rollcall.dev/reconcile-requested-at=later").await;
    assert!(other.success, "{}", other.stderr);
    let taken_back = annotate("editor", "rollcall.dev/approve-").await;
    assert!(taken_back.success, "{}", taken_back.stderr);
}
