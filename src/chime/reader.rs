//! One reading of a channel from beginning to end, for a command that waits for it.
//!
//! The operator lists a channel again and again and lets many resources share one listing; that is
//! part of the engine. A command reads each list once, and gives up after some failed attempts.

use std::time::Duration;

use super::backoff::Backoff;
use super::caller::{Caller, retry_transient};
use super::client::Client;
use super::port::{
    CallError, ChannelInfo, ChannelsQuery, ListRequest, Membership, Operation, Page, PageItem, Service, Target,
};
use super::rate_limit::{Permit, Priority, SharedPriority};
use crate::api::MembershipType;
use crate::membership::arn::MemberArn;

/// One member as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedMember {
    /// The ARN, as the service spells it.
    pub arn: String,
    /// The display name.
    pub name: Option<String>,
}

/// Reads through a client, within its rate limit.
pub struct Reader<'a, S> {
    client: &'a Client<S>,
    max_attempts: u32,
    on_retry: &'a dyn Fn(&CallError, Duration),
    priority: SharedPriority,
}

impl<'a, S: Service> Reader<'a, S> {
    /// Creates a reader that gives a call up after `max_attempts` failed attempts in a row. Before
    /// each further attempt it calls `on_retry` with the error and the wait.
    pub fn new(client: &'a Client<S>, max_attempts: u32, on_retry: &'a dyn Fn(&CallError, Duration)) -> Self {
        Self { client, max_attempts, on_retry, priority: SharedPriority::new(Priority::Edit) }
    }

    /// Describes the channel itself.
    pub async fn describe_channel(&self, target: &Target) -> Result<ChannelInfo, CallError> {
        let call = |permit| self.client.describe_channel(permit, target);
        retry_transient(&mut self.task_about(target), Operation::DescribeChannel, call).await
    }

    /// Describes one membership, of either type; `None` when there is none.
    pub async fn describe_membership(
        &self,
        target: &Target,
        member: &MemberArn,
    ) -> Result<Option<Membership>, CallError> {
        let call = |permit| self.client.describe_membership(permit, target, member);
        retry_transient(&mut self.task_about(target), Operation::DescribeChannelMembership, call).await
    }

    /// Lists the channel's members of the target's type, sorted and each once. Lists those of an
    /// `elastic` channel by its sub-channels, because AWS does not document whether a plain listing
    /// spans them.
    pub async fn list_members(&self, target: &Target, elastic: bool) -> Result<Vec<ListedMember>, CallError> {
        let mut targets = vec![target.clone()];
        if elastic && target.sub_channel.is_none() {
            let in_sub_channel = |id: String| Target { sub_channel: Some(id.into()), ..target.clone() };
            targets = self.list_ids(ListRequest::SubChannels(target)).await?.into_iter().map(in_sub_channel).collect();
        }
        let mut members = Vec::new();
        for target in &targets {
            let list = ListRequest::Members(target);
            let add = |all: &mut Vec<_>, page: Vec<PageItem>| {
                all.extend(page.into_iter().map(|item| ListedMember { arn: item.id, name: item.name }));
            };
            members.extend(self.client.list_all(&mut self.task_of(list), list, add).await?);
        }
        // Lists overlap if a member moves from one sub-channel to another while they are read.
        members.sort();
        members.dedup_by(|one, other| one.arn == other.arn);
        Ok(members)
    }

    /// Lists the ARNs of the channel's moderators.
    pub async fn list_moderators(&self, target: &Target) -> Result<Vec<String>, CallError> {
        self.list_ids(ListRequest::Moderators(target)).await
    }

    /// Lists the ARNs of an app instance's channels, sorted and each once.
    pub async fn list_channels(&self, query: &ChannelsQuery) -> Result<Vec<String>, CallError> {
        let mut channels = self.list_ids(ListRequest::Channels(query)).await?;
        channels.sort();
        channels.dedup();
        Ok(channels)
    }

    /// Lists the ARNs of the channels that `user` is a member of, each with the type of the
    /// membership unless Rollcall does not know it. The bearer must be an AppInstanceAdmin.
    pub async fn list_user_channels(
        &self,
        bearer: &MemberArn,
        user: &MemberArn,
    ) -> Result<Vec<(String, Option<MembershipType>)>, CallError> {
        let list = ListRequest::UserMemberships { bearer, user };
        let add = |all: &mut Vec<_>, page: Vec<PageItem>| {
            all.extend(page.into_iter().map(|item| (item.id, item.membership_type)));
        };
        self.client.list_all(&mut self.task_of(list), list, add).await
    }

    /// Reads the first page of a list.
    pub async fn first_page(&self, list: ListRequest<'_>) -> Result<Page, CallError> {
        let call = |permit| self.client.list_page(permit, list, None);
        retry_transient(&mut self.task_of(list), list.operation(), call).await
    }

    async fn list_ids(&self, list: ListRequest<'_>) -> Result<Vec<String>, CallError> {
        let add = |all: &mut Vec<_>, page: Vec<PageItem>| all.extend(page.into_iter().map(|item| item.id));
        self.client.list_all(&mut self.task_of(list), list, add).await
    }

    fn task_about<'r>(&'r self, target: &'r Target) -> ReaderTask<'r, 'a, S> {
        ReaderTask { reader: self, bearer: &target.bearer, target: Some(target) }
    }

    fn task_of<'r>(&'r self, list: ListRequest<'r>) -> ReaderTask<'r, 'a, S> {
        ReaderTask { reader: self, bearer: list.bearer(), target: list.target() }
    }
}

/// The calls of a reader about one channel or app instance.
struct ReaderTask<'r, 'a, S> {
    reader: &'r Reader<'a, S>,
    bearer: &'r MemberArn,
    target: Option<&'r Target>,
}

impl<S: Service> Caller for ReaderTask<'_, '_, S> {
    type Stop = CallError;

    async fn acquire_permit(&mut self, operation: Operation) -> Result<Permit, CallError> {
        let (client, priority) = (self.reader.client, &self.reader.priority);
        Ok(match self.target {
            Some(target) => client.acquire_permit(target, operation, priority).await,
            None => client.acquire_bearer_permit(self.bearer, operation, priority).await,
        })
    }

    async fn back_off(&mut self, backoff: &mut Backoff, error: CallError) -> Result<(), CallError> {
        if backoff.failures() + 1 >= self.reader.max_attempts {
            return Err(error);
        }
        let delay = backoff.next_delay(fastrand::f64());
        (self.reader.on_retry)(&error, delay);
        tokio::time::sleep(delay).await;
        Ok(())
    }
}
