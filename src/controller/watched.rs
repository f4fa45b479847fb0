//! What is kept of a resource in memory?
//!
//! Less than the API server sends: neither `managedFields` nor others' annotations (kubectl's last-applied one is the whole
//! manifest again). A spec or status that cannot be read spoils neither the object nor the list it came in.

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

/// So much of an annotation's value, or of a field's path, tells it from others.
const MAX_TEXT_BYTES: usize = 256;

/// A `ChannelMembership`, as it is watched.
#[derive(kube::Resource, Clone, Debug, Deserialize)]
#[resource(inherit = "ChannelMembership")]
pub(super) struct Watched {
    #[serde(deserialize_with = "slim")]
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: Guarded<ChannelMembershipSpec>,
    #[serde(default)]
    pub status: Option<Guarded<ChannelMembershipStatus>>,
}

/// A `ChannelMembership`, as it is listed to learn what it declares: statuses, which may be large, are passed over.
#[derive(kube::Resource, Clone, Debug, Deserialize)]
#[resource(inherit = "ChannelMembership")]
pub(super) struct Declared {
    #[serde(deserialize_with = "slim")]
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: Guarded<ChannelMembershipSpec>,
}

impl Watched {
    /// The value by which somebody asks for a reconcile.
    pub fn requested_at(&self) -> Option<&str> {
        annotation(&self.metadata, RECONCILE_REQUESTED_AT)
    }

    /// The value by which somebody approves a plan.
    pub fn approved(&self) -> Option<&str> {
        annotation(&self.metadata, APPROVE)
    }

    /// Whether somebody wants it to let go of its finalizer and remove nobody.
    pub fn released(&self) -> bool {
        is_released(&self.metadata)
    }

    /// Whether our finalizer is on it.
    pub fn has_finalizer(&self) -> bool {
        has_finalizer(&self.metadata)
    }

    /// The status, where there is one that can be read.
    pub fn status(&self) -> Option<&ChannelMembershipStatus> {
        self.status.as_ref()?.value.as_ref().ok()
    }

    /// What a pass depends on: when this changes, the pass before it is out of date.
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

    /// The sources to read for it, as [`Declared::references`].
    pub fn references(&self) -> impl Iterator<Item = &ConfigMapKeyRef> {
        references(&self.metadata, self.spec.value.as_ref().ok())
    }

    /// What a watch tells the passes of it.
    pub fn shown(&self) -> Shown {
        Shown {
            uid: self.metadata.uid.clone().unwrap_or_default(),
            version: self.version(),
            trigger: self.trigger(),
            has_finalizer: self.has_finalizer(),
        }
    }

    /// The version of the object, as a number; versions of one object grow.
    pub fn version(&self) -> u64 {
        self.metadata.resource_version.as_deref().map(number).unwrap_or_default()
    }
}

impl Declared {
    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// The sources to read for it: none where the spec cannot be read, or where it declares no members any more because it is being
    /// deleted.
    pub fn references(&self) -> impl Iterator<Item = &ConfigMapKeyRef> {
        references(&self.metadata, self.spec.value.as_ref().ok())
    }

    /// It, with what its sources hold.
    pub fn into_resource(self, sources: Vec<Source>) -> Resource {
        Resource::new(&self.metadata, self.spec.value, self.spec.unknown_field, sources)
    }
}

/// A version as a number: those of one kind can be compared (Kubernetes API conventions, resource versions); 0 where it is none.
pub(super) fn number(version: &str) -> u64 {
    version.parse().unwrap_or_default()
}

/// What a pass over a resource depends on, short of the service itself, of sources and of our finalizer: that we put on and
/// take off ourselves, so [`super::slots::Slots::applied`] looks after it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Trigger {
    uid: Option<String>,
    generation: Option<i64>,
    requested_at: Option<String>,
    approved: Option<String>,
    released: bool,
    deleted: bool,
}

/// What a watch tells the passes of an object.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub uid: String,
    pub version: u64,
    pub trigger: Trigger,
    /// Whether our finalizer is on it.
    pub has_finalizer: bool,
}

/// A value, or why it cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct Guarded<T> {
    pub value: Result<T, String>,
    /// The path of the first field in it that this version of Rollcall does not know.
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
            // An optional field on the way is a `?` of its own.
            unknown_field.get_or_insert_with(|| cut(path.to_string().replace(".?", ""), MAX_TEXT_BYTES));
        });
        Ok(Self { value: value.map_err(|error: serde_json::Error| error.to_string()), unknown_field })
    }
}

fn slim<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Slim {
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
    let slim = Slim::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: slim.name,
        namespace: slim.namespace,
        uid: slim.uid,
        resource_version: slim.resource_version,
        generation: slim.generation,
        creation_timestamp: slim.creation_timestamp,
        deletion_timestamp: slim.deletion_timestamp,
        finalizers: slim.finalizers.map(|mut all| {
            all.retain(|finalizer| finalizer == FINALIZER);
            all
        }),
        annotations: slim.annotations.map(|mut all| {
            all.retain(|key, _| [RECONCILE_REQUESTED_AT, APPROVE, RELEASE].contains(&key.as_str()));
            // They come back in the status, and an annotation may be 256 KiB long.
            all.into_iter().map(|(key, value)| (key, cut(value, MAX_TEXT_BYTES))).collect()
        }),
        ..ObjectMeta::default()
    })
}

/// At most so many bytes of a text, between two characters.
pub(super) fn cut(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
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

    fn watched(spec: &str) -> Watched {
        serde_json::from_str(&OBJECT.replace("SPEC", spec)).unwrap()
    }

    #[test]
    fn only_what_is_used_is_kept() {
        let object = watched(r#"{"channelArn":"x"}"#);
        assert_eq!((object.requested_at(), object.approved(), object.released()), (Some("1"), Some("5c1e"), true));
        assert_eq!(object.metadata.creation_timestamp.as_ref().unwrap().0.as_second(), 1_767_323_045);
        assert!(object.has_finalizer());
        assert_eq!(object.metadata.finalizers.unwrap().len(), 1);
        assert_eq!(object.metadata.annotations.unwrap().len(), 3);
        assert_eq!(object.metadata.managed_fields, None);
        assert_eq!(object.spec.value.unwrap().channel_arn, "x");
    }

    #[test]
    fn of_a_long_annotation_the_beginning_is_kept() {
        let object: Watched =
            serde_json::from_str(&OBJECT.replace("SPEC", "{}").replace("5c1e", &"ü".repeat(10_000))).unwrap();
        assert_eq!(object.approved().unwrap().len(), MAX_TEXT_BYTES);
    }

    #[test]
    fn a_spec_that_cannot_be_read_leaves_the_object_readable() {
        let object = watched(r#"{"channelArn":7}"#);
        assert_eq!(object.metadata.name.as_deref(), Some("a"));
        assert!(object.spec.value.unwrap_err().contains("invalid type"));
        let object: Watched = serde_json::from_str(&OBJECT.replace(r#""spec":SPEC,"#, "")).unwrap();
        assert!(object.spec.value.unwrap_err().contains("missing"));
    }

    #[test]
    fn a_field_that_is_not_known_is_named_wherever_it_is() {
        let known = watched(r#"{"channelArn":"x","members":["alice"],"limits":{"removals":1},"membersFrom":[]}"#);
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
            let object = watched(spec);
            assert_eq!(object.spec.unknown_field.as_deref(), Some(path));
            assert!(object.spec.value.is_ok(), "the rest can be read");
        }
    }
}
