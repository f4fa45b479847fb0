//! How does one talk to Amazon Chime SDK messaging? The port, the SDK behind it, and the pace that protects the live chat.

pub mod backoff;
pub mod call_metrics;
pub mod client;
pub mod port;
pub mod rate_limit;
pub mod reader;
pub mod sdk;
pub mod trace;
pub mod user_memberships;

#[cfg(test)]
pub(crate) mod removal;
