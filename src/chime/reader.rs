//! How is a channel read from beginning to end, once, for somebody who waits for it?
//!
//! The operator looks at a channel again and again and lets many share one look; that is the engine's. This is for a command that
//! reads each list one time, and gives up where it cannot.

use std::time::Duration;

use super::backoff::Backoff;
use super::client::Client;
use super::port::{CallError, CallErrorClass, ChannelInfo, ChannelsQuery, Operation, Page, Service, Target};
use super::rate_limit::{Priority, SharedPriority};
use super::user_memberships::UserMemberships;
use crate::api::MembershipType;
use crate::membership::arn::MemberArn;
use crate::membership::description::Membership;

/// A list is begun anew at most so often because a page's token was refused or came twice.
const MOST_RESTARTS: u32 = 3;

/// No list has more pages: an elastic channel holds 1,000,000 members (Chime SDK Developer Guide, elastic channels), an app instance
/// 10,000,000 channels (AWS General Reference, Chime SDK messaging quotas).
const MOST_PAGES: usize = 200_000;

/// One member as a list shows them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedMember {
    /// Who, as the service spells it.
    pub arn: String,
    /// How they are called in words.
    pub name: Option<String>,
}

/// Reads through a client, at its pace.
pub struct Reader<'a, S> {
    client: &'a Client<S>,
    most_failures: u32,
    remark: &'a dyn Fn(&CallError, Duration),
    priority: SharedPriority,
}

impl<'a, S: Service> Reader<'a, S> {
    /// A reader that gives a call up when it has failed `most_failures` times in a row, and before that says by `remark` which call
    /// failed and after which time it is made again.
    pub fn new(client: &'a Client<S>, most_failures: u32, remark: &'a dyn Fn(&CallError, Duration)) -> Self {
        Self { client, most_failures, remark, priority: SharedPriority::new(Priority::Edit) }
    }

    /// The channel itself.
    pub async fn describe_channel(&self, target: &Target) -> Result<ChannelInfo, CallError> {
        let ask = async || {
            let permit = self.client.acquire_permit(target, Operation::DescribeChannel, &self.priority).await;
            self.client.describe_channel(permit, target).await
        };
        self.retry(ask).await
    }

    /// One membership, of whatever type it is; `None` when there is none.
    pub async fn describe_membership(
        &self,
        target: &Target,
        member: &MemberArn,
    ) -> Result<Option<Membership>, CallError> {
        let ask = async || {
            let permit = self.client.acquire_permit(target, Operation::DescribeChannelMembership, &self.priority).await;
            self.client.describe_membership(permit, target, member).await
        };
        self.retry(ask).await
    }

    /// The channel's members of the target's type, sorted and each once. Those of an `elastic` channel are read by its sub-channels,
    /// because it is not documented whether a plain listing spans them.
    pub async fn list_members(&self, target: &Target, elastic: bool) -> Result<Vec<ListedMember>, CallError> {
        let mut targets = vec![target.clone()];
        if elastic && target.sub_channel.is_none() {
            let operation = Operation::ListSubChannels;
            let ids = self.list(operation, async |token| {
                let permit = self.client.acquire_permit(target, operation, &self.priority).await;
                self.client.sub_channels_page(permit, target, token).await.map(arns)
            });
            let within = |id: String| Target { sub_channel: Some(id.into()), ..target.clone() };
            targets = ids.await?.into_iter().map(within).collect();
        }
        let (operation, mut members) = (Operation::ListChannelMemberships, Vec::new());
        for target in &targets {
            let listed = self.list(operation, async |token| {
                let permit = self.client.acquire_permit(target, operation, &self.priority).await;
                self.client.list_page(permit, target, token).await.map(people)
            });
            members.extend(listed.await?);
        }
        // Lists overlap where somebody moves from one sub-channel to another while they are read.
        members.sort();
        members.dedup_by(|one, other| one.arn == other.arn);
        Ok(members)
    }

    /// The ARNs of those who moderate the channel.
    pub async fn list_moderators(&self, target: &Target) -> Result<Vec<String>, CallError> {
        let operation = Operation::ListChannelModerators;
        let listed = self.list(operation, async |token| {
            let permit = self.client.acquire_permit(target, operation, &self.priority).await;
            self.client.moderators_page(permit, target, token).await.map(arns)
        });
        listed.await
    }

