//! Which resources stand in these files, and are they right?
//!
//! [`read`] goes from files to resources: bytes → text → documents → objects → checked by the schema and the rules of the custom
//! resource definition, as the API server checks them. What comes out is right; what is wrong comes out as [`Problem`]s that
//! name file, document and line. It asks nobody: no cluster, no service.

mod check;
mod input;
mod kind;
mod late;
mod meta;
mod node;
mod place;
mod rules;
mod scalar;
mod schema;
mod text;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;

use check::{Checker, Subject};
pub use input::{Input, MAX_DOCUMENTS, MAX_FILE_BYTES};
pub use place::{Judge, Place, Problem};

use crate::api::ChannelMembership;

/// An object, and where it stands.
#[derive(Clone, Debug)]
pub struct Manifest<K> {
    /// Its first line.
    pub place: Place,
    /// The object, with its defaults and always with a namespace. What a cluster adds to the metadata is there if it is written.
    pub object: K,
    /// `ChannelMembership care/support`.
    name: String,
    node: Arc<node::Node>,
}

impl<K> Manifest<K> {
    /// Something to be told of a field such as `spec.members[3]`, at its line; of the object as a whole if that is empty.
    pub fn problem(&self, judge: Judge, field: &str, message: String) -> Problem {
        self.subject().problem(judge, field, message)
    }

    fn subject(&self) -> Subject<'_> {
        Subject { place: &self.place, name: &self.name, node: &self.node }
    }
}

/// What stands in files, in the order of the inputs, and within a folder in the order of the paths.
#[derive(Clone, Debug, Default)]
pub struct Manifests {
    /// The ChannelMemberships.
    pub memberships: Vec<Manifest<ChannelMembership>>,
    /// The ConfigMaps, for `membersFrom`.
    pub config_maps: Vec<Manifest<ConfigMap>>,
    /// How many objects of other kinds there were.
    pub skipped: usize,
    /// What is right and still worth a look.
    pub warnings: Vec<Problem>,
}

/// Reads and checks all resources that stand in these inputs. Those that name no namespace are in `namespace`.
///
/// What comes out is what the API server would take and the operator could carry out, as far as that can be told without
/// either; a `status` is left out.
///
/// # Errors
/// All problems of all inputs, in their order: never none.
pub fn read(inputs: &[Input], namespace: &str) -> Result<Manifests, Vec<Problem>> {
    found(inputs, kind::Found::new(namespace, Some(Checker::new())))
}

/// Reads resources as `kubectl get --output=yaml` prints them, with all that a cluster knows of them, their status too. They
/// were checked when they were applied, and are not again; fields that this version does not know are passed over.
///
/// # Errors
/// As [`read`], of what cannot be read at all.
pub fn read_state(inputs: &[Input], namespace: &str) -> Result<Manifests, Vec<Problem>> {
    found(inputs, kind::Found::new(namespace, None))
}

fn found(inputs: &[Input], mut found: kind::Found<'_>) -> Result<Manifests, Vec<Problem>> {
    for document in input::documents(inputs) {
        match document {
            Ok(document) => found.add(document),
            Err(problem) => found.problem(problem),
        }
    }
    if let Some(first) = inputs.first().filter(|_| found.is_empty()) {
        found.problem(Problem::unreadable(
            first.place(),
            "no manifest stands here, nor in any other file that was given",
        ));
    }
    found.finish()
}

/// What the API server would refuse about changing the resources of `before` to those of the same name in `after`: a channel, a
/// type or a sub-channel cannot be changed.
pub fn check_changes(before: &Manifests, after: &Manifests) -> Vec<Problem> {
    check_changes_of(before.memberships.iter().map(|manifest| &manifest.object), after)
}

/// [`check_changes`] of resources wherever they are from.
pub fn check_changes_of<'a>(
    before: impl IntoIterator<Item = &'a ChannelMembership>,
    after: &Manifests,
) -> Vec<Problem> {
    let name = |object: &ChannelMembership| (object.namespace(), object.name_any());
    let old: HashMap<_, _> = before.into_iter().map(|object| (name(object), object)).collect();
    let checker = Checker::new();
    let changes = after.memberships.iter().filter_map(|new| Some((old.get(&name(&new.object))?, new)));
    changes.flat_map(|(old, new)| checker.change(old, &new.object, &new.subject())).collect()
}
