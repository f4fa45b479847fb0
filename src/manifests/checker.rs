//! The checker decides whether the API server would accept an object.

use k8s_openapi::api::core::v1::ConfigMap;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::metadata;
use super::node::Node;
use super::problem::{FilePosition, Judge, Problem};
use super::rules::Rules;
use super::schema::{ANY_TYPE, PATTERN_HELP, Schema, SchemaFault};
use crate::api::{ChannelMembership, custom_resource_definition};
use crate::membership::arn::ArnError;

/// The most faults of one object that are reported. Ten thousand members that are written in the
/// same wrong way need not make ten thousand lines.
const MAX_REPORTED: usize = 20;

/// The schemas and rules of the two kinds that are checked.
pub(super) struct Checker {
    membership: Schema,
    config_map: Schema,
    rules: Rules,
}

/// An object that is being checked.
pub(super) struct Subject<'a> {
    pub position: &'a FilePosition,
    /// Such as `ChannelMembership care/support`.
    pub name: &'a str,
    pub node: &'a Node,
}

impl Subject<'_> {
    pub fn problem(&self, judge: Judge, field: &str, message: String) -> Problem {
        self.problem_at(self.node.line_of(field), judge, field.to_owned(), message)
    }

    fn problem_at(&self, line: usize, judge: Judge, field: String, message: String) -> Problem {
        Problem { position: self.position.at_line(line), object: Some(self.name.to_owned()), field, message, judge }
    }

    /// Converts a value to a Rust type. The operator uses the same type, so it cannot read a value
    /// that fits the schema and not the type.
    pub fn convert<K: DeserializeOwned>(&self, value: Value) -> Result<K, Problem> {
        serde_json::from_value(value)
            .map_err(|error| self.problem(Judge::Operator, "", format!("cannot be read: {error}")))
    }

    /// Returns the first [`MAX_REPORTED`] faults as problems, and how many more there are.
    fn to_problems(&self, mut faults: Vec<SchemaFault>) -> Vec<Problem> {
        if let Some(next) = faults.get(MAX_REPORTED) {
            let (line, more) = (next.line, faults.len() - MAX_REPORTED);
            let message = format!("and {more} more problems of this object");
            faults.truncate(MAX_REPORTED);
            faults.push(SchemaFault { field: String::new(), line, message, blocks_rules: true });
        }
        let problem = |fault: SchemaFault| self.problem_at(fault.line, Judge::ApiServer, fault.field, fault.message);
        faults.into_iter().map(problem).collect()
    }
}

impl Checker {
    pub fn new() -> Self {
        let definition = custom_resource_definition();
        let schema = definition.spec.versions.first().and_then(|version| version.schema.as_ref());
        let schema = schema.and_then(|validation| validation.open_api_v3_schema.as_ref());
        let schema = serde_json::to_value(schema).unwrap_or_default();
        let rules = Rules::new(&schema["properties"]["spec"]);
        let mut properties = schema["properties"].clone();
        // A write to the resource does not change its status. The API server checks only the names
        // of the status fields.
        properties["status"] = names_only(&schema["properties"]["status"]);
        // The error of the member parser is easier to read than the pattern.
        let help = ArnError::NotAMember(String::new()).to_string();
        properties["spec"]["properties"]["members"]["items"][PATTERN_HELP] = help.trim_start_matches("\"\" ").into();
        let membership = Schema::new(metadata::object_schema(properties, &["spec"]));
        Self { membership, config_map: Schema::new(metadata::config_map_schema()), rules }
    }

    /// Returns a ChannelMembership with its defaults, or its problems.
    pub fn check_membership(&self, subject: &Subject<'_>) -> Result<ChannelMembership, Vec<Problem>> {
        let (mut value, mut faults) = self.membership.check_value(subject.node);
        if let Some(fields) = value.as_object_mut() {
            fields.remove("status");
        }
        metadata::check_names(subject.node, &mut faults);
        let blocked = faults.iter().any(|fault| fault.blocks_rules);
        let mut problems = subject.to_problems(faults);
        if !blocked {
            problems.extend(self.broken_rules(&value["spec"], None, subject));
        }
        if problems.is_empty() { subject.convert(value).map_err(|problem| vec![problem]) } else { Err(problems) }
    }

    /// Returns a ConfigMap, or its problems.
    pub fn check_config_map(&self, subject: &Subject<'_>) -> Result<ConfigMap, Vec<Problem>> {
        let (value, mut faults) = self.config_map.check_value(subject.node);
        metadata::check_names(subject.node, &mut faults);
        metadata::check_data_keys(subject.node, &mut faults);
        if !faults.is_empty() {
            return Err(subject.to_problems(faults));
        }
        serde_json::from_value(value).map_err(|_| {
            let message = "holds a value that is not base64".to_owned();
            vec![subject.problem(Judge::ApiServer, "binaryData", message)]
        })
    }

    /// Returns the rules about changes that a change breaks.
    pub fn check_change(
        &self,
        before: &ChannelMembership,
        after: &ChannelMembership,
        subject: &Subject<'_>,
    ) -> Vec<Problem> {
        let value = |object: &ChannelMembership| serde_json::to_value(&object.spec).unwrap_or_default();
        self.broken_rules(&value(after), Some(&value(before)), subject)
    }

    fn broken_rules(&self, spec: &Value, before: Option<&Value>, subject: &Subject<'_>) -> Vec<Problem> {
        let broken = self.rules.broken_rules(spec, before);
        broken.into_iter().map(|rule| subject.problem(Judge::ApiServer, &rule.field, rule.message)).collect()
    }
}

/// Returns a schema that knows the same fields and accepts any value for them.
fn names_only(schema: &Value) -> Value {
    if let Some(properties) = schema["properties"].as_object() {
        let properties: Map<_, _> = properties.iter().map(|(key, inner)| (key.clone(), names_only(inner))).collect();
        return json!({"type": "object", "properties": properties, ANY_TYPE: true});
    }
    if schema["items"].is_object() {
        return json!({"type": "array", "items": names_only(&schema["items"]), ANY_TYPE: true});
    }
    json!({"x-kubernetes-preserve-unknown-fields": true})
}
