//! The reasons for which a reconcile stops before its end.

use std::time::Duration;

use super::store::StoreError;
use crate::api::Reason;
use crate::chime::port::{CallError, CallErrorClass};
use crate::membership::blocker::Blocker;

/// Why a reconcile did not come to its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// The resource changed, or the process stops.
    Interrupted,
    /// The resource in the cluster differs from the one this reconcile knows: reconcile again after
    /// this.
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

/// Returns the condition's reason for a call that was refused as a whole.
pub(super) fn reason_of(error: &CallError) -> Reason {
    match error.class {
        CallErrorClass::ChannelNotAccessible | CallErrorClass::Refused => Reason::ChannelNotAccessible,
        CallErrorClass::BearerRejected => Reason::BearerRejected,
        CallErrorClass::AccessDenied => Reason::AccessDenied,
        CallErrorClass::Throttled | CallErrorClass::Transient => Reason::Retrying,
    }
}

/// Why no further member is removed in this reconcile.
pub(super) enum Pause {
    /// No candidate is due, or none is admitted now.
    NoneDue,
    /// Removals wait.
    Blocked(Blocker),
    /// The reconcile stops.
    Stop(Stop),
}

impl From<Blocker> for Pause {
    fn from(blocker: Blocker) -> Self {
        Self::Blocked(blocker)
    }
}

impl From<Stop> for Pause {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}
