//! The limits of the service on the number of channels, members and roles.

use serde::{Deserialize, Serialize};

/// The limits. The defaults are from the AWS General Reference, Amazon Chime SDK messaging quotas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct ServiceLimits {
    /// Members of a channel that is not elastic, both types together.
    pub members_per_channel: usize,
    /// Channels of a user.
    pub channels_per_user: usize,
    /// Moderators of a channel.
    pub moderators_per_channel: usize,
    /// Admins of an app instance.
    pub admins_per_app_instance: usize,
    /// Elastic channels of an app instance.
    pub elastic_channels_per_app_instance: usize,
    /// Sub-channels of an elastic channel. The channel's own configuration can be lower.
    pub sub_channels_per_elastic_channel: usize,
    /// Members of a sub-channel. The channel's own configuration can be lower.
    pub members_per_sub_channel: usize,
}

impl Default for ServiceLimits {
    fn default() -> Self {
        Self {
            members_per_channel: 10_000,
            channels_per_user: 20_000,
            moderators_per_channel: 1_000,
            admins_per_app_instance: 100,
            elastic_channels_per_app_instance: 1,
            sub_channels_per_elastic_channel: 100,
            members_per_sub_channel: 1_000,
        }
    }
}
