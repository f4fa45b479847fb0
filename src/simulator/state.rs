//! The users, channels and memberships of the service, and the rules that apply to every change.
//!
//! Times are since the simulator's start and come in as arguments.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::actor::Actor;
use super::api_error::ApiError;
use super::audit_log::{MembershipAction, MembershipLog};
use super::behaviours::{MissingCode, UndocumentedBehaviours};
use super::channel::{ChannelRecord, CreationRecord};
use super::limits::ServiceLimits;
use crate::api::MembershipType;
use crate::membership::arn::{ChannelArn, MemberArn};

/// A user or bot.
#[derive(Clone, Debug)]
pub struct UserRecord {
    pub name: String,
    pub is_admin: bool,
    pub channels: usize,
}

/// A membership to be added.
#[derive(Clone, Copy, Debug)]
pub struct NewMembership<'a> {
    pub channel: &'a ChannelArn,
    pub member: &'a MemberArn,
    pub membership_type: MembershipType,
    /// The time by which reads lag behind this write.
    pub delay: Duration,
    pub now: Duration,
    pub actor: Actor<'a>,
}

/// The state of the service.
#[derive(Debug)]
pub struct ServiceState {
    pub(super) behaviours: UndocumentedBehaviours,
    pub(super) limits: ServiceLimits,
    /// The wall clock at the simulator's start, since 1970.
    pub(super) started: Duration,
    /// The time by which reads lag behind writes.
    pub(super) delay: Duration,
    pub(super) app_instances: BTreeSet<String>,
    pub(super) users: HashMap<MemberArn, UserRecord>,
    pub(super) channels: BTreeMap<ChannelArn, ChannelRecord>,
    /// Channels by the bearer and the client token of the call that created them.
    pub(super) created_by_token: HashMap<(MemberArn, String), ChannelArn>,
    pub(super) log: MembershipLog,
}

impl ServiceState {
    pub fn new(behaviours: UndocumentedBehaviours, limits: ServiceLimits, delay: Duration, started: Duration) -> Self {
        Self {
            behaviours,
            limits,
            started,
            delay,
            app_instances: BTreeSet::new(),
            users: HashMap::new(),
            channels: BTreeMap::new(),
            created_by_token: HashMap::new(),
            log: MembershipLog::default(),
        }
    }

    /// Adds a user or bot, unless it exists.
    pub fn add_user(&mut self, arn: MemberArn) {
        let name = arn.as_str().rsplit('/').next().unwrap_or_default().to_owned();
        self.users.entry(arn).or_insert(UserRecord { name, is_admin: false, channels: 0 });
    }

    /// Returns true if a user or bot is an admin of its app instance.
    pub fn is_admin(&self, arn: &MemberArn) -> bool {
        self.users.get(arn).is_some_and(|user| user.is_admin)
    }

    /// Deletes a user or bot, with its memberships, roles and bans. Returns true if it existed.
    pub fn delete_user(&mut self, arn: &MemberArn, now: Duration, actor: Actor<'_>) -> bool {
        if self.users.remove(arn).is_none() {
            return false;
        }
        for (channel_arn, channel) in &mut self.channels {
            channel.moderators.remove(arn);
            channel.bans.remove(arn);
            if let Some(membership_type) = channel.remove(arn, now, self.delay) {
                self.log.add(MembershipAction::Removed, channel_arn, arn, membership_type, now, actor);
            }
        }
        true
    }

    /// Adds a member if the rules about the member allow it. The bearer's role is not checked here.
    /// In an elastic channel, the service selects the sub-channel.
    pub fn add_member(&mut self, new: &NewMembership<'_>) -> Result<(), ApiError> {
        let channel = self.channels.get(new.channel).ok_or_else(|| ApiError::not_found("The channel was not found"))?;
        self.may_join(new.channel, channel, new.member, new.membership_type)?;
        self.insert_member(new);
        Ok(())
    }

