//! What does whoever runs Rollcall see of it, and how do they stop it?

pub mod logs;
pub mod stop;
