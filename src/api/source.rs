//! Sources of members outside the resource: keys of ConfigMaps.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One source of members.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceRef {
    /// A key of a ConfigMap in the resource's namespace. Its text has one member in each line
    /// (blank lines and # comments are ignored), or is a YAML list.
    pub config_map_key_ref: ConfigMapKeyRef,
}

/// A ConfigMap's name and a key of its data, in the API server's grammar.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapKeyRef {
    /// The ConfigMap's name.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')")
        .message("not the name of a ConfigMap: write lower case letters, digits, hyphens and dots, such as on-call"))]
    pub name: String,
    /// The key in its data.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[-._a-zA-Z0-9]+$') && self != '.' && !self.startsWith('..')")
        .message("not a key of a ConfigMap: write letters, digits, hyphens, underscores and dots, such as members.txt"))]
    pub key: String,
    /// If true, the ConfigMap or the key may be absent. While it is absent, it declares no members,
    /// and no member is removed from the channel.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}
