//! The JSON schema by which an editor checks a manifest.
//!
//! The schema is the API server's schema, translated to JSON Schema draft 7, which editors support.
//! A rule that matches a pattern becomes a pattern. Rules about several fields are left out, so
//! only the API server checks them.

use serde_json::{Map, Value, json};

use super::{APPROVE, MAX_MEMBERS, RECONCILE_REQUESTED_AT, RELEASE, custom_resource_definition};

/// The schema could not be written as JSON.
#[derive(Debug, thiserror::Error)]
#[error("failed to write the JSON schema: {0}")]
pub struct JsonSchemaError(#[from] serde_json::Error);

/// Returns the schema of a manifest as JSON, as in `docs/channelmembership.schema.json`.
pub fn json_schema() -> Result<String, JsonSchemaError> {
    let definition = serde_json::to_value(custom_resource_definition())?;
    let (names, version) = (&definition["spec"]["names"], &definition["spec"]["versions"][0]);
    let group = definition["spec"]["group"].as_str().unwrap_or_default();
    let api_version = format!("{group}/{}", version["name"].as_str().unwrap_or_default());
    let root = &version["schema"]["openAPIV3Schema"];
    let mut spec = translated(&root["properties"]["spec"]);
    spec["anyOf"] = json!([
        {"required": ["members"]},
        {"required": ["membersFrom"], "properties": {"membersFrom": {"minItems": 1}}},
    ]);
    spec["properties"]["members"]["uniqueItems"] = json!(true);
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": names["kind"],
        "description": root["description"],
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": false,
        "properties": {
            "apiVersion": {"const": api_version},
            "kind": {"const": names["kind"]},
            "metadata": metadata(),
            "spec": spec,
            "status": {"type": "object", "description": "Written by the operator."},
        },
    });
    Ok(serde_json::to_string_pretty(&schema)? + "\n")
}

/// Returns the schema of the metadata fields that a manifest may set.
fn metadata() -> Value {
    let texts = |properties: Value| json!({"type": "object", "properties": properties, "additionalProperties": {"type": "string"}});
    let annotations = json!({
        APPROVE: {"type": "string", "description": "The hash of status.pendingApproval. Approves that plan, once."},
        RECONCILE_REQUESTED_AT: {"type": "string", "description": "A new value, such as the time, requests a reconcile now."},
        RELEASE: {"enum": ["true", "false"], "description": "With true, a resource that is being deleted is released, and no member is removed."},
    });
    json!({
        "type": "object",
        "anyOf": [{"required": ["name"]}, {"required": ["generateName"]}],
        "properties": {
            "name": {
                "type": "string",
                "maxLength": 253,
                "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
            },
            "generateName": {"type": "string"},
            "namespace": {"type": "string", "maxLength": 63, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"},
            "labels": texts(json!({})),
            "annotations": texts(annotations),
        },
    })
}

/// Translates a schema of Kubernetes to JSON Schema.
fn translated(schema: &Value) -> Value {
    let mut out = Map::new();
    for (word, value) in schema.as_object().into_iter().flatten() {
        match word.as_str() {
            "properties" => {
                let fields = value.as_object().into_iter().flatten();
                let fields: Map<_, _> = fields.map(|(name, field)| (name.clone(), translated(field))).collect();
                out.insert(word.clone(), fields.into());
                // The API server drops unknown fields, so a misspelt field would have no effect.
                out.insert("additionalProperties".to_owned(), false.into());
            }
            "items" => {
                out.insert(word.clone(), translated(value));
            }
            word if word.starts_with("x-kubernetes-") => {}
            _ => {
                out.insert(word.clone(), value.clone());
            }
        }
    }
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    let rules: Vec<&str> = rules.filter_map(|rule| rule["rule"].as_str()).collect();
    if schema["x-kubernetes-int-or-string"] == true {
        let pattern = rules.iter().find_map(|rule| rule.split_once("string(self).matches('")?.1.strip_suffix("')"));
        out.remove("maxLength");
        let text = json!({"type": "string", "pattern": pattern});
        out.insert("anyOf".to_owned(), json!([{"type": "integer", "minimum": 0, "maximum": MAX_MEMBERS}, text]));
    }
    match patterns(&rules)[..] {
        [] => {}
        [pattern] => {
            out.insert("pattern".to_owned(), pattern.into());
        }
        ref several => {
            out.insert("allOf".to_owned(), several.iter().map(|pattern| json!({"pattern": pattern})).collect());
        }
    }
    out.into()
}

/// Returns the patterns that the rules require of a text.
fn patterns<'a>(rules: &[&'a str]) -> Vec<&'a str> {
    let conditions = rules.iter().flat_map(|rule| rule.split("&&")).map(str::trim);
    conditions.filter_map(|condition| condition.strip_prefix("self.matches('")?.strip_suffix("')")).collect()
}
