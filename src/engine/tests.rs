//! Does a pass do what its resource's owner expects? On a service and a store in memory, and a clock that stands still.

mod answers;
mod calls;
pub(super) mod fake;
mod faults;
mod life;
mod listings;
