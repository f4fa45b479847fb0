//! Rollcall keeps the members of Amazon Chime SDK messaging channels as `ChannelMembership`
//! resources declare them.
//!
//! The layers, from the top down. Each layer knows only layers below it; `tests/layers.rs` reads
//! the imports and fails otherwise.
//!
//! | layer | what it does |
//! |---|---|
//! | [`cli`] | the commands of the program, one module each |
//! | [`controller`] | resources in a cluster: watches, the reconcile entry, status, events |
//! | [`ops`] | operation of a process: metrics, health, logs, traces, leader election, grants file |
//! | [`offline`] | resources in files: plan, apply and export without a cluster |
//! | [`manifests`] | reading and validation of manifests |
//! | [`engine`] | one reconcile: observe → plan → record → add → remove → report |
//! | [`simulator`] | a local stand-in for the service |
//! | [`chime`] | Amazon Chime SDK messaging: the port, the SDK behind it, the rate limiter |
//! | [`membership`] | decisions about members: pure functions of values |
//! | [`api`] | the `ChannelMembership` resource: data only |

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
