//! The metadata check applies the rules of Kubernetes for names, labels, annotations and data keys.
//!
//! The rules are from the Kubernetes documentation: "Object Names and IDs", "Labels and Selectors",
//! "Annotations" and "ConfigMaps".

use serde_json::{Value, json};

use super::node::Node;
use super::problem::quoted;
use super::schema::SchemaFault;

/// The most bytes of all annotation keys and values together.
const MAX_ANNOTATION_BYTES: usize = 256 << 10;

/// The most bytes of all data of a ConfigMap.
const MAX_DATA_BYTES: usize = 1 << 20;

/// Returns the schema of an object with these properties and the fields that every object has.
pub(super) fn object_schema(mut properties: Value, required: &[&str]) -> Value {
    properties["apiVersion"] = json!({"type": "string"});
    properties["kind"] = json!({"type": "string"});
    properties["metadata"] = metadata_schema();
    let required: Vec<&str> = required.iter().copied().chain(["metadata"]).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

fn metadata_schema() -> Value {
    let text = json!({"type": "string"});
    let texts = json!({"type": "object", "additionalProperties": {"type": "string", "default": ""}});
    let boolean = json!({"type": "boolean"});
    let integer = json!({"type": "integer"});
    json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "annotations": texts,
            "creationTimestamp": text,
            "deletionGracePeriodSeconds": integer,
            "deletionTimestamp": text,
            "finalizers": {"type": "array", "items": text},
            "generateName": text,
            "generation": integer,
            "labels": texts,
            "managedFields": {"type": "array", "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            "name": text,
            "namespace": text,
            "ownerReferences": {"type": "array", "items": {
                "type": "object",
                "required": ["apiVersion", "kind", "name", "uid"],
                "properties": {
                    "apiVersion": text, "kind": text, "name": text, "uid": text,
                    "blockOwnerDeletion": boolean, "controller": boolean,
                },
            }},
            "resourceVersion": text,
            "selfLink": text,
            "uid": text,
        },
    })
}

/// Returns the schema of a ConfigMap.
pub(super) fn config_map_schema() -> Value {
    let texts = json!({"type": "object", "additionalProperties": {"type": "string", "default": ""}});
    object_schema(json!({"data": texts, "binaryData": texts, "immutable": {"type": "boolean"}}), &[])
}

fn report(root: &Node, faults: &mut Vec<SchemaFault>, field: String, message: String) {
    let line = root.line_of(&field);
    faults.push(SchemaFault { field, line, message, blocks_rules: false });
}

/// Checks the names in the metadata of an object.
pub(super) fn check_names(root: &Node, faults: &mut Vec<SchemaFault>) {
    let Some(metadata) = root.get("metadata") else { return };
    let mut report = |field: String, message: String| report(root, faults, field, message);
    if let Some(name) = metadata.get("name").and_then(Node::text).filter(|name| !is_subdomain(name)) {
        let what =
            "lower case letters, digits, hyphens and dots, a letter or digit at both ends, 253 characters at most";
        report("metadata.name".to_owned(), format!("{} is not a valid name: write {what}", quoted(name)));
    }
    let namespace = metadata.get("namespace").and_then(Node::text).filter(|name| !name.is_empty());
    if let Some(namespace) = namespace.filter(|name| !is_label(name)) {
        let what = "lower case letters, digits and hyphens, a letter or digit at both ends, 63 characters at most";
        report(
            "metadata.namespace".to_owned(),
            format!("{} is not a valid namespace: write {what}", quoted(namespace)),
        );
    }
    let key_help =
        "write [prefix/]name, the name of letters, digits, hyphens, underscores and dots, 63 characters at most";
    for part in ["labels", "annotations"] {
        for entry in metadata.get(part).map_or(&[][..], Node::entries) {
            let field = format!("metadata.{part}[{}]", entry.key);
            // Kubernetes lowercases an annotation's key before it checks it.
            let key = if part == "labels" { entry.key.clone() } else { entry.key.to_lowercase() };
            if !is_qualified(&key) {
                report(field.clone(), format!("{} is not a valid key: {key_help}", quoted(&entry.key)));
            }
            let value = entry.value.text().unwrap_or_default();
            if part == "labels" && !value.is_empty() && !is_name(value) {
                let what = "letters, digits, hyphens, underscores and dots, a letter or digit at both ends, 63 characters at most";
                report(field, format!("{} is not a valid label: write {what}", quoted(value)));
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
        report("metadata.annotations".to_owned(), format!("are too large: {size} bytes, at most {most}"));
    }
}

/// Checks the keys and the size of a ConfigMap.
pub(super) fn check_data_keys(root: &Node, faults: &mut Vec<SchemaFault>) {
    let mut report = |field: String, message: String| report(root, faults, field, message);
    let mut size = 0;
    for part in ["data", "binaryData"] {
        for entry in root.get(part).map_or(&[][..], Node::entries) {
            let (key, field) = (entry.key.as_str(), format!("{part}[{}]", entry.key));
            size += entry.value.text().map_or(0, str::len);
            if !is_data_key(key) {
                let what = "letters, digits, hyphens, underscores and dots, such as members.txt";
                report(field, format!("{} is not a valid key: write {what}", quoted(key)));
            } else if part == "binaryData" && root.get("data").is_some_and(|data| data.get(key).is_some()) {
                report(field, format!("{} is in data too: keep one of them", quoted(key)));
            }
        }
    }
    if size > MAX_DATA_BYTES {
        report("data".to_owned(), format!("is too large: {size} bytes, at most {MAX_DATA_BYTES}"));
    }
}

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn ends_with(text: &str, fits: impl Fn(u8) -> bool) -> bool {
    text.bytes().next().is_some_and(&fits) && text.bytes().next_back().is_some_and(fits)
}

/// Returns whether the text is a label of RFC 1123.
fn is_label(text: &str) -> bool {
    text.len() <= 63 && ends_with(text, is_lower) && text.bytes().all(|b| is_lower(b) || b == b'-')
}

/// Returns whether the text is a subdomain of RFC 1123. As in Kubernetes, its labels may be longer
/// than 63 characters.
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