    /// Checks the rules about a member of a channel. The channel need not be part of the state yet.
    pub fn may_join(
        &self,
        arn: &ChannelArn,
        channel: &ChannelRecord,
        member: &MemberArn,
        membership_type: MembershipType,
    ) -> Result<(), ApiError> {
        let user = self.users.get(member).filter(|_| member.app_instance() == arn.app_instance());
        let user = user.ok_or_else(|| match self.behaviours.unknown_member {
            MissingCode::Forbidden => {
                ApiError::forbidden("An invalid app instance user ARN was supplied for the input parameter")
            }
            MissingCode::NotFound => ApiError::not_found("The app instance user was not found"),
        })?;
        if channel.bans.contains_key(member) {
            return Err(ApiError::forbidden("The member is banned from the channel"));
        }
        if channel.type_of(member).is_some() {
            return Err(ApiError::conflict("The user is already a member of the channel"));
        }
        if user.channels >= self.limits.channels_per_user {
            return Err(ApiError::limit_reached("channels of the user"));
        }
        match &channel.elastic {
            Some(_) if membership_type == MembershipType::Hidden => {
                Err(ApiError::bad_request("Elastic channels have no HIDDEN members"))
            }
            Some(elastic) if elastic.has_capacity(&self.limits) => Ok(()),
            None if channel.len() < self.limits.members_per_channel => Ok(()),
            _ => Err(ApiError::limit_reached("members of the channel")),
        }
    }

    /// Adds a member to a channel of the state, after [`Self::may_join`].
    pub fn insert_member(&mut self, new: &NewMembership<'_>) {
        let Some(channel) = self.channels.get_mut(new.channel) else { return };
        // The key of the map, so that a user is allocated once for all of its channels.
        let Some(known) = self.users.get_key_value(new.member).map(|(known, _)| known.clone()) else { return };
        if let Some(user) = self.users.get_mut(new.member) {
            user.channels += 1;
        }
        if let Some(elastic) = &mut channel.elastic {
            elastic.insert(known.clone(), &self.limits);
        }
        let invited_by = new.actor.bearer.unwrap_or(&known);
        channel.members_of_type_mut(new.membership_type).insert(&known, invited_by, new.now, new.delay);
        self.log.add(MembershipAction::Added, new.channel, &known, new.membership_type, new.now, new.actor);
    }

    /// Removes a member from a channel. Returns true if the user was a member.
    pub fn remove_member(&mut self, arn: &ChannelArn, member: &MemberArn, now: Duration, actor: Actor<'_>) -> bool {
        let Some(channel) = self.channels.get_mut(arn) else { return false };
        let Some(membership_type) = channel.remove(member, now, self.delay) else { return false };
        if let Some(user) = self.users.get_mut(member) {
            user.channels = user.channels.saturating_sub(1);
        }
        self.log.add(MembershipAction::Removed, arn, member, membership_type, now, actor);
        true
    }

    /// Deletes a channel. Returns true if it existed.
    pub fn delete_channel(&mut self, arn: &ChannelArn) -> bool {
        let Some(channel) = self.channels.remove(arn) else { return false };
        for member in channel.default_members.iter().chain(channel.hidden_members.iter()) {
            if let Some(user) = self.users.get_mut(member) {
                user.channels = user.channels.saturating_sub(1);
            }
        }
        true
    }

    /// Bans a user and ends its membership. Returns true if the user was not banned before.
    pub fn ban_member(&mut self, arn: &ChannelArn, member: &MemberArn, now: Duration, actor: Actor<'_>) -> bool {
        let Some(channel) = self.channels.get_mut(arn) else { return false };
        if channel.bans.contains_key(member) {
            return false;
        }
        let created = CreationRecord { by: actor.bearer.unwrap_or(&channel.created_by).clone(), at: now };
        channel.bans.insert(member.clone(), created);
        self.remove_member(arn, member, now, actor);
        true
    }

    /// Lifts a ban. Returns true if it existed.
    pub fn lift_ban(&mut self, arn: &ChannelArn, member: &MemberArn) -> bool {
        self.channels.get_mut(arn).is_some_and(|channel| channel.bans.remove(member).is_some())
    }
}
