//! A snapshot of the resources in a cluster, with the contents of their sources.

use kube::api::ListParams;

use super::cluster::{CallFailure, Cluster};
use super::object::WatchedObject;
use crate::api::ConfigMapKeyRef;
use crate::offline::change_set::Texts;
use crate::offline::object::Object;

/// The cluster could not be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the ChannelMemberships of the cluster: {0}")]
pub struct SnapshotError(CallFailure);

/// Reads all watched resources of the cluster with the contents of their sources, and the contents
/// of the `wanted` keys of ConfigMaps, by namespace.
pub async fn read_snapshot(
    cluster: &Cluster,
    wanted: Vec<(String, ConfigMapKeyRef)>,
) -> Result<(Vec<Object>, Texts), SnapshotError> {
    let mut objects = Vec::<Object>::new();
    for api in cluster.apis::<WatchedObject>() {
        let take_in = |WatchedObject { metadata, spec, status }: WatchedObject| {
            let status = status.and_then(|status| status.value.ok());
            objects.push(Object::new(metadata, spec.value, spec.unknown_field, status));
        };
        cluster.list(&api, ListParams::default(), take_in).await.map_err(SnapshotError)?;
    }
    let mut keys: Vec<(&str, &ConfigMapKeyRef)> = Vec::new();
    for object in &objects {
        keys.extend(object.references().map(|reference| (object.namespace(), reference)));
    }
    keys.extend(wanted.iter().map(|(namespace, reference)| (&**namespace, reference)));
    let mut sources = cluster.read_keys(&keys).await.map_err(SnapshotError)?.sources.into_iter();
    for object in &mut objects {
        let own = object.references().count();
        object.sources = sources.by_ref().take(own).collect();
    }
    let asked = sources.map(|source| source.text);
    Ok((objects, wanted.into_iter().zip(asked).collect()))
}
