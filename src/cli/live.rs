//! `--live`: what does the service itself say, to whoever runs the command?

use std::collections::HashMap;
use std::time::Duration;

use super::Failure;
use super::person::Live;
use super::service::ServiceArgs;
use crate::api::MembershipType;
use crate::chime::client::Client;
use crate::chime::pace::{Level, Permit, Share, Urgency};
use crate::chime::port::{CallError, CallErrorClass, Operation, Target};
use crate::chime::reader::{Person, Reader, answer};
use crate::chime::sdk::Sdk;
use crate::membership::arn::{ChannelArn, MemberArn};

/// A call that may pass is made so often: somebody waits.
const TRIES: u32 = 4;

/// No list has more pages: a channel holds 10,000 members in 200 pages, a user is in 20,000 channels in 400 (AWS General Reference,
/// Chime SDK messaging quotas).
const MAX_PAGES: usize = 1_000;

// Whether and how the service is asked.
#[derive(Debug, clap::Args)]
pub(super) struct LiveArgs {
    /// Ask the service too, with the AWS credentials of whoever runs this. In whose name: --chime-bearer, else the resource's bearer.
    #[arg(long, env = "ROLLCALL_LIVE", value_parser = clap::builder::BoolishValueParser::new())]
    pub live: bool,

    #[command(flatten)]
    service: ServiceArgs,
}

/// The service, as one who asks sees it.
pub(super) struct Asked {
    client: Client<Sdk>,
    /// By app instance.
    bearers: HashMap<String, MemberArn>,
    /// Where it is, when it is not AWS.
    pub endpoint: Option<String>,
}

impl LiveArgs {
    /// The service, if it is to be asked. `known` are bearers that resources are carried out with, for app instances without a
    /// --chime-bearer. Nothing is called yet.
    pub async fn service<'a>(&self, known: impl IntoIterator<Item = &'a str>) -> Result<Option<Asked>, Failure> {
        if !self.live {
            return Ok(None);
        }
        self.service.one_bearer_an_app_instance()?;
        let (client, endpoint) = self.service.client(Share::ASIDE).await?;
        let mut bearers: HashMap<String, MemberArn> = HashMap::new();
        let known = known.into_iter().filter_map(|arn| MemberArn::parse(arn).ok());
        for bearer in self.service.chime_bearer.iter().cloned().chain(known) {
            bearers.entry(bearer.app_instance().to_owned()).or_insert(bearer);
        }
        if let Some(endpoint) = &endpoint {
            eprintln!("the service that is asked is {endpoint}, and not AWS");
        }
        Ok(Some(Asked { client, bearers, endpoint }))
    }
}

impl Asked {
    /// The app instances that a bearer is known of.
    pub fn app_instances(&self) -> impl Iterator<Item = &str> {
        self.bearers.keys().map(String::as_str)
    }

    /// In whose name channels of an app instance are asked about.
    pub fn bearer(&self, app_instance: &str) -> Option<&MemberArn> {
        self.bearers.get(app_instance)
    }

    fn target(&self, channel: &ChannelArn, membership_type: MembershipType) -> Result<Target, String> {
        let instance = channel.app_instance();
        let bearer = self.bearer(instance).cloned();
        let bearer = bearer.ok_or_else(|| no_bearer(instance))?;
        Ok(Target { channel: channel.clone(), membership_type, bearer, sub_channel: None })
    }

