//! What does a resource remember of its claims and removals? All of it stands in its status, so a restart knows it too.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::arn::{ChannelArn, short};
use super::claims::Claims;
use super::names::NameSet;
use crate::api::{ChannelMembershipStatus, FormerlyDeclared, MemberList, PendingApproval, Removed, RemovedInHour};

/// So long a removal counts against `limits.removals`.
const COUNTED_FOR: Duration = Duration::from_hours(24);

const HOUR: Duration = Duration::from_hours(1);

/// Removals by the hour in which they were begun.
type Hours = Vec<(Timestamp, u32)>;

/// What this process knows to have been removed: a status that was wiped or restored does not buy more.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    hours: Hours,
    /// The most that it has written down. A status that counts more was written by another.
    written: usize,
}

/// Claims and removals of one resource. Names are those within the channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// Whom it declares, or declared and has not seen gone since.
    pub claims: Claims,
    /// Those of the claims whom it does not declare any more and another resource did when last seen.
    pub elsewhere: NameSet,
    /// Who is being removed, and counted.
    pub removing: NameSet,
    hours: Hours,
    /// What waits for approval, or is carried out with it.
    pub pending_approval: Option<PendingApproval>,
    /// The approval that was carried out last, or stood there before there was anything to approve.
    pub handled_approval: Option<String>,
}

impl Ledger {
    /// Reads what this resource wrote. What another UID wrote, in a copy of it, claims nobody.
    pub fn read(
        status: &ChannelMembershipStatus,
        uid: &str,
        channel: &ChannelArn,
        counted: &Counted,
        now: Timestamp,
    ) -> Self {
        let names = |list: Option<&MemberList>| -> NameSet {
            let known: Vec<_> =
                list.into_iter().flat_map(MemberList::iter).filter_map(|name| channel.name(name).ok()).collect();
            known.iter().map(|name| &**name).collect()
        };
        let hours = status.removed.iter().flat_map(|removed| &removed.hours);
        let mut ledger = Self { hours: hours.map(|hour| (hour.from.0, hour.count)).collect(), ..Self::default() };
        let known = Self { hours: counted.hours.clone(), ..Self::default() };
        if known.counted(now) > 0 && ledger.counted(now) <= counted.written {
            ledger = known;
        }
        if status.last_declared_uid.as_deref() != Some(uid) {
            return ledger;
        }
        let formerly_declared =
            status.formerly_declared.iter().map(|former| (former.at.0, names(Some(&former.members)))).collect();
        let confirmed_at = status.last_declared_at.as_ref().map(|time| time.0);
        ledger.claims = Claims::new(names(status.last_declared.as_ref()), confirmed_at, formerly_declared);
        ledger.elsewhere = names(status.declared_elsewhere.as_ref());
        ledger.removing = names(status.removing.as_ref());
        // Those whom nothing counts any more, or who were counted hours ago, must be counted again before they go.
        let lately =
            ledger.hours.last().is_some_and(|(from, _)| now < from.checked_add(HOUR * 2).unwrap_or(Timestamp::MAX));
        if ledger.removing.len() > ledger.counted(now) || !lately {
            ledger.removing = NameSet::default();
        }
        ledger.pending_approval.clone_from(&status.pending_approval);
        ledger.handled_approval.clone_from(&status.last_handled_approval);
        ledger
    }

    /// Whether nothing is remembered.
    pub fn is_blank(&self) -> bool {
        let Self { claims, elsewhere, removing, hours, pending_approval, handled_approval } = self;
        claims.names().is_empty()
            && elsewhere.is_empty()
            && removing.is_empty()
            && hours.is_empty()
            && pending_approval.is_none()
            && handled_approval.is_none()
    }

    /// Writes it down, for the next process; with no UID it is not this resource's any more.
    pub fn write(&self, status: &mut ChannelMembershipStatus, uid: Option<&str>, now: Timestamp) {
        let list = |names: &NameSet| (!names.is_empty()).then(|| names.iter().map(short).collect());
        status.last_declared = list(self.claims.names());
        status.last_declared_uid = uid.map(str::to_owned);
        let confirmed_at = self.claims.confirmed_at().filter(|_| !self.claims.names().is_empty());
        status.last_declared_at = confirmed_at.map(to_the_second);
        let formerly_declared = self.claims.formerly_declared().iter();
        status.formerly_declared = formerly_declared
            .map(|(at, names)| FormerlyDeclared { at: to_the_second(*at), members: names.iter().map(short).collect() })
            .collect();
        status.declared_elsewhere = list(&self.elsewhere);
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

    /// What this process knows to have been removed, for [`Self::read`]; `written` if the status says so now.
    pub fn remember(&self, counted: &mut Counted, written: bool, now: Timestamp) {
        counted.hours.clone_from(&self.hours);
        if written {
            counted.written = self.counted(now);
        }
    }

    /// How many removals of the last 24 hours count against the limit.
    pub fn counted(&self, now: Timestamp) -> usize {
        self.counting(now).map(|(_, count)| *count as usize).sum()
    }

    /// When the oldest removals stop to count.
    pub fn counts_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.counting(now).next().map(|(from, _)| end(*from))
    }

