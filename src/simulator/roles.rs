//! The rules about the actions that each role may take in a channel.
//!
//! The table is the page "Authorization by role" of the Amazon Chime SDK Developer Guide. In AWS it
//! applies in addition to IAM, which the simulator does not implement.

use super::api_error::ApiError;
use super::channel::{ChannelMode, ChannelPrivacy, ChannelRecord};
use crate::api::MembershipType;
use crate::membership::arn::MemberArn;

/// The role of a bearer in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BearerRole {
    /// Admin of the app instance. An admin may do everything, even without a membership.
    Admin,
    /// Moderator of the channel.
    Moderator,
    /// Member of the channel, of either type.
    Member(MembershipType),
    /// None of these roles.
    Outsider,
}

impl BearerRole {
    /// Returns the role of a bearer. `is_admin` is true for an admin of the app instance.
    pub fn in_channel(bearer: &MemberArn, is_admin: bool, channel: &ChannelRecord) -> Self {
        if is_admin {
            Self::Admin
        } else if channel.moderators.contains_key(bearer) {
            Self::Moderator
        } else {
            channel.type_of(bearer).map_or(Self::Outsider, Self::Member)
        }
    }

    fn is_moderator_or_admin(self) -> bool {
        matches!(self, Self::Admin | Self::Moderator)
    }

    /// Checks the role for changes to moderators, bans, sub-channels and the channel itself.
    pub fn may_moderate(self) -> Result<(), ApiError> {
        let refused = || ApiError::missing_role("an AppInstanceAdmin or a ChannelModerator");
        self.is_moderator_or_admin().then_some(()).ok_or_else(refused)
    }

    /// Checks the role for adding members. `joins_alone` is true if the bearer adds itself only.
    pub fn may_add(self, channel: &ChannelRecord, wanted: MembershipType, joins_alone: bool) -> Result<(), ApiError> {
        if self.is_moderator_or_admin() {
            return Ok(());
        }
        if wanted == MembershipType::Hidden {
            return Err(ApiError::missing_role("an AppInstanceAdmin or a ChannelModerator to add HIDDEN members"));
        }
        let allowed = match self {
            Self::Member(membership_type) => membership_type == MembershipType::Default,
            _ => joins_alone && channel.privacy == ChannelPrivacy::Public,
        };
        if allowed && channel.mode == ChannelMode::Unrestricted {
            return Ok(());
        }
        Err(ApiError::missing_role("an AppInstanceAdmin, a ChannelModerator, or a member of an UNRESTRICTED channel"))
    }

    /// Checks the role for reading the channel and its members of a type.
    pub fn may_read(self, channel: &ChannelRecord, wanted: MembershipType) -> Result<(), ApiError> {
        match self {
            Self::Admin | Self::Moderator => Ok(()),
            _ if wanted == MembershipType::Hidden => {
                Err(ApiError::missing_role("an AppInstanceAdmin or a ChannelModerator to see HIDDEN members"))
            }
            Self::Member(_) => Ok(()),
            Self::Outsider if channel.privacy == ChannelPrivacy::Public => Ok(()),
            Self::Outsider => Err(ApiError::missing_role("a member of this PRIVATE channel")),
        }
    }

    /// Checks the role for removing a member. `leaves` is true if the bearer removes itself.
    pub fn may_remove(self, leaves: bool) -> Result<(), ApiError> {
        match self {
            Self::Admin | Self::Moderator => Ok(()),
            Self::Member(_) if leaves => Ok(()),
            _ => Err(ApiError::missing_role("an AppInstanceAdmin or a ChannelModerator to remove others")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::membership_store::MembershipStore;
    use super::*;

    fn channel(mode: ChannelMode, privacy: ChannelPrivacy) -> ChannelRecord {
        ChannelRecord {
            name: "support".into(),
            mode,
            privacy,
            metadata: None,
            created_by: MemberArn::parse("arn:aws:chime:us-east-1:1:app-instance/a/user/creator").unwrap(),
            created: Duration::ZERO,
            default_members: MembershipStore::default(),
            hidden_members: MembershipStore::default(),
            moderators: [].into(),
            bans: [].into(),
            elastic: None,
        }
    }

    const ROLES: [BearerRole; 5] = [
        BearerRole::Admin,
        BearerRole::Moderator,
        BearerRole::Member(MembershipType::Default),
        BearerRole::Member(MembershipType::Hidden),
        BearerRole::Outsider,
    ];

    fn allowed(ask: impl Fn(BearerRole) -> Result<(), ApiError>) -> [bool; 5] {
        ROLES.map(|role| ask(role).is_ok())
    }

    #[test]
    fn only_moderators_and_admins_add_to_a_restricted_channel() {
        let channel = channel(ChannelMode::Restricted, ChannelPrivacy::Public);
        let add = |role: BearerRole| role.may_add(&channel, MembershipType::Default, true);
        assert_eq!(allowed(add), [true, true, false, false, false]);
    }

    #[test]
    fn outsider_adds_only_itself_to_an_unrestricted_public_channel() {
        let channel = channel(ChannelMode::Unrestricted, ChannelPrivacy::Public);
        let alone = |joins_alone| allowed(|role| role.may_add(&channel, MembershipType::Default, joins_alone));
        assert_eq!(alone(false), [true, true, true, false, false]);
        assert_eq!(alone(true), [true, true, true, false, true]);
        assert_eq!(
            allowed(|role| role.may_add(&channel, MembershipType::Hidden, true)),
            [true, true, false, false, false]
        );
    }

    #[test]
    fn outsider_cannot_join_a_private_channel() {
        let channel = channel(ChannelMode::Unrestricted, ChannelPrivacy::Private);
        assert!(BearerRole::Outsider.may_add(&channel, MembershipType::Default, true).is_err());
    }

    #[test]
    fn only_moderators_and_admins_see_hidden_members() {
        let public = channel(ChannelMode::Restricted, ChannelPrivacy::Public);
        let private = channel(ChannelMode::Restricted, ChannelPrivacy::Private);
        let read = |channel, wanted| allowed(|role| role.may_read(channel, wanted));
        assert_eq!(read(&public, MembershipType::Default), [true, true, true, true, true]);
        assert_eq!(read(&private, MembershipType::Default), [true, true, true, true, false]);
        assert_eq!(read(&public, MembershipType::Hidden), [true, true, false, false, false]);
    }

    #[test]
    fn member_may_leave_but_not_remove_others() {
        assert_eq!(allowed(|role| role.may_remove(false)), [true, true, false, false, false]);
        assert_eq!(allowed(|role| role.may_remove(true)), [true, true, true, true, false]);
        assert_eq!(allowed(BearerRole::may_moderate), [true, true, false, false, false]);
    }
}
