//! How are a resource's status and events written to the API server?

use std::future::Future;
use std::time::Duration;

use http::{Method, Request, StatusCode, header};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event as Record, EventType, Recorder, Reporter};
use kube::{Client, Resource as _, ResourceExt as _};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::error::Elapsed;

use super::slots::Slot;
use super::watched::Watched;
use crate::api::{ChannelMembership, ChannelMembershipStatus};
use crate::engine::store::{Event, Store, StoreError};

/// Every call of the API server ends within this; the client has no deadline of its own.
const DEADLINE: Duration = Duration::from_secs(10);

/// How many writes of a process are under way at once: each has a connection of its own, with its TLS session, and the API
/// server works them off no faster when it is asked for a thousand at a time.
pub(super) const WRITES_AT_ONCE: usize = 8;

/// The longest note of an event, in bytes (Event v1 API).
const MAX_NOTE_BYTES: usize = 1024;

/// Answers with as little as possible: a status write would otherwise send back all the members.
const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// One resource in the cluster.
pub(super) struct ClusterStore<'a> {
    pub client: &'a Client,
    pub reporter: &'a Reporter,
    pub writes: &'a Semaphore,
    pub object: &'a Watched,
    pub slot: &'a Slot,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    metadata: AnswerMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnswerMetadata {
    resource_version: Option<String>,
}

impl ClusterStore<'_> {
    /// Makes a call when it is its turn. Only then is its future made, which is large: thousands may wait.
    async fn in_turn<F: Future>(&self, call: impl FnOnce() -> F) -> Result<F::Output, Elapsed> {
        // Refused only by a semaphore that was closed, and this one never is.
        let _turn = self.writes.acquire().await;
        tokio::time::timeout(DEADLINE, Box::pin(call())).await
    }

    fn reference(&self) -> ObjectReference {
        ObjectReference { resource_version: None, ..self.object.object_ref(&()) }
    }

    /// A JSON patch that replaces the status as a whole, of this very object and of no other of its name.
    fn patch(&self, status: &ChannelMembershipStatus) -> Result<Request<Vec<u8>>, StoreError> {
        let refused = |error: &dyn std::error::Error| StoreError::Refused(error.to_string());
        let patch = json!([
            {"op": "test", "path": "/metadata/uid", "value": self.object.metadata.uid},
            {"op": "add", "path": "/status", "value": status},
        ]);
        let namespace = self.object.namespace();
        let url = ChannelMembership::url_path(&(), namespace.as_deref());
        Request::builder()
            .method(Method::PATCH)
            .uri(format!("{url}/{}/status?fieldManager=rollcall", self.object.name_any()))
            .header(header::ACCEPT, METADATA_ONLY)
            .header(header::CONTENT_TYPE, "application/json-patch+json")
            .body(serde_json::to_vec(&patch).map_err(|error| refused(&error))?)
            .map_err(|error| refused(&error))
    }
}

impl Store for ClusterStore<'_> {
    async fn write_status(&mut self, status: &ChannelMembershipStatus) -> Result<(), StoreError> {
        let patch = self.patch(status)?;
        let answer = match self.in_turn(|| self.client.request::<Answer>(patch)).await {
            Err(_) => return Err(StoreError::Unavailable(format!("no answer within {} s", DEADLINE.as_secs()))),
            Ok(Err(error)) => return Err(store_error(&error)),
            Ok(Ok(answer)) => answer,
        };
        let version = answer.metadata.resource_version.and_then(|version| version.parse().ok());
        self.slot.wrote(version.unwrap_or_default(), status.clone());
        Ok(())
    }

    async fn publish(&mut self, event: Event) {
        let record = Record {
            type_: if event.warning { EventType::Warning } else { EventType::Normal },
            reason: event.reason.as_str().to_owned(),
            note: Some(cut(event.note)),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        let reference = self.reference();
        // One for each event: a recorder keeps all of the last six minutes, looks through them at each, and would say the
        // same again in the words of the first.
        let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
        match self.in_turn(|| recorder.publish(&record, &reference)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "failed to publish an event"),
            Err(_) => tracing::warn!("failed to publish an event: no answer within {} s", DEADLINE.as_secs()),
        }
    }
}

fn store_error(error: &kube::Error) -> StoreError {
    let kube::Error::Api(status) = error else { return StoreError::Unavailable(error.to_string()) };
    match StatusCode::from_u16(status.code) {
        Ok(StatusCode::NOT_FOUND) => StoreError::Gone,
        // The patch's test of the UID failed: another object has this name now.
        Ok(StatusCode::UNPROCESSABLE_ENTITY) if status.message.contains("test") => StoreError::Gone,
        Ok(StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT | StatusCode::REQUEST_TIMEOUT) => {
            StoreError::Unavailable(error.to_string())
        }
        Ok(code) if code.is_client_error() => StoreError::Refused(error.to_string()),
        _ => StoreError::Unavailable(error.to_string()),
    }
}

fn cut(mut note: String) -> String {
    note.truncate(note.floor_char_boundary(MAX_NOTE_BYTES));
    note
}
