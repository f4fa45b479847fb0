//! A manifest is an object together with its position in a file.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;

use super::checker::Subject;
use super::node::Node;
use super::problem::{FilePosition, Judge, Problem};
use crate::api::ChannelMembership;

/// An object and its position in a file.
#[derive(Clone, Debug)]
pub struct Manifest<K> {
    /// The object's first line.
    pub position: FilePosition,
    /// The object, with its defaults and always with a namespace. Metadata that a cluster adds is
    /// present if the file has it.
    pub object: K,
    /// Such as `ChannelMembership care/support`.
    pub(super) name: String,
    pub(super) node: Arc<Node>,
}

impl<K> Manifest<K> {
    /// Returns a problem of a field such as `spec.members[3]`, at the field's line. An empty field
    /// stands for the whole object.
    pub fn problem(&self, judge: Judge, field: &str, message: String) -> Problem {
        self.subject().problem(judge, field, message)
    }

    pub(super) fn subject(&self) -> Subject<'_> {
        Subject { position: &self.position, name: &self.name, node: &self.node }
    }
}

/// The objects of all inputs, in the order of the inputs, and within a folder in the order of the
/// paths.
#[derive(Clone, Debug, Default)]
pub struct Manifests {
    /// The ChannelMemberships.
    pub memberships: Vec<Manifest<ChannelMembership>>,
    /// The ConfigMaps, for `membersFrom`.
    pub config_maps: Vec<Manifest<ConfigMap>>,
    /// The number of objects of other kinds.
    pub skipped: usize,
    /// Remarks on valid objects that may be wrong.
    pub warnings: Vec<Problem>,
}
