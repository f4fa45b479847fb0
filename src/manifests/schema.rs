//! The module checks a value against an OpenAPI schema.
//!
//! The API server does this before it evaluates rules. As with its strict validation, unknown
//! fields are refused, defaults are filled in, and null counts as absent. Each message names the
//! value and says what to write instead.

use std::collections::HashMap;

use regex::Regex;
use serde_json::{Map, Value};

use super::node::{Data, Node};
use super::problem::quoted;

/// A keyword of this module: a value of another type is not a fault.
pub(super) const ANY_TYPE: &str = "x-rollcall-any-type";

/// A keyword of this module: the message for a text that does not match the pattern.
pub(super) const PATTERN_HELP: &str = "x-rollcall-pattern-help";

/// A difference between a value and its schema.
#[derive(Debug)]
pub(super) struct SchemaFault {
    /// Such as `spec.members[3]`.
    pub field: String,
    pub line: usize,
    pub message: String,
    /// True if the API server skips the rules because of this fault.
    pub blocks_rules: bool,
}

/// A schema in the form of `openAPIV3Schema`, with compiled patterns.
pub(super) struct Schema {
    root: Value,
    patterns: HashMap<String, Regex>,
}

/// The state of one check.
struct SchemaCheck<'a> {
    patterns: &'a HashMap<String, Regex>,
    faults: Vec<SchemaFault>,
}

impl Schema {
    pub fn new(root: Value) -> Self {
        let mut patterns = HashMap::new();
        collect_patterns(&root, &mut patterns);
        Self { root, patterns }
    }

    /// Returns the value as the API server would store it, and its faults.
    pub fn check_value(&self, node: &Node) -> (Value, Vec<SchemaFault>) {
        let mut check = SchemaCheck { patterns: &self.patterns, faults: Vec::new() };
        let value = check.value(&self.root, node, "");
        (value, check.faults)
    }
}

fn collect_patterns(schema: &Value, patterns: &mut HashMap<String, Regex>) {
    if let Some(pattern) = schema["pattern"].as_str()
        && let Ok(compiled) = Regex::new(pattern)
    {
        patterns.insert(pattern.to_owned(), compiled);
    }
    for inner in schema["properties"].as_object().into_iter().flatten().map(|(_, inner)| inner) {
        collect_patterns(inner, patterns);
    }
    for key in ["items", "additionalProperties"] {
        if schema[key].is_object() {
            collect_patterns(&schema[key], patterns);
        }
    }
}

