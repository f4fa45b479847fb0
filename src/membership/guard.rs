//! Whom may a resource remove? The one door to a delete.
//!
//! Three values, each made only from the one before it, and each holding at most whom that one held:
//! [`Proposal`] (asked for, and declared by no resource) → [`Admitted`] (within the limits, or approved) → [`Removal`] (just seen to be
//! the membership that is meant). A call that deletes takes a [`Removal`], by value, and nothing else makes one.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;

use super::arn::{ChannelArn, MemberArn};
use super::claims::Claims;
use super::description::Membership;
use super::names::NameSet;
use super::roll::Roll;
use crate::api::{MembershipType, Prune, Stays};

/// Whoever joined less long ago is not removed by `prune: Authoritative`: a declaration may be on its way.
pub const NEWCOMER: Duration = Duration::from_mins(10);

/// What a resource asks for, and what is known.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The channel.
    pub channel: &'a ChannelArn,
    /// The type of the memberships.
    pub membership_type: MembershipType,
    /// Whom it wants removed.
    pub prune: Prune,
    /// Whom it declared before, and declares now.
    pub claims: &'a Claims,
    /// Who is there. For `Authoritative`: who was there in two listings.
    pub live: &'a NameSet,
    /// Who declares whom.
    pub roll: &'a Roll,
}

/// Undeclared members that a resource wants removed.
#[derive(Clone, Debug)]
pub struct Proposal {
    channel: ChannelArn,
    membership_type: MembershipType,
    prune: Prune,
    names: NameSet,
    /// Until when the claims of these people are good.
    claimed_until: HashMap<Box<str>, Timestamp>,
}

impl Proposal {
    /// Nobody for `Never`, and nobody while it is not known of some resource whom it declares. Names are compared byte for
    /// byte and without regard to case: one who differs from a declared member in case only may be the same.
    pub fn new(case: &Case<'_>) -> Self {
        let nobody = case.prune == Prune::Never || case.roll.unknown().is_some();
        let names = if nobody { NameSet::default() } else { wanted_gone(case) };
        let until = |name: &str| Some((name.into(), case.claims.until(name)?));
        Self {
            channel: case.channel.clone(),
            membership_type: case.membership_type,
            prune: case.prune,
            claimed_until: names.iter().filter_map(until).collect(),
            names,
        }
    }

    /// Who they are, sorted.
    pub fn names(&self) -> &NameSet {
        &self.names
    }

    /// Only those for whom `keep` holds.
    pub fn only(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.names = self.names.iter().filter(|name| keep(name)).collect();
        self
    }
}

fn wanted_gone(case: &Case<'_>) -> NameSet {
    let meant = |name: &&str| {
        let claimed = case.claims.names().contains(name);
        claimed || case.prune == Prune::Authoritative && !name.starts_with("bot/")
    };
    let first: NameSet = case.live.iter().filter(meant).collect();
    let mut undeclared = case.roll.undeclared(case.membership_type, &first).peekable();
    if undeclared.peek().is_none() {
        return NameSet::default();
    }
    let folded = case.roll.folded(case.membership_type);
    undeclared.filter(|name| !folded.contains(&name.to_ascii_lowercase())).collect()
}

/// Who is never removed from a channel, whoever asks.
#[derive(Clone, Debug)]
pub struct Protected {
    ours: Vec<MemberArn>,
    bearers: HashSet<String>,
    moderators: HashSet<String>,
    creator: String,
}

