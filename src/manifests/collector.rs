//! The collector sorts the objects of all documents by kind, and gathers their problems.

use std::collections::HashMap;
use std::sync::Arc;

use kube::Resource;
use serde::de::DeserializeOwned;

use super::checker::{Checker, Subject};
use super::documents::YamlDocument;
use super::input::MAX_DOCUMENTS;
use super::manifest::{Manifest, Manifests};
use super::node::{Data, MapEntry, Node};
use super::operator_check;
use super::problem::{FilePosition, Judge, Problem};

const GROUP: &str = "rollcall.dev";
const API_VERSION: &str = "rollcall.dev/v1alpha1";
const KIND: &str = "ChannelMembership";
const CONFIG_MAP: &str = "ConfigMap";

/// The objects and problems found so far.
pub(super) struct ObjectCollector<'a> {
    namespace: &'a str,
    manifests: Manifests,
    pub problems: Vec<Problem>,
    documents: usize,
    /// The first position of each object, by its name.
    first_positions: HashMap<String, FilePosition>,
    /// Absent for objects that a cluster has already accepted.
    checker: Option<Checker>,
}

/// Adds the version and kind that an item of a list takes from its list.
fn with_kind(mut node: Node, version: &str, kind: &str) -> Node {
    let line = node.line;
    if let Data::Map(entries) = &mut node.data {
        for (key, text) in [("apiVersion", version), ("kind", kind)] {
            if !entries.iter().any(|entry| entry.key == key) {
                let value = Node { line, data: Data::Text(text.to_owned()), written: None };
                entries.push(MapEntry { key: key.to_owned(), line, value });
            }
        }
    }
    node
}

