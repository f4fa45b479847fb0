//! Commands that run a process or prepare its surroundings: the operator, the simulator, and the
//! commands that packages and scripts call.

pub(super) mod completion;
pub(super) mod crd;
pub(super) mod healthcheck;
pub(super) mod man;
pub(super) mod release;
pub(super) mod run;
pub(super) mod simulate;
