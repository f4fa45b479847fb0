//! What does a `ChannelMembership` look like? Types, schema and conditions; nothing but data.

mod condition;
mod crd;
mod interval;
mod member_list;
mod membership_type;
mod resource;
mod status;
mod tolerance;

pub use condition::{MAX_MESSAGE_CHARS, Reason, State, conditions};
pub use crd::{CrdError, crd_yaml, custom_resource_definition};
pub use interval::{Interval, IntervalError};
pub use member_list::MemberList;
pub use membership_type::MembershipType;
pub use resource::{ChannelMembership, ChannelMembershipSpec, Limits, MAX_ARN_BYTES, MAX_MEMBERS, Mode};
pub use status::{ChannelMembershipStatus, MAX_ERROR_MESSAGE_CHARS, MAX_ERRORS, MemberProblem};
pub use tolerance::{Tolerance, ToleranceError};

/// Set this annotation to a new value, such as the time, and the resource is reconciled at once with a fresh listing.
pub const RECONCILE_REQUESTED_AT: &str = "rollcall.dev/reconcile-requested-at";
