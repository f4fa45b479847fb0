//! The requests that each call sends, and the parts of the answers that are kept.

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
    BatchAnswer, BatchMemberError, CallError, CallErrorClass, ChannelInfo, Deleted, ListRequest, Membership, Operation,
    PAGE_SIZE, Page, PageItem, Privacy, Service, Target,
};
use crate::chime::trace;
use crate::membership::arn::MemberArn;
use crate::membership::guard::Removal;

impl Service for Sdk {
    async fn list_page(&self, list: ListRequest<'_>, token: Option<&str>) -> Result<Page, CallError> {
        let bearer = list.bearer().as_str();
        let region = list.target().map_or_else(|| list.bearer().region(), |target| target.channel.region());
        let (client, operation, token) = (self.client(region), list.operation(), token.map(str::to_owned));
        match list {
            ListRequest::Members(target) => {
                let request = client.list_channel_memberships().channel_arn(target.channel.as_str());
                let request = request.r#type(type_of(target)).set_sub_channel_id(sub_channel_of(target));
                let request = request.chime_bearer(bearer).max_results(page_size()).set_next_token(token);
                let answer = answered(operation, request.send().await)?;
                let members = answer.channel_memberships.unwrap_or_default().into_iter();
                let members = members.filter_map(|summary| summary.member);
                let items = members.filter_map(|it| Some(PageItem { name: it.name, ..PageItem::from(it.arn?) }));
                Ok(page(items, answer.next_token))
            }
            ListRequest::Moderators(target) => {
                let request = client.list_channel_moderators().channel_arn(target.channel.as_str());
                let request = request.chime_bearer(bearer).max_results(page_size()).set_next_token(token);
                let answer = answered(operation, request.send().await)?;
                let moderators = answer.channel_moderators.unwrap_or_default().into_iter();
                Ok(page(moderators.filter_map(|summary| item_of(summary.moderator)), answer.next_token))
            }
            ListRequest::Bans(target) => {
                let request = client.list_channel_bans().channel_arn(target.channel.as_str());
                let request = request.chime_bearer(bearer).max_results(page_size()).set_next_token(token);
                let answer = answered(operation, request.send().await)?;
                let bans = answer.channel_bans.unwrap_or_default().into_iter();
                Ok(page(bans.filter_map(|summary| item_of(summary.member)), answer.next_token))
            }
            ListRequest::SubChannels(target) => {
                let request = client.list_sub_channels().channel_arn(target.channel.as_str());
                let request = request.chime_bearer(bearer).max_results(page_size()).set_next_token(token);
                let answer = answered(operation, request.send().await)?;
                let sub_channels = answer.sub_channels.unwrap_or_default().into_iter();
                let items = sub_channels.filter_map(|summary| summary.sub_channel_id.map(PageItem::from));
                Ok(page(items, answer.next_token))
            }
            ListRequest::Channels(query) => {
                let request = client.list_channels().app_instance_arn(query.bearer.app_instance());
                let request = request.privacy(match query.privacy {
                    Privacy::Public => ChannelPrivacy::Public,
                    Privacy::Private => ChannelPrivacy::Private,
                });
                let request = request.chime_bearer(bearer).max_results(page_size()).set_next_token(token);
                let answer = answered(operation, request.send().await)?;
                let channels = answer.channels.unwrap_or_default().into_iter();
                let items = channels.filter_map(|summary| summary.channel_arn.map(PageItem::from));
                Ok(page(items, answer.next_token))
            }
            ListRequest::UserMemberships { user, .. } => {
                let request = client.list_channel_memberships_for_app_instance_user();
                let request = request.app_instance_user_arn(user.as_str());
                let request = request.chime_bearer(bearer).max_results(page_size()).set_next_token(token);
                let answer = answered(operation, request.send().await)?;
                let memberships = answer.channel_memberships.unwrap_or_default().into_iter();
                let items = memberships.filter_map(|membership| {
                    let summary = membership.app_instance_user_membership_summary;
                    let membership_type = summary.and_then(|summary| summary.r#type).as_ref().and_then(known_type);
                    Some(PageItem { membership_type, ..PageItem::from(membership.channel_summary?.channel_arn?) })
                });
                Ok(page(items, answer.next_token))
            }
        }
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
                // An empty answer does not say that there is no such membership.
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
}

/// Returns the answer, or the meaning of the failure. Records the request id in the call's trace.
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

fn page(items: impl Iterator<Item = PageItem>, token: Option<String>) -> Page {
    Page { items: items.collect(), next: token.filter(|token| !token.is_empty()) }
}

fn page_size() -> i32 {
    i32::try_from(PAGE_SIZE).unwrap_or(i32::MAX)
}

fn sub_channel_of(target: &Target) -> Option<String> {
    target.sub_channel.as_deref().map(str::to_owned)
}

fn arn_of(identity: Option<Identity>) -> Option<String> {
    identity.and_then(|identity| identity.arn)
}

fn item_of(identity: Option<Identity>) -> Option<PageItem> {
    arn_of(identity).map(PageItem::from)
}

/// Converts a time; `None` if no calendar reaches it.
fn timestamp_of(time: DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

fn type_of(target: &Target) -> ChannelMembershipType {
    match target.membership_type {
        MembershipType::Default => ChannelMembershipType::Default,
        MembershipType::Hidden => ChannelMembershipType::Hidden,
    }
}

fn known_type(of: &ChannelMembershipType) -> Option<MembershipType> {
    match of {
        ChannelMembershipType::Default => Some(MembershipType::Default),
        ChannelMembershipType::Hidden => Some(MembershipType::Hidden),
        _ => None,
    }
}
