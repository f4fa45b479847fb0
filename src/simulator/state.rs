//! What is there now: identities and channels, and who changed them?
//!
//! Times are since the simulator's start; they come in as arguments.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;

use super::actor::Actor;
use super::api_error::BatchMemberError;
use super::audit_log::{MembershipAction, MembershipLog};
use super::behaviours::{MissingCode, UndocumentedBehaviours};
use super::channel::{ChannelRecord, CreationRecord, ElasticState};
use super::limits::ServiceLimits;
use super::roles::BearerRole;
use super::seed::{AppInstanceSeed, ChannelSeed, InvitedSeed, Seed, SeedError, SeedName};
use crate::api::MembershipType;
use crate::membership::arn::{ChannelArn, MemberArn};

/// A user or bot.
#[derive(Clone, Debug)]
pub struct UserRecord {
    /// Shown to people.
    pub name: String,
    /// Whether they are an admin of their app instance.
    pub is_admin: bool,
    /// In how many channels they are.
    pub channels: usize,
}

/// Everything that the service knows.
#[derive(Debug)]
pub struct ServiceState {
    pub(super) behaviours: UndocumentedBehaviours,
    pub(super) limits: ServiceLimits,
    /// The wall clock at the simulator's start, since 1970.
    pub(super) started: Duration,
    /// How long reads lag behind writes.
    pub(super) delay: Duration,
    pub(super) app_instances: BTreeSet<String>,
    pub(super) users: HashMap<MemberArn, UserRecord>,
    pub(super) channels: BTreeMap<ChannelArn, ChannelRecord>,
    /// Channels by the client token of the call that made them.
    pub(super) created_by_token: HashMap<(MemberArn, String), ChannelArn>,
    pub(super) log: MembershipLog,
}

impl ServiceState {
    /// Nothing yet.
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

    /// Adds what a seed describes. What came before an error stays.
    pub fn apply_seed(&mut self, seed: &Seed, now: Duration) -> Result<(), SeedError> {
        seed.app_instances.iter().try_for_each(|instance| self.add_app_instance(instance, now))
    }

    fn add_app_instance(&mut self, seed: &AppInstanceSeed, now: Duration) -> Result<(), SeedError> {
        // Any channel of it serves to read the ids of people.
        let anywhere = ChannelArn::parse(&format!("{}/channel/any", seed.arn.text)).map_err(|_| {
            seed.arn.wrong(format!(
                "{:?} is not an app instance ARN: write arn:<partition>:chime:<region>:<account>:app-instance/<id>",
                seed.arn.text
            ))
        })?;
        self.app_instances.insert(seed.arn.text.clone());
        for name in &seed.users {
            let arn = anywhere.member(&name.text).map_err(|error| name.wrong(error))?;
            if arn.is_bot() {
                return Err(name.wrong(format!("{:?} is a bot: list it under bots", name.text)));
            }
            self.add_user(arn);
        }
        for name in &seed.bots {
            let written = if name.text.contains('/') { name.text.clone() } else { format!("bot/{}", name.text) };
            let arn = anywhere.member(&written).map_err(|error| name.wrong(error))?;
            if !arn.is_bot() {
                return Err(name.wrong(format!("{:?} is a user: list it under users", name.text)));
            }
            self.add_user(arn);
        }
        let mut first_admin = None;
        for name in &seed.admins {
            let arn = self.known(&anywhere, name)?;
            if let Some(user) = self.users.get_mut(&arn) {
                user.is_admin = true;
            }
            first_admin.get_or_insert(arn);
        }
        seed.channels
            .iter()
            .try_for_each(|channel| self.add_channel(&seed.arn.text, first_admin.as_ref(), channel, now))
    }

