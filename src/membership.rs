//! Who should be in a channel, who is, and what follows? Pure: no I/O, no clock, no async.

pub mod answer;
pub mod arn;
pub mod claims;
pub mod departures;
pub mod description;
pub mod digest;
pub mod elsewhere;
pub mod grace;
pub mod grants;
pub mod guard;
pub mod hold;
pub mod ledger;
pub mod names;
pub mod plan;
pub mod problem;
pub mod roll;
pub mod roster;
pub mod source;
