//! What does the operator say about a `ChannelMembership`?

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Interval;

/// The most entries of `status.errors`; `errorsOmitted` counts the rest.
pub const MAX_ERRORS: usize = 200;

/// The longest `errorMessage`, in characters.
pub const MAX_ERROR_MESSAGE_CHARS: usize = 256;

/// What was seen of the channel and what is wrong, as of the last pass over it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelMembershipStatus {
    /// The generation of the spec that the rest speaks of; -1 before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The channel's id, the last part of its ARN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The user or bot in whose name the service is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<String>,
    /// Ready, Reconciling and Stalled, each with reason, message and the generation it speaks of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// How many different members are declared: present + pending + failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<u32>,
    /// How many of them were seen in a listing or named in an answer of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present: Option<u32>,
    /// How many of them are still to be added, or tried again soon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<u32>,
    /// How many of them the service refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<u32>,
    /// What the service answered about single members, sorted by ARN, the first 200.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub errors: Vec<MemberProblem>,
    /// How many more entries errors would have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors_omitted: Option<u32>,
    /// When the channel was last listed. Written along with other changes, never alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_listed: Option<Time>,
    /// How often drift is looked for, in force. Written along with other changes, never alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resync_interval: Option<Interval>,
    /// The last value of the annotation rollcall.dev/reconcile-requested-at that was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

/// Why one member is not in the channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberProblem {
    /// Whom it is about.
    pub member_arn: String,
    /// The service's code, or TypeMismatch for one who is there with the other type.
    pub error_code: String,
    /// The service's text, and what to do.
    pub error_message: String,
    /// How often adding was tried since the first refusal.
    pub attempts: u32,
    /// When it was first answered so.
    pub first_seen: Time,
    /// When it is tried again at the earliest, unless the spec changes or a reconcile is requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt: Option<Time>,
}
