//! The record: what a resource remembers in its status, so that a restart knows it too.

use std::time::Duration;

use jiff::Timestamp;

use super::arn::{ChannelArn, display_name};
use super::member_set::NameSet;
use super::ownership::Ownership;
use super::time::{later, to_the_second};
use crate::api::{ChannelMembershipStatus, FormerlyDeclared, MemberList, PendingApproval, Removed, RemovedInHour};

/// A removal counts against `limits.removals` for this long.
const COUNTED_FOR: Duration = Duration::from_hours(24);

const HOUR: Duration = Duration::from_hours(1);

/// The number of removals in each hour, by when the hour began.
type Hours = Vec<(Timestamp, u32)>;

/// The removals that this process knows of, so that wiping or restoring the status does not reset
/// the limit.
#[derive(Clone, Debug, Default)]
pub struct KnownRemovals {
    hours: Hours,
    /// The most removals that this process wrote. A status that counts more was written by another
    /// process.
    written: usize,
}

/// The ownership, removals and approvals of one resource. Names are those within the channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// The members that the resource owns.
    pub owned: Ownership,
    /// The owned members that it no longer declares, and that another resource declared when last
    /// seen.
    pub declared_elsewhere: NameSet,
    /// The members whose removal is under way, and counted.
    pub removing: NameSet,
    hours: Hours,
    /// The plan that waits for approval, or is carried out with it.
    pub pending_approval: Option<PendingApproval>,
    /// The approval that was carried out last, or that was set before its plan was shown.
    pub handled_approval: Option<String>,
}

impl Record {
    /// Reads the record from a status. A record of another UID, in a copy of the resource, owns no
    /// members.
    pub fn read(
        status: &ChannelMembershipStatus,
        uid: &str,
        channel: &ChannelArn,
        known: &KnownRemovals,
        now: Timestamp,
    ) -> Self {
        let names = |list: Option<&MemberList>| -> NameSet {
            let valid: Vec<_> =
                list.into_iter().flat_map(MemberList::iter).filter_map(|name| channel.name(name).ok()).collect();
            valid.iter().map(|name| &**name).collect()
        };
        let hours = status.removed.iter().flat_map(|removed| &removed.hours);
        let mut record = Self { hours: hours.map(|hour| (hour.from.0, hour.count)).collect(), ..Self::default() };
        let noted = Self { hours: known.hours.clone(), ..Self::default() };
        if noted.counted(now) > 0 && record.counted(now) <= known.written {
            record = noted;
        }
        if status.last_declared_uid.as_deref() != Some(uid) {
            return record;
        }
        let formerly_declared =
            status.formerly_declared.iter().map(|former| (former.at.0, names(Some(&former.members)))).collect();
        let confirmed_at = status.last_declared_at.as_ref().map(|time| time.0);
        record.owned = Ownership::new(names(status.last_declared.as_ref()), confirmed_at, formerly_declared);
        record.declared_elsewhere = names(status.declared_elsewhere.as_ref());
        record.removing = names(status.removing.as_ref());
        // A removal that no count covers, or that was counted hours ago, is counted again before it
        // is made.
        let recent = record.hours.last().is_some_and(|(from, _)| now < later(*from, HOUR * 2));
        if record.removing.len() > record.counted(now) || !recent {
            record.removing = NameSet::default();
        }
        record.pending_approval.clone_from(&status.pending_approval);
        record.handled_approval.clone_from(&status.last_handled_approval);
        record
    }

    /// Returns whether the record is empty.
    pub fn is_blank(&self) -> bool {
        let Self { owned, declared_elsewhere, removing, hours, pending_approval, handled_approval } = self;
        owned.names().is_empty()
            && declared_elsewhere.is_empty()
            && removing.is_empty()
            && hours.is_empty()
            && pending_approval.is_none()
            && handled_approval.is_none()
    }

    /// Writes the record to a status; without a UID, it no longer belongs to this resource.
    pub fn write(&self, status: &mut ChannelMembershipStatus, uid: Option<&str>, now: Timestamp) {
        let list = |names: &NameSet| (!names.is_empty()).then(|| names.iter().map(display_name).collect());
        status.last_declared = list(self.owned.names());
        status.last_declared_uid = uid.map(str::to_owned);
        let confirmed_at = self.owned.confirmed_at().filter(|_| !self.owned.names().is_empty());
        status.last_declared_at = confirmed_at.map(to_the_second);
        let formerly_declared = self.owned.formerly_declared().iter();
        status.formerly_declared = formerly_declared
            .map(|(at, names)| FormerlyDeclared {
                at: to_the_second(*at),
                members: names.iter().map(display_name).collect(),
            })
            .collect();
        status.declared_elsewhere = list(&self.declared_elsewhere);
        status.removing = list(&self.removing);
        let hours: Vec<RemovedInHour> = self
            .counting(now)
            .map(|(from, count)| RemovedInHour { from: to_the_second(*from), count: *count })
            .collect();
        let since = hours.first().map(|hour| hour.from.clone());
        let count = hours.iter().map(|hour| hour.count).sum();
        status.removed = since.map(|since| Removed { count, since: Some(since), hours });
        status.pending_approval.clone_from(&self.pending_approval);
        status.last_handled_approval.clone_from(&self.handled_approval);
    }

    /// Notes the removals for [`Self::read`]; `written` says whether the status shows them now.
    pub fn remember(&self, known: &mut KnownRemovals, written: bool, now: Timestamp) {
        known.hours.clone_from(&self.hours);
        if written {
            known.written = self.counted(now);
        }
    }

    /// Forgets ownership and removals, because the resource no longer prunes. The removal counts
    /// stay.
    pub fn forget_ownership(&mut self) {
        (self.owned, self.declared_elsewhere, self.removing) = Default::default();
        self.pending_approval.take_if(|plan| plan.removals > 0);
    }

