//! What does a `ChannelMembership` look like? Types, schema and conditions; nothing but data.

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
    ApprovalReason, ChannelMembershipStatus, FormerlyDeclared, MAX_ERROR_MESSAGE_CHARS, MAX_ERRORS, MemberProblem,
    PendingApproval, Removed, RemovedInHour, SourceStatus, Stays, Undeclared, UndeclaredMember,
};
pub use tolerance::{Tolerance, ToleranceError};

/// Set this annotation to a new value, such as the time, and the resource is reconciled at once with a fresh listing.
pub const RECONCILE_REQUESTED_AT: &str = "rollcall.dev/reconcile-requested-at";

/// Set this annotation to the hash of `status.pendingApproval`, and that plan goes through: once, and no other.
pub const APPROVE: &str = "rollcall.dev/approve";

/// Set this annotation to `true`, and a resource that is being deleted lets go and removes nobody.
pub const RELEASE: &str = "rollcall.dev/release";

/// The finalizer of resources with `deletionPolicy: Delete`.
pub const FINALIZER: &str = "rollcall.dev/prune";
