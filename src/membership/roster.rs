//! Whom does a resource declare?

use super::arn::{ArnError, ChannelArn, MemberArn};
use super::names::NameSet;

/// The different members that are declared for a channel, sorted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    channel: ChannelArn,
    names: NameSet,
}

impl Roster {
    /// Reads names as people write them. Whoever is written twice, once short and once in full, counts once.
    pub fn read<'a>(channel: &ChannelArn, written: impl IntoIterator<Item = &'a str>) -> Result<Self, ArnError> {
        let names = written.into_iter().map(|name| channel.name(name)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { channel: channel.clone(), names: names.iter().map(|name| &**name).collect() })
    }

    /// Declares no members.
    pub fn nobody(channel: &ChannelArn) -> Self {
        Self { channel: channel.clone(), names: NameSet::default() }
    }

    /// How many members are declared.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether no members are declared.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The members' names within the channel.
    pub fn names(&self) -> &NameSet {
        &self.names
    }

    /// The member of a name within the channel.
    pub fn arn(&self, name: &str) -> MemberArn {
        self.channel.member_named(name)
    }
}
