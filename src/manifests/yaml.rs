//! Which values stand in a YAML document?
//!
//! Kept to what kubectl understands, with one addition: a key that is written twice is refused, as the API server does where
//! kubectl takes the last. Aliases unfold, within [`MAX_UNFOLDED`].

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::node::{Data, Entry, Node};
use super::scalar;

/// So many values may come from aliases in one document: far more than a manifest has, far less than a trap.
const MAX_UNFOLDED: usize = 100_000;

/// The tags of YAML's own types.
const CORE: &str = "tag:yaml.org,2002:";

/// Why a document cannot be read.
#[derive(Debug)]
pub(super) struct YamlError {
    /// The line, from 1.
    pub line: usize,
    pub message: String,
}

/// The value of a document whose first line is `first_line` of its file; none if it holds nothing.
pub(super) fn read(text: &str, first_line: usize) -> Result<Option<Node>, YamlError> {
    let options = granit_parser::options! { emit_comments: false };
    let mut composer = Composer { first_line, ..Composer::default() };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| {
            let tab = error.info().contains("tab").then(|| tabbed_line(text, error.marker().line())).flatten();
            let (line, why) = match tab {
                Some(line) => (line, "a tab stands in the indentation: write spaces".to_owned()),
                None => (error.marker().line(), error.info()),
            };
            YamlError { line: composer.line(line), message: format!("not YAML: {why}") }
        })?;
        composer.take(event, span)?;
    }
    Ok(composer.root.filter(|root| !matches!(root.data, Data::Null)))
}

/// The first line from `line` on, from 1, that has a tab in its indentation.
fn tabbed_line(text: &str, line: usize) -> Option<usize> {
    let mut lines = text.lines().enumerate().skip(line.saturating_sub(1));
    let is_tabbed = |line: &str| line.trim_start_matches(' ').starts_with('\t');
    lines.find_map(|(index, line)| is_tabbed(line).then_some(index + 1))
}

/// A collection that is being read.
struct Open {
    node: Node,
    anchor: usize,
    /// The key whose value comes next.
    key: Option<(Key, usize)>,
    /// What `<<` brings in, each mapping after those that win over it.
    merged: Vec<Entry>,
    keys: HashSet<String>,
}

enum Key {
    Named(String),
    Merge,
}

#[derive(Default)]
struct Composer {
    first_line: usize,
    root: Option<Node>,
    documents: usize,
    open: Vec<Open>,
    /// What an anchor stands for, and how many values that is.
    anchors: HashMap<usize, (Node, usize)>,
    unfolded: usize,
}

