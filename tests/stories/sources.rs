//! Members may be listed in ConfigMaps.

use rollcall::api::ChannelMembership;
use serde_json::{Value, json};

use crate::stage::{Stage, eventually, ids, ready, seed, shared, status, support};

/// Returns a spec with members of its own and of the key `members.txt` of a ConfigMap.
fn with_source(members: &[&str], name: &str, optional: bool) -> Value {
    let mut spec = support(members);
    spec["membersFrom"] = json!([{"configMapKeyRef": {"name": name, "key": "members.txt", "optional": optional}}]);
    spec
}

#[tokio::test]
async fn an_edit_of_a_config_map_reaches_the_channel() {
    let stage = Stage::open(seed(5)).await;
    stage.config_map("on-call", json!({"members.txt": "# this week\nm0001\n\n  m0002\n"})).await;
    stage.apply("team", with_source(&["m0000"], "on-call", false)).await;
    let operator = stage.operator(&[]);
    let before = stage.until_reason("team", "AllPresent").await;
    assert_eq!(stage.present("support"), ids(3));

    stage.config_map("on-call", json!({"members.txt": "[m0001, m0003]"})).await;
    stage.until_service("the new member is present", |_| stage.count("support") == 4).await;

    let hash = |object: &ChannelMembership| status(object).sources[0].hash.clone().unwrap();
    let after = stage.until("team", "the status names the text that was read", |it| hash(it) != hash(&before)).await;
    let source = &status(&after).sources[0];
    assert_eq!((&*source.name, &*source.key), ("on-call", "members.txt"));
    assert_eq!(stage.present("support"), ids(4), "prune: Never removes no member");
    assert!(operator.stop().await.unwrap());
}

#[tokio::test]
async fn a_missing_config_map_is_named_until_it_is_created() {
    let stage = Stage::open(seed(3)).await;
    stage.apply("team", with_source(&["m0000"], "on-call", false)).await;
    let operator = stage.operator(&[]);

    let told = ready(&stage.until_reason("team", "SourceNotReady").await).2;
    assert!(told.contains("on-call"), "{told}");
    stage.until_service("the other members are added all the same", |_| stage.count("support") == 1).await;

    stage.config_map("on-call", json!({"another": "m0001"})).await;
    let names_key = |it: &_| ready(it).2.contains("members.txt");
    stage.until("team", "a key that is missing is named", names_key).await;
    stage.config_map("on-call", json!({"members.txt": "m0001\nm0002"})).await;
    stage.until_reason("team", "AllPresent").await;
    assert_eq!(stage.count("support"), 3);

    stage.delete_config_map("on-call").await;
    stage.until_reason("team", "SourceNotReady").await;
    assert_eq!(stage.count("support"), 3);
    assert!(operator.stop().await.unwrap());
}

#[tokio::test]
async fn an_optional_source_may_be_missing_and_is_read_once_created() {
    let stage = Stage::open(seed(2)).await;
    stage.apply("team", with_source(&["m0000"], "on-call", true)).await;
    let operator = stage.operator(&[]);
    stage.until_reason("team", "AllPresent").await;
    assert_eq!(stage.count("support"), 1);
    stage.config_map("on-call", json!({"members.txt": "m0001"})).await;
    stage.until_service("the new member is present", |_| stage.count("support") == 2).await;
    assert!(operator.stop().await.unwrap());
}

#[tokio::test]
async fn an_invalid_line_is_named_by_its_number_and_not_by_its_text() {
    let stage = Stage::open(seed(2)).await;
    stage.config_map("on-call", json!({"members.txt": "m0001\n\ntop secret\n"})).await;
    stage.apply("team", with_source(&["m0000"], "on-call", false)).await;
    let operator = stage.operator(&[]);
    let told = stage.until("team", "the line is named", |it| ready(it).2.contains("line 3")).await;
    let message = ready(&told).2;
    assert!(message.contains("on-call") && message.contains("members.txt"), "{message}");
    assert!(!serde_json::to_string(&told.status).unwrap().contains("secret"), "{message}");
    assert!(operator.stop().await.unwrap());
}

#[tokio::test]
async fn config_maps_are_not_read_when_members_from_is_off() {
    let stage = Stage::open(seed(2)).await;
    stage.config_map("on-call", json!({"members.txt": "m0001"})).await;
    stage.apply("team", with_source(&["m0000"], "on-call", false)).await;
    let operator = stage.operator(&["--members-from=off"]);
    let told = ready(&stage.until_reason("team", "SourceNotReady").await).2;
    assert!(told.contains("--members-from=off"), "{told}");
    stage.until_service("the other members are added all the same", |_| stage.count("support") == 1).await;
    assert!(operator.stop().await.unwrap());
}

#[tokio::test]
async fn a_missing_right_on_config_maps_is_named_and_other_work_goes_on() {
    let control_plane = shared().await;
    let mut stage = Stage::open(seed(2)).await;
    let namespace = stage.namespace.clone();
    let user = format!("no-config-maps-{namespace}");
    let rights = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "rollcall", "namespace": namespace},
         "rules": [
            {"apiGroups": ["rollcall.dev"], "resources": ["channelmemberships"], "verbs": ["list", "watch", "patch"]},
            {"apiGroups": ["rollcall.dev"], "resources": ["channelmemberships/status"], "verbs": ["patch"]},
            {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
         "metadata": {"name": "rollcall", "namespace": namespace},
         "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "rollcall"},
         "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]},
    ]});
    let create = ["create", "--filename", "-"];
    let created = control_plane.kubectl_with_input(&create, &rights.to_string()).await.unwrap();
    assert!(created.success, "{created:?}");
    stage.act_by(control_plane.kubeconfig_as(&user, &["system:authenticated"]).unwrap());
    stage.config_map("on-call", json!({"members.txt": "m0001"})).await;
    stage.apply("team", with_source(&["m0000"], "on-call", false)).await;
    let operator = stage.operator(&[]);

    let told = ready(&stage.until_reason("team", "SourceNotReady").await).2;
    assert!(told.contains("get, list and watch on configmaps"), "{told}");
    stage.until_service("the other members are added all the same", |_| stage.count("support") == 1).await;
    eventually("the log says so, too", async || {
        operator.log().contains("the watch of ConfigMaps failed").then_some(())
    })
    .await;
    assert!(!operator.log().contains("error with 403"), "and says it once: {}", operator.log());
    // The watch of resources is not disturbed.
    stage.apply("team", with_source(&["m0000", "m0001"], "on-call", false)).await;
    stage.until_service("an edit is carried out", |_| stage.count("support") == 2).await;
    assert!(operator.stop().await.unwrap());
}
