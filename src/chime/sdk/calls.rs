//! What does each call send, and what of its answer is kept?

use std::error::Error;

use aws_sdk_chimesdkmessaging::config::http::HttpResponse;
use aws_sdk_chimesdkmessaging::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_chimesdkmessaging::operation::RequestId;
use aws_sdk_chimesdkmessaging::primitives::DateTime;
use aws_sdk_chimesdkmessaging::types::{ChannelMembershipType, ChannelPrivacy, Identity};
use jiff::Timestamp;

use super::Sdk;
use super::failure::{MOST_CODE, MOST_MESSAGE, call_error, tidy};
use crate::api::MembershipType;
use crate::chime::port::{
    BatchAnswer, BatchMemberError, CallError, CallErrorClass, ChannelInfo, ChannelsQuery, Deleted, Membership,
    Operation, PAGE_SIZE, Page, Privacy, Service, Target,
};
use crate::chime::trace;
use crate::membership::arn::MemberArn;
use crate::membership::guard::Removal;

impl Service for Sdk {
    async fn list_page(&self, target: &Target, token: Option<&str>) -> Result<Page, CallError> {
        let answer = self
            .client(target.channel.region())
            .list_channel_memberships()
            .channel_arn(target.channel.as_str())
            .chime_bearer(target.bearer.as_str())
            .r#type(type_of(target))
            .set_sub_channel_id(sub_channel_of(target))
            .max_results(page_size())
            .set_next_token(token.map(str::to_owned))
            .send()
            .await;
        let answer = answered(Operation::ListChannelMemberships, answer)?;
        let members = answer.channel_memberships.unwrap_or_default().into_iter();
        let people = members.filter_map(|summary| summary.member).filter_map(|it| Some((it.arn?, it.name)));
        let (items, names): (Vec<_>, Vec<_>) = people.unzip();
        Ok(Page { names, ..page(items.into_iter(), answer.next_token) })
    }

    async fn batch_create(&self, target: &Target, members: &[MemberArn]) -> Result<BatchAnswer, CallError> {
        let answer = self
            .client(target.channel.region())
            .batch_create_channel_membership()
            .channel_arn(target.channel.as_str())
            .chime_bearer(target.bearer.as_str())
            .r#type(type_of(target))
            .set_sub_channel_id(sub_channel_of(target))
            .set_member_arns(Some(members.iter().map(|member| member.as_str().to_owned()).collect()))
            .send()
            .await;
        let answer = answered(Operation::BatchCreateChannelMembership, answer)?;
        let request_id = answer.request_id().map(str::to_owned);
        let added = answer.batch_channel_memberships.and_then(|batch| batch.members).unwrap_or_default();
        let errors = answer.errors.unwrap_or_default().into_iter();
        Ok(BatchAnswer {
            added: added.into_iter().filter_map(|member| arn_of(Some(member))).collect(),
            errors: errors
                .map(|error| BatchMemberError {
                    member: error.member_arn,
                    code: error.error_code.map(|code| tidy(code.as_str(), MOST_CODE)),
                    message: error.error_message.map(|message| tidy(&message, MOST_MESSAGE)),
                })
                .collect(),
            request_id,
        })
    }

