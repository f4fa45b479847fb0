//! The operations of the service that the simulator implements.

use serde::{Deserialize, Serialize};

macro_rules! operations {
    ($($name:ident: $doc:literal),* $(,)?) => {
        /// An operation of Amazon Chime SDK messaging, or an operation of the identity service that
        /// creates or deletes users, bots and admins.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum ApiOperation {
            $(#[doc = $doc] $name,)*
        }

        impl ApiOperation {
            /// Every operation.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns the operation's name in the service's API.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

operations! {
    BatchCreateChannelMembership: "Adds up to 100 members.",
    CreateChannelMembership: "Adds one member.",
    DescribeChannelMembership: "Returns the membership of one member.",
    ListChannelMemberships: "Returns a page of a channel's members.",
    DeleteChannelMembership: "Removes one member.",
    ListChannelMembershipsForAppInstanceUser: "Returns a page of a user's channels.",
    CreateChannel: "Creates a channel.",
    DescribeChannel: "Returns one channel.",
    ListChannels: "Returns a page of an app instance's channels.",
    DeleteChannel: "Deletes a channel with its memberships.",
    ListSubChannels: "Returns a page of an elastic channel's sub-channels.",
    CreateChannelModerator: "Makes a user a moderator of a channel.",
    DescribeChannelModerator: "Returns one moderator.",
    ListChannelModerators: "Returns a page of a channel's moderators.",
    DeleteChannelModerator: "Ends the moderator role of a user.",
    CreateChannelBan: "Bans a user from a channel.",
    DescribeChannelBan: "Returns one ban.",
    ListChannelBans: "Returns a page of a channel's bans.",
    DeleteChannelBan: "Lifts a ban.",
    CreateAppInstance: "Identity service: creates an app instance.",
    CreateAppInstanceUser: "Identity service: creates a user.",
    DeleteAppInstanceUser: "Identity service: deletes a user with its memberships.",
    CreateAppInstanceBot: "Identity service: creates a bot.",
    CreateAppInstanceAdmin: "Identity service: makes a user or bot an admin of its app instance.",
    DeleteAppInstanceAdmin: "Identity service: ends the admin role of a user or bot.",
}

impl ApiOperation {
    /// Returns true for an operation of the identity service. These calls have no bearer.
    pub fn is_identity(self) -> bool {
        matches!(
            self,
            Self::CreateAppInstance
                | Self::CreateAppInstanceUser
                | Self::DeleteAppInstanceUser
                | Self::CreateAppInstanceBot
                | Self::CreateAppInstanceAdmin
                | Self::DeleteAppInstanceAdmin
        )
    }
}

impl std::fmt::Display for ApiOperation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
