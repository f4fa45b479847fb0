//! The operations on channels and sub-channels.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::api_error::ApiError;
use super::call::{ApiCall, ApiResponse};
use super::channel::{ChannelMode, ChannelPrivacy, ChannelRecord, CreationRecord, ElasticConfiguration, ElasticState};
use super::dispatch::without_nulls;
use super::membership_store::MembershipStore;
use super::state::{NewMembership, ServiceState};
use crate::api::MembershipType;
use crate::membership::arn::{ChannelArn, MemberArn};

/// The maximum number of members, and of moderators, in CreateChannel (service model).
const MAX_AT_CREATION: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateChannelRequest {
    app_instance_arn: String,
    name: String,
    client_request_token: String,
    #[serde(default)]
    mode: Option<ChannelMode>,
    #[serde(default)]
    privacy: Option<ChannelPrivacy>,
    metadata: Option<String>,
    channel_id: Option<String>,
    #[serde(default)]
    member_arns: Vec<String>,
    #[serde(default)]
    moderator_arns: Vec<String>,
    elastic_channel_configuration: Option<ElasticConfiguration>,
}

/// Returns a channel as an item of a list.
pub(super) fn channel_summary(arn: &ChannelArn, channel: &ChannelRecord) -> Value {
    without_nulls(json!({
        "Name": channel.name,
        "ChannelArn": arn.as_str(),
        "Mode": channel.mode,
        "Privacy": channel.privacy,
        "Metadata": channel.metadata,
    }))
}

impl ServiceState {
    pub(super) fn create_channel(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let body: CreateChannelRequest = call.json()?;
        let bearer = call.bearer()?.clone();
        let arn = self.arn_of_new_channel(&body, &bearer)?;
        if body.name.is_empty() || body.name.len() > 256 {
            return Err(ApiError::bad_request("Name takes 1 to 256 characters"));
        }
        if body.member_arns.len() > MAX_AT_CREATION || body.moderator_arns.len() > MAX_AT_CREATION {
            return Err(ApiError::bad_request("MemberArns and ModeratorArns take 10 at most"));
        }
        let elastic = body.elastic_channel_configuration;
        if let Some(configuration) = elastic {
            self.check_elastic(&arn, &body, configuration)?;
        }
        let token = (bearer.clone(), body.client_request_token.clone());
        if let Some(made) = self.created_by_token.get(&token).filter(|made| self.channels.contains_key(made)) {
            return ApiResponse::json(201, &json!({"ChannelArn": made.as_str()}));
        }
        if self.channels.contains_key(&arn) {
            return Err(ApiError::conflict("A channel with this id exists already"));
        }
        let from_input = |arns: &[String]| {
            arns.iter().map(|member| self.user_from_input(&arn, member)).collect::<Result<Vec<_>, _>>()
        };
        // A set, because a user may be named twice.
        let mut members: BTreeSet<_> = from_input(&body.member_arns)?.into_iter().collect();
        let mut moderators = from_input(&body.moderator_arns)?;
        moderators.push(bearer.clone());
        if elastic.is_none() {
            members.insert(bearer.clone());
        }
        let created = CreationRecord { by: bearer.clone(), at: call.now };
        let mode = if elastic.is_some() { ChannelMode::Restricted } else { body.mode.unwrap_or_default() };
        let channel = ChannelRecord {
            name: body.name,
            mode,
            privacy: body.privacy.unwrap_or_default(),
            metadata: body.metadata,
            created_by: bearer,
            created: call.now,
            default_members: MembershipStore::default(),
            hidden_members: MembershipStore::default(),
            moderators: moderators.into_iter().map(|moderator| (moderator, created.clone())).collect(),
            bans: [].into(),
            elastic: elastic.map(ElasticState::new),
        };
        // All members are checked before the first change, so that a refused call leaves no trace.
        for member in &members {
            self.may_join(&arn, &channel, member, MembershipType::Default)?;
        }
        if elastic.is_none() && members.len() > self.limits.members_per_channel {
            return Err(ApiError::limit_reached("members of the channel"));
        }
        self.channels.insert(arn.clone(), channel);
        self.created_by_token.insert(token, arn.clone());
        for member in &members {
            self.insert_member(&NewMembership {
                channel: &arn,
                member,
                membership_type: MembershipType::Default,
                delay: self.delay,
                now: call.now,
                actor: call.actor(),
            });
        }
        ApiResponse::json(201, &json!({"ChannelArn": arn.as_str()}))
    }

