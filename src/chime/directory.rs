//! What does the service tell people who ask about a person? For the command line: the operator never asks.

use std::future::Future;

use super::client::{Client, made};
use super::pace::Permit;
use super::port::{CallError, Operation, Service};
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
pub trait Directory: Service {
    /// One page of the channels that `user` is in. The bearer, an AppInstanceAdmin, asks.
    fn memberships_page(
        &self,
        bearer: &MemberArn,
        user: &MemberArn,
        token: Option<&str>,
    ) -> impl Future<Output = Result<MembershipsPage, CallError>> + Send;
}

impl<S: Directory> Client<S> {
    /// One page of a user's channels: see [`Directory::memberships_page`].
    pub async fn memberships_page(
        &self,
        permit: Permit,
        bearer: &MemberArn,
        user: &MemberArn,
        token: Option<&str>,
    ) -> Result<MembershipsPage, CallError> {
        let operation = Operation::ListChannelMembershipsForAppInstanceUser;
        made((&self.tally, &self.gate), permit, user.app_instance(), operation, || {
            self.service.memberships_page(bearer, user, token)
        })
        .await
    }
}
