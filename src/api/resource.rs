//! What may people write in a `ChannelMembership`?

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{ChannelMembershipStatus, Interval, MemberList, MembershipType, Tolerance};

/// The most members of one resource: a channel holds 10,000 (AWS General Reference, Chime SDK messaging quotas).
pub const MAX_MEMBERS: usize = 10_000;

/// The longest ARN, in bytes. The service takes 1,600, but a rule over 10,000 members fits the API server's cost budget for
/// validation rules only below that.
pub const MAX_ARN_BYTES: usize = 1024;

/// Members that a channel of Amazon Chime SDK messaging should have.
///
/// The API server refuses what the patterns and rules here forbid, so the operator need not.
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
    validation = Rule::new("has(self.members)")
        .message("spec.members is required: list the channel's members, or write [] to declare nobody"),
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
    /// The channel, as arn:<partition>:chime:<region>:<account>:app-instance/<id>/channel/<id>. Cannot be changed.
    #[schemars(extend("maxLength" = MAX_ARN_BYTES))]
    #[x_kube(validation = Rule::new("self.matches('^arn:[a-z0-9-]+:chime:[a-z0-9-]+:[a-z0-9-]+:app-instance/[A-Za-z0-9][A-Za-z0-9:_.@-]*/channel/[A-Za-z0-9]([A-Za-z0-9:_.@-]{0,62}[A-Za-z0-9])?$')")
        .message("not a channel ARN: write arn:aws:chime:<region>:<account>:app-instance/<id>/channel/<id>"))]
    pub channel_arn: String,

    /// The type of the memberships. Cannot be changed.
    #[serde(default, rename = "type")]
    #[schemars(default)]
    pub membership_type: MembershipType,

    /// The members: a user's id (alice), bot/<id>, or a full ARN of the channel's app instance. [] declares nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<MemberList>,

    /// Enforce adds who is missing. Observe lists and reports, and changes nothing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: Mode,

    /// How much may go wrong before the resource stops being Ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,

    /// How often to look for drift, such as 90s, 15m or 1h30m. The operator's default is 1h, and it may have a floor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,5}h)?([0-9]{1,6}m)?([0-9]{1,8}s)?$') && self.matches('[1-9]')")
        .message("not a duration: write hours, minutes and seconds in this order, such as 90s, 15m or 1h30m"))]
    pub resync_interval: Option<Interval>,

    /// The user or bot in whose name the service is called, instead of the operator's for this app instance. The operator
    /// must allow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = MAX_ARN_BYTES))]
    #[x_kube(validation = Rule::new("self.matches('^arn:[a-z0-9-]+:chime:[a-z0-9-]+:[a-z0-9-]+:app-instance/[A-Za-z0-9][A-Za-z0-9:_.@-]*/(user|bot)/[A-Za-z0-9]([A-Za-z0-9:_.@-]{0,62}[A-Za-z0-9])?$')")
        .message("not a user or bot ARN: write arn:aws:chime:<region>:<account>:app-instance/<id>/user/<id>"))]
    pub chime_bearer: Option<String>,

    /// While true nothing is listed, changed or judged.
    #[serde(default, skip_serializing_if = "is_default")]
    pub suspend: bool,
}

/// Whether the operator changes the channel or only looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Mode {
    /// Adds who is missing.
    #[default]
    Enforce,
    /// Lists and reports, and changes nothing.
    Observe,
}

/// How much may go wrong before the resource stops being Ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Limits {
    /// With up to so many members refused by the service the resource is still Ready: a number, or a percentage of the
    /// declared members, rounded up. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Tolerance>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