impl Composer {
    fn line(&self, within: usize) -> usize {
        self.first_line + within.max(1) - 1
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        let line = self.line(span.start.line());
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let message = "a second document begins without a line of ---: write one before it";
                    return Err(YamlError { line, message: message.to_owned() });
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                // An empty value stands where the next thing begins; it belongs to its key.
                let line = self
                    .open
                    .last()
                    .and_then(|open| open.key.as_ref())
                    .map_or(line, |(_, key)| line.min(*key).max(*key));
                let is_plain = style == ScalarStyle::Plain;
                if is_plain && tag.is_none() && text == "<<" && self.expects_key() {
                    return self.key(Key::Merge, line);
                }
                let data = data(&text, is_plain, tag.as_deref())
                    .map_err(|why| YamlError { line, message: format!("{:.60} {why}", &*text) })?;
                let written = (!matches!(data, Data::Text(_)) && !text.is_empty()).then(|| (*text).into());
                self.put(Node { line, data, written }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.begin(Data::List(Vec::new()), line, anchor),
            Event::MappingStart(_, anchor, _) => self.begin(Data::Map(Vec::new()), line, anchor),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(mut open) = self.open.pop() else { return Ok(()) };
                if let Data::Map(entries) = &mut open.node.data {
                    for entry in open.merged {
                        if open.keys.insert(entry.key.clone()) {
                            entries.push(entry);
                        }
                    }
                }
                self.put(open.node, open.anchor)
            }
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor) else {
                    return Err(YamlError { line, message: "an anchor contains itself: write it out".to_owned() });
                };
                self.unfolded += size;
                if self.unfolded > MAX_UNFOLDED {
                    let message = format!("aliases unfold to more than {MAX_UNFOLDED} values: write out what is meant");
                    return Err(YamlError { line, message });
                }
                let node = node.clone();
                self.put(node, 0)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, data: Data, line: usize, anchor: usize) -> Result<(), YamlError> {
        if self.expects_key() {
            return Err(YamlError {
                line,
                message: "a list or a mapping is no key: write text before the colon".to_owned(),
            });
        }
        let node = Node { line, data, written: None };
        self.open.push(Open { node, anchor, key: None, merged: Vec::new(), keys: HashSet::new() });
        Ok(())
    }

    fn expects_key(&self) -> bool {
        self.open.last().is_some_and(|open| open.key.is_none() && matches!(open.node.data, Data::Map(_)))
    }

    fn key(&mut self, key: Key, line: usize) -> Result<(), YamlError> {
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        if let Key::Named(name) = &key
            && !open.keys.insert(name.clone())
        {
            return Err(YamlError { line, message: format!("the key {name:?} is written twice: take one out") });
        }
        open.key = Some((key, line));
        Ok(())
    }

    /// A value is complete: it becomes a key, an item, a field or the document.
    fn put(&mut self, node: Node, anchor: usize) -> Result<(), YamlError> {
        if anchor != 0 {
            let size = size(&node);
            self.anchors.insert(anchor, (node.clone(), size));
        }
        if self.expects_key() {
            let line = node.line;
            let name = match node.data {
                Data::Text(text) => text,
                Data::Bool(truth) => truth.to_string(),
                Data::Number(number) => number.to_string(),
                _ => {
                    let message = format!("{} is no key: write text before the colon", node.kind());
                    return Err(YamlError { line, message });
                }
            };
            return self.key(Key::Named(name), line);
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut open.node.data, open.key.take()) {
            (Data::List(items), _) => items.push(node),
            (Data::Map(entries), Some((Key::Named(key), line))) => entries.push(Entry { key, line, value: node }),
            (Data::Map(_), Some((Key::Merge, line))) => {
                let sources = if let Data::List(items) = node.data { items } else { vec![node] };
                for source in sources {
                    let Data::Map(entries) = source.data else {
                        let message = "<< takes a mapping or a list of mappings".to_owned();
                        return Err(YamlError { line, message });
                    };
                    open.merged.extend(entries);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// How many values a value holds, itself included.
fn size(node: &Node) -> usize {
    1 + match &node.data {
        Data::List(items) => items.iter().map(size).sum::<usize>(),
        Data::Map(entries) => entries.iter().map(|entry| size(&entry.value)).sum(),
        _ => 0,
    }
}

/// What a scalar is. Tags that are not YAML's own are ignored, as kubectl does.
fn data(text: &str, is_plain: bool, tag: Option<&Tag>) -> Result<Data, &'static str> {
    let name = tag.map(|tag| format!("{}{}", tag.handle(), tag.suffix()));
    match name.as_deref().map(|name| name.strip_prefix(CORE)) {
        None if is_plain => scalar::plain(text),
        Some(Some(wanted @ ("int" | "float" | "bool" | "null"))) => {
            let data = scalar::plain(text)?;
            let fits = match &data {
                Data::Null => wanted == "null",
                Data::Bool(_) => wanted == "bool",
                Data::Number(number) => wanted == "float" || (wanted == "int" && !number.is_f64()),
                _ => false,
            };
            if fits { Ok(data) } else { Err("is not what its tag says: take the tag out") }
        }
        Some(Some("binary")) => Err("is tagged !!binary: write it as text"),
        _ => Ok(Data::Text(text.to_owned())),
    }
}
