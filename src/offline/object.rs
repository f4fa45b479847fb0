//! What would an API server hold of a resource that stands in a file?

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
    /// Its metadata. Always with a namespace, a name and a UID.
    pub metadata: ObjectMeta,
    version: Version,
    /// Its spec, or why it cannot be read.
    pub spec: Result<ChannelMembershipSpec, String>,
    /// A field of the spec that this version of Rollcall does not know.
    pub unknown_field: Option<String>,
    /// Its status.
    pub status: Option<ChannelMembershipStatus>,
    /// What the sources of `membersFrom` hold, in their order.
    pub sources: Vec<Source>,
}

impl Object {
    /// A resource with the sources that [`Self::references`] names not read yet.
    pub fn new(
        mut metadata: ObjectMeta,
        spec: Result<ChannelMembershipSpec, String>,
        unknown_field: Option<String>,
        status: Option<ChannelMembershipStatus>,
    ) -> Self {
        let full_name = resource(&metadata);
        // Whoever stands in a file alone is told from others by its name.
        metadata.uid.get_or_insert_with(|| format!("file:{full_name}"));
        let version = Version(metadata.resource_version.clone().unwrap_or_default());
        Self { full_name, metadata, version, spec, unknown_field, status, sources: Vec::new() }
    }

    /// As it is written, of generation 1 where it does not say. One that does not say when it was made is as old as `made`.
    pub fn written(object: &ChannelMembership, made: Timestamp) -> Self {
        let mut metadata = object.metadata.clone();
        metadata.generation.get_or_insert(1);
        metadata.creation_timestamp.get_or_insert(Time(made));
        Self::new(metadata, Ok(object.spec.clone()), None, object.status.clone())
    }

    /// `namespace/name`.
    pub fn full_name(&self) -> &str {
        &self.full_name
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Its UID.
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// In which version it is.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// From here on it is in this version.
    pub(super) fn set_version(&mut self, version: Version) {
        self.metadata.resource_version = Some(version.0.clone());
        self.version = version;
    }

    /// The ARN of its channel, as it is written; empty where the spec cannot be read.
    pub fn channel(&self) -> &str {
        self.spec.as_ref().map(|spec| spec.channel_arn.as_str()).unwrap_or_default()
    }

    /// The sources to read for it.
    pub fn references(&self) -> impl Iterator<Item = &ConfigMapKeyRef> {
        crate::api::metadata::references(&self.metadata, self.spec.as_ref().ok())
    }

    /// Reads its sources by `read`, which is given the namespace and the key; whatever that does not find cannot be read.
    pub fn read_sources(&mut self, read: impl Fn(&str, &ConfigMapKeyRef) -> Option<SourceText>) {
        let source = |reference: &ConfigMapKeyRef| {
            let unknown = || SourceText::Unreadable(format!("ConfigMap {} is not among the files", reference.name));
            let text = read(self.namespace(), reference).unwrap_or_else(unknown);
            Source { reference: reference.clone(), version: None, text }
        };
        self.sources = self.references().map(source).collect();
    }

    /// The same, as it takes the place of `before`: what a cluster keeps of an object through an edit stays.
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

    /// The same, once somebody deleted it. Whether it ends at once or its people are removed first is in its finalizers.
    pub fn deleted(mut self, at: Timestamp) -> Self {
        if self.metadata.deletion_timestamp.is_none() {
            self.metadata.deletion_timestamp = Some(Time(at));
            self.metadata.generation = self.metadata.generation.map(|generation| generation + 1);
        }
        self
    }

    /// Puts the finalizer on it that an operator would have put on it.
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

    /// The same, as an operator saw it last: where it is not known what a source held then, by what the status says of it.
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

    /// As it is written to a file; `None` where its spec cannot be read.
    pub fn manifest(&self) -> Option<ChannelMembership> {
        let spec = self.spec.clone().ok()?;
        Some(ChannelMembership { metadata: self.metadata.clone(), spec, status: self.status.clone() })
    }
}
