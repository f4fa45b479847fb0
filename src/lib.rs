//! Rollcall keeps the members of Amazon Chime SDK messaging channels as `ChannelMembership` resources declare them.
//!
//! The house, from the top down; a room knows only rooms below it, and `tests/house.rs` reads the imports to see to it:
//!
//! | room | the question it answers |
//! |---|---|
//! | [`cli`] | what can one type? One file a command |
//! | [`simulator`] | how does one try it with no AWS account? A local stand-in for the service |
//! | [`chime`] | how does one talk to Amazon Chime SDK messaging? The port, the SDK behind it, pace |
//! | [`membership`] | who should be in a channel, who is, and what follows? Pure |
//! | [`api`] | what does a `ChannelMembership` look like? Nothing but data |

pub mod api;
pub mod chime;
pub mod cli;
pub mod membership;
pub mod simulator;
