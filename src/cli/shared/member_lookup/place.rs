//! The channels that concern one member, and the statements of each resource and of the service.

use jiff::Timestamp;
use serde::Serialize;

use super::finding::{Finding, Origin};
use crate::api::{MembershipType, Prune};

/// One channel that concerns the member.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct Place {
    /// The channel.
    pub channel: String,
    /// The member's ARN.
    pub member: String,
    /// The answer of the service, if it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live: Option<Live>,
    /// The resources of the channel that say something about the member.
    pub resources: Vec<Statement>,
    /// The number of other resources of the channel.
    pub silent: usize,
}

/// The statement of one resource about the member.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct Statement {
    /// `namespace/name`.
    pub resource: String,
    /// The type of its memberships.
    #[serde(rename = "type")]
    pub membership_type: MembershipType,
    /// The members that the resource may remove.
    pub prune: Prune,
    /// The places where it declares the member.
    pub declared: Vec<Origin>,
    /// The bearer of its calls, from its status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer: Option<String>,
    /// The facts that it states about the member.
    pub findings: Vec<Finding>,
    /// The time when its status was written, which is the age of these facts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
}

/// The answer of the service about one membership.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "is")]
pub(in crate::cli) enum Live {
    /// In the channel.
    In {
        /// The type of the membership.
        #[serde(rename = "type")]
        membership_type: Option<MembershipType>,
        /// The user or bot that added the member.
        invited_by: Option<String>,
        /// The time of the addition.
        since: Option<Timestamp>,
        /// True if the member created the channel.
        creator: bool,
        /// True if the member is a moderator of the channel.
        moderator: bool,
    },
    /// Not in the channel.
    Out,
    /// The service gave no answer.
    Unknown {
        /// The reason.
        why: String,
    },
}

impl Statement {
    /// Returns true if the resource declares the member now.
    pub fn declares(&self) -> bool {
        !self.declared.is_empty() && !self.findings.iter().any(|it| matches!(it, Finding::Expired { .. }))
    }
}
