//! A check that the cluster serves the kind as this version of Rollcall knows it.
//!
//! The source is the API server's own description (OpenAPI v3), which every authenticated client
//! may read. The API server silently drops a field that it does not serve: a spec field before
//! Rollcall sees it, a status field after Rollcall wrote it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use serde_json::Value;

use super::cluster::Cluster;
use crate::api::custom_resource_definition;

/// The path of the description of the kind.
const PATH: &str = "/openapi/v3/apis/rollcall.dev/v1alpha1";

/// A definition is published within this time, as a rule.
const PUBLISH_DELAY: Duration = Duration::from_secs(5);

/// How often the API server is asked again.
const RETRIES: usize = 6;

/// How the cluster serves the kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CrdStatus {
    /// All fields that this version knows.
    Complete,
    /// The kind, without these fields.
    MissingFields(BTreeSet<String>),
    /// The kind is not served.
    NotInstalled,
    /// The answer is unknown, for this reason.
    Unknown(String),
}

/// Reads which fields of the kind the API server serves. Asks again for a while if the kind is
/// unknown, because a definition is published some seconds after it is applied.
pub async fn check_crd(cluster: &Arc<Cluster>) -> CrdStatus {
    let mut status = check_crd_once(cluster).await;
    for _ in 0..RETRIES {
        if !matches!(status, CrdStatus::NotInstalled | CrdStatus::Unknown(_)) {
            break;
        }
        tokio::time::sleep(PUBLISH_DELAY).await;
        status = check_crd_once(cluster).await;
    }
    status
}

/// Reads once which fields of the kind the API server serves.
pub async fn check_crd_once(cluster: &Arc<Cluster>) -> CrdStatus {
    let request = match Request::get(PATH).body(Vec::new()) {
        Ok(request) => request,
        Err(error) => return CrdStatus::Unknown(error.to_string()),
    };
    match cluster.limited(|| cluster.client.request::<Value>(request)).await {
        Ok(page) => compare(&page),
        Err(failure) if failure.code() == Some(http::StatusCode::NOT_FOUND) => CrdStatus::NotInstalled,
        Err(failure) => CrdStatus::Unknown(failure.to_string()),
    }
}

fn compare(page: &Value) -> CrdStatus {
    let schemas = page["components"]["schemas"].as_object().into_iter().flatten();
    let kind = |schema: &Value| {
        let kinds = schema["x-kubernetes-group-version-kind"].as_array();
        kinds.is_some_and(|kinds| kinds.iter().any(|it| it["kind"] == "ChannelMembership"))
    };
    let Some((_, found)) = schemas.into_iter().find(|(_, schema)| kind(schema)) else { return CrdStatus::NotInstalled };
    let ours = match serde_json::to_value(custom_resource_definition()) {
        Ok(ours) => ours,
        Err(error) => return CrdStatus::Unknown(error.to_string()),
    };
    let mut missing = BTreeSet::new();
    for part in ["spec", "status"] {
        let ours = &ours["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][part];
        missing_fields(ours, &found["properties"][part], part, &mut missing);
    }
    if missing.is_empty() { CrdStatus::Complete } else { CrdStatus::MissingFields(missing) }
}

/// Collects the paths of the fields of `ours` that `theirs` lacks. Fields below a missing field are
/// not collected.
fn missing_fields(ours: &Value, theirs: &Value, path: &str, missing: &mut BTreeSet<String>) {
    if theirs["x-kubernetes-preserve-unknown-fields"] == true {
        return;
    }
    for (name, field) in ours["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match theirs["properties"].get(name) {
            None => _ = missing.insert(path),
            Some(served) => {
                missing_fields(field, served, &path, missing);
                missing_fields(&field["items"], &served["items"], &path, missing);
            }
        }
    }
}

impl CrdStatus {
    /// Logs the status, unless it is complete.
    pub fn log(&self) {
        match self {
            Self::Complete => {}
            Self::MissingFields(fields) => {
                let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
                tracing::warn!(
                    missing = fields.join(", "),
                    "the definition of ChannelMembership in the cluster is of another version, and the API server silently drops \
                     the missing fields: apply crds/"
                );
            }
            Self::NotInstalled => {
                tracing::warn!("the cluster does not know ChannelMembership in rollcall.dev/v1alpha1: apply crds/");
            }
            Self::Unknown(why) => {
                tracing::info!(why, "failed to read which fields of ChannelMembership the cluster serves");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Returns the description of an API server with this schema.
    fn page(schema: &Value) -> Value {
        let mut schema = schema.clone();
        schema["x-kubernetes-group-version-kind"] =
            json!([{"group": "rollcall.dev", "kind": "ChannelMembership", "version": "v1alpha1"}]);
        json!({"components": {"schemas": {"dev.rollcall.v1alpha1.ChannelMembership": schema, "other": {}}}})
    }

    fn ours() -> Value {
        let definition = serde_json::to_value(custom_resource_definition()).unwrap();
        definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
    }

    #[test]
    fn definition_of_this_version_or_a_newer_one_is_complete() {
        assert_eq!(compare(&page(&ours())), CrdStatus::Complete);
        let mut newer = ours();
        newer["properties"]["spec"]["properties"]["later"] = json!({"type": "string"});
        assert_eq!(compare(&page(&newer)), CrdStatus::Complete);
    }

    #[test]
    fn fields_that_an_older_definition_lacks_are_named_at_any_depth() {
        let mut older = ours();
        older["properties"]["spec"]["properties"].as_object_mut().unwrap().remove("limits");
        let errors = &mut older["properties"]["status"]["properties"]["errors"]["items"]["properties"];
        errors.as_object_mut().unwrap().remove("nextAttempt");
        let missing = ["spec.limits", "status.errors.nextAttempt"].map(str::to_owned);
        assert_eq!(compare(&page(&older)), CrdStatus::MissingFields(BTreeSet::from(missing)));
    }

    #[test]
    fn kind_is_not_installed_if_the_description_lacks_it() {
        assert_eq!(compare(&json!({"components": {"schemas": {"other": {}}}})), CrdStatus::NotInstalled);
    }
}
