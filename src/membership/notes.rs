//! Notes: what the operator remembers of a resource between two reconciles.
//!
//! Notes can be lost. A restart costs a listing, perhaps one more attempt for a refused member, and
//! ten more seconds before a removal. Facts that must survive a restart are in the status
//! ([`super::record`]).

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::declarers::Declarers;
use super::drift::Drift;
use super::grace::GracePeriods;
use super::member_set::NameSet;
use super::record::KnownRemovals;
use super::retry::MemberErrors;
use crate::api::KeepReason;

/// The notes of one resource.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// Members that could not be added.
    pub errors: MemberErrors,
    /// Since when each removal candidate is undeclared.
    pub grace: GracePeriods,
    /// How often each declared member left.
    pub drift: Drift,
    /// The number of departures from the channel that were taken into account.
    pub departures_seen: Option<u64>,
    /// Undeclared members that are not removed, and why.
    pub exemptions: Exemptions,
    /// The removals that this process counted.
    pub removals: KnownRemovals,
    /// The other declarers of the channel, as of the last reconcile.
    pub declarers: Declarers,
    /// Since when listings keep the names of all members that this resource owns.
    pub watched_since: Option<Timestamp>,
    /// The owned members that the last listing of an elastic channel did not show, and when that
    /// listing began.
    pub missed: Option<(Timestamp, NameSet)>,
    /// True if fewer members are declared than before, with no edit.
    pub shrank: bool,
}

/// Undeclared members that are not removed, why, and until when that is assumed without another
/// check.
#[derive(Clone, Debug, Default)]
pub struct Exemptions(BTreeMap<Box<str>, (KeepReason, Timestamp)>);

impl Exemptions {
    /// Exempts a member from removal until a moment.
    pub fn insert(&mut self, name: &str, reason: KeepReason, until: Timestamp) {
        self.0.insert(name.into(), (reason, until));
    }

    /// Returns why a member is exempt now.
    pub fn reason(&self, name: &str, now: Timestamp) -> Option<KeepReason> {
        self.0.get(name).filter(|(_, until)| *until > now).map(|(reason, _)| *reason)
    }

    /// Returns whether a member is exempt for another reason than a refused delete, which is tried
    /// again.
    pub fn is_lasting(&self, name: &str, now: Timestamp) -> bool {
        self.reason(name, now).is_some_and(|reason| reason != KeepReason::Refused)
    }

    /// Drops the exemptions that have ended.
    pub fn expire(&mut self, now: Timestamp) {
        self.0.retain(|_, (_, until)| *until > now);
    }

    /// Drops all exemptions.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Lists the exempt members by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, KeepReason)> {
        self.0.iter().map(|(name, (reason, _))| (&**name, *reason))
    }

    /// Returns when the first member whose exemption ends by itself can be checked again.
    pub fn next_check(&self) -> Option<Timestamp> {
        let ends = |reason: KeepReason| matches!(reason, KeepReason::Refused | KeepReason::JoinedLately);
        self.0.values().filter(|(reason, _)| ends(*reason)).map(|(_, until)| *until).min()
    }
}
