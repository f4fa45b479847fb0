//! How do the channel operations answer?

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Answer, Call};
use super::channel::{Channel, Elastic, ElasticConfiguration, Grant, Mode, Privacy};
use super::perform::without_nulls;
use super::refusal::{MemberRefusal, Refusal};
use super::roster::Roster;
use super::state::State;
use crate::api::MembershipType;
use crate::membership::arn::{ChannelArn, MemberArn};

/// The most members, and the most moderators, that CreateChannel takes (service model).
const MAX_AT_CREATION: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateBody {
    app_instance_arn: String,
    name: String,
    client_request_token: String,
    #[serde(default)]
    mode: Option<Mode>,
    #[serde(default)]
    privacy: Option<Privacy>,
    metadata: Option<String>,
    channel_id: Option<String>,
    #[serde(default)]
    member_arns: Vec<String>,
    #[serde(default)]
    moderator_arns: Vec<String>,
    elastic_channel_configuration: Option<ElasticConfiguration>,
}

/// A channel as lists show it.
pub(super) fn summary(arn: &ChannelArn, channel: &Channel) -> Value {
    without_nulls(json!({
        "Name": channel.name,
        "ChannelArn": arn.as_str(),
        "Mode": channel.mode,
        "Privacy": channel.privacy,
        "Metadata": channel.metadata,
    }))
}

impl State {
    pub(super) fn create_channel(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let body: CreateBody = call.json()?;
        let bearer = call.bearer()?.clone();
        let arn = self.arn_of_new_channel(&body, &bearer)?;
        if body.name.is_empty() || body.name.len() > 256 {
            return Err(Refusal::bad_request("Name takes 1 to 256 characters"));
        }
        if body.member_arns.len() > MAX_AT_CREATION || body.moderator_arns.len() > MAX_AT_CREATION {
            return Err(Refusal::bad_request("MemberArns and ModeratorArns take 10 at most"));
        }
        let elastic = body.elastic_channel_configuration;
        if let Some(configuration) = elastic {
            self.check_elastic(&arn, &body, configuration)?;
        }
        let token = (bearer.clone(), body.client_request_token.clone());
        if let Some(made) = self.created_by_token.get(&token).filter(|made| self.channels.contains_key(made)) {
            return Answer::json(201, &json!({"ChannelArn": made.as_str()}));
        }
        if self.channels.contains_key(&arn) {
            return Err(Refusal::conflict("A channel with this id exists already"));
        }
        let of_input =
            |arns: &[String]| arns.iter().map(|member| self.input_user(&arn, member)).collect::<Result<Vec<_>, _>>();
        // Named twice: once is enough.
        let mut members: BTreeSet<_> = of_input(&body.member_arns)?.into_iter().collect();
        let mut moderators = of_input(&body.moderator_arns)?;
        moderators.push(bearer.clone());
        if elastic.is_none() {
            members.insert(bearer.clone());
        }
        let grant = Grant { by: bearer.clone(), at: call.now };
        let mode = if elastic.is_some() { Mode::Restricted } else { body.mode.unwrap_or_default() };
        let channel = Channel {
            name: body.name,
            mode,
            privacy: body.privacy.unwrap_or_default(),
            metadata: body.metadata,
            created_by: bearer,
            created: call.now,
            default_members: Roster::default(),
            hidden_members: Roster::default(),
            moderators: moderators.into_iter().map(|moderator| (moderator, grant.clone())).collect(),
            bans: [].into(),
            elastic: elastic.map(Elastic::new),
        };
        // Asked before anything is made: who is refused leaves no trace of the others.
        for member in &members {
            self.may_join(&arn, &channel, member, MembershipType::Default).map_err(MemberRefusal::into_call)?;
        }
        if elastic.is_none() && members.len() > self.limits.members_per_channel {
            return Err(Refusal::limit_exceeded("The number of members of the channel has reached its limit"));
        }
        self.channels.insert(arn.clone(), channel);
        self.created_by_token.insert(token, arn.clone());
        for member in &members {
            self.enrol(&arn, member, MembershipType::Default, self.delay, call.now, call.by());
        }
        Answer::json(201, &json!({"ChannelArn": arn.as_str()}))
    }

    fn arn_of_new_channel(&self, body: &CreateBody, bearer: &MemberArn) -> Result<ChannelArn, Refusal> {
        let id = body.channel_id.clone().unwrap_or_else(uuid);
        let arn = ChannelArn::parse(&format!("{}/channel/{id}", body.app_instance_arn))
            .map_err(|_| Refusal::bad_request("AppInstanceArn or ChannelId is not well-formed"))?;
        if !self.app_instances.contains(arn.app_instance()) || bearer.app_instance() != arn.app_instance() {
            return Err(Refusal::forbidden("The bearer is not of this app instance"));
        }
        Ok(arn)
    }

