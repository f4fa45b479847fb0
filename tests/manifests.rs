//! Generated files are up to date.

use std::fs;

#[test]
fn the_crd_in_the_repository_is_the_one_the_code_makes() {
    let generated = rollcall::api::crd_yaml().expect("the CRD is written");
    let committed = fs::read_to_string("crds/channelmemberships.rollcall.dev.yaml").unwrap_or_default();
    assert!(committed == generated, "crds/ is stale: run make manifests and commit what it writes");
}

#[test]
fn the_schema_for_editors_is_the_one_the_code_makes() {
    let generated = rollcall::api::json_schema().expect("the schema is written");
    let committed = fs::read_to_string("docs/channelmembership.schema.json").unwrap_or_default();
    assert!(committed == generated, "the schema for editors is stale: run make manifests and commit what it writes");
}

#[test]
fn the_crd_is_small_enough_for_client_side_apply() {
    let generated = rollcall::api::crd_yaml().expect("the CRD is written");
    // kubectl's client-side apply keeps the manifest in an annotation, and annotations hold 262,144
    // bytes.
    assert!(generated.len() < 262_144, "{} bytes", generated.len());
}

#[test]
fn crd_fields_have_no_null_unknown_format_or_accidental_merge() {
    let definition = serde_json::to_value(rollcall::api::custom_resource_definition()).expect("the CRD is data");
    let mut schemas = vec![&definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]];
    let mut lists = 0;
    while let Some(schema) = schemas.pop() {
        assert!(schema.get("nullable").is_none(), "{schema}");
        let format = schema["format"].as_str();
        assert!(matches!(format, None | Some("date-time" | "int64")), "{schema}");
        if schema["type"] == "array" {
            lists += 1;
            assert!(schema["x-kubernetes-list-type"].is_string(), "{schema}");
        }
        schemas.extend(schema["properties"].as_object().into_iter().flatten().map(|(_, field)| field));
        schemas.extend(schema.get("items"));
    }
    assert!(lists > 5, "only {lists} lists seen");
}
