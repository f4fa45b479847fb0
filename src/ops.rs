//! What does whoever runs Rollcall see of it, and how do they stop it?

pub mod grants;
pub mod health;
pub mod lease;
pub mod logs;
pub mod metrics;
pub mod serve;
pub mod stop;
pub mod traces;
