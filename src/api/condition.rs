//! The reasons of the conditions Ready, Reconciling and Stalled, and the values of the conditions
//! for each.
//!
//! kstatus (Flux, `helm --wait`), Argo CD's health check and alerts read the conditions. For
//! kstatus, Stalled=True is Failed, Reconciling=True is InProgress and Ready=True is Current.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde::Serialize;

/// The longest condition message, in characters (the API machinery's own limit is 32,768).
pub const MAX_MESSAGE_CHARS: usize = 1024;

/// The reason of a condition. Health checks and alerts depend on these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Reason {
    /// All declared members are present, as a listing or an answer of the service shows.
    AllPresent,
    /// All members are present except refused ones, and their number is within `limits.failed`.
    RefusedWithinLimit,
    /// The resource has `suspend: true`.
    Suspended,
    /// The resource has `mode: Observe`.
    Observed,
    /// Members are being added.
    Adding,
    /// Members are being removed, or their removal waits for its earliest time.
    Removing,
    /// A call or a member will be tried again soon.
    Retrying,
    /// The resource waits for its share of the service's quota.
    RateLimited,
    /// The service refused more members than `limits.failed` allows.
    MembersRefused,
    /// The channel does not exist, or the bearer has no access to it.
    ChannelNotAccessible,
    /// The service does not know the bearer, or no bearer is configured.
    BearerRejected,
    /// AWS credentials are missing, or IAM denies access.
    AccessDenied,
    /// The operator's flags or grants do not allow this resource's spec.
    NotGranted,
    /// A plan waits for approval.
    ApprovalRequired,
    /// Another resource of the channel has a conflicting spec.
    OwnershipConflict,
    /// A source of members is missing or cannot be read.
    SourceNotReady,
    /// The schema accepts a value that the operator cannot use.
    InvalidMember,
}

/// The state that a reason stands for. The three conditions follow from the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The channel is as declared.
    Ready,
    /// The operator is working on the resource.
    Reconciling,
    /// The resource needs a change by a person.
    Stalled,
    /// The channel is observed, and all declared members are present.
    ObservedComplete,
    /// The channel is observed, and declared members are missing.
    ObservedIncomplete,
    /// The resource is suspended. Ready keeps its value.
    Suspended,
}

impl Reason {
    /// All reasons.
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

    /// Returns the reason with this name in a condition.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }

    /// Returns the name of the reason in a condition.
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
    /// Returns the state of a reason. `complete` is true if all declared members of an observed
    /// channel are present.
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

/// Returns the three conditions of a state. A condition keeps its transition time if its status did
/// not change.
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
                // A suspended resource is not reconciled, so Ready keeps the generation it is
                // about.
                Some(ready) if state == State::Suspended && kind == "Ready" => ready.observed_generation,
                _ => generation,
            },
            last_transition_time: before(kind)
                .filter(|condition| condition.status == status)
                .map_or_else(|| now.clone(), |condition| condition.last_transition_time.clone()),
        })
        .collect()
}