impl<'a> ObjectCollector<'a> {
    pub fn new(namespace: &'a str, checker: Option<Checker>) -> Self {
        Self {
            namespace,
            manifests: Manifests::default(),
            problems: Vec::new(),
            documents: 0,
            first_positions: HashMap::new(),
            checker,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.documents == 0 && self.problems.is_empty()
    }

    pub fn add(&mut self, document: YamlDocument) {
        self.documents += 1;
        if self.documents == MAX_DOCUMENTS + 1 {
            let message = format!("more than {MAX_DOCUMENTS} documents: check them in parts");
            self.problems.push(Problem::unreadable(document.position.clone(), message));
        }
        if self.documents <= MAX_DOCUMENTS {
            self.add_object(&document.position, document.root, None);
        }
    }

    pub fn finish(self) -> Result<Manifests, Vec<Problem>> {
        let Self { mut manifests, mut problems, checker, .. } = self;
        if checker.is_some() {
            operator_check::check_manifests(&mut manifests, &mut problems);
        }
        if problems.is_empty() { Ok(manifests) } else { Err(problems) }
    }

    /// Adds one object, or the objects of a list. `list` is the version and kind of the items of
    /// the list that the object is in.
    fn add_object(&mut self, document: &FilePosition, node: Node, list: Option<(&str, &str)>) {
        let position = document.at_line(node.line);
        let wrong = |message: String| Problem::unreadable(position.clone(), message);
        if !matches!(node.data, Data::Map(_)) {
            let message = format!("{} is not a manifest: write a mapping with apiVersion and kind", node.kind());
            return self.problems.push(wrong(message));
        }
        let text = |key: &str| node.get(key).and_then(Node::text).unwrap_or_default();
        let (mut version, mut kind) = (text("apiVersion").to_owned(), text("kind").to_owned());
        if let Some((item_version, item_kind)) =
            list.filter(|_| node.get("apiVersion").is_none() && node.get("kind").is_none())
        {
            (version, kind) = (item_version.to_owned(), item_kind.to_owned());
        }
        for (key, value) in [("apiVersion", &version), ("kind", &kind)] {
            if value.is_empty() {
                return self.problems.push(wrong(format!("not a manifest: {key} is missing or not text")));
            }
        }
        if let Some(item_kind) = kind.strip_suffix("List")
            && (["", KIND, CONFIG_MAP].contains(&item_kind)
                || node.get("items").is_some_and(|items| matches!(items.data, Data::List(_))))
        {
            return self.add_items(document, node, &version, item_kind);
        }
        match (&*version, &*kind) {
            (API_VERSION, KIND) => {
                let node = with_kind(node, API_VERSION, KIND);
                let manifest = self.read_object(KIND, position, node, Checker::check_membership);
                self.manifests.memberships.extend(manifest);
            }
            ("v1", CONFIG_MAP) => {
                let node = with_kind(node, "v1", CONFIG_MAP);
                let manifest = self.read_object(CONFIG_MAP, position, node, Checker::check_config_map);
                self.manifests.config_maps.extend(manifest);
            }
            _ if kind == KIND || version.split('/').next() == Some(GROUP) => {
                let message = format!(
                    "Rollcall does not know {kind} of {version}: write apiVersion: {API_VERSION} and kind: {KIND}"
                );
                self.problems.push(wrong(message));
            }
            _ => self.manifests.skipped += 1,
        }
    }

    /// Adds the objects of a list. A list without items is empty.
    fn add_items(&mut self, document: &FilePosition, node: Node, version: &str, kind: &str) {
        let Data::Map(entries) = node.data else { return };
        let Some(MapEntry { line, value: items, .. }) = entries.into_iter().find(|entry| entry.key == "items") else {
            return;
        };
        match items.data {
            Data::List(items) => {
                for item in items {
                    self.add_object(document, item, Some((version, kind)));
                }
            }
            Data::Null => {}
            _ => {
                let message = format!("items is {}, and a list is wanted", items.kind());
                self.problems.push(Problem::unreadable(document.at_line(line), message));
            }
        }
    }

    /// Returns an object with its namespace, or records its problems.
    fn read_object<K: Resource + DeserializeOwned>(
        &mut self,
        kind: &str,
        position: FilePosition,
        node: Node,
        check: fn(&Checker, &Subject<'_>) -> Result<K, Vec<Problem>>,
    ) -> Option<Manifest<K>> {
        let name = self.register_name(kind, &position, &node)?;
        let subject = Subject { position: &position, name: &name, node: &node };
        let checked = match &self.checker {
            Some(checker) => check(checker, &subject),
            None => subject.convert(node.to_value()).map_err(|problem| vec![problem]),
        };
        let mut object = checked.map_err(|problems| self.problems.extend(problems)).ok()?;
        let metadata = object.meta_mut();
        if metadata.namespace.as_deref().is_none_or(str::is_empty) {
            metadata.namespace = Some(self.namespace.to_owned());
        }
        Some(Manifest { position, object, name, node: Arc::new(node) })
    }

    /// Returns the object's name, such as `ChannelMembership care/support`. Records a problem
    /// instead if an earlier object has the same name.
    fn register_name(&mut self, kind: &str, position: &FilePosition, node: &Node) -> Option<String> {
        let metadata = node.get("metadata");
        let text = |key: &str| {
            metadata.and_then(|metadata| metadata.get(key)).and_then(Node::text).filter(|text| !text.is_empty())
        };
        let namespace = text("namespace").unwrap_or(self.namespace);
        let name = format!("{kind} {:.63}/{:.253}", namespace, text("name").unwrap_or("(no name)"));
        if text("name").is_none() {
            // The schema check reports a missing name.
            return Some(name);
        }
        if let Some(first) = self.first_positions.get(&name) {
            let message = format!("is declared in {first} already: keep one of them");
            let position = position.at_line(node.line_of("metadata.name"));
            let object = Some(name);
            self.problems.push(Problem { position, object, field: String::new(), message, judge: Judge::Reader });
            return None;
        }
        self.first_positions.insert(name.clone(), position.clone());
        Some(name)
    }
}
