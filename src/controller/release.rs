//! How does a cluster get rid of Rollcall without losing a member or keeping an object that cannot go?
//!
//! Our finalizer is taken off, and in the same write the resource is released (`rollcall.dev/release`): an operator that still runs puts no
//! finalizer on and removes nobody.

use std::sync::Arc;

use futures::{StreamExt as _, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Resource};
use serde::Deserialize;
use serde_json::json;

use super::cluster::Cluster;
use super::watched::Guarded;
use crate::api::metadata::{has_finalizer, is_released};
use crate::api::{ChannelMembership, ChannelMembershipSpec, DeletionPolicy, FINALIZER, RELEASE};

/// So often one is tried that others keep writing.
const ROUNDS: usize = 10;

/// So many are written at once.
const AT_ONCE: usize = 8;

/// A resource with all finalizers that are on it.
#[derive(Resource, Clone, Debug, Deserialize)]
#[resource(inherit = "ChannelMembership")]
struct Whole {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Guarded<ChannelMembershipSpec>,
}

/// Why not all resources could be released.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// They could not be listed.
    #[error("failed to list channelmemberships.rollcall.dev: {0}")]
    List(String),
    /// Some could not be written; the others are released.
    #[error("failed to take {FINALIZER} off {resource}, and {more} others: {why}")]
    Write {
        /// `namespace/name`.
        resource: String,
        /// How many more.
        more: usize,
        /// What the API server answered.
        why: String,
    },
}

/// Takes our finalizer off all resources in scope and releases them, and gives how many those were. Nobody is removed from a channel.
/// `progress` is told how many are done, of how many.
pub async fn release_all(
    cluster: &Arc<Cluster>,
    mut progress: impl FnMut(usize, usize),
) -> Result<usize, ReleaseError> {
    let (mut done, mut failures) = (0, Vec::new());
    for _ in 0..ROUNDS {
        let todo = todo(cluster).await?;
        if todo.is_empty() {
            return Ok(done);
        }
        let all = done + todo.len();
        failures.clear();
        let mut writes = stream::iter(todo).map(|object| release(cluster, object)).buffer_unordered(AT_ONCE);
        while let Some(written) = writes.next().await {
            match written {
                Ok(()) => done += 1,
                Err(failure) => failures.push(failure),
            }
            progress(done, all);
        }
    }
    let more = failures.len().saturating_sub(1);
    match failures.into_iter().next() {
        Some((resource, why)) => Err(ReleaseError::Write { resource, more, why }),
        None => Ok(done),
    }
}

/// Those that have our finalizer, or would be given it.
async fn todo(cluster: &Cluster) -> Result<Vec<ObjectMeta>, ReleaseError> {
    let mut todo = Vec::new();
    for api in cluster.apis::<Whole>() {
        let keep = |object: Whole| todo.extend(is_bound(&object).then_some(object.metadata));
        let listed = cluster.list(&api, ListParams::default(), keep).await;
        listed.map_err(|failure| ReleaseError::List(failure.to_string()))?;
    }
    Ok(todo)
}

fn is_bound(object: &Whole) -> bool {
    let wanted = object.spec.value.as_ref().is_ok_and(|spec| spec.deletion_policy == DeletionPolicy::Delete);
    let goes = object.metadata.deletion_timestamp.is_some();
    has_finalizer(&object.metadata) || wanted && !is_released(&object.metadata) && !goes
}

/// Writes this very object, in this very version.
async fn release(cluster: &Cluster, object: ObjectMeta) -> Result<(), (String, String)> {
    let (namespace, name) = (object.namespace.unwrap_or_default(), object.name.unwrap_or_default());
    let finalizers = object.finalizers.unwrap_or_default();
    let others: Vec<String> = finalizers.into_iter().filter(|finalizer| finalizer != FINALIZER).collect();
    let change = json!({"metadata": {
        "uid": object.uid,
        "resourceVersion": object.resource_version,
        "finalizers": others,
        "annotations": {RELEASE: "true"},
    }});
    let api: Api<ChannelMembership> = Api::namespaced(cluster.client.clone(), &namespace);
    let (params, patch) =
        (PatchParams { field_manager: Some("rollcall".into()), ..PatchParams::default() }, Patch::Merge(change));
    match cluster.in_turn(|| api.patch_metadata(&name, &params, &patch)).await {
        Ok(_) => Ok(()),
        Err(failure) if failure.code() == Some(http::StatusCode::NOT_FOUND) => Ok(()),
        Err(failure) => Err((format!("{namespace}/{name}"), failure.to_string())),
    }
}
