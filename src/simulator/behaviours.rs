//! The behaviours that AWS does not document. `--switch` changes them.

use serde::{Deserialize, Serialize};

/// The choices for undocumented behaviour. A client should cope with each; defaults are likeliest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct UndocumentedBehaviours {
    /// The response of a batch for a user that already is a member of the same type.
    pub existing_member: RepeatedMember,
    /// The response of a batch for the second occurrence of a member.
    pub duplicate_in_batch: RepeatedMember,
    /// The response of DeleteChannelMembership for a user that is not a member.
    pub delete_of_non_member: DeleteOfNonMember,
    /// The code for a missing channel in calls that read or delete. Their model has no NotFound.
    pub missing_channel_read: MissingCode,
    /// The code for a missing channel in calls that add.
    pub missing_channel_write: MissingCode,
    /// The code for a member that is not a user or bot of the channel's app instance.
    pub unknown_member: MissingCode,
    /// True if a listing of an elastic channel without a sub-channel returns the members of all
    /// sub-channels; false if it returns 400.
    pub elastic_list_spans: bool,
    /// True if each member of a batch also counts against the channel's rate of creations.
    pub batch_counts_as_creates: bool,
    /// The size of a page if the call sets no size. The service accepts 1 to 50.
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

/// The response of a batch for a user that already is a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepeatedMember {
    /// An element of `Errors` with the code Conflict.
    Conflict,
    /// An element of `Members`, as for a new member.
    Success,
}

/// The response to the deletion of a membership that does not exist.
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

/// The code for a channel or user that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissingCode {
    /// 403, Forbidden.
    Forbidden,
    /// 404, NotFound.
    NotFound,
}
