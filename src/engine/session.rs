//! A session: what the engine keeps of one resource between two reconciles.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::channel_cache::{ChannelCacheEntry, Subscription};
use super::channel_roles::ChannelRoles;
use super::declarer_registry::Registration;
use super::resource::{Resource, Source, SourceText};
use super::settings::Settings;
use super::spec::InvalidSpec;
use crate::api::{OnLeave, Prune};
use crate::membership::arn::ChannelArn;
use crate::membership::desired::DesiredMembers;
use crate::membership::error_code::{CONTESTED, LEFT};
use crate::membership::member_set::NameSet;
use crate::membership::notes::{Exemptions, Notes};
use crate::membership::retry::REFUSED_REST;
use crate::membership::spec::ValidSpec;
use crate::membership::time::later;

/// The longest time that a member who left stays out, whatever an earlier process recorded.
const LONGEST_REST: Duration = Duration::from_hours(24);

/// The session of one resource.
#[derive(Debug, Default)]
pub struct Session {
    /// The notes of the decisions.
    pub(super) notes: Notes,
    /// The result of parsing the spec, and the version it was parsed from.
    spec: Option<(ObservedVersion, Result<Arc<ValidSpec>, InvalidSpec>)>,
    /// The channel's cache entry; holding it keeps it.
    pub(super) entry: Option<Arc<ChannelCacheEntry>>,
    /// The members whose presence the cache tracks for this resource.
    subscription: Option<Arc<Subscription>>,
    /// The resource's place in the registry of declarers, and the version it was registered from.
    pub(super) registration: Option<(ObservedVersion, Registration)>,
    /// The version that was last reconciled.
    done: Option<SpecVersion>,
    /// The open request for a reconcile, and when it came: an older listing does not answer it.
    request: Option<(String, Timestamp)>,
    /// The last request that was reconciled.
    done_request: Option<String>,
    /// How many reconciles in a row ended because a call was refused as a whole.
    pub(super) refusals: u32,
    /// True if a status write was sent that was never answered: the status in the cluster is
    /// unknown.
    pub(super) status_unsure: bool,
    /// The channel's moderators and creator.
    pub(super) roles: Option<ChannelRoles>,
    /// The members the resource declared before it was deleted.
    pub(super) last_desired: Option<Arc<DesiredMembers>>,
    /// How many uncached reads in a row disagreed with this process.
    pub(super) stale_reads: u32,
    restored: bool,
}

/// A version of spec and sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SpecVersion {
    generation: i64,
    sources: u64,
    expired: bool,
}

/// A version of spec and sources, and the versions of the ConfigMaps it was read from: two equal
/// texts may have had another one between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ObservedVersion {
    spec: SpecVersion,
    config_maps: u64,
}

impl ObservedVersion {
    /// Returns whether the resource may have had another version between this one and `newer`.
    pub(super) fn may_have_missed(&self, newer: &Self) -> bool {
        newer.spec.generation > self.spec.generation + 1
            || newer.spec.sources != self.spec.sources
            || newer.config_maps != self.config_maps
    }

    fn of(resource: &Resource, now: Timestamp) -> Self {
        let (mut hasher, mut versions) = (DefaultHasher::new(), DefaultHasher::new());
        for Source { reference, version, text } in &resource.sources {
            reference.hash(&mut hasher);
            (&reference.name, version).hash(&mut versions);
            match text {
                SourceText::Read(text) => (0, text).hash(&mut hasher),
                SourceText::Absent(_) => 1.hash(&mut hasher),
                // The API server may word the reason differently each time.
                SourceText::Unreadable(_) => 2.hash(&mut hasher),
            }
        }
        let expires = resource.spec.as_ref().ok().and_then(|spec| spec.expires_at.as_ref());
        let spec = SpecVersion {
            generation: resource.generation,
            sources: hasher.finish(),
            expired: expires.is_some_and(|at| at.0 <= now),
        };
        Self { spec, config_maps: versions.finish() }
    }
}

