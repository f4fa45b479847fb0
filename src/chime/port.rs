//! The port to the service: its calls, and what they answer.
//!
//! One method of [`Service`] is one HTTP attempt. It is never retried inside, so that the rate
//! limiter and the metrics see every attempt. Paging, batching and retrying belong to the caller.
//!
//! A new call takes an [`Operation`] and a method (or a [`ListRequest`]) here, and its request in
//! `sdk/calls.rs`.

use std::future::Future;

use crate::api::MembershipType;
use crate::membership::arn::MemberArn;
pub use crate::membership::description::Membership;
use crate::membership::guard::Removal;
pub use crate::membership::target::Target;

/// The most members that one BatchCreateChannelMembership takes (service model, `MemberArns`).
pub const MAX_BATCH: usize = 100;

/// The most members on a page of ListChannelMemberships (service model, `MaxResults`). Every list
/// asks for this many, because the default page size is undocumented.
pub const PAGE_SIZE: usize = 50;

/// The channels of one privacy in the bearer's app instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChannelsQuery {
    /// The user or bot in whose name calls are made. Calls go to its region.
    pub bearer: MemberArn,
    /// The privacy: one call lists the channels of one privacy.
    pub privacy: Privacy,
}

/// The visibility of a channel. It cannot be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Privacy {
    /// Every user of the app instance sees the channel.
    Public,
    /// The members see the channel. An AppInstanceAdmin may list these channels, and no other user
    /// (Amazon Chime API reference, ListChannels).
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

/// The quotas that the service counts for each channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelQuota {
    /// Batches.
    Batch,
    /// Pages of lists.
    List,
}

impl Operation {
    /// Every operation, in the order of declaration.
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

    /// Returns the operation's name in the service's API.
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

    /// Returns the channel's quota that a call counts against, besides the bearer's.
    ///
    /// One quota counts a channel's listings of memberships, bans and moderators together.
    /// ListSubChannels has a quota of its own that is as high; counting it in costs little. A
    /// channel's other quotas (15 deletes a second, 20 DescribeChannel) lie above its bearer's,
    /// which is met first. ListChannelMembershipsForAppInstanceUser is counted for a user, 15 a
    /// second.
    pub fn channel_quota(self) -> Option<ChannelQuota> {
        match self {
            Self::BatchCreateChannelMembership => Some(ChannelQuota::Batch),
            Self::ListChannelMemberships
            | Self::ListChannelModerators
            | Self::ListChannelBans
            | Self::ListSubChannels => Some(ChannelQuota::List),
            Self::DescribeChannelMembership
            | Self::DeleteChannelMembership
            | Self::DescribeChannel
            | Self::ListChannels
            | Self::ListChannelMembershipsForAppInstanceUser => None,
        }
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A list that the service answers page by page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListRequest<'a> {
    /// The channel's members of the target's type, by ARN.
    Members(&'a Target),
    /// The channel's moderators, by ARN.
    Moderators(&'a Target),
    /// The users that are banned from the channel, by ARN.
    Bans(&'a Target),
    /// The sub-channels of an elastic channel, by id.
    SubChannels(&'a Target),
    /// An app instance's channels of one privacy, by ARN.
    Channels(&'a ChannelsQuery),
    /// The channels that a user is a member of, by ARN. The bearer must be an AppInstanceAdmin. The
    /// command line alone asks.
    UserMemberships {
        /// The user or bot in whose name the call is made.
        bearer: &'a MemberArn,
        /// The user.
        user: &'a MemberArn,
    },
}

impl<'a> ListRequest<'a> {
    /// Returns the operation that reads a page.
    pub fn operation(self) -> Operation {
        match self {
            Self::Members(_) => Operation::ListChannelMemberships,
            Self::Moderators(_) => Operation::ListChannelModerators,
            Self::Bans(_) => Operation::ListChannelBans,
            Self::SubChannels(_) => Operation::ListSubChannels,
            Self::Channels(_) => Operation::ListChannels,
            Self::UserMemberships { .. } => Operation::ListChannelMembershipsForAppInstanceUser,
        }
    }

    /// Returns the channel that the list is about, if it is about one.
    pub fn target(self) -> Option<&'a Target> {
        match self {
            Self::Members(target) | Self::Moderators(target) | Self::Bans(target) | Self::SubChannels(target) => {
                Some(target)
            }
            Self::Channels(_) | Self::UserMemberships { .. } => None,
        }
    }

    /// Returns the user or bot in whose name the call is made.
    pub fn bearer(self) -> &'a MemberArn {
        match self {
            Self::Members(target) | Self::Moderators(target) | Self::Bans(target) | Self::SubChannels(target) => {
                &target.bearer
            }
            Self::Channels(query) => &query.bearer,
            Self::UserMemberships { bearer, .. } => bearer,
        }
    }

    /// Returns the ARN of the channel or the app instance that the list is about.
    pub fn subject(self) -> &'a str {
        self.target().map_or_else(|| self.bearer().app_instance(), |target| target.channel.as_str())
    }
}

/// One entry of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageItem {
    /// An ARN or the id of a sub-channel, as the service spells it.
    pub id: String,
    /// The display name of a member, if it has one. Entries of other lists have none.
    pub name: Option<String>,
    /// The type of the membership, in the channels of a user, unless Rollcall does not know the
    /// type.
    pub membership_type: Option<MembershipType>,
}

impl From<String> for PageItem {
    fn from(id: String) -> Self {
        Self { id, ..Self::default() }
    }
}

/// One page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The entries.
    pub items: Vec<PageItem>,
    /// The token of the next page; `None` on the last page. An empty token counts as none.
    pub next: Option<String>,
}

/// The properties of a channel besides its members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelInfo {
    /// The display name.
    pub name: Option<String>,
    /// The ARN of the creator.
    pub created_by: Option<String>,
    /// True if the channel is elastic: its members are in sub-channels.
    pub elastic: bool,
}

