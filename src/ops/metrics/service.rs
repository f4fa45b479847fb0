//! The metrics of the calls to the service.

use std::sync::Arc;

use super::Metrics;
use crate::chime::call_metrics::CallOutcome;
use crate::chime::client::Client;
use crate::chime::port::{Operation, Service};

/// Registers the counts of a client's calls, and the share of the quota that they take.
pub fn register_service_metrics<S: Service>(metrics: &mut Metrics, client: &Client<S>) {
    let (calls_made, limiter) = (Arc::clone(client.call_metrics()), Arc::clone(client.rate_limiter()));
    metrics.add_collector(move |page| {
        let mut calls = page.counters("service_calls", "Calls of the service, by operation and answer")?;
        for operation in Operation::ALL {
            for answer in CallOutcome::ALL {
                #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
                let count = calls_made.call_count(operation, answer) as f64;
                calls.set(&[("operation", operation.as_str()), ("answer", answer.as_str())], count)?;
            }
        }
        page.counter("service_throttled", "Calls that the service answered 429", calls_made.throttled_count())?;
        let mut waits = page.counters("rate_limit_wait_seconds", "Seconds that calls waited for their turn")?;
        for operation in Operation::ALL {
            waits.set(&[("operation", operation.as_str())], calls_made.total_wait(operation).as_secs_f64())?;
        }
        page.gauge(
            "quota_used_ratio",
            "The share of the documented rate that calls took in the last minute, of the bearer that takes most",
            limiter.quota_used(),
        )
    });
}
