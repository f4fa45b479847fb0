//! The error codes of single members, and what each means.

/// The meaning of a per-member code of BatchCreateChannelMembership.
///
/// `ErrorCode` is one open set for all Chime services, so every code has a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCodeClass {
    /// The member is present already, with this type or the other.
    Conflict,
    /// The member may be added soon.
    Transient,
    /// The member cannot be added without a change.
    Refused,
    /// The code is unknown or absent: like `Transient` for [`MAX_UNKNOWN_ATTEMPTS`] attempts, then
    /// like `Refused`.
    Unknown,
}

/// A member with an unknown code is tried this often.
pub const MAX_UNKNOWN_ATTEMPTS: u32 = 5;

impl ErrorCodeClass {
    /// Classifies a code as the service spells it.
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

/// Returns what to do about a member that was refused with a code.
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
            "another program removes this member again and again: find that program, or take the name out; to keep a user out, ban the user"
        }
        OWNERSHIP_CONFLICT => "declare each user with one type only",
        TYPE_MISMATCH => "remove this membership first, or declare the member in a resource of the other type",
        _ => "see the service's message",
    }
}

/// Our code for a member that is present with the other type.
pub const TYPE_MISMATCH: &str = "TypeMismatch";

/// Our code for a member that an older resource declares with the other type.
pub const OWNERSHIP_CONFLICT: &str = "OwnershipConflict";

/// Our error code for a member that left or was removed by another program.
pub const LEFT: &str = "Left";

/// Our error code for a member that is removed again and again by another program.
pub const CONTESTED: &str = "Contested";