    fn arn_of_new_channel(&self, body: &CreateChannelRequest, bearer: &MemberArn) -> Result<ChannelArn, ApiError> {
        let id = body.channel_id.clone().unwrap_or_else(random_id);
        let arn = ChannelArn::parse(&format!("{}/channel/{id}", body.app_instance_arn))
            .map_err(|_| ApiError::bad_request("AppInstanceArn or ChannelId is not well-formed"))?;
        if !self.app_instances.contains(arn.app_instance()) || bearer.app_instance() != arn.app_instance() {
            return Err(ApiError::forbidden("The bearer is not of this app instance"));
        }
        Ok(arn)
    }

    fn check_elastic(
        &self,
        arn: &ChannelArn,
        body: &CreateChannelRequest,
        configuration: ElasticConfiguration,
    ) -> Result<(), ApiError> {
        if !configuration.is_valid() {
            return Err(ApiError::bad_request("ElasticChannelConfiguration is out of its bounds"));
        }
        if !body.member_arns.is_empty() {
            return Err(ApiError::bad_request("An elastic channel takes no MemberArns at creation"));
        }
        if body.mode == Some(ChannelMode::Unrestricted) {
            return Err(ApiError::bad_request("An elastic channel is RESTRICTED"));
        }
        if arn.region() != "us-east-1" {
            return Err(ApiError::bad_request("Elastic channels are in us-east-1 only"));
        }
        let elastic = self
            .channels
            .iter()
            .filter(|(other, channel)| other.app_instance() == arn.app_instance() && channel.elastic.is_some());
        if elastic.count() >= self.limits.elastic_channels_per_app_instance {
            return Err(ApiError::limit_reached("elastic channels"));
        }
        Ok(())
    }

    pub(super) fn describe_channel(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let (arn, channel, role) = self.channel_to_read(call)?;
        role.may_read(channel, MembershipType::Default)?;
        let mut described = channel_summary(arn, channel);
        described["CreatedBy"] = self.identity(&channel.created_by);
        for key in ["CreatedTimestamp", "LastUpdatedTimestamp"] {
            described[key] = self.epoch_seconds(channel.created).into();
        }
        if let Some(elastic) = &channel.elastic {
            described["ElasticChannelConfiguration"] = json!(elastic.configuration);
        }
        ApiResponse::json(200, &json!({"Channel": described}))
    }

    pub(super) fn list_channels(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let app_instance = call
            .routed
            .parameter("app-instance-arn")
            .ok_or_else(|| ApiError::bad_request("app-instance-arn is missing"))?;
        let privacy = match call.routed.parameter("privacy") {
            None | Some("PUBLIC") => ChannelPrivacy::Public,
            Some("PRIVATE") => ChannelPrivacy::Private,
            Some(other) => {
                return Err(ApiError::bad_request(format!("privacy {other:?} is neither PUBLIC nor PRIVATE")));
            }
        };
        let page = call.page(&format!("{app_instance} {privacy:?}"), self.behaviours.default_page_size)?;
        let bearer = call.bearer()?;
        if bearer.app_instance() != app_instance {
            return Err(ApiError::forbidden("The bearer is not of this app instance"));
        }
        if privacy == ChannelPrivacy::Private && !self.is_admin(bearer) {
            return Err(ApiError::missing_role("an AppInstanceAdmin to list PRIVATE channels"));
        }
        let channels = self
            .channels
            .iter()
            .filter(|(arn, channel)| arn.app_instance() == app_instance && channel.privacy == privacy)
            .map(|(arn, channel)| (arn.as_str(), (arn, channel)));
        let (channels, next) = page.paginate(channels);
        let channels: Vec<_> = channels.into_iter().map(|(arn, channel)| channel_summary(arn, channel)).collect();
        ApiResponse::json(200, &without_nulls(json!({"Channels": channels, "NextToken": next})))
    }

    pub(super) fn call_delete_channel(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let (arn, _) = self.channel_to_moderate(call)?;
        self.delete_channel(arn);
        Ok(ApiResponse::no_content())
    }

    pub(super) fn list_sub_channels(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let page = call.page("", self.behaviours.default_page_size)?;
        let (arn, channel) = self.channel_to_moderate(call)?;
        let elastic =
            channel.elastic.as_ref().ok_or_else(|| ApiError::bad_request("The channel is not an elastic channel"))?;
        let (sub_channels, next) = page.paginate(
            elastic
                .sub_channels
                .iter()
                .map(|(id, members)| (id.as_str(), json!({"SubChannelId": id, "MembershipCount": members.len()}))),
        );
        let response =
            json!({"ChannelArn": arn.as_str(), "SubChannels": sub_channels, "NextToken": call.next_token(next)});
        ApiResponse::json(200, &without_nulls(response))
    }
}

/// Returns a random UUID, for a request or for a new object without an id in the call.
pub(super) fn random_id() -> String {
    let digits = format!("{:032x}", fastrand::u128(..));
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}
