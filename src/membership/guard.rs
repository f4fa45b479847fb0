//! The guard: the only way to a delete.
//!
//! Three values, each made only from the one before, each holding at most the members of that one:
//! [`Proposal`] (asked for, and undeclared) → [`Admitted`] (within the limits, or approved) →
//! [`Removal`] (just described, and the membership that is meant). The call that deletes takes a
//! [`Removal`] by value, and nothing else makes one.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;

use super::arn::{ChannelArn, MemberArn};
use super::declarers::Declarers;
use super::description::Membership;
use super::member_set::NameSet;
use super::ownership::Ownership;
use super::time::earlier;
use crate::api::{KeepReason, MembershipType, Prune};

/// `prune: Authoritative` does not remove a member that joined less than this ago: its declaration
/// may be on the way.
pub const NEWCOMER: Duration = Duration::from_mins(10);

/// The removals that a resource asks for, and the facts that are known.
#[derive(Clone, Copy, Debug)]
pub struct RemovalInput<'a> {
    /// The channel.
    pub channel: &'a ChannelArn,
    /// The type of the memberships.
    pub membership_type: MembershipType,
    /// Which undeclared members the resource asks to remove.
    pub prune: Prune,
    /// The members that it owns.
    pub owned: &'a Ownership,
    /// The present members. For `Authoritative`: the ones present in two listings.
    pub live: &'a NameSet,
    /// The declarers of the channel.
    pub declarers: &'a Declarers,
}

/// The undeclared members that a resource asks to remove.
#[derive(Clone, Debug)]
pub struct Proposal {
    channel: ChannelArn,
    membership_type: MembershipType,
    prune: Prune,
    names: NameSet,
    /// Until when ownership of each member is proven.
    proven_until: HashMap<Box<str>, Timestamp>,
}

impl Proposal {
    /// Proposes removals. The proposal is empty for `Never`, and while any declarer has unknown
    /// members. Names are compared byte for byte and also in lower case: a name that differs from a
    /// declared one only in case may be the same member.
    pub fn new(input: &RemovalInput<'_>) -> Self {
        let none = input.prune == Prune::Never || input.declarers.unknown().is_some();
        let names = if none { NameSet::default() } else { undeclared(input) };
        let proven = |name: &str| Some((name.into(), input.owned.proven_until(name)?));
        Self {
            channel: input.channel.clone(),
            membership_type: input.membership_type,
            prune: input.prune,
            proven_until: names.iter().filter_map(proven).collect(),
            names,
        }
    }

    /// Returns the members, sorted.
    pub fn names(&self) -> &NameSet {
        &self.names
    }

    /// Returns the proposal with only the members for which `keep` holds.
    #[must_use]
    pub fn only(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.names = self.names.iter().filter(|name| keep(name)).collect();
        self
    }

    /// Checks one membership, as it was just described, against the proposal.
    pub fn check(
        &self,
        protected: &Protected,
        name: &str,
        found: Option<&Membership>,
        now: Timestamp,
    ) -> MembershipCheck {
        let member = self.channel.member_named(name);
        if !self.names.contains(name) {
            return MembershipCheck::Stays(KeepReason::NotOwned);
        }
        if let Some(reason) = protected.reason(&member) {
            return MembershipCheck::Stays(reason);
        }
        let Some(found) = found else { return MembershipCheck::Gone };
        match found.membership_type {
            Some(membership_type) if membership_type == self.membership_type => {}
            Some(_) => return MembershipCheck::Gone,
            None => return MembershipCheck::Stays(KeepReason::NotOwned),
        }
        let ours = protected.is_ours(found);
        let joined_by = |limit: Timestamp| found.created.is_some_and(|created| created <= limit);
        let meant = match self.prune {
            Prune::Never => return MembershipCheck::Stays(KeepReason::NotOwned),
            _ if member.is_bot() && !ours => return MembershipCheck::NotMeant(KeepReason::Bot),
            Prune::Owned => ours,
            // A member that joined after ownership was last confirmed, and without us, is not the
            // declared one.
            Prune::Declared => ours || self.proven_until.get(name).copied().is_some_and(joined_by),
            // AWS refuses the signature of a clock that is five minutes wrong, so this is five
            // minutes at the least.
            Prune::Authoritative if !joined_by(earlier(now, NEWCOMER)) => {
                return MembershipCheck::Stays(KeepReason::JoinedLately);
            }
            Prune::Authoritative => true,
        };
        if meant { MembershipCheck::Removable } else { MembershipCheck::NotMeant(KeepReason::NotOwned) }
    }
}

