//! A sorted set of members, at a few bytes a member.
//!
//! Within one channel, a member's name is the part of its ARN after the app instance: `user/alice`
//! or `bot/helper`. The long first part is the same for 10,000 ARNs, and is kept once, in the
//! channel.

use crate::api::MemberList;

/// A sorted set of names, in one block of text. A lookup is a binary search; an addition rebuilds
/// the set, because sets change by the hundred.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameSet(MemberList);

impl NameSet {
    /// Returns the number of names.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the position of a name in the order of the set.
    pub fn position(&self, name: &str) -> Option<usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.get(middle)?.cmp(name) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// Returns whether a name is in the set.
    pub fn contains(&self, name: &str) -> bool {
        self.position(name).is_some()
    }

    /// Returns the name at a position.
    pub fn get(&self, index: usize) -> Option<&str> {
        self.0.get(index)
    }

    /// Lists the names, sorted.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + '_ {
        self.0.iter()
    }

    /// Returns the same names in the memory of an equal set among `others`: mostly, all declared
    /// members are present.
    #[must_use]
    pub fn share_with<'a>(self, others: impl IntoIterator<Item = &'a Self>) -> Self {
        others.into_iter().find(|other| **other == self).cloned().unwrap_or(self)
    }

    /// Removes names.
    pub fn remove(&mut self, names: &Self) {
        if names.iter().any(|name| self.contains(name)) {
            let rest: Self = self.iter().filter(|name| !names.contains(name)).collect();
            *self = rest;
        }
    }

    /// Adds names.
    pub fn extend<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        let new: Vec<&str> = names.into_iter().filter(|name| !self.contains(name)).collect();
        if !new.is_empty() {
            let all: Self = self.iter().chain(new).collect();
            *self = all;
        }
    }
}

impl<'a> FromIterator<&'a str> for NameSet {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        let mut names: Vec<&str> = names.into_iter().collect();
        names.sort_unstable();
        names.dedup();
        Self(names.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_sets_share_their_memory() {
        let set = |names: &[&str]| names.iter().copied().collect::<NameSet>();
        let others = [set(&["a"]), set(&["a", "b"])];
        let shared = set(&["b", "a"]).share_with(&others);
        assert!(std::ptr::eq(shared.get(0).unwrap(), others[1].get(0).unwrap()));
        assert_eq!(set(&["c"]).share_with(&others), set(&["c"]));
    }

    proptest! {
        #[test]
        fn set_holds_the_names_that_were_added(first in prop::collection::vec("[a-c]{0,3}", 0..20), more in prop::collection::vec("[a-c]{0,3}", 0..20)) {
            let mut set: NameSet = first.iter().map(String::as_str).collect();
            set.extend(more.iter().map(String::as_str));
            let model: BTreeSet<&str> = first.iter().chain(&more).map(String::as_str).collect();
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            for name in ["", "a", "ab", "zzz"] {
                prop_assert_eq!(set.contains(name), model.contains(name));
            }
        }
    }
}
