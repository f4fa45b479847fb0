//! The two types of channel membership.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The type of a channel membership, in the service's spelling.
///
/// A member has one type at a time, and the service cannot change it in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum MembershipType {
    /// Sends and receives messages, and is visible in the channel's listing.
    #[default]
    Default,
    /// Observes the channel and is hidden from other members. Moderators and admins alone can add
    /// and list hidden members.
    Hidden,
}

impl MembershipType {
    /// Returns `DEFAULT` or `HIDDEN`, as in the service's API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "DEFAULT",
            Self::Hidden => "HIDDEN",
        }
    }

    /// Returns the other type.
    pub fn other(self) -> Self {
        match self {
            Self::Default => Self::Hidden,
            Self::Hidden => Self::Default,
        }
    }
}

impl std::fmt::Display for MembershipType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