    /// So many more removals begin.
    pub fn count(&mut self, removals: usize, now: Timestamp) {
        let more = u32::try_from(removals).unwrap_or(u32::MAX);
        self.hours.retain(|(from, _)| now < end(*from));
        match self.hours.last_mut() {
            Some((from, count)) if now.duration_since(*from) < jiff::SignedDuration::from_hours(1) => {
                *count = count.saturating_add(more);
            }
            _ if more > 0 => self.hours.push((now, more)),
            _ => {}
        }
    }

    /// One who was counted last turned out to stay.
    pub fn uncount(&mut self) {
        if let Some((_, count)) = self.hours.last_mut() {
            *count = count.saturating_sub(1);
        }
        self.hours.retain(|(_, count)| *count > 0);
    }

    fn counting(&self, now: Timestamp) -> impl Iterator<Item = &(Timestamp, u32)> {
        self.hours.iter().filter(move |(from, _)| now < end(*from))
    }
}

/// The last removal of an hour may have been at its end.
fn end(from: Timestamp) -> Timestamp {
    from.checked_add(COUNTED_FOR + HOUR).unwrap_or(Timestamp::MAX)
}

/// Kubernetes keeps times to the second.
pub fn to_the_second(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
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

    fn ledger() -> Ledger {
        let names = |names: &[&str]| names.iter().copied().collect();
        let mut claims = Claims::default();
        claims.extend(&names(&["bot/helper", "user/alice", "user/bob"]));
        claims.confirm(&names(&["bot/helper", "user/alice", "user/bob"]), at(4));
        claims.confirm(&names(&["bot/helper"]), at(5));
        let mut ledger = Ledger {
            claims,
            elsewhere: names(&["user/bob"]),
            removing: names(&["user/alice"]),
            pending_approval: Some(PendingApproval {
                removals: 2,
                hash: "5c1e".to_owned(),
                ..PendingApproval::default()
            }),
            handled_approval: Some("beef".to_owned()),
            ..Ledger::default()
        };
        ledger.count(3, at(0));
        ledger
    }

    fn read(status: &ChannelMembershipStatus, uid: &str, now: i64) -> Ledger {
        Ledger::read(status, uid, &channel(), &Counted::default(), at(now))
    }

    #[test]
    fn what_is_written_down_is_what_is_read() {
        let mut status = ChannelMembershipStatus::default();
        ledger().write(&mut status, Some("uid"), at(10));
        assert_eq!(read(&status, "uid", 10), ledger());
        assert_eq!(status.last_declared.unwrap().iter().collect::<Vec<_>>(), ["bot/helper", "alice", "bob"]);
        assert_eq!(status.removed.unwrap().count, 3);
    }

    #[test]
    fn a_copy_under_another_uid_claims_nobody_and_counts_all_the_same() {
        let mut status = ChannelMembershipStatus::default();
        ledger().write(&mut status, Some("uid"), at(10));
        let copy = read(&status, "other", 10);
        assert!(copy.claims.names().is_empty() && copy.removing.is_empty() && copy.pending_approval.is_none());
        assert_eq!(copy.counted(at(10)), 3);
    }

    #[test]
    fn a_status_that_was_wiped_does_not_buy_more_removals() {
        let (wiped, mut counted) = (ChannelMembershipStatus::default(), Counted::default());
        ledger().remember(&mut counted, true, at(10));
        assert_eq!(Ledger::read(&wiped, "uid", &channel(), &counted, at(10)).counted(at(10)), 3);
    }

    #[test]
    fn who_turns_out_to_stay_is_not_counted_whatever_became_of_the_status_that_says_so() {
        let (mut status, mut counted, mut ledger) = (ChannelMembershipStatus::default(), Counted::default(), ledger());
        ledger.write(&mut status, Some("uid"), at(10));
        ledger.remember(&mut counted, true, at(10));
        ledger.uncount();
        ledger.remember(&mut counted, false, at(10));
        assert_eq!(Ledger::read(&status, "uid", &channel(), &counted, at(10)).counted(at(10)), 2);
        ledger.write(&mut status, Some("uid"), at(10));
        assert_eq!(Ledger::read(&status, "uid", &channel(), &counted, at(10)).counted(at(10)), 2);
        ledger.count(3, at(10));
        ledger.write(&mut status, Some("uid"), at(10));
        assert_eq!(Ledger::read(&status, "uid", &channel(), &counted, at(10)).counted(at(10)), 5, "another wrote that");
    }

    #[test]
    fn whose_removal_began_so_long_ago_that_it_counts_no_more_must_be_counted_again() {
        let mut status = ChannelMembershipStatus::default();
        ledger().write(&mut status, Some("uid"), at(10));
        assert!(!read(&status, "uid", 10).removing.is_empty());
        assert!(read(&status, "uid", 26 * 3600).removing.is_empty());
    }

    #[test]
    fn a_removal_counts_for_a_day_at_least_and_an_hour_more_at_most() {
        let mut ledger = Ledger::default();
        ledger.count(1, at(0));
        ledger.count(2, at(3599));
        ledger.count(4, at(3600));
        assert_eq!(ledger.counted(at(3600)), 7);
        assert_eq!(ledger.counted(at(3599 + 24 * 3600)), 7);
        assert_eq!(ledger.counted(at(25 * 3600)), 4);
        assert_eq!(ledger.counted(at(26 * 3600)), 0);
        assert_eq!(ledger.counts_until(at(3600)), Some(at(25 * 3600)));
    }
}
