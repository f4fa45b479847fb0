//! `rollcall status`, `why` and `undeclared` show resources and members.

use std::os::unix::fs::symlink;
use std::process::Stdio;

use jiff::{SignedDuration, Timestamp};
use rollcall::simulator::{ChannelSeed, Seed};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::command_line::{command, ended, rollcall, rollcall_as};
use crate::removal::with;
use crate::stage::{INSTANCE, Stage, channel, seed, shared, spec, support, user};

/// Returns an app instance: alice and bob are declared, one of them in a ConfigMap; mallory is
/// banned; olaf added carol long ago.
fn people() -> Seed {
    let long_ago = Timestamp::now() - SignedDuration::from_hours(48);
    Seed::new(INSTANCE)
        .users(["alice", "bob", "carol", "olaf", "mallory", "rollcall"])
        .admins(["rollcall"])
        .channel(ChannelSeed::new("support").bans(["mallory"]).invited("olaf", Some(long_ago), ["carol"]))
        .channel(ChannelSeed::new("other"))
}

async fn opened() -> (Stage, crate::operator::Operator) {
    let stage = Stage::open(people()).await;
    stage.config_map("on-call", json!({"members.txt": "# this week\nbob\n"})).await;
    let mut spec = support(&["alice", "mallory"]);
    spec["membersFrom"] = json!([{"configMapKeyRef": {"name": "on-call", "key": "members.txt"}}]);
    stage.apply("support", spec).await;
    stage.apply("other", crate::stage::spec("other", &["alice"])).await;
    let operator = stage.operator(&[]);
    stage.until_reason("support", "MembersRefused").await;
    stage.until_reason("other", "AllPresent").await;
    (stage, operator)
}

#[tokio::test]
async fn status_shows_resources_and_the_next_step_or_says_there_are_none() {
    let (stage, _operator) = opened().await;
    let text = rollcall(&stage, &["status"]).await.well();
    let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{text}"));
    let cells = |name: &str| -> Vec<String> { line(name).split_whitespace().map(str::to_owned).collect() };
    assert_eq!(cells("RESOURCE")[..4], ["RESOURCE", "CHANNEL", "READY", "REASON"]);
    assert_eq!(cells("other")[..8], ["other", "other", "True", "AllPresent", "1/1", "0", "0", "-"]);
    assert_eq!(cells("support ")[..8], ["support", "support", "False", "MembersRefused", "2/3", "0", "1", "-"]);
    let step = format!("{}/support: MembersRefused: 2 of 3 present, 1 refused", stage.namespace);
    assert!(text.contains(&step) && text.contains("2 resources: 1 ready, 1 stalled; 3 of 4"), "{text}");
    assert!(!text.contains('\x1b'), "no colours in a pipe");

    let one = rollcall(&stage, &["status", "support", "-o", "json"]).await;
    assert_eq!((one.json()[0]["name"].as_str(), one.json()[0]["failed"].as_u64()), (Some("support"), Some(1)));
    assert_eq!(one.json().as_array().unwrap().len(), 1);
    let everywhere = rollcall(&stage, &["status", "-A"]).await.well();
    assert!(everywhere.contains(&format!("{}/support", stage.namespace).chars().take(8).collect::<String>()));
    let none = rollcall(&stage, &["status", "-l", "team=none"]).await;
    assert!(none.stderr.contains("no ChannelMembership in namespace"), "{none:?}");
    assert!(none.well().is_empty());
    let missing = rollcall(&stage, &["status", "absent"]).await.error();
    assert!(missing.contains(&format!("{}/absent", stage.namespace)) && missing.contains("not found"), "{missing}");
    let bad = rollcall(&stage, &["status", "../secrets"]).await.error();
    assert!(bad.contains("names no resource"), "{bad}");
    let context = rollcall(&stage, &["status", "--context", "nowhere"]).await.error();
    assert!(context.contains("--context nowhere"), "{context}");
}

