//! What does a pass know of the resource when it begins?

use crate::api::{ChannelMembershipSpec, ChannelMembershipStatus};

/// One resource, as last seen.
#[derive(Clone, Copy, Debug)]
pub struct Declaration<'a> {
    /// `metadata.generation`.
    pub generation: i64,
    /// The spec, or why it cannot be read.
    pub spec: Result<&'a ChannelMembershipSpec, &'a str>,
    /// The status as it stands in the cluster.
    pub status: Option<&'a ChannelMembershipStatus>,
    /// The value of the annotation by which somebody asks for a reconcile.
    pub requested_at: Option<&'a str>,
}
