//! What does an API server make of resources when they come in, and who does it here?

use std::collections::HashSet;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::object::Object;
use super::plan::Change;
use super::scene::Scene;
use crate::api::metadata::resource;
use crate::api::{APPROVE, ChannelMembershipStatus, DeletionPolicy, Prune};
use crate::manifests::Manifests;

/// Takes from resources that have no state whatever could remove somebody: without one it is not known whom they added.
/// Gives whether any of them asked for it.
pub fn remove_nobody(files: &mut Manifests) -> bool {
    let mut asked = false;
    for manifest in &mut files.memberships {
        let spec = &mut manifest.object.spec;
        asked |= spec.prune != Prune::Never;
        (spec.prune, spec.deletion_policy) = (Prune::Never, DeletionPolicy::Retain);
    }
    asked
}

/// Those of a state that are being deleted and stand in the files again are not deleted any more: they go on with what they claim.
pub fn put_back(files: &Manifests, state: &mut Manifests) {
    let names: HashSet<String> = files.memberships.iter().map(|it| resource(&it.object.metadata)).collect();
    for manifest in &mut state.memberships {
        let metadata = &mut manifest.object.metadata;
        if names.contains(&resource(metadata)) && metadata.deletion_timestamp.take().is_some() {
            metadata.generation = metadata.generation.map(|generation| generation + 1);
        }
    }
}

/// Gives the resources of a scene what an API server gives them: new ones a UID and an age of their own, whatever is written
/// there. Those that are being deleted are part of the change until they have ended; what is approved already is marked so.
pub fn admit(scene: &mut Scene, approved: &[String], now: Timestamp) {
    for member in scene.new.values_mut() {
        if member.change == Some(Change::Created) {
            member.object = created(&member.object, now);
        }
        let object = &mut member.object;
        if object.metadata.deletion_timestamp.is_some() {
            member.change = Some(Change::Deleted);
        }
        let pending = object.status.as_ref().and_then(|status| status.pending_approval.as_ref());
        if let Some(pending) = pending.filter(|pending| member.change.is_some() && approved.contains(&pending.hash)) {
            let annotations = object.metadata.annotations.get_or_insert_default();
            annotations.insert(APPROVE.to_owned(), pending.hash.clone());
        }
    }
}

fn created(written: &Object, now: Timestamp) -> Object {
    let ObjectMeta { name, namespace, labels, annotations, .. } = written.metadata.clone();
    let metadata = ObjectMeta {
        name,
        namespace,
        labels,
        annotations,
        uid: Some(uid()),
        generation: Some(1),
        // Kubernetes keeps times to the second.
        creation_timestamp: Timestamp::from_second(now.as_second()).ok().map(Time),
        ..ObjectMeta::default()
    };
    // The schema's default.
    let status = ChannelMembershipStatus { observed_generation: Some(-1), ..ChannelMembershipStatus::default() };
    let mut object = Object::new(metadata, written.spec.clone(), written.unknown_field.clone(), Some(status));
    object.sources.clone_from(&written.sources);
    object
}

/// As RFC 9562 has it of random ones (version 4).
fn uid() -> String {
    let bits = fastrand::u128(..) & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
