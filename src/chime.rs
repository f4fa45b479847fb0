//! The client of Amazon Chime SDK messaging: the port, the AWS SDK behind it, and the rate limiter
//! that leaves quota to the live chat application.

pub mod backoff;
pub mod call_metrics;
pub mod caller;
pub mod client;
pub mod port;
pub mod rate_limit;
pub mod reader;
pub mod sdk;
pub mod trace;

#[cfg(test)]
pub(crate) mod removal;
