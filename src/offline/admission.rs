//! The part of an API server's admission that resources in files need.

use std::collections::HashSet;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::change_set::ChangeSet;
use super::object::Object;
use super::plan::Change;
use crate::api::metadata::resource;
use crate::api::{APPROVE, ChannelMembershipStatus, DeletionPolicy, Prune};
use crate::manifests::Manifests;

/// Disables removals for resources without a state, because without it the members they added are
/// unknown. Returns whether a resource asked for removals.
pub fn disable_removals(files: &mut Manifests) -> bool {
    let mut requested = false;
    for manifest in &mut files.memberships {
        let spec = &mut manifest.object.spec;
        requested |= spec.prune != Prune::Never;
        (spec.prune, spec.deletion_policy) = (Prune::Never, DeletionPolicy::Retain);
    }
    requested
}

/// Restores resources that are being deleted and are in the files again. They keep the members they
/// declared last.
pub fn undelete(files: &Manifests, state: &mut Manifests) {
    let names: HashSet<String> = files.memberships.iter().map(|it| resource(&it.object.metadata)).collect();
    for manifest in &mut state.memberships {
        let metadata = &mut manifest.object.metadata;
        if names.contains(&resource(metadata)) && metadata.deletion_timestamp.take().is_some() {
            metadata.generation = metadata.generation.map(|generation| generation + 1);
        }
    }
}

/// Completes the resources of a change set as an API server does. A new resource gets a UID and an
/// age, whatever its manifest says. A resource that is being deleted belongs to the change until it
/// has ended. An approved plan is marked as approved.
pub fn admit(change_set: &mut ChangeSet, approved: &[String], now: Timestamp) {
    for entry in change_set.new.values_mut() {
        if entry.change == Some(Change::Created) {
            entry.object = created(&entry.object, now);
        }
        let object = &mut entry.object;
        if object.metadata.deletion_timestamp.is_some() {
            entry.change = Some(Change::Deleted);
        }
        let pending = object.status.as_ref().and_then(|status| status.pending_approval.as_ref());
        if let Some(pending) = pending.filter(|pending| entry.change.is_some() && approved.contains(&pending.hash)) {
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

/// Returns a random UUID (RFC 9562, version 4).
fn uid() -> String {
    let bits = fastrand::u128(..) & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
