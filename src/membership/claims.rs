//! Whom did a resource declare before, and until when is that known to have been the one who is there?

use jiff::Timestamp;

use super::names::NameSet;

/// The people whom a resource declares, or declared and has not seen gone since.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    names: NameSet,
    /// When those who are declared were last confirmed by a listing.
    confirmed_at: Option<Timestamp>,
    /// Those who are not declared any more, by when they were last confirmed. Never made younger: the status that holds a claim may
    /// be a copy from a backup.
    formerly_declared: Vec<(Timestamp, NameSet)>,
}

impl Claims {
    /// Claims as they were written down.
    pub fn new(names: NameSet, confirmed_at: Option<Timestamp>, formerly_declared: Vec<(Timestamp, NameSet)>) -> Self {
        Self { names, confirmed_at, formerly_declared }
    }

    /// Everybody who is claimed.
    pub fn names(&self) -> &NameSet {
        &self.names
    }

    /// When those who are declared were last confirmed.
    pub fn confirmed_at(&self) -> Option<Timestamp> {
        self.confirmed_at
    }

    /// Those who are not declared any more, by when they were last confirmed.
    pub fn formerly_declared(&self) -> &[(Timestamp, NameSet)] {
        &self.formerly_declared
    }

    /// Whoever joined later than this, and without us, is not the one who was claimed by this name.
    pub fn until(&self, name: &str) -> Option<Timestamp> {
        let formerly_declared = self.formerly_declared.iter().find(|(_, names)| names.contains(name));
        formerly_declared.map_or(self.confirmed_at, |(at, _)| Some(*at)).filter(|_| self.names.contains(name))
    }

    /// The resource declares these, and a listing that began at `listed` shows who of them is there.
    pub fn confirm(&mut self, declared: &NameSet, listed: Timestamp) {
        for (_, names) in &mut self.formerly_declared {
            names.remove(declared);
        }
        let known = |name: &str| self.formerly_declared.iter().any(|(_, names)| names.contains(name));
        let newly: NameSet = self.names.iter().filter(|name| !declared.contains(name) && !known(name)).collect();
        if let Some(at) = self.confirmed_at.filter(|_| !newly.is_empty()) {
            self.formerly_declared.push((at, newly));
        }
        self.formerly_declared.retain(|(_, names)| !names.is_empty());
        self.confirmed_at = Some(listed);
    }

    /// More people are declared.
    pub fn extend(&mut self, declared: &NameSet) {
        self.names.extend(declared.iter());
    }

    /// These are not claimed any more.
    pub fn remove(&mut self, names: &NameSet) {
        self.names.remove(names);
        for (_, formerly_declared) in &mut self.formerly_declared {
            formerly_declared.remove(names);
        }
        self.formerly_declared.retain(|(_, names)| !names.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn set(names: &[&str]) -> NameSet {
        names.iter().copied().collect()
    }

    #[test]
    fn a_claim_is_as_young_as_the_last_listing_while_its_member_is_declared_and_no_younger_after() {
        let mut claims = Claims::default();
        claims.extend(&set(&["user/a", "user/b"]));
        claims.confirm(&set(&["user/a", "user/b"]), at(10));
        claims.confirm(&set(&["user/a"]), at(20));
        claims.confirm(&set(&["user/a"]), at(30));
        assert_eq!((claims.until("user/a"), claims.until("user/b")), (Some(at(30)), Some(at(10))));
        assert_eq!(claims.until("user/c"), None);
        claims.confirm(&set(&["user/a", "user/b"]), at(40));
        assert_eq!(claims.until("user/b"), Some(at(40)), "declared again");
        claims.remove(&set(&["user/b"]));
        assert_eq!(claims.until("user/b"), None);
    }
}
