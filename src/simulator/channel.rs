//! The state of one channel.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::limits::ServiceLimits;
use super::membership_store::{MembershipRecord, MembershipStore};
use crate::api::MembershipType;
use crate::membership::arn::MemberArn;

const MEMBERSHIP_TYPES: [MembershipType; 2] = [MembershipType::Default, MembershipType::Hidden];

/// The mode of a channel: the roles that may add members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ChannelMode {
    /// Members may add other users. Any user may join a public channel.
    #[default]
    Unrestricted,
    /// Moderators and admins may add members.
    Restricted,
}

/// The privacy of a channel: the users that may read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ChannelPrivacy {
    /// Every user of the app instance.
    #[default]
    Public,
    /// Members, moderators and admins.
    Private,
}

/// The configuration of an elastic channel, with the bounds of the service model.
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
    /// Returns true if the numbers are within the bounds of the service model.
    pub fn is_valid(&self) -> bool {
        self.maximum_sub_channels >= 2
            && self.target_memberships_per_sub_channel >= 2
            && (1..=40).contains(&self.minimum_membership_percentage)
    }
}

/// The sub-channels of an elastic channel.
#[derive(Clone, Debug)]
pub struct ElasticState {
    /// The configuration from the creation. It does not change.
    pub configuration: ElasticConfiguration,
    /// Members by sub-channel.
    pub sub_channels: BTreeMap<String, BTreeSet<MemberArn>>,
}

impl ElasticState {
    /// Creates a state with one empty sub-channel.
    pub fn new(configuration: ElasticConfiguration) -> Self {
        let mut elastic = Self { configuration, sub_channels: BTreeMap::new() };
        elastic.open_sub_channel();
        elastic
    }

    /// Returns true if one more member fits into an existing or a new sub-channel.
    pub fn has_capacity(&self, limits: &ServiceLimits) -> bool {
        let most = limits.sub_channels_per_elastic_channel.min(self.configuration.maximum_sub_channels as usize);
        self.sub_channels.len() < most || self.free_sub_channel(limits).is_some()
    }

    /// Adds a member to a sub-channel with capacity, or to a new one. Requires
    /// [`Self::has_capacity`].
    pub fn insert(&mut self, member: MemberArn, limits: &ServiceLimits) {
        let sub_channel = self.free_sub_channel(limits).cloned().unwrap_or_else(|| self.open_sub_channel());
        self.sub_channels.entry(sub_channel).or_default().insert(member);
    }

    fn free_sub_channel(&self, limits: &ServiceLimits) -> Option<&String> {
        let most = limits.members_per_sub_channel.min(self.configuration.target_memberships_per_sub_channel as usize);
        self.sub_channels.iter().find(|(_, members)| members.len() < most).map(|(id, _)| id)
    }

    /// Iterates over the sub-channels that contain the member.
    pub fn sub_channels_of(&self, member: &MemberArn) -> impl Iterator<Item = &str> {
        self.sub_channels.iter().filter(move |(_, members)| members.contains(member)).map(|(id, _)| id.as_str())
    }

    fn open_sub_channel(&mut self) -> String {
        let id = format!("sub-{:04}", self.sub_channels.len() + 1);
        self.sub_channels.insert(id.clone(), BTreeSet::new());
        id
    }
}

/// The creator and the time of a moderator role or a ban.
#[derive(Clone, Debug)]
pub struct CreationRecord {
    /// The bearer that created it.
    pub by: MemberArn,
    /// The time since the simulator's start.
    pub at: Duration,
}

/// A channel.
#[derive(Clone, Debug)]
pub struct ChannelRecord {
    pub name: String,
    pub mode: ChannelMode,
    pub privacy: ChannelPrivacy,
    /// Up to 1 KiB of application data.
    pub metadata: Option<String>,
    pub created_by: MemberArn,
    /// The time since the simulator's start.
    pub created: Duration,
    pub default_members: MembershipStore,
    pub hidden_members: MembershipStore,
    /// Moderators. A moderator need not be a member.
    pub moderators: BTreeMap<MemberArn, CreationRecord>,
    /// Users that may not be added.
    pub bans: BTreeMap<MemberArn, CreationRecord>,
    /// Sub-channels, if the channel is elastic.
    pub elastic: Option<ElasticState>,
}

impl ChannelRecord {
    pub fn members_of_type(&self, membership_type: MembershipType) -> &MembershipStore {
        match membership_type {
            MembershipType::Default => &self.default_members,
            MembershipType::Hidden => &self.hidden_members,
        }
    }

    pub fn members_of_type_mut(&mut self, membership_type: MembershipType) -> &mut MembershipStore {
        match membership_type {
            MembershipType::Default => &mut self.default_members,
            MembershipType::Hidden => &mut self.hidden_members,
        }
    }

    /// Returns the type of a membership, or `None` if the user is not a member.
    pub fn type_of(&self, member: &MemberArn) -> Option<MembershipType> {
        MEMBERSHIP_TYPES.into_iter().find(|membership_type| self.members_of_type(*membership_type).contains(member))
    }

    /// Returns the membership that a read at `now` sees, with its type.
    pub fn visible_membership(&self, member: &MemberArn, now: Duration) -> Option<(MembershipType, &MembershipRecord)> {
        let visible = |membership_type| self.members_of_type(membership_type).visible_record(member, now);
        MEMBERSHIP_TYPES.into_iter().find_map(|membership_type| Some((membership_type, visible(membership_type)?)))
    }

    /// Iterates over the sub-channels that contain the member; none if the channel is not elastic.
    pub fn sub_channels_of(&self, member: &MemberArn) -> impl Iterator<Item = &str> {
        self.elastic.iter().flat_map(move |elastic| elastic.sub_channels_of(member))
    }

    /// Returns the number of members of both types.
    pub fn len(&self) -> usize {
        self.default_members.len() + self.hidden_members.len()
    }

    /// Removes a member from the channel and its sub-channels. Returns the type of the membership.
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
