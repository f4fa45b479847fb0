//! One membership, as DescribeChannelMembership shows it.

use jiff::Timestamp;

use crate::api::MembershipType;

/// One membership, as DescribeChannelMembership shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The type that the member has, where it is one we know.
    pub membership_type: Option<MembershipType>,
    /// The ARN of the user or bot that added the member.
    pub invited_by: Option<String>,
    /// When the member joined.
    pub created: Option<Timestamp>,
}
