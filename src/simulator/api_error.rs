//! How does the service say no?
//!
//! Shapes, statuses and the members `Code` and `Message` are those of the service model `chime-sdk-messaging` 2021-05-15.

use std::borrow::Cow;

use serde_json::{Value, json};

/// A call refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// The error shape, sent as `x-amzn-ErrorType`: without it SDKs cannot tell which error it is.
    pub shape: Cow<'static, str>,
    /// The body's `Code`.
    pub code: Cow<'static, str>,
    /// The body's `Message`.
    pub message: String,
}

macro_rules! shapes {
    ($($make:ident: $status:literal $shape:literal $code:literal;)*) => {
        impl ApiError {
            $(
                #[doc = concat!("`", $shape, "`, ", stringify!($status), ".")]
                pub fn $make(message: impl Into<String>) -> Self {
                    Self { status: $status, shape: $shape.into(), code: $code.into(), message: message.into() }
                }
            )*

            /// The modelled refusal with this status; for a status that the model does not name, `InternalFailure`.
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

// `bad_request` comes before `limit_exceeded`, which has the same status: `of_status` takes the first.
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
    /// An error outside the service's own model, such as those of the layer that checks signatures.
    pub fn unmodelled(status: u16, shape: &'static str, message: impl Into<String>) -> Self {
        Self { status, shape: shape.into(), code: shape.into(), message: message.into() }
    }

    /// A bearer that is no known user or bot; the text is that of the service.
    pub fn unknown_bearer() -> Self {
        Self::unauthorized("An invalid app instance user ARN was supplied for the x-amz-chime-bearer HTTP header")
    }

    /// A bearer whose role does not allow what it asked.
    pub fn role(needed: &str) -> Self {
        Self::forbidden(format!("The bearer is not allowed to do this: it takes {needed}"))
    }

    /// The body.
    pub fn body(&self) -> Value {
        json!({"Code": self.code, "Message": self.message})
    }
}

/// Why one member was not added: an element of a batch's `Errors`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchMemberError {
    /// The `ErrorCode`.
    pub code: &'static str,
    /// The `ErrorMessage`.
    pub message: String,
}

impl BatchMemberError {
    /// A refusal with this code and text.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The same said of a call for this member alone.
    pub fn into_call(self) -> ApiError {
        match self.code {
            "Conflict" => ApiError::conflict(self.message),
            "NotFound" => ApiError::not_found(self.message),
            "BadRequest" => ApiError::bad_request(self.message),
            "ResourceLimitExceeded" => ApiError::limit_exceeded(self.message),
            _ => ApiError::forbidden(self.message),
        }
    }
}
