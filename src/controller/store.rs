//! Writes to one resource through the API server, and uncached reads of all resources of its
//! channel.

use std::sync::Arc;

use http::{Method, Request, header};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, PartialObjectMeta};
use kube::runtime::events::{Event as Record, EventType, Recorder};
use kube::{Api, Resource as _};
use serde_json::{Value, json};

use super::cluster::{CallFailure, Cluster};
use super::inflight::{ObjectState, PendingWrite};
use super::object::{ListedObject, truncate, version_number};
use crate::api::metadata::has_finalizer;
use crate::api::{ChannelMembership, ChannelMembershipStatus, ConfigMapKeyRef, FINALIZER};
use crate::engine::resource::Resource;
use crate::engine::store::{Event, Store, StoreError, Version, Wake};
use crate::membership::arn::ChannelArn;

/// The longest note of an event, in bytes (Event v1 API).
const MAX_NOTE_BYTES: usize = 1024;

/// Requests the smallest answer: otherwise the API server would return all members after each
/// status write.
const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// The identity of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its `metadata.uid`: another object of the same name is another resource.
    pub uid: String,
}

/// The store of one resource in the cluster.
pub struct ClusterStore {
    cluster: Arc<Cluster>,
    identity: Identity,
    wake: Wake,
    state: Arc<ObjectState>,
}

impl ClusterStore {
    /// Creates the store of a resource. Other resources of the channel call `wake` to have it
    /// reconciled again.
    pub fn new(cluster: Arc<Cluster>, identity: Identity, wake: Wake) -> Self {
        Self { cluster, identity, wake, state: Arc::default() }
    }

    /// Records every write in `state`.
    pub(super) fn with_state(self, state: Arc<ObjectState>) -> Self {
        Self { state, ..self }
    }

    fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some(ChannelMembership::api_version(&()).into_owned()),
            kind: Some(ChannelMembership::kind(&()).into_owned()),
            namespace: Some(self.identity.namespace.clone()),
            name: Some(self.identity.name.clone()),
            uid: Some(self.identity.uid.clone()),
            ..ObjectReference::default()
        }
    }

    /// Patches this object and no other of its name, and returns its metadata. With `basis`, it
    /// patches that version only.
    ///
    /// If the test of the UID fails, the answer is 422 without the object's name. The version is
    /// replaced and not tested: the API server then compares it and answers 409, which tells the
    /// two faults apart (observed with Kubernetes 1.36; the test comes first, so an object of
    /// another UID is never taken for another version).
    async fn patch(&self, subresource: &str, basis: Option<&Version>, change: Value) -> Result<ObjectMeta, StoreError> {
        let mut patch = vec![json!({"op": "test", "path": "/metadata/uid", "value": self.identity.uid})];
        if let Some(Version(version)) = basis {
            // The API server accepts an empty version, or 0, for any version.
            if version_number(version) == 0 {
                return Err(StoreError::Conflict);
            }
            patch.push(json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version}));
        }
        patch.push(change);
        let refused = |error: &dyn std::error::Error| StoreError::Refused(error.to_string());
        let Identity { namespace, name, .. } = &self.identity;
        let url = ChannelMembership::url_path(&(), Some(namespace));
        let request = Request::builder()
            .method(Method::PATCH)
            .uri(format!("{url}/{name}{subresource}?fieldManager=rollcall"))
            .header(header::ACCEPT, METADATA_ONLY)
            .header(header::CONTENT_TYPE, "application/json-patch+json")
            .body(serde_json::to_vec(&patch).map_err(|error| refused(&error))?)
            .map_err(|error| refused(&error))?;
        // Thousands of calls may wait for their turn. They keep the serialized patch alone, which
        // is much smaller.
        drop(patch);
        let call = || self.cluster.client.request::<PartialObjectMeta<ChannelMembership>>(request);
        let answer = self.cluster.limited(call).await.map_err(|failure| failure.as_store_error(basis.is_some()))?;
        Ok(answer.metadata)
    }

    /// Reads the current metadata of the object with this UID.
    ///
    /// It uses a list, because the operator has that permission anyway.
    async fn metadata(&self) -> Result<ObjectMeta, StoreError> {
        let Identity { namespace, name, uid } = &self.identity;
        let api: Api<ChannelMembership> = Api::namespaced(self.cluster.client.clone(), namespace);
        let this = ListParams::default().fields(&format!("metadata.name={name}"));
        let found = self.cluster.limited(|| api.list_metadata(&this)).await;
        let found = found.map_err(|failure| failure.as_store_error(true))?;
        let this = found.items.into_iter().map(|object| object.metadata).find(|it| it.uid.as_ref() == Some(uid));
        this.ok_or(StoreError::Gone)
    }

    /// See [`Store::set_finalizer`].
    async fn change_finalizer(&self, present: bool, basis: &Version) -> Result<Version, StoreError> {
        let before = self.metadata().await?;
        if before.resource_version.as_ref() != Some(&basis.0) {
            return Err(StoreError::Conflict);
        }
        if has_finalizer(&before) == present {
            return Ok(basis.clone());
        }
        let mut finalizers = before.finalizers.unwrap_or_default();
        if present {
            finalizers.push(FINALIZER.to_owned());
        } else {
            finalizers.retain(|finalizer| finalizer != FINALIZER);
            self.state.expect_finalizer_removal();
        }
        let change = json!({"op": "add", "path": "/metadata/finalizers", "value": finalizers});
        let after = self.patch("", Some(basis), change).await?;
        Ok(self.record_write(&after, None))
    }

    fn record_write(&self, after: &ObjectMeta, status: Option<ChannelMembershipStatus>) -> Version {
        let version = Version(after.resource_version.clone().unwrap_or_default());
        self.state.record_write(PendingWrite { version: version.clone(), status, has_finalizer: has_finalizer(after) });
        version
    }
}