    /// The ARNs of an app instance's channels, sorted and each once.
    pub async fn list_channels(&self, whose: &ChannelsQuery) -> Result<Vec<String>, CallError> {
        let operation = Operation::ListChannels;
        let listed = self.list(operation, async |token| {
            let permit = self.client.acquire_bearer_permit(&whose.bearer, operation, &self.priority).await;
            self.client.channels_page(permit, whose, token).await.map(arns)
        });
        let mut channels = listed.await?;
        channels.sort();
        channels.dedup();
        Ok(channels)
    }

    /// All pages of a list, which is begun anew where a token was not good any more.
    async fn list<T>(
        &self,
        operation: Operation,
        page: impl AsyncFn(Option<&str>) -> Result<Listed<T>, CallError>,
    ) -> Result<Vec<T>, CallError> {
        let mut restarts = 0;
        loop {
            match self.all_pages(operation, &page).await? {
                Ok(all) => return Ok(all),
                Err(stale) if restarts == MOST_RESTARTS => return Err(stale),
                Err(_) => restarts += 1,
            }
        }
    }

    /// All pages of a list; the inner error is one of its tokens.
    async fn all_pages<T>(
        &self,
        operation: Operation,
        page: &impl AsyncFn(Option<&str>) -> Result<Listed<T>, CallError>,
    ) -> Result<Result<Vec<T>, CallError>, CallError> {
        // An answer that the service's model does not allow for.
        let odd =
            |message: &str| CallError::client_side(CallErrorClass::Refused, operation, "UnreadableAnswer", message);
        let (mut all, mut token) = (Vec::new(), None::<String>);
        for _ in 0..MOST_PAGES {
            let (items, next) = match self.retry(async || page(token.as_deref()).await).await {
                Err(error) if token.is_some() && error.class == CallErrorClass::Refused => return Ok(Err(error)),
                answer => answer?,
            };
            all.extend(items);
            match next {
                None => return Ok(Ok(all)),
                next if next == token => return Ok(Err(odd("the same page token came twice"))),
                next => token = next,
            }
        }
        Err(odd("the list does not end"))
    }

    async fn retry<T>(&self, ask: impl AsyncFn() -> Result<T, CallError>) -> Result<T, CallError> {
        retry_transient(self.most_failures, self.remark, ask).await
    }
}

impl<S: UserMemberships> Reader<'_, S> {
    /// The ARNs of the channels that `user` is in, each with the type of the membership where it is one we know. The bearer, an
    /// AppInstanceAdmin, asks.
    pub async fn list_user_channels(
        &self,
        bearer: &MemberArn,
        user: &MemberArn,
    ) -> Result<Vec<(String, Option<MembershipType>)>, CallError> {
        let operation = Operation::ListChannelMembershipsForAppInstanceUser;
        let listed = self.list(operation, async |token| {
            let permit = self.client.acquire_bearer_permit(bearer, operation, &self.priority).await;
            let page = self.client.memberships_page(permit, bearer, user, token).await?;
            Ok((page.channels, page.next))
        });
        listed.await
    }
}

/// A page's items, and what to ask the next page with.
type Listed<T> = (Vec<T>, Option<String>);

fn arns(page: Page) -> Listed<String> {
    (page.items, page.next)
}

fn people(page: Page) -> Listed<ListedMember> {
    let names = page.names.into_iter().chain(std::iter::repeat(None));
    (page.items.into_iter().zip(names).map(|(arn, name)| ListedMember { arn, name }).collect(), page.next)
}

/// A call's answer; one that may pass by itself is made again until it has failed so often. `remark` is told of each failure after
/// which there is another try, and when that is.
pub async fn retry_transient<T>(
    most_failures: u32,
    remark: &dyn Fn(&CallError, Duration),
    ask: impl AsyncFn() -> Result<T, CallError>,
) -> Result<T, CallError> {
    let mut backoff = Backoff::default();
    loop {
        match ask().await {
            Err(error) if error.class.is_transient() && backoff.failures() + 1 < most_failures => {
                let rest = backoff.next_delay(fastrand::f64());
                remark(&error, rest);
                tokio::time::sleep(rest).await;
            }
            answer => return answer,
        }
    }
}
