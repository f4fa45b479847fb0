//! Who should be in a channel, who is, and what follows? Pure: no I/O, no clock, no async.

pub mod answer;
pub mod arn;
pub mod names;
pub mod plan;
pub mod problem;
pub mod roster;
