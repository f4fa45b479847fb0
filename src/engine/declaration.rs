//! What does a pass know of the resource when it begins?

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::store::Version;
use crate::api::metadata::{annotation, created, has_finalizer, is_released, resource};
use crate::api::{APPROVE, ChannelMembershipSpec, ChannelMembershipStatus, ConfigMapKeyRef, RECONCILE_REQUESTED_AT};

/// The most that a ConfigMap holds (Kubernetes, ConfigMap: "cannot exceed 1 MiB").
const MAX_TEXT_BYTES: usize = 1 << 20;

/// One resource, as last seen.
#[derive(Clone, Copy, Debug)]
pub struct Declaration<'a> {
    /// `namespace/name`.
    pub resource: &'a str,
    /// `metadata.uid`.
    pub uid: &'a str,
    /// `metadata.creationTimestamp`.
    pub created: Timestamp,
    /// `metadata.generation`.
    pub generation: i64,
    /// The version that `status` is of.
    pub version: &'a Version,
    /// The spec, or why it cannot be read.
    pub spec: Result<&'a ChannelMembershipSpec, &'a str>,
    /// A field of the spec that this version of Rollcall does not know.
    pub unknown_field: Option<&'a str>,
    /// What the sources of `membersFrom` hold, in their order.
    pub sources: &'a [Source],
    /// The status as it stands in the cluster.
    pub status: Option<&'a ChannelMembershipStatus>,
    /// The value of the annotation by which somebody asks for a reconcile.
    pub requested_at: Option<&'a str>,
    /// The value of the annotation by which somebody approves a plan.
    pub approved: Option<&'a str>,
    /// Whether the annotation is set by which a resource that is being deleted lets go.
    pub released: bool,
    /// `metadata.deletionTimestamp`.
    pub deleting_since: Option<Timestamp>,
    /// Whether our finalizer is on it.
    pub has_finalizer: bool,
}

impl<'a> Declaration<'a> {
    /// As an object has it, but for its status; `resource` is its `namespace/name`.
    pub fn of(
        resource: &'a str,
        metadata: &'a ObjectMeta,
        version: &'a Version,
        spec: Result<&'a ChannelMembershipSpec, &'a str>,
        unknown_field: Option<&'a str>,
        sources: &'a [Source],
    ) -> Self {
        Self {
            resource,
            uid: metadata.uid.as_deref().unwrap_or_default(),
            created: created(metadata),
            generation: metadata.generation.unwrap_or_default(),
            version,
            spec,
            unknown_field,
            sources,
            status: None,
            requested_at: annotation(metadata, RECONCILE_REQUESTED_AT),
            approved: annotation(metadata, APPROVE),
            released: is_released(metadata),
            deleting_since: metadata.deletion_timestamp.as_ref().map(|time| time.0),
            has_finalizer: has_finalizer(metadata),
        }
    }
}

/// One source of members, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub reference: ConfigMapKeyRef,
    /// The version that its ConfigMap was read in; `None` for one that is not there or cannot be read, and where no later reading follows.
    pub version: Option<u64>,
    /// Its text.
    pub text: SourceText,
}

/// What stands in a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceText {
    /// This.
    Read(String),
    /// The ConfigMap, or the key in it, is not there: which, in words.
    Absent(String),
    /// It cannot be read, and why.
    Unreadable(String),
}

impl SourceText {
    /// Of a ConfigMap that is not there.
    pub fn no_map(reference: &ConfigMapKeyRef) -> Self {
        Self::Absent(format!("ConfigMap {} is not there", reference.name))
    }

    /// Of a ConfigMap that is there: its `text` under the key, or whether the key is one of `binaryData`.
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

/// One resource of a channel, as a read that no cache answers shows it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// `namespace/name`.
    pub resource: String,
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
    /// What the sources of `membersFrom` hold, in their order.
    pub sources: Vec<Source>,
    /// Whether it is being deleted.
    pub deleting: bool,
}

impl Snapshot {
    /// As an object has it.
    pub fn of(
        metadata: &ObjectMeta,
        spec: Result<ChannelMembershipSpec, String>,
        unknown_field: Option<String>,
        sources: Vec<Source>,
    ) -> Self {
        Self {
            resource: resource(metadata),
            uid: metadata.uid.clone().unwrap_or_default(),
            created: created(metadata),
            generation: metadata.generation.unwrap_or_default(),
            version: Version(metadata.resource_version.clone().unwrap_or_default()),
            spec,
            unknown_field,
            sources,
            deleting: metadata.deletion_timestamp.is_some(),
        }
    }
}
