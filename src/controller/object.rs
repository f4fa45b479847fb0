//! The part of a resource that is kept in memory.
//!
//! It is smaller than the object of the API server: it has no `managedFields` and no annotations of
//! other tools (kubectl's last-applied annotation repeats the whole manifest). A spec or status
//! that cannot be read does not make the object, or its list, unreadable.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::api::metadata::{annotation, has_finalizer, is_released, references};
use crate::api::{
    APPROVE, ChannelMembership, ChannelMembershipSpec, ChannelMembershipStatus, ConfigMapKeyRef, FINALIZER,
    RECONCILE_REQUESTED_AT, RELEASE,
};
use crate::engine::resource::{Resource, Source};

/// How many bytes are kept of an annotation's value, or of a field's path.
const MAX_TEXT_BYTES: usize = 256;

/// A `ChannelMembership`, as the watch shows it.
#[derive(kube::Resource, Clone, Debug, Deserialize)]
#[resource(inherit = "ChannelMembership")]
pub(super) struct WatchedObject {
    #[serde(deserialize_with = "trimmed_metadata")]
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: Guarded<ChannelMembershipSpec>,
    #[serde(default)]
    pub status: Option<Guarded<ChannelMembershipStatus>>,
}

/// A `ChannelMembership`, as it is listed to read what it declares. Statuses may be large and are
/// skipped.
#[derive(kube::Resource, Clone, Debug, Deserialize)]
#[resource(inherit = "ChannelMembership")]
pub(super) struct ListedObject {
    #[serde(deserialize_with = "trimmed_metadata")]
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: Guarded<ChannelMembershipSpec>,
}

impl WatchedObject {
    /// Returns the value of the annotation that requests a reconcile.
    pub fn requested_at(&self) -> Option<&str> {
        annotation(&self.metadata, RECONCILE_REQUESTED_AT)
    }

    /// Returns the value of the annotation that approves a plan.
    pub fn approved(&self) -> Option<&str> {
        annotation(&self.metadata, APPROVE)
    }

    /// Returns whether the resource is released: its finalizer goes, and no member is removed.
    pub fn released(&self) -> bool {
        is_released(&self.metadata)
    }

    /// Returns whether the resource has our finalizer.
    pub fn has_finalizer(&self) -> bool {
        has_finalizer(&self.metadata)
    }

    /// Returns the status, if there is one that can be read.
    pub fn status(&self) -> Option<&ChannelMembershipStatus> {
        self.status.as_ref()?.value.as_ref().ok()
    }

    /// Returns what a reconcile depends on: when it changes, the reconcile in flight is out of
    /// date.
    pub fn trigger(&self) -> Trigger {
        Trigger {
            uid: self.metadata.uid.clone(),
            generation: self.metadata.generation,
            requested_at: self.requested_at().map(str::to_owned),
            approved: self.approved().map(str::to_owned),
            released: self.released(),
            deleted: self.metadata.deletion_timestamp.is_some(),
        }
    }

    /// Lists the sources to read, as [`ListedObject::references`].
    pub fn references(&self) -> impl Iterator<Item = &ConfigMapKeyRef> {
        references(&self.metadata, self.spec.value.as_ref().ok())
    }

    /// Returns the part of a watch event that the reconciles of this object need.
    pub fn watch_event(&self) -> WatchEvent {
        WatchEvent {
            uid: self.metadata.uid.clone().unwrap_or_default(),
            version: self.version(),
            trigger: self.trigger(),
            has_finalizer: self.has_finalizer(),
        }
    }

    /// Returns the version as a number; versions of one object grow.
    pub fn version(&self) -> u64 {
        self.metadata.resource_version.as_deref().map(version_number).unwrap_or_default()
    }
}

impl ListedObject {
    /// Returns the namespace.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Lists the sources to read. The list is empty if the spec cannot be read, or if the resource
    /// declares no members because it is being deleted.
    pub fn references(&self) -> impl Iterator<Item = &ConfigMapKeyRef> {
        references(&self.metadata, self.spec.value.as_ref().ok())
    }

    /// Returns the resource, with the contents of its sources.
    pub fn into_resource(self, sources: Vec<Source>) -> Resource {
        Resource::new(&self.metadata, self.spec.value, self.spec.unknown_field, sources)
    }
}

/// Returns a version as a number, or 0 if it is none. Versions of one kind can be compared
/// (Kubernetes API conventions, resource versions).
pub(super) fn version_number(version: &str) -> u64 {
    version.parse().unwrap_or_default()
}

/// The inputs of a reconcile besides the service, the sources and our finalizer. We write our
/// finalizer ourselves, so [`super::inflight::ObjectStates::observe`] compares it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Trigger {
    uid: Option<String>,
    generation: Option<i64>,
    requested_at: Option<String>,
    approved: Option<String>,
    released: bool,
    deleted: bool,
}

/// The part of a watch event that the reconciles of an object need.
#[derive(Clone, Debug)]
pub(super) struct WatchEvent {
    pub uid: String,
    pub version: u64,
    pub trigger: Trigger,
    /// True if the resource has our finalizer.
    pub has_finalizer: bool,
}

/// A value, or why it cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct Guarded<T> {
    pub value: Result<T, String>,
    /// The path of the first field that this version of Rollcall does not know.
    pub unknown_field: Option<String>,
}

