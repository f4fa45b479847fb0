//! Which reasons are there, and what do Ready, Reconciling and Stalled say for each?
//!
//! The three are read by kstatus (Flux, `helm --wait`), by Argo CD's health check and by alerts: Stalled=True is Failed,
//! Reconciling=True is in progress, Ready=True is Current.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde::Serialize;

/// The longest condition message, in characters (the API machinery's own limit is 32,768).
pub const MAX_MESSAGE_CHARS: usize = 1024;

/// Every reason a condition can have. A closed list: health checks and alerts hang on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Reason {
    /// All declared members were seen in a listing or named in an answer.
    AllPresent,
    /// All but refused members are present, and those are within `limits.failed`.
    RefusedWithinLimit,
    /// `suspend: true`.
    Suspended,
    /// `mode: Observe`.
    Observed,
    /// Members are being added.
    Adding,
    /// Members are being removed, or wait for the time after which they may be.
    Removing,
    /// A call or a member is tried again soon.
    Retrying,
    /// Waits for its share of the service's quota.
    RateLimited,
    /// More members were refused than `limits.failed`.
    MembersRefused,
    /// The channel is gone or closed to the bearer.
    ChannelNotAccessible,
    /// The bearer is unknown to the service, or none is configured.
    BearerRejected,
    /// AWS credentials or IAM stand in the way.
    AccessDenied,
    /// The operator does not allow this resource what it asks for.
    NotGranted,
    /// A plan waits for approval.
    ApprovalRequired,
    /// Another resource of the channel claims the same.
    OwnershipConflict,
    /// A source of members is missing or cannot be read.
    SourceNotReady,
    /// A value that the schema let through cannot be used.
    InvalidMember,
}

/// What a reason means for whoever waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As declared.
    Ready,
    /// Being worked on.
    Reconciling,
    /// Not without somebody's help.
    Stalled,
    /// Only looked at: everybody is there.
    ObservedComplete,
    /// Only looked at: somebody is missing.
    ObservedIncomplete,
    /// Left alone: Ready stays what it was.
    Suspended,
}

impl Reason {
    /// Every reason there is.
    pub const ALL: [Self; 17] = [
        Self::AllPresent,
        Self::RefusedWithinLimit,
        Self::Suspended,
        Self::Observed,
        Self::Adding,
        Self::Removing,
        Self::Retrying,
        Self::RateLimited,
        Self::MembersRefused,
        Self::ChannelNotAccessible,
        Self::BearerRejected,
        Self::AccessDenied,
        Self::NotGranted,
        Self::ApprovalRequired,
        Self::OwnershipConflict,
        Self::SourceNotReady,
        Self::InvalidMember,
    ];

    /// The reason of a word in a condition.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }

    /// The word in the condition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AllPresent => "AllPresent",
            Self::RefusedWithinLimit => "RefusedWithinLimit",
            Self::Suspended => "Suspended",
            Self::Observed => "Observed",
            Self::Adding => "Adding",
            Self::Removing => "Removing",
            Self::Retrying => "Retrying",
            Self::RateLimited => "RateLimited",
            Self::MembersRefused => "MembersRefused",
            Self::ChannelNotAccessible => "ChannelNotAccessible",
            Self::BearerRejected => "BearerRejected",
            Self::AccessDenied => "AccessDenied",
            Self::NotGranted => "NotGranted",
            Self::ApprovalRequired => "ApprovalRequired",
            Self::OwnershipConflict => "OwnershipConflict",
            Self::SourceNotReady => "SourceNotReady",
            Self::InvalidMember => "InvalidMember",
        }
    }
}

impl State {
    /// The state that goes with a reason; `complete` says for an observed channel whether all declared members are there.
    pub fn of(reason: Reason, complete: bool) -> Self {
        match reason {
            Reason::AllPresent | Reason::RefusedWithinLimit => Self::Ready,
            Reason::Suspended => Self::Suspended,
            Reason::Observed if complete => Self::ObservedComplete,
            Reason::Observed => Self::ObservedIncomplete,
            Reason::Adding | Reason::Removing | Reason::Retrying | Reason::RateLimited => Self::Reconciling,
            Reason::MembersRefused
            | Reason::ChannelNotAccessible
            | Reason::BearerRejected
            | Reason::AccessDenied
            | Reason::NotGranted
            | Reason::ApprovalRequired
            | Reason::OwnershipConflict
            | Reason::SourceNotReady
            | Reason::InvalidMember => Self::Stalled,
        }
    }
}

/// The three conditions for a state, with transition times kept where a status did not change.
pub fn conditions(
    previous: &[Condition],
    state: State,
    reason: Reason,
    message: &str,
    generation: Option<i64>,
    now: &Time,
) -> Vec<Condition> {
    let before = |kind: &str| previous.iter().find(|condition| condition.type_ == kind);
    let ready = match state {
        State::Ready | State::ObservedComplete => "True",
        State::Reconciling | State::Stalled | State::ObservedIncomplete => "False",
        State::Suspended => before("Ready").map_or("Unknown", |ready| ready.status.as_str()),
    };
    let truth = |holds: bool| if holds { "True" } else { "False" };
    [("Ready", ready), ("Reconciling", truth(state == State::Reconciling)), ("Stalled", truth(state == State::Stalled))]
        .into_iter()
        .map(|(kind, status)| Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.as_str().to_owned(),
            message: message.chars().take(MAX_MESSAGE_CHARS).collect(),
            observed_generation: match before(kind) {
                // Suspended judges nothing, so it speaks of what was judged before.
                Some(ready) if state == State::Suspended && kind == "Ready" => ready.observed_generation,
                _ => generation,
            },
            last_transition_time: before(kind)
                .filter(|condition| condition.status == status)
                .map_or_else(|| now.clone(), |condition| condition.last_transition_time.clone()),
        })
        .collect()
}
