//! What do calls about a person send, and what of their answers is kept?

use super::Sdk;
use super::calls::{known_type, page_size};
use super::failure::call_error;
use crate::chime::port::{CallError, Operation};
use crate::chime::user_memberships::{MembershipsPage, UserMemberships};
use crate::membership::arn::MemberArn;

impl UserMemberships for Sdk {
    async fn memberships_page(
        &self,
        bearer: &MemberArn,
        user: &MemberArn,
        token: Option<&str>,
    ) -> Result<MembershipsPage, CallError> {
        let answer = self
            .client(bearer.region())
            .list_channel_memberships_for_app_instance_user()
            .app_instance_user_arn(user.as_str())
            .chime_bearer(bearer.as_str())
            .max_results(page_size())
            .set_next_token(token.map(str::to_owned))
            .send()
            .await
            .map_err(|error| call_error(Operation::ListChannelMembershipsForAppInstanceUser, &error))?;
        let memberships = answer.channel_memberships.unwrap_or_default().into_iter();
        let channels = memberships.filter_map(|membership| {
            let of = membership.app_instance_user_membership_summary.and_then(|summary| summary.r#type);
            Some((membership.channel_summary?.channel_arn?, of.as_ref().and_then(known_type)))
        });
        Ok(MembershipsPage { channels: channels.collect(), next: answer.next_token.filter(|token| !token.is_empty()) })
    }
}
