//! The API server validates the fields for removal, sources and sub-channels, and keeps the status.

use kube::api::{Patch, PatchParams};
use rollcall::api::custom_resource_definition;
use serde_json::{Value, json};

use crate::stage::{INSTANCE, Stage, ids, seed, support, user};

/// Returns a spec for the channel `support` with these fields on top; `null` takes a field out.
fn with(fields: Value) -> Value {
    let mut spec = support(&["alice"]);
    overlay(&mut spec, fields);
    spec
}

/// Sets these fields of a spec.
fn overlay(spec: &mut Value, fields: Value) {
    let (Some(spec), Value::Object(fields)) = (spec.as_object_mut(), fields) else { return };
    for (name, value) in fields {
        match value {
            Value::Null => drop(spec.remove(&name)),
            value => drop(spec.insert(name, value)),
        }
    }
}

/// Returns sources of members by name and key of the ConfigMap.
fn from(sources: &[(&str, &str)]) -> Value {
    sources.iter().map(|(name, key)| json!({"configMapKeyRef": {"name": name, "key": key}})).collect()
}

async fn refusal(stage: &Stage, name: &str, spec: Value) -> String {
    let told = format!("{spec:.300}");
    match stage.try_apply(name, spec).await {
        Err(kube::Error::Api(status)) if status.code == 422 || status.code == 400 => status.message.clone(),
        other => panic!("{told} was not refused: {other:?}"),
    }
}

