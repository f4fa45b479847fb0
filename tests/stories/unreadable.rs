//! The operator reports objects that it cannot read, if the CRD of the cluster let them through.

use rollcall::api::custom_resource_definition;
use rollcall::simulator::{Quotas, SimulatorOptions};
use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::stage::{BEARER, Stage, UNPACED, channel, counts, ids, ready, seed, support, verdict};

/// Returns the CRD with a schema that accepts everything, as an older or a hand-made one might.
async fn loose_cluster() -> ControlPlane {
    let control_plane = ControlPlane::start().await.unwrap();
    let mut definition = serde_json::to_value(custom_resource_definition()).unwrap();
    let version = &mut definition["spec"]["versions"][0];
    version["schema"] = json!({"openAPIV3Schema": {
        "type": "object",
        "properties": {
            "spec": {"x-kubernetes-preserve-unknown-fields": true},
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        },
    }});
    version.as_object_mut().unwrap().remove("selectableFields");
    control_plane.install_crd(&serde_json::from_value(definition).unwrap()).await.unwrap();
    control_plane
}

/// Applies a resource as [`Stage::apply`] does, but by kubectl: our client cannot read the answer.
async fn apply(control_plane: &ControlPlane, stage: &Stage, name: &str, spec: Option<Value>) {
    let mut object = json!({
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "ChannelMembership",
        "metadata": {"name": name, "namespace": stage.namespace},
    });
    if let Some(spec) = spec {
        object["spec"] = spec;
    }
    let apply = ["apply", "--server-side", "--filename", "-"];
    let applied = control_plane.kubectl_with_input(&apply, &object.to_string()).await.unwrap();
    assert!(applied.success, "{applied:?}");
}

/// Returns reason and message of Ready of an object that may be unreadable.
async fn told(control_plane: &ControlPlane, stage: &Stage, name: &str) -> (String, String) {
    crate::stage::eventually(&format!("{name} is reported"), async || {
        let get = ["get", "chm", name, "--namespace", &stage.namespace, "--output=json"];
        let object: Value = serde_json::from_str(&control_plane.kubectl(&get).await.unwrap().stdout).unwrap();
        let conditions = object["status"]["conditions"].as_array()?.clone();
        let ready = conditions.into_iter().find(|condition| condition["type"] == "Ready")?;
        Some((ready["reason"].as_str()?.to_owned(), ready["message"].as_str()?.to_owned()))
    })
    .await
}

#[tokio::test]
async fn an_unreadable_object_says_so_and_stops_no_other() {
    let control_plane = loose_cluster().await;
    let options = SimulatorOptions { seed: seed(3), quotas: Quotas::Off, ..SimulatorOptions::default() };
    let stage = Stage::with(&control_plane, options).await;
    let foreign = "arn:aws:chime:us-east-1:123456789012:app-instance/other/user/bob";
    let with = |field: &str, value: Value| {
        let mut spec = support(&["m0000"]);
        spec[field] = value;
        Some(spec)
    };
    let table = [
        ("number-for-arn", with("channelArn", json!(7)), "invalid type: integer `7`"),
        ("word-for-arn", with("channelArn", json!("support")), "\"support\""),
        ("name-for-list", with("members", json!("alice")), "a list of member names"),
        ("number-in-list", with("members", json!(["m0000", 7])), "invalid type: integer `7`"),
        ("other-instance", with("members", json!(["m0000", foreign])), foreign),
        ("no-id", with("members", json!(["a b"])), "\"a b\""),
        ("no-duration", with("resyncInterval", json!("soon")), "\"soon\" is not a duration"),
        ("no-limit", with("limits", json!({"failed": "many"})), "\"many\" is not a limit"),
        ("no-type", with("type", json!("SECRET")), "SECRET"),
        ("no-arn", Some(json!({"members": []})), "channelArn"),
        ("no-object", Some(json!("x")), "invalid type: string"),
        ("no-spec", None, "spec"),
    ];
    // The object is between two good ones, so that it is neither the first nor the last of a list.
    apply(&control_plane, &stage, "a-good", Some(support(&["m0000"]))).await;
    for (name, spec, _) in &table {
        apply(&control_plane, &stage, name, spec.clone()).await;
    }
    apply(&control_plane, &stage, "z-good", Some(support(&["m0001"]))).await;
    let bearer = format!("--chime-bearer={BEARER}");

    let operator = stage.operator_of(&stage.simulator.endpoint(), &[&[bearer.as_str()], UNPACED.as_slice()].concat());

    for good in ["a-good", "z-good"] {
        let it = stage.until_reason(good, "AllPresent").await;
        assert_eq!((verdict(&it), counts(&it)), (["True", "False", "False"].map(str::to_owned), [1, 1, 0, 0]));
    }
    for (name, _, word) in &table {
        let (reason, message) = told(&control_plane, &stage, name).await;
        assert_eq!(reason, "InvalidMember", "{name}: {message}");
        assert!(message.contains(word), "{name}: {message}");
    }

    // An object that is created or fixed later is seen, too.
    apply(&control_plane, &stage, "later", with("members", json!(7))).await;
    assert_eq!(told(&control_plane, &stage, "later").await.0, "InvalidMember");
    apply(&control_plane, &stage, "later", Some(support(&ids(3)))).await;
    let mended = stage.until_reason("later", "AllPresent").await;
    assert!(ready(&mended).2.starts_with("3 of 3 present"), "{mended:?}");
    assert_eq!(stage.simulator.call_log()[0].channel.as_ref().unwrap().as_str(), channel("support"));
    assert!(operator.stop().await.unwrap());
    control_plane.stop().await;
}

#[tokio::test]
async fn an_unreadable_status_is_replaced() {
    let control_plane = loose_cluster().await;
    let options = SimulatorOptions { seed: seed(2), quotas: Quotas::Off, ..SimulatorOptions::default() };
    let stage = Stage::with(&control_plane, options).await;
    apply(&control_plane, &stage, "team", Some(support(&ids(2)))).await;
    let spoil = ["patch", "chm", "team", "--namespace", &stage.namespace, "--subresource=status", "--type=merge"];
    let spoilt = json!({"status": {"present": "all of them", "conditions": "good"}}).to_string();
    let patched = control_plane.kubectl(&[spoil.as_slice(), &["--patch", &spoilt]].concat()).await.unwrap();
    assert!(patched.success, "{patched:?}");

    let operator = stage.operator(&[]);
    let told = stage.until_reason("team", "AllPresent").await;

    assert_eq!(counts(&told), [2, 2, 0, 0]);
    assert!(operator.stop().await.unwrap());
    control_plane.stop().await;
}
