//! Who is in a channel, and who seems to be?
//!
//! Writes take effect at once; reads may lag behind them by the visibility delay, as those of the service do. Times are
//! since the simulator's start.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use crate::membership::arn::MemberArn;

/// One membership.
#[derive(Clone, Debug)]
pub struct MembershipRecord {
    /// The bearer who added the member.
    pub invited_by: MemberArn,
    /// When.
    pub created: Duration,
    /// When, since 1970, for one who is said to have joined before the simulator's start.
    pub backdated: Option<Duration>,
    visible_from: Duration,
    /// Set once the member is gone: until when reads still show them.
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
    leaving: VecDeque<(Duration, MemberArn)>,
}

impl MembershipStore {
    /// How many members there are.
    pub fn len(&self) -> usize {
        self.present
    }

    /// Whether they are a member, whatever reads show.
    pub fn contains(&self, member: &MemberArn) -> bool {
        self.records.get(member).is_some_and(MembershipRecord::is_present)
    }

    /// All members, whatever reads show.
    pub fn iter(&self) -> impl Iterator<Item = &MemberArn> {
        self.records.iter().filter(|(_, record)| record.is_present()).map(|(member, _)| member)
    }

    /// The membership as a read at `now` shows it.
    pub fn visible(&self, member: &MemberArn, now: Duration) -> Option<&MembershipRecord> {
        self.records.get(member).filter(|record| record.is_visible(now))
    }

    /// Adds a member whom reads show from `now + delay` on. Says whether they were new.
    pub fn insert(&mut self, member: &MemberArn, invited_by: &MemberArn, now: Duration, delay: Duration) -> bool {
        self.forget_gone(now);
        let visible_from = match self.records.get(member) {
            Some(record) if record.is_present() => return false,
            // Back before anybody saw them leave: to reads they never left.
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

    /// Lets a member have joined at another time, since 1970.
    pub fn backdate(&mut self, member: &MemberArn, to: Duration) {
        if let Some(record) = self.records.get_mut(member) {
            record.backdated = Some(to);
        }
    }

    /// Removes a member whom reads show until `now + delay`. Says whether they were there.
    pub fn remove(&mut self, member: &MemberArn, now: Duration, delay: Duration) -> bool {
        self.forget_gone(now);
        let Some(record) = self.records.get_mut(member).filter(|record| record.is_present()) else { return false };
        if delay.is_zero() {
            self.records.remove(member);
        } else {
            record.visible_until = Some(now + delay);
            self.leaving.push_back((now + delay, member.clone()));
        }
        self.present -= 1;
        true
    }

    /// Up to `limit` members after `cursor` in the order of their ARNs, as a read at `now` shows them, and whether there
    /// are more. An ARN as cursor keeps pages stable while members come and go.
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

    /// Drops the traces of members whose departure everybody sees by now.
    fn forget_gone(&mut self, now: Duration) {
        while self.leaving.front().is_some_and(|(until, _)| *until <= now) {
            let Some((until, member)) = self.leaving.pop_front() else { break };
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

    fn page_ids(store: &MembershipStore, now: Duration) -> usize {
        store.list_page(None, 50, now).0.len()
    }

    #[test]
    fn reads_lag_behind_writes_by_the_delay_but_writes_do_not() {
        let (mut store, alice, delay) = (MembershipStore::default(), member("alice"), seconds(3));
        assert!(store.insert(&alice, &member("x"), seconds(10), delay));
        assert!(!store.insert(&alice, &member("x"), seconds(10), delay));
        assert!(store.contains(&alice));
        assert_eq!(page_ids(&store, seconds(12)), 0);
        assert_eq!(page_ids(&store, seconds(13)), 1);
        assert!(store.remove(&alice, seconds(20), delay));
        assert!(!store.contains(&alice));
        assert!(!store.remove(&alice, seconds(20), delay));
        assert_eq!(page_ids(&store, seconds(22)), 1);
        assert_eq!(page_ids(&store, seconds(23)), 0);
        assert_eq!(store.len(), 0);
    }

    #[test]
    fn who_comes_back_before_the_departure_was_seen_never_left_for_readers() {
        let (mut store, alice, delay) = (MembershipStore::default(), member("alice"), seconds(3));
        store.insert(&alice, &member("x"), seconds(0), delay);
        store.remove(&alice, seconds(10), delay);
        store.insert(&alice, &member("y"), seconds(11), delay);
        assert_eq!(page_ids(&store, seconds(11)), 1);
        store.remove(&member("nobody"), seconds(20), delay);
        assert_eq!(page_ids(&store, seconds(20)), 1);
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn pages_continue_after_a_cursor_that_has_left_meanwhile() {
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
