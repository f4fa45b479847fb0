//! The uncached read before a removal: which resources declare members of the channel, as the
//! cluster has it now.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::io::Io;
use super::outcome::Outcome;
use super::register::declarer_of;
use super::resource::Resource;
use super::spec::bearer;
use super::status_writer::StatusWriter;
use super::stop::{Pause, Stop};
use super::store::{Store, StoreError};
use crate::chime::port::Service;
use crate::membership::arn::MemberArn;
use crate::membership::blocker::Blocker;
use crate::membership::declarers::Declarers;

/// The time within which the watch is expected to show what the cluster has.
const WATCH_LAG: Duration = Duration::from_secs(1);

/// The declarers of a channel by an uncached read that shows this resource in the very version that
/// the reconcile knows. No removal is admitted without one, and [`read_declarers`] alone makes one.
#[derive(Debug)]
pub(super) struct UncachedDeclarers {
    declarers: Declarers,
    bearers: Vec<MemberArn>,
    read_at: Timestamp,
}

impl UncachedDeclarers {
    /// Returns the declarers.
    pub(super) fn declarers(&self) -> &Declarers {
        &self.declarers
    }

    /// Returns the bearers of all resources of the channel, including those being deleted.
    pub(super) fn bearers(&self) -> &[MemberArn] {
        &self.bearers
    }

    /// Returns when the read began.
    pub(super) fn read_at(&self) -> Timestamp {
        self.read_at
    }
}

/// Reads the declarers of the channel.
pub(super) async fn read_declarers<S: Service, T: Store>(
    io: &mut Io<'_, S, StatusWriter<'_, T>>,
    outcome: &Outcome<'_>,
) -> Result<UncachedDeclarers, Pause> {
    let (channel, read_at) = (io.spec.target.channel.clone(), io.now());
    let resources = match io.progress.resources_of(&channel).await {
        Ok(resources) => resources,
        Err(StoreError::Gone) => return Err(stale_view(io).into()),
        Err(error) => {
            tracing::warn!(%error, "failed to read the resources of the channel, so no member is removed");
            return Err(Blocker::DeclarersUnavailable { error: error.to_string() }.into());
        }
    };
    let known = outcome.facts.resource;
    let is_known = |read: &Resource| {
        read.generation == known.generation
            && read.is_deleting() == known.is_deleting()
            && read.version == *io.progress.version()
    };
    if !resources.iter().find(|read| read.uid == known.uid).is_some_and(is_known) {
        return Err(stale_view(io).into());
    }
    io.stale_reads = 0;
    let (now, settings) = (io.now(), &io.engine.settings);
    let declarers = resources.iter().filter_map(|resource| declarer_of(resource, &channel, settings, now));
    let specs = resources.iter().filter_map(|resource| resource.spec.as_ref().ok());
    let bearers = specs.filter_map(|spec| bearer(&channel, spec.chime_bearer.as_deref(), settings).ok()).collect();
    Ok(UncachedDeclarers { declarers: declarers.map(Arc::new).collect(), bearers, read_at })
}

/// Stops the reconcile, because the cluster has another version of the resource: the watch will
/// show it. The pause doubles with each disagreement in a row.
fn stale_view<S, P>(io: &mut Io<'_, S, P>) -> Stop {
    io.stale_reads = io.stale_reads.saturating_add(1);
    Stop::Stale(WATCH_LAG * 2_u32.pow(io.stale_reads.min(7) - 1))
}
