//! The module evaluates the CEL rules of the custom resource definition.

use std::collections::HashMap;

use kube::core::cel::{CompiledSchema, ErrorKind, ValidationErrors, Validator, compile_schema};
use serde_json::Value;

use super::problem::quoted;

/// Rules that the CEL crate cannot evaluate, because it lacks macros of two variables and `type()`.
/// [`broken_native_rules`] checks the same in Rust.
const NATIVE_RULES: [&str; 3] = [
    "!has(self.members) || self.members.transformMapEntry(i, m, {m: true}).size() == self.members.size()",
    "self.transformMapEntry(i, s, {s.configMapKeyRef.name + '/' + s.configMapKeyRef.key: true}).size() == self.size()",
    "type(self) == int ? int(self) >= 0 && int(self) <= 10000 : string(self).matches('^(100|[0-9]{1,2})%$')",
];

/// A rule that is broken.
#[derive(Debug)]
pub(super) struct BrokenRule {
    /// Such as `spec.channelArn`.
    pub field: String,
    pub message: String,
}

/// The rules of the spec, compiled.
pub(super) struct Rules {
    compiled: CompiledSchema,
    validator: Validator,
    /// The message of each rule, by its text.
    messages: HashMap<String, String>,
}

impl Rules {
    /// Compiles the rules of the schema of a spec.
    pub fn new(spec: &Value) -> Self {
        let (mut evaluated, mut messages) = (spec.clone(), HashMap::new());
        prune_schema(&mut evaluated, &mut messages);
        Self { compiled: compile_schema(&evaluated), validator: Validator::new(), messages }
    }

    /// Returns the rules that `spec` breaks. Rules about a change are evaluated only with `before`.
    pub fn broken_rules(&self, spec: &Value, before: Option<&Value>) -> Vec<BrokenRule> {
        let broken = self.validator.validate_compiled(&self.compiled, spec, before);
        let errors = broken.err().map(ValidationErrors::into_vec).unwrap_or_default();
        let mut all: Vec<BrokenRule> = errors
            .into_iter()
            .map(|error| {
                let said = self.messages.get(&error.rule).filter(|_| error.kind != ErrorKind::ValidationFailure);
                let message = said.cloned().unwrap_or(error.message);
                describe(spec, &error.field_path, message)
            })
            .collect();
        all.extend(broken_native_rules(spec));
        all.sort_by(|a, b| a.field.cmp(&b.field));
        all
    }
}

/// Removes from a schema what no rule needs, and collects the message of each rule. Returns whether
/// the schema has rules.
fn prune_schema(schema: &mut Value, messages: &mut HashMap<String, String>) -> bool {
    let mut has_rules = false;
    if let Some(rules) = schema["x-kubernetes-validations"].as_array_mut() {
        rules.retain(|rule| !rule["rule"].as_str().is_some_and(|text| NATIVE_RULES.contains(&text)));
        for rule in &*rules {
            if let (Some(text), Some(message)) = (rule["rule"].as_str(), rule["message"].as_str()) {
                messages.insert(text.to_owned(), message.to_owned());
            }
        }
        has_rules = !rules.is_empty();
    }
    if let Some(properties) = schema["properties"].as_object_mut() {
        for inner in properties.values_mut() {
            has_rules |= prune_schema(inner, messages);
        }
    }
    if schema["items"].is_object() {
        // Without rules for the items, the validator need not visit ten thousand members.
        if prune_schema(&mut schema["items"], messages) {
            has_rules = true;
        } else if let Some(schema) = schema.as_object_mut() {
            schema.remove("items");
        }
    }
    has_rules
}

/// Returns a broken rule with the field's value in front of its message. If a message about a list
/// begins with one of the items, the field is that item.
fn describe(spec: &Value, field: &str, message: String) -> BrokenRule {
    let value = field.split('.').filter(|key| !key.is_empty()).try_fold(spec, |value, key| {
        let (key, index) =
            key.strip_suffix(']').and_then(|key| key.split_once('[')).map_or((key, None), |(k, i)| (k, Some(i)));
        let value = value.get(key)?;
        index.map_or(Some(value), |index| value.get(index.parse::<usize>().ok()?))
    });
    let field = join(field);
    match value {
        Some(Value::Array(items)) => {
            let at = items.iter().position(|item| {
                item.as_str().is_some_and(|item| message.strip_prefix(item).is_some_and(|rest| rest.starts_with(' ')))
            });
            BrokenRule { field: at.map_or_else(|| field.clone(), |at| format!("{field}[{at}]")), message }
        }
        Some(Value::String(text)) => BrokenRule { field, message: format!("{}: {message}", quoted(text)) },
        Some(value @ (Value::Number(_) | Value::Bool(_))) => {
            BrokenRule { field, message: format!("{value}: {message}") }
        }
        _ => BrokenRule { field, message },
    }
}

fn join(field: &str) -> String {
    if field.is_empty() { "spec".to_owned() } else { format!("spec.{}", field.trim_start_matches('.')) }
}

