//! Which part of the service answers a call, and how does it show people and times?

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use super::call::{Answer, Call};
use super::channel::Channel;
use super::operation::Operation;
use super::refusal::Refusal;
use super::roles::Role;
use super::state::{By, State};
use super::switches::Missing;
use crate::membership::arn::{ChannelArn, MemberArn};

/// A person as the service shows them.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Identity<'a> {
    arn: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

impl State {
    /// Performs a call.
    pub fn perform(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        if !call.routed.operation.is_identity() && !self.users.contains_key(call.bearer()?) {
            return Err(Refusal::unknown_bearer());
        }
        match call.routed.operation {
            Operation::BatchCreateChannelMembership => self.batch_create_membership(call),
            Operation::CreateChannelMembership => self.create_membership(call),
            Operation::DescribeChannelMembership => self.describe_membership(call),
            Operation::ListChannelMemberships => self.list_memberships(call),
            Operation::DeleteChannelMembership => self.delete_membership(call),
            Operation::ListChannelMembershipsForAppInstanceUser => self.list_memberships_of_user(call),
            Operation::CreateChannel => self.create_channel(call),
            Operation::DescribeChannel => self.describe_channel(call),
            Operation::ListChannels => self.list_channels(call),
            Operation::DeleteChannel => self.call_delete_channel(call),
            Operation::ListSubChannels => self.list_sub_channels(call),
            Operation::CreateChannelModerator => self.create_moderator(call),
            Operation::DescribeChannelModerator => self.describe_moderator(call),
            Operation::ListChannelModerators => self.list_moderators(call),
            Operation::DeleteChannelModerator => self.delete_moderator(call),
            Operation::CreateChannelBan => self.create_ban(call),
            Operation::DescribeChannelBan => self.describe_ban(call),
            Operation::ListChannelBans => self.list_bans(call),
            Operation::DeleteChannelBan => self.delete_ban(call),
            Operation::CreateAppInstance => self.create_app_instance(call),
            Operation::CreateAppInstanceUser => self.create_user(call),
            Operation::DeleteAppInstanceUser => self.call_delete_user(call),
            Operation::CreateAppInstanceBot => self.create_bot(call),
            Operation::CreateAppInstanceAdmin => self.create_admin(call),
            Operation::DeleteAppInstanceAdmin => self.delete_admin(call),
        }
    }

    /// The channel of a call that reads or deletes, and what its bearer is there.
    pub(super) fn to_read<'c>(&self, call: &'c Call<'_>) -> Result<(&'c ChannelArn, &Channel, Role), Refusal> {
        self.find(call, self.switches.missing_channel_read)
    }

    /// The channel of a call that adds, and what its bearer is there.
    pub(super) fn to_write<'c>(&self, call: &'c Call<'_>) -> Result<(&'c ChannelArn, &Channel, Role), Refusal> {
        self.find(call, self.switches.missing_channel_write)
    }

    fn find<'c>(&self, call: &'c Call<'_>, missing: Missing) -> Result<(&'c ChannelArn, &Channel, Role), Refusal> {
        let (arn, bearer) = (call.channel()?, call.bearer()?);
        if arn.app_instance() != bearer.app_instance() {
            return Err(Refusal::forbidden("The bearer is of another app instance than the channel"));
        }
        let channel = self.channels.get(arn).ok_or_else(|| match missing {
            Missing::Forbidden => Refusal::forbidden("The channel is not accessible to the bearer"),
            Missing::NotFound => Refusal::not_found("The channel was not found"),
        })?;
        Ok((arn, channel, self.role(bearer, channel)))
    }

    /// A person as the service shows them.
    pub(super) fn identity<'a>(&'a self, arn: &'a MemberArn) -> Identity<'a> {
        Identity { arn: arn.as_str(), name: self.users.get(arn).map(|user| user.name.as_str()) }
    }

    /// A user or bot that a call's input names, who must be of the channel's app instance.
    pub(super) fn input_user(&self, channel: &ChannelArn, arn: &str) -> Result<MemberArn, Refusal> {
        let member = super::call::member(arn)?;
        match self.users.get_key_value(&member) {
            Some((known, _)) if known.app_instance() == channel.app_instance() => Ok(known.clone()),
            _ => Err(Refusal::forbidden("An invalid app instance user ARN was supplied for the input parameter")),
        }
    }

    /// A time since the simulator's start as JSON has it: seconds since 1970.
    pub(super) fn epoch(&self, at: Duration) -> f64 {
        seconds(self.started + at)
    }
}

/// Seconds, to the millisecond.
pub(super) fn seconds(time: Duration) -> f64 {
    u32::try_from(time.as_secs()).map_or(0.0, f64::from) + f64::from(time.subsec_millis()) / 1000.0
}

impl Call<'_> {
    /// Who changes something by this call.
    pub(super) fn by(&self) -> By<'_> {
        By { bearer: self.bearer.as_ref(), operation: Some(self.routed.operation) }
    }
}

/// Leaves out members without a value, as the service does.
pub(super) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            Value::Object(map.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
        }
        other => other,
    }
}
