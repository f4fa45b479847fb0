//! A target names the memberships that a resource is about, and the bearer of the calls for them.

use super::arn::{ChannelArn, MemberArn};
use crate::api::MembershipType;

/// The memberships of one channel and type, and the bearer of the calls about them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The channel. Calls go to its region.
    pub channel: ChannelArn,
    /// The type of the memberships.
    pub membership_type: MembershipType,
    /// The user or bot that makes the calls (`x-amz-chime-bearer`).
    pub bearer: MemberArn,
    /// The sub-channel of an elastic channel.
    pub sub_channel: Option<Box<str>>,
}