fn undeclared(input: &RemovalInput<'_>) -> NameSet {
    let asked_for = |name: &&str| {
        let owned = input.owned.names().contains(name);
        owned || input.prune == Prune::Authoritative && !name.starts_with("bot/")
    };
    let first: NameSet = input.live.iter().filter(asked_for).collect();
    let mut undeclared = input.declarers.undeclared(input.membership_type, &first).peekable();
    if undeclared.peek().is_none() {
        return NameSet::default();
    }
    let lowercased = input.declarers.lowercased(input.membership_type);
    undeclared.filter(|name| !lowercased.contains(&name.to_ascii_lowercase())).collect()
}

/// The members that are never removed from a channel.
#[derive(Clone, Debug)]
pub struct Protected {
    ours: Vec<MemberArn>,
    bearers: HashSet<String>,
    moderators: HashSet<String>,
    creator: String,
}

impl Protected {
    /// Collects the protected members; `None` if the creator of the channel is unknown: no member
    /// is removed then. `ours` are the bearers that add, or added, this resource's members;
    /// `bearers` are all others in use.
    pub fn new<'a>(
        ours: Vec<MemberArn>,
        bearers: impl IntoIterator<Item = &'a MemberArn>,
        moderators: impl IntoIterator<Item = String>,
        creator: Option<&str>,
    ) -> Option<Self> {
        let lowercased = |arn: &MemberArn| arn.as_str().to_ascii_lowercase();
        let bearers = ours.iter().map(lowercased).chain(bearers.into_iter().map(lowercased)).collect();
        let moderators = moderators.into_iter().map(|arn| arn.to_ascii_lowercase()).collect();
        Some(Self { ours, bearers, moderators, creator: creator?.to_ascii_lowercase() })
    }

    /// Returns why a member is protected, if it is.
    pub fn reason(&self, member: &MemberArn) -> Option<KeepReason> {
        let lowercased = member.as_str().to_ascii_lowercase();
        if self.bearers.contains(&lowercased) {
            Some(KeepReason::Bearer)
        } else if self.moderators.contains(&lowercased) {
            Some(KeepReason::Moderator)
        } else {
            (self.creator == lowercased).then_some(KeepReason::Creator)
        }
    }

    fn is_ours(&self, membership: &Membership) -> bool {
        membership.invited_by.as_deref().is_some_and(|inviter| self.ours.iter().any(|our| our.as_str() == inviter))
    }
}

/// The members of a proposal whose removal may begin.
#[derive(Debug)]
pub struct Admitted {
    proposal: Proposal,
    protected: Protected,
}

/// The result of checking one membership against a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MembershipCheck {
    /// The membership may be deleted.
    Removable,
    /// There is no membership of this type any more.
    Gone,
    /// The member stays, at least for now.
    Stays(KeepReason),
    /// The member stays: the membership is not the one that the resource declared.
    NotMeant(KeepReason),
}

/// The result of checking one membership against admitted removals.
#[derive(Debug)]
pub enum Verdict {
    /// The membership may be deleted, at once.
    Remove(Removal),
    /// There is no membership of this type any more.
    Gone,
    /// The member stays, at least for now.
    Stays(KeepReason),
    /// The member stays: the membership is not the one that the resource declared.
    NotMeant(KeepReason),
}

/// The right to delete one membership, once. No other function than [`Admitted::witness`] makes
/// one.
#[derive(Debug)]
pub struct Removal {
    channel: ChannelArn,
    member: MemberArn,
}

impl Removal {
    /// Returns the channel.
    pub fn channel(&self) -> &ChannelArn {
        &self.channel
    }

    /// Returns the member.
    pub fn member(&self) -> &MemberArn {
        &self.member
    }
}

impl Admitted {
    /// Admits a proposal that [`super::removal::admit`] has limited.
    pub(super) fn new(proposal: Proposal, protected: Protected) -> Self {
        Self { proposal, protected }
    }

    /// Returns the members, sorted. Some of them may be protected: [`Self::witness`] checks that.
    pub fn names(&self) -> &NameSet {
        &self.proposal.names
    }

    /// Checks one membership, as it was just described.
    pub fn witness(&self, name: &str, found: Option<&Membership>, now: Timestamp) -> Verdict {
        let channel = &self.proposal.channel;
        match self.proposal.check(&self.protected, name, found, now) {
            MembershipCheck::Removable => {
                Verdict::Remove(Removal { channel: channel.clone(), member: channel.member_named(name) })
            }
            MembershipCheck::Gone => Verdict::Gone,
            MembershipCheck::Stays(reason) => Verdict::Stays(reason),
            MembershipCheck::NotMeant(reason) => Verdict::NotMeant(reason),
        }
    }
}

#[cfg(test)]
mod tests;
