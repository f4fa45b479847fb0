//! Does a spec keep the rules that the definition states in CEL?

use std::collections::HashMap;

use kube::core::cel::{CompiledSchema, ErrorKind, ValidationErrors, Validator, compile_schema};
use serde_json::Value;

use super::schema::shown;

/// Rules that the CEL of Rust cannot evaluate, for want of macros of two variables and of `type()`: [`stand_ins`] checks the
/// same in its own way.
const STOOD_IN_FOR: [&str; 3] = [
    "!has(self.members) || self.members.transformMapEntry(i, m, {m: true}).size() == self.members.size()",
    "self.transformMapEntry(i, s, {s.configMapKeyRef.name + '/' + s.configMapKeyRef.key: true}).size() == self.size()",
    "type(self) == int ? int(self) >= 0 && int(self) <= 10000 : string(self).matches('^(100|[0-9]{1,2})%$')",
];

/// A rule that is broken.
#[derive(Debug)]
pub(super) struct Broken {
    /// Such as `spec.channelArn`.
    pub field: String,
    pub message: String,
}

/// The rules of the spec, compiled.
pub(super) struct Rules {
    compiled: CompiledSchema,
    validator: Validator,
    /// What a rule says when it is broken.
    messages: HashMap<String, String>,
}

impl Rules {
    /// Those of the schema of a spec.
    pub fn new(spec: &Value) -> Self {
        let (mut evaluated, mut messages) = (spec.clone(), HashMap::new());
        prepare(&mut evaluated, &mut messages);
        Self { compiled: compile_schema(&evaluated), validator: Validator::new(), messages }
    }

    /// Those that `spec` breaks. Rules about a change are looked at only if it is known what was there `before`.
    pub fn check(&self, spec: &Value, before: Option<&Value>) -> Vec<Broken> {
        let broken = self.validator.validate_compiled(&self.compiled, spec, before);
        let errors = broken.err().map(ValidationErrors::into_vec).unwrap_or_default();
        let mut all: Vec<Broken> = errors
            .into_iter()
            .map(|error| {
                let said = self.messages.get(&error.rule).filter(|_| error.kind != ErrorKind::ValidationFailure);
                let message = said.cloned().unwrap_or(error.message);
                named(spec, &error.field_path, message)
            })
            .collect();
        all.extend(stand_ins(spec));
        all.sort_by(|a, b| a.field.cmp(&b.field));
        all
    }
}

/// Leaves of a schema only what rules need, and notes what each rule says.
fn prepare(schema: &mut Value, messages: &mut HashMap<String, String>) -> bool {
    let mut has_rules = false;
    if let Some(rules) = schema["x-kubernetes-validations"].as_array_mut() {
        rules.retain(|rule| !rule["rule"].as_str().is_some_and(|text| STOOD_IN_FOR.contains(&text)));
        for rule in &*rules {
            if let (Some(text), Some(message)) = (rule["rule"].as_str(), rule["message"].as_str()) {
                messages.insert(text.to_owned(), message.to_owned());
            }
        }
        has_rules = !rules.is_empty();
    }
    if let Some(properties) = schema["properties"].as_object_mut() {
        for inner in properties.values_mut() {
            has_rules |= prepare(inner, messages);
        }
    }
    if schema["items"].is_object() {
        // Ten thousand members are not walked for nothing.
        if prepare(&mut schema["items"], messages) {
            has_rules = true;
        } else if let Some(schema) = schema.as_object_mut() {
            schema.remove("items");
        }
    }
    has_rules
}

/// What a rule says of a field, with the value where the message has none. A rule about a list that begins with one of its
/// items is told of that item.
fn named(spec: &Value, field: &str, message: String) -> Broken {
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
            Broken { field: at.map_or_else(|| field.clone(), |at| format!("{field}[{at}]")), message }
        }
        Some(Value::String(text)) => Broken { field, message: format!("{}: {message}", shown(text)) },
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Broken { field, message: format!("{value}: {message}") },
        _ => Broken { field, message },
    }
}

