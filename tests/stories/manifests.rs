//! The API server validates manifests and shows their columns.

use rollcall::api::crd_yaml;
use serde_json::{Value, json};

use crate::stage::{BEARER, INSTANCE, Stage, channel, ids, seed, shared, spec, support};

/// Valid values of `members`, as people write them.
const MEMBERS: [&str; 6] = [
    "alice",
    "user/bob",
    "bot/helper",
    "us-east-1:0f0a",
    "carol@example.com",
    "arn:aws:chime:us-east-1:123456789012:app-instance/1f/user/dave",
];

/// Returns a good spec with one field changed; `null` takes it out.
fn with(field: &str, value: Value) -> Value {
    let mut spec = support(&["alice"]);
    match value {
        Value::Null => drop(spec.as_object_mut().unwrap().remove(field)),
        value => spec[field] = value,
    }
    spec
}

async fn refusal(stage: &Stage, spec: Value) -> String {
    match stage.try_apply("bad", spec.clone()).await {
        Err(kube::Error::Api(status)) if status.code == 422 || status.code == 400 => status.message.clone(),
        other => panic!("{spec} was not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_bad_manifest_is_refused_with_the_value_and_what_to_write() {
    let stage = Stage::open(seed(0)).await;
    let channel_help = "not a channel ARN: write arn:aws:chime:<region>:<account>:app-instance/<id>/channel/<id>";
    let duration_help = "not a duration: write hours, minutes and seconds in this order, such as 90s, 15m or 1h30m";
    let member_help = "bob is not of the app instance of the channel: write the id of one of its users, or an ARN that begins \
                       with arn:aws:chime:us-east-1:123456789012:app-instance/1f/";
    let bearer_help = "not a user or bot ARN: write arn:aws:chime:<region>:<account>:app-instance/<id>/user/<id>";
    let failed_help = "write a number of members from 0 to 10000, or a percentage from \"0%\" to \"100%\"";
    let foreign = "arn:aws:chime:us-east-1:123456789012:app-instance/other/user/bob";
    let table: &[(&str, Value, &[&str])] = &[
        ("channelArn", json!("support"), &["spec.channelArn", "\"support\"", channel_help]),
        ("channelArn", json!(format!("{INSTANCE}/user/support")), &["/user/support", channel_help]),
        ("channelArn", json!(format!("{INSTANCE}/channel/")), &["app-instance/1f/channel/\"", channel_help]),
        ("channelArn", json!("arn:aws:sns:us-east-1:1:app-instance/1f/channel/a"), &["arn:aws:sns", channel_help]),
        ("channelArn", Value::Null, &["spec.channelArn", "Required value"]),
        ("members", json!(["alice", foreign]), &["spec.members", member_help]),
        ("members", json!(["alice", "bob", "alice"]), &["alice", "only once: take out the duplicate"]),
        ("members", json!(ids(10_001)), &["spec.members", "10001", "10000"]),
        ("members", Value::Null, &["spec.members or spec.membersFrom is required"]),
        ("members", json!([""]), &["spec.members[0]", "at least 1"]),
        ("members", json!(["alice", "b b"]), &["spec.members[1]", "\"b b\"", "should match"]),
        ("members", json!(["admin/alice"]), &["spec.members[0]", "\"admin/alice\"", "should match"]),
        ("type", json!("default"), &["spec.type", "\"default\"", "\"DEFAULT\", \"HIDDEN\""]),
        ("mode", json!("observe"), &["spec.mode", "\"observe\"", "\"Enforce\", \"Observe\""]),
        ("resyncInterval", json!("90"), &["spec.resyncInterval", "\"90\"", duration_help]),
        ("resyncInterval", json!("1d"), &["\"1d\"", duration_help]),
        ("resyncInterval", json!("30m1h"), &["\"30m1h\"", duration_help]),
        ("resyncInterval", json!("0s"), &["\"0s\"", duration_help]),
        ("resyncInterval", json!(""), &["spec.resyncInterval", duration_help]),
        ("chimeBearer", json!("rollcall"), &["spec.chimeBearer", "\"rollcall\"", bearer_help]),
        ("chimeBearer", json!(foreign), &["spec.chimeBearer must be a user or bot of the channel's app instance"]),
        ("limits", json!({"failed": "3"}), &["spec.limits.failed", failed_help]),
        ("limits", json!({"failed": -1}), &["spec.limits.failed", failed_help]),
        ("limits", json!({"failed": "101%"}), &["spec.limits.failed", failed_help]),
    ];
    for (field, value, words) in table {
        let refusal = refusal(&stage, with(field, value.clone())).await;
        for word in *words {
            assert!(refusal.contains(word), "{field}: {value} was refused without {word:?}: {refusal:.2000}");
        }
    }
}

#[tokio::test]
async fn every_good_form_of_a_manifest_is_accepted() {
    let stage = Stage::open(seed(0)).await;
    let good = [
        support(&MEMBERS),
        json!({"channelArn": channel("support"), "members": []}),
        with("type", json!("HIDDEN")),
        with("mode", json!("Observe")),
        with("resyncInterval", json!("90s")),
        with("resyncInterval", json!("1h30m")),
        with("limits", json!({"failed": 3})),
        with("limits", json!({"failed": "25%"})),
        with("limits", json!({})),
        with("suspend", json!(true)),
        with("chimeBearer", json!(BEARER)),
        with("channelArn", json!(channel("us-east-1:a.b@c_d-e"))),
        with("channelArn", json!("arn:aws-us-gov:chime:us-gov-west-1:1:app-instance/1f/channel/x")),
        with("members", json!(ids(10_000))),
    ];
    for (number, spec) in good.into_iter().enumerate() {
        let told = format!("{spec:.300}");
        let made = stage.try_apply(&format!("good-{number}"), spec).await;
        assert!(made.is_ok(), "{told}: {made:?}");
    }
}

#[tokio::test]
async fn the_target_of_a_resource_cannot_be_changed() {
    let stage = Stage::open(seed(0)).await;
    stage.apply("bad", support(&["alice"])).await;

    let refused = refusal(&stage, spec("other", &["alice"])).await;
    assert!(refused.contains("spec.channelArn cannot be changed"), "{refused}");
    let refused = refusal(&stage, with("type", json!("HIDDEN"))).await;
    assert!(refused.contains("spec.type cannot be changed"), "{refused}");
    assert!(refused.contains("declare the other type in a new resource"), "{refused}");

    stage.apply("bad", support(&["alice", "bob"])).await;
}

#[tokio::test]
async fn the_members_of_an_applied_list_are_exactly_those_written() {
    let stage = Stage::open(seed(0)).await;
    stage.apply("team", support(&["alice"])).await;
    let by_hand = json!({"spec": {"members": ["alice", "mallory"]}});
    stage.patch("team", by_hand).await;

    let applied = stage.apply("team", support(&["alice"])).await;

    assert_eq!(applied.spec.members.unwrap().iter().collect::<Vec<_>>(), ["alice"]);
}

#[tokio::test]
async fn a_resource_not_reconciled_yet_is_not_ready() {
    let stage = Stage::open(seed(0)).await;

    let made = stage.apply("team", support(&["alice"])).await;

    let status = made.status.unwrap();
    assert_eq!(status.observed_generation, Some(-1));
    assert_eq!(status.conditions, []);
    assert_eq!(made.metadata.generation, Some(1));
}

#[tokio::test]
async fn kubectl_shows_the_columns_of_the_kind() {
    let stage = Stage::open(seed(2)).await;
    let control_plane = shared().await;
    let manifest = format!(
        "{{apiVersion: rollcall.dev/v1alpha1, kind: ChannelMembership, metadata: {{name: team}}, spec: {{channelArn: \
         '{}', members: [m0000, m0001], prune: Owned}}}}",
        channel("support")
    );
    let apply = ["apply", "--namespace", &stage.namespace, "--filename", "-"];
    let applied = control_plane.kubectl_with_input(&apply, &manifest).await.unwrap();
    assert!(applied.success, "{applied:?}");
    let _operator = stage.operator(&[]);
    stage.until_reason("team", "AllPresent").await;

    let get = async |kind: &str, more: &[&str]| {
        let get = ["get", kind, "--namespace", &stage.namespace];
        let got = control_plane.kubectl(&[get.as_slice(), more].concat()).await.unwrap();
        assert!(got.success, "{got:?}");
        got.stdout.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect::<Vec<Vec<_>>>()
    };

    let narrow = get("chm", &[]).await;
    assert_eq!(narrow[0], ["NAME", "CHANNEL", "DESIRED", "PRESENT", "FAILED", "READY", "REASON", "AGE"]);
    assert_eq!(narrow[1][..7], ["team", "support", "2", "2", "0", "True", "AllPresent"]);
    let wide = get("channelmemberships", &["--output=wide"]).await;
    assert_eq!(wide[0][8..], ["PRUNE", "UNDECLARED", "APPROVAL", "ARN", "TYPE", "BEARER"]);
    assert_eq!(wide[1][8], "Owned");
    assert!(wide[1].ends_with(&[channel("support"), "DEFAULT".to_owned(), BEARER.to_owned()]), "{wide:?}");
    let of_category = get("rollcall", &["--output=name"]).await;
    assert_eq!(of_category, [["channelmembership.rollcall.dev/team"]]);
    let by_channel = format!("--field-selector=spec.channelArn={}", channel("support"));
    assert_eq!(get("chm", &["--output=name", &by_channel]).await.len(), 1);
}

#[test]
fn rollcall_crd_prints_the_crd() {
    let printed = std::process::Command::new(env!("CARGO_BIN_EXE_rollcall")).arg("crd").output().unwrap();
    assert!(printed.status.success(), "{printed:?}");
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), crd_yaml().unwrap());
}