#[tokio::test]
async fn status_shows_more_resources_than_one_page_holds() {
    let stage = Stage::open(seed(1)).await;
    for n in 0..130 {
        stage.apply(&format!("r{n:03}"), support(&["m0000"])).await;
    }
    let told = rollcall(&stage, &["status", "-o", "json"]).await.json();
    let names: Vec<&str> = told.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!((names.len(), names[0], names[129]), (130, "r000", "r129"));
}

#[tokio::test]
async fn a_watch_prints_one_line_per_change() {
    let stage = Stage::open(seed(2)).await;
    stage.apply("team", support(&["m0000"])).await;
    let mut watch = command(&stage, &["status", "team", "--watch"]).await;
    let mut watch = watch.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut until = async |what: &str| loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if line.contains(what) {
            return line;
        }
    };
    until("no status: does the operator run").await;
    let _operator = stage.operator(&[]);
    until("True  AllPresent  1/1 present").await;
    stage.apply("other", support(&["m0000"])).await;
    stage.apply("team", support(&["m0000", "m0001"])).await;
    let line = until("AllPresent  2/2 present").await;
    assert!(line.contains(&format!("{}/team", stage.namespace)), "{line}");
    stage.resources.delete("team", &kube::api::DeleteParams::default()).await.unwrap();
    until("deleted").await;
}

#[tokio::test]
async fn why_names_the_declarers_of_a_member_and_the_channel_state() {
    let (stage, _operator) = opened().await;
    let in_support = |user: &'static str| {
        let stage = &stage;
        async move { rollcall(stage, &["why", user, "support"]).await.well() }
    };
    let alice = in_support("alice").await;
    assert!(alice.contains("declared in spec.members[0], written alice"), "{alice}");
    assert!(alice.contains("present: declared, neither refused nor pending"), "{alice}");
    assert!(alice.contains("by its status of ") && alice.contains(" ago"), "{alice}");
    let bob = in_support("bob").await;
    let place = format!("declared in ConfigMap {}/on-call, key members.txt, line 2", stage.namespace);
    assert!(bob.contains(&place) && bob.contains("present"), "{bob}");
    let mallory = in_support("mallory").await;
    assert!(mallory.contains("refused: Forbidden: ") && mallory.contains("next attempt not before"), "{mallory}");
    let carol = in_support("carol").await;
    assert!(carol.contains("in the channel, and no resource declares the member"), "{carol}");
    assert!(carol.contains("no resource declares the member; 1 resource declares members of the channel"), "{carol}");

    // The channel is named by its ARN, by the namespace and name of a resource, and in all
    // channels.
    let arn = channel("support");
    let named = format!("{}/support", stage.namespace);
    let of = |said: &crate::command_line::RollcallOutput| {
        let places = said.json()["places"].as_array().unwrap().clone();
        let mut channels: Vec<Value> = places.into_iter().map(|place| place["channel"].clone()).collect();
        channels.sort_by_key(ToString::to_string);
        channels
    };
    for channel in [arn.as_str(), named.as_str()] {
        let told = rollcall(&stage, &["why", &user("alice"), channel, "-o", "json"]).await;
        assert_eq!(of(&told), [json!(arn)]);
    }
    let told = rollcall(&stage, &["why", "alice", "-o", "json"]).await;
    assert_eq!(of(&told), [json!(channel("other")), json!(arn)]);
    assert_eq!(told.json()["places"][1]["resources"][0]["findings"][0], json!({"is": "present"}));
}

