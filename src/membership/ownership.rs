//! Ownership: which members a resource declared, and since when that is proven.

use jiff::Timestamp;

use super::member_set::NameSet;

/// The members that a resource declares, or declared and that no listing has shown absent since.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ownership {
    names: NameSet,
    /// When a listing last confirmed the declared members.
    confirmed_at: Option<Timestamp>,
    /// Members that are no longer declared, by when they were last confirmed. Never made younger:
    /// the status that holds an entry may be a copy from a backup.
    formerly_declared: Vec<(Timestamp, NameSet)>,
}

impl Ownership {
    /// Creates the ownership that a status records.
    pub fn new(names: NameSet, confirmed_at: Option<Timestamp>, formerly_declared: Vec<(Timestamp, NameSet)>) -> Self {
        Self { names, confirmed_at, formerly_declared }
    }

    /// Returns all owned members.
    pub fn names(&self) -> &NameSet {
        &self.names
    }

    /// Returns when the declared members were last confirmed.
    pub fn confirmed_at(&self) -> Option<Timestamp> {
        self.confirmed_at
    }

    /// Returns the members that are no longer declared, by when they were last confirmed.
    pub fn formerly_declared(&self) -> &[(Timestamp, NameSet)] {
        &self.formerly_declared
    }

    /// Returns until when ownership of a member is proven. A membership that is younger, and that
    /// we did not create, is not the one that the resource declared.
    pub fn proven_until(&self, name: &str) -> Option<Timestamp> {
        let former = self.formerly_declared.iter().find(|(_, names)| names.contains(name));
        former.map_or(self.confirmed_at, |(at, _)| Some(*at)).filter(|_| self.names.contains(name))
    }

    /// Records that a listing, begun at `listed`, shows which of the declared members are present.
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

    /// Adds declared members.
    pub fn extend(&mut self, declared: &NameSet) {
        self.names.extend(declared.iter());
    }

    /// Drops members that are no longer owned.
    pub fn release(&mut self, names: &NameSet) {
        self.names.remove(names);
        for (_, former) in &mut self.formerly_declared {
            former.remove(names);
        }
        self.formerly_declared.retain(|(_, names)| !names.is_empty());
    }
}

#[cfg(test)]
mod tests;
