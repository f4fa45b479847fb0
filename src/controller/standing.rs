//! Which resources stand in the cluster just now?

use kube::api::ListParams;

use super::cluster::{CallFailure, Cluster};
use super::watched::Watched;
use crate::api::ConfigMapKeyRef;
use crate::engine::declaration::Source;
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
    let of_objects = keys.len();
    keys.extend(wanted.iter().map(|(namespace, reference)| (&**namespace, reference)));
    let mut texts = cluster.read_keys(&keys).await.map_err(ReadError)?.texts;
    let asked = texts.split_off(of_objects);
    let mut texts = texts.into_iter();
    for object in &mut objects {
        let references: Vec<ConfigMapKeyRef> = object.references().cloned().collect();
        let sources =
            references.into_iter().zip(&mut texts).map(|(reference, text)| Source { reference, version: None, text });
        object.sources = sources.collect();
    }
    Ok((objects, wanted.into_iter().zip(asked).collect()))
}
