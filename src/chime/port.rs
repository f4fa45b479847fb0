//! Which calls of the service are made, and what can come back?
//!
//! [`Service`] is the port: one method is one HTTP attempt, never retried inside, so that every attempt is paced and
//! seen. Paging, batching and retrying belong to the caller.

use std::future::Future;

use crate::api::MembershipType;
use crate::membership::arn::{ChannelArn, MemberArn};
pub use crate::membership::description::Membership;
use crate::membership::guard::Removal;

/// The most members that BatchCreateChannelMembership takes (service model, `MemberArns`).
pub const MAX_BATCH: usize = 100;

/// The most members that a page of ListChannelMemberships holds (service model, `MaxResults`). Always asked for, because
/// the default page size is undocumented.
pub const PAGE_SIZE: usize = 50;

/// Whose memberships are meant, and in whose name the calls are made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The channel. Its region is where calls go.
    pub channel: ChannelArn,
    /// The type of the memberships.
    pub membership_type: MembershipType,
    /// The user or bot in whose name calls are made (`x-amz-chime-bearer`).
    pub bearer: MemberArn,
    /// The sub-channel that is meant, of an elastic channel.
    pub sub_channel: Option<Box<str>>,
}

/// Whose channels are meant, and in whose name they are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChannelsQuery {
    /// The user or bot in whose name calls are made. Its app instance is meant, and its region is where calls go.
    pub bearer: MemberArn,
    /// Which of the channels: a call tells those of one privacy.
    pub privacy: Privacy,
}

/// Who may see a channel. It cannot be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Privacy {
    /// Anybody of the app instance.
    Public,
    /// Those in it. Only an AppInstanceAdmin may ask for a list of these (Amazon Chime API reference, ListChannels).
    Private,
}

/// The operations that Rollcall calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// One page of `ListChannelMemberships`.
    ListChannelMemberships,
    /// `BatchCreateChannelMembership`.
    BatchCreateChannelMembership,
    /// `DescribeChannelMembership`.
    DescribeChannelMembership,
    /// `DeleteChannelMembership`.
    DeleteChannelMembership,
    /// `DescribeChannel`.
    DescribeChannel,
    /// One page of `ListChannelModerators`.
    ListChannelModerators,
    /// One page of `ListChannelBans`.
    ListChannelBans,
    /// One page of `ListSubChannels`.
    ListSubChannels,
    /// One page of `ListChannelMembershipsForAppInstanceUser`.
    ListChannelMembershipsForAppInstanceUser,
    /// One page of `ListChannels`.
    ListChannels,
}

impl Operation {
    /// Every operation there is, in the order of their declaration.
    pub const ALL: [Self; 10] = [
        Self::ListChannelMemberships,
        Self::BatchCreateChannelMembership,
        Self::DescribeChannelMembership,
        Self::DeleteChannelMembership,
        Self::DescribeChannel,
        Self::ListChannelModerators,
        Self::ListChannelBans,
        Self::ListSubChannels,
        Self::ListChannelMembershipsForAppInstanceUser,
        Self::ListChannels,
    ];

    /// The operation's name in the service's API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ListChannelMemberships => "ListChannelMemberships",
            Self::BatchCreateChannelMembership => "BatchCreateChannelMembership",
            Self::DescribeChannelMembership => "DescribeChannelMembership",
            Self::DeleteChannelMembership => "DeleteChannelMembership",
            Self::DescribeChannel => "DescribeChannel",
            Self::ListChannelModerators => "ListChannelModerators",
            Self::ListChannelBans => "ListChannelBans",
            Self::ListSubChannels => "ListSubChannels",
            Self::ListChannelMembershipsForAppInstanceUser => "ListChannelMembershipsForAppInstanceUser",
            Self::ListChannels => "ListChannels",
        }
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One page of a list: ARNs of members, moderators, banned people or channels, or ids of sub-channels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// What this page holds, as the service spells it.
    pub items: Vec<String>,
    /// How members are called in words, in the order of `items`; `None` for who has no such name. Other lists have none.
    pub names: Vec<Option<String>>,
    /// What to ask the next page with; `None` when this was the last. An empty token counts as none.
    pub next: Option<String>,
}

/// What is worth knowing of a channel besides who is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelInfo {
    /// How it is called in words.
    pub name: Option<String>,
    /// The ARN of who made it.
    pub created_by: Option<String>,
    /// Whether it is elastic: its members are in sub-channels.
    pub elastic: bool,
}