#[tokio::test]
async fn why_says_that_no_resource_declares_a_member() {
    let (stage, _operator) = opened().await;
    let upper = rollcall(&stage, &["why", "Alice", "support"]).await.well();
    assert!(
        upper.contains("no resource declares the member; 1 resource") && upper.contains("perhaps alice"),
        "{upper}"
    );
    assert!(!upper.contains("declared in"), "case is hinted at and never taken: {upper}");
    let nowhere = rollcall(&stage, &["why", "mallorry"]).await.well();
    assert!(nowhere.contains("no resource declares or mentions mallorry; 2 resources"), "{nowhere}");
    assert!(nowhere.contains("perhaps mallory?"), "{nowhere}");
    let none = rollcall(&stage, &["why", "alice", "suport"]).await.error();
    assert!(none.contains("no resource of namespace") && none.contains("perhaps support?"), "{none}");
    let about_none = rollcall(&stage, &["why", "alice", &channel("elsewhere")]).await.well();
    assert!(about_none.contains("no resource declares members of this channel"), "{about_none}");
    let shown = rollcall(&stage, &["why", "Alice Smith", "support"]).await.error();
    assert!(shown.contains("names no member") && shown.contains("--live"), "{shown}");
}

#[tokio::test]
async fn why_asks_the_service_and_finds_a_display_name() {
    let (stage, _operator) = opened().await;
    let carol = rollcall(&stage, &["why", "carol", "support", "--live"]).await.well();
    assert!(carol.contains("live: in the channel as DEFAULT since "), "{carol}");
    assert!(carol.contains(&format!("added by {}", user("olaf"))), "{carol}");
    let mallory = rollcall(&stage, &["why", "mallory", "support", "--live"]).await;
    assert!(mallory.stdout.contains("live: not in the channel"), "{mallory:?}");
    assert!(mallory.stderr.contains(", not AWS"), "{mallory:?}");

    name(&stage, "zoe", "Zoë Smith").await;
    stage.simulator.add_member(&channel("support"), "zoe").unwrap();
    let zoe = rollcall(&stage, &["why", "Zoë Smith", "support", "--live", "-o", "json"]).await;
    assert_eq!(zoe.json()["user"], json!(user("zoe")), "{zoe:?}");
    assert_eq!(zoe.json()["places"][0]["live"]["is"], json!("in"));
    let unknown = rollcall(&stage, &["why", "Zoe Smith", "support", "--live"]).await.error();
    assert!(unknown.contains("no member of the channel has this display name either"), "{unknown}");
    let all = rollcall(&stage, &["why", "zoe", "--live"]).await.well();
    assert!(all.contains("zoe in channel support"), "{all}");
}

/// Makes a user with a display name, as an application does.
async fn name(stage: &Stage, id: &str, name: &str) {
    let body = json!({"AppInstanceArn": INSTANCE, "AppInstanceUserId": id, "Name": name, "ClientRequestToken": id});
    let body = body.to_string();
    let address = stage.simulator.endpoint().replace("http://", "");
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let credential = "Credential=test/20261101/us-east-1/chime/aws4_request";
    let signature =
        format!("AWS4-HMAC-SHA256 {credential}, SignedHeaders=host;x-amz-date, Signature={}", "0".repeat(64));
    let head = format!(
        "POST /app-instance-users HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\nAuthorization: {signature}",
        body.len()
    );
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.0 201"), "{answer}");
}

#[tokio::test]
async fn undeclared_lists_members_and_the_lines_that_would_declare_them() {
    let (stage, _operator) = opened().await;
    let text = rollcall(&stage, &["undeclared", "support"]).await.well();
    assert!(text.contains("1 member is undeclared, by its status of"), "{text}");
    assert!(text.contains("carol") && text.contains("NotOwned: ") && text.ends_with("    - carol\n"), "{text}");
    let live = rollcall(&stage, &["undeclared", "support", "--live", "-o", "json"]).await;
    assert_eq!(live.json()["people"][0]["name"], json!("carol"));
    assert_eq!(live.json()["people"][0]["invitedBy"], json!(user("olaf")));
    let none = rollcall(&stage, &["undeclared", "other"]).await.well();
    assert!(none.contains("0 members are undeclared"), "{none}");

    // Another resource of the channel declares carol, and has not been reconciled yet.
    stage.apply("second", with("support", &["carol"], json!({"suspend": true}))).await;
    let live = rollcall(&stage, &["undeclared", "support", "--live", "-o", "json"]).await;
    assert_eq!(live.json()["count"], json!(0), "{live:?}");
    stage.apply("never", with("other", &["alice"], json!({"suspend": true}))).await;
    let never = rollcall(&stage, &["undeclared", "never"]).await.error();
    assert!(never.contains("no listing of the channel yet"), "{never}");
}

