//! How does one talk to Amazon Chime SDK messaging? The port, the SDK behind it, and the pace that protects the live chat.

pub mod backoff;
pub mod client;
pub mod directory;
pub mod pace;
pub mod port;
pub mod reader;
pub mod sdk;
pub mod tally;
pub mod trace;

#[cfg(test)]
pub(crate) mod removal;
