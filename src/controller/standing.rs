//! Which resources stand in the cluster just now?

use kube::api::ListParams;

use super::cluster::{CallFailure, Cluster};
use super::watched::Watched;
use crate::api::ConfigMapKeyRef;
use crate::offline::object::Object;
use crate::offline::scene::Texts;

/// The cluster could not be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the ChannelMemberships of the cluster: {0}")]
pub struct ReadError(CallFailure);

/// All resources of the cluster, as far as it is watched, with what their sources hold; and what these keys of its ConfigMaps hold, by
/// namespace.
pub async fn standing(
    cluster: &Cluster,
    wanted: Vec<(String, ConfigMapKeyRef)>,
) -> Result<(Vec<Object>, Texts), ReadError> {
    let mut objects = Vec::<Object>::new();
    for api in cluster.apis::<Watched>() {
        let take_in = |Watched { metadata, spec, status }: Watched| {
            let status = status.and_then(|status| status.value.ok());
            objects.push(Object::new(metadata, spec.value, spec.unknown_field, status));
        };
        cluster.list(&api, ListParams::default(), take_in).await.map_err(ReadError)?;
    }
    let mut keys: Vec<(&str, &ConfigMapKeyRef)> = Vec::new();
    for object in &objects {
        keys.extend(object.references().map(|reference| (object.namespace(), reference)));
    }
    keys.extend(wanted.iter().map(|(namespace, reference)| (&**namespace, reference)));
    let mut sources = cluster.read_keys(&keys).await.map_err(ReadError)?.sources.into_iter();
    for object in &mut objects {
        let own = object.references().count();
        object.sources = sources.by_ref().take(own).collect();
    }
    let asked = sources.map(|source| source.text);
    Ok((objects, wanted.into_iter().zip(asked).collect()))
}
