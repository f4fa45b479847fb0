//! How do the membership operations answer?

use std::borrow::Cow;
use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::api_error::{ApiError, BatchMemberError};
use super::audit_log::MembershipAction;
use super::behaviours::{DeleteOfNonMember, RepeatedMember};
use super::call::{ApiCall, ApiResponse, member};
use super::dispatch::{IdentityView, as_seconds, without_nulls};
use super::fault::MemberTweak;
use super::state::ServiceState;
use crate::api::MembershipType;
use crate::membership::arn::{ChannelArn, MemberArn};

/// The most members that a batch takes (service model, `MemberArns`).
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

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct BatchResponse<'a> {
    batch_channel_memberships: AddedMembers<'a>,
    errors: Vec<BatchErrorItem<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AddedMembers<'a> {
    invited_by: IdentityView<'a>,
    r#type: MembershipType,
    members: Vec<IdentityView<'a>>,
    channel_arn: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_channel_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct BatchErrorItem<'a> {
    member_arn: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct MembershipPage<'a> {
    channel_arn: &'a str,
    channel_memberships: Vec<MembershipSummary<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct MembershipSummary<'a> {
    member: IdentityView<'a>,
}

impl ServiceState {
    pub(super) fn batch_create_membership(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let body: BatchRequest = call.json()?;
        if body.member_arns.is_empty() || body.member_arns.len() > MAX_BATCH {
            return Err(ApiError::bad_request(format!(
                "MemberArns has {} members, not 1 to 100",
                body.member_arns.len()
            )));
        }
        let members: Vec<MemberArn> = body.member_arns.iter().map(|arn| member(arn)).collect::<Result<_, _>>()?;
        let wanted = body.r#type.unwrap_or_default();
        let sub_channel = body.sub_channel_id.as_deref();
        let (arn, channel, role) = self.channel_to_add_to(call)?;
        check_sub_channel(sub_channel, channel.elastic.is_some())?;
        role.may_add(channel, wanted, members.as_slice() == [call.bearer()?.clone()])?;
        if channel.elastic.is_none() && channel.len() >= self.limits.members_per_channel {
            return Err(ApiError::limit_exceeded("The number of members of the channel has reached its limit"));
        }
        let mut added = Vec::with_capacity(members.len());
        let mut refused = Vec::new();
        let mut seen = HashSet::with_capacity(members.len());
        for member in &members {
            let mut omitted = false;
            match call.tweaks.members.get(member.as_str()) {
                Some(MemberTweak::Refuse(code, message)) => {
                    let (code, message) = (code.clone().map(Cow::from), message.clone().map(Cow::from));
                    refused.push((member, code, message));
                    continue;
                }
                Some(MemberTweak::Omit(false)) => continue,
                Some(MemberTweak::Omit(true)) => omitted = true,
                None => {}
            }
            let outcome = if !seen.insert(member) && self.behaviours.duplicate_in_batch == RepeatedMember::Success {
                Ok(())
            } else {
                self.admit(arn, member, wanted, sub_channel, call)
            };
            match outcome {
                _ if omitted => {}
                Ok(()) => added.push(member),
                Err(error) => refused.push((member, Some(error.code.into()), Some(error.message.into()))),
            }
        }
        let answer = BatchResponse {
            batch_channel_memberships: AddedMembers {
                invited_by: self.identity(call.bearer()?),
                r#type: wanted,
                members: added.into_iter().map(|member| self.identity(member)).collect(),
                channel_arn: arn.as_str(),
                sub_channel_id: sub_channel,
            },
            errors: refused
                .into_iter()
                .map(|(member, error_code, error_message)| BatchErrorItem {
                    member_arn: member.as_str(),
                    error_code,
                    error_message,
                })
                .collect(),
        };
        ApiResponse::json(200, &answer)
    }