    async fn describe_membership(&self, target: &Target, member: &MemberArn) -> Result<Option<Membership>, CallError> {
        let answer = self
            .client(target.channel.region())
            .describe_channel_membership()
            .channel_arn(target.channel.as_str())
            .chime_bearer(target.bearer.as_str())
            .member_arn(member.as_str())
            .set_sub_channel_id(sub_channel_of(target))
            .send()
            .await;
        let operation = Operation::DescribeChannelMembership;
        match answered(operation, answer) {
            Ok(answer) => {
                // An answer that says nothing is not one that says that there is no such membership.
                let membership = answer.channel_membership.ok_or_else(|| {
                    let message = "the answer holds no membership";
                    CallError::client_side(CallErrorClass::Transient, operation, "UnreadableAnswer", message)
                })?;
                Ok(Some(Membership {
                    membership_type: membership.r#type.as_ref().and_then(known_type),
                    invited_by: arn_of(membership.invited_by),
                    created: membership.created_timestamp.and_then(timestamp_of),
                }))
            }
            Err(error) if error.code == "NotFound" => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn delete_membership(&self, target: &Target, removal: Removal) -> Result<Deleted, CallError> {
        let operation = Operation::DeleteChannelMembership;
        if removal.channel() != &target.channel {
            let message = format!(
                "failed to delete {} from {}: its removal was decided for {}",
                removal.member(),
                target.channel,
                removal.channel()
            );
            return Err(CallError::client_side(CallErrorClass::Refused, operation, "OtherChannel", message));
        }
        let answer = self
            .client(target.channel.region())
            .delete_channel_membership()
            .channel_arn(target.channel.as_str())
            .chime_bearer(target.bearer.as_str())
            .member_arn(removal.member().as_str())
            .set_sub_channel_id(sub_channel_of(target))
            .send()
            .await;
        match answered(operation, answer) {
            Ok(answer) => Ok(Deleted { request_id: answer.request_id().map(str::to_owned) }),
            Err(error) if error.code == "NotFound" => Ok(Deleted { request_id: error.request_id }),
            Err(error) => Err(error),
        }
    }

    async fn describe_channel(&self, target: &Target) -> Result<ChannelInfo, CallError> {
        let answer = self
            .client(target.channel.region())
            .describe_channel()
            .channel_arn(target.channel.as_str())
            .chime_bearer(target.bearer.as_str())
            .send()
            .await;
        let answer = answered(Operation::DescribeChannel, answer)?;
        let channel = answer.channel;
        Ok(ChannelInfo {
            elastic: channel.as_ref().is_some_and(|channel| channel.elastic_channel_configuration.is_some()),
            name: channel.as_ref().and_then(|channel| channel.name.clone()),
            created_by: channel.and_then(|channel| arn_of(channel.created_by)),
        })
    }

    async fn moderators_page(&self, target: &Target, token: Option<&str>) -> Result<Page, CallError> {
        let answer = self
            .client(target.channel.region())
            .list_channel_moderators()
            .channel_arn(target.channel.as_str())
            .chime_bearer(target.bearer.as_str())
            .max_results(page_size())
            .set_next_token(token.map(str::to_owned))
            .send()
            .await;
        let answer = answered(Operation::ListChannelModerators, answer)?;
        let moderators = answer.channel_moderators.unwrap_or_default().into_iter();
        Ok(page(moderators.filter_map(|summary| arn_of(summary.moderator)), answer.next_token))
    }

    async fn bans_page(&self, target: &Target, token: Option<&str>) -> Result<Page, CallError> {
        let answer = self
            .client(target.channel.region())
            .list_channel_bans()
            .channel_arn(target.channel.as_str())
            .chime_bearer(target.bearer.as_str())
            .max_results(page_size())
            .set_next_token(token.map(str::to_owned))
            .send()
            .await;
        let answer = answered(Operation::ListChannelBans, answer)?;
        let bans = answer.channel_bans.unwrap_or_default().into_iter();
        Ok(page(bans.filter_map(|summary| arn_of(summary.member)), answer.next_token))
    }

    async fn sub_channels_page(&self, target: &Target, token: Option<&str>) -> Result<Page, CallError> {
        let answer = self
            .client(target.channel.region())
            .list_sub_channels()
            .channel_arn(target.channel.as_str())
            .chime_bearer(target.bearer.as_str())
            .max_results(page_size())
            .set_next_token(token.map(str::to_owned))
            .send()
            .await;
        let answer = answered(Operation::ListSubChannels, answer)?;
        let sub_channels = answer.sub_channels.unwrap_or_default().into_iter();
        Ok(page(sub_channels.filter_map(|summary| summary.sub_channel_id), answer.next_token))
    }

    async fn channels_page(&self, whose: &ChannelsQuery, token: Option<&str>) -> Result<Page, CallError> {
        let answer = self
            .client(whose.bearer.region())
            .list_channels()
            .app_instance_arn(whose.bearer.app_instance())
            .chime_bearer(whose.bearer.as_str())
            .privacy(match whose.privacy {
                Privacy::Public => ChannelPrivacy::Public,
                Privacy::Private => ChannelPrivacy::Private,
            })
            .max_results(page_size())
            .set_next_token(token.map(str::to_owned))
            .send()
            .await
            .map_err(|error| call_error(Operation::ListChannels, &error))?;
        let channels = answer.channels.unwrap_or_default().into_iter();
        Ok(page(channels.filter_map(|summary| summary.channel_arn), answer.next_token))
    }
}

/// An answer or what its failure means; the trace of the call has its request id.
fn answered<T, E>(operation: Operation, answer: Result<T, SdkError<E, HttpResponse>>) -> Result<T, CallError>
where
    T: RequestId,
    E: ProvideErrorMetadata + Error + 'static,
{
    let answer = answer.map_err(|error| call_error(operation, &error));
    trace::record_request_id(match &answer {
        Ok(answer) => answer.request_id(),
        Err(error) => error.request_id.as_deref(),
    });
    answer
}

fn page(items: impl Iterator<Item = String>, token: Option<String>) -> Page {
    Page { items: items.collect(), names: Vec::new(), next: token.filter(|token| !token.is_empty()) }
}

pub(super) fn page_size() -> i32 {
    i32::try_from(PAGE_SIZE).unwrap_or(i32::MAX)
}

pub(super) fn sub_channel_of(target: &Target) -> Option<String> {
    target.sub_channel.as_deref().map(str::to_owned)
}

fn arn_of(identity: Option<Identity>) -> Option<String> {
    identity.and_then(|identity| identity.arn)
}

/// `None` for a time that no calendar reaches.
fn timestamp_of(time: DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

pub(super) fn type_of(target: &Target) -> ChannelMembershipType {
    match target.membership_type {
        MembershipType::Default => ChannelMembershipType::Default,
        MembershipType::Hidden => ChannelMembershipType::Hidden,
    }
}

pub(super) fn known_type(of: &ChannelMembershipType) -> Option<MembershipType> {
    match of {
        ChannelMembershipType::Default => Some(MembershipType::Default),
        ChannelMembershipType::Hidden => Some(MembershipType::Hidden),
        _ => None,
    }
}
