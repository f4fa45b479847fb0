//! How do the operations about moderators and bans answer?

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Answer, Call};
use super::channel::Grant;
use super::perform::without_nulls;
use super::refusal::Refusal;
use super::state::State;
use crate::membership::arn::{ChannelArn, MemberArn};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ModeratorBody {
    channel_moderator_arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BanBody {
    member_arn: String,
}

impl State {
    pub(super) fn create_moderator(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let body: ModeratorBody = call.json()?;
        let (arn, channel, role) = self.to_read(call)?;
        role.may_rule()?;
        let user = self.input_user(arn, &body.channel_moderator_arn)?;
        if channel.moderators.contains_key(&user) {
            return Err(Refusal::conflict("The user is already a moderator of the channel"));
        }
        if channel.bans.contains_key(&user) {
            return Err(Refusal::forbidden("The user is banned from the channel"));
        }
        if channel.moderators.len() >= self.limits.moderators_per_channel {
            return Err(Refusal::limit_exceeded("The number of moderators of the channel has reached its limit"));
        }
        self.change_role(arn, &user, call);
        let grant = Grant { by: call.bearer()?.clone(), at: call.now };
        if let Some(channel) = self.channels.get_mut(arn) {
            channel.moderators.insert(user.clone(), grant);
        }
        Answer::json(201, &json!({"ChannelArn": arn.as_str(), "ChannelModerator": self.identity(&user)}))
    }

    pub(super) fn delete_moderator(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let user = call.member()?;
        let (arn, channel, role) = self.to_read(call)?;
        role.may_rule()?;
        if channel.moderators.contains_key(&user) {
            self.change_role(arn, &user, call);
        }
        if let Some(channel) = self.channels.get_mut(arn) {
            channel.moderators.remove(&user);
        }
        Ok(Answer::empty())
    }

    /// Promotion and demotion in an elastic channel delete the memberships that the user has (Amazon Chime SDK Developer
    /// Guide, elastic channels).
    fn change_role(&mut self, arn: &ChannelArn, user: &MemberArn, call: &Call<'_>) {
        if self.channels.get(arn).is_some_and(|channel| channel.elastic.is_some()) {
            self.leave(arn, user, call.now, call.by());
        }
    }

    pub(super) fn describe_moderator(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let user = call.member()?;
        let (arn, channel, role) = self.to_read(call)?;
        role.may_rule()?;
        let grant =
            channel.moderators.get(&user).ok_or_else(|| Refusal::not_found("The channel moderator was not found"))?;
        Answer::json(200, &json!({"ChannelModerator": self.granted("Moderator", arn, &user, grant)}))
    }

    pub(super) fn list_moderators(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let (arn, channel, role) = self.to_read(call)?;
        role.may_rule()?;
        self.page_of_grants(call, arn, "ChannelModerators", "Moderator", &channel.moderators)
    }

    pub(super) fn create_ban(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let body: BanBody = call.json()?;
        let (arn, channel, role) = self.to_read(call)?;
        role.may_rule()?;
        let user = self.input_user(arn, &body.member_arn)?;
        if channel.moderators.contains_key(&user) || self.users.get(&user).is_some_and(|user| user.is_admin) {
            return Err(Refusal::bad_request("Admins and moderators of the channel cannot be banned"));
        }
        if !self.ban(arn, &user, call.now, call.by()) {
            return Err(Refusal::conflict("The user is already banned from the channel"));
        }
        Answer::json(201, &json!({"ChannelArn": arn.as_str(), "Member": self.identity(&user)}))
    }

    pub(super) fn delete_ban(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let user = call.member()?;
        let (arn, _, role) = self.to_read(call)?;
        role.may_rule()?;
        if let Some(channel) = self.channels.get_mut(arn) {
            channel.bans.remove(&user);
        }
        Ok(Answer::empty())
    }

    pub(super) fn describe_ban(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let user = call.member()?;
        let (arn, channel, role) = self.to_read(call)?;
        role.may_rule()?;
        let grant = channel.bans.get(&user).ok_or_else(|| Refusal::not_found("The channel ban was not found"))?;
        Answer::json(200, &json!({"ChannelBan": self.granted("Member", arn, &user, grant)}))
    }

    pub(super) fn list_bans(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let (arn, channel, role) = self.to_read(call)?;
        role.may_rule()?;
        self.page_of_grants(call, arn, "ChannelBans", "Member", &channel.bans)
    }

    fn granted(&self, whom: &str, arn: &ChannelArn, user: &MemberArn, grant: &Grant) -> Value {
        json!({
            whom: self.identity(user),
            "ChannelArn": arn.as_str(),
            "CreatedTimestamp": self.epoch(grant.at),
            "CreatedBy": self.identity(&grant.by),
        })
    }

    fn page_of_grants(
        &self,
        call: &Call<'_>,
        arn: &ChannelArn,
        list: &str,
        whom: &str,
        grants: &BTreeMap<MemberArn, Grant>,
    ) -> Result<Answer, Refusal> {
        let page = call.page("", self.switches.default_page_size)?;
        let (users, next) = page.cut(grants.keys().map(|user| (user.as_str(), user)));
        let users: Vec<_> = users.into_iter().map(|(_, user)| json!({whom: self.identity(user)})).collect();
        Answer::json(
            200,
            &without_nulls(json!({"ChannelArn": arn.as_str(), list: users, "NextToken": call.next_token(next)})),
        )
    }
}
