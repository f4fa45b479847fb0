//! The desired members of a channel, as one resource declares them.

use super::arn::{ArnError, ChannelArn, MemberArn};
use super::member_set::NameSet;

/// The members that a resource declares for a channel, sorted, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredMembers {
    channel: ChannelArn,
    names: NameSet,
}

impl DesiredMembers {
    /// Parses names as people write them. A member that is written both short and in full counts
    /// once.
    pub fn parse<'a>(channel: &ChannelArn, written: impl IntoIterator<Item = &'a str>) -> Result<Self, ArnError> {
        let names = written.into_iter().map(|name| channel.name(name)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { channel: channel.clone(), names: names.iter().map(|name| &**name).collect() })
    }

    /// Returns an empty declaration.
    pub fn none(channel: &ChannelArn) -> Self {
        Self { channel: channel.clone(), names: NameSet::default() }
    }

    /// Returns the number of declared members.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Returns whether no member is declared.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Returns the members' names within the channel.
    pub fn names(&self) -> &NameSet {
        &self.names
    }

    /// Returns the ARN of a name within the channel.
    pub fn arn(&self, name: &str) -> MemberArn {
        self.channel.member_named(name)
    }
}
