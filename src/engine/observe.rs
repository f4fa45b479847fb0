//! Observation of a channel: a recent listing, and what changed since the last reconcile.

use jiff::Timestamp;

use super::channel_cache::{CacheLookup, ListingProgress};
use super::channel_info::{check_sub_channel, detect_elastic};
use super::io::Io;
use super::outcome::Outcome;
use super::progress::{ProgressReport, Waiting};
use super::stop::Stop;
use crate::api::Mode;
use crate::chime::port::{CallError, CallErrorClass, Operation, Service};
use crate::chime::rate_limit::Priority;
use crate::membership::confirmation::{listing_due, second_listing_due, unconfirmed};
use crate::membership::time::earlier;

/// Observes the channel by a listing that is recent enough for this reconcile.
pub(super) async fn observe<S: Service, P: ProgressReport>(
    io: &mut Io<'_, S, P>,
    outcome: &mut Outcome<'_>,
) -> Result<(), Stop> {
    check_sub_channel(io, outcome).await?;
    let due = requested_listing(io).or_else(|| due_listing(io, outcome));
    observe_since(io, outcome, due).await
}

/// Observes the channel by the last listing, unless that one is too old.
pub(super) async fn observe_recent<S: Service, P: ProgressReport>(
    io: &mut Io<'_, S, P>,
    outcome: &mut Outcome<'_>,
) -> Result<(), Stop> {
    check_sub_channel(io, outcome).await?;
    let due = requested_listing(io);
    observe_since(io, outcome, due).await
}

async fn observe_since<S: Service, P: ProgressReport>(
    io: &mut Io<'_, S, P>,
    outcome: &mut Outcome<'_>,
    due: Option<Timestamp>,
) -> Result<(), Stop> {
    let not_before = due.unwrap_or_else(|| oldest_usable_listing(io));
    ensure_listed_since(io, outcome, not_before).await?;
    refresh_state(io, outcome).await
}

/// Brings record and notes up to the channel and its declarers as they are known now.
pub(super) async fn refresh_state<S: Service, P: ProgressReport>(
    io: &mut Io<'_, S, P>,
    outcome: &mut Outcome<'_>,
) -> Result<(), Stop> {
    let view = io.view();
    if !unconfirmed(&outcome.facts.situation(&view, io.now()), &outcome.state).is_empty() {
        detect_elastic(io, outcome).await?;
    }
    (outcome.facts.declarers, outcome.facts.recent) = io.engine.registry.read(&io.spec.target.channel);
    let (departed, seen) = io.entry.departed(outcome.state.notes.departures_seen);
    outcome.state.notes.departures_seen = Some(seen);
    outcome.take_stock(&io.view(), &departed, io.now());
    Ok(())
}

/// Waits for a listing that began at `not_before` or later.
pub(super) async fn ensure_listed_since<S: Service, P: ProgressReport>(
    io: &mut Io<'_, S, P>,
    outcome: &Outcome<'_>,
    mut not_before: Timestamp,
) -> Result<(), Stop> {
    loop {
        let level = io.priority.current();
        let mut progress = match io.engine.cache.look_up(&io.entry, not_before, level) {
            CacheLookup::Ready => return Ok(()),
            CacheLookup::Wait(progress) => progress,
        };
        let mut failures = 0;
        loop {
            let listing = progress.borrow_and_update().clone();
            let waiting = match listing {
                ListingProgress::Running => Waiting::Listing,
                ListingProgress::Retrying(error) => {
                    failures += 1;
                    Waiting::Retry(io.retry_allowed(failures, error)?)
                }
                ListingProgress::Done => break,
                ListingProgress::Refused(error) => {
                    if !has_turned_out_elastic(io, outcome, &error).await? {
                        return Err(Stop::Refused(error));
                    }
                    not_before = io.now();
                    break;
                }
            };
            io.wait(outcome, &waiting, progress.changed()).await?.map_err(|_| lost_listing(io))?;
        }
    }
}

/// Returns whether a refused listing was one of an elastic channel that was not known as such: it
/// is listed by its sub-channels then. AWS does not document whether an elastic channel can be
/// listed as a whole.
async fn has_turned_out_elastic<S: Service, P: ProgressReport>(
    io: &mut Io<'_, S, P>,
    outcome: &Outcome<'_>,
    refusal: &CallError,
) -> Result<bool, Stop> {
    if refusal.class != CallErrorClass::Refused || io.view().elastic.is_some() {
        return Ok(false);
    }
    detect_elastic(io, outcome).await?;
    Ok(io.view().is_elastic() && io.spec.target.sub_channel.is_none())
}

/// Returns why a listing ended without an answer: the process stops, or its task panicked.
fn lost_listing<S, P>(io: &Io<'_, S, P>) -> Stop {
    if io.cancel.is_cancelled() {
        return Stop::Interrupted;
    }
    let (class, operation) = (CallErrorClass::Transient, Operation::ListChannelMemberships);
    Stop::Refused(CallError::client_side(class, operation, "Lost", "the listing ended without an answer"))
}

/// Returns since when a listing is recent enough because of a request, or because the last one left
/// a doubt.
fn requested_listing<S: Service, P: ProgressReport>(io: &Io<'_, S, P>) -> Option<Timestamp> {
    let now = io.now();
    io.requested_at.or_else(|| io.entry.doubted_until().filter(|settled| *settled <= now))
}

/// Returns when the listing that this resource wants for itself was due, if that has passed.
fn due_listing<S: Service, P: ProgressReport>(io: &Io<'_, S, P>, outcome: &Outcome<'_>) -> Option<Timestamp> {
    if io.spec.mode != Mode::Enforce {
        return None;
    }
    let (view, now) = (io.view(), io.now());
    let situation = outcome.facts.situation(&view, now);
    let at = listing_due(&situation, &outcome.state).filter(|at| *at <= now)?;
    if second_listing_due(&situation, &outcome.state) == Some(at) {
        io.entry.mark_second_listing();
    }
    Some(at)
}

/// Returns since when a listing is recent enough. An edit takes the last one until the next resync;
/// at a resync, one that another resource of the channel has just made is enough.
fn oldest_usable_listing<S: Service, P: ProgressReport>(io: &Io<'_, S, P>) -> Timestamp {
    let (now, interval) = (io.now(), io.interval());
    let age = match io.priority.current() {
        Priority::Edit | Priority::Retry if !io.entry.until_resync(interval, now).is_zero() => interval,
        _ => interval / 2,
    };
    earlier(now, age)
}
