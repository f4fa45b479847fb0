//! Who should be in a channel, who is, and what follows? Pure: no I/O, no clock, no async.

pub mod arn;
