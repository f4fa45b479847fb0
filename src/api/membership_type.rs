//! Which of the two kinds of membership is meant?

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The type of a channel membership, as the service spells it.
///
/// A member of a channel has one type at a time, and the service cannot change it in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum MembershipType {
    /// Sends and receives messages, and is seen in the channel's listing.
    #[default]
    Default,
    /// Observes without being listed among the others; only moderators and admins may add or list one.
    Hidden,
}

impl MembershipType {
    /// The spelling of the service's API, `DEFAULT` or `HIDDEN`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "DEFAULT",
            Self::Hidden => "HIDDEN",
        }
    }

    /// The other of the two.
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
