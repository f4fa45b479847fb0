//! Which names, labels and keys does Kubernetes take?
//!
//! The rules are those of Kubernetes' own validation of object names, labels and annotations, and of ConfigMaps (Kubernetes
//! documentation, "Object Names and IDs", "Labels and Selectors", "ConfigMaps").

use serde_json::{Value, json};

use super::node::Node;
use super::schema::{Fault, shown};

/// The most bytes that all keys and values of annotations have.
const MAX_ANNOTATION_BYTES: usize = 256 << 10;

/// The most bytes that the data of a ConfigMap has.
const MAX_DATA_BYTES: usize = 1 << 20;

/// The fields of every object.
pub(super) fn object(mut properties: Value, required: &[&str]) -> Value {
    properties["apiVersion"] = json!({"type": "string"});
    properties["kind"] = json!({"type": "string"});
    properties["metadata"] = metadata();
    let required: Vec<&str> = required.iter().copied().chain(["metadata"]).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

fn metadata() -> Value {
    let text = json!({"type": "string"});
    let texts = json!({"type": "object", "additionalProperties": {"type": "string", "default": ""}});
    let truth = json!({"type": "boolean"});
    let whole = json!({"type": "integer"});
    json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "annotations": texts,
            "creationTimestamp": text,
            "deletionGracePeriodSeconds": whole,
            "deletionTimestamp": text,
            "finalizers": {"type": "array", "items": text},
            "generateName": text,
            "generation": whole,
            "labels": texts,
            "managedFields": {"type": "array", "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            "name": text,
            "namespace": text,
            "ownerReferences": {"type": "array", "items": {
                "type": "object",
                "required": ["apiVersion", "kind", "name", "uid"],
                "properties": {
                    "apiVersion": text, "kind": text, "name": text, "uid": text,
                    "blockOwnerDeletion": truth, "controller": truth,
                },
            }},
            "resourceVersion": text,
            "selfLink": text,
            "uid": text,
        },
    })
}

/// The schema of a ConfigMap.
pub(super) fn config_map() -> Value {
    let texts = json!({"type": "object", "additionalProperties": {"type": "string", "default": ""}});
    object(json!({"data": texts, "binaryData": texts, "immutable": {"type": "boolean"}}), &[])
}

/// What is wrong with the names in the metadata of an object.
pub(super) fn check(root: &Node, faults: &mut Vec<Fault>) {
    let Some(metadata) = root.get("metadata") else { return };
    let mut tell = |field: String, message: String| {
        let line = root.line_of(&field);
        faults.push(Fault { field, line, message, blocks_rules: false });
    };
    if let Some(name) = metadata.get("name").and_then(Node::text).filter(|name| !is_subdomain(name)) {
        let what =
            "lower case letters, digits, hyphens and dots, a letter or digit at both ends, 253 characters at most";
        tell("metadata.name".to_owned(), format!("{} is no name: write {what}", shown(name)));
    }
    let namespace = metadata.get("namespace").and_then(Node::text).filter(|name| !name.is_empty());
    if let Some(namespace) = namespace.filter(|name| !is_label(name)) {
        let what = "lower case letters, digits and hyphens, a letter or digit at both ends, 63 characters at most";
        tell("metadata.namespace".to_owned(), format!("{} is no namespace: write {what}", shown(namespace)));
    }
    let key_help =
        "write [prefix/]name, the name of letters, digits, hyphens, underscores and dots, 63 characters at most";
    for part in ["labels", "annotations"] {
        for entry in metadata.get(part).map_or(&[][..], Node::entries) {
            let field = format!("metadata.{part}[{}]", entry.key);
            // Annotations may have capitals in their prefix (Kubernetes lowers the key before it looks).
            let key = if part == "labels" { entry.key.clone() } else { entry.key.to_lowercase() };
            if !is_qualified(&key) {
                tell(field.clone(), format!("{} is no key: {key_help}", shown(&entry.key)));
            }
            let value = entry.value.text().unwrap_or_default();
            if part == "labels" && !value.is_empty() && !is_name(value) {
                let what = "letters, digits, hyphens, underscores and dots, a letter or digit at both ends, 63 characters at most";
                tell(field, format!("{} is no label: write {what}", shown(value)));
            }
        }
    }
    let size: usize = metadata
        .get("annotations")
        .map_or(&[][..], Node::entries)
        .iter()
        .map(|entry| entry.key.len() + entry.value.text().map_or(0, str::len))
        .sum();
    if size > MAX_ANNOTATION_BYTES {
        let most = MAX_ANNOTATION_BYTES;
        tell("metadata.annotations".to_owned(), format!("are too large: {size} bytes, at most {most}"));
    }
}

/// What is wrong with the keys of a ConfigMap.
pub(super) fn check_config_map(root: &Node, faults: &mut Vec<Fault>) {
    let mut tell = |field: String, message: String| {
        let line = root.line_of(&field);
        faults.push(Fault { field, line, message, blocks_rules: false });
    };
    let mut size = 0;
    for part in ["data", "binaryData"] {
        for entry in root.get(part).map_or(&[][..], Node::entries) {
            let (key, field) = (entry.key.as_str(), format!("{part}[{}]", entry.key));
            size += entry.value.text().map_or(0, str::len);
            if !is_data_key(key) {
                let what = "letters, digits, hyphens, underscores and dots, such as members.txt";
                tell(field, format!("{} is no key: write {what}", shown(key)));
            } else if part == "binaryData" && root.get("data").is_some_and(|data| data.get(key).is_some()) {
                tell(field, format!("{} is in data too: keep one of them", shown(key)));
            }
        }
    }
    if size > MAX_DATA_BYTES {
        tell("data".to_owned(), format!("is too large: {size} bytes, at most {MAX_DATA_BYTES}"));
    }
}

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn ends_with(text: &str, fits: impl Fn(u8) -> bool) -> bool {
    text.bytes().next().is_some_and(&fits) && text.bytes().next_back().is_some_and(fits)
}

/// RFC 1123's label.
fn is_label(text: &str) -> bool {
    text.len() <= 63 && ends_with(text, is_lower) && text.bytes().all(|b| is_lower(b) || b == b'-')
}

/// RFC 1123's subdomain; its labels may be longer than 63, as Kubernetes has it.
fn is_subdomain(text: &str) -> bool {
    let part = |part: &str| ends_with(part, is_lower) && part.bytes().all(|b| is_lower(b) || b == b'-');
    text.len() <= 253 && text.split('.').all(part)
}

fn is_name(text: &str) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    text.len() <= 63 && ends_with(text, |b| b.is_ascii_alphanumeric()) && text.bytes().all(inside)
}

fn is_qualified(key: &str) -> bool {
    key.split_once('/').map_or_else(|| is_name(key), |(prefix, name)| is_subdomain(prefix) && is_name(name))
}

fn is_data_key(key: &str) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    !key.is_empty() && key.len() <= 253 && key.bytes().all(inside) && key != "." && !key.starts_with("..")
}
