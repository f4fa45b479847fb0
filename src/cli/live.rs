//! `--live`: what does the service itself say, to whoever runs the command?

mod everywhere;

use std::collections::HashMap;

pub(super) use self::everywhere::{Looked, look, members};
use super::Failure;
use super::person::Live;
use super::service::ServiceArgs;
use crate::api::MembershipType;
use crate::chime::client::Client;
use crate::chime::port::Target;
use crate::chime::rate_limit::QuotaShare;
use crate::chime::reader::{ListedMember, Reader};
use crate::chime::sdk::Sdk;
use crate::membership::arn::{ChannelArn, MemberArn};

/// A call that may pass is made so often: somebody waits.
const TRIES: u32 = 4;

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
        let (client, endpoint) = self.service.client(QuotaShare::BESIDE_OPERATOR).await?;
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
        let reader = self.reader();
        let membership = match reader.describe_membership(&target, member).await {
            Ok(None) => return Live::Out,
            Err(error) => return unknown(error.to_string()),
            Ok(Some(membership)) => membership,
        };
        let (mut creator, mut moderator) = (false, false);
        if roles {
            // What may not be asked is left open: that they are there is known.
            let info = reader.describe_channel(&target).await.unwrap_or_default();
            creator = info.created_by.as_deref() == Some(member.as_str());
            let moderators = reader.list_moderators(&target).await.unwrap_or_default();
            moderator = moderators.iter().any(|moderator| moderator == member.as_str());
        }
        Live::In {
            membership_type: membership.membership_type,
            invited_by: membership.invited_by,
            since: membership.created,
            creator,
            moderator,
        }
    }

    /// Every channel that a user is in, as far as ListChannelMembershipsForAppInstanceUser shows.
    pub async fn channels_of(&self, user: &MemberArn) -> Result<Vec<(ChannelArn, Option<MembershipType>)>, String> {
        let instance = user.app_instance();
        let bearer = self.bearer(instance).ok_or_else(|| no_bearer(instance))?;
        let all = self.reader().list_user_channels(bearer, user).await.map_err(|error| error.to_string())?;
        let read = |(arn, of): (String, _)| match ChannelArn::parse(&arn) {
            Ok(channel) => Ok((channel, of)),
            Err(error) => Err(error.to_string()),
        };
        all.into_iter().map(read).collect()
    }

    /// Everybody in a channel of one type, with their names.
    pub async fn members(
        &self,
        channel: &ChannelArn,
        membership_type: MembershipType,
    ) -> Result<Vec<ListedMember>, String> {
        let target = self.target(channel, membership_type)?;
        let reader = self.reader();
        // Who may not describe a channel may still list one.
        let elastic = reader.describe_channel(&target).await.is_ok_and(|info| info.elastic);
        reader.list_members(&target, elastic).await.map_err(|error| error.to_string())
    }

    fn reader(&self) -> Reader<'_, Sdk> {
        // Who asks about one person waits for an answer, and not for news of it.
        Reader::new(&self.client, TRIES, &|_, _| {})
    }
}

fn no_bearer(app_instance: &str) -> String {
    format!("no bearer is known for {app_instance}: give --chime-bearer")
}
