//! What does the service know about a channel?

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::limits::ServiceLimits;
use super::membership_store::MembershipStore;
use crate::api::MembershipType;
use crate::membership::arn::MemberArn;

/// Who may add members: everybody in the channel, or only moderators and admins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ChannelMode {
    /// Members too, and in a public channel anybody may join.
    #[default]
    Unrestricted,
    /// Moderators and admins only.
    Restricted,
}

/// Who may see the channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ChannelPrivacy {
    /// Anybody of the app instance.
    #[default]
    Public,
    /// Those in it, and admins.
    Private,
}

/// What makes a channel elastic. Bounds are those of the service model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ElasticConfiguration {
    /// At least 2.
    #[serde(alias = "maximumSubChannels")]
    pub maximum_sub_channels: u32,
    /// At least 2.
    #[serde(alias = "targetMembershipsPerSubChannel")]
    pub target_memberships_per_sub_channel: u32,
    /// 1 to 40.
    #[serde(alias = "minimumMembershipPercentage")]
    pub minimum_membership_percentage: u32,
}

impl ElasticConfiguration {
    /// Whether the numbers are those that the service takes.
    pub fn is_valid(&self) -> bool {
        self.maximum_sub_channels >= 2
            && self.target_memberships_per_sub_channel >= 2
            && (1..=40).contains(&self.minimum_membership_percentage)
    }
}

/// The sub-channels of an elastic channel.
#[derive(Clone, Debug)]
pub struct ElasticState {
    /// As given at creation; immutable.
    pub configuration: ElasticConfiguration,
    /// Members by sub-channel.
    pub sub_channels: BTreeMap<String, BTreeSet<MemberArn>>,
}

impl ElasticState {
    /// One sub-channel, empty.
    pub fn new(configuration: ElasticConfiguration) -> Self {
        let mut elastic = Self { configuration, sub_channels: BTreeMap::new() };
        elastic.open_sub_channel();
        elastic
    }

    /// Whether there is room for one more, in a sub-channel of now or in one yet to be opened.
    pub fn has_room(&self, limits: &ServiceLimits) -> bool {
        let most = limits.sub_channels_per_elastic_channel.min(self.configuration.maximum_sub_channels as usize);
        self.sub_channels.len() < most || self.free_sub_channel(limits).is_some()
    }

    /// Puts a member into a sub-channel with room, opening one if need be. For when [`Self::has_room`].
    pub fn insert(&mut self, member: MemberArn, limits: &ServiceLimits) {
        let sub_channel = self.free_sub_channel(limits).cloned().unwrap_or_else(|| self.open_sub_channel());
        self.sub_channels.entry(sub_channel).or_default().insert(member);
    }

    fn free_sub_channel(&self, limits: &ServiceLimits) -> Option<&String> {
        let most = limits.members_per_sub_channel.min(self.configuration.target_memberships_per_sub_channel as usize);
        self.sub_channels.iter().find(|(_, members)| members.len() < most).map(|(id, _)| id)
    }

    /// The sub-channels that a member is in.
    pub fn sub_channels_of(&self, member: &MemberArn) -> Vec<String> {
        self.sub_channels.iter().filter(|(_, members)| members.contains(member)).map(|(id, _)| id.clone()).collect()
    }

    fn open_sub_channel(&mut self) -> String {
        let id = format!("sub-{:04}", self.sub_channels.len() + 1);
        self.sub_channels.insert(id.clone(), BTreeSet::new());
        id
    }
}

/// A role or a ban: who gave it, and when.
#[derive(Clone, Debug)]
pub struct CreationRecord {
    /// The bearer.
    pub by: MemberArn,
    /// Since the simulator's start.
    pub at: Duration,
}

/// A channel.
#[derive(Clone, Debug)]
pub struct ChannelRecord {
    /// Shown to people.
    pub name: String,
    /// Who may add members.
    pub mode: ChannelMode,
    /// Who may see it.
    pub privacy: ChannelPrivacy,
    /// Up to 1 KiB of the application's.
    pub metadata: Option<String>,
    /// The bearer who made it.
    pub created_by: MemberArn,
    /// Since the simulator's start.
    pub created: Duration,
    /// Members who are seen.
    pub default_members: MembershipStore,
    /// Members who only observe.
    pub hidden_members: MembershipStore,
    /// Moderators, who need not be members.
    pub moderators: BTreeMap<MemberArn, CreationRecord>,
    /// Those who may not be added.
    pub bans: BTreeMap<MemberArn, CreationRecord>,
    /// Sub-channels, if the channel is elastic.
    pub elastic: Option<ElasticState>,
}

impl ChannelRecord {
    /// The members of one type.
    pub fn members_of_type(&self, membership_type: MembershipType) -> &MembershipStore {
        match membership_type {
            MembershipType::Default => &self.default_members,
            MembershipType::Hidden => &self.hidden_members,
        }
    }

    /// The members of one type, to be changed.
    pub fn members_of_type_mut(&mut self, membership_type: MembershipType) -> &mut MembershipStore {
        match membership_type {
            MembershipType::Default => &mut self.default_members,
            MembershipType::Hidden => &mut self.hidden_members,
        }
    }

    /// The type that somebody is a member with, if they are one.
    pub fn type_of(&self, member: &MemberArn) -> Option<MembershipType> {
        [MembershipType::Default, MembershipType::Hidden]
            .into_iter()
            .find(|membership_type| self.members_of_type(*membership_type).contains(member))
    }

    /// Members of both types.
    pub fn len(&self) -> usize {
        self.default_members.len() + self.hidden_members.len()
    }

    /// Takes a member out, of every sub-channel too. Says what type they had.
    pub fn remove(&mut self, member: &MemberArn, now: Duration, delay: Duration) -> Option<MembershipType> {
        let membership_type = self.type_of(member)?;
        self.members_of_type_mut(membership_type).remove(member, now, delay);
        if let Some(elastic) = &mut self.elastic {
            for members in elastic.sub_channels.values_mut() {
                members.remove(member);
            }
        }
        Some(membership_type)
    }
}
