//! The spec of a `ChannelMembership`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{ChannelMembershipStatus, Interval, MemberList, MembershipType, SourceRef, Tolerance};

/// The most members of one resource. A channel holds 10,000 members (AWS General Reference, Chime
/// SDK messaging quotas).
pub const MAX_MEMBERS: usize = 10_000;

/// The longest ARN, in bytes. The service accepts 1,600 bytes. With that length, a rule over 10,000
/// members would exceed the API server's cost budget for validation rules.
pub const MAX_ARN_BYTES: usize = 1024;

/// The most ConfigMap keys of one resource.
pub const MAX_SOURCES: usize = 32;

/// Members that a channel of Amazon Chime SDK messaging should have.
///
/// The API server enforces the patterns and rules of this type, so the operator does not check
/// them.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "rollcall.dev",
    version = "v1alpha1",
    kind = "ChannelMembership",
    plural = "channelmemberships",
    shortname = "chm",
    category = "rollcall",
    namespaced,
    status = "ChannelMembershipStatus",
    derive = "PartialEq",
    doc = "Members that a channel of Amazon Chime SDK messaging should have.",
    selectable = ".spec.channelArn",
    printcolumn(name = "Channel", type_ = "string", json_path = ".status.channel"),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".status.desired"),
    printcolumn(name = "Present", type_ = "integer", json_path = ".status.present"),
    printcolumn(name = "Failed", type_ = "integer", json_path = ".status.failed"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Prune", type_ = "string", json_path = ".spec.prune", priority = 1),
    printcolumn(name = "Undeclared", type_ = "integer", json_path = ".status.undeclared.count", priority = 1),
    printcolumn(name = "Approval", type_ = "string", json_path = ".status.pendingApproval.hash", priority = 1),
    printcolumn(name = "ARN", type_ = "string", json_path = ".spec.channelArn", priority = 1),
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type", priority = 1),
    printcolumn(name = "Bearer", type_ = "string", json_path = ".status.bearer", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.channelArn == oldSelf.channelArn")
        .message("spec.channelArn cannot be changed: delete this resource and declare the other channel in a new one")
        .field_path(".channelArn"),
    validation = Rule::new("self.type == oldSelf.type")
        .message("spec.type cannot be changed, as the service cannot change it in place: declare the other type in a new resource")
        .field_path(".type"),
    validation = Rule::new("has(self.subChannelId) == has(oldSelf.subChannelId) && (!has(self.subChannelId) || self.subChannelId == oldSelf.subChannelId)")
        .message("spec.subChannelId cannot be changed, added or taken out: declare the moderators of the other sub-channel in a new resource"),
    validation = Rule::new("has(self.members) || (has(self.membersFrom) && self.membersFrom.size() > 0)")
        .message("spec.members or spec.membersFrom is required: list the channel's members, name ConfigMaps that list them, or write members: [] to declare no members"),
    validation = Rule::new("!has(self.deletionPolicy) || self.deletionPolicy == 'Retain' || (has(self.prune) && self.prune != 'Never')")
        .message("deletionPolicy: Delete removes the members that prune allows, and prune: Never allows none: write prune: Owned as well, or deletionPolicy: Retain")
        .field_path(".deletionPolicy"),
    validation = Rule::new("!has(self.subChannelId) || !has(self.prune) || self.prune == 'Never'")
        .message("moderators of a sub-channel are never removed: take out spec.prune, or spec.subChannelId")
        .field_path(".prune"),
    validation = Rule::new("!has(self.subChannelId) || self.type == 'DEFAULT'")
        .message("an elastic channel has no hidden members: write type: DEFAULT, or take out spec.subChannelId")
        .field_path(".subChannelId"),
    validation = Rule::new("!has(self.members) || [self.channelArn.substring(0, self.channelArn.lastIndexOf('/channel/') + 1)].all(instance, self.members.all(m, !m.startsWith('arn:') || m.startsWith(instance)))")
        .message(Message::Expression("[self.channelArn.substring(0, self.channelArn.lastIndexOf('/channel/') + 1)].map(instance, self.members.filter(m, m.startsWith('arn:') && !m.startsWith(instance))[0] + ' is not of the app instance of the channel: write the id of one of its users, or an ARN that begins with ' + instance)[0]".to_owned()))
        .field_path(".members"),
    validation = Rule::new("!has(self.members) || self.members.transformMapEntry(i, m, {m: true}).size() == self.members.size()")
        .message("every member may be listed only once: take out the duplicate")
        .field_path(".members"),
    validation = Rule::new("!has(self.chimeBearer) || self.chimeBearer.startsWith(self.channelArn.substring(0, self.channelArn.lastIndexOf('/channel/') + 1))")
        .message("spec.chimeBearer must be a user or bot of the channel's app instance")
        .field_path(".chimeBearer"),
)]
pub struct ChannelMembershipSpec {
    /// The channel, as arn:<partition>:chime:<region>:<account>:app-instance/<id>/channel/<id>.
    /// Cannot be changed.
    #[schemars(extend("maxLength" = MAX_ARN_BYTES))]
    #[x_kube(validation = Rule::new("self.matches('^arn:[a-z0-9-]+:chime:[a-z0-9-]+:[a-z0-9-]+:app-instance/[A-Za-z0-9][A-Za-z0-9:_.@-]*/channel/[A-Za-z0-9]([A-Za-z0-9:_.@-]{0,62}[A-Za-z0-9])?$')")
        .message("not a channel ARN: write arn:aws:chime:<region>:<account>:app-instance/<id>/channel/<id>"))]
    pub channel_arn: String,

    /// The type of the memberships. Cannot be changed.
    #[serde(default, rename = "type")]
    #[schemars(default)]
    pub membership_type: MembershipType,

    /// The members: a user's id (alice), bot/<id>, or a full ARN of the channel's app instance. []
    /// declares no members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<MemberList>,

    /// ConfigMaps in the same namespace that list more members. The resource declares them together
    /// with spec.members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = MAX_SOURCES, "x-kubernetes-list-type" = "atomic"))]
    #[x_kube(validation = Rule::new("self.transformMapEntry(i, s, {s.configMapKeyRef.name + '/' + s.configMapKeyRef.key: true}).size() == self.size()")
        .message("every key of a ConfigMap may be listed only once: take out the duplicate"))]
    pub members_from: Vec<SourceRef>,

    /// The members to remove once no resource of the channel declares them. Never (the default):
    /// none. Owned: members that this resource declared and Rollcall added. Declared: all members
    /// that this resource declared. Authoritative: all members of this type.
    #[serde(default, skip_serializing_if = "is_default")]
    pub prune: Prune,

    /// The treatment of the members when this resource is deleted. Retain (the default) keeps them
    /// in the channel. Delete removes the members that prune allows.
    #[serde(default, skip_serializing_if = "is_default")]
    pub deletion_policy: DeletionPolicy,

    /// The reaction to a declared member that left the channel or that another client removed.
    /// Readd (the default) adds it again. Report leaves it out and reports it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_leave: OnLeave,

    /// The time after which this resource declares no members. A date and time with its offset,
    /// such as 2026-12-31T18:00:00Z.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("maxLength" = 35))]
    #[x_kube(
        // A rule instead of the format date-time. The format's message does not say what to write,
        // and a value that fails it keeps the API server from evaluating the rules.
        validation = Rule::new("self.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$') && timestamp(self) > timestamp('0001-01-01T00:00:00Z')")
            .message("not a date and time: write it with the offset from UTC, such as 2026-12-31T18:00:00Z"),
        // The operator's time type ends a day before 9999-12-31T23:59:59Z.
        validation = Rule::new("!self.startsWith('9999')").message("never comes: take spec.expiresAt out"),
    )]
    pub expires_at: Option<Time>,

    /// The sub-channel of an elastic channel that moderators are added to. Cannot be changed. Needs
    /// prune: Never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[-_a-zA-Z0-9]+$')")
        .message("not the id of a sub-channel: write 1 to 128 letters, digits, hyphens and underscores"))]
    pub sub_channel_id: Option<String>,

    /// Enforce (the default) adds missing members. Observe lists and reports, and changes nothing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: Mode,

    /// The limits on changes without approval, and on refused members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,

    /// The interval between two checks for drift, such as 90s, 15m or 1h30m. The operator's default
    /// is 1h, and the operator may have a minimum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,5}h)?([0-9]{1,6}m)?([0-9]{1,8}s)?$') && self.matches('[1-9]')")
        .message("not a duration: write hours, minutes and seconds in this order, such as 90s, 15m or 1h30m"))]
    pub resync_interval: Option<Interval>,

    /// The user or bot as which the service is called, instead of the operator's bearer for this
    /// app instance. The operator must allow this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = MAX_ARN_BYTES))]
    #[x_kube(validation = Rule::new("self.matches('^arn:[a-z0-9-]+:chime:[a-z0-9-]+:[a-z0-9-]+:app-instance/[A-Za-z0-9][A-Za-z0-9:_.@-]*/(user|bot)/[A-Za-z0-9]([A-Za-z0-9:_.@-]{0,62}[A-Za-z0-9])?$')")
        .message("not a user or bot ARN: write arn:aws:chime:<region>:<account>:app-instance/<id>/user/<id>"))]
    pub chime_bearer: Option<String>,

    /// While true, the operator neither lists nor changes the channel, and the condition Ready
    /// keeps its value.
    #[serde(default, skip_serializing_if = "is_default")]
    pub suspend: bool,
}

