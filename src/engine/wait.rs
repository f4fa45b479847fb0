//! What does a pass do while it waits?

use std::future::Future;
use std::pin::pin;

use super::findings::Findings;
use super::message;
use super::pass::{Halt, Pass};
use super::store::Store;
use crate::api::{Mode, Reason};
use crate::chime::port::{CallError, Service};
use crate::chime::rate_limit::Priority;

/// What a pass waits for.
pub(super) enum Waiting {
    /// For pages of a listing.
    Listing,
    /// For leave to call.
    Turn,
    /// For making a call again that failed so.
    Again(CallError),
}

impl<S: Service, T: Store> Pass<'_, S, T> {
    /// Waits, telling of progress when it takes long. Ends at once when the pass is cancelled.
    pub(super) async fn wait<F: Future>(&mut self, waiting: &Waiting, future: F) -> Result<F::Output, Halt> {
        let mut future = pin!(future);
        loop {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(Halt::Interrupted),
                output = &mut future => return Ok(output),
                () = tokio::time::sleep_until(self.report.next_progress()) => {}
            }
            let Some(found) = self.news() else {
                match waiting {
                    Waiting::Again(error) if self.intent.mode == Mode::Enforce => self.report.outage(error).await,
                    _ => self.report.skip_progress(),
                }
                continue;
            };
            let rate = self.engine.client.rate_limiter().batch_rate(&self.intent.target);
            let (reason, message) = match waiting {
                Waiting::Again(error) => (Reason::Retrying, message::retrying(&found, error)),
                Waiting::Turn if found.pending == 0 && found.leaving > 0 => {
                    (Reason::Removing, message::removing(&found))
                }
                Waiting::Turn if found.present > 0 => (Reason::Adding, message::adding(&found, rate)),
                Waiting::Turn => (Reason::RateLimited, message::rate_limited(&found)),
                Waiting::Listing => (Reason::RateLimited, message::listing(&found)),
            };
            self.report.progress(&found, reason, &message).await;
        }
    }

    /// Where everybody stands, if there is progress to tell. Whoever only observes is never reconciling. Who was counted before is not to be
    /// counted as missing just because this process has not listed the channel yet, and looking again at a channel where
    /// everybody is takes nothing of that back: thousands of resources may wait for their resync at once.
    fn news(&mut self) -> Option<Findings> {
        if self.intent.mode == Mode::Observe || self.cell.listed().is_none() && self.report.has_counts() {
            return None;
        }
        Some(self.findings()).filter(|found| self.level == Priority::Edit || found.pending > 0)
    }
}
