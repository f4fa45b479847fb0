//! The schedule: when a resource is reconciled again. Pure.

use std::time::Duration;

use jiff::Timestamp;

use super::outcome::Outcome;
use super::summary::Summary;
use crate::api::Mode;
use crate::membership::approval_state::approval_matches;
use crate::membership::confirmation::listing_due;
use crate::membership::observation::ChannelView;
use crate::membership::removal::next_change;
use crate::membership::time::{between, until};

/// The pause after a call was refused as a whole; it doubles with each refusal in a row, up to the
/// resync interval. A channel that is created a minute late is found within a minute.
const FIRST_REFUSAL_PAUSE: Duration = Duration::from_mins(1);

/// The shortest time between two reconciles of a resource that did not change.
const MIN_PAUSE: Duration = Duration::from_secs(1);

/// The inputs for the time of the next reconcile.
pub(super) struct Schedule<'a> {
    pub(super) outcome: &'a Outcome<'a>,
    pub(super) summary: &'a Summary,
    pub(super) view: &'a ChannelView,
    /// The time until the next resync.
    pub(super) resync: Duration,
    /// The pause after a refused call.
    pub(super) refusal_pause: Duration,
    pub(super) now: Timestamp,
}

/// Returns the pause after this many refusals in a row.
pub(super) fn refusal_pause(refusals: u32, interval: Duration) -> Duration {
    let doublings = refusals.saturating_sub(1).min(16);
    (FIRST_REFUSAL_PAUSE * 2_u32.pow(doublings)).min(interval.max(FIRST_REFUSAL_PAUSE))
}

impl Schedule<'_> {
    /// Returns the time until the next reconcile. `stopped` says whether this one was refused or
    /// interrupted.
    pub(super) fn due_in(&self, stopped: bool) -> Duration {
        let spec = &self.outcome.facts.spec;
        let expiry = until(self.now, spec.expires_at.filter(|_| !spec.expired));
        if stopped {
            return self.refusal_pause.min(expiry);
        }
        let resync = self.resync.min(expiry);
        if spec.mode == Mode::Observe {
            return resync.max(MIN_PAUSE);
        }
        // A listing that was requested after the plan showed that a member left.
        if self.summary.unplanned() > 0 {
            return MIN_PAUSE;
        }
        let retry = until(self.now, self.outcome.state.notes.errors.next_retry());
        let removals = if self.outcome.removal_error.is_some() { self.refusal_pause } else { self.removals_due_in() };
        retry.min(resync).min(removals).max(MIN_PAUSE)
    }

    /// Returns the time until something changes for the removal candidates.
    fn removals_due_in(&self) -> Duration {
        let (outcome, now) = (self.outcome, self.now);
        let (plan, state) = (&outcome.plan, &outcome.state);
        let situation = outcome.facts.situation(self.view, now);
        if approval_matches(&situation, state, &plan.candidates, &plan.on_hold) {
            return Duration::ZERO;
        }
        let blocker = outcome.blocker.as_ref().map(crate::membership::blocker::Blocker::retry_after);
        let change = next_change(&situation, state).filter(|_| !plan.candidates.is_empty());
        let checks = [listing_due(&situation, state), state.notes.exemptions.next_check()];
        let checks = checks.into_iter().flatten().map(|at| between(now, at));
        blocker.into_iter().chain(change).chain(checks).min().unwrap_or(Duration::MAX)
    }
}