    fn add_channel(
        &mut self,
        app_instance: &str,
        first_admin: Option<&MemberArn>,
        seed: &ChannelSeed,
        now: Duration,
    ) -> Result<(), SeedError> {
        let arn = ChannelArn::parse(&format!("{app_instance}/channel/{}", seed.id.text)).map_err(|_| {
            seed.id.wrong(format!("{:?} is no channel id: write 1 to 64 of A-Z a-z 0-9 : - _ . @", seed.id.text))
        })?;
        if self.channels.contains_key(&arn) {
            return Err(seed.id.wrong(format!("channel {:?} is there already", seed.id.text)));
        }
        let creator = match (&seed.created_by, first_admin) {
            (Some(name), _) => self.known(&arn, name)?,
            (None, Some(admin)) => admin.clone(),
            (None, None) => {
                return Err(seed
                    .id
                    .wrong(format!("channel {:?} has no creator: set createdBy, or admins", seed.id.text)));
            }
        };
        if seed.elastic.is_some_and(|configuration| !configuration.is_valid()) {
            return Err(seed.id.wrong(
                "elastic takes MaximumSubChannels and TargetMembershipsPerSubChannel of 2 and more, \
                 and a MinimumMembershipPercentage of 1 to 40",
            ));
        }
        let grants = |state: &Self, names: &[SeedName]| -> Result<BTreeMap<_, _>, SeedError> {
            let grant = CreationRecord { by: creator.clone(), at: now };
            names.iter().map(|name| Ok((state.known(&arn, name)?, grant.clone()))).collect()
        };
        let channel = ChannelRecord {
            name: seed.name.clone().unwrap_or_else(|| seed.id.text.clone()),
            mode: if seed.elastic.is_some() { super::channel::ChannelMode::Restricted } else { seed.mode },
            privacy: seed.privacy,
            metadata: seed.metadata.clone(),
            created_by: creator.clone(),
            created: now,
            default_members: super::membership_store::MembershipStore::default(),
            hidden_members: super::membership_store::MembershipStore::default(),
            moderators: grants(self, &seed.moderators)?,
            bans: grants(self, &seed.bans)?,
            elastic: seed.elastic.map(ElasticState::new),
        };
        self.channels.insert(arn.clone(), channel);
        self.add_seed_members(&arn, &seed.members, MembershipType::Default, &creator, None, now)?;
        self.add_seed_members(&arn, &seed.hidden, MembershipType::Hidden, &creator, None, now)?;
        for InvitedSeed { by, at, members } in &seed.invited {
            let inviter = self.known(&arn, by)?;
            self.add_seed_members(&arn, members, MembershipType::Default, &inviter, *at, now)?;
        }
        Ok(())
    }

    fn add_seed_members(
        &mut self,
        arn: &ChannelArn,
        names: &[SeedName],
        membership_type: MembershipType,
        inviter: &MemberArn,
        created: Option<Timestamp>,
        now: Duration,
    ) -> Result<(), SeedError> {
        names.iter().try_for_each(|name| {
            let member = self.known(arn, name)?;
            self.add_member_directly(arn, &member, membership_type, Some(inviter), created, now)
                .map_err(|refusal| name.wrong(format!("{:?} cannot be a member: {}", name.text, refusal.message)))
        })
    }

    /// Makes somebody a member behind the callers' backs, in somebody's name and at some time if they are given.
    pub fn add_member_directly(
        &mut self,
        arn: &ChannelArn,
        member: &MemberArn,
        membership_type: MembershipType,
        inviter: Option<&MemberArn>,
        created: Option<Timestamp>,
        now: Duration,
    ) -> Result<(), BatchMemberError> {
        self.add_member(arn, member, membership_type, Duration::ZERO, now, Actor { bearer: inviter, operation: None })?;
        if let Some(created) = created {
            self.backdate(arn, member, created);
        }
        Ok(())
    }

    fn backdate(&mut self, arn: &ChannelArn, member: &MemberArn, to: Timestamp) {
        let Some(channel) = self.channels.get_mut(arn) else { return };
        let Some(membership_type) = channel.type_of(member) else { return };
        // The service's times are of this century.
        let to = to.duration_since(Timestamp::UNIX_EPOCH).try_into().unwrap_or_default();
        channel.members_of_type_mut(membership_type).backdate(member, to);
    }

    fn known(&self, channel: &ChannelArn, name: &SeedName) -> Result<MemberArn, SeedError> {
        let arn = channel.member(&name.text).map_err(|error| name.wrong(error))?;
        let (known, _) = self.users.get_key_value(&arn).ok_or_else(|| {
            name.wrong(format!("{:?} is neither under users nor under bots of its app instance", name.text))
        })?;
        Ok(known.clone())
    }

    /// Makes a user or bot, unless they are there.
    pub fn add_user(&mut self, arn: MemberArn) {
        let name = arn.as_str().rsplit('/').next().unwrap_or_default().to_owned();
        self.users.entry(arn).or_insert(UserRecord { name, is_admin: false, channels: 0 });
    }

    /// Deletes a user or bot, with their memberships, roles and bans. Says whether they were there.
    pub fn delete_user(&mut self, arn: &MemberArn, now: Duration, by: Actor<'_>) -> bool {
        if self.users.remove(arn).is_none() {
            return false;
        }
        for (channel_arn, channel) in &mut self.channels {
            channel.moderators.remove(arn);
            channel.bans.remove(arn);
            if let Some(membership_type) = channel.remove(arn, now, self.delay) {
                self.log.add(MembershipAction::Removed, channel_arn, arn, membership_type, now, by);
            }
        }
        true
    }

    /// What somebody is in a channel.
    pub fn role(&self, bearer: &MemberArn, channel: &ChannelRecord) -> BearerRole {
        BearerRole::of(bearer, self.users.get(bearer).is_some_and(|user| user.is_admin), channel)
    }

