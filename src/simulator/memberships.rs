//! The operations on memberships.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::api_error::ApiError;
use super::audit_log::MembershipAction;
use super::behaviours::{DeleteOfNonMember, RepeatedMember};
use super::call::{ApiCall, ApiResponse, parse_member};
use super::channels::channel_summary;
use super::dispatch::{as_seconds, without_nulls};
use super::fault::MemberTweak;
use super::state::{NewMembership, ServiceState};
use crate::api::MembershipType;
use crate::membership::arn::{ChannelArn, MemberArn};

/// The maximum number of members in a batch (service model, `MemberArns`).
const MAX_BATCH: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchRequest {
    member_arns: Vec<String>,
    r#type: Option<MembershipType>,
    sub_channel_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateMembershipRequest {
    member_arn: String,
    r#type: MembershipType,
    sub_channel_id: Option<String>,
}

impl ServiceState {
    pub(super) fn batch_create_membership(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let body: BatchRequest = call.json()?;
        let count = body.member_arns.len();
        if count == 0 || count > MAX_BATCH {
            return Err(ApiError::bad_request(format!("MemberArns has {count} members, not 1 to 100")));
        }
        let members: Vec<MemberArn> = body.member_arns.iter().map(|arn| parse_member(arn)).collect::<Result<_, _>>()?;
        let wanted = body.r#type.unwrap_or_default();
        let sub_channel = body.sub_channel_id.as_deref();
        let (arn, channel, role) = self.channel_to_add_to(call)?;
        check_sub_channel(sub_channel, channel.elastic.is_some())?;
        role.may_add(channel, wanted, members.as_slice() == [call.bearer()?.clone()])?;
        if channel.elastic.is_none() && channel.len() >= self.limits.members_per_channel {
            return Err(ApiError::limit_reached("members of the channel"));
        }
        let mut added = Vec::with_capacity(members.len());
        let mut errors = Vec::new();
        let mut seen = HashSet::with_capacity(members.len());
        for member in &members {
            let mut omitted = false;
            match call.tweaks.members.get(member.as_str()) {
                Some(MemberTweak::Refuse(code, message)) => {
                    errors.push(batch_error(member, code.as_deref(), message.as_deref()));
                    continue;
                }
                Some(MemberTweak::Omit(false)) => continue,
                Some(MemberTweak::Omit(true)) => omitted = true,
                None => {}
            }
            let outcome = if !seen.insert(member) && self.behaviours.duplicate_in_batch == RepeatedMember::Success {
                Ok(())
            } else {
                self.add_batch_member(arn, member, wanted, sub_channel, call)
            };
            match outcome {
                _ if omitted => {}
                Ok(()) => added.push(member),
                Err(error) => errors.push(batch_error(member, Some(&error.code), Some(&error.message))),
            }
        }
        let added: Vec<_> = added.into_iter().map(|member| self.identity(member)).collect();
        let memberships = without_nulls(json!({
            "InvitedBy": self.identity(call.bearer()?),
            "Type": wanted,
            "Members": added,
            "ChannelArn": arn.as_str(),
            "SubChannelId": sub_channel,
        }));
        ApiResponse::json(200, &json!({"BatchChannelMemberships": memberships, "Errors": errors}))
    }

    /// Adds one member of a batch. The bearer's role was checked before.
    fn add_batch_member(
        &mut self,
        arn: &ChannelArn,
        member: &MemberArn,
        wanted: MembershipType,
        sub_channel: Option<&str>,
        call: &ApiCall<'_>,
    ) -> Result<(), ApiError> {
        let bad_request = |message| Err(ApiError::bad_request(message));
        let channel = self.channels.get(arn);
        if let Some(channel) = channel.filter(|channel| channel.elastic.is_some()) {
            match (channel.moderators.contains_key(member), sub_channel) {
                (true, Some(id)) => return self.add_to_sub_channel(arn, member, id, call),
                (true, None) => return bad_request("A moderator of an elastic channel needs a SubChannelId"),
                (false, Some(_)) => return bad_request("Only moderators may be given a SubChannelId"),
                (false, None) => {}
            }
        }
        let current = channel.and_then(|channel| channel.type_of(member));
        if current == Some(wanted) && self.behaviours.existing_member == RepeatedMember::Success {
            return Ok(());
        }
        let (delay, now, actor) = (self.delay, call.now, call.actor());
        self.add_member(&NewMembership { channel: arn, member, membership_type: wanted, delay, now, actor })
    }

    fn add_to_sub_channel(
        &mut self,
        arn: &ChannelArn,
        member: &MemberArn,
        id: &str,
        call: &ApiCall<'_>,
    ) -> Result<(), ApiError> {
        let not_found = || ApiError::not_found(format!("The sub-channel {id:?} was not found"));
        let channel = self.channels.get_mut(arn).ok_or_else(not_found)?;
        let elastic = channel.elastic.as_mut().ok_or_else(not_found)?;
        let members = elastic.sub_channels.get_mut(id).ok_or_else(not_found)?;
        if members.contains(member) {
            return Err(ApiError::conflict("The user is already a member of the sub-channel"));
        }
        if members.len() >= self.limits.members_per_sub_channel {
            return Err(ApiError::limit_exceeded("The sub-channel is full"));
        }
        members.insert(member.clone());
        let invited_by = call.bearer.as_ref().unwrap_or(member);
        if channel.default_members.insert(member, invited_by, call.now, self.delay) {
            if let Some(user) = self.users.get_mut(member) {
                user.channels += 1;
            }
            let (action, membership_type) = (MembershipAction::Added, MembershipType::Default);
            self.log.add(action, arn, member, membership_type, call.now, call.actor());
        }
        Ok(())
    }

    pub(super) fn create_membership(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let body: CreateMembershipRequest = call.json()?;
        let member = parse_member(&body.member_arn)?;
        let (arn, channel, role) = self.channel_to_add_to(call)?;
        let sub_channel = body.sub_channel_id.as_deref();
        check_sub_channel(sub_channel, channel.elastic.is_some())?;
        role.may_add(channel, body.r#type, &member == call.bearer()?)?;
        if channel.type_of(&member).is_some() && channel.elastic.is_none() {
            return Err(ApiError::conflict("The user is already a member of the channel"));
        }
        self.add_batch_member(arn, &member, body.r#type, sub_channel, call)?;
        let response =
            json!({"ChannelArn": arn.as_str(), "Member": self.identity(&member), "SubChannelId": sub_channel});
        ApiResponse::json(201, &without_nulls(response))
    }

    pub(super) fn list_memberships(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let wanted = call.membership_type()?;
        let sub_channel = call.routed.parameter("sub-channel-id");
        let filter = format!("{wanted} {}", sub_channel.unwrap_or_default());
        let page = call.page(&filter, self.behaviours.default_page_size)?;
        let (arn, channel, role) = self.channel_to_read(call)?;
        check_sub_channel(sub_channel, channel.elastic.is_some())?;
        role.may_read(channel, wanted)?;
        let (members, next) = match (sub_channel, &channel.elastic) {
            (Some(id), Some(elastic)) => {
                let members = elastic
                    .sub_channels
                    .get(id)
                    .ok_or_else(|| ApiError::bad_request(format!("There is no sub-channel {id:?}")))?;
                // An elastic channel has no hidden members.
                let members = members.iter().filter(|_| wanted == MembershipType::Default);
                page.paginate(members.map(|member| (member.as_str(), member.clone())))
            }
            (None, Some(_)) if !self.behaviours.elastic_list_spans => {
                return Err(ApiError::bad_request("Listing an elastic channel needs a sub-channel-id"));
            }
            _ => {
                let cursor = page.cursor.as_deref().map(parse_member).transpose()?;
                let (members, more) = channel.members_of_type(wanted).list_page(cursor.as_ref(), page.limit, call.now);
                let next = members.last().filter(|_| more).map(|last| page.token_after(last.as_str()));
                (members, next)
            }
        };
        let memberships: Vec<_> = members.iter().map(|member| json!({"Member": self.identity(member)})).collect();
        let next = call.next_token(next);
        let page = json!({"ChannelArn": arn.as_str(), "ChannelMemberships": memberships, "NextToken": next});
        Ok(ApiResponse { listed: members.len(), ..ApiResponse::json(200, &without_nulls(page))? })
    }

    pub(super) fn describe_membership(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let member = call.member()?;
        let (arn, channel, role) = self.channel_to_read(call)?;
        let sub_channel = call.routed.parameter("sub-channel-id");
        check_sub_channel(sub_channel, channel.elastic.is_some())?;
        role.may_read(channel, MembershipType::Default)?;
        let not_found = || ApiError::not_found("The channel membership was not found");
        let (membership_type, record) = channel.visible_membership(&member, call.now).ok_or_else(not_found)?;
        if Some(&member) != call.bearer.as_ref() {
            role.may_read(channel, membership_type)?;
        }
        let mut sub_channels = channel.sub_channels_of(&member);
        let shown = match sub_channel {
            None => sub_channels.next(),
            Some(id) => Some(sub_channels.find(|found| *found == id).ok_or_else(not_found)?),
        };
        let created = record.backdated.map_or_else(|| self.epoch_seconds(record.created), as_seconds);
        let membership = without_nulls(json!({
            "InvitedBy": self.identity(&record.invited_by),
            "Type": membership_type,
            "Member": self.identity(&member),
            "ChannelArn": arn.as_str(),
            "CreatedTimestamp": created,
            "LastUpdatedTimestamp": created,
            "SubChannelId": shown,
        }));
        ApiResponse::json(200, &json!({"ChannelMembership": membership}))
    }

    pub(super) fn delete_membership(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let member = call.member()?;
        let (arn, channel, role) = self.channel_to_read(call)?;
        let sub_channel = call.routed.parameter("sub-channel-id");
        check_sub_channel(sub_channel, channel.elastic.is_some())?;
        if sub_channel.is_some() && !channel.moderators.contains_key(&member) {
            return Err(ApiError::bad_request("Only moderators may be given a SubChannelId"));
        }
        role.may_remove(&member == call.bearer()?)?;
        let removed = match sub_channel {
            None => self.remove_member(arn, &member, call.now, call.actor()),
            Some(id) => self.remove_from_sub_channel(arn, &member, id, call),
        };
        if removed {
            return Ok(ApiResponse::no_content());
        }
        match self.behaviours.delete_of_non_member {
            DeleteOfNonMember::NoContent => Ok(ApiResponse::no_content()),
            DeleteOfNonMember::NotFound => Err(ApiError::not_found("The channel membership was not found")),
            DeleteOfNonMember::Conflict => Err(ApiError::conflict("The user is not a member of the channel")),
        }
    }

    /// Removes a member from one sub-channel. With the last one, the membership ends too.
    fn remove_from_sub_channel(&mut self, arn: &ChannelArn, member: &MemberArn, id: &str, call: &ApiCall<'_>) -> bool {
        let elastic = self.channels.get_mut(arn).and_then(|channel| channel.elastic.as_mut());
        let Some(elastic) = elastic else { return false };
        let removed = elastic.sub_channels.get_mut(id).is_some_and(|members| members.remove(member));
        if removed && elastic.sub_channels_of(member).next().is_none() {
            self.remove_member(arn, member, call.now, call.actor());
        }
        removed
    }

    pub(super) fn list_memberships_of_user(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let bearer = call.bearer()?;
        let user = call.routed.parameter("app-instance-user-arn").map(parse_member).transpose()?;
        let user = user.as_ref().unwrap_or(bearer);
        let page = call.page(user.as_str(), self.behaviours.default_page_size)?;
        if user != bearer && !self.is_admin(bearer) {
            return Err(ApiError::missing_role("an AppInstanceAdmin to list the channels of others"));
        }
        let memberships = self.channels.iter().filter_map(|(arn, channel)| {
            let (membership_type, _) = channel.visible_membership(user, call.now)?;
            Some((arn.as_str(), (arn, channel, membership_type)))
        });
        let (memberships, next) = page.paginate(memberships);
        let memberships: Vec<_> = memberships
            .into_iter()
            .map(|(arn, channel, membership_type)| {
                let sub_channel = channel.sub_channels_of(user).next();
                json!({
                    "ChannelSummary": channel_summary(arn, channel),
                    "AppInstanceUserMembershipSummary":
                        without_nulls(json!({"Type": membership_type, "SubChannelId": sub_channel})),
                })
            })
            .collect();
        ApiResponse::json(200, &without_nulls(json!({"ChannelMemberships": memberships, "NextToken": next})))
    }
}

/// Returns an element of a batch's `Errors`. A fault can omit the code and the message.
fn batch_error(member: &MemberArn, code: Option<&str>, message: Option<&str>) -> Value {
    without_nulls(json!({"MemberArn": member.as_str(), "ErrorCode": code, "ErrorMessage": message}))
}

/// Checks that a sub-channel id is for an elastic channel and has the form of the service model.
fn check_sub_channel(id: Option<&str>, elastic: bool) -> Result<(), ApiError> {
    let Some(id) = id else { return Ok(()) };
    if !elastic {
        return Err(ApiError::bad_request("SubChannelId is for elastic channels only"));
    }
    let well_formed = (1..=128).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if well_formed { Ok(()) } else { Err(ApiError::bad_request(format!("{id:?} is not a SubChannelId"))) }
}
