//! Commands that read or change resources in a cluster, also as `kubectl rollcall`.

pub(super) mod approve;
pub(super) mod doctor;
pub(super) mod offboard;
pub(super) mod reconcile;
pub(super) mod status;
pub(super) mod suspend;
pub(super) mod undeclared;
pub(super) mod why;