impl<T> Default for Guarded<T> {
    fn default() -> Self {
        Self { value: Err("it is missing".to_owned()), unknown_field: None }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Guarded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        let mut unknown_field = None;
        let value = serde_ignored::deserialize(&mut serde_json::Deserializer::from_str(raw.get()), |path| {
            // The path has a `?` for each optional field on the way.
            unknown_field.get_or_insert_with(|| truncate(path.to_string().replace(".?", ""), MAX_TEXT_BYTES));
        });
        Ok(Self { value: value.map_err(|error: serde_json::Error| error.to_string()), unknown_field })
    }
}

fn trimmed_metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct TrimmedMetadata {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        generation: Option<i64>,
        creation_timestamp: Option<Time>,
        deletion_timestamp: Option<Time>,
        finalizers: Option<Vec<String>>,
        #[serde(default)]
        annotations: Option<BTreeMap<String, String>>,
    }
    let kept = TrimmedMetadata::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: kept.name,
        namespace: kept.namespace,
        uid: kept.uid,
        resource_version: kept.resource_version,
        generation: kept.generation,
        creation_timestamp: kept.creation_timestamp,
        deletion_timestamp: kept.deletion_timestamp,
        finalizers: kept.finalizers.map(|mut all| {
            all.retain(|finalizer| finalizer == FINALIZER);
            all
        }),
        annotations: kept.annotations.map(|mut all| {
            all.retain(|key, _| [RECONCILE_REQUESTED_AT, APPROVE, RELEASE].contains(&key.as_str()));
            // The values are repeated in the status, and an annotation may be 256 KiB long.
            all.into_iter().map(|(key, value)| (key, truncate(value, MAX_TEXT_BYTES))).collect()
        }),
        ..ObjectMeta::default()
    })
}

/// Truncates a text to this many bytes, between two characters.
pub(super) fn truncate(mut text: String, max_bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(max_bytes));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: &str = r#"{"apiVersion":"rollcall.dev/v1alpha1","kind":"ChannelMembership",
        "metadata":{"name":"a","namespace":"n","uid":"u","generation":1,"managedFields":[{"manager":"m"}],
        "creationTimestamp":"2026-01-02T03:04:05Z","finalizers":["example.com/other","rollcall.dev/prune"],
        "annotations":{"kubectl.kubernetes.io/last-applied-configuration":"big","rollcall.dev/reconcile-requested-at":"1",
        "rollcall.dev/approve":"5c1e","rollcall.dev/release":"true"}},
        "spec":SPEC,"status":{"observedGeneration":-1}}"#;

    fn object_with(spec: &str) -> WatchedObject {
        serde_json::from_str(&OBJECT.replace("SPEC", spec)).unwrap()
    }

    #[test]
    fn unused_fields_are_dropped() {
        let object = object_with(r#"{"channelArn":"x"}"#);
        assert_eq!((object.requested_at(), object.approved(), object.released()), (Some("1"), Some("5c1e"), true));
        assert_eq!(object.metadata.creation_timestamp.as_ref().unwrap().0.as_second(), 1_767_323_045);
        assert!(object.has_finalizer());
        assert_eq!(object.metadata.finalizers.unwrap().len(), 1);
        assert_eq!(object.metadata.annotations.unwrap().len(), 3);
        assert_eq!(object.metadata.managed_fields, None);
        assert_eq!(object.spec.value.unwrap().channel_arn, "x");
    }

    #[test]
    fn long_annotation_is_truncated() {
        let object: WatchedObject =
            serde_json::from_str(&OBJECT.replace("SPEC", "{}").replace("5c1e", &"ü".repeat(10_000))).unwrap();
        assert_eq!(object.approved().unwrap().len(), MAX_TEXT_BYTES);
    }

    #[test]
    fn unreadable_spec_leaves_the_object_readable() {
        let object = object_with(r#"{"channelArn":7}"#);
        assert_eq!(object.metadata.name.as_deref(), Some("a"));
        assert!(object.spec.value.unwrap_err().contains("invalid type"));
        let object: WatchedObject = serde_json::from_str(&OBJECT.replace(r#""spec":SPEC,"#, "")).unwrap();
        assert!(object.spec.value.unwrap_err().contains("missing"));
    }

    #[test]
    fn unknown_field_is_named_at_any_depth() {
        let known = object_with(r#"{"channelArn":"x","members":["alice"],"limits":{"removals":1},"membersFrom":[]}"#);
        assert_eq!(known.spec.unknown_field, None);
        for (spec, path) in [
            (r#"{"channelArn":"x","keep":["alice"],"later":1}"#, "keep"),
            (r#"{"channelArn":"x","limits":{"removals":1,"additions":null,"moves":1}}"#, "limits.moves"),
            (
                r#"{"channelArn":"x","membersFrom":[{"configMapKeyRef":{"name":"a","key":"b","namespace":"c"}}]}"#,
                "membersFrom.0.configMapKeyRef.namespace",
            ),
            (
                r#"{"channelArn":"x","membersFrom":[{"configMapKeyRef":{"name":"a","key":"b"},"url":""}]}"#,
                "membersFrom.0.url",
            ),
        ] {
            let object = object_with(spec);
            assert_eq!(object.spec.unknown_field.as_deref(), Some(path));
            assert!(object.spec.value.is_ok(), "the rest can be read");
        }
    }
}