    /// Returns the number of removals that count against the limit.
    pub fn counted(&self, now: Timestamp) -> usize {
        self.counting(now).map(|(_, count)| *count as usize).sum()
    }

    /// Returns when the oldest removals stop counting.
    pub fn counts_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.counting(now).next().map(|(from, _)| end_of(*from))
    }

    /// Counts removals that are about to begin.
    pub fn count(&mut self, removals: usize, now: Timestamp) {
        let more = u32::try_from(removals).unwrap_or(u32::MAX);
        self.hours.retain(|(from, _)| now < end_of(*from));
        match self.hours.last_mut() {
            Some((from, count)) if now.duration_since(*from) < jiff::SignedDuration::from_hours(1) => {
                *count = count.saturating_add(more);
            }
            _ if more > 0 => self.hours.push((now, more)),
            _ => {}
        }
    }

    /// Gives back a counted removal of a member that stays.
    pub fn refund(&mut self) {
        if let Some((_, count)) = self.hours.last_mut() {
            *count = count.saturating_sub(1);
        }
        self.hours.retain(|(_, count)| *count > 0);
    }

    fn counting(&self, now: Timestamp) -> impl Iterator<Item = &(Timestamp, u32)> {
        self.hours.iter().filter(move |(from, _)| now < end_of(*from))
    }
}

/// Returns when the removals of an hour stop counting. The last one may have been at its end.
fn end_of(from: Timestamp) -> Timestamp {
    later(from, COUNTED_FOR + HOUR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn channel() -> ChannelArn {
        ChannelArn::parse("arn:aws:chime:us-east-1:1:app-instance/i/channel/c").unwrap()
    }

    fn record() -> Record {
        let names = |names: &[&str]| names.iter().copied().collect();
        let mut owned = Ownership::default();
        owned.extend(&names(&["bot/helper", "user/alice", "user/bob"]));
        owned.confirm(&names(&["bot/helper", "user/alice", "user/bob"]), at(4));
        owned.confirm(&names(&["bot/helper"]), at(5));
        let mut record = Record {
            owned,
            declared_elsewhere: names(&["user/bob"]),
            removing: names(&["user/alice"]),
            pending_approval: Some(PendingApproval {
                removals: 2,
                hash: "5c1e".to_owned(),
                ..PendingApproval::default()
            }),
            handled_approval: Some("beef".to_owned()),
            ..Record::default()
        };
        record.count(3, at(0));
        record
    }

    fn read(status: &ChannelMembershipStatus, uid: &str, now: i64) -> Record {
        Record::read(status, uid, &channel(), &KnownRemovals::default(), at(now))
    }

    #[test]
    fn written_record_is_read_back() {
        let mut status = ChannelMembershipStatus::default();
        record().write(&mut status, Some("uid"), at(10));
        assert_eq!(read(&status, "uid", 10), record());
        assert_eq!(status.last_declared.unwrap().iter().collect::<Vec<_>>(), ["bot/helper", "alice", "bob"]);
        assert_eq!(status.removed.unwrap().count, 3);
    }

    #[test]
    fn record_of_another_uid_owns_no_member_and_still_counts() {
        let mut status = ChannelMembershipStatus::default();
        record().write(&mut status, Some("uid"), at(10));
        let copy = read(&status, "other", 10);
        assert!(copy.owned.names().is_empty() && copy.removing.is_empty() && copy.pending_approval.is_none());
        assert_eq!(copy.counted(at(10)), 3);
    }

    #[test]
    fn wiped_status_does_not_allow_more_removals() {
        let (wiped, mut counted) = (ChannelMembershipStatus::default(), KnownRemovals::default());
        record().remember(&mut counted, true, at(10));
        assert_eq!(Record::read(&wiped, "uid", &channel(), &counted, at(10)).counted(at(10)), 3);
    }

    #[test]
    fn refunded_removal_is_not_counted_from_the_status() {
        let (mut status, mut counted, mut record) =
            (ChannelMembershipStatus::default(), KnownRemovals::default(), record());
        record.write(&mut status, Some("uid"), at(10));
        record.remember(&mut counted, true, at(10));
        record.refund();
        record.remember(&mut counted, false, at(10));
        assert_eq!(Record::read(&status, "uid", &channel(), &counted, at(10)).counted(at(10)), 2);
        record.write(&mut status, Some("uid"), at(10));
        assert_eq!(Record::read(&status, "uid", &channel(), &counted, at(10)).counted(at(10)), 2);
        record.count(3, at(10));
        record.write(&mut status, Some("uid"), at(10));
        assert_eq!(
            Record::read(&status, "uid", &channel(), &counted, at(10)).counted(at(10)),
            5,
            "another process wrote the status"
        );
    }

    #[test]
    fn expired_removal_is_counted_again() {
        let mut status = ChannelMembershipStatus::default();
        record().write(&mut status, Some("uid"), at(10));
        assert!(!read(&status, "uid", 10).removing.is_empty());
        assert!(read(&status, "uid", 26 * 3600).removing.is_empty());
    }

    #[test]
    fn removal_counts_for_24h_to_25h() {
        let mut record = Record::default();
        record.count(1, at(0));
        record.count(2, at(3599));
        record.count(4, at(3600));
        assert_eq!(record.counted(at(3600)), 7);
        assert_eq!(record.counted(at(3599 + 24 * 3600)), 7);
        assert_eq!(record.counted(at(25 * 3600)), 4);
        assert_eq!(record.counted(at(26 * 3600)), 0);
        assert_eq!(record.counts_until(at(3600)), Some(at(25 * 3600)));
    }
}