#[tokio::test]
async fn a_user_limited_to_a_namespace_is_told_which_one_was_listed() {
    let stage = Stage::open(seed(1)).await;
    stage.apply("team", support(&["m0000"])).await;
    let control_plane = shared().await;
    let (namespace, user) = (stage.namespace.as_str(), format!("reader-{}", stage.namespace));
    let rights = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "view", "namespace": namespace},
         "rules": [{"apiGroups": ["rollcall.dev"], "resources": ["channelmemberships"], "verbs": ["get", "list", "watch"]}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
         "metadata": {"name": "view", "namespace": namespace},
         "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "view"},
         "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]},
    ]});
    let created = control_plane.kubectl_with_input(&["create", "--filename", "-"], &rights.to_string()).await.unwrap();
    assert!(created.success, "{created:?}");
    let kubeconfig = control_plane.kubeconfig_as(&user, &["system:authenticated"]).unwrap();
    // The kubeconfig's namespace is `default`, in which the user may not list either.
    let mut bare = command(&stage, &["why", "m0000"]).await;
    bare.env("KUBECONFIG", &kubeconfig).env_remove("ROLLCALL_NAMESPACE");
    let refused = ended(bare).await;
    assert!(refused.stderr.contains("only namespace default is read"), "{refused:?}");
    assert!(refused.error().contains("failed to list ChannelMemberships of namespace default"));
    let told = rollcall_as(&stage, &kubeconfig, &["why", "m0000"]).await.well();
    assert!(told.contains("m0000 in channel support"), "{told}");
    let denied = rollcall_as(&stage, &kubeconfig, &["suspend", "team"]).await.error();
    assert!(denied.contains("failed to write spec.suspend") && denied.contains("cannot patch"), "{denied}");
}

#[tokio::test]
async fn kubectl_finds_the_plugin_and_completes_its_commands_and_names() {
    let stage = Stage::open(seed(1)).await;
    stage.apply("team", spec("support", &["m0000"])).await;
    let control_plane = shared().await;
    let folder = tempfile::tempdir().unwrap();
    for name in ["kubectl-rollcall", "kubectl_complete-rollcall"] {
        symlink(env!("CARGO_BIN_EXE_rollcall"), folder.path().join(name)).unwrap();
    }
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());
    let kubectl = |arguments: &[&str]| {
        let mut kubectl = tokio::process::Command::new(control_plane.tools().join("kubectl"));
        kubectl
            .args(arguments)
            .env("PATH", &path)
            .env("KUBECONFIG", control_plane.kubeconfig())
            .env("HOME", folder.path())
            .stdin(Stdio::null());
        ended(kubectl)
    };
    let status = kubectl(&["rollcall", "status", "-n", &stage.namespace]).await.well();
    assert!(status.contains("team") && status.contains("1 resource:"), "{status}");
    let help = kubectl(&["rollcall", "status", "--help"]).await.well();
    assert!(help.contains("Usage: kubectl rollcall status"), "{help}");
    let completed = kubectl(&["__complete", "rollcall", "stat"]).await.well();
    assert!(completed.starts_with("status\t"), "{completed}");
    let names = kubectl(&["__complete", "rollcall", "status", "-n", &stage.namespace, "t"]).await.well();
    assert!(names.starts_with("team\n"), "{names}");
    let wrong = kubectl(&["rollcall", "sttus"]).await.error();
    assert!(wrong.contains("sttus"), "{wrong}");
}
