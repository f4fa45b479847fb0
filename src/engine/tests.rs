//! Does a pass do what its resource's owner expects? On a service and a store in memory, and a clock that stands still.

mod answers;
mod calls;
mod cluster;
mod conformance;
mod crash;
pub(super) mod fake;
mod faults;
mod grants;
mod guards;
mod incidents;
mod life;
mod listings;
mod operator;
mod process;
mod walks;
mod world;
