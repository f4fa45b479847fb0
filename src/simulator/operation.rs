//! Which operations does the simulator know?

use serde::{Deserialize, Serialize};

macro_rules! operations {
    ($($name:ident: $doc:literal),* $(,)?) => {
        /// An operation of Amazon Chime SDK messaging, or of the identity service where seeding needs it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum ApiOperation {
            $(#[doc = $doc] $name,)*
        }

        impl ApiOperation {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The operation's name in the service's API.
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
    DescribeChannelMembership: "One member's membership.",
    ListChannelMemberships: "A page of a channel's members.",
    DeleteChannelMembership: "Removes one member.",
    ListChannelMembershipsForAppInstanceUser: "A page of the channels that a user is in.",
    CreateChannel: "Makes a channel.",
    DescribeChannel: "One channel.",
    ListChannels: "A page of an app instance's channels.",
    DeleteChannel: "Deletes a channel with its memberships.",
    ListSubChannels: "A page of an elastic channel's sub-channels.",
    CreateChannelModerator: "Makes a user a channel's moderator.",
    DescribeChannelModerator: "One moderator.",
    ListChannelModerators: "A page of a channel's moderators.",
    DeleteChannelModerator: "Takes the role of moderator away.",
    CreateChannelBan: "Bans a user from a channel.",
    DescribeChannelBan: "One ban.",
    ListChannelBans: "A page of a channel's bans.",
    DeleteChannelBan: "Lifts a ban.",
    CreateAppInstance: "Identity: makes an app instance.",
    CreateAppInstanceUser: "Identity: makes a user.",
    DeleteAppInstanceUser: "Identity: deletes a user with their memberships.",
    CreateAppInstanceBot: "Identity: makes a bot.",
    CreateAppInstanceAdmin: "Identity: makes a user or bot an admin of its app instance.",
    DeleteAppInstanceAdmin: "Identity: takes the role of admin away.",
}

impl ApiOperation {
    /// Whether the operation belongs to the identity service, which knows no bearer.
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
