//! How do the operations about moderators and bans answer?

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::api_error::ApiError;
use super::call::{ApiCall, ApiResponse};
use super::channel::CreationRecord;
use super::dispatch::without_nulls;
use super::state::ServiceState;
use crate::membership::arn::{ChannelArn, MemberArn};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateModeratorRequest {
    channel_moderator_arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateBanRequest {
    member_arn: String,
}

impl ServiceState {
    pub(super) fn create_moderator(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let body: CreateModeratorRequest = call.json()?;
        let (arn, channel, role) = self.channel_to_read(call)?;
        role.may_moderate()?;
        let user = self.user_from_input(arn, &body.channel_moderator_arn)?;
        if channel.moderators.contains_key(&user) {
            return Err(ApiError::conflict("The user is already a moderator of the channel"));
        }
        if channel.bans.contains_key(&user) {
            return Err(ApiError::forbidden("The user is banned from the channel"));
        }
        if channel.moderators.len() >= self.limits.moderators_per_channel {
            return Err(ApiError::limit_exceeded("The number of moderators of the channel has reached its limit"));
        }
        self.change_role(arn, &user, call);
        let grant = CreationRecord { by: call.bearer()?.clone(), at: call.now };
        if let Some(channel) = self.channels.get_mut(arn) {
            channel.moderators.insert(user.clone(), grant);
        }
        ApiResponse::json(201, &json!({"ChannelArn": arn.as_str(), "ChannelModerator": self.identity(&user)}))
    }

    pub(super) fn delete_moderator(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let user = call.member()?;
        let (arn, channel, role) = self.channel_to_read(call)?;
        role.may_moderate()?;
        if channel.moderators.contains_key(&user) {
            self.change_role(arn, &user, call);
        }
        if let Some(channel) = self.channels.get_mut(arn) {
            channel.moderators.remove(&user);
        }
        Ok(ApiResponse::empty())
    }

    /// Promotion and demotion in an elastic channel delete the memberships that the user has (Amazon Chime SDK Developer
    /// Guide, elastic channels).
    fn change_role(&mut self, arn: &ChannelArn, user: &MemberArn, call: &ApiCall<'_>) {
        if self.channels.get(arn).is_some_and(|channel| channel.elastic.is_some()) {
            self.remove_member(arn, user, call.now, call.actor());
        }
    }

    pub(super) fn describe_moderator(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let user = call.member()?;
        let (arn, channel, role) = self.channel_to_read(call)?;
        role.may_moderate()?;
        let grant =
            channel.moderators.get(&user).ok_or_else(|| ApiError::not_found("The channel moderator was not found"))?;
        ApiResponse::json(200, &json!({"ChannelModerator": self.granted("Moderator", arn, &user, grant)}))
    }

    pub(super) fn list_moderators(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let (arn, channel, role) = self.channel_to_read(call)?;
        role.may_moderate()?;
        self.page_of_grants(call, arn, "ChannelModerators", "Moderator", &channel.moderators)
    }

    pub(super) fn create_ban(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let body: CreateBanRequest = call.json()?;
        let (arn, channel, role) = self.channel_to_read(call)?;
        role.may_moderate()?;
        let user = self.user_from_input(arn, &body.member_arn)?;
        if channel.moderators.contains_key(&user) || self.users.get(&user).is_some_and(|user| user.is_admin) {
            return Err(ApiError::bad_request("Admins and moderators of the channel cannot be banned"));
        }
        if !self.ban_member(arn, &user, call.now, call.actor()) {
            return Err(ApiError::conflict("The user is already banned from the channel"));
        }
        ApiResponse::json(201, &json!({"ChannelArn": arn.as_str(), "Member": self.identity(&user)}))
    }

    pub(super) fn delete_ban(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let user = call.member()?;
        let (arn, _, role) = self.channel_to_read(call)?;
        role.may_moderate()?;
        if let Some(channel) = self.channels.get_mut(arn) {
            channel.bans.remove(&user);
        }
        Ok(ApiResponse::empty())
    }

    pub(super) fn describe_ban(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let user = call.member()?;
        let (arn, channel, role) = self.channel_to_read(call)?;
        role.may_moderate()?;
        let grant = channel.bans.get(&user).ok_or_else(|| ApiError::not_found("The channel ban was not found"))?;
        ApiResponse::json(200, &json!({"ChannelBan": self.granted("Member", arn, &user, grant)}))
    }

    pub(super) fn list_bans(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let (arn, channel, role) = self.channel_to_read(call)?;
        role.may_moderate()?;
        self.page_of_grants(call, arn, "ChannelBans", "Member", &channel.bans)
    }

    fn granted(&self, whom: &str, arn: &ChannelArn, user: &MemberArn, grant: &CreationRecord) -> Value {
        json!({
            whom: self.identity(user),
            "ChannelArn": arn.as_str(),
            "CreatedTimestamp": self.epoch_seconds(grant.at),
            "CreatedBy": self.identity(&grant.by),
        })
    }

    fn page_of_grants(
        &self,
        call: &ApiCall<'_>,
        arn: &ChannelArn,
        list: &str,
        whom: &str,
        grants: &BTreeMap<MemberArn, CreationRecord>,
    ) -> Result<ApiResponse, ApiError> {
        let page = call.page("", self.behaviours.default_page_size)?;
        let (users, next) = page.paginate(grants.keys().map(|user| (user.as_str(), user)));
        let users: Vec<_> = users.into_iter().map(|(_, user)| json!({whom: self.identity(user)})).collect();
        ApiResponse::json(
            200,
            &without_nulls(json!({"ChannelArn": arn.as_str(), list: users, "NextToken": call.next_token(next)})),
        )
    }
}