    /// One member of a batch, whose bearer may add.
    fn admit(
        &mut self,
        arn: &ChannelArn,
        member: &MemberArn,
        wanted: MembershipType,
        sub_channel: Option<&str>,
        call: &ApiCall<'_>,
    ) -> Result<(), BatchMemberError> {
        let channel = self.channels.get(arn);
        if let Some(channel) = channel.filter(|channel| channel.elastic.is_some()) {
            match (channel.moderators.contains_key(member), sub_channel) {
                (true, Some(id)) => return self.join_sub_channel(arn, member, id, call),
                (true, None) => {
                    return Err(BatchMemberError::new(
                        "BadRequest",
                        "A moderator of an elastic channel needs a SubChannelId",
                    ));
                }
                (false, Some(_)) => {
                    return Err(BatchMemberError::new("BadRequest", "Only moderators may be given a SubChannelId"));
                }
                (false, None) => {}
            }
        }
        let there = channel.and_then(|channel| channel.type_of(member));
        if there == Some(wanted) && self.behaviours.existing_member == RepeatedMember::Success {
            return Ok(());
        }
        self.add_member(arn, member, wanted, self.delay, call.now, call.actor())
    }

    fn join_sub_channel(
        &mut self,
        arn: &ChannelArn,
        member: &MemberArn,
        id: &str,
        call: &ApiCall<'_>,
    ) -> Result<(), BatchMemberError> {
        let (limit, delay) = (self.limits.members_per_sub_channel, self.delay);
        let not_found = || BatchMemberError::new("NotFound", format!("The sub-channel {id:?} was not found"));
        let channel = self.channels.get_mut(arn).ok_or_else(not_found)?;
        let elastic = channel.elastic.as_mut().ok_or_else(not_found)?;
        let members = elastic.sub_channels.get_mut(id).ok_or_else(not_found)?;
        if members.contains(member) {
            return Err(BatchMemberError::new("Conflict", "The user is already a member of the sub-channel"));
        }
        if members.len() >= limit {
            return Err(BatchMemberError::new("ResourceLimitExceeded", "The sub-channel is full"));
        }
        members.insert(member.clone());
        let invited_by = call.bearer.as_ref().unwrap_or(member);
        if channel.default_members.insert(member, invited_by, call.now, delay) {
            if let Some(user) = self.users.get_mut(member) {
                user.channels += 1;
            }
            self.log.add(MembershipAction::Added, arn, member, MembershipType::Default, call.now, call.actor());
        }
        Ok(())
    }

    pub(super) fn create_membership(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let body: CreateMembershipRequest = call.json()?;
        let member = member(&body.member_arn)?;
        let (arn, channel, role) = self.channel_to_add_to(call)?;
        let sub_channel = body.sub_channel_id.as_deref();
        check_sub_channel(sub_channel, channel.elastic.is_some())?;
        role.may_add(channel, body.r#type, &member == call.bearer()?)?;
        if channel.type_of(&member).is_some() && channel.elastic.is_none() {
            return Err(ApiError::conflict("The user is already a member of the channel"));
        }
        self.admit(arn, &member, body.r#type, sub_channel, call).map_err(BatchMemberError::into_call)?;
        let answer = json!({"ChannelArn": arn.as_str(), "Member": self.identity(&member), "SubChannelId": sub_channel});
        ApiResponse::json(201, &without_nulls(answer))
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
                    .ok_or_else(|| ApiError::bad_request(format!("there is no sub-channel {id:?}")))?;
                // Nobody of an elastic channel is hidden.
                let members = members.iter().filter(|_| wanted == MembershipType::Default);
                let (members, next) = page.paginate(members.map(|member| (member.as_str(), member.clone())));
                (members.into_iter().map(|(_, member)| member).collect(), next)
            }
            (None, Some(_)) if !self.behaviours.elastic_list_spans => {
                return Err(ApiError::bad_request("Listing an elastic channel needs a sub-channel-id"));
            }
            _ => {
                let cursor = page.cursor.as_deref().map(member).transpose()?;
                let (members, more) = channel.members_of_type(wanted).list_page(cursor.as_ref(), page.limit, call.now);
                let next = members.last().filter(|_| more).map(|last| page.token_after(last.as_str()));
                (members, next)
            }
        };
        let next = call.next_token(next);
        let listed = members.len();
        let channel_memberships =
            members.iter().map(|member| MembershipSummary { member: self.identity(member) }).collect();
        let answer = ApiResponse::json(
            200,
            &MembershipPage { channel_arn: arn.as_str(), channel_memberships, next_token: next },
        )?;
        Ok(ApiResponse { listed, ..answer })
    }

