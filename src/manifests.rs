//! The module reads ChannelMemberships and ConfigMaps from files and checks them.
//!
//! [`read_manifests`] takes each file from bytes to text, documents and objects. It then checks
//! each object against the schema and the rules of the custom resource definition, as the API
//! server does. It returns valid objects, or [`Problem`]s that name the file, document and line.
//! It calls no cluster and no service.

mod checker;
mod collector;
mod documents;
mod input;
mod manifest;
mod metadata;
mod node;
mod operator_check;
mod problem;
mod rules;
mod scalar;
mod schema;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use kube::ResourceExt as _;

use checker::Checker;
use collector::ObjectCollector;
pub use input::{Input, MAX_FILE_BYTES};
pub use manifest::{Manifest, Manifests};
pub use problem::{FilePosition, Judge, Problem};

use crate::api::ChannelMembership;

/// Reads and checks all objects of these inputs. Objects without a namespace are put into
/// `namespace`, and a `status` is left out.
///
/// # Errors
/// Returns the problems of all inputs, in the order of the inputs. The list is never empty.
pub fn read_manifests(inputs: &[Input], namespace: &str) -> Result<Manifests, Vec<Problem>> {
    collect_objects(inputs, ObjectCollector::new(namespace, Some(Checker::new())))
}

/// Reads objects as `kubectl get --output=yaml` prints them, with their status. The API server has
/// already checked them, so this function does not. It ignores fields that this version does not
/// know.
///
/// # Errors
/// Returns a problem for each object that cannot be read.
pub fn read_state(inputs: &[Input], namespace: &str) -> Result<Manifests, Vec<Problem>> {
    collect_objects(inputs, ObjectCollector::new(namespace, None))
}

fn collect_objects(inputs: &[Input], mut collector: ObjectCollector<'_>) -> Result<Manifests, Vec<Problem>> {
    for document in input::read_documents(inputs) {
        match document {
            Ok(document) => collector.add(document),
            Err(problem) => collector.problems.push(problem),
        }
    }
    if let Some(first) = inputs.first().filter(|_| collector.is_empty()) {
        let message = "neither this file nor any other given file holds a manifest";
        collector.problems.push(Problem::unreadable(first.position(), message));
    }
    collector.finish()
}

/// Returns what the API server would refuse if the resources of `before` were changed to the
/// resources of the same name in `after`. A channel, a type and a sub-channel cannot be changed.
pub fn check_changes(before: &Manifests, after: &Manifests) -> Vec<Problem> {
    check_changes_of(before.memberships.iter().map(|manifest| &manifest.object), after)
}

/// Does the same as [`check_changes`] for resources that are not from files.
pub fn check_changes_of<'a>(
    before: impl IntoIterator<Item = &'a ChannelMembership>,
    after: &Manifests,
) -> Vec<Problem> {
    let name = |object: &ChannelMembership| (object.namespace(), object.name_any());
    let old: HashMap<_, _> = before.into_iter().map(|object| (name(object), object)).collect();
    let checker = Checker::new();
    let changes = after.memberships.iter().filter_map(|new| Some((old.get(&name(&new.object))?, new)));
    changes.flat_map(|(old, new)| checker.check_change(old, &new.object, &new.subject())).collect()
}
