//! The protected roles of a channel.

use jiff::Timestamp;

/// The creator and the moderators of a channel.
#[derive(Clone, Debug)]
pub(super) struct ChannelRoles {
    pub(super) creator: Option<String>,
    pub(super) moderators: Vec<String>,
    /// When they were read.
    pub(super) read_at: Timestamp,
}
