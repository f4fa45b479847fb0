//! What does the simulator do where the service's documentation leaves it open?

use serde::{Deserialize, Serialize};

/// Choices for behaviour that is not documented. The defaults are the likeliest; clients should cope with each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Switches {
    /// How a batch answers for one who is a member already, with the same type.
    pub existing_member: Repeated,
    /// How a batch answers for the second mention of one member.
    pub duplicate_in_batch: Repeated,
    /// How DeleteChannelMembership answers when there is no such member.
    pub delete_of_non_member: DeleteOfNonMember,
    /// How calls that read or delete answer about a channel that is not there. Their model has no NotFound.
    pub missing_channel_read: Missing,
    /// How calls that add answer about a channel that is not there.
    pub missing_channel_write: Missing,
    /// The code for a member who is no user or bot of the channel's app instance.
    pub unknown_member: Missing,
    /// Whether listing an elastic channel without a sub-channel spans all of them (true) or is a 400 (false).
    pub elastic_list_spans: bool,
    /// Whether each member of a batch also counts against the channel's rate of creations and deletions.
    pub batch_counts_as_creates: bool,
    /// Members a page when the call asks for no number. The service takes 1 to 50.
    pub default_page_size: usize,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            existing_member: Repeated::Conflict,
            duplicate_in_batch: Repeated::Conflict,
            delete_of_non_member: DeleteOfNonMember::NoContent,
            missing_channel_read: Missing::Forbidden,
            missing_channel_write: Missing::NotFound,
            unknown_member: Missing::Forbidden,
            elastic_list_spans: true,
            batch_counts_as_creates: false,
            default_page_size: 50,
        }
    }
}

/// How a batch answers for one who is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Repeated {
    /// In `Errors`, with the code Conflict.
    Conflict,
    /// In `Members`, as if just added.
    Success,
}

/// How the deletion of nobody is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeleteOfNonMember {
    /// 204, as for a member.
    NoContent,
    /// 404 NotFoundException.
    NotFound,
    /// 409 ConflictException.
    Conflict,
}

/// How something that is not there is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// 403, Forbidden.
    Forbidden,
    /// 404, NotFound.
    NotFound,
}

/// How much of everything there may be (AWS General Reference, Amazon Chime SDK messaging quotas).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Limits {
    /// Members of a channel that is not elastic, both types together.
    pub members_per_channel: usize,
    /// Channels that one user is in.
    pub channels_per_user: usize,
    /// Moderators of a channel.
    pub moderators_per_channel: usize,
    /// Admins of an app instance.
    pub admins_per_app_instance: usize,
    /// Elastic channels of an app instance.
    pub elastic_channels_per_app_instance: usize,
    /// Sub-channels of an elastic channel, whatever its configuration says.
    pub sub_channels_per_elastic_channel: usize,
    /// Members of a sub-channel, whatever its channel's configuration says.
    pub members_per_sub_channel: usize,
}

impl Default for Limits {
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
