//! What does the service tell people who ask about a person? For the command line: the operator never asks.

use std::future::Future;

use super::client::{Client, execute};
use super::port::{CallError, Operation, Service};
use super::rate_limit::Permit;
use crate::api::MembershipType;
use crate::membership::arn::MemberArn;

/// One page of the channels that a user is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembershipsPage {
    /// The ARN of each channel, and the type of the membership, where it is one we know.
    pub channels: Vec<(String, Option<MembershipType>)>,
    /// What to ask the next page with.
    pub next: Option<String>,
}

/// Calls about people. One method is one HTTP attempt, as in [`Service`].
pub trait UserMemberships: Service {
    /// One page of the channels that `user` is in. The bearer, an AppInstanceAdmin, asks.
    fn memberships_page(
        &self,
        bearer: &MemberArn,
        user: &MemberArn,
        token: Option<&str>,
    ) -> impl Future<Output = Result<MembershipsPage, CallError>> + Send;
}

impl<S: UserMemberships> Client<S> {
    /// One page of a user's channels: see [`UserMemberships::memberships_page`].
    pub async fn memberships_page(
        &self,
        permit: Permit,
        bearer: &MemberArn,
        user: &MemberArn,
        token: Option<&str>,
    ) -> Result<MembershipsPage, CallError> {
        let operation = Operation::ListChannelMembershipsForAppInstanceUser;
        execute((&self.metrics, &self.may_call), permit, user.app_instance(), operation, || {
            self.service.memberships_page(bearer, user, token)
        })
        .await
    }
}
