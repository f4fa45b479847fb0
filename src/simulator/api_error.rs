//! The errors of the service.
//!
//! The shapes, the statuses and the fields `Code` and `Message` come from the service model
//! `chime-sdk-messaging` 2021-05-15.

use std::borrow::Cow;

use serde_json::{Value, json};

/// The error of a call, or of one member of a batch, which has only a code and a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    pub status: u16,
    /// The error shape. SDKs tell errors apart by this value of the header `x-amzn-ErrorType`.
    pub shape: Cow<'static, str>,
    pub code: Cow<'static, str>,
    pub message: String,
}

macro_rules! shapes {
    ($($make:ident: $status:literal $shape:literal $code:literal;)*) => {
        impl ApiError {
            $(
                #[doc = concat!("Returns a `", $shape, "`, ", stringify!($status), ".")]
                pub fn $make(message: impl Into<String>) -> Self {
                    Self { status: $status, shape: $shape.into(), code: $code.into(), message: message.into() }
                }
            )*

            /// Returns the first modelled error with this status, or `InternalFailure`.
            pub fn of_status(status: u16) -> Self {
                let message = "injected fault";
                $(
                    if status == $status {
                        return Self::$make(message);
                    }
                )*
                Self { status, shape: "InternalFailure".into(), code: "InternalFailure".into(), message: message.into() }
            }
        }
    };
}

// `of_status` takes the first of `bad_request` and `limit_exceeded`, which have the same status.
shapes! {
    bad_request: 400 "BadRequestException" "BadRequest";
    limit_exceeded: 400 "ResourceLimitExceededException" "ResourceLimitExceeded";
    unauthorized: 401 "UnauthorizedClientException" "Unauthorized";
    forbidden: 403 "ForbiddenException" "Forbidden";
    not_found: 404 "NotFoundException" "NotFound";
    conflict: 409 "ConflictException" "Conflict";
    throttled: 429 "ThrottledClientException" "Throttled";
    service_failure: 500 "ServiceFailureException" "ServiceFailure";
    service_unavailable: 503 "ServiceUnavailableException" "ServiceUnavailable";
}

impl ApiError {
    /// Returns an error outside the service's model, such as an error of the signature check.
    pub fn unmodelled(status: u16, shape: &'static str, message: impl Into<String>) -> Self {
        Self { status, shape: shape.into(), code: shape.into(), message: message.into() }
    }

    /// Returns the error for a bearer that is no known user or bot, with the text of the service.
    pub fn unknown_bearer() -> Self {
        Self::unauthorized("An invalid app instance user ARN was supplied for the x-amz-chime-bearer HTTP header")
    }

    /// Returns the error for a bearer without the role that the call needs.
    pub fn missing_role(needed: &str) -> Self {
        Self::forbidden(format!("The bearer is not allowed to do this. The call needs {needed}"))
    }

    /// Returns the error for a channel, user or app instance that is at one of its limits.
    pub fn limit_reached(what: &str) -> Self {
        Self::limit_exceeded(format!("The number of {what} has reached its limit"))
    }

    pub fn body(&self) -> Value {
        json!({"Code": self.code, "Message": self.message})
    }
}
