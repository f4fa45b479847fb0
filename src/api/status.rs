//! What does the operator say about a `ChannelMembership`?

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{Interval, MemberList};

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
    /// Undeclared members: members of this type in the channel that no resource of the channel declares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undeclared: Option<Undeclared>,
    /// Whom this resource declares or declared and has not seen gone since: what prune may remove. Only where prune needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names")]
    pub last_declared: Option<MemberList>,
    /// The uid of the resource that wrote lastDeclared: in a copy of it under another uid it claims nobody.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "lastDeclaredUID")]
    pub last_declared_uid: Option<String>,
    /// When lastDeclared was last confirmed: it claims nobody who joined later without Rollcall.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_declared_at: Option<Time>,
    /// The members of lastDeclared that this resource does not declare any more, by the time they were last confirmed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub formerly_declared: Vec<FormerlyDeclared>,
    /// Those of lastDeclared whom this resource does not declare any more and another resource of the channel does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names")]
    pub declared_elsewhere: Option<MemberList>,
    /// What the ConfigMaps of membersFrom held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub sources: Vec<SourceStatus>,
    /// What waits for approval by the annotation rollcall.dev/approve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_approval: Option<PendingApproval>,
    /// Who is being removed: counted in removed, not yet seen gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names")]
    pub removing: Option<MemberList>,
    /// The removals of the last 24 hours: what limits.removals counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Removed>,
    /// The last value of the annotation rollcall.dev/approve that was carried out: it lets nothing through a second time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_approval: Option<String>,
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

/// Formerly declared members that were last confirmed at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FormerlyDeclared {
    /// When they were last confirmed.
    pub at: Time,
    /// Who they are.
    #[schemars(schema_with = "names")]
    pub members: MemberList,
}

/// The undeclared members of the channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Undeclared {
    /// How many.
    pub count: u32,
    /// Some of them, sorted by ARN.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub sample: Vec<UndeclaredMember>,
}

/// An undeclared member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UndeclaredMember {
    /// Whom it is about.
    pub member_arn: String,
    /// Why they stay.
    pub reason: Stays,
}

/// Why an undeclared member stays in the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Stays {
    /// This resource never declared them, or another than Rollcall added them, and prune asks for no more.
    NotOwned,
    /// The user or bot in whose name a resource or the operator calls.
    Bearer,
    /// A moderator of the channel.
    Moderator,
    /// Who made the channel.
    Creator,
    /// A bot that Rollcall did not add for this resource.
    Bot,
    /// Joined so lately that a declaration may be on its way.
    JoinedLately,
    /// The removal waits for approval.
    AwaitingApproval,
    /// The removal is under way, or waits for its time or for another resource to be readable.
    Waiting,
    /// The service refused the removal.
    Refused,
}

/// What one ConfigMap key held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// The ConfigMap.
    pub name: String,
    /// The key.
    pub key: String,
    /// A digest of its text; absent where it was missing or could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

/// A plan that waits for approval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingApproval {
    /// How many additions wait.
    pub additions: u32,
    /// How many removals wait.
    pub removals: u32,
    /// What the annotation rollcall.dev/approve must say: a digest of members and of nothing else.
    pub hash: String,
    /// Why it waits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub reasons: Vec<ApprovalReason>,
    /// What approval lets through: + for an addition, - for a removal. The first 2,000; more are approved after them.
    #[schemars(schema_with = "names")]
    pub members: MemberList,
    /// Whether it was approved and is being carried out.
    #[serde(default)]
    pub approved: bool,
}

/// Why a plan waits for approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ApprovalReason {
    /// More additions than limits.additions.
    TooManyAdditions,
    /// More removals than limits.removals.
    TooManyRemovals,
    /// The resource declares no members any more.
    NoMembersDeclared,
    /// It declares fewer members though neither its spec nor a source was changed.
    ShrankUnchanged,
    /// Another resource that declared them is gone.
    DeclarerGone,
}

/// Removals that count against the limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    /// How many.
    pub count: u32,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// By the hour in which they were begun.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub hours: Vec<RemovedInHour>,
}

/// The removals of one hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RemovedInHour {
    /// When the hour began.
    pub from: Time,
    /// How many.
    pub count: u32,
}

/// Names as the status holds them, shortest first form (`alice`, `bot/helper`): any number, and never refused for how they look.
fn names(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "x-kubernetes-list-type": "atomic", "items": {"type": "string"}})
}
