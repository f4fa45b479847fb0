//! What does the simulator do where the service's documentation leaves it open?

use serde::{Deserialize, Serialize};

/// Choices for behaviour that is not documented. The defaults are the likeliest; clients should cope with each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct UndocumentedBehaviours {
    /// How a batch answers for one who is a member already, with the same type.
    pub existing_member: RepeatedMember,
    /// How a batch answers for the second mention of one member.
    pub duplicate_in_batch: RepeatedMember,
    /// How DeleteChannelMembership answers when there is no such member.
    pub delete_of_non_member: DeleteOfNonMember,
    /// How calls that read or delete answer about a channel that is not there. Their model has no NotFound.
    pub missing_channel_read: MissingCode,
    /// How calls that add answer about a channel that is not there.
    pub missing_channel_write: MissingCode,
    /// The code for a member who is no user or bot of the channel's app instance.
    pub unknown_member: MissingCode,
    /// Whether listing an elastic channel without a sub-channel spans all of them (true) or is a 400 (false).
    pub elastic_list_spans: bool,
    /// Whether each member of a batch also counts against the channel's rate of creations and deletions.
    pub batch_counts_as_creates: bool,
    /// Members a page when the call asks for no number. The service takes 1 to 50.
    pub default_page_size: usize,
}

impl Default for UndocumentedBehaviours {
    fn default() -> Self {
        Self {
            existing_member: RepeatedMember::Conflict,
            duplicate_in_batch: RepeatedMember::Conflict,
            delete_of_non_member: DeleteOfNonMember::NoContent,
            missing_channel_read: MissingCode::Forbidden,
            missing_channel_write: MissingCode::NotFound,
            unknown_member: MissingCode::Forbidden,
            elastic_list_spans: true,
            batch_counts_as_creates: false,
            default_page_size: 50,
        }
    }
}

/// How a batch answers for one who is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepeatedMember {
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
pub enum MissingCode {
    /// 403, Forbidden.
    Forbidden,
    /// 404, NotFound.
    NotFound,
}