    pub(super) fn describe_membership(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let member = call.member()?;
        let (arn, channel, role) = self.channel_to_read(call)?;
        let sub_channel = call.routed.parameter("sub-channel-id");
        check_sub_channel(sub_channel, channel.elastic.is_some())?;
        role.may_read(channel, MembershipType::Default)?;
        let (membership_type, record) = [MembershipType::Default, MembershipType::Hidden]
            .into_iter()
            .find_map(|wanted| Some((wanted, channel.members_of_type(wanted).visible(&member, call.now)?)))
            .ok_or_else(|| ApiError::not_found("The channel membership was not found"))?;
        if Some(&member) != call.bearer.as_ref() {
            role.may_read(channel, membership_type)?;
        }
        let held = channel.elastic.as_ref().map(|elastic| elastic.sub_channels_of(&member)).unwrap_or_default();
        let shown = match sub_channel {
            None => held.into_iter().next(),
            Some(id) => Some(
                held.into_iter()
                    .find(|held| held == id)
                    .ok_or_else(|| ApiError::not_found("The channel membership was not found"))?,
            ),
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
        let left = match sub_channel {
            None => self.remove_member(arn, &member, call.now, call.actor()),
            Some(id) => self.leave_sub_channel(arn, &member, id, call),
        };
        if left {
            return Ok(ApiResponse::empty());
        }
        match self.behaviours.delete_of_non_member {
            DeleteOfNonMember::NoContent => Ok(ApiResponse::empty()),
            DeleteOfNonMember::NotFound => Err(ApiError::not_found("The channel membership was not found")),
            DeleteOfNonMember::Conflict => Err(ApiError::conflict("The user is not a member of the channel")),
        }
    }

    /// Who is in no sub-channel any more is no member any more.
    fn leave_sub_channel(&mut self, arn: &ChannelArn, member: &MemberArn, id: &str, call: &ApiCall<'_>) -> bool {
        let elastic = self.channels.get_mut(arn).and_then(|channel| channel.elastic.as_mut());
        let Some(elastic) = elastic else { return false };
        let left = elastic.sub_channels.get_mut(id).is_some_and(|members| members.remove(member));
        if left && elastic.sub_channels_of(member).is_empty() {
            self.remove_member(arn, member, call.now, call.actor());
        }
        left
    }

    pub(super) fn list_memberships_of_user(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let bearer = call.bearer()?;
        let user = call.routed.parameter("app-instance-user-arn").map(member).transpose()?;
        let user = user.as_ref().unwrap_or(bearer);
        let page = call.page(user.as_str(), self.behaviours.default_page_size)?;
        if user != bearer && !self.users.get(bearer).is_some_and(|user| user.is_admin) {
            return Err(ApiError::role("an AppInstanceAdmin to list the channels of others"));
        }
        let theirs = self.channels.iter().filter_map(|(arn, channel)| {
            let membership_type = [MembershipType::Default, MembershipType::Hidden]
                .into_iter()
                .find(|wanted| channel.members_of_type(*wanted).visible(user, call.now).is_some())?;
            Some((arn.as_str(), (arn, channel, membership_type)))
        });
        let (channels, next) = page.paginate(theirs);
        let memberships: Vec<_> = channels
            .into_iter()
            .map(|(_, (arn, channel, membership_type))| {
                let sub_channel =
                    channel.elastic.as_ref().and_then(|elastic| elastic.sub_channels_of(user).into_iter().next());
                json!({
                    "ChannelSummary": super::channels::summary(arn, channel),
                    "AppInstanceUserMembershipSummary":
                        without_nulls(json!({"Type": membership_type, "SubChannelId": sub_channel})),
                })
            })
            .collect();
        ApiResponse::json(200, &without_nulls(json!({"ChannelMemberships": memberships, "NextToken": next})))
    }
}

/// A sub-channel makes sense in elastic channels only, and has the form that the service model gives it.
fn check_sub_channel(id: Option<&str>, elastic: bool) -> Result<(), ApiError> {
    let Some(id) = id else { return Ok(()) };
    if !elastic {
        return Err(ApiError::bad_request("SubChannelId is for elastic channels only"));
    }
    let well_formed = (1..=128).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if well_formed { Ok(()) } else { Err(ApiError::bad_request(format!("{id:?} is not a SubChannelId"))) }
}
