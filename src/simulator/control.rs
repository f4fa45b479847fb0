//! What do tests see and change, behind the backs of the service's callers?

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::Simulator;
use super::actor::Actor;
use super::audit_log::{CallLog, CallRecord, MembershipChange};
use super::fault::Fault;
use super::operation::ApiOperation;
use super::seed::{Seed, SeedError};
use crate::api::MembershipType;
use crate::membership::arn::{ArnError, ChannelArn, MemberArn};

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// No ARN where one is needed.
    #[error(transparent)]
    Arn(#[from] ArnError),
    /// There is no such channel.
    #[error("failed to change channel {0}: it is not there")]
    NoChannel(String),
    /// The rules about members forbid it.
    #[error("failed to add {member}: {code}: {message}")]
    Refused {
        /// Whom.
        member: String,
        /// The code that a batch would answer.
        code: &'static str,
        /// Its text.
        message: String,
    },
    /// A seed makes no sense.
    #[error(transparent)]
    Seed(#[from] SeedError),
}

/// Channels are named by ARN; people by ARN, or by id in the channel's app instance.
impl Simulator {
    /// Members of a channel and type as ARNs; nobody when there is no such channel.
    pub fn list_members(&self, channel: &str, membership_type: MembershipType) -> BTreeSet<String> {
        self.in_channel(channel, |channel| {
            channel.members_of_type(membership_type).iter().map(ToString::to_string).collect()
        })
    }

    /// How many [`Self::members`] there are, at no cost that grows with them.
    pub fn member_count(&self, channel: &str, membership_type: MembershipType) -> usize {
        self.in_channel(channel, |channel| channel.members_of_type(membership_type).len())
    }

    /// Those banned from a channel, as ARNs.
    pub fn list_bans(&self, channel: &str) -> BTreeSet<String> {
        self.in_channel(channel, |channel| channel.bans.keys().map(ToString::to_string).collect())
    }

    /// The moderators of a channel, as ARNs.
    pub fn list_moderators(&self, channel: &str) -> BTreeSet<String> {
        self.in_channel(channel, |channel| channel.moderators.keys().map(ToString::to_string).collect())
    }

    fn in_channel<T: Default>(&self, channel: &str, read: impl FnOnce(&super::channel::ChannelRecord) -> T) -> T {
        let Ok(arn) = ChannelArn::parse(channel) else { return T::default() };
        self.shared.lock_state().state.channels.get(&arn).map(read).unwrap_or_default()
    }

    /// Adds app instances, users and channels to what is there.
    pub fn apply_seed(&self, seed: &Seed) -> Result<(), ChangeError> {
        let now = self.shared.elapsed();
        Ok(self.shared.update_state(|world| world.state.apply_seed(seed, now))?)
    }

    /// Makes a user or bot, by full ARN.
    pub fn add_user(&self, arn: &str) -> Result<(), ChangeError> {
        let arn = MemberArn::parse(arn)?;
        self.shared.update_state(|world| world.state.add_user(arn));
        Ok(())
    }

    /// Deletes a user or bot with all that is theirs, by full ARN. Says whether they were there.
    pub fn delete_user(&self, arn: &str) -> Result<bool, ChangeError> {
        let (arn, now) = (MemberArn::parse(arn)?, self.shared.elapsed());
        Ok(self.shared.update_state(|world| world.state.delete_user(&arn, now, Actor::default())))
    }

    /// Makes a user an admin of the app instance, or not any more, by full ARN. Says whether they were there.
    pub fn set_admin(&self, arn: &str, is_admin: bool) -> Result<bool, ChangeError> {
        let arn = MemberArn::parse(arn)?;
        let set = |world: &mut super::Simulation| world.state.users.get_mut(&arn).map(|user| user.is_admin = is_admin);
        Ok(self.shared.update_state(set).is_some())
    }

    /// Adds a member of type DEFAULT.
    pub fn add_member(&self, channel: &str, member: &str) -> Result<(), ChangeError> {
        self.add_member_as(channel, member, MembershipType::Default)
    }

    /// Adds a member.
    pub fn add_member_as(&self, channel: &str, member: &str, as_type: MembershipType) -> Result<(), ChangeError> {
        self.join(channel, member, as_type, None, None)
    }

    /// Adds a member of type DEFAULT as if `inviter` had done it, now or at the time that is given.
    pub fn add_member_by(
        &self,
        channel: &str,
        member: &str,
        inviter: &str,
        created: Option<Timestamp>,
    ) -> Result<(), ChangeError> {
        self.join(channel, member, MembershipType::Default, Some(inviter), created)
    }

    fn join(
        &self,
        channel: &str,
        member: &str,
        as_type: MembershipType,
        inviter: Option<&str>,
        created: Option<Timestamp>,
    ) -> Result<(), ChangeError> {
        let (channel, member) = self.there(channel, member)?;
        let inviter = inviter.map(|inviter| channel.member(inviter)).transpose()?;
        let now = self.shared.elapsed();
        self.shared
            .update_state(|world| {
                world.state.add_member_directly(&channel, &member, as_type, inviter.as_ref(), created, now)
            })
            .map_err(|refusal| ChangeError::Refused {
                member: member.to_string(),
                code: refusal.code,
                message: refusal.message,
            })
    }

    /// Removes a member, of whichever type. Says whether they were one.
    pub fn remove_member(&self, channel: &str, member: &str) -> Result<bool, ChangeError> {
        let (channel, member) = self.there(channel, member)?;
        let now = self.shared.elapsed();
        Ok(self.shared.update_state(|world| world.state.remove_member(&channel, &member, now, Actor::default())))
    }

    /// Bans somebody, who ceases to be a member. Says whether they were not banned before.
    pub fn ban_member(&self, channel: &str, member: &str) -> Result<bool, ChangeError> {
        let (channel, member) = self.there(channel, member)?;
        let now = self.shared.elapsed();
        Ok(self.shared.update_state(|world| world.state.ban_member(&channel, &member, now, Actor::default())))
    }

    /// Lifts a ban. Says whether there was one.
    pub fn lift_ban(&self, channel: &str, member: &str) -> Result<bool, ChangeError> {
        let (channel, member) = self.there(channel, member)?;
        Ok(self.shared.update_state(|world| world.state.lift_ban(&channel, &member)))
    }

    /// Deletes a channel. Says whether it was there.
    pub fn delete_channel(&self, channel: &str) -> Result<bool, ChangeError> {
        let channel = ChannelArn::parse(channel)?;
        Ok(self.shared.update_state(|world| world.state.delete_channel(&channel)))
    }

    fn there(&self, channel: &str, member: &str) -> Result<(ChannelArn, MemberArn), ChangeError> {
        let arn = ChannelArn::parse(channel)?;
        let member = arn.member(member)?;
        if self.shared.lock_state().state.channels.contains_key(&arn) {
            Ok((arn, member))
        } else {
            Err(ChangeError::NoChannel(channel.to_owned()))
        }
    }

    /// How many calls of each operation were answered since the start or the last reset, refused ones too.
    pub fn call_counts(&self) -> BTreeMap<ApiOperation, u64> {
        self.shared.lock_state().calls.counts().clone()
    }

    /// Every call, in the order in which they were answered.
    pub fn call_log(&self) -> Vec<CallRecord> {
        self.shared.lock_state().calls.iter().cloned().collect()
    }

    /// Forgets the calls.
    pub fn reset_calls(&self) {
        self.shared.update_state(|world| world.calls = CallLog::default());
    }

    /// Who was added and removed, oldest first.
    pub fn membership_log(&self) -> Vec<MembershipChange> {
        self.shared.lock_state().state.log.iter().cloned().collect()
    }

    /// Time since the start, on the clock of [`CallRecord::at`] and [`Entry::at`].
    pub fn elapsed(&self) -> Duration {
        self.shared.elapsed()
    }

    /// Makes something go wrong. The id is for [`Self::clear_fault`].
    pub fn inject_fault(&self, fault: Fault) -> u64 {
        self.shared.update_state(|world| world.faults.add(fault))
    }

    /// Ends one fault. Says whether it was there.
    pub fn clear_fault(&self, id: u64) -> bool {
        self.shared.update_state(|world| world.faults.remove(id))
    }

    /// Ends all faults.
    pub fn clear_faults(&self) {
        self.shared.update_state(|world| world.faults.clear());
    }

    /// How many calls a fault has struck; 0 once it was cleared.
    pub fn fault_hits(&self, id: u64) -> u64 {
        self.shared.lock_state().faults.iter().find(|(known, ..)| *known == id).map_or(0, |(_, _, hits)| hits)
    }

    /// Waits until something holds, looking after every call and change. Has no deadline of its own.
    pub async fn wait_until(&self, mut holds: impl FnMut(&Self) -> bool) {
        let mut changes = self.shared.changes.subscribe();
        loop {
            // Seen before it is looked at, so that a change meanwhile wakes us again.
            changes.borrow_and_update();
            if holds(self) {
                return;
            }
            // The sender lives as long as the simulator, which we borrow.
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}