#[tokio::test]
async fn contradictory_removal_fields_are_refused_with_what_to_write() {
    let stage = Stage::open(seed(0)).await;
    let nobody_declared = "spec.members or spec.membersFrom is required: list the channel's members, name ConfigMaps that list them, \
                           or write members: [] to declare no members";
    let deletes_nobody = "write prune: Owned as well, or deletionPolicy: Retain";
    let no_sub_channel = "not the id of a sub-channel: write 1 to 128 letters, digits, hyphens and underscores";
    let no_name = "not the name of a ConfigMap: write lower case letters, digits, hyphens and dots, such as on-call";
    let no_key = "not a key of a ConfigMap: write letters, digits, hyphens, underscores and dots, such as members.txt";
    let twice = "every key of a ConfigMap may be listed only once: take out the duplicate";
    let no_date = "not a date and time: write it with the offset from UTC, such as 2026-12-31T18:00:00Z";
    let no_limit = "write a number of members from 0 to 10000, or a percentage from \"0%\" to \"100%\"";
    let many: Vec<String> = (0..33).map(|n| format!("map-{n}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "members.txt")).collect();
    let table: &[(Value, &[&str])] = &[
        (json!({"members": null}), &[nobody_declared]),
        (json!({"members": null, "membersFrom": []}), &[nobody_declared]),
        (json!({"deletionPolicy": "Delete"}), &["spec.deletionPolicy", deletes_nobody]),
        (json!({"deletionPolicy": "Delete", "prune": "Never"}), &["spec.deletionPolicy", deletes_nobody]),
        (json!({"deletionPolicy": "Remove"}), &["spec.deletionPolicy", "\"Remove\"", "\"Retain\", \"Delete\""]),
        (json!({"prune": "All"}), &["spec.prune", "\"All\"", "\"Never\", \"Owned\", \"Declared\", \"Authoritative\""]),
        (json!({"onLeave": "Ban"}), &["spec.onLeave", "\"Ban\"", "\"Readd\", \"Report\""]),
        (
            json!({"subChannelId": "blue", "prune": "Owned"}),
            &["spec.prune", "take out spec.prune, or spec.subChannelId"],
        ),
        (json!({"subChannelId": "blue", "type": "HIDDEN"}), &["spec.subChannelId", "write type: DEFAULT, or take out"]),
        (json!({"subChannelId": ""}), &["spec.subChannelId", no_sub_channel]),
        (json!({"subChannelId": "blue.green"}), &["spec.subChannelId", "\"blue.green\"", no_sub_channel]),
        (json!({"subChannelId": "b".repeat(129)}), &["spec.subChannelId", "128"]),
        (json!({"membersFrom": from(&many)}), &["spec.membersFrom", "33", "32"]),
        (json!({"membersFrom": from(&[("a", "k"), ("b", "k"), ("a", "k")])}), &["spec.membersFrom", "a/k", twice]),
        (json!({"membersFrom": from(&[("On-Call", "k")])}), &["configMapKeyRef.name", "\"On-Call\"", no_name]),
        (json!({"membersFrom": from(&[("a..b", "k")])}), &["configMapKeyRef.name", "\"a..b\"", no_name]),
        (json!({"membersFrom": from(&[("-a", "k")])}), &["configMapKeyRef.name", no_name]),
        (json!({"membersFrom": from(&[("", "k")])}), &["configMapKeyRef.name", no_name]),
        (json!({"membersFrom": from(&[("a", "team/members")])}), &["configMapKeyRef.key", "\"team/members\"", no_key]),
        (json!({"membersFrom": from(&[("a", "..")])}), &["configMapKeyRef.key", no_key]),
        (json!({"membersFrom": from(&[("a", "")])}), &["configMapKeyRef.key", no_key]),
        (json!({"membersFrom": [{"configMapKeyRef": {"name": "a"}}]}), &["configMapKeyRef.key", "Required value"]),
        (json!({"membersFrom": [{}]}), &["spec.membersFrom[0].configMapKeyRef", "Required value"]),
        (json!({"expiresAt": "tomorrow"}), &["spec.expiresAt", "\"tomorrow\"", no_date]),
        (json!({"expiresAt": "2026-12-31"}), &["spec.expiresAt", no_date]),
        (json!({"expiresAt": "2026-12-31T18:00:00"}), &["spec.expiresAt", no_date]),
        (json!({"expiresAt": "2026-02-30T18:00:00Z"}), &["spec.expiresAt", no_date]),
        (json!({"expiresAt": "2026-12-31T24:00:00Z"}), &["spec.expiresAt", no_date]),
        (json!({"expiresAt": "2026-12-31 18:00:00Z"}), &["spec.expiresAt", no_date]),
        (json!({"expiresAt": "9999-12-31T23:59:59Z"}), &["spec.expiresAt", "never comes: take spec.expiresAt out"]),
        (json!({"limits": {"removals": "25"}}), &["spec.limits.removals", no_limit]),
        (json!({"limits": {"removals": "101%"}}), &["spec.limits.removals", no_limit]),
        (json!({"limits": {"removals": 10_001}}), &["spec.limits.removals", no_limit]),
        (json!({"limits": {"additions": -1}}), &["spec.limits.additions", "greater than or equal to 0"]),
        (json!({"limits": {"additions": 10_001}}), &["spec.limits.additions", "less than or equal to 10000"]),
    ];
    let mut missed = Vec::new();
    for (fields, words) in table {
        let refusal = refusal(&stage, "bad", with(fields.clone())).await;
        let told = words.iter().filter(|word| !refusal.contains(**word));
        missed.extend(told.map(|word| format!("{fields:.200} was refused without {word:?}: {refusal:.2000}")));
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[tokio::test]
async fn every_good_way_to_declare_removal_is_accepted_and_read_back() {
    let stage = Stage::open(seed(0)).await;
    let many: Vec<String> = (0..32).map(|n| format!("map-{n}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "members.txt")).collect();
    let long = ("a".repeat(253), "k".repeat(253));
    let good = [
        json!({"prune": "Never"}),
        json!({"prune": "Owned", "deletionPolicy": "Delete"}),
        json!({"prune": "Declared", "deletionPolicy": "Delete"}),
        json!({"prune": "Authoritative", "deletionPolicy": "Delete"}),
        json!({"prune": "Never", "deletionPolicy": "Retain"}),
        json!({"deletionPolicy": "Retain", "onLeave": "Report"}),
        json!({"onLeave": "Readd"}),
        json!({"subChannelId": "blue_2-A"}),
        json!({"subChannelId": "b".repeat(128), "prune": "Never", "type": "DEFAULT"}),
        json!({"membersFrom": from(&many)}),
        json!({"membersFrom": []}),
        json!({"members": null, "membersFrom": from(&[("on-call", "members.txt")])}),
        json!({"members": [], "membersFrom": from(&[("a.b-c.d", ".hidden_KEY-1"), ("a", "k"), ("a", "l"), ("b", "k")])}),
        json!({"membersFrom": [{"configMapKeyRef": {"name": "a", "key": "k", "optional": true}}]}),
        json!({"membersFrom": from(&[(&long.0, &long.1)])}),
        json!({"expiresAt": "2026-12-31T18:00:00Z"}),
        json!({"expiresAt": "2026-12-31T18:00:00+02:00"}),
        json!({"expiresAt": "2026-12-31T18:00:00.123456Z"}),
        json!({"expiresAt": "9998-12-31T23:59:59Z"}),
        json!({"limits": {"removals": 0, "additions": 0, "failed": 0}}),
        json!({"limits": {"removals": "100%", "additions": 10_000}}),
    ];
    for (number, fields) in good.into_iter().enumerate() {
        let spec = with(fields.clone());
        let name = format!("good-{number}");
        let made = stage.try_apply(&name, spec.clone()).await;
        assert!(made.is_ok(), "{fields:.300}: {made:?}");
        let made = made.unwrap().spec;
        // The API server accepts the spec as the program writes it, too.
        let read = serde_json::to_value(&made).unwrap();
        let again = stage.try_apply(&name, read).await;
        assert!(again.is_ok(), "{fields:.300}: {again:?}");
    }
}

#[tokio::test]
async fn the_sub_channel_of_a_resource_cannot_be_changed_added_or_taken_out() {
    let stage = Stage::open(seed(0)).await;
    stage.apply("blue", with(json!({"subChannelId": "blue"}))).await;
    stage.apply("none", with(json!({}))).await;
    let told =
        "spec.subChannelId cannot be changed, added or taken out: declare the moderators of the other sub-channel";

    for (name, fields) in
        [("blue", json!({"subChannelId": "green"})), ("blue", json!({})), ("none", json!({"subChannelId": "blue"}))]
    {
        let refusal = refusal(&stage, name, with(fields)).await;
        assert!(refusal.contains(told), "{refusal}");
    }

    stage.apply("blue", with(json!({"subChannelId": "blue", "members": ["alice", "bob"]}))).await;
    stage.apply("none", with(json!({"prune": "Owned"}))).await;
}

/// Returns a status with every field set, and this number of names in each list of names.
fn full_status(names: usize) -> Value {
    let time = "2026-11-01T12:00:00Z";
    let condition = |kind| {
        json!({
            "type": kind, "status": "False", "reason": "ApprovalRequired", "message": "12 removals wait",
            "observedGeneration": 1, "lastTransitionTime": time,
        })
    };
    let conditions = ["Ready", "Reconciling", "Stalled"].map(condition);
    let problem = json!({
        "memberArn": user("ghost"), "errorCode": "Contested", "errorMessage": "taken out three times", "attempts": 3,
        "firstSeen": time, "nextAttempt": time,
    });
    let stays =
        ["NotOwned", "Bearer", "Moderator", "Creator", "Bot", "JoinedLately", "AwaitingApproval", "Waiting", "Refused"]
            .map(|reason| json!({"memberArn": user(reason), "reason": reason}));
    json!({
        "observedGeneration": 1,
        "channel": "support",
        "bearer": user("rollcall"),
        "conditions": conditions,
        "desired": 4, "present": 1, "pending": 2, "failed": 1,
        "errors": [problem], "errorsOmitted": 1,
        "undeclared": {"count": 9, "sample": stays},
        "lastDeclared": ids(names), "lastDeclaredUID": "0f0a", "lastDeclaredAt": time,
        "formerlyDeclared": [{"at": "2026-11-01T00:00:00Z", "members": ids(1)}],
        "declaredElsewhere": ids(1),
        "sources": [{"name": "on-call", "key": "members.txt", "hash": "5c1e"}, {"name": "gone", "key": "members.txt"}],
        "pendingApproval": {
            "additions": 0, "removals": 12, "hash": "5c1e5c1e5c1e5c1e", "members": ["-m0000", "+m0001", "-bot/helper"],
            "reasons": ["TooManyAdditions", "TooManyRemovals", "NoMembersDeclared", "ShrankUnchanged", "DeclarerGone"],
            "approved": true,
        },
        "removing": ids(2),
        "removed": {"count": 3, "since": time, "hours": [{"from": time, "count": 3}]},
        "lastHandledApproval": "5c1e",
        "lastListed": time,
        "resyncInterval": "1h",
        "lastHandledReconcileAt": "now",
    })
}

async fn write_status(stage: &Stage, name: &str, status: &Value) {
    let patch = Patch::Merge(json!({"status": status}));
    stage.resources.patch_status(name, &PatchParams::default(), &patch).await.unwrap();
}

/// Returns the size of an object in JSON, the form in which the API server returns and stores
/// custom resources.
async fn size(stage: &Stage, name: &str) -> usize {
    let path = format!("/apis/rollcall.dev/v1alpha1/namespaces/{}/channelmemberships/{name}", stage.namespace);
    stage.cluster.request_text(http::Request::get(path).body(Vec::new()).unwrap()).await.unwrap().len()
}

#[tokio::test]
async fn every_status_field_is_kept_by_the_api_server() {
    let stage = Stage::open(seed(0)).await;
    stage.apply("full", support(&ids(10_000))).await;
    let said = full_status(10_000);

    write_status(&stage, "full", &said).await;

    let kept = stage.get("full").await.status.unwrap();
    // The type and the schema know every field, and this status sets it: none is lost between the
    // three.
    let fields = schema_fields();
    let missing: Vec<&String> = fields.iter().filter(|field| said.get(field.as_str()).is_none()).collect();
    assert!(missing.is_empty(), "set here as well: {missing:?}");
    let mut kept = serde_json::to_value(kept).unwrap();
    let mut said = said;
    assert_eq!(kept["lastDeclared"].take(), said["lastDeclared"].take());
    assert_eq!(kept, said);
}

/// Returns the fields of the status by the CRD.
fn schema_fields() -> Vec<String> {
    let definition = serde_json::to_value(custom_resource_definition()).unwrap();
    let status = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"];
    status.as_object().unwrap().keys().cloned().collect()
}

#[tokio::test]
async fn member_names_of_any_form_and_number_are_kept_in_a_status() {
    let stage = Stage::open(seed(0)).await;
    stage.apply("odd", support(&["alice"])).await;
    let mut names = ids(12_000);
    names.extend(["-", "a b", "ü", "user/../x", "arn:aws:chime:::app-instance/other/user/x"].map(str::to_owned));

    write_status(&stage, "odd", &json!({"lastDeclared": names})).await;

    let kept = stage.get("odd").await.status.unwrap().last_declared.unwrap();
    assert_eq!(kept.iter().collect::<Vec<_>>(), names);
}

/// Returns ids of users of the greatest length that the service gives.
fn longest_ids(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{n:064}")).collect()
}

#[tokio::test]
async fn the_largest_resources_fit_in_a_request() {
    let stage = Stage::open(seed(0)).await;
    let mut sizes = Vec::new();
    for (kind, names) in [("short", ids(10_000)), ("longest", longest_ids(10_000))] {
        let listed = format!("{kind}-listed");
        let mut spec = support(&names);
        overlay(&mut spec, json!({"prune": "Owned", "deletionPolicy": "Delete"}));
        stage.apply(&listed, spec).await;
        sizes.push((format!("10,000 {kind} ids"), size(&stage, &listed).await));
        write_status(&stage, &listed, &json!({"lastDeclared": names})).await;
        sizes.push((format!("10,000 {kind} ids and lastDeclared"), size(&stage, &listed).await));

        let sourced = format!("{kind}-sourced");
        let teams: Vec<String> = (1..=9).map(|n| format!("team-{n}")).collect();
        let keys: Vec<(&str, &str)> = teams.iter().map(|name| (name.as_str(), "members.txt")).collect();
        stage.apply(&sourced, with(json!({"members": null, "membersFrom": from(&keys), "prune": "Owned"}))).await;
        let read = |name| json!({"name": name, "key": "members.txt", "hash": "5c1e5c1e5c1e5c1e"});
        let read: Value = teams.iter().map(read).collect();
        write_status(&stage, &sourced, &json!({"lastDeclared": names, "sources": read})).await;
        sizes.push((format!("9 sources and lastDeclared of 10,000 {kind} ids"), size(&stage, &sourced).await));
    }
    for (what, bytes) in &sizes {
        println!("{what}: {bytes} bytes");
        // etcd takes requests of up to 1.5 MiB.
        assert!(*bytes < 1_500_000, "{what}: {bytes} bytes");
    }
}

#[tokio::test]
async fn ten_thousand_long_arns_exceed_the_size_and_not_the_rule_cost() {
    let stage = Stage::open(seed(0)).await;
    let all = |instance: &str, id: usize| {
        let members: Vec<String> = (0..10_000).map(|n| format!("{instance}/user/{n:0id$}")).collect();
        json!({
            "channelArn": format!("{instance}/channel/support"), "members": members, "prune": "Owned", "deletionPolicy": "Delete",
            "membersFrom": from(&[("a", "k"), ("b", "k")]), "expiresAt": "2026-12-31T18:00:00Z",
        })
    };

    let usual = all(INSTANCE, 60);
    stage.apply("usual", usual.clone()).await;
    stage.apply("usual", usual).await;
    println!("10,000 ARNs of 117 bytes: {} bytes", size(&stage, "usual").await);

    // 290 bytes for each ARN fill a request (3 MiB). The API server evaluates the rules before it
    // stores the object.
    let long = stage.try_apply("long", all(&format!("{INSTANCE}{}", "f".repeat(160)), 64)).await;
    let refusal = long.unwrap_err().to_string();
    assert!(refusal.contains("message larger than max"), "{refusal:.2000}");
}
