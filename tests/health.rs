//! Health checks judge a resource rightly at each stage of its life.
//!
//! The judge is kstatus itself, which Flux and `helm --wait` use. It judges the objects that the
//! operator writes on a real API server at each stage, and the recorded objects in
//! [`recorded::FOLDER`], which Argo CD's health check judges too.

#![allow(clippy::unwrap_used, clippy::panic, clippy::manual_assert, reason = "a test says by a panic what is wrong")]

#[path = "support/control_plane.rs"]
mod control_plane;
#[path = "support/kstatus.rs"]
mod kstatus;
#[path = "support/operator.rs"]
mod operator;
#[path = "support/recorded.rs"]
mod recorded;
#[allow(dead_code, reason = "the stories use all of it")]
#[path = "stories/stage.rs"]
mod stage;

#[path = "health/life.rs"]
mod life;

use std::collections::{BTreeMap, BTreeSet};

use kstatus::kstatus;
use rollcall::api::Reason;
use serde_json::Value;

/// The expected verdicts of kstatus and of Argo CD at each stage.
const VERDICTS: [(&str, &str, &str); 26] = [
    ("just-applied", "InProgress", "Progressing"),
    ("edited", "InProgress", "Progressing"),
    ("adding", "InProgress", "Progressing"),
    ("removing", "InProgress", "Progressing"),
    ("retrying", "InProgress", "Progressing"),
    ("rate-limited", "InProgress", "Progressing"),
    ("all-present", "Current", "Healthy"),
    ("refused-within-limit", "Current", "Healthy"),
    ("members-refused", "Failed", "Degraded"),
    ("channel-not-accessible", "Failed", "Degraded"),
    ("bearer-rejected", "Failed", "Degraded"),
    ("access-denied", "Failed", "Degraded"),
    ("not-granted", "Failed", "Degraded"),
    ("approval-required", "Failed", "Degraded"),
    ("ownership-conflict", "Failed", "Degraded"),
    ("source-not-ready", "Failed", "Degraded"),
    ("invalid-member", "Failed", "Degraded"),
    ("suspended", "Current", "Suspended"),
    // kstatus reads only Ready there, and has no word for a resource without work.
    ("suspended-while-stalled", "InProgress", "Suspended"),
    ("suspended-from-the-start", "InProgress", "Suspended"),
    ("observed", "Current", "Healthy"),
    ("observed-incomplete", "InProgress", "Suspended"),
    ("suspension-unseen", "InProgress", "Progressing"),
    ("resumed-unseen", "InProgress", "Progressing"),
    ("mended-unseen", "InProgress", "Progressing"),
    ("deleted", "Terminating", "Progressing"),
];

#[tokio::test]
async fn kstatus_judges_a_resource_rightly_at_each_stage() {
    let live: BTreeMap<&str, Value> =
        Box::pin(life::stages()).await.into_iter().map(|(name, it)| (name, recorded::of(&it))).collect();
    for (name, object) in &live {
        recorded::write_if_asked(name, object);
    }

    let recorded: BTreeMap<String, Value> = recorded::all();

    assert_eq!(live.keys().copied().collect::<BTreeSet<_>>(), VERDICTS.map(|(name, ..)| name).into());
    assert_eq!(recorded.keys().map(String::as_str).collect::<BTreeSet<_>>(), VERDICTS.map(|(name, ..)| name).into());
    for objects in [&live, &recorded.iter().map(|(name, object)| (name.as_str(), object.clone())).collect()] {
        for ((name, expected, _), verdict) in
            VERDICTS.iter().zip(kstatus(VERDICTS.iter().map(|(name, ..)| &objects[name])))
        {
            assert_eq!(verdict.status, *expected, "{name}: {} {:#}", verdict.message, objects[name]);
            assert!(!verdict.message.is_empty(), "{name}");
        }
    }
    for (name, object) in &live {
        let said = "is not what the operator writes any more: run RECORD=1 cargo test --test health, and look at the difference";
        assert_eq!(recorded::verdict(object), recorded::verdict(&recorded[*name]), "{name}.yaml {said}");
    }
}

#[test]
fn every_reason_has_its_recorded_object() {
    let told: BTreeSet<String> = recorded::all().values().filter_map(recorded::reason).collect();
    assert_eq!(told, Reason::ALL.map(|reason| reason.as_str().to_owned()).into());
}

/// `make test-ecosystem` shows that Argo CD gives the recorded verdicts.
#[test]
fn argo_cd_expectations_match_kstatus_for_each_recorded_object() {
    let expected: BTreeMap<String, String> =
        recorded::expected_of_argo_cd().into_iter().map(|(name, verdict)| (name, verdict.status)).collect();
    let table = VERDICTS.map(|(name, _, argo_cd)| (name.to_owned(), argo_cd.to_owned()));
    assert_eq!(expected, table.into());
    for (name, kstatus, argo_cd) in VERDICTS {
        let same = match kstatus {
            "InProgress" | "Terminating" => argo_cd == "Progressing",
            "Current" => argo_cd == "Healthy",
            "Failed" => argo_cd == "Degraded",
            _ => false,
        };
        // The resource is suspended as asked. kstatus has no word for that.
        assert!(same || argo_cd == "Suspended" && kstatus != "Failed", "{name}");
    }
}

#[test]
fn the_settings_of_argo_cd_hold_the_health_check_as_it_is() {
    let settings = std::fs::read_to_string("examples/gitops/argocd/argocd-cm.yaml").unwrap();
    let settings: Value = serde_yaml::from_str(&settings).unwrap();
    let script = std::fs::read_to_string(recorded::folder().join("health.lua")).unwrap();
    assert_eq!(settings["data"]["resource.customizations.health.rollcall.dev_ChannelMembership"], script);
}
