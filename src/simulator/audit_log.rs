//! What happened? Every call, and every membership that came or went.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::actor::Actor;
use super::operation::ApiOperation;
use crate::api::MembershipType;
use crate::membership::arn::{ChannelArn, MemberArn};

/// Entries kept of each log; the oldest go first. Enough for 5,000 channels of 100 members.
const KEPT: usize = 1_000_000;

/// Whether a membership came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MembershipAction {
    /// Somebody became a member.
    Added,
    /// Somebody ceased to be one.
    Removed,
}

/// A membership that came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembershipChange {
    /// Since the simulator's start.
    pub at: Duration,
    /// Which way.
    pub action: MembershipAction,
    /// Where.
    pub channel: ChannelArn,
    /// Who.
    pub member: MemberArn,
    /// As what.
    pub membership_type: MembershipType,
    /// In whose name; `None` when done behind the callers' backs.
    pub bearer: Option<MemberArn>,
    /// By which call; `None` when done behind the callers' backs.
    pub operation: Option<ApiOperation>,
}

/// The memberships that came or went, oldest first. A deleted channel's are not listed one by one.
#[derive(Debug, Default)]
pub struct MembershipLog {
    /// How many entries came before those that are kept.
    dropped: usize,
    entries: VecDeque<MembershipChange>,
}

impl MembershipLog {
    /// One more.
    pub fn add(
        &mut self,
        action: MembershipAction,
        channel: &ChannelArn,
        member: &MemberArn,
        membership_type: MembershipType,
        at: Duration,
        by: Actor<'_>,
    ) {
        if self.entries.len() == KEPT {
            self.entries.pop_front();
            self.dropped += 1;
        }
        self.entries.push_back(MembershipChange {
            at,
            action,
            channel: channel.clone(),
            member: member.clone(),
            membership_type,
            bearer: by.bearer.cloned(),
            operation: by.operation,
        });
    }

    /// All that are kept.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &MembershipChange> {
        self.entries.iter()
    }

    /// The number of the newest entry; the first of all has number 1.
    pub fn newest(&self) -> usize {
        self.dropped + self.entries.len()
    }

    /// Those that are kept and have a higher number than this, with their numbers.
    pub fn after(&self, number: usize) -> impl Iterator<Item = (usize, &MembershipChange)> {
        let from = number.saturating_sub(self.dropped).min(self.entries.len());
        (self.dropped + from + 1..).zip(self.entries.range(from..))
    }
}

/// A call as it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// When it arrived, since the simulator's start.
    pub at: Duration,
    /// When it was answered, since the simulator's start.
    pub answered_at: Duration,
    /// What it asked.
    pub operation: ApiOperation,
    /// Of which channel, where it names one in a well-formed way.
    pub channel: Option<ChannelArn>,
    /// In whose name, where it names one in a well-formed way.
    pub bearer: Option<MemberArn>,
    /// The HTTP status that was answered, or would have been.
    pub status: u16,
    /// The code of the refusal, if it was one.
    pub code: Option<String>,
    /// Members that the call named (a batch), or that its answer lists (a page).
    pub members: usize,
    /// Whether the connection was cut instead of an answer.
    pub cut: bool,
}

/// Every call in the order in which they were answered, and how many there were of each operation.
#[derive(Debug, Default)]
pub struct CallLog {
    counts: BTreeMap<ApiOperation, u64>,
    records: VecDeque<CallRecord>,
}

impl CallLog {
    /// One more.
    pub fn add(&mut self, record: CallRecord) {
        if self.records.len() == KEPT {
            self.records.pop_front();
        }
        *self.counts.entry(record.operation).or_default() += 1;
        self.records.push_back(record);
    }

    /// Calls by operation, refused ones too.
    pub fn counts(&self) -> &BTreeMap<ApiOperation, u64> {
        &self.counts
    }

    /// All that are kept.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &CallRecord> {
        self.records.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_keep_their_numbers_when_the_oldest_go() {
        let channel = ChannelArn::parse("arn:aws:chime:us-east-1:1:app-instance/a/channel/c").unwrap();
        let member = channel.member("alice").unwrap();
        let mut log = MembershipLog::default();
        for _ in 0..KEPT + 2 {
            log.add(
                MembershipAction::Added,
                &channel,
                &member,
                MembershipType::Default,
                Duration::ZERO,
                Actor::default(),
            );
        }
        let numbers = |after| log.after(after).map(|(number, _)| number);
        assert_eq!(numbers(0).next(), Some(3));
        assert!(numbers(KEPT).eq([KEPT + 1, KEPT + 2]));
        assert_eq!(numbers(KEPT + 2).chain(numbers(usize::MAX)).next(), None);
        assert_eq!(log.newest(), KEPT + 2);
    }
}
