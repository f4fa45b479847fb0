//! Does a pass do what its resource's owner expects? On a service and a store in memory, and a clock that stands still.

mod answers;
mod calls;
pub(crate) mod cluster;
mod conformance;
mod crash;
pub(crate) mod fake;
mod faults;
mod grants;
mod guards;
mod incidents;
mod life;
mod listings;
pub(crate) mod operator;
mod preview;
pub(crate) mod process;
mod walks;
pub(crate) mod world;
