//! Progress: the reports of a reconcile while it waits.

use std::future::Future;

use tokio::time::Instant;

use super::summary::Summary;
use crate::chime::port::CallError;
use crate::chime::rate_limit::Priority;

/// The thing that a reconcile waits for.
#[derive(Debug)]
pub(super) enum Waiting {
    /// Pages of a listing.
    Listing,
    /// A permit to call.
    Permit,
    /// The pause after a call that failed.
    Retry(CallError),
}

/// A receiver of progress reports.
pub(super) trait ProgressReport: Send {
    /// Returns when the next report is due.
    fn next_report(&self) -> Instant;

    /// Takes a report. `batch_rate` is the number of batches a second that the channel allows.
    fn report(
        &mut self,
        summary: Summary,
        level: Priority,
        waiting: &Waiting,
        batch_rate: Option<f64>,
    ) -> impl Future<Output = ()> + Send;
}

/// The progress of a dry run, which is reported to nothing.
pub(super) struct Silent;

impl ProgressReport for Silent {
    fn next_report(&self) -> Instant {
        // Longer than any process runs.
        Instant::now() + std::time::Duration::from_hours(24 * 3650)
    }

    async fn report(&mut self, _: Summary, _: Priority, _: &Waiting, _: Option<f64>) {}
}
