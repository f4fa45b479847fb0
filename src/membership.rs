//! Decisions about the members of a channel: pure functions of values, with no I/O, no clock and no
//! async.

pub mod approval;
pub mod approval_state;
pub mod arn;
pub mod blocker;
pub mod confirmation;
pub mod conflicts;
pub mod declarers;
pub mod description;
pub mod desired;
pub mod digest;
pub mod drift;
pub mod error_code;
pub mod grace;
pub mod grants;
pub mod guard;
pub mod listing;
pub mod member_set;
pub mod notes;
pub mod observation;
pub mod orphans;
pub mod ownership;
pub mod plan;
pub mod record;
pub mod removal;
pub mod retry;
pub mod situation;
pub mod source;
pub mod spec;
pub mod state_update;
pub mod target;
pub mod time;
