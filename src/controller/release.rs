//! Release of all resources before an uninstall, without removing a member or leaving an object
//! that cannot be deleted.
//!
//! One write removes our finalizer and releases the resource (`rollcall.dev/release`). An operator
//! that still runs then adds no finalizer and removes no member.

use std::sync::Arc;

use futures::{StreamExt as _, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Resource};
use serde::Deserialize;
use serde_json::json;

use super::cluster::Cluster;
use super::object::Guarded;
use crate::api::metadata::{has_finalizer, is_released};
use crate::api::{ChannelMembership, ChannelMembershipSpec, DeletionPolicy, FINALIZER, RELEASE};

/// How often a resource is tried again while other clients keep writing it.
const MAX_ROUNDS: usize = 10;

/// How many resources are written at once.
const AT_ONCE: usize = 8;

/// A resource with all of its finalizers.
#[derive(Resource, Clone, Debug, Deserialize)]
#[resource(inherit = "ChannelMembership")]
struct ReleaseTarget {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Guarded<ChannelMembershipSpec>,
}

/// The reason that not all resources could be released.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The resources could not be listed.
    #[error("failed to list channelmemberships.rollcall.dev: {0}")]
    List(String),
    /// Some resources could not be written; the others are released.
    #[error("failed to remove {FINALIZER} from {resource} and {more} others: {why}")]
    Write {
        /// `namespace/name`.
        resource: String,
        /// How many other resources could not be written.
        more: usize,
        /// The answer of the API server.
        why: String,
    },
}

/// Removes our finalizer from all resources in scope and releases them. No member is removed from a
/// channel. Returns how many resources were released. `progress` gets how many are done, and of how
/// many.
pub async fn release_all(
    cluster: &Arc<Cluster>,
    mut progress: impl FnMut(usize, usize),
) -> Result<usize, ReleaseError> {
    let (mut done, mut failures) = (0, Vec::new());
    for _ in 0..MAX_ROUNDS {
        let targets = list_targets(cluster).await?;
        if targets.is_empty() {
            return Ok(done);
        }
        let all = done + targets.len();
        failures.clear();
        let mut writes = stream::iter(targets).map(|object| release(cluster, object)).buffer_unordered(AT_ONCE);
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

/// Lists the resources that have our finalizer or would get it.
async fn list_targets(cluster: &Cluster) -> Result<Vec<ObjectMeta>, ReleaseError> {
    let mut targets = Vec::new();
    for api in cluster.apis::<ReleaseTarget>() {
        let keep = |object: ReleaseTarget| targets.extend(needs_release(&object).then_some(object.metadata));
        let listed = cluster.list(&api, ListParams::default(), keep).await;
        listed.map_err(|failure| ReleaseError::List(failure.to_string()))?;
    }
    Ok(targets)
}

fn needs_release(object: &ReleaseTarget) -> bool {
    let wanted = object.spec.value.as_ref().is_ok_and(|spec| spec.deletion_policy == DeletionPolicy::Delete);
    let is_deleting = object.metadata.deletion_timestamp.is_some();
    has_finalizer(&object.metadata) || wanted && !is_released(&object.metadata) && !is_deleting
}

/// Releases the object, in this version only.
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
    match cluster.limited(|| api.patch_metadata(&name, &params, &patch)).await {
        Ok(_) => Ok(()),
        Err(failure) if failure.code() == Some(http::StatusCode::NOT_FOUND) => Ok(()),
        Err(failure) => Err((format!("{namespace}/{name}"), failure.to_string())),
    }
}
