//! A resource: one `ChannelMembership` object as last seen, trimmed to the fields that a reconcile
//! uses.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::metadata::{annotation, created, has_finalizer, is_released, resource};
use crate::api::{APPROVE, ChannelMembershipSpec, ChannelMembershipStatus, ConfigMapKeyRef, RECONCILE_REQUESTED_AT};

/// The most bytes that a ConfigMap holds (Kubernetes, ConfigMap: "cannot exceed 1 MiB").
const MAX_TEXT_BYTES: usize = 1 << 20;

/// A version of a resource (`metadata.resourceVersion`). Versions are compared for equality only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version(pub String);

/// One resource, as last seen.
#[derive(Clone, Debug)]
pub struct Resource {
    /// `namespace/name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.creationTimestamp`.
    pub created: Timestamp,
    /// `metadata.generation`.
    pub generation: i64,
    /// `metadata.resourceVersion`.
    pub version: Version,
    /// The spec, or why it cannot be read.
    pub spec: Result<ChannelMembershipSpec, String>,
    /// A field of the spec that this version of Rollcall does not know.
    pub unknown_field: Option<String>,
    /// The sources of `membersFrom`, in their order.
    pub sources: Vec<Source>,
    /// The status as it stands in the cluster.
    pub status: Option<ChannelMembershipStatus>,
    /// The value of the annotation that requests a reconcile.
    pub requested_at: Option<String>,
    /// The value of the annotation that approves a plan.
    pub approval: Option<String>,
    /// True if the annotation is set that lets a resource go during deletion, with no member
    /// removed.
    pub released: bool,
    /// `metadata.deletionTimestamp`.
    pub deleting_since: Option<Timestamp>,
    /// True if the resource has our finalizer.
    pub has_finalizer: bool,
}

impl Resource {
    /// Creates a resource from an object's parts, without a status.
    pub fn new(
        metadata: &ObjectMeta,
        spec: Result<ChannelMembershipSpec, String>,
        unknown_field: Option<String>,
        sources: Vec<Source>,
    ) -> Self {
        Self {
            name: resource(metadata),
            uid: metadata.uid.clone().unwrap_or_default(),
            created: created(metadata),
            generation: metadata.generation.unwrap_or_default(),
            version: Version(metadata.resource_version.clone().unwrap_or_default()),
            spec,
            unknown_field,
            sources,
            status: None,
            requested_at: annotation(metadata, RECONCILE_REQUESTED_AT).map(str::to_owned),
            approval: annotation(metadata, APPROVE).map(str::to_owned),
            released: is_released(metadata),
            deleting_since: metadata.deletion_timestamp.as_ref().map(|time| time.0),
            has_finalizer: has_finalizer(metadata),
        }
    }

    /// Returns the namespace.
    pub fn namespace(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    /// Returns whether the resource is being deleted.
    pub fn is_deleting(&self) -> bool {
        self.deleting_since.is_some()
    }
}

/// One source of members, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The ConfigMap and the key.
    pub reference: ConfigMapKeyRef,
    /// The version of the ConfigMap that was read; `None` if it is missing or unreadable, or if no
    /// later read follows.
    pub version: Option<u64>,
    /// The text.
    pub text: SourceText,
}

/// The text of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceText {
    /// The text was read.
    Read(String),
    /// The ConfigMap or its key is missing; which one, in words.
    Absent(String),
    /// The text cannot be read; why, in words.
    Unreadable(String),
}

impl SourceText {
    /// Returns the text of a source whose ConfigMap is missing.
    pub fn no_map(reference: &ConfigMapKeyRef) -> Self {
        Self::Absent(format!("ConfigMap {} is not there", reference.name))
    }

    /// Returns the text of a source whose ConfigMap exists: the `text` under its key, or that the
    /// key is in `binaryData`.
    pub fn of_map(reference: &ConfigMapKeyRef, text: Option<&str>, is_binary: bool) -> Self {
        let ConfigMapKeyRef { name, key, .. } = reference;
        match text {
            Some(text) if text.len() > MAX_TEXT_BYTES => {
                Self::Unreadable(format!("ConfigMap {name}: the text of {key} is longer than a ConfigMap can be"))
            }
            Some(text) => Self::Read(text.to_owned()),
            None if is_binary => {
                Self::Unreadable(format!("ConfigMap {name}: {key} is in binaryData and no text: put it in data"))
            }
            None => Self::Absent(format!("ConfigMap {name} has no key {key}")),
        }
    }
}
