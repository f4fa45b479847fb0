//! Operations of the process: health, metrics, logs, traces, leader election, and the end of the
//! process.

pub mod grants;
pub mod health;
pub mod lease;
pub mod logs;
pub mod metrics;
pub mod serve;
pub mod stop;
pub mod traces;
