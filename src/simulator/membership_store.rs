//! The members of one channel and type, with the delay that readers see.
//!
//! Writes take effect at once. Reads can lag behind them by the visibility delay, as in the
//! service. Times are since the simulator's start.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use crate::membership::arn::MemberArn;

/// One membership.
#[derive(Clone, Debug)]
pub struct MembershipRecord {
    pub invited_by: MemberArn,
    pub created: Duration,
    /// An earlier time of the addition, since 1970, that replaces `created` for readers.
    pub backdated: Option<Duration>,
    visible_from: Duration,
    /// The time until which reads still return a removed member; `None` for a present member.
    visible_until: Option<Duration>,
}

impl MembershipRecord {
    fn is_present(&self) -> bool {
        self.visible_until.is_none()
    }

    fn is_visible(&self, now: Duration) -> bool {
        self.visible_from <= now && self.visible_until.is_none_or(|until| now < until)
    }
}

/// The members of one channel and type.
#[derive(Clone, Debug, Default)]
pub struct MembershipStore {
    records: BTreeMap<MemberArn, MembershipRecord>,
    present: usize,
    removed: VecDeque<(Duration, MemberArn)>,
}

impl MembershipStore {
    pub fn len(&self) -> usize {
        self.present
    }

    /// Returns true if the member is present, independent of the visibility delay.
    pub fn contains(&self, member: &MemberArn) -> bool {
        self.records.get(member).is_some_and(MembershipRecord::is_present)
    }

    /// Iterates over the present members, independent of the visibility delay.
    pub fn iter(&self) -> impl Iterator<Item = &MemberArn> {
        self.records.iter().filter(|(_, record)| record.is_present()).map(|(member, _)| member)
    }

    /// Returns the membership if a read at `now` sees it.
    pub fn visible_record(&self, member: &MemberArn, now: Duration) -> Option<&MembershipRecord> {
        self.records.get(member).filter(|record| record.is_visible(now))
    }

    /// Adds a member that reads return from `now + delay` on. Returns true if the member is new.
    pub fn insert(&mut self, member: &MemberArn, invited_by: &MemberArn, now: Duration, delay: Duration) -> bool {
        self.drop_expired(now);
        let visible_from = match self.records.get(member) {
            Some(record) if record.is_present() => return false,
            // Readers still see the earlier membership, so for them the member never left.
            Some(record) if record.is_visible(now) => now,
            _ => now + delay,
        };
        let record = MembershipRecord {
            invited_by: invited_by.clone(),
            created: now,
            backdated: None,
            visible_from,
            visible_until: None,
        };
        self.records.insert(member.clone(), record);
        self.present += 1;
        true
    }

    /// Sets an earlier time of the addition, since 1970.
    pub fn backdate(&mut self, member: &MemberArn, to: Duration) {
        if let Some(record) = self.records.get_mut(member) {
            record.backdated = Some(to);
        }
    }

    /// Removes a member that reads return until `now + delay`. Returns true if it was present.
    pub fn remove(&mut self, member: &MemberArn, now: Duration, delay: Duration) -> bool {
        self.drop_expired(now);
        let Some(record) = self.records.get_mut(member).filter(|record| record.is_present()) else { return false };
        if delay.is_zero() {
            self.records.remove(member);
        } else {
            record.visible_until = Some(now + delay);
            self.removed.push_back((now + delay, member.clone()));
        }
        self.present -= 1;
        true
    }

    /// Lists up to `limit` members after `cursor`, in the order of their ARNs, as a read at `now`
    /// sees them. The flag is true if more members follow. An ARN as the cursor keeps pages stable
    /// while members are added and removed.
    pub fn list_page(&self, cursor: Option<&MemberArn>, limit: usize, now: Duration) -> (Vec<MemberArn>, bool) {
        let start = cursor.map_or(Bound::Unbounded, Bound::Excluded);
        let mut visible = self
            .records
            .range::<MemberArn, _>((start, Bound::Unbounded))
            .filter(|(_, record)| record.is_visible(now))
            .map(|(member, _)| member);
        let members: Vec<_> = visible.by_ref().take(limit).cloned().collect();
        (members, visible.next().is_some())
    }

    /// Drops the records of removed members that no reader sees any more.
    fn drop_expired(&mut self, now: Duration) {
        while self.removed.front().is_some_and(|(until, _)| *until <= now) {
            let Some((until, member)) = self.removed.pop_front() else { break };
            if self.records.get(&member).is_some_and(|record| record.visible_until == Some(until)) {
                self.records.remove(&member);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str) -> MemberArn {
        MemberArn::parse(&format!("arn:aws:chime:us-east-1:1:app-instance/a/user/{id}")).unwrap()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn visible_count(store: &MembershipStore, now: Duration) -> usize {
        store.list_page(None, 50, now).0.len()
    }

    #[test]
    fn only_reads_lag_behind_by_the_delay() {
        let (mut store, alice, delay) = (MembershipStore::default(), member("alice"), seconds(3));
        assert!(store.insert(&alice, &member("x"), seconds(10), delay));
        assert!(!store.insert(&alice, &member("x"), seconds(10), delay));
        assert!(store.contains(&alice));
        assert_eq!(visible_count(&store, seconds(12)), 0);
        assert_eq!(visible_count(&store, seconds(13)), 1);
        assert!(store.remove(&alice, seconds(20), delay));
        assert!(!store.contains(&alice));
        assert!(!store.remove(&alice, seconds(20), delay));
        assert_eq!(visible_count(&store, seconds(22)), 1);
        assert_eq!(visible_count(&store, seconds(23)), 0);
        assert_eq!(store.len(), 0);
    }

    #[test]
    fn member_added_again_within_the_delay_stays_visible() {
        let (mut store, alice, delay) = (MembershipStore::default(), member("alice"), seconds(3));
        store.insert(&alice, &member("x"), seconds(0), delay);
        store.remove(&alice, seconds(10), delay);
        store.insert(&alice, &member("y"), seconds(11), delay);
        assert_eq!(visible_count(&store, seconds(11)), 1);
        store.remove(&member("bob"), seconds(20), delay);
        assert_eq!(visible_count(&store, seconds(20)), 1);
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn page_continues_after_a_cursor_that_was_removed() {
        let mut store = MembershipStore::default();
        for id in ["a", "b", "c", "d"] {
            store.insert(&member(id), &member("x"), seconds(0), Duration::ZERO);
        }
        let (first, more) = store.list_page(None, 2, seconds(1));
        assert_eq!((first.as_slice(), more), ([member("a"), member("b")].as_slice(), true));
        store.remove(&member("b"), seconds(1), Duration::ZERO);
        let (second, more) = store.list_page(first.last(), 2, seconds(1));
        assert_eq!((second.as_slice(), more), ([member("c"), member("d")].as_slice(), false));
    }
}
