//! What would the operator have to say of resources that the API server takes?
//!
//! As far as files tell: who the service is asked for, and whether everybody is there, is another matter.

use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;

use super::place::{Judge, Problem};
use super::{Manifest, Manifests};
use crate::api::{ChannelMembership, ConfigMapKeyRef, MemberList};
use crate::membership::arn::{ChannelArn, MemberArn};
use crate::membership::source;

/// Checks each resource by the code that the operator reads it with, its sources in these files included.
pub(super) fn check(manifests: &mut Manifests, problems: &mut Vec<Problem>) {
    let Manifests { memberships, config_maps, warnings, .. } = manifests;
    let place = |manifest: &Manifest<ConfigMap>| {
        let metadata = &manifest.object.metadata;
        (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
    };
    let sources: HashMap<_, _> = config_maps.iter().map(|manifest| (place(manifest), manifest)).collect();
    for manifest in memberships {
        let spec = &manifest.object.spec;
        let told = |field: &str, message: String| manifest.problem(Judge::Operator, field, message);
        let channel = match ChannelArn::parse(&spec.channel_arn) {
            Ok(channel) => channel,
            Err(error) => {
                problems.push(told("spec.channelArn", error.to_string()));
                continue;
            }
        };
        for (at, name) in spec.members.iter().flat_map(MemberList::iter).enumerate() {
            if let Err(error) = channel.name(name) {
                problems.push(told(&format!("spec.members[{at}]"), error.to_string()));
            }
        }
        if let Some(Err(error)) = spec.chime_bearer.as_deref().map(MemberArn::parse) {
            problems.push(told("spec.chimeBearer", error.to_string()));
        }
        if let Some(end) = spec.expires_at.as_ref().filter(|at| at.0 <= Timestamp::now()) {
            let message = format!("{} is over: this declares no members any more", end.0);
            warnings.push(told("spec.expiresAt", message));
        }
        for (at, from) in spec.members_from.iter().enumerate() {
            let key = &from.config_map_key_ref;
            let field = format!("spec.membersFrom[{at}].configMapKeyRef");
            let namespace = manifest.object.metadata.namespace.clone().unwrap_or_default();
            match sources.get(&(namespace, key.name.clone())) {
                Some(found) => check_source(manifest, &field, &channel, key, found, problems),
                None if key.optional => {}
                None => {
                    let message =
                        format!("ConfigMap {} is not among these files: it has to be in the cluster", key.name);
                    warnings.push(told(&field, message));
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
    found: &Manifest<ConfigMap>,
    problems: &mut Vec<Problem>,
) {
    let ConfigMapKeyRef { name, key, optional } = key;
    match found.object.data.as_ref().and_then(|data| data.get(key)) {
        Some(text) => {
            if let Err(error) = source::read(channel, text) {
                let user = manifest.name.as_str();
                let message = format!("{error} (it is read for {user}, {})", manifest.place);
                let problem = found.problem(Judge::Operator, &format!("data[{key}]"), message);
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
        }
        None if found.object.binary_data.as_ref().is_some_and(|data| data.contains_key(key)) => {
            let message = format!("ConfigMap {name} has {key} in binaryData: put it in data ({})", found.place);
            problems.push(manifest.problem(Judge::Operator, field, message));
        }
        None if *optional => {}
        None => {
            let message =
                format!("ConfigMap {name} has no key {key}: add it there ({}), or set optional: true", found.place);
            problems.push(manifest.problem(Judge::Operator, field, message));
        }
    }
}
