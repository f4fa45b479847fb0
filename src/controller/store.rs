//! How is a resource written to the API server, and how are all of its channel read?

use std::sync::Arc;

use http::{Method, Request, header};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, PartialObjectMeta};
use kube::runtime::events::{Event as Record, EventType, Recorder};
use kube::{Api, Resource as _};
use serde_json::{Value, json};

use super::cluster::{CallFailure, Cluster};
use super::slots::{Slot, Written};
use super::watched::{Declared, cut, number};
use crate::api::metadata::has_finalizer;
use crate::api::{ChannelMembership, ChannelMembershipStatus, ConfigMapKeyRef, FINALIZER};
use crate::engine::resource::Resource;
use crate::engine::store::{Event, Store, StoreError, Version, Wake};
use crate::membership::arn::ChannelArn;

/// The longest note of an event, in bytes (Event v1 API).
const MAX_NOTE_BYTES: usize = 1024;

/// Answers with as little as possible: a status write would otherwise send back all the members.
const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// Which resource is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its `metadata.uid`: another of the same name is not meant.
    pub uid: String,
}

/// One resource in the cluster.
pub struct ClusterStore {
    cluster: Arc<Cluster>,
    identity: Identity,
    wake: Wake,
    slot: Arc<Slot>,
}

impl ClusterStore {
    /// A store of the resource; `wake` is what others of its channel have it looked at again by.
    pub fn new(cluster: Arc<Cluster>, identity: Identity, wake: Wake) -> Self {
        Self { cluster, identity, wake, slot: Arc::default() }
    }

    /// It remembers what it wrote here.
    pub(super) fn remembering(self, slot: Arc<Slot>) -> Self {
        Self { slot, ..self }
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

    /// Changes this very object and no other of its name, with `basis` only in that version, and gives its metadata.
    ///
    /// A test of the UID that fails is answered 422 without the object's name. The version is replaced by what it should be
    /// and not tested: the API server then compares it and answers 409, which tells the two apart (tried with Kubernetes
    /// 1.36; the test comes first, so an object of another UID is never taken for one in another version).
    async fn patch(&self, subresource: &str, basis: Option<&Version>, change: Value) -> Result<ObjectMeta, StoreError> {
        let mut patch = vec![json!({"op": "test", "path": "/metadata/uid", "value": self.identity.uid})];
        if let Some(Version(version)) = basis {
            // The API server takes an empty one, or 0, for any.
            if number(version) == 0 {
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
        // Thousands may wait for their turn: with the text alone, which is a fraction of it.
        drop(patch);
        let call = || self.cluster.client.request::<PartialObjectMeta<ChannelMembership>>(request);
        let answer = self.cluster.in_turn(call).await.map_err(|failure| failure.about_resource(basis.is_some()))?;
        Ok(answer.metadata)
    }

    /// The metadata as it is now, of this UID.
    ///
    /// By a list, for which an operator has the right anyway.
    async fn metadata(&self) -> Result<ObjectMeta, StoreError> {
        let Identity { namespace, name, uid } = &self.identity;
        let api: Api<ChannelMembership> = Api::namespaced(self.cluster.client.clone(), namespace);
        let this = ListParams::default().fields(&format!("metadata.name={name}"));
        let found = self.cluster.in_turn(|| api.list_metadata(&this)).await;
        let found = found.map_err(|failure| failure.about_resource(true))?;
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
            self.slot.takes_finalizer_off();
        }
        let change = json!({"op": "add", "path": "/metadata/finalizers", "value": finalizers});
        let after = self.patch("", Some(basis), change).await?;
        Ok(self.wrote(&after, None))
    }

    fn wrote(&self, after: &ObjectMeta, status: Option<ChannelMembershipStatus>) -> Version {
        let version = Version(after.resource_version.clone().unwrap_or_default());
        self.slot.wrote(Written { version: version.clone(), status, has_finalizer: has_finalizer(after) });
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
        Ok(self.wrote(&after, Some(status.clone())))
    }

    async fn set_finalizer(&mut self, present: bool, basis: &Version) -> Result<Version, StoreError> {
        match self.change_finalizer(present, basis).await {
            // Nothing is left that it could be on.
            Err(StoreError::Gone) if !present => Ok(basis.clone()),
            result => result,
        }
    }

    async fn resources_of(&mut self, channel: &ChannelArn) -> Result<Vec<Resource>, StoreError> {
        let unread = |failure: CallFailure| match failure.about_resource(true) {
            // A list of resources is never gone: the kind is.
            StoreError::Gone | StoreError::Conflict => StoreError::Unavailable(failure.to_string()),
            error => error,
        };
        // Without a version: what the store holds now, and no cache.
        let of_channel = ListParams::default().fields(&format!("spec.channelArn={}", channel.as_str()));
        let mut found = Vec::<Declared>::new();
        for api in self.cluster.apis() {
            self.cluster.list(&api, of_channel.clone(), |object| found.push(object)).await.map_err(unread)?;
        }
        let mut wanted: Vec<(&str, &ConfigMapKeyRef)> = Vec::new();
        for object in &found {
            wanted.extend(object.references().map(|reference| (object.namespace(), reference)));
        }
        let mut sources = self.cluster.read_keys(&wanted).await.map_err(unread)?.sources.into_iter();
        let snapshot = |object: Declared| {
            let own = object.references().count();
            object.into_resource(sources.by_ref().take(own).collect())
        };
        Ok(found.into_iter().map(snapshot).collect())
    }

    async fn publish(&mut self, event: Event) {
        let record = Record {
            type_: if event.warning { EventType::Warning } else { EventType::Normal },
            reason: event.reason.as_str().to_owned(),
            note: Some(cut(event.note, MAX_NOTE_BYTES)),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        let reference = self.reference();
        // One for each event: a recorder keeps all of the last six minutes, looks through them at each, and would say the
        // same again in the words of the first.
        let recorder = Recorder::new(self.cluster.client.clone(), self.cluster.reporter.clone());
        if let Err(error) = self.cluster.in_turn(|| recorder.publish(&record, &reference)).await {
            tracing::warn!(%error, "failed to publish an event");
        }
    }

    fn wake(&self) -> Wake {
        Arc::clone(&self.wake)
    }
}

#[cfg(test)]
mod tests;
