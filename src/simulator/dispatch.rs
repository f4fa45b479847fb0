//! Dispatch of a call to its operation, and the parts that several operations share.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::actor::Actor;
use super::api_error::ApiError;
use super::behaviours::MissingCode;
use super::call::{ApiCall, ApiResponse, parse_member};
use super::channel::ChannelRecord;
use super::operation::ApiOperation;
use super::roles::BearerRole;
use super::state::ServiceState;
use crate::membership::arn::{ChannelArn, MemberArn};

/// The channel of a call, and the role of its bearer there.
type ChannelOfCall<'c, 's> = (&'c ChannelArn, &'s ChannelRecord, BearerRole);

impl ServiceState {
    /// Executes a call.
    pub fn dispatch_call(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        if !call.routed.operation.is_identity() && !self.users.contains_key(call.bearer()?) {
            return Err(ApiError::unknown_bearer());
        }
        match call.routed.operation {
            ApiOperation::BatchCreateChannelMembership => self.batch_create_membership(call),
            ApiOperation::CreateChannelMembership => self.create_membership(call),
            ApiOperation::DescribeChannelMembership => self.describe_membership(call),
            ApiOperation::ListChannelMemberships => self.list_memberships(call),
            ApiOperation::DeleteChannelMembership => self.delete_membership(call),
            ApiOperation::ListChannelMembershipsForAppInstanceUser => self.list_memberships_of_user(call),
            ApiOperation::CreateChannel => self.create_channel(call),
            ApiOperation::DescribeChannel => self.describe_channel(call),
            ApiOperation::ListChannels => self.list_channels(call),
            ApiOperation::DeleteChannel => self.call_delete_channel(call),
            ApiOperation::ListSubChannels => self.list_sub_channels(call),
            ApiOperation::CreateChannelModerator => self.create_moderator(call),
            ApiOperation::DescribeChannelModerator => self.describe_moderator(call),
            ApiOperation::ListChannelModerators => self.list_moderators(call),
            ApiOperation::DeleteChannelModerator => self.delete_moderator(call),
            ApiOperation::CreateChannelBan => self.create_ban(call),
            ApiOperation::DescribeChannelBan => self.describe_ban(call),
            ApiOperation::ListChannelBans => self.list_bans(call),
            ApiOperation::DeleteChannelBan => self.delete_ban(call),
            ApiOperation::CreateAppInstance => self.create_app_instance(call),
            ApiOperation::CreateAppInstanceUser => self.create_user(call),
            ApiOperation::DeleteAppInstanceUser => self.call_delete_user(call),
            ApiOperation::CreateAppInstanceBot => self.create_bot(call),
            ApiOperation::CreateAppInstanceAdmin => self.create_admin(call),
            ApiOperation::DeleteAppInstanceAdmin => self.delete_admin(call),
        }
    }

    /// Returns the channel of a call that reads or deletes, and the role of its bearer there.
    pub(super) fn channel_to_read<'c>(&self, call: &'c ApiCall<'_>) -> Result<ChannelOfCall<'c, '_>, ApiError> {
        self.find_channel(call, self.behaviours.missing_channel_read)
    }

    /// Returns the channel of a call that adds, and the role of its bearer there.
    pub(super) fn channel_to_add_to<'c>(&self, call: &'c ApiCall<'_>) -> Result<ChannelOfCall<'c, '_>, ApiError> {
        self.find_channel(call, self.behaviours.missing_channel_write)
    }

    /// Returns the channel of a call that needs a moderator or an admin.
    pub(super) fn channel_to_moderate<'c>(
        &self,
        call: &'c ApiCall<'_>,
    ) -> Result<(&'c ChannelArn, &ChannelRecord), ApiError> {
        let (arn, channel, role) = self.channel_to_read(call)?;
        role.may_moderate()?;
        Ok((arn, channel))
    }

    fn find_channel<'c>(&self, call: &'c ApiCall<'_>, missing: MissingCode) -> Result<ChannelOfCall<'c, '_>, ApiError> {
        let (arn, bearer) = (call.channel()?, call.bearer()?);
        if arn.app_instance() != bearer.app_instance() {
            return Err(ApiError::forbidden("The bearer is of another app instance than the channel"));
        }
        let channel = self.channels.get(arn).ok_or_else(|| match missing {
            MissingCode::Forbidden => ApiError::forbidden("The channel is not accessible to the bearer"),
            MissingCode::NotFound => ApiError::not_found("The channel was not found"),
        })?;
        Ok((arn, channel, BearerRole::in_channel(bearer, self.is_admin(bearer), channel)))
    }

    /// Returns a user or bot as responses show it.
    pub(super) fn identity(&self, arn: &MemberArn) -> Value {
        without_nulls(json!({"Arn": arn.as_str(), "Name": self.users.get(arn).map(|user| &user.name)}))
    }

    /// Returns a user or bot in the input of a call. It must be of the channel's app instance.
    pub(super) fn user_from_input(&self, channel: &ChannelArn, arn: &str) -> Result<MemberArn, ApiError> {
        let member = parse_member(arn)?;
        match self.users.get_key_value(&member) {
            Some((known, _)) if known.app_instance() == channel.app_instance() => Ok(known.clone()),
            _ => Err(ApiError::forbidden("An invalid app instance user ARN was supplied for the input parameter")),
        }
    }

    /// Converts a time since the simulator's start to the seconds since 1970 of a JSON response.
    pub(super) fn epoch_seconds(&self, at: Duration) -> f64 {
        as_seconds(self.started + at)
    }
}

/// Returns seconds with a precision of a millisecond.
pub(super) fn as_seconds(time: Duration) -> f64 {
    u32::try_from(time.as_secs()).map_or(0.0, f64::from) + f64::from(time.subsec_millis()) / 1000.0
}

impl ApiCall<'_> {
    /// Returns the author of the changes that this call makes.
    pub(super) fn actor(&self) -> Actor<'_> {
        Actor { bearer: self.bearer.as_ref(), operation: Some(self.routed.operation) }
    }
}

/// Removes the fields without a value, as the service does.
pub(super) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            Value::Object(map.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
        }
        other => other,
    }
}
