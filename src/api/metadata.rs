//! What does an object's metadata say that matters to Rollcall?

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{ChannelMembershipSpec, ConfigMapKeyRef, FINALIZER, RELEASE};

/// `namespace/name`.
pub fn resource(metadata: &ObjectMeta) -> String {
    let [namespace, name] = [&metadata.namespace, &metadata.name].map(|part| part.as_deref().unwrap_or_default());
    format!("{namespace}/{name}")
}

/// When the object was created. The API server sets that of every object.
pub fn created(metadata: &ObjectMeta) -> Timestamp {
    metadata.creation_timestamp.as_ref().map(|time| time.0).unwrap_or_default()
}

/// The value of an annotation.
pub fn annotation<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// Whether somebody wants our finalizer let go of, and nobody removed.
pub fn is_released(metadata: &ObjectMeta) -> bool {
    annotation(metadata, RELEASE) == Some("true")
}

/// Whether our finalizer is on the object that this metadata is of.
pub fn has_finalizer(metadata: &ObjectMeta) -> bool {
    metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

/// The sources to read for a resource: none where the spec cannot be read, or where it declares no members any more because it is being
/// deleted.
pub fn references<'a>(
    metadata: &ObjectMeta,
    spec: Option<&'a ChannelMembershipSpec>,
) -> impl Iterator<Item = &'a ConfigMapKeyRef> + use<'a> {
    let spec = spec.filter(|_| metadata.deletion_timestamp.is_none());
    spec.into_iter().flat_map(|spec| &spec.members_from).map(|source| &source.config_map_key_ref)
}
