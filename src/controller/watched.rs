//! What is kept of a resource in memory?
//!
//! Less than the API server sends: neither `managedFields` nor others' annotations (kubectl's last-applied one is the whole
//! manifest again). A spec or status that cannot be read spoils neither the object nor the list it came in.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::api::{ChannelMembership, ChannelMembershipSpec, ChannelMembershipStatus, RECONCILE_REQUESTED_AT};

/// So much of a request for a reconcile tells it from others.
const MAX_REQUEST_BYTES: usize = 256;

/// A `ChannelMembership`, as it is watched.
#[derive(Resource, Clone, Debug, Deserialize)]
#[resource(inherit = "ChannelMembership")]
pub(super) struct Watched {
    #[serde(deserialize_with = "slim")]
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: Guarded<ChannelMembershipSpec>,
    #[serde(default)]
    pub status: Option<Guarded<ChannelMembershipStatus>>,
}

impl Watched {
    /// The value by which somebody asks for a reconcile.
    pub fn requested_at(&self) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(RECONCILE_REQUESTED_AT).map(String::as_str)
    }

    /// The status, where there is one that can be read.
    pub fn status(&self) -> Option<&ChannelMembershipStatus> {
        self.status.as_ref()?.0.as_ref().ok()
    }

    /// What a pass depends on: when this changes, the pass before it is out of date.
    pub fn trigger(&self) -> Trigger {
        Trigger {
            uid: self.metadata.uid.clone(),
            generation: self.metadata.generation,
            requested_at: self.requested_at().map(str::to_owned),
            deleted: self.metadata.deletion_timestamp.is_some(),
        }
    }

    /// The version of the object, as a number; versions of one object grow.
    pub fn version(&self) -> u64 {
        self.metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or_default()
    }
}

/// What a pass over a resource depends on, short of the service itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Trigger {
    uid: Option<String>,
    generation: Option<i64>,
    requested_at: Option<String>,
    deleted: bool,
}

/// A value, or why it cannot be read.
#[derive(Clone, Debug)]
pub(super) struct Guarded<T>(pub Result<T, String>);

impl<T> Default for Guarded<T> {
    fn default() -> Self {
        Self(Err("it is missing".to_owned()))
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Guarded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Ok(Self(serde_json::from_str(raw.get()).map_err(|error| error.to_string())))
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
        deletion_timestamp: Option<Time>,
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
        deletion_timestamp: slim.deletion_timestamp,
        annotations: slim.annotations.map(|mut all| {
            all.retain(|key, _| key == RECONCILE_REQUESTED_AT);
            for value in all.values_mut() {
                // It comes back in the status, and an annotation may be 256 KiB long.
                value.truncate(value.floor_char_boundary(MAX_REQUEST_BYTES));
            }
            all
        }),
        ..ObjectMeta::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: &str = r#"{"apiVersion":"rollcall.dev/v1alpha1","kind":"ChannelMembership",
        "metadata":{"name":"a","namespace":"n","uid":"u","generation":1,"managedFields":[{"manager":"m"}],
        "annotations":{"kubectl.kubernetes.io/last-applied-configuration":"big","rollcall.dev/reconcile-requested-at":"1"}},
        "spec":SPEC,"status":{"observedGeneration":-1}}"#;

    #[test]
    fn only_what_is_used_is_kept() {
        let object: Watched = serde_json::from_str(&OBJECT.replace("SPEC", r#"{"channelArn":"x"}"#)).unwrap();
        assert_eq!(object.requested_at(), Some("1"));
        assert_eq!(object.metadata.annotations.unwrap().len(), 1);
        assert_eq!(object.metadata.managed_fields, None);
        assert_eq!(object.spec.0.unwrap().channel_arn, "x");
    }

    #[test]
    fn a_spec_that_cannot_be_read_leaves_the_object_readable() {
        let object: Watched = serde_json::from_str(&OBJECT.replace("SPEC", r#"{"channelArn":7}"#)).unwrap();
        assert_eq!(object.metadata.name.as_deref(), Some("a"));
        assert!(object.spec.0.unwrap_err().contains("invalid type"));
        let object: Watched = serde_json::from_str(&OBJECT.replace(r#""spec":SPEC,"#, "")).unwrap();
        assert!(object.spec.0.unwrap_err().contains("missing"));
    }
}