/// Checks the rules of [`NATIVE_RULES`], and that a time has no leap second.
fn broken_native_rules(spec: &Value) -> Vec<BrokenRule> {
    let member = |item: &Value| item.as_str().map(str::to_owned);
    let source = |item: &Value| {
        let reference = &item["configMapKeyRef"];
        Some(format!("{}/{}", reference["name"].as_str()?, reference["key"].as_str()?))
    };
    let members = first_duplicate(&spec["members"], member).map(|(at, first, name)| BrokenRule {
        field: format!("spec.members[{at}]"),
        message: format!(
            "{} is spec.members[{first}] already: every member may be listed only once: take out the duplicate",
            quoted(&name)
        ),
    });
    let sources = first_duplicate(&spec["membersFrom"], source).map(|(at, first, key)| BrokenRule {
        field: format!("spec.membersFrom[{at}]"),
        message: format!(
            "{} is spec.membersFrom[{first}] already: every key of a ConfigMap may be listed only once: take out the duplicate",
            quoted(&key)
        ),
    });
    let limits = ["failed", "removals"].into_iter().filter_map(|name| {
        let limit = spec["limits"].get(name).filter(|limit| !is_tolerance(limit))?;
        let message = "write a number of members from 0 to 10000, or a percentage from \"0%\" to \"100%\"";
        Some(BrokenRule { field: format!("spec.limits.{name}"), message: format!("{limit:.60}: {message}") })
    });
    // The CEL crate accepts leap seconds, and the API server does not.
    let leap = spec["expiresAt"].as_str().filter(|time| time.get(17..19) == Some("60")).map(|time| BrokenRule {
        field: "spec.expiresAt".to_owned(),
        message: format!(
            "{}: not a date and time: write 59 seconds at most, such as 2026-12-31T23:59:59Z",
            quoted(time)
        ),
    });
    members.into_iter().chain(sources).chain(limits).chain(leap).collect()
}

fn is_tolerance(limit: &Value) -> bool {
    match limit {
        Value::String(text) => text.strip_suffix('%').is_some_and(|digits| {
            digits == "100" || ((1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()))
        }),
        limit => limit.as_i64().is_some_and(|count| (0..=10_000).contains(&count)),
    }
}

/// Finds the first item whose name occurs earlier in the list. Returns its index, the index of the
/// earlier item, and the name.
fn first_duplicate(list: &Value, name: impl Fn(&Value) -> Option<String>) -> Option<(usize, usize, String)> {
    let mut seen = HashMap::new();
    let mut items = list.as_array().into_iter().flatten().enumerate();
    items.find_map(|(at, item)| {
        let name = name(item)?;
        if let Some(first) = seen.get(&name) {
            return Some((at, *first, name));
        }
        seen.insert(name, at);
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::custom_resource_definition;

    fn spec() -> Value {
        let definition = serde_json::to_value(custom_resource_definition()).unwrap();
        definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
    }

    /// Returns all rules of a schema, each with its field.
    fn all_rules(schema: &Value, field: &str) -> Vec<(String, String)> {
        let own = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
        let own = own.map(|rule| (field.to_owned(), rule["rule"].as_str().unwrap().to_owned()));
        let inner = schema["properties"].as_object().into_iter().flatten();
        let inner = inner.flat_map(|(key, inner)| all_rules(inner, &format!("{field}.{key}")));
        let items = schema.get("items").into_iter().flat_map(|items| all_rules(items, &format!("{field}[]")));
        own.chain(inner).chain(items).collect()
    }

    #[test]
    fn native_rules_are_rules_of_the_definition() {
        let all = all_rules(&spec(), "spec");
        let fields = |rule: &str| {
            let of_rule = all.iter().filter(|(_, text)| text == rule);
            of_rule.map(|(field, _)| field.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(fields(NATIVE_RULES[0]), ["spec"]);
        assert_eq!(fields(NATIVE_RULES[1]), ["spec.membersFrom"]);
        assert_eq!(fields(NATIVE_RULES[2]), ["spec.limits.failed", "spec.limits.removals"]);
    }

    fn compilation_errors(schema: &CompiledSchema) -> usize {
        let own = schema.compilation_errors().len();
        own + schema.properties.values().chain(schema.items.as_deref()).map(compilation_errors).sum::<usize>()
    }

    #[test]
    fn other_rules_compile_and_have_a_message() {
        let compiled = Rules::new(&spec());
        assert_eq!(compilation_errors(&compiled.compiled), 0);
        let evaluated =
            all_rules(&spec(), "spec").into_iter().filter(|(_, text)| !NATIVE_RULES.contains(&text.as_str()));
        for (field, text) in evaluated {
            let said = compiled.messages.contains_key(&text) || text.contains("all(instance");
            assert!(said, "{field}: {text}");
        }
    }

    #[test]
    fn limit_is_a_number_up_to_10000_or_a_percentage() {
        for good in [serde_json::json!(0), 10_000.into(), "0%".into(), "07%".into(), "100%".into()] {
            assert!(is_tolerance(&good), "{good}");
        }
        for bad in
            [serde_json::json!(-1), 10_001.into(), "5".into(), "+5%".into(), "007%".into(), "101%".into(), "%".into()]
        {
            assert!(!is_tolerance(&bad), "{bad}");
        }
    }
}