/// The mode of a resource: the operator changes the channel, or only observes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Mode {
    /// Adds missing members.
    #[default]
    Enforce,
    /// Lists and reports, and changes nothing.
    Observe,
}

/// The members that a resource removes once no resource of the channel and type declares them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Prune {
    /// No members.
    #[default]
    Never,
    /// Members that the resource declared before and that the operator's bearer added.
    Owned,
    /// All members that the resource declared before.
    Declared,
    /// All members of the resource's type.
    Authoritative,
}

/// The treatment of the members when a resource is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum DeletionPolicy {
    /// The members stay.
    #[default]
    Retain,
    /// The members that prune allows are removed.
    Delete,
}

/// The reaction to a declared member that left the channel or that another client removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum OnLeave {
    /// Adds the member again: at once, a second time after 6 hours, a third time after 24 hours.
    #[default]
    Readd,
    /// Leaves the member out and reports it.
    Report,
}

/// The limits on changes without approval, and on refused members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Limits {
    /// More removals than this in 24 hours wait for approval: a number, or a percentage of the
    /// present members, rounded up. Default: 25%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removals: Option<Tolerance>,
    /// More additions than this at once wait for approval. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10000))]
    pub additions: Option<u32>,
    /// The number of members that the service may refuse while the resource is still Ready: a
    /// number, or a percentage of the declared members, rounded up. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Tolerance>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
