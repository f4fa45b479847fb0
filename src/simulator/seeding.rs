//! The creation of the app instances, users and channels of a seed.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::actor::Actor;
use super::api_error::ApiError;
use super::channel::{ChannelMode, ChannelRecord, CreationRecord, ElasticState};
use super::membership_store::MembershipStore;
use super::seed::{AppInstanceSeed, ChannelSeed, InvitedSeed, Seed, SeedError, SeedName};
use super::state::{NewMembership, ServiceState};
use crate::api::MembershipType;
use crate::membership::arn::{ChannelArn, MemberArn};

impl ServiceState {
    /// Adds the app instances, users and channels of a seed. Additions before an error stay.
    pub fn apply_seed(&mut self, seed: &Seed, now: Duration) -> Result<(), SeedError> {
        seed.app_instances.iter().try_for_each(|instance| self.add_app_instance(instance, now))
    }

    fn add_app_instance(&mut self, seed: &AppInstanceSeed, now: Duration) -> Result<(), SeedError> {
        // Member ids are parsed relative to a channel. Any channel of the app instance serves.
        let any_channel = ChannelArn::parse(&format!("{}/channel/any", seed.arn.text)).map_err(|_| {
            seed.arn.error(format!(
                "{:?} is not an app instance ARN: write arn:<partition>:chime:<region>:<account>:app-instance/<id>",
                seed.arn.text
            ))
        })?;
        self.app_instances.insert(seed.arn.text.clone());
        for name in &seed.users {
            let arn = any_channel.member(&name.text).map_err(|error| name.error(error))?;
            if arn.is_bot() {
                return Err(name.error(format!("{:?} is a bot: list it under bots", name.text)));
            }
            self.add_user(arn);
        }
        for name in &seed.bots {
            let id = if name.text.contains('/') { name.text.clone() } else { format!("bot/{}", name.text) };
            let arn = any_channel.member(&id).map_err(|error| name.error(error))?;
            if !arn.is_bot() {
                return Err(name.error(format!("{:?} is a user: list it under users", name.text)));
            }
            self.add_user(arn);
        }
        let mut first_admin = None;
        for name in &seed.admins {
            let arn = self.resolve_name(&any_channel, name)?;
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
        let id = &seed.id;
        let arn = ChannelArn::parse(&format!("{app_instance}/channel/{}", id.text))
            .map_err(|_| id.error(format!("{:?} is no channel id: write 1 to 64 of A-Z a-z 0-9 : - _ . @", id.text)))?;
        if self.channels.contains_key(&arn) {
            return Err(id.error(format!("channel {:?} exists already", id.text)));
        }
        let creator = match (&seed.created_by, first_admin) {
            (Some(name), _) => self.resolve_name(&arn, name)?,
            (None, Some(admin)) => admin.clone(),
            (None, None) => {
                return Err(id.error(format!("channel {:?} has no creator: set createdBy, or admins", id.text)));
            }
        };
        if seed.elastic.is_some_and(|configuration| !configuration.is_valid()) {
            return Err(id.error(
                "elastic takes MaximumSubChannels and TargetMembershipsPerSubChannel of 2 and more, \
                 and a MinimumMembershipPercentage of 1 to 40",
            ));
        }
        let by_creator = |state: &Self, names: &[SeedName]| -> Result<BTreeMap<_, _>, SeedError> {
            let created = CreationRecord { by: creator.clone(), at: now };
            names.iter().map(|name| Ok((state.resolve_name(&arn, name)?, created.clone()))).collect()
        };
        let channel = ChannelRecord {
            name: seed.name.clone().unwrap_or_else(|| id.text.clone()),
            mode: if seed.elastic.is_some() { ChannelMode::Restricted } else { seed.mode },
            privacy: seed.privacy,
            metadata: seed.metadata.clone(),
            created_by: creator.clone(),
            created: now,
            default_members: MembershipStore::default(),
            hidden_members: MembershipStore::default(),
            moderators: by_creator(self, &seed.moderators)?,
            bans: by_creator(self, &seed.bans)?,
            elastic: seed.elastic.map(ElasticState::new),
        };
        self.channels.insert(arn.clone(), channel);
        self.add_seed_members(&arn, &seed.members, MembershipType::Default, &creator, None, now)?;
        self.add_seed_members(&arn, &seed.hidden, MembershipType::Hidden, &creator, None, now)?;
        for InvitedSeed { by, at, members } in &seed.invited {
            let inviter = self.resolve_name(&arn, by)?;
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
            let member = self.resolve_name(arn, name)?;
            self.add_member_directly(arn, &member, membership_type, Some(inviter), created, now)
                .map_err(|error| name.error(format!("{:?} cannot be a member: {}", name.text, error.message)))
        })
    }

    /// Adds a member without a call, visible at once. The inviter and the time are optional.
    pub fn add_member_directly(
        &mut self,
        arn: &ChannelArn,
        member: &MemberArn,
        membership_type: MembershipType,
        inviter: Option<&MemberArn>,
        created: Option<Timestamp>,
        now: Duration,
    ) -> Result<(), ApiError> {
        let actor = Actor { bearer: inviter, operation: None };
        self.add_member(&NewMembership { channel: arn, member, membership_type, delay: Duration::ZERO, now, actor })?;
        if let (Some(created), Some(channel)) = (created, self.channels.get_mut(arn)) {
            // A time before 1970 becomes 1970; the service's times are later.
            let created = created.duration_since(Timestamp::UNIX_EPOCH).try_into().unwrap_or_default();
            channel.members_of_type_mut(membership_type).backdate(member, created);
        }
        Ok(())
    }

    fn resolve_name(&self, channel: &ChannelArn, name: &SeedName) -> Result<MemberArn, SeedError> {
        let arn = channel.member(&name.text).map_err(|error| name.error(error))?;
        let (known, _) = self.users.get_key_value(&arn).ok_or_else(|| {
            name.error(format!("{:?} is neither under users nor under bots of its app instance", name.text))
        })?;
        Ok(known.clone())
    }
}