impl Session {
    /// Brings the session up to the resource as it is now, and returns its parsed spec.
    pub(super) fn refresh(
        &mut self,
        resource: &Resource,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<Arc<ValidSpec>, InvalidSpec> {
        let observed = ObservedVersion::of(resource, now);
        let before = self.spec.take();
        // A version that this process never saw may have declared a member.
        if before.as_ref().is_some_and(|(known, _)| known.may_have_missed(&observed)) {
            self.notes.grace.restart_all();
        }
        let spec = match before {
            Some((known, spec)) if known.spec == observed.spec => spec,
            _ => self.parse(resource, settings, observed.spec, now),
        };
        let asked = resource.requested_at.as_ref().filter(|asked| self.done_request.as_ref() != Some(asked));
        if let Some(asked) = asked
            && self.request.as_ref().is_none_or(|(seen, _)| seen != asked)
        {
            self.request = Some((asked.clone(), now));
            self.reset_retries(None);
        }
        self.spec = Some((observed, spec.clone()));
        spec
    }

    fn parse(
        &mut self,
        resource: &Resource,
        settings: &Settings,
        version: SpecVersion,
        now: Timestamp,
    ) -> Result<Arc<ValidSpec>, InvalidSpec> {
        let spec = ValidSpec::parse(resource, settings, now).map(Arc::new);
        // A member that left while this resource did not declare it has not left this list.
        self.notes.departures_seen = None;
        self.notes.shrank = false;
        if self.restored && self.done != Some(version) {
            self.reset_retries(spec.as_ref().ok().map(|spec| spec.on_leave));
        }
        if !self.restored {
            self.restore(resource, spec.as_deref().ok(), version, now);
        }
        if let Ok(spec) = &spec {
            let desired = spec.desired.names();
            self.notes.errors.retain(|name| desired.contains(name));
            self.notes.grace.end_for(|name| desired.contains(name));
            if !resource.is_deleting() {
                self.last_desired = Some(Arc::clone(&spec.desired));
            }
        }
        spec
    }

    /// Returns the version that the parsed spec is of, and the spec.
    pub(super) fn parsed(&self) -> Option<(ObservedVersion, Option<&Arc<ValidSpec>>)> {
        self.spec.as_ref().map(|(version, spec)| (*version, spec.as_ref().ok()))
    }

    /// Returns whether spec, sources or request are newer than the last reconcile.
    pub(super) fn is_edit(&self, resource: &Resource) -> bool {
        self.done != self.spec.as_ref().map(|(version, _)| version.spec)
            || resource.requested_at.is_some() && resource.requested_at != self.done_request
    }

    /// Returns when the open request for a reconcile came.
    pub(super) fn requested_at(&self) -> Option<Timestamp> {
        self.request.as_ref().map(|(_, at)| *at)
    }

    /// Records that the resource, as it is now, was reconciled.
    pub(super) fn mark_reconciled(&mut self, resource: &Resource) {
        self.done = self.spec.as_ref().map(|(version, _)| version.spec);
        self.done_request.clone_from(&resource.requested_at);
        // A request whose annotation was removed is no longer open.
        self.request = None;
    }

    /// Has the cache track the members that this resource declares and owns.
    pub(super) fn subscribe(
        &mut self,
        entry: &Arc<ChannelCacheEntry>,
        spec: &ValidSpec,
        owned: &NameSet,
        now: Timestamp,
    ) {
        let before = self.subscription.take();
        let tracked_all = before.as_ref().is_some_and(|before| {
            let tracked = |name: &str| before.owned.contains(name) || before.desired.names().contains(name);
            owned.iter().all(tracked)
        });
        let same = before.filter(|before| before.owned == *owned && before.desired == spec.desired);
        let subscription = same.unwrap_or_else(|| {
            let desired = Arc::clone(&spec.desired);
            let owned = owned.clone().share_with([desired.names()]);
            Arc::new(Subscription { desired, owned, all: spec.prune == Prune::Authoritative })
        });
        entry.subscribe(&subscription);
        let same_entry = self.entry.as_ref().is_some_and(|known| Arc::ptr_eq(known, entry));
        if !same_entry || !tracked_all {
            self.notes.watched_since = Some(now);
        }
        self.subscription = Some(subscription);
        self.entry = Some(Arc::clone(entry));
    }

    /// Has the cache track all members of the channel for this resource, if `all`.
    pub(super) fn track_all(&mut self, entry: &ChannelCacheEntry, all: bool) {
        let Some(before) = &self.subscription else { return };
        let (desired, owned) = (Arc::clone(&before.desired), before.owned.clone());
        let subscription = Arc::new(Subscription { desired, owned, all });
        entry.subscribe(&subscription);
        self.subscription = Some(subscription);
    }

    /// Makes refused members due at once, because the spec changed or a reconcile was requested
    /// (`None`).
    fn reset_retries(&mut self, edited: Option<OnLeave>) {
        // An edit does not bring back a member who left by choice.
        let keeps = |code: &str| edited == Some(OnLeave::Report) && code == LEFT;
        self.notes.errors.forget(|_, error| !keeps(&error.code));
        self.notes.drift.clear();
        self.notes.exemptions = Exemptions::default();
        self.refusals = 0;
    }

    /// Takes over from the status what an earlier process knew, so that a restart tries no member
    /// again too soon.
    fn restore(&mut self, resource: &Resource, spec: Option<&ValidSpec>, version: SpecVersion, now: Timestamp) {
        self.restored = true;
        let Some(status) = &resource.status else { return };
        let unfinished = status.conditions.iter().any(|c| c.type_ == "Reconciling" && c.status == "True");
        let same = status.observed_generation == Some(resource.generation)
            && spec.is_none_or(|spec| spec.sources == status.sources);
        self.done = Some(version).filter(|_| same && !unfinished);
        self.done_request.clone_from(&status.last_handled_reconcile_at);
        let channel = resource.spec.as_ref().ok().and_then(|spec| ChannelArn::parse(&spec.channel_arn).ok());
        let Some(channel) = channel else { return };
        for error in &status.errors {
            let left = error.error_code == LEFT || error.error_code == CONTESTED;
            let stays_out = left && spec.is_some_and(|spec| spec.on_leave == OnLeave::Report);
            let Some(name) = channel.name_of(&error.member_arn).filter(|_| same || stays_out) else { continue };
            let never = Timestamp::MAX;
            let next = error.next_attempt.as_ref().map_or(if left { never } else { error.first_seen.0 }, |at| at.0);
            // The clock of an earlier process may have been ahead: no member rests for years
            // because of that.
            let most = later(now, if left { LONGEST_REST } else { REFUSED_REST });
            let next = if left && next == never { never } else { next.min(most) };
            self.notes.errors.restore(name, error, next);
        }
    }
}
