//! What is installed in a cluster so that it knows the kind?

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
};
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
        let root = version.schema.as_mut().and_then(|validation| validation.open_api_v3_schema.as_mut());
        for (name, property) in root.and_then(|root| root.properties.as_mut()).into_iter().flatten() {
            tidy(property);
            if name == "status" {
                // kstatus takes an object without status as ready, so a new one says that nothing was observed yet.
                property.default = Some(JSON(serde_json::json!({"observedGeneration": -1})));
            }
        }
    }
    definition
}

/// A field that may be null is kept as null, which rules trip over; any other is dropped when it is null. Of Rust's formats of
/// integers the API server knows none, and kubectl warns of them.
fn tidy(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.format.take_if(|format| format.starts_with("uint"));
    schema.properties.iter_mut().flatten().for_each(|(_, property)| tidy(property));
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        tidy(items);
    }
}

/// The definition as YAML, as `crds/` holds it.
pub fn crd_yaml() -> Result<String, CrdError> {
    Ok(serde_yaml::to_string(&custom_resource_definition())?)
}
