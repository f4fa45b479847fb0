//! A resource of a file, as an API server would hold it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use crate::api::metadata::{has_finalizer, resource};
use crate::api::{
    ChannelMembership, ChannelMembershipSpec, ChannelMembershipStatus, ConfigMapKeyRef, DeletionPolicy, FINALIZER,
    MemberList, Prune,
};
use crate::engine::resource::{Resource, Source, SourceText};
use crate::engine::store::Version;

/// One resource.
#[derive(Clone, Debug)]
pub struct Object {
    full_name: String,
    /// The metadata. Always with a namespace, a name and a UID.
    pub metadata: ObjectMeta,
    version: Version,
    /// The spec, or why it cannot be read.
    pub spec: Result<ChannelMembershipSpec, String>,
    /// A field of the spec that this version of Rollcall does not know.
    pub unknown_field: Option<String>,
    /// The status.
    pub status: Option<ChannelMembershipStatus>,
    /// The sources of `membersFrom`, in their order.
    pub sources: Vec<Source>,
}

impl Object {
    /// Creates a resource. The sources that [`Self::references`] lists are not read yet.
    pub fn new(
        mut metadata: ObjectMeta,
        spec: Result<ChannelMembershipSpec, String>,
        unknown_field: Option<String>,
        status: Option<ChannelMembershipStatus>,
    ) -> Self {
        let full_name = resource(&metadata);
        // A resource of a file without a UID is identified by its name.
        metadata.uid.get_or_insert_with(|| format!("file:{full_name}"));
        let version = Version(metadata.resource_version.clone().unwrap_or_default());
        Self { full_name, metadata, version, spec, unknown_field, status, sources: Vec::new() }
    }

    /// Creates a resource from a manifest. Without a generation it gets 1, without a creation time
    /// it gets `created`.
    pub fn written(object: &ChannelMembership, created: Timestamp) -> Self {
        let mut metadata = object.metadata.clone();
        metadata.generation.get_or_insert(1);
        metadata.creation_timestamp.get_or_insert(Time(created));
        Self::new(metadata, Ok(object.spec.clone()), None, object.status.clone())
    }

    /// Returns `namespace/name`.
    pub fn full_name(&self) -> &str {
        &self.full_name
    }

    /// Returns the namespace.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Returns the UID.
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Returns the version.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Sets the version.
    pub(super) fn set_version(&mut self, version: Version) {
        self.metadata.resource_version = Some(version.0.clone());
        self.version = version;
    }

    /// Returns the ARN of the channel as it is written; empty if the spec cannot be read.
    pub fn channel(&self) -> &str {
        self.spec.as_ref().map(|spec| spec.channel_arn.as_str()).unwrap_or_default()
    }

    /// Lists the sources to read.
    pub fn references(&self) -> impl Iterator<Item = &ConfigMapKeyRef> {
        crate::api::metadata::references(&self.metadata, self.spec.as_ref().ok())
    }

    /// Reads the sources by `read`, which gets the namespace and the key. A source that `read` does
    /// not find is unreadable.
    pub fn read_sources(&mut self, read: impl Fn(&str, &ConfigMapKeyRef) -> Option<SourceText>) {
        let source = |reference: &ConfigMapKeyRef| {
            let unknown = || SourceText::Unreadable(format!("ConfigMap {} is not among the files", reference.name));
            let text = read(self.namespace(), reference).unwrap_or_else(unknown);
            Source { reference: reference.clone(), version: None, text }
        };
        self.sources = self.references().map(source).collect();
    }

    /// Returns the resource after an edit of `before`: it keeps what a cluster keeps through an
    /// edit.
    pub fn replacing(self, before: &Self) -> Self {
        let Self { metadata: written, spec, unknown_field, sources, .. } = self;
        let changed = i64::from(before.spec.as_ref().ok() != spec.as_ref().ok());
        let mut metadata = before.metadata.clone();
        metadata.generation = Some(metadata.generation.unwrap_or(1) + changed);
        if let Some(annotations) = written.annotations {
            metadata.annotations.get_or_insert_default().extend(annotations);
        }
        Self { sources, ..Self::new(metadata, spec, unknown_field, before.status.clone()) }
    }

    /// Returns the resource after its deletion was requested. Its finalizers decide whether it ends
    /// at once or removes its members first.
    pub fn deleted(mut self, at: Timestamp) -> Self {
        if self.metadata.deletion_timestamp.is_none() {
            self.metadata.deletion_timestamp = Some(Time(at));
            self.metadata.generation = self.metadata.generation.map(|generation| generation + 1);
        }
        self
    }

    /// Adds the finalizer that an operator would have added.
    pub fn put_finalizer(&mut self) {
        let wants =
            |spec: &ChannelMembershipSpec| spec.deletion_policy == DeletionPolicy::Delete && spec.prune != Prune::Never;
        if self.spec.as_ref().is_ok_and(wants) && !has_finalizer(&self.metadata) {
            self.metadata.finalizers.get_or_insert_default().push(FINALIZER.to_owned());
        }
    }

    /// Returns the object as a reconcile sees it.
    pub fn resource(&self) -> Resource {
        let (spec, unknown_field, sources) = (self.spec.clone(), self.unknown_field.clone(), self.sources.clone());
        Resource { status: self.status.clone(), ..Resource::new(&self.metadata, spec, unknown_field, sources) }
    }

    /// Returns the resource as an operator saw it last. If the former contents of a source are
    /// unknown, the status gives its members.
    pub fn last_seen(&self) -> Resource {
        let mut snapshot = self.resource();
        let claimed = self.status.as_ref().and_then(|status| status.last_declared.as_ref());
        let is_read = |source: &Source| matches!(source.text, SourceText::Read(_));
        if let (Ok(spec), Some(claimed)) = (&mut snapshot.spec, claimed)
            && !self.sources.iter().all(is_read)
        {
            let members = spec.members.iter().flat_map(MemberList::iter).chain(claimed.iter()).collect();
            (spec.members, spec.members_from, snapshot.sources) = (Some(members), Vec::new(), Vec::new());
        }
        snapshot
    }

    /// Returns the resource as a manifest; `None` if its spec cannot be read.
    pub fn manifest(&self) -> Option<ChannelMembership> {
        let spec = self.spec.clone().ok()?;
        Some(ChannelMembership { metadata: self.metadata.clone(), spec, status: self.status.clone() })
    }
}
