//! Would the API server take this object?

use k8s_openapi::api::core::v1::ConfigMap;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::meta;
use super::node::Node;
use super::place::{Judge, Place, Problem};
use super::rules::Rules;
use super::schema::{ANY_TYPE, Fault, PATTERN_HELP, Schema};
use crate::api::{ChannelMembership, custom_resource_definition};
use crate::membership::arn::ArnError;

/// So many faults of one object are told: who wrote ten thousand members in a wrong way need not read ten thousand lines.
const MAX_TOLD: usize = 20;

/// The schemas and rules of the kinds that are looked at.
pub(super) struct Checker {
    membership: Schema,
    config_map: Schema,
    rules: Rules,
}

/// An object on its way through the checks.
pub(super) struct Subject<'a> {
    pub place: &'a Place,
    /// Such as `ChannelMembership care/support`.
    pub name: &'a str,
    pub node: &'a Node,
}

impl Subject<'_> {
    pub fn problem(&self, judge: Judge, field: &str, message: String) -> Problem {
        let place = self.place.at(self.node.line_of(field));
        Problem { place, object: Some(self.name.to_owned()), field: field.to_owned(), message, judge }
    }

    /// The object as a type of ours. What fits the schema and no type of ours is what the operator cannot read either.
    pub fn typed<K: DeserializeOwned>(&self, value: Value) -> Result<K, Problem> {
        serde_json::from_value(value)
            .map_err(|error| self.problem(Judge::Operator, "", format!("cannot be read: {error}")))
    }

    /// The faults as problems, the first [`MAX_TOLD`] of them and how many more there are.
    fn told(&self, mut faults: Vec<Fault>) -> Vec<Problem> {
        if let Some(next) = faults.get(MAX_TOLD) {
            let (line, more) = (next.line, faults.len() - MAX_TOLD);
            faults.truncate(MAX_TOLD);
            faults.push(Fault {
                field: String::new(),
                line,
                message: format!("and {more} more of the kind"),
                blocks_rules: true,
            });
        }
        let place = |fault: &Fault| self.place.at(fault.line);
        let name = || Some(self.name.to_owned());
        faults
            .into_iter()
            .map(|fault| Problem {
                place: place(&fault),
                object: name(),
                field: fault.field,
                message: fault.message,
                judge: Judge::ApiServer,
            })
            .collect()
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
        // A write to the resource leaves its status alone: of that, the API server looks at nothing but the names of the fields.
        properties["status"] = names_only(&schema["properties"]["status"]);
        // The pattern says it to machines, the error of whoever reads members says it to people.
        let help = ArnError::NotAMember(String::new()).to_string();
        properties["spec"]["properties"]["members"]["items"][PATTERN_HELP] = help.trim_start_matches("\"\" ").into();
        let membership = Schema::new(meta::object(properties, &["spec"]));
        Self { membership, config_map: Schema::new(meta::config_map()), rules }
    }

    /// A ChannelMembership with its defaults, or what is wrong with it.
    pub fn membership(&self, subject: &Subject<'_>) -> Result<ChannelMembership, Vec<Problem>> {
        let (mut value, mut faults) = self.membership.check(subject.node);
        if let Some(fields) = value.as_object_mut() {
            fields.remove("status");
        }
        meta::check(subject.node, &mut faults);
        let blocked = faults.iter().any(|fault| fault.blocks_rules);
        let mut problems = subject.told(faults);
        if !blocked {
            let broken = self.rules.check(&value["spec"], None);
            problems.extend(broken.into_iter().map(|b| subject.problem(Judge::ApiServer, &b.field, b.message)));
        }
        if problems.is_empty() { subject.typed(value).map_err(|problem| vec![problem]) } else { Err(problems) }
    }

    /// A ConfigMap, or what is wrong with it.
    pub fn config_map(&self, subject: &Subject<'_>) -> Result<ConfigMap, Vec<Problem>> {
        let (value, mut faults) = self.config_map.check(subject.node);
        meta::check(subject.node, &mut faults);
        meta::check_config_map(subject.node, &mut faults);
        if !faults.is_empty() {
            return Err(subject.told(faults));
        }
        serde_json::from_value(value).map_err(|_| {
            let field = "binaryData";
            vec![subject.problem(Judge::ApiServer, field, "holds something that is not base64".to_owned())]
        })
    }

    /// Which rules about changes a change breaks.
    pub fn change(&self, before: &ChannelMembership, after: &ChannelMembership, subject: &Subject<'_>) -> Vec<Problem> {
        let value = |object: &ChannelMembership| serde_json::to_value(&object.spec).unwrap_or_default();
        let broken = self.rules.check(&value(after), Some(&value(before)));
        broken.into_iter().map(|b| subject.problem(Judge::ApiServer, &b.field, b.message)).collect()
    }
}

/// A schema that knows the same fields and asks nothing else of their values.
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
