//! The text of a state: resources as `kubectl get --output=yaml` prints them, a List of objects.
//! The contents of their sources are ConfigMaps of the list.

use std::collections::{BTreeMap, btree_map::Entry};
use std::fmt::Write as _;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use super::object::Object;
use crate::engine::resource::SourceText;

/// Returns the beginning of a state, before its items.
pub(super) fn list(has_items: bool) -> String {
    let items = if has_items { "items:\n" } else { "items: []\n" };
    format!("apiVersion: v1\nkind: List\nmetadata:\n  resourceVersion: \"\"\n{items}")
}

/// Returns an object as an item of the list.
pub(super) fn item(object: &impl Serialize) -> Result<String, serde_yaml::ser_error::Error> {
    let yaml = serde_yaml::to_string(object)?;
    let mut text = String::with_capacity(yaml.len() + yaml.len() / 8);
    for (at, line) in yaml.lines().enumerate() {
        let indent = match (at, line) {
            (0, _) => "- ",
            (_, "") => "",
            _ => "  ",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{indent}{line}");
    }
    Ok(text)
}

/// Returns the contents of the resources' sources as ConfigMaps.
pub(super) fn config_maps<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Vec<ConfigMap> {
    let mut maps: BTreeMap<(&str, &str), ConfigMap> = BTreeMap::new();
    for object in objects {
        for source in &object.sources {
            let SourceText::Read(text) = &source.text else { continue };
            let map = match maps.entry((object.namespace(), &source.reference.name)) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let (namespace, name) = new.key();
                    let metadata = ObjectMeta {
                        namespace: Some((*namespace).to_owned()),
                        name: Some((*name).to_owned()),
                        ..ObjectMeta::default()
                    };
                    new.insert(ConfigMap { metadata, ..ConfigMap::default() })
                }
            };
            map.data.get_or_insert_default().insert(source.reference.key.clone(), text.clone());
        }
    }
    maps.into_values().collect()
}
