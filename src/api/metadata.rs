//! Reads the parts of an object's metadata that Rollcall uses.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{ChannelMembershipSpec, ConfigMapKeyRef, FINALIZER, RELEASE};

/// Returns `namespace/name`.
pub fn resource(metadata: &ObjectMeta) -> String {
    let [namespace, name] = [&metadata.namespace, &metadata.name].map(|part| part.as_deref().unwrap_or_default());
    format!("{namespace}/{name}")
}

/// Returns the creation time, which the API server sets on every object.
pub fn created(metadata: &ObjectMeta) -> Timestamp {
    metadata.creation_timestamp.as_ref().map(|time| time.0).unwrap_or_default()
}

/// Returns the value of an annotation.
pub fn annotation<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// Returns `true` if the object has the annotation that releases it without removals.
pub fn is_released(metadata: &ObjectMeta) -> bool {
    annotation(metadata, RELEASE) == Some("true")
}

/// Returns `true` if the object has Rollcall's finalizer.
pub fn has_finalizer(metadata: &ObjectMeta) -> bool {
    metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

/// Returns the ConfigMap keys to read for a resource. There are none if the spec cannot be read, or
/// if the resource is being deleted and so declares no members.
pub fn references<'a>(
    metadata: &ObjectMeta,
    spec: Option<&'a ChannelMembershipSpec>,
) -> impl Iterator<Item = &'a ConfigMapKeyRef> + use<'a> {
    let spec = spec.filter(|_| metadata.deletion_timestamp.is_none());
    spec.into_iter().flat_map(|spec| &spec.members_from).map(|source| &source.config_map_key_ref)
}
