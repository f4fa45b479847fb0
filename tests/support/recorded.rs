//! Recorded resources of each stage of their life, for tools that judge health.
//!
//! The objects are where Argo CD's own tests look for them, one a file, as the operator wrote them,
//! without the parts that differ between clusters. `RECORD=1 cargo test --test health` writes them
//! anew.

#![allow(dead_code, reason = "each test uses its own part")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rollcall::api::ChannelMembership;
use serde::Deserialize;
use serde_json::{Value, json};

/// Argo CD's health check of the kind, in its upstream layout.
pub const FOLDER: &str = "examples/gitops/argocd/resource_customizations/rollcall.dev/ChannelMembership";
/// The time in all recorded objects.
const THEN: &str = "2026-06-01T12:00:00Z";

/// The expected verdict of Argo CD on an object.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct ArgoVerdict {
    /// `Progressing`, `Healthy`, `Degraded` or `Suspended`.
    pub status: String,
    /// The reason of the verdict.
    pub message: String,
}

/// Returns the folder, from every folder in which tests run.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER)
}

/// Returns all objects by the name of their file.
pub fn all() -> BTreeMap<String, Value> {
    let files = fs::read_dir(folder().join("testdata")).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| {
            let object = serde_yaml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), object)
        })
        .collect()
}

/// Returns the verdicts that Argo CD's own tests expect, by the name of the file.
pub fn expected_of_argo_cd() -> BTreeMap<String, ArgoVerdict> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Test {
        health_status: ArgoVerdict,
        input_path: String,
    }
    #[derive(Deserialize)]
    struct Tests {
        tests: Vec<Test>,
    }
    let text = fs::read_to_string(folder().join("health_test.yaml")).unwrap();
    let tests = serde_yaml::from_str::<Tests>(&text).unwrap().tests;
    let count = tests.len();
    let expected: BTreeMap<_, _> =
        tests.into_iter().map(|test| (name_of(&test.input_path).to_owned(), test.health_status)).collect();
    assert_eq!(expected.len(), count, "an object is judged twice");
    expected
}

fn name_of(path: &str) -> &str {
    path.strip_prefix("testdata/").and_then(|file| file.strip_suffix(".yaml")).unwrap_or(path)
}

/// Returns an object as it is recorded: the parts that a health check may read.
pub fn of(object: &ChannelMembership) -> Value {
    let whole = serde_json::to_value(object).unwrap();
    let (metadata, status) = (&whole["metadata"], &whole["status"]);
    let mut recorded = json!({
        "apiVersion": whole["apiVersion"],
        "kind": whole["kind"],
        "metadata": {
            "name": metadata["name"],
            "namespace": "care",
            "generation": metadata["generation"],
            "creationTimestamp": THEN,
        },
        "spec": whole["spec"],
        "status": {},
    });
    if !metadata["deletionTimestamp"].is_null() {
        recorded["metadata"]["deletionTimestamp"] = json!(THEN);
        recorded["metadata"]["finalizers"] = metadata["finalizers"].clone();
    }
    for field in ["observedGeneration", "channel", "bearer", "desired", "present", "pending", "failed", "conditions"] {
        if !status[field].is_null() {
            recorded["status"][field] = status[field].clone();
        }
    }
    let namespace = metadata["namespace"].as_str().unwrap();
    for condition in recorded.pointer_mut("/status/conditions").and_then(Value::as_array_mut).into_iter().flatten() {
        condition["lastTransitionTime"] = json!(THEN);
        // In each message, the tests' own service says that it is not AWS.
        let message = condition["message"].as_str().unwrap().replace(namespace, "care");
        condition["message"] = json!(message.split(" [the service is ").next());
    }
    recorded
}

/// Writes an object to its file if `RECORD` is set.
pub fn write_if_asked(name: &str, object: &Value) {
    if std::env::var_os("RECORD").is_some() {
        let path = folder().join(format!("testdata/{name}.yaml"));
        fs::write(path, serde_yaml::to_string(object).unwrap()).unwrap();
    }
}

/// Returns the parts of an object that a verdict depends on.
pub fn verdict(object: &Value) -> Value {
    let conditions: Vec<Value> = object["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|it| json!([it["type"], it["status"], it["reason"], it["observedGeneration"]]))
        .collect();
    json!({
        "generation": object["metadata"]["generation"],
        "deleted": !object["metadata"]["deletionTimestamp"].is_null(),
        "spec": object["spec"],
        "observed": object["status"]["observedGeneration"],
        "conditions": conditions,
    })
}

/// Returns the reason of its condition Ready.
pub fn reason(object: &Value) -> Option<String> {
    let conditions = object["status"]["conditions"].as_array()?;
    let ready = conditions.iter().find(|it| it["type"] == "Ready")?;
    ready["reason"].as_str().map(str::to_owned)
}
