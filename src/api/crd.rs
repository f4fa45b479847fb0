//! What is installed in a cluster so that it knows the kind?

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSON};
use kube::CustomResourceExt as _;

use super::ChannelMembership;

/// The definition could not be written as YAML.
#[derive(Debug, thiserror::Error)]
#[error("failed to write the custom resource definition as YAML: {0}")]
pub struct CrdError(#[from] serde_yaml::ser_error::Error);

/// The definition of the kind, as the API server takes it.
pub fn custom_resource_definition() -> CustomResourceDefinition {
    let mut definition = ChannelMembership::crd();
    for version in &mut definition.spec.versions {
        let status = version
            .schema
            .as_mut()
            .and_then(|validation| validation.open_api_v3_schema.as_mut())
            .and_then(|root| root.properties.as_mut())
            .and_then(|properties| properties.get_mut("status"));
        if let Some(status) = status {
            // kstatus takes an object without status as ready, so a new one says that nothing was observed yet.
            status.default = Some(JSON(serde_json::json!({"observedGeneration": -1})));
        }
    }
    definition
}

/// The definition as YAML, as `crds/` holds it.
pub fn crd_yaml() -> Result<String, CrdError> {
    Ok(serde_yaml::to_string(&custom_resource_definition())?)
}
