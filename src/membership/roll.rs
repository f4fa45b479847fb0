//! Who declares whom in one channel, all of its resources together?

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::arn::MemberArn;
use super::names::NameSet;
use super::roster::Roster;
use crate::api::MembershipType;

/// One resource of a channel. One that is being deleted declares no members and has no place in a roll.
#[derive(Clone, Debug)]
pub struct Declarer {
    /// `namespace/name`.
    pub resource: Box<str>,
    /// `metadata.uid`.
    pub uid: Box<str>,
    /// `metadata.creationTimestamp`: the older of two owners is in the right.
    pub created: Timestamp,
    /// The type of the memberships.
    pub membership_type: MembershipType,
    /// Whom it declares.
    pub roster: Arc<Roster>,
    /// Whether it removes undeclared members.
    pub authoritative: bool,
    /// In whose name it calls.
    pub bearer: Option<MemberArn>,
    /// Why it is not known whom else it declares, if so.
    pub unknown: Option<Box<str>>,
}

/// All resources of a channel, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Roll(Vec<Arc<Declarer>>);

impl FromIterator<Arc<Declarer>> for Roll {
    fn from_iter<I: IntoIterator<Item = Arc<Declarer>>>(declarers: I) -> Self {
        let mut declarers: Vec<_> = declarers.into_iter().collect();
        declarers.sort_by(|a, b| (a.created, &a.resource, &a.uid).cmp(&(b.created, &b.resource, &b.uid)));
        Self(declarers)
    }
}

impl Roll {
    /// The resources, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Declarer>> {
        self.0.iter()
    }

    /// Whether a resource is among them.
    pub fn has(&self, uid: &str) -> bool {
        self.0.iter().any(|declarer| &*declarer.uid == uid)
    }

    /// All but one resource.
    pub fn without(&self, uid: &str) -> Self {
        Self(self.0.iter().filter(|declarer| &*declarer.uid != uid).cloned().collect())
    }

    /// Whether somebody declares a member with this type.
    pub fn declares(&self, membership_type: MembershipType, name: &str) -> bool {
        self.declaring(membership_type, name).next().is_some()
    }

    /// The resources that declare a member with this type.
    pub fn declaring<'a>(
        &'a self,
        membership_type: MembershipType,
        name: &'a str,
    ) -> impl Iterator<Item = &'a Declarer> {
        self.of(membership_type).filter(move |declarer| declarer.roster.names().contains(name))
    }

    /// Everybody whom somebody declares with this type, in lower case: who differs from them in case only may be the same.
    pub fn folded(&self, membership_type: MembershipType) -> HashSet<String> {
        let names = self.of(membership_type).flat_map(|declarer| declarer.roster.names().iter());
        names.map(str::to_ascii_lowercase).collect()
    }

    /// The first resource of which it is not known whom it declares.
    pub fn unknown(&self) -> Option<&Declarer> {
        self.0.iter().map(|declarer| &**declarer).find(|declarer| declarer.unknown.is_some())
    }

    /// What it would be if it were known of everybody whom they declare: to tell people what waits for that.
    pub fn as_if_known(&self) -> Self {
        let known = |declarer: &Arc<Declarer>| match declarer.unknown {
            None => Arc::clone(declarer),
            Some(_) => Arc::new(Declarer { unknown: None, ..(**declarer).clone() }),
        };
        Self(self.0.iter().map(known).collect())
    }

    /// The resource that removes undeclared members: the oldest of those that want to.
    pub fn authoritative_owner(&self, membership_type: MembershipType) -> Option<&Declarer> {
        self.of(membership_type).find(|declarer| declarer.authoritative)
    }

    /// The oldest resource, older than this one, that declares a member with the other type.
    pub fn rival(&self, uid: &str, name: &str) -> Option<&Declarer> {
        let me = self.0.iter().find(|declarer| &*declarer.uid == uid)?;
        self.0
            .iter()
            .take_while(|declarer| !Arc::ptr_eq(declarer, me))
            .map(|declarer| &**declarer)
            .find(|older| older.membership_type != me.membership_type && older.roster.names().contains(name))
    }

    /// In whose name the resources call.
    pub fn bearers(&self) -> impl Iterator<Item = &MemberArn> {
        self.0.iter().filter_map(|declarer| declarer.bearer.as_ref())
    }

    /// The undeclared members among `names`, for this type.
    pub fn undeclared<'a>(&self, membership_type: MembershipType, names: &'a NameSet) -> impl Iterator<Item = &'a str> {
        let of: Vec<Arc<Declarer>> =
            self.0.iter().filter(|declarer| declarer.membership_type == membership_type).cloned().collect();
        names.iter().filter(move |name| !of.iter().any(|declarer| declarer.roster.names().contains(name)))
    }

    fn of(&self, membership_type: MembershipType) -> impl Iterator<Item = &Declarer> {
        self.0.iter().map(|declarer| &**declarer).filter(move |declarer| declarer.membership_type == membership_type)
    }
}
