//! The module builds the values of a YAML document from the events of the parser.
//!
//! It accepts what kubectl accepts, with one difference: it refuses a key that is written twice, as
//! the API server does, although kubectl takes the last one.
//!
//! The deserializer of serde-saphyr, with `Spanned` and `Tagged` values, was tried instead and took
//! as many lines. It refuses `!!int 012`, which kubectl reads, accepts an empty `<<`, overflows the
//! stack on deep nesting unless a low limit is set, and takes four times as long.

use std::collections::{HashMap, HashSet};

use serde_yaml::granit_parser::{self, Event, Parser, ScalarStyle, Span, Tag};

use super::node::{Data, MapEntry, Node};
use super::scalar;

/// The most values that aliases may add to one document. A manifest has far fewer, and a text that
/// is made to exhaust the memory has far more.
const MAX_UNFOLDED: usize = 100_000;

/// The prefix of the tags of YAML's own types.
const CORE: &str = "tag:yaml.org,2002:";

/// Why a document cannot be read.
#[derive(Debug)]
pub(super) struct YamlError {
    /// The line, from 1.
    pub line: usize,
    pub message: String,
}

/// Returns the value of a document, or `None` if the document is empty. Its first line is the line
/// `first_line` of the file.
pub(super) fn parse_document(text: &str, first_line: usize) -> Result<Option<Node>, YamlError> {
    let options = granit_parser::options! { emit_comments: false };
    let mut composer = Composer { first_line, ..Composer::default() };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| {
            let tab = error.info().contains("tab").then(|| tabbed_line(text, error.marker().line())).flatten();
            let (line, why) = match tab {
                Some(line) => (line, "the indentation has a tab: write spaces".to_owned()),
                None => (error.marker().line(), error.info()),
            };
            YamlError { line: composer.line(line), message: format!("not YAML: {why}") }
        })?;
        composer.handle(event, span)?;
    }
    Ok(composer.root.filter(|root| !matches!(root.data, Data::Null)))
}

/// Returns the first line from `line` on that has a tab in its indentation. Lines count from 1.
fn tabbed_line(text: &str, line: usize) -> Option<usize> {
    let mut lines = text.lines().enumerate().skip(line.saturating_sub(1));
    let is_tabbed = |line: &str| line.trim_start_matches(' ').starts_with('\t');
    lines.find_map(|(index, line)| is_tabbed(line).then_some(index + 1))
}

/// A list or mapping whose end has not been read yet.
struct OpenCollection {
    node: Node,
    anchor: usize,
    /// The key whose value comes next.
    key: Option<(MapKey, usize)>,
    /// The entries that `<<` adds. An entry yields to earlier entries with the same key.
    merged: Vec<MapEntry>,
    keys: HashSet<String>,
}

enum MapKey {
    Named(String),
    Merge,
}

#[derive(Default)]
struct Composer {
    first_line: usize,
    root: Option<Node>,
    documents: usize,
    open: Vec<OpenCollection>,
    /// The value of each anchor, and the number of values in it.
    anchors: HashMap<usize, (Node, usize)>,
    unfolded: usize,
}

impl Composer {
    fn line(&self, within: usize) -> usize {
        self.first_line + within.max(1) - 1
    }

    fn handle(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
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
                // The parser places an empty value at the next token: use the line of its key.
                let line = self.open.last().and_then(|open| open.key.as_ref()).map_or(line, |(_, key)| *key);
                let is_plain = style == ScalarStyle::Plain;
                if is_plain && tag.is_none() && text == "<<" && self.expects_key() {
                    return self.set_key(MapKey::Merge, line);
                }
                let data = resolve_scalar(&text, is_plain, tag.as_deref())
                    .map_err(|why| YamlError { line, message: format!("{:.60} {why}", &*text) })?;
                let written = (!matches!(data, Data::Text(_)) && !text.is_empty()).then(|| (*text).into());
                self.complete(Node { line, data, written }, anchor)
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
                self.complete(open.node, open.anchor)
            }
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor) else {
                    return Err(YamlError {
                        line,
                        message: "an anchor contains itself: write the value without an alias".to_owned(),
                    });
                };
                self.unfolded += size;
                if self.unfolded > MAX_UNFOLDED {
                    let message =
                        format!("aliases unfold to more than {MAX_UNFOLDED} values: write the values without aliases");
                    return Err(YamlError { line, message });
                }
                let node = node.clone();
                self.complete(node, 0)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, data: Data, line: usize, anchor: usize) -> Result<(), YamlError> {
        if self.expects_key() {
            return Err(YamlError {
                line,
                message: "a list or a mapping is not a key: write text before the colon".to_owned(),
            });
        }
        let node = Node { line, data, written: None };
        self.open.push(OpenCollection { node, anchor, key: None, merged: Vec::new(), keys: HashSet::new() });
        Ok(())
    }

    fn expects_key(&self) -> bool {
        self.open.last().is_some_and(|open| open.key.is_none() && matches!(open.node.data, Data::Map(_)))
    }

    fn set_key(&mut self, key: MapKey, line: usize) -> Result<(), YamlError> {
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        if let MapKey::Named(name) = &key
            && !open.keys.insert(name.clone())
        {
            return Err(YamlError { line, message: format!("the key {name:?} is written twice: remove one") });
        }
        open.key = Some((key, line));
        Ok(())
    }

    /// Makes a complete value a key, an item, a field or the document.
    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), YamlError> {
        if anchor != 0 {
            let size = count_values(&node);
            self.anchors.insert(anchor, (node.clone(), size));
        }
        if self.expects_key() {
            let line = node.line;
            let name = match node.data {
                Data::Text(text) => text,
                Data::Bool(truth) => truth.to_string(),
                Data::Number(number) => number.to_string(),
                _ => {
                    let message = format!("{} is not a key: write text before the colon", node.kind());
                    return Err(YamlError { line, message });
                }
            };
            return self.set_key(MapKey::Named(name), line);
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut open.node.data, open.key.take()) {
            (Data::List(items), _) => items.push(node),
            (Data::Map(entries), Some((MapKey::Named(key), line))) => entries.push(MapEntry { key, line, value: node }),
            (Data::Map(_), Some((MapKey::Merge, line))) => {
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

/// Counts the values in a value, including the value itself.
fn count_values(node: &Node) -> usize {
    1 + match &node.data {
        Data::List(items) => items.iter().map(count_values).sum::<usize>(),
        Data::Map(entries) => entries.iter().map(|entry| count_values(&entry.value)).sum(),
        _ => 0,
    }
}

/// Returns the value of a scalar. As in kubectl, tags that are not YAML's own are ignored.
fn resolve_scalar(text: &str, is_plain: bool, tag: Option<&Tag>) -> Result<Data, &'static str> {
    let name = tag.map(|tag| format!("{}{}", tag.handle(), tag.suffix()));
    match name.as_deref().map(|name| name.strip_prefix(CORE)) {
        None if is_plain => scalar::resolve_plain(text),
        Some(Some(wanted @ ("int" | "float" | "bool" | "null"))) => {
            let data = scalar::resolve_plain(text)?;
            let fits = match &data {
                Data::Null => wanted == "null",
                Data::Bool(_) => wanted == "bool",
                Data::Number(number) => wanted == "float" || (wanted == "int" && !number.is_f64()),
                _ => false,
            };
            if fits { Ok(data) } else { Err("is not what its tag says: remove the tag") }
        }
        Some(Some("binary")) => Err("is tagged !!binary: write it as text"),
        _ => Ok(Data::Text(text.to_owned())),
    }
}
