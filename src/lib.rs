//! Rollcall keeps the members of Amazon Chime SDK messaging channels as `ChannelMembership` resources declare them.
//!
//! The house, from the top down; a room knows only rooms below it, and `tests/house.rs` reads the imports to see to it:
//!
//! | room | the question it answers |
//! |---|---|
//! | [`cli`] | which commands are there? One file a command |
//! | [`controller`] | how does a resource live in a cluster? Watches, the reconcile entry, status, events |
//! | [`ops`] | what does whoever runs Rollcall see of it, and how do they stop it? |
//! | [`offline`] | how does a resource live in a file? What a plan and an application without a cluster know of it |
//! | [`manifests`] | which resources stand in these files, and are they right? |
//! | [`engine`] | what does one pass over one channel do? Observe → validate → plan → apply → report |
//! | [`simulator`] | what would the service answer? A local stand-in of it |
//! | [`chime`] | how does one talk to Amazon Chime SDK messaging? The port, the SDK behind it, the pace |
//! | [`membership`] | who should be in a channel, who is, and what follows? Pure |
//! | [`api`] | what does a `ChannelMembership` look like? Nothing but data |

pub mod api;
pub mod chime;
pub mod cli;
pub mod controller;
pub mod engine;
pub mod manifests;
pub mod membership;
pub mod offline;
pub mod ops;
pub mod simulator;
