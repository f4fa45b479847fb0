//! The log of every call, and of every membership that was added or removed.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::actor::Actor;
use super::operation::ApiOperation;
use crate::api::MembershipType;
use crate::membership::arn::{ChannelArn, MemberArn};

/// The number of entries that each log keeps. The oldest entries are dropped first. It is enough
/// for 5,000 channels of 100 members, added and removed.
const MAX_ENTRIES: usize = 1_000_000;

/// The direction of a membership change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MembershipAction {
    /// The member was added.
    Added,
    /// The member was removed.
    Removed,
}

/// A membership that was added or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembershipChange {
    /// The time since the simulator's start.
    pub at: Duration,
    /// The direction of the change.
    pub action: MembershipAction,
    /// The channel.
    pub channel: ChannelArn,
    /// The member.
    pub member: MemberArn,
    /// The type of the membership.
    pub membership_type: MembershipType,
    /// The bearer of the call; `None` if no call made the change.
    pub bearer: Option<MemberArn>,
    /// The operation of the call; `None` if no call made the change.
    pub operation: Option<ApiOperation>,
}

/// The membership changes, oldest first. The deletion of a channel adds no entries for its members.
#[derive(Debug, Default)]
pub struct MembershipLog {
    /// The number of entries that are no longer kept.
    discarded: usize,
    entries: VecDeque<MembershipChange>,
}

impl MembershipLog {
    pub fn add(
        &mut self,
        action: MembershipAction,
        channel: &ChannelArn,
        member: &MemberArn,
        membership_type: MembershipType,
        at: Duration,
        actor: Actor<'_>,
    ) {
        if self.entries.len() == MAX_ENTRIES {
            self.entries.pop_front();
            self.discarded += 1;
        }
        self.entries.push_back(MembershipChange {
            at,
            action,
            channel: channel.clone(),
            member: member.clone(),
            membership_type,
            bearer: actor.bearer.cloned(),
            operation: actor.operation,
        });
    }

    /// Iterates over the entries that are kept.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &MembershipChange> {
        self.entries.iter()
    }

    /// Returns the number of the newest entry. The first entry has number 1.
    pub fn newest_number(&self) -> usize {
        self.discarded + self.entries.len()
    }

    /// Iterates over the kept entries with a higher number than this, with their numbers.
    pub fn entries_after(&self, number: usize) -> impl Iterator<Item = (usize, &MembershipChange)> {
        let from = number.saturating_sub(self.discarded).min(self.entries.len());
        (self.discarded + from + 1..).zip(self.entries.range(from..))
    }
}

/// A call and the response to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// The time of arrival, since the simulator's start.
    pub at: Duration,
    /// The time of the response, since the simulator's start.
    pub answered_at: Duration,
    /// The operation.
    pub operation: ApiOperation,
    /// The channel; `None` if the call names no well-formed one.
    pub channel: Option<ChannelArn>,
    /// The bearer; `None` if the call names no well-formed one.
    pub bearer: Option<MemberArn>,
    /// The HTTP status of the response, also if the connection was cut before it.
    pub status: u16,
    /// The code of the error, if the call was refused.
    pub code: Option<String>,
    /// The number of members that the call names (a batch), or that the response lists (a page).
    pub members: usize,
    /// True if the connection was cut instead of a response.
    pub cut: bool,
}

/// The calls in the order of their responses, and the number of calls by operation.
#[derive(Debug, Default)]
pub struct CallLog {
    counts: BTreeMap<ApiOperation, u64>,
    records: VecDeque<CallRecord>,
}

impl CallLog {
    pub fn add(&mut self, record: CallRecord) {
        if self.records.len() == MAX_ENTRIES {
            self.records.pop_front();
        }
        *self.counts.entry(record.operation).or_default() += 1;
        self.records.push_back(record);
    }

    /// Returns the number of calls by operation, including refused calls.
    pub fn counts(&self) -> &BTreeMap<ApiOperation, u64> {
        &self.counts
    }

    /// Iterates over the calls that are kept.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &CallRecord> {
        self.records.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_keep_their_numbers_when_older_ones_are_dropped() {
        let channel = ChannelArn::parse("arn:aws:chime:us-east-1:1:app-instance/a/channel/c").unwrap();
        let member = channel.member("alice").unwrap();
        let mut log = MembershipLog::default();
        for _ in 0..MAX_ENTRIES + 2 {
            let at = Duration::ZERO;
            log.add(MembershipAction::Added, &channel, &member, MembershipType::Default, at, Actor::default());
        }
        let numbers = |after| log.entries_after(after).map(|(number, _)| number);
        assert_eq!(numbers(0).next(), Some(3));
        assert!(numbers(MAX_ENTRIES).eq([MAX_ENTRIES + 1, MAX_ENTRIES + 2]));
        assert_eq!(numbers(MAX_ENTRIES + 2).chain(numbers(usize::MAX)).next(), None);
        assert_eq!(log.newest_number(), MAX_ENTRIES + 2);
    }
}
