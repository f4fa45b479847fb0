//! The resource `ChannelMembership`: its types, its schema and its conditions. This module is data
//! only.

mod condition;
mod crd;
mod interval;
mod json_schema;
mod member_list;
mod membership_type;
pub mod metadata;
mod resource;
mod source;
mod status;
mod tolerance;

pub use condition::{MAX_MESSAGE_CHARS, Reason, State, conditions};
pub use crd::{CrdError, crd_yaml, custom_resource_definition};
pub use interval::{Interval, IntervalError};
pub use json_schema::{JsonSchemaError, json_schema};
pub use member_list::MemberList;
pub use membership_type::MembershipType;
pub use resource::{
    ChannelMembership, ChannelMembershipSpec, DeletionPolicy, Limits, MAX_ARN_BYTES, MAX_MEMBERS, MAX_SOURCES, Mode,
    OnLeave, Prune,
};
pub use source::{ConfigMapKeyRef, SourceRef};
pub use status::{
    ApprovalReason, ChannelMembershipStatus, FormerlyDeclared, KeepReason, MAX_ERROR_MESSAGE_CHARS, MAX_ERRORS,
    MemberProblem, PendingApproval, Removed, RemovedInHour, SourceStatus, Undeclared, UndeclaredMember,
};
pub use tolerance::{Tolerance, ToleranceError};

/// The annotation that requests a reconcile. A new value, such as the time, causes a reconcile with
/// a new listing.
pub const RECONCILE_REQUESTED_AT: &str = "rollcall.dev/reconcile-requested-at";

/// The annotation that approves a plan. Its value is the hash of `status.pendingApproval`, and it
/// approves that plan once.
pub const APPROVE: &str = "rollcall.dev/approve";

/// The annotation that releases a resource. With the value `true`, a resource that is being deleted
/// loses its finalizer, and no member is removed.
pub const RELEASE: &str = "rollcall.dev/release";

/// The finalizer of resources with `deletionPolicy: Delete`.
pub const FINALIZER: &str = "rollcall.dev/prune";
