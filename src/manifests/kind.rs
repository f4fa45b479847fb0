//! Which objects do documents hold, and of which kinds?

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::check::{Checker, Subject};
use super::input::MAX_DOCUMENTS;
use super::late;
use super::node::{Data, Entry, Node};
use super::place::{Judge, Place, Problem};
use super::text::Document;
use super::{Manifest, Manifests};

const GROUP: &str = "rollcall.dev";
const API_VERSION: &str = "rollcall.dev/v1alpha1";
const KIND: &str = "ChannelMembership";
const CONFIG_MAP: &str = "ConfigMap";

/// What was found so far.
pub(super) struct Found<'a> {
    namespace: &'a str,
    manifests: Manifests,
    problems: Vec<Problem>,
    documents: usize,
    /// Where each object was found first.
    seen: HashMap<String, Place>,
    /// What checks them; none for objects that a cluster has taken already.
    checker: Option<Checker>,
}

/// An item of a list says of which kind it is by standing in the list.
fn with_kind(mut node: Node, version: &str, kind: &str) -> Node {
    let line = node.line;
    if let Data::Map(entries) = &mut node.data {
        for (key, text) in [("apiVersion", version), ("kind", kind)] {
            if !entries.iter().any(|entry| entry.key == key) {
                let value = Node { line, data: Data::Text(text.to_owned()), written: None };
                entries.push(Entry { key: key.to_owned(), line, value });
            }
        }
    }
    node
}

impl<'a> Found<'a> {
    pub fn new(namespace: &'a str, checker: Option<Checker>) -> Self {
        Self {
            namespace,
            manifests: Manifests::default(),
            problems: Vec::new(),
            documents: 0,
            seen: HashMap::new(),
            checker,
        }
    }

    pub fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    pub fn is_empty(&self) -> bool {
        self.documents == 0 && self.problems.is_empty()
    }

    pub fn add(&mut self, document: Document) {
        self.documents += 1;
        if self.documents == MAX_DOCUMENTS + 1 {
            let message = format!("more than {MAX_DOCUMENTS} documents: check them in parts");
            self.problem(Problem::unreadable(document.place.clone(), message));
        }
        if self.documents <= MAX_DOCUMENTS {
            self.object(&document.place, document.root, None);
        }
    }

    pub fn finish(self) -> Result<Manifests, Vec<Problem>> {
        let Self { mut manifests, mut problems, checker, .. } = self;
        if checker.is_some() {
            late::check(&mut manifests, &mut problems);
        }
        if problems.is_empty() { Ok(manifests) } else { Err(problems) }
    }

    /// One object, or those of a list. `of` is what the list is of.
    fn object(&mut self, document: &Place, node: Node, of: Option<(&str, &str)>) {
        let place = document.at(node.line);
        let wrong = |message: String| Problem::unreadable(place.clone(), message);
        if !matches!(node.data, Data::Map(_)) {
            let message = format!("{} is no manifest: write a mapping with apiVersion and kind", node.kind());
            return self.problem(wrong(message));
        }
        let text = |key: &str| node.get(key).and_then(Node::text).unwrap_or_default();
        let (mut version, mut kind) = (text("apiVersion").to_owned(), text("kind").to_owned());
        if let Some((of_version, of_kind)) =
            of.filter(|_| node.get("apiVersion").is_none() && node.get("kind").is_none())
        {
            (version, kind) = (of_version.to_owned(), of_kind.to_owned());
        }
        for (key, value) in [("apiVersion", &version), ("kind", &kind)] {
            if value.is_empty() {
                return self.problem(wrong(format!("no manifest: {key} is missing or no text")));
            }
        }
        if let Some(of) = kind.strip_suffix("List")
            && (["", KIND, CONFIG_MAP].contains(&of)
                || node.get("items").is_some_and(|items| matches!(items.data, Data::List(_))))
        {
            return self.list(document, node, &version, of);
        }
        match (&*version, &*kind) {
            (API_VERSION, KIND) => self.membership(place, with_kind(node, API_VERSION, KIND)),
            ("v1", CONFIG_MAP) => self.config_map(place, with_kind(node, "v1", CONFIG_MAP)),
            _ if kind == KIND || version.split('/').next() == Some(GROUP) => {
                let message = format!(
                    "{kind} of {version} is nothing that Rollcall knows: write apiVersion: {API_VERSION} and kind: {KIND}"
                );
                self.problem(wrong(message));
            }
            _ => self.manifests.skipped += 1,
        }
    }

    /// The objects of a list. One without items is empty.
    fn list(&mut self, document: &Place, node: Node, version: &str, of: &str) {
        let Data::Map(entries) = node.data else { return };
        let Some(Entry { line, value: items, .. }) = entries.into_iter().find(|entry| entry.key == "items") else {
            return;
        };
        match items.data {
            Data::List(items) => items.into_iter().for_each(|item| self.object(document, item, Some((version, of)))),
            Data::Null => {}
            _ => {
                let message = format!("items is {}, and a list is wanted", items.kind());
                self.problem(Problem::unreadable(document.at(line), message));
            }
        }
    }

    fn membership(&mut self, place: Place, node: Node) {
        let Some(name) = self.name(KIND, &place, &node) else { return };
        let subject = Subject { place: &place, name: &name, node: &node };
        let read = match &self.checker {
            Some(checker) => checker.membership(&subject),
            None => subject.typed(node.to_value()).map_err(|problem| vec![problem]),
        };
        match read {
            Ok(mut object) => {
                self.place_in_namespace(&mut object.metadata);
                self.manifests.memberships.push(Manifest { place, object, name, node: Arc::new(node) });
            }
            Err(problems) => self.problems.extend(problems),
        }
    }

    fn config_map(&mut self, place: Place, node: Node) {
        let Some(name) = self.name(CONFIG_MAP, &place, &node) else { return };
        let subject = Subject { place: &place, name: &name, node: &node };
        let read = match &self.checker {
            Some(checker) => checker.config_map(&subject),
            None => subject.typed(node.to_value()).map_err(|problem| vec![problem]),
        };
        match read {
            Ok(mut object) => {
                self.place_in_namespace(&mut object.metadata);
                self.manifests.config_maps.push(Manifest { place, object, name, node: Arc::new(node) });
            }
            Err(problems) => self.problems.extend(problems),
        }
    }

    fn place_in_namespace(&self, metadata: &mut ObjectMeta) {
        if metadata.namespace.as_deref().is_none_or(str::is_empty) {
            metadata.namespace = Some(self.namespace.to_owned());
        }
    }

    /// `ChannelMembership care/support`, unless it was there already.
    fn name(&mut self, kind: &str, place: &Place, node: &Node) -> Option<String> {
        let metadata = node.get("metadata");
        let text = |key: &str| {
            metadata.and_then(|metadata| metadata.get(key)).and_then(Node::text).filter(|text| !text.is_empty())
        };
        let namespace = text("namespace").unwrap_or(self.namespace);
        // One without a name is told by the schema, and is like no other.
        let name = format!("{kind} {:.63}/{:.253}", namespace, text("name").unwrap_or("(no name)"));
        if text("name").is_none() {
            return Some(name);
        }
        if let Some(before) = self.seen.get(&name) {
            let message = format!("is declared in {before} already: keep one of them");
            let place = place.at(node.line_of("metadata.name"));
            self.problem(Problem { place, object: Some(name), field: String::new(), message, judge: Judge::Reader });
            return None;
        }
        self.seen.insert(name.clone(), place.clone());
        Some(name)
    }
}
