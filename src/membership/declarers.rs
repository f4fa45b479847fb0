//! The declarers of a channel: all resources that declare members of it.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::arn::MemberArn;
use super::desired::DesiredMembers;
use super::member_set::NameSet;
use crate::api::MembershipType;

/// One resource of a channel. A resource that is being deleted declares no members and is not a
/// declarer.
#[derive(Clone, Debug)]
pub struct Declarer {
    /// `namespace/name`.
    pub resource: Box<str>,
    /// `metadata.uid`.
    pub uid: Box<str>,
    /// `metadata.creationTimestamp`: of two conflicting resources, the older one takes precedence.
    pub created: Timestamp,
    /// The type of the memberships.
    pub membership_type: MembershipType,
    /// The declared members.
    pub desired: Arc<DesiredMembers>,
    /// True if the resource removes every undeclared member (`prune: Authoritative`).
    pub authoritative: bool,
    /// The bearer of its calls.
    pub bearer: Option<MemberArn>,
    /// Why the resource may declare further members, if it may.
    pub unknown: Option<Box<str>>,
}

/// All declarers of a channel, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Declarers(Vec<Arc<Declarer>>);

impl FromIterator<Arc<Declarer>> for Declarers {
    fn from_iter<I: IntoIterator<Item = Arc<Declarer>>>(declarers: I) -> Self {
        let mut declarers: Vec<_> = declarers.into_iter().collect();
        declarers.sort_by(|a, b| (a.created, &a.resource, &a.uid).cmp(&(b.created, &b.resource, &b.uid)));
        Self(declarers)
    }
}

impl Declarers {
    /// Lists the declarers, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Declarer>> {
        self.0.iter()
    }

    /// Returns whether a resource is among them.
    pub fn has(&self, uid: &str) -> bool {
        self.0.iter().any(|declarer| &*declarer.uid == uid)
    }

    /// Returns all declarers but one.
    pub fn without(&self, uid: &str) -> Self {
        Self(self.0.iter().filter(|declarer| &*declarer.uid != uid).cloned().collect())
    }

    /// Returns whether any resource declares a member with this type.
    pub fn declares(&self, membership_type: MembershipType, name: &str) -> bool {
        self.declaring(membership_type, name).next().is_some()
    }

    /// Lists the resources that declare a member with this type.
    pub fn declaring<'a>(
        &'a self,
        membership_type: MembershipType,
        name: &'a str,
    ) -> impl Iterator<Item = &'a Declarer> {
        self.of_type(membership_type).filter(move |declarer| declarer.desired.names().contains(name))
    }

    /// Returns all members declared with this type, in lower case. A name that differs only in case
    /// may be the same member.
    pub fn lowercased(&self, membership_type: MembershipType) -> HashSet<String> {
        let names = self.of_type(membership_type).flat_map(|declarer| declarer.desired.names().iter());
        names.map(str::to_ascii_lowercase).collect()
    }

    /// Returns the first resource that may declare members that are not known.
    pub fn unknown(&self) -> Option<&Declarer> {
        self.0.iter().map(|declarer| &**declarer).find(|declarer| declarer.unknown.is_some())
    }

    /// Returns the declarers as if all their members were known, to report what waits for that.
    pub fn as_if_known(&self) -> Self {
        let known = |declarer: &Arc<Declarer>| match declarer.unknown {
            None => Arc::clone(declarer),
            Some(_) => Arc::new(Declarer { unknown: None, ..(**declarer).clone() }),
        };
        Self(self.0.iter().map(known).collect())
    }

    /// Returns the oldest resource with `prune: Authoritative`.
    pub fn authoritative_owner(&self, membership_type: MembershipType) -> Option<&Declarer> {
        self.of_type(membership_type).find(|declarer| declarer.authoritative)
    }

    /// Returns the oldest resource, older than this one, that declares a member with the other
    /// type.
    pub fn older_with_other_type(&self, uid: &str, name: &str) -> Option<&Declarer> {
        let me = self.0.iter().find(|declarer| &*declarer.uid == uid)?;
        self.0
            .iter()
            .take_while(|declarer| !Arc::ptr_eq(declarer, me))
            .map(|declarer| &**declarer)
            .find(|older| older.membership_type != me.membership_type && older.desired.names().contains(name))
    }

    /// Lists the bearers of the resources.
    pub fn bearers(&self) -> impl Iterator<Item = &MemberArn> {
        self.0.iter().filter_map(|declarer| declarer.bearer.as_ref())
    }

    /// Lists those of `names` that no resource declares with this type.
    pub fn undeclared<'a>(&self, membership_type: MembershipType, names: &'a NameSet) -> impl Iterator<Item = &'a str> {
        let declarers: Vec<Arc<Declarer>> =
            self.0.iter().filter(|declarer| declarer.membership_type == membership_type).cloned().collect();
        names.iter().filter(move |name| !declarers.iter().any(|declarer| declarer.desired.names().contains(name)))
    }

    fn of_type(&self, membership_type: MembershipType) -> impl Iterator<Item = &Declarer> {
        self.0.iter().map(|declarer| &**declarer).filter(move |declarer| declarer.membership_type == membership_type)
    }
}