    fn check_elastic(
        &self,
        arn: &ChannelArn,
        body: &CreateBody,
        configuration: ElasticConfiguration,
    ) -> Result<(), Refusal> {
        if !configuration.is_valid() {
            return Err(Refusal::bad_request("ElasticChannelConfiguration is out of its bounds"));
        }
        if !body.member_arns.is_empty() {
            return Err(Refusal::bad_request("An elastic channel takes no MemberArns at creation"));
        }
        if body.mode == Some(Mode::Unrestricted) {
            return Err(Refusal::bad_request("An elastic channel is RESTRICTED"));
        }
        if arn.region() != "us-east-1" {
            return Err(Refusal::bad_request("Elastic channels are in us-east-1 only"));
        }
        let elastic = self
            .channels
            .iter()
            .filter(|(other, channel)| other.app_instance() == arn.app_instance() && channel.elastic.is_some());
        if elastic.count() >= self.limits.elastic_channels_per_app_instance {
            return Err(Refusal::limit_exceeded("The number of elastic channels has reached its limit"));
        }
        Ok(())
    }

    pub(super) fn describe_channel(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let (arn, channel, role) = self.to_read(call)?;
        role.may_read(channel, MembershipType::Default)?;
        let described = without_nulls(json!({
            "Name": channel.name,
            "ChannelArn": arn.as_str(),
            "Mode": channel.mode,
            "Privacy": channel.privacy,
            "Metadata": channel.metadata,
            "CreatedBy": self.identity(&channel.created_by),
            "CreatedTimestamp": self.epoch(channel.created),
            "LastUpdatedTimestamp": self.epoch(channel.created),
            "ElasticChannelConfiguration": channel.elastic.as_ref().map(|elastic| elastic.configuration),
        }));
        Answer::json(200, &json!({"Channel": described}))
    }

    pub(super) fn list_channels(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let app_instance = call
            .routed
            .parameter("app-instance-arn")
            .ok_or_else(|| Refusal::bad_request("app-instance-arn is missing"))?;
        let privacy = match call.routed.parameter("privacy") {
            None | Some("PUBLIC") => Privacy::Public,
            Some("PRIVATE") => Privacy::Private,
            Some(other) => {
                return Err(Refusal::bad_request(format!("privacy {other:?} is neither PUBLIC nor PRIVATE")));
            }
        };
        let page = call.page(&format!("{app_instance} {privacy:?}"), self.switches.default_page_size)?;
        let bearer = call.bearer()?;
        if bearer.app_instance() != app_instance {
            return Err(Refusal::forbidden("The bearer is not of this app instance"));
        }
        if privacy == Privacy::Private && !self.users.get(bearer).is_some_and(|user| user.is_admin) {
            return Err(Refusal::role("an AppInstanceAdmin to list PRIVATE channels"));
        }
        let channels = self
            .channels
            .iter()
            .filter(|(arn, channel)| arn.app_instance() == app_instance && channel.privacy == privacy)
            .map(|(arn, channel)| (arn.as_str(), (arn, channel)));
        let (channels, next) = page.cut(channels);
        let channels: Vec<_> = channels.into_iter().map(|(_, (arn, channel))| summary(arn, channel)).collect();
        Answer::json(200, &without_nulls(json!({"Channels": channels, "NextToken": next})))
    }

    pub(super) fn call_delete_channel(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let (arn, _, role) = self.to_read(call)?;
        role.may_rule()?;
        self.delete_channel(arn);
        Ok(Answer::empty())
    }

    pub(super) fn list_sub_channels(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let page = call.page("", self.switches.default_page_size)?;
        let (arn, channel, role) = self.to_read(call)?;
        role.may_rule()?;
        let elastic =
            channel.elastic.as_ref().ok_or_else(|| Refusal::bad_request("The channel is not an elastic channel"))?;
        let (sub_channels, next) =
            page.cut(elastic.sub_channels.iter().map(|(id, members)| (id.as_str(), members.len())));
        let sub_channels: Vec<_> =
            sub_channels.into_iter().map(|(id, count)| json!({"SubChannelId": id, "MembershipCount": count})).collect();
        let answer =
            json!({"ChannelArn": arn.as_str(), "SubChannels": sub_channels, "NextToken": call.next_token(next)});
        Answer::json(200, &without_nulls(answer))
    }
}

/// The id of a bot or app instance or channel that the caller did not name.
pub(super) fn uuid() -> String {
    let digits = format!("{:032x}", fastrand::u128(..));
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}
