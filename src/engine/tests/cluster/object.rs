//! One resource as the API server stores it, and the views that the engine has of it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::api::{APPROVE, ChannelMembershipSpec, ChannelMembershipStatus, FINALIZER, RECONCILE_REQUESTED_AT, RELEASE};
use crate::engine::resource::{Resource, Source};
use crate::engine::store::Version;

/// A `ChannelMembership`.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredObject {
    /// `namespace/name`.
    pub resource: String,
    pub uid: String,
    pub created: Timestamp,
    pub generation: i64,
    pub version: Version,
    pub spec: ChannelMembershipSpec,
    /// Why the spec cannot be read. The API server can still select the object by its channel.
    pub unreadable: Option<String>,
    /// A field of the spec that the operator does not know.
    pub unknown_field: Option<String>,
    pub status: Option<ChannelMembershipStatus>,
    pub annotations: BTreeMap<String, String>,
    pub finalizers: Vec<String>,
    pub deleting_since: Option<Timestamp>,
}

/// The input of a reconcile. After a change of it, a reconcile is due, and a running reconcile is
/// out of date.
#[derive(Clone, Debug, PartialEq)]
pub struct ReconcileTrigger {
    generation: i64,
    annotations: BTreeMap<String, String>,
    deleting: bool,
    has_finalizer: bool,
    sources: Vec<Source>,
}

impl StoredObject {
    pub(super) fn new(
        resource: &str,
        uid: &str,
        created: Timestamp,
        version: Version,
        spec: ChannelMembershipSpec,
    ) -> Self {
        Self {
            resource: resource.to_owned(),
            uid: uid.to_owned(),
            // Kubernetes stores times to the second.
            created: Timestamp::from_second(created.as_second()).unwrap(),
            generation: 1,
            version,
            spec,
            unreadable: None,
            unknown_field: None,
            // The default of the schema.
            status: Some(ChannelMembershipStatus {
                observed_generation: Some(-1),
                ..ChannelMembershipStatus::default()
            }),
            annotations: BTreeMap::new(),
            finalizers: Vec::new(),
            deleting_since: None,
        }
    }

    /// Returns a new object with this spec.
    pub fn of(spec: ChannelMembershipSpec) -> Self {
        Self::new("care/support", "uid", Timestamp::UNIX_EPOCH, Version::default(), spec)
    }

    pub fn namespace(&self) -> &str {
        self.resource.split('/').next().unwrap_or_default()
    }

    pub fn has_finalizer(&self) -> bool {
        self.finalizers.iter().any(|finalizer| finalizer == FINALIZER)
    }

    pub fn trigger(&self, sources: &[Source]) -> ReconcileTrigger {
        ReconcileTrigger {
            generation: self.generation,
            annotations: self.annotations.clone(),
            deleting: self.deleting_since.is_some(),
            has_finalizer: self.has_finalizer(),
            sources: sources.to_vec(),
        }
    }

    /// Returns the resource as a watch shows it.
    pub fn resource(&self, sources: &[Source]) -> Resource {
        let annotation = |key: &str| self.annotations.get(key).cloned();
        Resource {
            name: self.resource.clone(),
            uid: self.uid.clone(),
            created: self.created,
            generation: self.generation,
            version: self.version.clone(),
            spec: self.unreadable.clone().map_or_else(|| Ok(self.spec.clone()), Err),
            unknown_field: self.unknown_field.clone(),
            sources: sources.to_vec(),
            status: self.status.clone(),
            requested_at: annotation(RECONCILE_REQUESTED_AT),
            approval: annotation(APPROVE),
            released: annotation(RELEASE).as_deref() == Some("true"),
            deleting_since: self.deleting_since,
            has_finalizer: self.has_finalizer(),
        }
    }
}
