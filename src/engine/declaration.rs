//! What does a pass know of the resource when it begins?

use jiff::Timestamp;

use super::store::Version;
use crate::api::{ChannelMembershipSpec, ChannelMembershipStatus, ConfigMapKeyRef};

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

/// One source of members, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub reference: ConfigMapKeyRef,
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
