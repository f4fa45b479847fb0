//! `--live`: reads memberships from the service.

use std::collections::HashMap;

use crate::api::MembershipType;
use crate::chime::client::Client;
use crate::chime::port::Target;
use crate::chime::rate_limit::QuotaShare;
use crate::chime::reader::{ListedMember, Reader};
use crate::chime::sdk::Sdk;
use crate::cli::shared::failure::Failure;
use crate::cli::shared::member_lookup::Live;
use crate::cli::shared::service_flags::ServiceArgs;
use crate::membership::arn::{ChannelArn, MemberArn};

/// The number of attempts of a call; a person waits for the answer.
const TRIES: u32 = 4;

// Flags that decide about calls of the service. (A doc comment would become the help's
// introduction.)
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct LiveArgs {
    /// Ask the service too, with your AWS credentials. The bearer is --chime-bearer, else the
    /// resource's bearer.
    #[arg(long, env = "ROLLCALL_LIVE", value_parser = clap::builder::BoolishValueParser::new())]
    pub live: bool,

    #[command(flatten)]
    service: ServiceArgs,
}

/// The service, and the bearers for its calls.
pub(in crate::cli) struct LiveService {
    client: Client<Sdk>,
    /// The bearers by app instance.
    bearers: HashMap<String, MemberArn>,
    /// The address of the service, if it is not AWS.
    pub endpoint: Option<String>,
}

impl LiveArgs {
    /// Returns the service if --live is given. `known` are the bearers of resources, for app
    /// instances without a --chime-bearer. It makes no call.
    pub async fn service<'a>(&self, known: impl IntoIterator<Item = &'a str>) -> Result<Option<LiveService>, Failure> {
        if !self.live {
            return Ok(None);
        }
        self.service.check_bearers()?;
        let (client, endpoint) = self.service.client(QuotaShare::BESIDE_OPERATOR).await?;
        let mut bearers: HashMap<String, MemberArn> = HashMap::new();
        let known = known.into_iter().filter_map(|arn| MemberArn::parse(arn).ok());
        for bearer in self.service.chime_bearer.iter().cloned().chain(known) {
            bearers.entry(bearer.app_instance().to_owned()).or_insert(bearer);
        }
        if let Some(endpoint) = &endpoint {
            eprintln!("note: the service is {endpoint}, not AWS");
        }
        Ok(Some(LiveService { client, bearers, endpoint }))
    }
}

impl LiveService {
    /// Returns the app instances that have a bearer.
    pub fn app_instances(&self) -> impl Iterator<Item = &str> {
        self.bearers.keys().map(String::as_str)
    }

    /// Returns the bearer of an app instance.
    pub fn bearer(&self, app_instance: &str) -> Option<&MemberArn> {
        self.bearers.get(app_instance)
    }

    fn target(&self, channel: &ChannelArn, membership_type: MembershipType) -> Result<Target, String> {
        let instance = channel.app_instance();
        let bearer = self.bearer(instance).cloned();
        let bearer = bearer.ok_or_else(|| no_bearer(instance))?;
        Ok(Target { channel: channel.clone(), membership_type, bearer, sub_channel: None })
    }

    /// Reads one membership; with `roles`, also whether the member created the channel or moderates
    /// it.
    pub async fn describe_member(&self, channel: &ChannelArn, member: &MemberArn, roles: bool) -> Live {
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
            // A role that may not be read counts as absent; the membership is known.
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

    /// Lists the channels of a user, as ListChannelMembershipsForAppInstanceUser shows them.
    pub async fn list_channels_of(
        &self,
        user: &MemberArn,
    ) -> Result<Vec<(ChannelArn, Option<MembershipType>)>, String> {
        let instance = user.app_instance();
        let bearer = self.bearer(instance).ok_or_else(|| no_bearer(instance))?;
        let all = self.reader().list_user_channels(bearer, user).await.map_err(|error| error.to_string())?;
        let read = |(arn, of): (String, _)| match ChannelArn::parse(&arn) {
            Ok(channel) => Ok((channel, of)),
            Err(error) => Err(error.to_string()),
        };
        all.into_iter().map(read).collect()
    }

    /// Lists the members of one type, with their display names.
    pub async fn list_members(
        &self,
        channel: &ChannelArn,
        membership_type: MembershipType,
    ) -> Result<Vec<ListedMember>, String> {
        let target = self.target(channel, membership_type)?;
        let reader = self.reader();
        // A bearer that may not describe a channel may still list it.
        let elastic = reader.describe_channel(&target).await.is_ok_and(|info| info.elastic);
        reader.list_members(&target, elastic).await.map_err(|error| error.to_string())
    }

    fn reader(&self) -> Reader<'_, Sdk> {
        // Retries of a single lookup are not reported.
        Reader::new(&self.client, TRIES, &|_, _| {})
    }
}

fn no_bearer(app_instance: &str) -> String {
    format!("no bearer is known for {app_instance}: give --chime-bearer")
}