impl Protected {
    /// `None` while it is not known who made the channel: then nobody is removed. `ours` are the bearers by whom this
    /// resource's members are or were added; `bearers` are all others in use.
    pub fn new<'a>(
        ours: Vec<MemberArn>,
        bearers: impl IntoIterator<Item = &'a MemberArn>,
        moderators: impl IntoIterator<Item = String>,
        creator: Option<&str>,
    ) -> Option<Self> {
        let folded = |arn: &MemberArn| arn.as_str().to_ascii_lowercase();
        let bearers = ours.iter().map(folded).chain(bearers.into_iter().map(folded)).collect();
        let moderators = moderators.into_iter().map(|arn| arn.to_ascii_lowercase()).collect();
        Some(Self { ours, bearers, moderators, creator: creator?.to_ascii_lowercase() })
    }

    /// Why somebody is protected, if so.
    pub fn reason(&self, member: &MemberArn) -> Option<Stays> {
        let folded = member.as_str().to_ascii_lowercase();
        if self.bearers.contains(&folded) {
            Some(Stays::Bearer)
        } else if self.moderators.contains(&folded) {
            Some(Stays::Moderator)
        } else {
            (self.creator == folded).then_some(Stays::Creator)
        }
    }

    fn is_ours(&self, membership: &Membership) -> bool {
        membership.invited_by.as_deref().is_some_and(|inviter| self.ours.iter().any(|our| our.as_str() == inviter))
    }
}

/// Those of a proposal whose removal may begin.
#[derive(Debug)]
pub struct Admitted {
    proposal: Proposal,
    protected: Protected,
}

/// What one look at a membership says about its removal.
#[derive(Debug)]
pub enum Verdict {
    /// It may be deleted, at once.
    Remove(Removal),
    /// There is no such membership, of this type, any more.
    Gone,
    /// They stay, for now at least.
    Stays(Stays),
    /// They stay: the membership is not the one that the resource declared.
    NotMeant(Stays),
}

/// Leave to delete one membership, once. Nothing but [`Admitted::witness`] makes one.
#[derive(Debug)]
pub struct Removal {
    channel: ChannelArn,
    member: MemberArn,
}

impl Removal {
    /// The channel.
    pub fn channel(&self) -> &ChannelArn {
        &self.channel
    }

    /// The member.
    pub fn member(&self) -> &MemberArn {
        &self.member
    }
}

impl Admitted {
    /// Made by [`super::hold::admit`], which knows the limits.
    pub(super) fn new(proposal: Proposal, protected: Protected) -> Self {
        Self { proposal, protected }
    }

    /// Whose removal may begin, sorted. Some of them are protected: [`Self::witness`] knows.
    pub fn names(&self) -> &NameSet {
        &self.proposal.names
    }

    /// Looks at a membership as it is now.
    pub fn witness(&self, name: &str, found: Option<&Membership>, now: Timestamp) -> Verdict {
        let member = self.proposal.channel.member_named(name);
        if !self.proposal.names.contains(name) {
            return Verdict::Stays(Stays::NotOwned);
        }
        if let Some(reason) = self.protected.reason(&member) {
            return Verdict::Stays(reason);
        }
        let Some(found) = found else { return Verdict::Gone };
        match found.membership_type {
            Some(membership_type) if membership_type == self.proposal.membership_type => {}
            Some(_) => return Verdict::Gone,
            None => return Verdict::Stays(Stays::NotOwned),
        }
        let ours = self.protected.is_ours(found);
        let joined_by = |limit: Timestamp| found.created.is_some_and(|created| created <= limit);
        let meant = match self.proposal.prune {
            Prune::Never => return Verdict::Stays(Stays::NotOwned),
            _ if member.is_bot() && !ours => return Verdict::NotMeant(Stays::Bot),
            Prune::Owned => ours,
            // Who joined after the claim was last confirmed, and without us, is not the one whom the resource declared.
            Prune::Declared => ours || self.proposal.claimed_until.get(name).copied().is_some_and(joined_by),
            // A clock that is five minutes wrong has every call refused for its signature, so it is five minutes at the least.
            Prune::Authoritative => {
                let newest = now.checked_sub(NEWCOMER).unwrap_or(Timestamp::MIN);
                if !joined_by(newest) {
                    return Verdict::Stays(Stays::JoinedLately);
                }
                true
            }
        };
        if !meant {
            return Verdict::NotMeant(Stays::NotOwned);
        }
        Verdict::Remove(Removal { channel: self.proposal.channel.clone(), member })
    }
}

#[cfg(test)]
mod tests;
