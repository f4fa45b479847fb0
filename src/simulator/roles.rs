//! May this bearer do that in this channel?
//!
//! The table is the page "Authorization by role" of the Amazon Chime SDK Developer Guide. It comes on top of IAM, which
//! the simulator does not play.

use super::channel::{Channel, Mode, Privacy};
use super::refusal::Refusal;
use crate::api::MembershipType;
use crate::membership::arn::MemberArn;

/// What a bearer is in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Admin of the app instance: may do everything, a member or not.
    Admin,
    /// Moderator of the channel.
    Moderator,
    /// Member of the channel, of either type.
    Member(MembershipType),
    /// None of these.
    Outsider,
}

impl Role {
    /// The role of `bearer`, of whom the app instance says whether they are its admin.
    pub fn of(bearer: &MemberArn, is_admin: bool, channel: &Channel) -> Self {
        if is_admin {
            Self::Admin
        } else if channel.moderators.contains_key(bearer) {
            Self::Moderator
        } else {
            channel.type_of(bearer).map_or(Self::Outsider, Self::Member)
        }
    }

    fn rules(self) -> bool {
        matches!(self, Self::Admin | Self::Moderator)
    }

    /// Moderators, bans, sub-channels, and the channel itself.
    pub fn may_rule(self) -> Result<(), Refusal> {
        if self.rules() { Ok(()) } else { Err(Refusal::role("an AppInstanceAdmin or a ChannelModerator")) }
    }

    /// Adding members of a type. `joins_alone`: the bearer asks for nobody but itself.
    pub fn may_add(self, channel: &Channel, wanted: MembershipType, joins_alone: bool) -> Result<(), Refusal> {
        if self.rules() {
            return Ok(());
        }
        if wanted == MembershipType::Hidden {
            return Err(Refusal::role("an AppInstanceAdmin or a ChannelModerator to add HIDDEN members"));
        }
        match self {
            Self::Member(MembershipType::Default) if channel.mode == Mode::Unrestricted => Ok(()),
            Self::Outsider
                if joins_alone && channel.mode == Mode::Unrestricted && channel.privacy == Privacy::Public =>
            {
                Ok(())
            }
            _ => Err(Refusal::role("an AppInstanceAdmin, a ChannelModerator, or a member of an UNRESTRICTED channel")),
        }
    }

    /// Reading the channel and its members of a type.
    pub fn may_read(self, channel: &Channel, wanted: MembershipType) -> Result<(), Refusal> {
        match self {
            Self::Admin | Self::Moderator => Ok(()),
            _ if wanted == MembershipType::Hidden => {
                Err(Refusal::role("an AppInstanceAdmin or a ChannelModerator to see HIDDEN members"))
            }
            Self::Member(_) => Ok(()),
            Self::Outsider if channel.privacy == Privacy::Public => Ok(()),
            Self::Outsider => Err(Refusal::role("a member of this PRIVATE channel")),
        }
    }

    /// Removing a member. `leaves`: the bearer removes itself.
    pub fn may_remove(self, leaves: bool) -> Result<(), Refusal> {
        match self {
            Self::Admin | Self::Moderator => Ok(()),
            Self::Member(_) if leaves => Ok(()),
            _ => Err(Refusal::role("an AppInstanceAdmin or a ChannelModerator to remove others")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::roster::Roster;
    use super::*;

    fn channel(mode: Mode, privacy: Privacy) -> Channel {
        Channel {
            name: "support".into(),
            mode,
            privacy,
            metadata: None,
            created_by: MemberArn::parse("arn:aws:chime:us-east-1:1:app-instance/a/user/creator").unwrap(),
            created: Duration::ZERO,
            default_members: Roster::default(),
            hidden_members: Roster::default(),
            moderators: [].into(),
            bans: [].into(),
            elastic: None,
        }
    }

    const ROLES: [Role; 5] = [
        Role::Admin,
        Role::Moderator,
        Role::Member(MembershipType::Default),
        Role::Member(MembershipType::Hidden),
        Role::Outsider,
    ];

    fn allowed(ask: impl Fn(Role) -> Result<(), Refusal>) -> [bool; 5] {
        ROLES.map(|role| ask(role).is_ok())
    }

    #[test]
    fn only_those_who_rule_add_to_a_restricted_channel() {
        let channel = channel(Mode::Restricted, Privacy::Public);
        let add = |role: Role| role.may_add(&channel, MembershipType::Default, true);
        assert_eq!(allowed(add), [true, true, false, false, false]);
    }

    #[test]
    fn members_add_others_and_outsiders_only_themselves_to_an_unrestricted_public_channel() {
        let channel = channel(Mode::Unrestricted, Privacy::Public);
        let alone = |joins_alone| allowed(|role| role.may_add(&channel, MembershipType::Default, joins_alone));
        assert_eq!(alone(false), [true, true, true, false, false]);
        assert_eq!(alone(true), [true, true, true, false, true]);
        assert_eq!(
            allowed(|role| role.may_add(&channel, MembershipType::Hidden, true)),
            [true, true, false, false, false]
        );
    }

    #[test]
    fn nobody_joins_a_private_channel_by_themselves() {
        let channel = channel(Mode::Unrestricted, Privacy::Private);
        assert!(Role::Outsider.may_add(&channel, MembershipType::Default, true).is_err());
    }

    #[test]
    fn hidden_members_are_seen_by_those_who_rule_only() {
        let public = channel(Mode::Restricted, Privacy::Public);
        let private = channel(Mode::Restricted, Privacy::Private);
        let read = |channel, wanted| allowed(|role| role.may_read(channel, wanted));
        assert_eq!(read(&public, MembershipType::Default), [true, true, true, true, true]);
        assert_eq!(read(&private, MembershipType::Default), [true, true, true, true, false]);
        assert_eq!(read(&public, MembershipType::Hidden), [true, true, false, false, false]);
    }

    #[test]
    fn a_plain_member_may_leave_but_not_remove_others() {
        assert_eq!(allowed(|role| role.may_remove(false)), [true, true, false, false, false]);
        assert_eq!(allowed(|role| role.may_remove(true)), [true, true, true, true, false]);
        assert_eq!(allowed(Role::may_rule), [true, true, false, false, false]);
    }
}