impl SchemaCheck<'_> {
    fn fault(&mut self, field: &str, line: usize, message: String, blocks_rules: bool) {
        self.faults.push(SchemaFault { field: field.to_owned(), line, message, blocks_rules });
    }

    fn value(&mut self, schema: &Value, node: &Node, field: &str) -> Value {
        if schema["x-kubernetes-preserve-unknown-fields"] == true {
            return node.to_value();
        }
        let wanted = schema["type"].as_str();
        let either = schema["x-kubernetes-int-or-string"] == true;
        let fits = match &node.data {
            Data::Text(_) => either || wanted == Some("string"),
            Data::Number(number) => {
                wanted == Some("number") || (number.is_i64() && (either || wanted == Some("integer")))
            }
            Data::Bool(_) => wanted == Some("boolean"),
            Data::List(_) => wanted == Some("array"),
            Data::Map(_) => wanted == Some("object"),
            Data::Null => false,
        };
        if !fits && schema[ANY_TYPE] == true {
            return node.to_value();
        }
        if !fits {
            let message = wrong_type(if either { "integer or string" } else { wanted.unwrap_or_default() }, node);
            self.fault(field, node.line, message, true);
            return node.to_value();
        }
        match &node.data {
            Data::Map(_) => self.mapping(schema, node, field),
            Data::List(items) => self.list(schema, node, items, field),
            Data::Text(text) => {
                self.text(schema, node, text, field);
                node.to_value()
            }
            Data::Number(number) => {
                let value = number.as_f64().unwrap_or_default();
                let (least, most) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
                if least.is_some_and(|least| value < least) || most.is_some_and(|most| value > most) {
                    let message = match (least, most) {
                        (Some(least), Some(most)) => format!("{number} is out of range: write {least} to {most}"),
                        (Some(least), None) => format!("{number} is too small: write {least} or more"),
                        _ => format!("{number} is too large: write {} or less", most.unwrap_or_default()),
                    };
                    self.fault(field, node.line, message, false);
                }
                node.to_value()
            }
            Data::Bool(_) | Data::Null => node.to_value(),
        }
    }

    fn mapping(&mut self, schema: &Value, node: &Node, field: &str) -> Value {
        let properties = schema["properties"].as_object();
        let additional = Some(&schema["additionalProperties"]).filter(|additional| additional.is_object());
        let mut fields = Map::new();
        for entry in node.entries() {
            let key = entry.key.as_str();
            let known = properties.and_then(|properties| properties.get(key));
            let Some(inner) = known.or(additional) else {
                let message = unknown(key, properties.into_iter().flat_map(Map::keys).map(String::as_str));
                self.fault(&join(field, key), entry.line, message, false);
                continue;
            };
            if matches!(entry.value.data, Data::Null) {
                // The default is filled in below. Without a default, null counts as absent.
                if known.is_none() {
                    fields.extend(inner.get("default").map(|default| (key.to_owned(), default.clone())));
                }
                continue;
            }
            let field = if known.is_some() { join(field, key) } else { format!("{field}[{key}]") };
            fields.insert(key.to_owned(), self.value(inner, &entry.value, &field));
        }
        for (key, inner) in properties.into_iter().flatten() {
            if let Some(default) = inner.get("default")
                && !fields.contains_key(key)
            {
                fields.insert(key.clone(), default.clone());
            }
        }
        for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(key) {
                let there = node.entries().iter().find(|entry| entry.key == key);
                let message = if there.is_some() { "is empty, and required" } else { "is missing, and required" };
                self.fault(&join(field, key), there.map_or(node.line, |entry| entry.line), message.to_owned(), true);
            }
        }
        Value::Object(fields)
    }

    fn list(&mut self, schema: &Value, node: &Node, items: &[Node], field: &str) -> Value {
        let count = items.len();
        if let Some(most) = schema["maxItems"].as_u64().filter(|most| count as u64 > *most) {
            self.fault(field, node.line, format!("has {count} items, and may have {most}: split the list"), true);
        }
        let inner = &schema["items"];
        items.iter().enumerate().map(|(at, item)| self.value(inner, item, &format!("{field}[{at}]"))).collect()
    }

    /// Reports the first fault only, because further faults would have the same cause.
    fn text(&mut self, schema: &Value, node: &Node, text: &str, field: &str) {
        let length = text.chars().count() as u64;
        let choices = schema["enum"].as_array().map(|all| all.iter().filter_map(Value::as_str).collect::<Vec<_>>());
        let (message, blocks_rules) = if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
            (format!("{} is too long: {length} characters, at most {most}", quoted(text)), true)
        } else if let Some(least) = schema["minLength"].as_u64().filter(|least| length < *least) {
            (format!("{} is too short: at least {least} character", quoted(text)), false)
        } else if let Some(choices) = choices.filter(|choices| !choices.contains(&text)) {
            let close = choices.iter().find(|choice| choice.eq_ignore_ascii_case(text));
            let next = close.map_or_else(|| format!("one of {}", choices.join(", ")), |choice| (*choice).to_owned());
            (format!("{} is not an allowed value: write {next}", quoted(text)), true)
        } else if let Some(pattern) = schema["pattern"].as_str()
            && self.patterns.get(pattern).is_some_and(|compiled| !compiled.is_match(text))
        {
            let help = schema[PATTERN_HELP].as_str().map_or_else(|| format!("does not match {pattern}"), str::to_owned);
            (format!("{} {help}", quoted(text)), false)
        } else {
            return;
        };
        self.fault(field, node.line, message, blocks_rules);
    }
}

fn join(field: &str, key: &str) -> String {
    if field.is_empty() { key.to_owned() } else { format!("{field}.{key}") }
}

fn unknown<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    match known.iter().find(|name| name.eq_ignore_ascii_case(key)) {
        Some(name) => format!("unknown field: write {name}"),
        None if known.is_empty() => "unknown field: remove it".to_owned(),
        None => format!("unknown field: those known here are {}", known.join(", ")),
    }
}

fn wrong_type(wanted: &str, node: &Node) -> String {
    let written = node.written.as_deref();
    let read = node.kind();
    match (wanted, &node.data) {
        ("string", Data::Number(number)) => {
            let written = written.map_or_else(|| number.to_string(), str::to_owned);
            if written == number.to_string() {
                format!("{written} is a number: quote it, as \"{written}\"")
            } else {
                format!("{written} is read as the number {number}: quote it, as \"{written}\"")
            }
        }
        ("string", Data::Bool(truth)) => {
            let written = written.map_or_else(|| truth.to_string(), str::to_owned);
            format!("{written} is read as {truth}: quote it, as \"{written}\"")
        }
        (_, Data::Null) => "is empty: write a value, or remove it".to_owned(),
        ("integer", Data::Number(number)) => format!("{number} is not a whole number"),
        ("integer" | "number", Data::Text(text)) if text.parse::<f64>().is_ok() => {
            format!("{} is text: remove the quotes", quoted(text))
        }
        ("boolean", Data::Text(text)) if ["true", "false"].contains(&text.as_str()) => {
            format!("{} is text: remove the quotes", quoted(text))
        }
        ("array", Data::Text(text)) => {
            format!("{} is text, and a list is wanted: write - before each item", quoted(text))
        }
        _ => {
            let wanted = match wanted {
                "string" => "text",
                "integer" => "a whole number",
                "number" => "a number",
                "boolean" => "true or false",
                "array" => "a list",
                "integer or string" => "a whole number or text",
                _ => "a mapping",
            };
            match &node.data {
                Data::Text(text) => format!("{} is text, and {wanted} is wanted", quoted(text)),
                Data::Number(number) => format!("{number} is a number, and {wanted} is wanted"),
                Data::Bool(truth) => format!("{truth} is a boolean, and {wanted} is wanted"),
                _ => format!("is {read}, and {wanted} is wanted"),
            }
        }
    }
}