impl Store for ClusterStore {
    async fn write_status(
        &mut self,
        status: &ChannelMembershipStatus,
        basis: Option<&Version>,
    ) -> Result<Version, StoreError> {
        let change = json!({"op": "add", "path": "/status", "value": status});
        let after = self.patch("/status", basis, change).await?;
        Ok(self.record_write(&after, Some(status.clone())))
    }

    async fn set_finalizer(&mut self, present: bool, basis: &Version) -> Result<Version, StoreError> {
        match self.change_finalizer(present, basis).await {
            // The object is gone, and its finalizers with it.
            Err(StoreError::Gone) if !present => Ok(basis.clone()),
            result => result,
        }
    }

    async fn resources_of(&mut self, channel: &ChannelArn) -> Result<Vec<Resource>, StoreError> {
        let unread = |failure: CallFailure| match failure.as_store_error(true) {
            // A list of resources is never gone; the kind may be.
            StoreError::Gone | StoreError::Conflict => StoreError::Unavailable(failure.to_string()),
            error => error,
        };
        // Without a version, the API server reads its database and no cache.
        let of_channel = ListParams::default().fields(&format!("spec.channelArn={}", channel.as_str()));
        let mut found = Vec::<ListedObject>::new();
        for api in self.cluster.apis() {
            self.cluster.list(&api, of_channel.clone(), |object| found.push(object)).await.map_err(unread)?;
        }
        let mut wanted: Vec<(&str, &ConfigMapKeyRef)> = Vec::new();
        for object in &found {
            wanted.extend(object.references().map(|reference| (object.namespace(), reference)));
        }
        let mut sources = self.cluster.read_keys(&wanted).await.map_err(unread)?.sources.into_iter();
        let snapshot = |object: ListedObject| {
            let own = object.references().count();
            object.into_resource(sources.by_ref().take(own).collect())
        };
        Ok(found.into_iter().map(snapshot).collect())
    }

    async fn publish(&mut self, event: Event) {
        let record = Record {
            type_: if event.warning { EventType::Warning } else { EventType::Normal },
            reason: event.reason.as_str().to_owned(),
            note: Some(truncate(event.note, MAX_NOTE_BYTES)),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        let reference = self.reference();
        // Each event gets a recorder of its own. A shared recorder would keep and search all events
        // of the last six minutes, and would repeat an event with the note of the first.
        let recorder = Recorder::new(self.cluster.client.clone(), self.cluster.reporter.clone());
        if let Err(error) = self.cluster.limited(|| recorder.publish(&record, &reference)).await {
            tracing::warn!(%error, "failed to publish an event");
        }
    }

    fn wake(&self) -> Wake {
        Arc::clone(&self.wake)
    }
}

#[cfg(test)]
mod tests;