fn join(field: &str) -> String {
    if field.is_empty() { "spec".to_owned() } else { format!("spec.{}", field.trim_start_matches('.')) }
}

/// What breaks a rule of [`STOOD_IN_FOR`]: what stands twice in a list that may hold everything once, limits that are none; and
/// a leap second.
fn stand_ins(spec: &Value) -> Vec<Broken> {
    let member = |item: &Value| item.as_str().map(str::to_owned);
    let source = |item: &Value| {
        let reference = &item["configMapKeyRef"];
        Some(format!("{}/{}", reference["name"].as_str()?, reference["key"].as_str()?))
    };
    let members = repeated(&spec["members"], member).map(|(at, first, name)| Broken {
        field: format!("spec.members[{at}]"),
        message: format!(
            "{} is spec.members[{first}] already: every member may be listed only once: take out the duplicate",
            shown(&name)
        ),
    });
    let sources = repeated(&spec["membersFrom"], source).map(|(at, first, key)| Broken {
        field: format!("spec.membersFrom[{at}]"),
        message: format!(
            "{} is spec.membersFrom[{first}] already: every key of a ConfigMap may be listed only once: take out the duplicate",
            shown(&key)
        ),
    });
    let limits = ["failed", "removals"].into_iter().filter_map(|name| {
        let limit = spec["limits"].get(name).filter(|limit| !is_tolerance(limit))?;
        let message = "write a number of members from 0 to 10000, or a percentage from \"0%\" to \"100%\"";
        Some(Broken { field: format!("spec.limits.{name}"), message: format!("{limit:.60}: {message}") })
    });
    // The rule itself is looked at; but its clock knows leap seconds, and the API server's does not.
    let leap = spec["expiresAt"].as_str().filter(|time| time.get(17..19) == Some("60")).map(|time| Broken {
        field: "spec.expiresAt".to_owned(),
        message: format!(
            "{}: not a date and time: write 59 seconds at most, such as 2026-12-31T23:59:59Z",
            shown(time)
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

/// The first item that was there before: its index, that of the one before, and its name.
fn repeated(list: &Value, name: impl Fn(&Value) -> Option<String>) -> Option<(usize, usize, String)> {
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

    /// All rules of a schema, each with its field.
    fn rules(schema: &Value, field: &str) -> Vec<(String, String)> {
        let own = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
        let own = own.map(|rule| (field.to_owned(), rule["rule"].as_str().unwrap().to_owned()));
        let inner = schema["properties"].as_object().into_iter().flatten();
        let inner = inner.flat_map(|(key, inner)| rules(inner, &format!("{field}.{key}")));
        let items = schema.get("items").into_iter().flat_map(|items| rules(items, &format!("{field}[]")));
        own.chain(inner).chain(items).collect()
    }

    #[test]
    fn the_rules_that_are_stood_in_for_are_those_of_the_definition() {
        let all = rules(&spec(), "spec");
        let fields = |rule: &str| {
            let of_rule = all.iter().filter(|(_, text)| text == rule);
            of_rule.map(|(field, _)| field.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(fields(STOOD_IN_FOR[0]), ["spec"]);
        assert_eq!(fields(STOOD_IN_FOR[1]), ["spec.membersFrom"]);
        assert_eq!(fields(STOOD_IN_FOR[2]), ["spec.limits.failed", "spec.limits.removals"]);
    }

    fn faults(schema: &CompiledSchema) -> usize {
        let own = schema.compilation_errors().len();
        own + schema.properties.values().chain(schema.items.as_deref()).map(faults).sum::<usize>()
    }

    #[test]
    fn every_other_rule_is_compiled_and_says_something() {
        let compiled = Rules::new(&spec());
        assert_eq!(faults(&compiled.compiled), 0);
        let evaluated = rules(&spec(), "spec").into_iter().filter(|(_, text)| !STOOD_IN_FOR.contains(&text.as_str()));
        for (field, text) in evaluated {
            let said = compiled.messages.contains_key(&text) || text.contains("all(instance");
            assert!(said, "{field}: {text}");
        }
    }

    #[test]
    fn limits_are_numbers_up_to_ten_thousand_or_percentages() {
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