/// What a batch did, member by member. A member in neither list is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchAnswer {
    /// Members whom the service says it added.
    pub added: Vec<String>,
    /// Members whom it did not add.
    pub errors: Vec<BatchMemberError>,
    /// The service's request id.
    pub request_id: Option<String>,
}

/// A membership is not there any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// The service's request id.
    pub request_id: Option<String>,
}

/// Why one member of a batch was not added. Every field of it is optional in the service's model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchMemberError {
    /// Whom the error is about.
    pub member: Option<String>,
    /// The service's `ErrorCode`, an open set.
    pub code: Option<String>,
    /// The service's text.
    pub message: Option<String>,
}

/// What a failed call means for whoever made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallErrorClass {
    /// Over a rate: 429, or a throttling code.
    Throttled,
    /// Might pass by itself: 5xx, a timeout, a cut or refused connection, an answer that cannot be read. The call may have
    /// had its effect.
    Transient,
    /// The channel is gone or closed to this bearer: 403 Forbidden or 404 NotFound. A vanished channel probably looks like
    /// Forbidden, because ListChannelMemberships does not model NotFound.
    ChannelNotAccessible,
    /// The bearer is unknown or malformed: 401 Unauthorized.
    BearerRejected,
    /// AWS credentials are missing, wrong or expired, or IAM does not allow the action.
    AccessDenied,
    /// The request itself was refused: any other 4xx, ResourceLimitExceeded (400) among them.
    Refused,
}

impl CallErrorClass {
    /// Whether the same call may well succeed a little later.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Throttled | Self::Transient)
    }

    /// Whether every other call would be refused as well: it is no member's fault.
    pub fn affects_all_calls(self) -> bool {
        matches!(self, Self::BearerRejected | Self::AccessDenied)
    }
}

/// A call that was refused or failed as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation} answered {code}: {message}")]
pub struct CallError {
    /// What it means.
    pub class: CallErrorClass,
    /// The call.
    pub operation: Operation,
    /// The service's code (`Forbidden`, `Throttled`, …, without `Exception` or `ClientException` at its end), or ours for
    /// faults of transport (`Timeout`, `ConnectionFailed`, `UnreadableAnswer`).
    pub code: String,
    /// The service's text, or the fault of transport with its causes.
    pub message: String,
    /// The service's request id, for AWS support.
    pub request_id: Option<String>,
}

impl CallError {
    /// A failure that the service did not put a name to: without a request id.
    pub fn client_side(class: CallErrorClass, operation: Operation, code: &str, message: impl Into<String>) -> Self {
        Self { class, operation, code: code.to_owned(), message: message.into(), request_id: None }
    }
}

/// The service, one attempt a method. Implementations do not retry and do not pace.
pub trait Service: Send + Sync + 'static {
    /// One page of the channel's members of the target's type; `token` is the last page's [`Page::next`].
    fn list_page(&self, target: &Target, token: Option<&str>) -> impl Future<Output = Result<Page, CallError>> + Send;

    /// Adds up to [`MAX_BATCH`] members.
    fn batch_create(
        &self,
        target: &Target,
        members: &[MemberArn],
    ) -> impl Future<Output = Result<BatchAnswer, CallError>> + Send;

    /// One member's membership, of whichever type; `None` when there is none.
    fn describe_membership(
        &self,
        target: &Target,
        member: &MemberArn,
    ) -> impl Future<Output = Result<Option<Membership>, CallError>> + Send;

    /// Deletes one membership. A membership that is not there counts as deleted, where the service says so by 204 or NotFound.
    fn delete_membership(
        &self,
        target: &Target,
        removal: Removal,
    ) -> impl Future<Output = Result<Deleted, CallError>> + Send;

    /// The channel itself.
    fn describe_channel(&self, target: &Target) -> impl Future<Output = Result<ChannelInfo, CallError>> + Send;

    /// One page of the channel's moderators.
    fn moderators_page(
        &self,
        target: &Target,
        token: Option<&str>,
    ) -> impl Future<Output = Result<Page, CallError>> + Send;

    /// One page of those who are banned from the channel.
    fn bans_page(&self, target: &Target, token: Option<&str>) -> impl Future<Output = Result<Page, CallError>> + Send;

    /// One page of an elastic channel's sub-channels, by id.
    fn sub_channels_page(
        &self,
        target: &Target,
        token: Option<&str>,
    ) -> impl Future<Output = Result<Page, CallError>> + Send;

    /// One page of an app instance's channels, by ARN.
    fn channels_page(
        &self,
        whose: &ChannelsQuery,
        token: Option<&str>,
    ) -> impl Future<Output = Result<Page, CallError>> + Send;
}