/// The answer to a batch, member by member. The outcome of a member in neither list is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchAnswer {
    /// Members that the service says it added.
    pub added: Vec<String>,
    /// Members that the service did not add.
    pub errors: Vec<BatchMemberError>,
    /// The service's request id.
    pub request_id: Option<String>,
}

/// The answer to a delete: the membership does not exist any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// The service's request id.
    pub request_id: Option<String>,
}

/// The reason why one member of a batch was not added. Every field is optional in the service's
/// model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchMemberError {
    /// The member.
    pub member: Option<String>,
    /// The service's `ErrorCode`, an open set.
    pub code: Option<String>,
    /// The service's text.
    pub message: Option<String>,
}

/// The meaning of a failed call for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallErrorClass {
    /// Over a rate: 429, or a throttling code.
    Throttled,
    /// May succeed if repeated: 5xx, a timeout, a cut or refused connection, an unreadable answer.
    /// The call may have had its effect.
    Transient,
    /// The channel is gone or closed to this bearer: 403 Forbidden or 404 NotFound. A vanished
    /// channel probably looks like Forbidden, because ListChannelMemberships does not model
    /// NotFound.
    ChannelNotAccessible,
    /// The bearer is unknown or malformed: 401 Unauthorized.
    BearerRejected,
    /// AWS credentials are missing, wrong or expired, or IAM does not allow the action.
    AccessDenied,
    /// The service refused the request itself: any other 4xx, ResourceLimitExceeded (400) among
    /// them.
    Refused,
}

impl CallErrorClass {
    /// Returns whether the same call may succeed a little later.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Throttled | Self::Transient)
    }

    /// Returns whether every other call would be refused as well, whichever member it is about.
    pub fn affects_all_calls(self) -> bool {
        matches!(self, Self::BearerRejected | Self::AccessDenied)
    }
}

/// A call that was refused or failed as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation} answered {code}: {message}")]
pub struct CallError {
    /// The meaning.
    pub class: CallErrorClass,
    /// The call.
    pub operation: Operation,
    /// The service's code (`Forbidden`, `Throttled`, …, without `Exception` or `ClientException` at
    /// its end), or ours for faults of transport (`Timeout`, `ConnectionFailed`,
    /// `UnreadableAnswer`).
    pub code: String,
    /// The service's text, or the fault of transport with its causes.
    pub message: String,
    /// The service's request id, for AWS support.
    pub request_id: Option<String>,
}

impl CallError {
    /// Creates an error that Rollcall found and not the service. It has no request id.
    pub fn client_side(class: CallErrorClass, operation: Operation, code: &str, message: impl Into<String>) -> Self {
        Self { class, operation, code: code.to_owned(), message: message.into(), request_id: None }
    }

    /// Returns what the user should do about a call of this bearer that was refused.
    /// `membership_type` is the type that the call was about.
    pub fn advice(&self, bearer: &MemberArn, membership_type: MembershipType) -> String {
        let role = format!(
            "check that the channel exists and that {bearer} is an AppInstanceAdmin, or a moderator of the channel"
        );
        match self.class {
            CallErrorClass::ChannelNotAccessible if membership_type == MembershipType::Hidden => {
                format!("{role}: no one else may see or add HIDDEN members")
            }
            CallErrorClass::ChannelNotAccessible => role,
            CallErrorClass::BearerRejected => format!("check that {bearer} exists in the app instance"),
            CallErrorClass::AccessDenied => {
                format!(
                    "check the AWS credentials, and that IAM allows chime:{} for bearer and channel",
                    self.operation
                )
            }
            CallErrorClass::Throttled | CallErrorClass::Transient | CallErrorClass::Refused => {
                "see the service's message".to_owned()
            }
        }
    }
}

/// The service, one attempt a method. Implementations neither retry nor limit their rate.
pub trait Service: Send + Sync + 'static {
    /// Reads one page of a list; `token` is the [`Page::next`] of the page before.
    fn list_page(
        &self,
        list: ListRequest<'_>,
        token: Option<&str>,
    ) -> impl Future<Output = Result<Page, CallError>> + Send;

    /// Adds up to [`MAX_BATCH`] members.
    fn batch_create(
        &self,
        target: &Target,
        members: &[MemberArn],
    ) -> impl Future<Output = Result<BatchAnswer, CallError>> + Send;

    /// Describes one member's membership, of either type; `None` when there is none.
    fn describe_membership(
        &self,
        target: &Target,
        member: &MemberArn,
    ) -> impl Future<Output = Result<Option<Membership>, CallError>> + Send;

    /// Deletes one membership. A membership that does not exist counts as deleted, if the service
    /// says so by 204 or NotFound.
    fn delete_membership(
        &self,
        target: &Target,
        removal: Removal,
    ) -> impl Future<Output = Result<Deleted, CallError>> + Send;

    /// Describes the channel itself.
    fn describe_channel(&self, target: &Target) -> impl Future<Output = Result<ChannelInfo, CallError>> + Send;
}