    /// One membership; with `roles`, also whether they, being there, made or moderate the channel.
    pub async fn look(&self, channel: &ChannelArn, member: &MemberArn, roles: bool) -> Live {
        let unknown = |why: String| Live::Unknown { why };
        let target = match self.target(channel, MembershipType::Default) {
            Ok(target) => target,
            Err(why) => return unknown(why),
        };
        let describe = self.again(&target, Operation::DescribeChannelMembership, async |permit| {
            self.client.describe(permit, &target, member).await
        });
        let membership = match describe.await {
            Ok(None) => return Live::Out,
            Err(error) => return unknown(error.to_string()),
            Ok(Some(membership)) => membership,
        };
        let (mut creator, mut moderator) = (false, false);
        if roles {
            // What may not be asked is left open: that they are there is known.
            if let Ok(info) = self
                .again(&target, Operation::DescribeChannel, async |permit| {
                    self.client.describe_channel(permit, &target).await
                })
                .await
            {
                creator = info.created_by.as_deref() == Some(member.as_str());
            }
            moderator = self.moderates(&target, member).await.unwrap_or_default();
        }
        Live::In {
            membership_type: membership.membership_type,
            invited_by: membership.invited_by,
            since: membership.created,
            creator,
            moderator,
        }
    }

    async fn moderates(&self, target: &Target, member: &MemberArn) -> Result<bool, CallError> {
        let all = self.pages(async |token: Option<String>| {
            let operation = Operation::ListChannelModerators;
            let call = self.again(target, operation, async |permit| {
                self.client.moderators_page(permit, target, token.as_deref()).await
            });
            call.await.map(|page| (page.items, page.next))
        });
        Ok(all.await?.iter().any(|moderator| moderator == member.as_str()))
    }

    /// Every channel that a user is in, as far as ListChannelMembershipsForAppInstanceUser shows.
    pub async fn channels_of(&self, user: &MemberArn) -> Result<Vec<(ChannelArn, Option<MembershipType>)>, String> {
        let (instance, operation) = (user.app_instance(), Operation::ListChannelMembershipsForAppInstanceUser);
        let bearer = self.bearer(instance).ok_or_else(|| no_bearer(instance))?;
        let all = self.pages(async |token: Option<String>| {
            let call = answer(TRIES, &without_a_word, async || {
                let permit = self.client.permit_of_bearer(bearer, operation, &Urgency::new(Level::Edit)).await;
                self.client.memberships_page(permit, bearer, user, token.as_deref()).await
            });
            call.await.map(|page| (page.channels, page.next))
        });
        let all = all.await.map_err(|error| error.to_string())?;
        let read = |(arn, of): (String, _)| match ChannelArn::parse(&arn) {
            Ok(channel) => Ok((channel, of)),
            Err(error) => Err(error.to_string()),
        };
        all.into_iter().map(read).collect()
    }

    /// Everybody in a channel of one type, with their names.
    pub async fn members(&self, channel: &ChannelArn, membership_type: MembershipType) -> Result<Vec<Person>, String> {
        let target = self.target(channel, membership_type)?;
        let reader = Reader::new(&self.client, &without_a_word);
        // Who may not describe a channel may still list one.
        let elastic = reader.channel(&target).await.is_ok_and(|info| info.elastic);
        reader.members(&target, elastic).await.map_err(|error| error.to_string())
    }

    /// All pages of a list.
    async fn pages<T>(
        &self,
        page: impl AsyncFn(Option<String>) -> Result<(Vec<T>, Option<String>), CallError>,
    ) -> Result<Vec<T>, CallError> {
        let (mut all, mut token) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let (items, next) = page(token.take()).await?;
            all.extend(items);
            match next {
                None => return Ok(all),
                Some(next) => token = Some(next),
            }
        }
        let (class, operation) = (CallErrorClass::Refused, Operation::ListChannelMemberships);
        Err(CallError::unnamed(class, operation, "EndlessList", format!("more than {MAX_PAGES} pages")))
    }

    /// Makes a call at its turn, and again if it may pass.
    async fn again<T>(
        &self,
        target: &Target,
        operation: Operation,
        call: impl AsyncFn(Permit) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        answer(TRIES, &without_a_word, async || {
            let permit = self.client.permit(target, operation, &Urgency::new(Level::Edit)).await;
            call(permit).await
        })
        .await
    }
}

fn no_bearer(app_instance: &str) -> String {
    format!("no bearer is known for {app_instance}: give --chime-bearer")
}

/// Who asks about one person waits for an answer, and not for news of it.
fn without_a_word(_: &CallError, _: Duration) {}
