//! The operator check finds what the operator would refuse in objects that the API server accepts.
//!
//! It sees only files. It does not know whether the channel and its members exist.

use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;

use super::manifest::{Manifest, Manifests};
use super::problem::{Judge, Problem};
use crate::api::{ChannelMembership, ConfigMapKeyRef, MemberList};
use crate::membership::arn::{ChannelArn, MemberArn};
use crate::membership::source;

/// Checks each resource, and its sources in these files, with the code that the operator uses.
pub(super) fn check_manifests(manifests: &mut Manifests, problems: &mut Vec<Problem>) {
    let Manifests { memberships, config_maps, warnings, .. } = manifests;
    let full_name = |manifest: &Manifest<ConfigMap>| {
        let metadata = &manifest.object.metadata;
        (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
    };
    let sources: HashMap<_, _> = config_maps.iter().map(|manifest| (full_name(manifest), manifest)).collect();
    for manifest in memberships {
        let spec = &manifest.object.spec;
        let problem = |field: &str, message: String| manifest.problem(Judge::Operator, field, message);
        let channel = match ChannelArn::parse(&spec.channel_arn) {
            Ok(channel) => channel,
            Err(error) => {
                problems.push(problem("spec.channelArn", error.to_string()));
                continue;
            }
        };
        for (at, name) in spec.members.iter().flat_map(MemberList::iter).enumerate() {
            if let Err(error) = channel.name(name) {
                problems.push(problem(&format!("spec.members[{at}]"), error.to_string()));
            }
        }
        if let Some(Err(error)) = spec.chime_bearer.as_deref().map(MemberArn::parse) {
            problems.push(problem("spec.chimeBearer", error.to_string()));
        }
        if let Some(end) = spec.expires_at.as_ref().filter(|at| at.0 <= Timestamp::now()) {
            let message = format!("{} has passed: this resource declares no members any more", end.0);
            warnings.push(problem("spec.expiresAt", message));
        }
        for (at, from) in spec.members_from.iter().enumerate() {
            let key = &from.config_map_key_ref;
            let field = format!("spec.membersFrom[{at}].configMapKeyRef");
            let namespace = manifest.object.metadata.namespace.clone().unwrap_or_default();
            match sources.get(&(namespace, key.name.clone())) {
                Some(source) => check_source(manifest, &field, &channel, key, source, problems),
                None if key.optional => {}
                None => {
                    let message =
                        format!("ConfigMap {} is not among these files: it has to be in the cluster", key.name);
                    warnings.push(problem(&field, message));
                }
            }
        }
    }
}

fn check_source(
    manifest: &Manifest<ChannelMembership>,
    field: &str,
    channel: &ChannelArn,
    key: &ConfigMapKeyRef,
    config_map: &Manifest<ConfigMap>,
    problems: &mut Vec<Problem>,
) {
    let ConfigMapKeyRef { name, key, optional } = key;
    let position = &config_map.position;
    let message = match config_map.object.data.as_ref().and_then(|data| data.get(key)) {
        Some(text) => {
            if let Err(error) = source::read(channel, text) {
                let message = format!("{error} (read for {}, {})", manifest.name, manifest.position);
                let problem = config_map.problem(Judge::Operator, &format!("data[{key}]"), message);
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
            return;
        }
        None if config_map.object.binary_data.as_ref().is_some_and(|data| data.contains_key(key)) => {
            format!("ConfigMap {name} has {key} in binaryData: put it in data ({position})")
        }
        None if *optional => return,
        None => format!("ConfigMap {name} has no key {key}: add it there ({position}), or set optional: true"),
    };
    problems.push(manifest.problem(Judge::Operator, field, message));
}