    /// Makes somebody a member, if the rules about *them* allow it; whether the bearer may ask is not looked at. In an
    /// elastic channel the service picks the sub-channel.
    pub fn add_member(
        &mut self,
        arn: &ChannelArn,
        member: &MemberArn,
        membership_type: MembershipType,
        delay: Duration,
        now: Duration,
        by: Actor<'_>,
    ) -> Result<(), BatchMemberError> {
        let channel =
            self.channels.get(arn).ok_or_else(|| BatchMemberError::new("NotFound", "The channel was not found"))?;
        self.may_join(arn, channel, member, membership_type)?;
        self.insert_member(arn, member, membership_type, delay, now, by);
        Ok(())
    }

    /// Whether the rules about somebody allow them in a channel, which need not be among those of the state yet.
    pub fn may_join(
        &self,
        arn: &ChannelArn,
        channel: &ChannelRecord,
        member: &MemberArn,
        membership_type: MembershipType,
    ) -> Result<(), BatchMemberError> {
        let user = self.users.get(member).filter(|_| member.app_instance() == arn.app_instance());
        let user = user.ok_or_else(|| match self.behaviours.unknown_member {
            MissingCode::Forbidden => BatchMemberError::new(
                "Forbidden",
                "An invalid app instance user ARN was supplied for the input parameter",
            ),
            MissingCode::NotFound => BatchMemberError::new("NotFound", "The app instance user was not found"),
        })?;
        if channel.bans.contains_key(member) {
            return Err(BatchMemberError::new("Forbidden", "The member is banned from the channel"));
        }
        if channel.type_of(member).is_some() {
            return Err(BatchMemberError::new("Conflict", "The user is already a member of the channel"));
        }
        let full = |what: &str| BatchMemberError::new("ResourceLimitExceeded", format!("{what} has reached its limit"));
        if user.channels >= self.limits.channels_per_user {
            return Err(full("The number of channels of the user"));
        }
        match &channel.elastic {
            Some(_) if membership_type == MembershipType::Hidden => {
                Err(BatchMemberError::new("BadRequest", "Elastic channels have no HIDDEN members"))
            }
            Some(elastic) if elastic.has_room(&self.limits) => Ok(()),
            None if channel.len() < self.limits.members_per_channel => Ok(()),
            _ => Err(full("The number of members of the channel")),
        }
    }

    /// Makes somebody a member who [may join](Self::may_join) a channel of the state.
    pub fn insert_member(
        &mut self,
        arn: &ChannelArn,
        member: &MemberArn,
        membership_type: MembershipType,
        delay: Duration,
        now: Duration,
        by: Actor<'_>,
    ) {
        let Some(channel) = self.channels.get_mut(arn) else { return };
        // The key of the map: one allocation for a user, however many channels they are in.
        let Some(known) = self.users.get_key_value(member).map(|(known, _)| known.clone()) else { return };
        if let Some(user) = self.users.get_mut(member) {
            user.channels += 1;
        }
        if let Some(elastic) = &mut channel.elastic {
            elastic.insert(known.clone(), &self.limits);
        }
        let invited_by = by.bearer.unwrap_or(&known);
        channel.members_of_type_mut(membership_type).insert(&known, invited_by, now, delay);
        self.log.add(MembershipAction::Added, arn, &known, membership_type, now, by);
    }

    /// Takes somebody out of a channel. Says whether they were in it.
    pub fn remove_member(&mut self, arn: &ChannelArn, member: &MemberArn, now: Duration, by: Actor<'_>) -> bool {
        let Some(channel) = self.channels.get_mut(arn) else { return false };
        let Some(membership_type) = channel.remove(member, now, self.delay) else { return false };
        if let Some(user) = self.users.get_mut(member) {
            user.channels = user.channels.saturating_sub(1);
        }
        self.log.add(MembershipAction::Removed, arn, member, membership_type, now, by);
        true
    }

    /// Deletes a channel. Says whether it was there.
    pub fn delete_channel(&mut self, arn: &ChannelArn) -> bool {
        let Some(channel) = self.channels.remove(arn) else { return false };
        for member in channel.default_members.iter().chain(channel.hidden_members.iter()) {
            if let Some(user) = self.users.get_mut(member) {
                user.channels = user.channels.saturating_sub(1);
            }
        }
        true
    }

    /// Bans somebody, who ceases to be a member. Says whether this is news.
    pub fn ban_member(&mut self, arn: &ChannelArn, member: &MemberArn, now: Duration, by: Actor<'_>) -> bool {
        let Some(channel) = self.channels.get_mut(arn) else { return false };
        if channel.bans.contains_key(member) {
            return false;
        }
        let grant = CreationRecord { by: by.bearer.unwrap_or(&channel.created_by).clone(), at: now };
        channel.bans.insert(member.clone(), grant);
        self.remove_member(arn, member, now, by);
        true
    }

    /// Lifts a ban. Says whether there was one.
    pub fn lift_ban(&mut self, arn: &ChannelArn, member: &MemberArn) -> bool {
        self.channels.get_mut(arn).is_some_and(|channel| channel.bans.remove(member).is_some())
    }
}
