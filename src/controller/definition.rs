//! Does the cluster serve the kind as this version of Rollcall knows it?
//!
//! Asked of the API server's own description (OpenAPI v3), which everybody who is known to it may read. A field that is not served is dropped
//! when it is written, without a word: of a spec before Rollcall sees it, of a status after.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use serde_json::Value;

use super::cluster::Cluster;
use crate::api::custom_resource_definition;

/// Where the kind is described, below the API server's address.
const PATH: &str = "/openapi/v3/apis/rollcall.dev/v1alpha1";

/// A definition is published within so long, as a rule.
const PUBLISHED: Duration = Duration::from_secs(5);

/// So often the API server is asked again.
const ASKED_AGAIN: usize = 6;

/// What is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served {
    /// All that this version knows.
    Whole,
    /// The kind, without these fields.
    Without(BTreeSet<String>),
    /// Not the kind.
    Nothing,
    /// The API server does not say, for this reason.
    Unknown(String),
}

/// Asks the API server which fields of the kind it serves; again for a while where it says nothing of it, because what it says
/// is published some seconds after a definition is applied.
pub async fn served(cluster: &Arc<Cluster>) -> Served {
    let mut served = served_now(cluster).await;
    for _ in 0..ASKED_AGAIN {
        if !matches!(served, Served::Nothing | Served::Unknown(_)) {
            break;
        }
        tokio::time::sleep(PUBLISHED).await;
        served = served_now(cluster).await;
    }
    served
}

/// The same, asked once.
pub async fn served_now(cluster: &Arc<Cluster>) -> Served {
    let request = match Request::get(PATH).body(Vec::new()) {
        Ok(request) => request,
        Err(error) => return Served::Unknown(error.to_string()),
    };
    match cluster.in_turn(|| cluster.client.request::<Value>(request)).await {
        Ok(page) => compare(&page),
        Err(failure) if failure.code() == Some(http::StatusCode::NOT_FOUND) => Served::Nothing,
        Err(failure) => Served::Unknown(failure.to_string()),
    }
}

fn compare(page: &Value) -> Served {
    let schemas = page["components"]["schemas"].as_object().into_iter().flatten();
    let kind = |schema: &Value| {
        let kinds = schema["x-kubernetes-group-version-kind"].as_array();
        kinds.is_some_and(|kinds| kinds.iter().any(|it| it["kind"] == "ChannelMembership"))
    };
    let Some((_, found)) = schemas.into_iter().find(|(_, schema)| kind(schema)) else { return Served::Nothing };
    let ours = match serde_json::to_value(custom_resource_definition()) {
        Ok(ours) => ours,
        Err(error) => return Served::Unknown(error.to_string()),
    };
    let mut missing = BTreeSet::new();
    for part in ["spec", "status"] {
        let ours = &ours["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][part];
        lacks(ours, &found["properties"][part], part, &mut missing);
    }
    if missing.is_empty() { Served::Whole } else { Served::Without(missing) }
}

/// The paths of the fields that one schema has and the other has not; of a field that is missing, not those below it.
fn lacks(ours: &Value, theirs: &Value, path: &str, missing: &mut BTreeSet<String>) {
    if theirs["x-kubernetes-preserve-unknown-fields"] == true {
        return;
    }
    for (name, field) in ours["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match theirs["properties"].get(name) {
            None => _ = missing.insert(path),
            Some(served) => {
                lacks(field, served, &path, missing);
                lacks(&field["items"], &served["items"], &path, missing);
            }
        }
    }
}

impl Served {
    /// Tells whoever reads the log.
    pub fn tell(&self) {
        match self {
            Self::Whole => {}
            Self::Without(fields) => {
                let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
                tracing::warn!(
                    missing = fields.join(", "),
                    "the definition of ChannelMembership in the cluster is not of this version, and what it lacks is dropped without a word: \
                     apply crds/"
                );
            }
            Self::Nothing => {
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

    /// What an API server says that has this schema.
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
    fn a_definition_of_this_version_is_whole_and_one_that_knows_more_is_too() {
        assert_eq!(compare(&page(&ours())), Served::Whole);
        let mut newer = ours();
        newer["properties"]["spec"]["properties"]["later"] = json!({"type": "string"});
        assert_eq!(compare(&page(&newer)), Served::Whole);
    }

    #[test]
    fn what_an_older_definition_lacks_is_named_wherever_it_is() {
        let mut older = ours();
        older["properties"]["spec"]["properties"].as_object_mut().unwrap().remove("limits");
        let errors = &mut older["properties"]["status"]["properties"]["errors"]["items"]["properties"];
        errors.as_object_mut().unwrap().remove("nextAttempt");
        let missing = ["spec.limits", "status.errors.nextAttempt"].map(str::to_owned);
        assert_eq!(compare(&page(&older)), Served::Without(BTreeSet::from(missing)));
    }

    #[test]
    fn a_cluster_without_the_kind_serves_nothing() {
        assert_eq!(compare(&json!({"components": {"schemas": {"other": {}}}})), Served::Nothing);
    }
}
