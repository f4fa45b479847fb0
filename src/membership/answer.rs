//! What does the service's code for one member mean?

use super::departures::{CONTESTED, LEFT};

/// What a per-member code of BatchCreateChannelMembership means.
///
/// `ErrorCode` is one open set for all Chime services, so every code must mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Is there already, with this type or the other.
    Conflict,
    /// Might pass by itself, soon.
    Transient,
    /// Does not pass by itself.
    Refused,
    /// A code that is not known, or none: [`UNKNOWN_TRIES`] times like `Transient`, then like `Refused`.
    Unknown,
}

/// So often a member is tried again whose code nobody knows.
pub const UNKNOWN_TRIES: u32 = 5;

impl Answer {
    /// Reads a code as the service spells it.
    pub fn of(code: Option<&str>) -> Self {
        match code {
            Some("Conflict") => Self::Conflict,
            Some("Throttled" | "Throttling" | "ServiceFailure" | "ServiceUnavailable") => Self::Transient,
            Some(
                "BadRequest"
                | "Forbidden"
                | "NotFound"
                | "PreconditionFailed"
                | "ResourceLimitExceeded"
                | "AccessDenied"
                | TYPE_MISMATCH
                | OWNERSHIP_CONFLICT
                | LEFT
                | CONTESTED
                | "Unauthorized"
                | "Unprocessable",
            ) => Self::Refused,
            _ => Self::Unknown,
        }
    }
}

/// What to do about a member whom the service refused with a code, as a sentence for the status.
pub fn advice(code: &str) -> &'static str {
    match code {
        "Forbidden" => "check that the user exists in the app instance and is not banned from the channel",
        "NotFound" => "check that the user exists in the app instance",
        "BadRequest" => "check how the member is written",
        "ResourceLimitExceeded" => "the channel or the user is at a quota: take members out or have the quota raised",
        "AccessDenied" => "grant chime:BatchCreateChannelMembership on this member in IAM",
        "Unauthorized" => "check that the bearer exists and may add members",
        LEFT => "let them stay out, or request a reconcile to add them again",
        CONTESTED => {
            "somebody takes them out again and again: find out who, or take the name out; to keep someone out, ban them"
        }
        OWNERSHIP_CONFLICT => "declare each user with one type only",
        TYPE_MISMATCH => "remove this membership first, or declare the member in a resource of the other type",
        _ => "see the service's message",
    }
}

/// The code, of ours, for a member who is in the channel with the other type.
pub const TYPE_MISMATCH: &str = "TypeMismatch";

/// The code, of ours, for a member whom an older resource declares with the other type.
pub const OWNERSHIP_CONFLICT: &str = "OwnershipConflict";
