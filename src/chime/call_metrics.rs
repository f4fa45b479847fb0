//! The counts of calls by operation and outcome, and the time that calls waited.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::port::{CallErrorClass, Operation};

/// The outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// The service did what was asked.
    Succeeded,
    /// The call failed with an error of this class.
    Failed(CallErrorClass),
}

impl CallOutcome {
    /// Every outcome.
    pub const ALL: [Self; 7] = [
        Self::Succeeded,
        Self::Failed(CallErrorClass::Throttled),
        Self::Failed(CallErrorClass::Transient),
        Self::Failed(CallErrorClass::ChannelNotAccessible),
        Self::Failed(CallErrorClass::BearerRejected),
        Self::Failed(CallErrorClass::AccessDenied),
        Self::Failed(CallErrorClass::Refused),
    ];

    /// Returns the value of the metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "ok",
            Self::Failed(CallErrorClass::Throttled) => "throttled",
            Self::Failed(CallErrorClass::Transient) => "transient",
            Self::Failed(CallErrorClass::ChannelNotAccessible) => "channel_not_accessible",
            Self::Failed(CallErrorClass::BearerRejected) => "bearer_rejected",
            Self::Failed(CallErrorClass::AccessDenied) => "access_denied",
            Self::Failed(CallErrorClass::Refused) => "refused",
        }
    }

    fn index(self) -> usize {
        Self::ALL.iter().position(|answer| *answer == self).unwrap_or_default()
    }
}

/// The counts of a client's calls since it was created.
#[derive(Debug, Default)]
pub struct CallMetrics {
    calls: [[AtomicU64; CallOutcome::ALL.len()]; Operation::ALL.len()],
    waited: [AtomicU64; Operation::ALL.len()],
}

impl CallMetrics {
    /// Returns how many calls of an operation had this outcome.
    pub fn call_count(&self, operation: Operation, answer: CallOutcome) -> u64 {
        self.calls[operation as usize][answer.index()].load(Ordering::Relaxed)
    }

    /// Returns how many calls were answered 429.
    pub fn throttled_count(&self) -> u64 {
        let throttled = CallOutcome::Failed(CallErrorClass::Throttled);
        Operation::ALL.into_iter().map(|operation| self.call_count(operation, throttled)).sum()
    }

    /// Returns the total time that calls of an operation waited for their turn.
    pub fn total_wait(&self, operation: Operation) -> Duration {
        Duration::from_micros(self.waited[operation as usize].load(Ordering::Relaxed))
    }

    pub(super) fn count_answer(&self, operation: Operation, error: Option<CallErrorClass>) {
        let answer = error.map_or(CallOutcome::Succeeded, CallOutcome::Failed);
        self.calls[operation as usize][answer.index()].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_wait(&self, operation: Operation, waited: Duration) {
        let micros = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        self.waited[operation as usize].fetch_add(micros, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_and_every_answer_has_a_place_of_its_own() {
        let metrics = CallMetrics::default();
        for (times, operation) in Operation::ALL.into_iter().enumerate() {
            for (more, answer) in CallOutcome::ALL.into_iter().enumerate() {
                let error = match answer {
                    CallOutcome::Succeeded => None,
                    CallOutcome::Failed(class) => Some(class),
                };
                (0..times * 10 + more).for_each(|_| metrics.count_answer(operation, error));
            }
        }
        for (times, operation) in Operation::ALL.into_iter().enumerate() {
            for (more, answer) in CallOutcome::ALL.into_iter().enumerate() {
                assert_eq!(
                    metrics.call_count(operation, answer),
                    times as u64 * 10 + more as u64,
                    "{operation} {answer:?}"
                );
            }
        }
    }
}
