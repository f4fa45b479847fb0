//! How is a channel read from beginning to end, once, for somebody who waits for it?
//!
//! The operator looks at a channel again and again and lets many share one look; that is the engine's. This is for a command that
//! reads each list one time, and gives up where it cannot.

use std::time::Duration;

use super::backoff::Backoff;
use super::client::Client;
use super::pace::{Level, Urgency};
use super::port::{CallError, CallErrorClass, ChannelInfo, ChannelsOf, Operation, Page, Service, Target};

/// A call that failed so often in a row, over some two minutes, is given up.
const MOST_FAILURES: u32 = 7;

/// A list is begun anew at most so often because a page's token was refused or came twice.
const MOST_RESTARTS: u32 = 3;

/// No list has more pages: an elastic channel holds 1,000,000 members (Chime SDK Developer Guide, elastic channels), an app instance
/// 10,000,000 channels (AWS General Reference, Chime SDK messaging quotas).
const MOST_PAGES: usize = 200_000;

/// One member as a list shows them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Person {
    /// Who, as the service spells it.
    pub arn: String,
    /// How they are called in words.
    pub name: Option<String>,
}

/// Reads through a client, at its pace.
pub struct Reader<'a, S> {
    client: &'a Client<S>,
    remark: &'a dyn Fn(&CallError, Duration),
    urgency: Urgency,
}

impl<'a, S: Service> Reader<'a, S> {
    /// A reader that says by `remark` which call failed and after which time it is made again.
    pub fn new(client: &'a Client<S>, remark: &'a dyn Fn(&CallError, Duration)) -> Self {
        Self { client, remark, urgency: Urgency::new(Level::Edit) }
    }

    /// The channel itself.
    pub async fn channel(&self, target: &Target) -> Result<ChannelInfo, CallError> {
        let ask = async || {
            let permit = self.client.permit(target, Operation::DescribeChannel, &self.urgency).await;
            self.client.describe_channel(permit, target).await
        };
        self.answer(ask).await
    }

    /// The channel's members of the target's type, sorted and each once. Those of an `elastic` channel are read by its sub-channels,
    /// because it is not documented whether a plain listing spans them.
    pub async fn members(&self, target: &Target, elastic: bool) -> Result<Vec<Person>, CallError> {
        let mut targets = vec![target.clone()];
        if elastic && target.sub_channel.is_none() {
            let ids = self.list(async |token| {
                let permit = self.client.permit(target, Operation::ListSubChannels, &self.urgency).await;
                self.client.sub_channels_page(permit, target, token).await
            });
            let within = |it: Person| Target { sub_channel: Some(it.arn.into()), ..target.clone() };
            targets = ids.await?.into_iter().map(within).collect();
        }
        let mut members = Vec::new();
        for target in &targets {
            let listed = self.list(async |token| {
                let permit = self.client.permit(target, Operation::ListChannelMemberships, &self.urgency).await;
                self.client.list_page(permit, target, token).await
            });
            members.extend(listed.await?);
        }
        Ok(sorted(members))
    }

    /// The ARNs of an app instance's channels, sorted and each once.
    pub async fn channels(&self, whose: &ChannelsOf) -> Result<Vec<String>, CallError> {
        let listed = self.list(async |token| {
            let permit = self.client.permit_of_bearer(&whose.bearer, Operation::ListChannels, &self.urgency).await;
            self.client.channels_page(permit, whose, token).await
        });
        Ok(sorted(listed.await?).into_iter().map(|it| it.arn).collect())
    }

    /// All pages of a list, which is begun anew where a token was not good any more.
    async fn list(
        &self,
        page: impl AsyncFn(Option<&str>) -> Result<Page, CallError>,
    ) -> Result<Vec<Person>, CallError> {
        let mut restarts = 0;
        loop {
            match self.all_pages(&page).await? {
                Ok(all) => return Ok(all),
                Err(stale) if restarts == MOST_RESTARTS => return Err(stale),
                Err(_) => restarts += 1,
            }
        }
    }

    /// All pages of a list; the inner error is one of its tokens.
    async fn all_pages(
        &self,
        page: &impl AsyncFn(Option<&str>) -> Result<Page, CallError>,
    ) -> Result<Result<Vec<Person>, CallError>, CallError> {
        let (mut all, mut token) = (Vec::new(), None::<String>);
        for _ in 0..MOST_PAGES {
            let Page { items, names, next } = match self.answer(async || page(token.as_deref()).await).await {
                Err(error) if token.is_some() && error.class == CallErrorClass::Refused => return Ok(Err(error)),
                answer => answer?,
            };
            let names = names.into_iter().chain(std::iter::repeat(None));
            all.extend(items.into_iter().zip(names).map(|(arn, name)| Person { arn, name }));
            match next {
                None => return Ok(Ok(all)),
                next if next == token => return Ok(Err(odd("the same page token came twice"))),
                next => token = next,
            }
        }
        Err(odd("the list does not end"))
    }

    async fn answer<T>(&self, ask: impl AsyncFn() -> Result<T, CallError>) -> Result<T, CallError> {
        answer(MOST_FAILURES, self.remark, ask).await
    }
}

/// A call's answer; one that may pass by itself is made again until it has failed so often. `remark` is told of each failure after
/// which there is another try, and when that is.
pub async fn answer<T>(
    most_failures: u32,
    remark: &dyn Fn(&CallError, Duration),
    ask: impl AsyncFn() -> Result<T, CallError>,
) -> Result<T, CallError> {
    let mut backoff = Backoff::default();
    loop {
        match ask().await {
            Err(error) if error.class.is_passing() && backoff.failures() + 1 < most_failures => {
                let rest = backoff.failed(fastrand::f64());
                remark(&error, rest);
                tokio::time::sleep(rest).await;
            }
            answer => return answer,
        }
    }
}

/// Lists overlap where somebody moves from one sub-channel to another while they are read.
fn sorted(mut people: Vec<Person>) -> Vec<Person> {
    people.sort();
    people.dedup_by(|one, other| one.arn == other.arn);
    people
}

/// An answer that the service's model does not allow for.
fn odd(message: &str) -> CallError {
    CallError::unnamed(CallErrorClass::Refused, Operation::ListChannelMemberships, "UnreadableAnswer", message)
}
