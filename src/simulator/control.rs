//! The methods with which tests read and change the state of the simulator without a call.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::Simulator;
use super::actor::Actor;
use super::audit_log::{CallLog, CallRecord, MembershipChange};
use super::channel::ChannelRecord;
use super::fault::Fault;
use super::operation::ApiOperation;
use super::seed::{Seed, SeedError};
use super::shared_state::SimulatorState;
use crate::api::MembershipType;
use crate::membership::arn::{ArnError, ChannelArn, MemberArn};

/// The reason why a change was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The text is not an ARN.
    #[error(transparent)]
    Arn(#[from] ArnError),
    /// The channel does not exist.
    #[error("failed to change channel {0}: it does not exist")]
    NoChannel(String),
    /// The rules about members forbid the addition.
    #[error("failed to add {member}: {code}: {message}")]
    Refused {
        /// The member.
        member: String,
        /// The code of the error in a batch.
        code: Cow<'static, str>,
        /// The message of the error.
        message: String,
    },
    /// The seed is invalid.
    #[error(transparent)]
    Seed(#[from] SeedError),
}

/// Channels are given by ARN. Users and bots are given by ARN or by id in the app instance.
impl Simulator {
    /// Lists the members of a channel and type as ARNs; none if the channel does not exist.
    pub fn list_members(&self, channel: &str, membership_type: MembershipType) -> BTreeSet<String> {
        self.in_channel(channel, |channel| {
            channel.members_of_type(membership_type).iter().map(ToString::to_string).collect()
        })
    }

    /// Returns the length of [`Self::list_members`] in constant time.
    pub fn member_count(&self, channel: &str, membership_type: MembershipType) -> usize {
        self.in_channel(channel, |channel| channel.members_of_type(membership_type).len())
    }

    /// Lists the banned users of a channel as ARNs.
    pub fn list_bans(&self, channel: &str) -> BTreeSet<String> {
        self.in_channel(channel, |channel| channel.bans.keys().map(ToString::to_string).collect())
    }

    /// Lists the moderators of a channel as ARNs.
    pub fn list_moderators(&self, channel: &str) -> BTreeSet<String> {
        self.in_channel(channel, |channel| channel.moderators.keys().map(ToString::to_string).collect())
    }

    fn in_channel<T: Default>(&self, channel: &str, read: impl FnOnce(&ChannelRecord) -> T) -> T {
        let Ok(arn) = ChannelArn::parse(channel) else { return T::default() };
        self.shared.lock_state().service.channels.get(&arn).map(read).unwrap_or_default()
    }

    /// Adds the app instances, users and channels of a seed to the state.
    pub fn apply_seed(&self, seed: &Seed) -> Result<(), ChangeError> {
        let now = self.shared.elapsed();
        Ok(self.shared.update_state(|state| state.service.apply_seed(seed, now))?)
    }

    /// Creates a user or bot, by full ARN.
    pub fn add_user(&self, arn: &str) -> Result<(), ChangeError> {
        let arn = MemberArn::parse(arn)?;
        self.shared.update_state(|state| state.service.add_user(arn));
        Ok(())
    }

    /// Deletes a user or bot with its memberships, by full ARN. Returns true if it existed.
    pub fn delete_user(&self, arn: &str) -> Result<bool, ChangeError> {
        let (arn, now) = (MemberArn::parse(arn)?, self.shared.elapsed());
        Ok(self.shared.update_state(|state| state.service.delete_user(&arn, now, Actor::default())))
    }

    /// Starts or ends the admin role of a user, by full ARN. Returns true if the user exists.
    pub fn set_admin(&self, arn: &str, is_admin: bool) -> Result<bool, ChangeError> {
        let arn = MemberArn::parse(arn)?;
        let set = |state: &mut SimulatorState| state.service.users.get_mut(&arn).map(|user| user.is_admin = is_admin);
        Ok(self.shared.update_state(set).is_some())
    }

    /// Adds a member of type DEFAULT.
    pub fn add_member(&self, channel: &str, member: &str) -> Result<(), ChangeError> {
        self.add_member_as(channel, member, MembershipType::Default)
    }

    /// Adds a member of a type.
    pub fn add_member_as(&self, channel: &str, member: &str, as_type: MembershipType) -> Result<(), ChangeError> {
        self.add_member_with(channel, member, as_type, None, None)
    }

    /// Adds a member of type DEFAULT in the name of `inviter`, now or at the given time.
    pub fn add_member_by(
        &self,
        channel: &str,
        member: &str,
        inviter: &str,
        created: Option<Timestamp>,
    ) -> Result<(), ChangeError> {
        self.add_member_with(channel, member, MembershipType::Default, Some(inviter), created)
    }

    fn add_member_with(
        &self,
        channel: &str,
        member: &str,
        as_type: MembershipType,
        inviter: Option<&str>,
        created: Option<Timestamp>,
    ) -> Result<(), ChangeError> {
        let (channel, member) = self.existing_channel(channel, member)?;
        let inviter = inviter.map(|inviter| channel.member(inviter)).transpose()?;
        let now = self.shared.elapsed();
        self.shared
            .update_state(|state| {
                state.service.add_member_directly(&channel, &member, as_type, inviter.as_ref(), created, now)
            })
            .map_err(|error| ChangeError::Refused {
                member: member.to_string(),
                code: error.code,
                message: error.message,
            })
    }

    /// Removes a member of any type. Returns true if the user was a member.
    pub fn remove_member(&self, channel: &str, member: &str) -> Result<bool, ChangeError> {
        let (channel, member) = self.existing_channel(channel, member)?;
        let now = self.shared.elapsed();
        Ok(self.shared.update_state(|state| state.service.remove_member(&channel, &member, now, Actor::default())))
    }

    /// Bans a user and ends its membership. Returns true if the user was not banned before.
    pub fn ban_member(&self, channel: &str, member: &str) -> Result<bool, ChangeError> {
        let (channel, member) = self.existing_channel(channel, member)?;
        let now = self.shared.elapsed();
        Ok(self.shared.update_state(|state| state.service.ban_member(&channel, &member, now, Actor::default())))
    }

    /// Lifts a ban. Returns true if it existed.
    pub fn lift_ban(&self, channel: &str, member: &str) -> Result<bool, ChangeError> {
        let (channel, member) = self.existing_channel(channel, member)?;
        Ok(self.shared.update_state(|state| state.service.lift_ban(&channel, &member)))
    }

    /// Deletes a channel. Returns true if it existed.
    pub fn delete_channel(&self, channel: &str) -> Result<bool, ChangeError> {
        let channel = ChannelArn::parse(channel)?;
        Ok(self.shared.update_state(|state| state.service.delete_channel(&channel)))
    }

    fn existing_channel(&self, channel: &str, member: &str) -> Result<(ChannelArn, MemberArn), ChangeError> {
        let arn = ChannelArn::parse(channel)?;
        let member = arn.member(member)?;
        if self.shared.lock_state().service.channels.contains_key(&arn) {
            Ok((arn, member))
        } else {
            Err(ChangeError::NoChannel(channel.to_owned()))
        }
    }

    /// Returns the number of calls by operation since the last reset, including refused calls.
    pub fn call_counts(&self) -> BTreeMap<ApiOperation, u64> {
        self.shared.lock_state().calls.counts().clone()
    }

    /// Lists the calls in the order of their responses.
    pub fn call_log(&self) -> Vec<CallRecord> {
        self.shared.lock_state().calls.iter().cloned().collect()
    }

    /// Clears the calls.
    pub fn reset_calls(&self) {
        self.shared.update_state(|state| state.calls = CallLog::default());
    }

    /// Lists the membership changes, oldest first.
    pub fn membership_log(&self) -> Vec<MembershipChange> {
        self.shared.lock_state().service.log.iter().cloned().collect()
    }

    /// Returns the time since the start, by the clock of [`CallRecord::at`].
    pub fn elapsed(&self) -> Duration {
        self.shared.elapsed()
    }

    /// Injects a fault. Returns its id, for [`Self::clear_fault`].
    pub fn inject_fault(&self, fault: Fault) -> u64 {
        self.shared.update_state(|state| state.faults.add(fault))
    }

    /// Clears a fault. Returns true if it existed.
    pub fn clear_fault(&self, id: u64) -> bool {
        self.shared.update_state(|state| state.faults.remove(id))
    }

    /// Clears all faults.
    pub fn clear_faults(&self) {
        self.shared.update_state(|state| state.faults.clear());
    }

    /// Returns the number of calls that a fault has changed; 0 after it was cleared.
    pub fn fault_hits(&self, id: u64) -> u64 {
        self.shared.lock_state().faults.iter().find(|(known, ..)| *known == id).map_or(0, |(_, _, hits)| hits)
    }

    /// Waits without a timeout for a condition, which is checked after every call and change.
    pub async fn wait_until(&self, mut holds: impl FnMut(&Self) -> bool) {
        let mut changes = self.shared.changes.subscribe();
        loop {
            // Marked as seen before the check, so that a change meanwhile wakes this task.
            changes.borrow_and_update();
            if holds(self) {
                return;
            }
            // The sender lives as long as the borrowed simulator, so this does not fail.
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}
