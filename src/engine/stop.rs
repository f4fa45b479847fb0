//! The reasons for which a reconcile stops before its end.

use std::time::Duration;

use super::store::StoreError;
use crate::api::Reason;
use crate::chime::port::CallError;

/// Why a reconcile did not come to its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// The resource changed, or the process stops.
    Interrupted,
    /// The resource in the cluster differs from the one this reconcile knows: reconcile again after this.
    Stale(Duration),
    /// The status or the finalizer could not be written.
    NotWritten(StoreError),
    /// The channel does not allow what the spec asks for.
    Invalid(Reason, String),
    /// A call was refused as a whole.
    Refused(CallError),
}

impl From<CallError> for Stop {
    fn from(error: CallError) -> Self {
        Self::Refused(error)
    }
}

/// Separates a refused call, which is a value for the caller, from the other reasons to stop.
pub(super) fn refusal<T>(result: Result<T, Stop>) -> Result<Result<T, CallError>, Stop> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Stop::Refused(error)) => Ok(Err(error)),
        Err(stop) => Err(stop),
    }
}
