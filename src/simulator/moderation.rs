//! The operations on moderators and bans.

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
        let (arn, channel) = self.channel_to_moderate(call)?;
        let user = self.user_from_input(arn, &body.channel_moderator_arn)?;
        if channel.moderators.contains_key(&user) {
            return Err(ApiError::conflict("The user is already a moderator of the channel"));
        }
        if channel.bans.contains_key(&user) {
            return Err(ApiError::forbidden("The user is banned from the channel"));
        }
        if channel.moderators.len() >= self.limits.moderators_per_channel {
            return Err(ApiError::limit_reached("moderators of the channel"));
        }
        self.end_elastic_membership(arn, &user, call);
        let created = CreationRecord { by: call.bearer()?.clone(), at: call.now };
        if let Some(channel) = self.channels.get_mut(arn) {
            channel.moderators.insert(user.clone(), created);
        }
        ApiResponse::json(201, &json!({"ChannelArn": arn.as_str(), "ChannelModerator": self.identity(&user)}))
    }

    pub(super) fn delete_moderator(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let user = call.member()?;
        let (arn, channel) = self.channel_to_moderate(call)?;
        if channel.moderators.contains_key(&user) {
            self.end_elastic_membership(arn, &user, call);
        }
        if let Some(channel) = self.channels.get_mut(arn) {
            channel.moderators.remove(&user);
        }
        Ok(ApiResponse::no_content())
    }

    /// Ends the membership of a user that becomes, or ceases to be, a moderator of an elastic
    /// channel (Amazon Chime SDK Developer Guide, elastic channels).
    fn end_elastic_membership(&mut self, arn: &ChannelArn, user: &MemberArn, call: &ApiCall<'_>) {
        if self.channels.get(arn).is_some_and(|channel| channel.elastic.is_some()) {
            self.remove_member(arn, user, call.now, call.actor());
        }
    }

    pub(super) fn describe_moderator(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let user = call.member()?;
        let (arn, channel) = self.channel_to_moderate(call)?;
        let created =
            channel.moderators.get(&user).ok_or_else(|| ApiError::not_found("The channel moderator was not found"))?;
        ApiResponse::json(200, &json!({"ChannelModerator": self.creation_json("Moderator", arn, &user, created)}))
    }

    pub(super) fn list_moderators(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let (arn, channel) = self.channel_to_moderate(call)?;
        self.list_users_page(call, arn, "ChannelModerators", "Moderator", &channel.moderators)
    }

    pub(super) fn create_ban(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let body: CreateBanRequest = call.json()?;
        let (arn, channel) = self.channel_to_moderate(call)?;
        let user = self.user_from_input(arn, &body.member_arn)?;
        if channel.moderators.contains_key(&user) || self.is_admin(&user) {
            return Err(ApiError::bad_request("Admins and moderators of the channel cannot be banned"));
        }
        if !self.ban_member(arn, &user, call.now, call.actor()) {
            return Err(ApiError::conflict("The user is already banned from the channel"));
        }
        ApiResponse::json(201, &json!({"ChannelArn": arn.as_str(), "Member": self.identity(&user)}))
    }

    pub(super) fn delete_ban(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let user = call.member()?;
        let (arn, _) = self.channel_to_moderate(call)?;
        self.lift_ban(arn, &user);
        Ok(ApiResponse::no_content())
    }

    pub(super) fn describe_ban(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let user = call.member()?;
        let (arn, channel) = self.channel_to_moderate(call)?;
        let created = channel.bans.get(&user).ok_or_else(|| ApiError::not_found("The channel ban was not found"))?;
        ApiResponse::json(200, &json!({"ChannelBan": self.creation_json("Member", arn, &user, created)}))
    }

    pub(super) fn list_bans(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let (arn, channel) = self.channel_to_moderate(call)?;
        self.list_users_page(call, arn, "ChannelBans", "Member", &channel.bans)
    }

    /// Returns a moderator or a ban as JSON. `key` is the field of the user.
    fn creation_json(&self, key: &str, arn: &ChannelArn, user: &MemberArn, created: &CreationRecord) -> Value {
        json!({
            key: self.identity(user),
            "ChannelArn": arn.as_str(),
            "CreatedTimestamp": self.epoch_seconds(created.at),
            "CreatedBy": self.identity(&created.by),
        })
    }

    /// Returns a page of moderators or bans. `list` is its field, `key` the field of a user.
    fn list_users_page(
        &self,
        call: &ApiCall<'_>,
        arn: &ChannelArn,
        list: &str,
        key: &str,
        users: &BTreeMap<MemberArn, CreationRecord>,
    ) -> Result<ApiResponse, ApiError> {
        let page = call.page("", self.behaviours.default_page_size)?;
        let (users, next) = page.paginate(users.keys().map(|user| (user.as_str(), json!({key: self.identity(user)}))));
        let response = json!({"ChannelArn": arn.as_str(), list: users, "NextToken": call.next_token(next)});
        ApiResponse::json(200, &without_nulls(response))
    }
}
