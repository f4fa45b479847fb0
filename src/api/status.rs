//! The status of a `ChannelMembership`, which the operator writes.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{Interval, MemberList};

/// The most entries of `status.errors`; `errorsOmitted` counts the rest.
pub const MAX_ERRORS: usize = 200;

/// The longest `errorMessage`, in characters.
pub const MAX_ERROR_MESSAGE_CHARS: usize = 256;

/// The state of the channel and its errors, as of the last reconcile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelMembershipStatus {
    /// The generation of the spec that the status is about. -1 before the first reconcile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The channel's id, the last part of its ARN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The user or bot as which the service is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<String>,
    /// Ready, Reconciling and Stalled, each with a reason, a message and the generation that it is
    /// about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The number of declared members without duplicates: present + pending + failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<u32>,
    /// The number of declared members that a listing or an answer of the service shows in the
    /// channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present: Option<u32>,
    /// The number of declared members that are not added yet, or that will be tried again soon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<u32>,
    /// The number of declared members that the service refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<u32>,
    /// The errors of single members: the first 200 by ARN.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub errors: Vec<MemberProblem>,
    /// The number of further errors, which are not in errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors_omitted: Option<u32>,
    /// The undeclared members: members of this type that no resource of the channel declares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undeclared: Option<Undeclared>,
    /// The members that this resource declares, or that it declared and that have not left since.
    /// prune may remove these members. Set where prune needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names")]
    pub last_declared: Option<MemberList>,
    /// The uid of the resource that wrote lastDeclared. In a copy of the resource, which has
    /// another uid, lastDeclared does not count.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "lastDeclaredUID")]
    pub last_declared_uid: Option<String>,
    /// The time at which lastDeclared was last confirmed. lastDeclared does not count for members
    /// that another client added later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_declared_at: Option<Time>,
    /// The members of lastDeclared that this resource does not declare any more, grouped by the
    /// time at which they were last confirmed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub formerly_declared: Vec<FormerlyDeclared>,
    /// The members of lastDeclared that this resource does not declare any more, and that another
    /// resource of the channel declares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names")]
    pub declared_elsewhere: Option<MemberList>,
    /// The ConfigMap keys of membersFrom, as last read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub sources: Vec<SourceStatus>,
    /// The plan that waits for approval by the annotation rollcall.dev/approve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_approval: Option<PendingApproval>,
    /// The members that are being removed: counted in removed, and not yet seen to be absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names")]
    pub removing: Option<MemberList>,
    /// The removals of the last 24 hours, which limits.removals counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Removed>,
    /// The last value of the annotation rollcall.dev/approve that was carried out. It approves
    /// nothing a second time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_approval: Option<String>,
    /// The time of the last listing of the channel. Written with other changes, never alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_listed: Option<Time>,
    /// The interval in force between two checks for drift. Written with other changes, never alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resync_interval: Option<Interval>,
    /// The last value of the annotation rollcall.dev/reconcile-requested-at that was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

/// The error of a declared member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberProblem {
    /// The member's ARN.
    pub member_arn: String,
    /// The service's error code, or TypeMismatch for a member that is in the channel with the other
    /// type.
    pub error_code: String,
    /// The service's message, and advice.
    pub error_message: String,
    /// The number of attempts since the first refusal.
    pub attempts: u32,
    /// The time of the first such answer.
    pub first_seen: Time,
    /// The earliest time of the next attempt, unless the spec changes or a reconcile is requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt: Option<Time>,
}

/// Formerly declared members that were last confirmed at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FormerlyDeclared {
    /// The time at which the members were last confirmed.
    pub at: Time,
    /// The members.
    #[schemars(schema_with = "names")]
    pub members: MemberList,
}

/// The undeclared members of the channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Undeclared {
    /// The number of undeclared members.
    pub count: u32,
    /// Some of the undeclared members, sorted by ARN.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub sample: Vec<UndeclaredMember>,
}

/// An undeclared member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UndeclaredMember {
    /// The member's ARN.
    pub member_arn: String,
    /// The reason why the member stays.
    pub reason: KeepReason,
}

/// The reason why an undeclared member stays in the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum KeepReason {
    /// This resource never declared the member, or another client added it, and prune does not
    /// include such members.
    NotOwned,
    /// The member is a bearer: a user or bot as which a resource or the operator calls the service.
    Bearer,
    /// The member is a moderator of the channel.
    Moderator,
    /// The member created the channel.
    Creator,
    /// The member is a bot that Rollcall did not add for this resource.
    Bot,
    /// The member joined recently, so a resource that declares it may still follow.
    JoinedLately,
    /// The removal waits for approval.
    AwaitingApproval,
    /// The removal is in progress, or waits for its time or for another resource to be readable.
    Waiting,
    /// The service refused the removal.
    Refused,
}

impl fmt::Display for KeepReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOwned => {
                "this resource never declared the member, or Rollcall did not add it, and prune allows no more"
            }
            Self::Bearer => "a bearer in use is never removed",
            Self::Moderator => "a moderator is never removed",
            Self::Creator => "the creator of a channel is never removed",
            Self::Bot => "a bot that Rollcall did not add",
            Self::JoinedLately => "joined less than 10 minutes ago",
            Self::AwaitingApproval => "the removal waits for approval",
            Self::Waiting => "the removal is in progress, or waits for its time or for a resource that cannot be read",
            Self::Refused => "the service refused the removal",
        })
    }
}

/// A ConfigMap key of membersFrom, as last read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// The ConfigMap.
    pub name: String,
    /// The key.
    pub key: String,
    /// A digest of the key's text. Absent if the key was missing or could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

/// A plan that waits for approval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingApproval {
    /// The number of additions that wait.
    pub additions: u32,
    /// The number of removals that wait.
    pub removals: u32,
    /// The value of the annotation rollcall.dev/approve that approves this plan: a digest of the
    /// plan's members and of nothing else.
    pub hash: String,
    /// The reasons for which the plan needs approval.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub reasons: Vec<ApprovalReason>,
    /// The members that an approval adds (+) and removes (-): the first 2,000. Further members need
    /// a later approval.
    #[schemars(schema_with = "names")]
    pub members: MemberList,
    /// True if the plan was approved and is being carried out.
    #[serde(default)]
    pub approved: bool,
}

/// The reason for which a plan needs approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ApprovalReason {
    /// The plan has more additions than limits.additions.
    TooManyAdditions,
    /// The plan has more removals than limits.removals.
    TooManyRemovals,
    /// The resource declares no members any more.
    NoMembersDeclared,
    /// The resource declares fewer members, although neither its spec nor a source was changed.
    ShrankUnchanged,
    /// Another resource that declared the members is gone.
    DeclarerGone,
}

impl fmt::Display for ApprovalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooManyAdditions => "more additions than limits.additions",
            Self::TooManyRemovals => "more removals in 24 hours than limits.removals",
            Self::NoMembersDeclared => "no members are declared any more",
            Self::ShrankUnchanged => "fewer are declared though neither spec nor sources changed",
            Self::DeclarerGone => "the resource that declared them is gone",
        })
    }
}

/// Removals that count against the limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    /// The number of removals.
    pub count: u32,
    /// The beginning of the first hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// The removals by the hour in which they began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub hours: Vec<RemovedInHour>,
}

/// The removals of one hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RemovedInHour {
    /// The beginning of the hour.
    pub from: Time,
    /// The number of removals.
    pub count: u32,
}

/// Returns the schema of member names in the status, such as `alice` or `bot/helper`. It limits
/// neither their number nor their form, so that the operator can write any status.
fn names(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "x-kubernetes-list-type": "atomic", "items": {"type": "string"}})
}
