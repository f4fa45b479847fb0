//! The resources before and after a change.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;

use super::object::Object;
use super::plan::{Before, Change};
use crate::api::{ChannelMembership, ConfigMapKeyRef};
use crate::engine::dry_run::reconciled_status;
use crate::engine::resource::SourceText;
use crate::engine::settings::Settings;
use crate::manifests::{FilePosition, Manifest, Manifests};
use crate::membership::digest;

/// The contents of keys of ConfigMaps, by namespace and reference.
pub type Texts = HashMap<(String, ConfigMapKeyRef), SourceText>;

/// The source of the resources before the change.
#[derive(Debug)]
pub enum Origin {
    /// The objects of a cluster with the contents of their sources, and the contents of the
    /// ConfigMaps that the files refer to.
    Cluster(Vec<Object>, Texts),
    /// Objects as a cluster prints them.
    State(Manifests),
    /// The manifests before the change.
    Manifests(Manifests),
    /// No source.
    Unknown,
}

/// The resources before and after a change.
#[derive(Debug)]
pub struct ChangeSet {
    /// The source of what was declared before.
    pub before: Before,
    /// The resources before the change, by `namespace/name`.
    pub old: BTreeMap<String, Object>,
    /// All resources after the change, or being deleted, by `namespace/name`.
    pub new: BTreeMap<String, ChangeSetEntry>,
}

/// A resource of a change set.
#[derive(Debug)]
pub struct ChangeSetEntry {
    /// The resource after the change.
    pub object: Object,
    /// Its position, if it is in a file of the change.
    pub place: Option<FilePosition>,
    /// Its change; `None` if the change does not include it.
    pub change: Option<Change>,
}

/// ConfigMaps by namespace and name.
type Maps<'a> = HashMap<(&'a str, &'a str), &'a ConfigMap>;

impl ChangeSet {
    /// Creates a change set that replaces the resources of `origin` by those of `files`. With
    /// `prune`, a resource that is not among the files is deleted, as a GitOps controller with
    /// pruning does. With [`Origin::Manifests`] it always is.
    pub fn new(files: &Manifests, origin: &Origin, prune: bool, settings: &Settings, now: Timestamp) -> Self {
        let (before, old) = match origin {
            Origin::Cluster(objects, _) => (Before::Cluster, objects.clone()),
            Origin::State(state) => (Before::State, written(state, now)),
            Origin::Manifests(base) => {
                let mut objects = written(base, Timestamp::UNIX_EPOCH);
                for object in &mut objects {
                    object.put_finalizer();
                    object.status = Some(reconciled_status(&object.resource(), settings, now));
                }
                (Before::Manifests, objects)
            }
            Origin::Unknown => (Before::Unknown, Vec::new()),
        };
        let old: BTreeMap<String, Object> =
            old.into_iter().map(|object| (object.full_name().to_owned(), object)).collect();
        let maps = maps(files);
        let maps_before = if let Origin::State(state) = origin { self::maps(state) } else { Maps::new() };
        let find = |namespace: &str, reference: &ConfigMapKeyRef| {
            let written = || text(&maps, namespace, reference);
            match origin {
                Origin::Cluster(_, texts) => {
                    written().or_else(|| texts.get(&(namespace.to_owned(), reference.clone())).cloned())
                }
                Origin::State(_) => written().or_else(|| text(&maps_before, namespace, reference)),
                Origin::Manifests(_) | Origin::Unknown => written(),
            }
        };
        let mut new = BTreeMap::new();
        for manifest in &files.memberships {
            let mut object = Object::written(&manifest.object, now);
            object.read_sources(find);
            let mut change = Change::Created;
            if let Some(before) = old.get(object.full_name()) {
                object = object.replacing(before);
                let same = object.metadata.generation == before.metadata.generation && same_sources(before, &object);
                change = if same { Change::Unchanged } else { Change::Changed };
            }
            let entry = ChangeSetEntry { place: Some(manifest.position.clone()), change: Some(change), object };
            new.insert(entry.object.full_name().to_owned(), entry);
        }
        for (resource, before) in &old {
            if new.contains_key(resource) {
                continue;
            }
            let (mut object, mut change) = (before.clone(), None);
            // A ConfigMap of the change may be a source of a resource outside its files.
            object.read_sources(|namespace, reference| {
                let read = before.sources.iter().find(|source| source.reference == *reference);
                text(&maps, namespace, reference).or_else(|| read.map(|source| source.text.clone()))
            });
            if (prune || always_prunes(origin)) && object.metadata.deletion_timestamp.is_none() {
                object = object.deleted(now);
                change = Some(Change::Deleted);
            }
            new.insert(resource.clone(), ChangeSetEntry { object, place: None, change });
        }
        Self { before, old, new }
    }

    /// Lists the resources that the change includes.
    pub fn affected(&self) -> impl Iterator<Item = &ChangeSetEntry> {
        self.new.values().filter(|entry| entry.change.is_some())
    }
}

/// Returns whether a resource that is not among the files is deleted in any case.
fn always_prunes(origin: &Origin) -> bool {
    matches!(origin, Origin::Manifests(_))
}

/// Returns the resources of files, with the contents of those sources that are in the files too.
fn written(files: &Manifests, created: Timestamp) -> Vec<Object> {
    let maps = maps(files);
    let object = |manifest: &Manifest<ChannelMembership>| {
        let mut object = Object::written(&manifest.object, created);
        object.read_sources(|namespace, reference| text(&maps, namespace, reference));
        object
    };
    files.memberships.iter().map(object).collect()
}

fn maps(files: &Manifests) -> Maps<'_> {
    let mut maps = Maps::new();
    for manifest in &files.config_maps {
        let metadata = &manifest.object.metadata;
        let place = [&metadata.namespace, &metadata.name].map(|name| name.as_deref().unwrap_or_default());
        maps.insert(place.into(), &manifest.object);
    }
    maps
}

/// Returns the contents of a key, if its ConfigMap is among these.
fn text(maps: &Maps<'_>, namespace: &str, reference: &ConfigMapKeyRef) -> Option<SourceText> {
    let map = maps.get(&(namespace, &*reference.name))?;
    let text = map.data.as_ref().and_then(|data| data.get(&reference.key));
    let is_binary = map.binary_data.as_ref().is_some_and(|data| data.contains_key(&reference.key));
    Some(SourceText::of_map(reference, text.map(String::as_str), is_binary))
}

/// Returns whether the sources hold what they held when the resource was reconciled.
fn same_sources(before: &Object, after: &Object) -> bool {
    after.sources.iter().all(|source| {
        let SourceText::Read(text) = &source.text else { return true };
        let read = before.sources.iter().find(|old| old.reference == source.reference).map(|old| &old.text);
        if let Some(SourceText::Read(old)) = read {
            return old == text;
        }
        let (name, key) = (&source.reference.name, &source.reference.key);
        let statuses = before.status.iter().flat_map(|status| &status.sources);
        let seen = statuses.filter(|seen| seen.name == *name && seen.key == *key).find_map(|seen| seen.hash.as_ref());
        seen.is_none_or(|hash| *hash == digest::of([text]))
    })
}
