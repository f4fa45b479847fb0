//! The custom resource definition of the kind.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt as _;

use super::ChannelMembership;

/// The definition could not be written as YAML.
#[derive(Debug, thiserror::Error)]
#[error("failed to write the custom resource definition as YAML: {0}")]
pub struct CrdError(#[from] serde_yaml::ser_error::Error);

/// Returns the definition of the kind for the API server.
pub fn custom_resource_definition() -> CustomResourceDefinition {
    let mut definition = ChannelMembership::crd();
    for version in &mut definition.spec.versions {
        let root = version.schema.as_mut().and_then(|validation| validation.open_api_v3_schema.as_mut());
        for (name, property) in root.and_then(|root| root.properties.as_mut()).into_iter().flatten() {
            tidy(property);
            if name == "status" {
                // kstatus takes an object without a status as ready. The default tells that no
                // generation was observed yet.
                property.default = Some(JSON(serde_json::json!({"observedGeneration": -1})));
            }
        }
    }
    definition
}

/// Removes `nullable` and the integer formats of Rust from a schema. The API server drops a null
/// field only if the field is not nullable, and rules fail on null fields. The API server does not
/// know Rust's unsigned formats, and kubectl warns about them.
fn tidy(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.format.take_if(|format| format.starts_with("uint"));
    schema.properties.iter_mut().flatten().for_each(|(_, property)| tidy(property));
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        tidy(items);
    }
}

/// Returns the definition as YAML, as in `crds/`.
pub fn crd_yaml() -> Result<String, CrdError> {
    Ok(serde_yaml::to_string(&custom_resource_definition())?)
}
