//! A node is a value of a document, with its line.

use serde_json::{Map, Number, Value};

/// A value and the line that it begins on.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// From 1, within the file.
    pub line: usize,
    pub data: Data,
    /// The source text of a scalar without quotes that was not read as text.
    pub written: Option<Box<str>>,
}

#[derive(Clone, Debug)]
pub(super) enum Data {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<MapEntry>),
}

/// A key of a mapping and its value.
#[derive(Clone, Debug)]
pub(super) struct MapEntry {
    pub key: String,
    /// The key's line.
    pub line: usize,
    pub value: Node,
}

impl Node {
    pub fn entries(&self) -> &[MapEntry] {
        if let Data::Map(entries) = &self.data { entries } else { &[] }
    }

    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    pub fn text(&self) -> Option<&str> {
        if let Data::Text(text) = &self.data { Some(text) } else { None }
    }

    /// Returns the kind of value in words.
    pub fn kind(&self) -> &'static str {
        match &self.data {
            Data::Null => "null",
            Data::Bool(_) => "a boolean",
            Data::Number(_) => "a number",
            Data::Text(_) => "text",
            Data::List(_) => "a list",
            Data::Map(_) => "a mapping",
        }
    }

    /// Returns the line of a field such as `spec.members[3]`, or of its closest present parent.
    pub fn line_of(&self, field: &str) -> usize {
        let mut node = self;
        let mut line = self.line;
        for step in path_steps(field) {
            let next = match &node.data {
                Data::Map(entries) => {
                    entries.iter().find(|entry| entry.key == step).map(|entry| (entry.line, &entry.value))
                }
                Data::List(items) => {
                    step.parse::<usize>().ok().and_then(|index| items.get(index)).map(|item| (item.line, item))
                }
                _ => None,
            };
            let Some((at, next)) = next else { break };
            (line, node) = (at, next);
        }
        line
    }

    pub fn to_value(&self) -> Value {
        match &self.data {
            Data::Null => Value::Null,
            Data::Bool(truth) => Value::Bool(*truth),
            Data::Number(number) => Value::Number(number.clone()),
            Data::Text(text) => Value::String(text.clone()),
            Data::List(items) => items.iter().map(Self::to_value).collect(),
            Data::Map(entries) => {
                let fields = entries.iter().map(|entry| (entry.key.clone(), entry.value.to_value()));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }
}

/// Returns the steps of a path such as `spec.members[3]` or `metadata.labels[team/name]`.
fn path_steps(field: &str) -> impl Iterator<Item = &str> {
    let mut rest = field;
    std::iter::from_fn(move || {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if rest.is_empty() {
            return None;
        }
        if let Some((inside, after)) = rest.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
            rest = after;
            return Some(inside);
        }
        let end = rest.find(['.', '[']).filter(|end| *end > 0).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        rest = after;
        Some(key)
    })
}
