//! The meaning of a failed call.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_chimesdkmessaging::config::http::HttpResponse;
use aws_sdk_chimesdkmessaging::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_chimesdkmessaging::operation::RequestId;

use crate::chime::port::{CallError, CallErrorClass, Operation};

/// The maximum length of a message that is kept, in characters.
pub(super) const MOST_MESSAGE: usize = 512;

/// The maximum length of a code that is kept, in characters: the longest code of the service's enum
/// has 36.
pub(super) const MOST_CODE: usize = 64;

/// Converts a failure of the SDK.
///
/// Goes by code and status and not by the SDK's types, because the service answers with errors that
/// its model does not have: NotFound to a listing, AccessDeniedException, ThrottlingException,
/// every error of a signature.
pub(super) fn call_error<E>(operation: Operation, error: &SdkError<E, HttpResponse>) -> CallError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let (class, code, message) = match error {
        SdkError::ServiceError(answer) if answer.raw().status().is_success() => unreadable(answer.err()),
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let body = Body::of(answer.raw());
            let message = answer.err().message().or(body.message.as_deref()).unwrap_or("no message");
            let message = without_canonical_request(message).to_owned();
            match answer.err().code().or(body.code.as_deref()).map(short) {
                Some(code) => (class_of(code, status), code.to_owned(), message),
                None => (class_of_status(status), format!("Http{status}"), message),
            }
        }
        SdkError::ResponseError(_) => unreadable(error),
        _ if credentials_timed_out(error) => (CallErrorClass::Transient, "Timeout".to_owned(), causes(error)),
        _ if has_cause::<CredentialsError>(error) => {
            (CallErrorClass::AccessDenied, "CredentialsNotLoaded".to_owned(), causes(error))
        }
        SdkError::TimeoutError(_) => (CallErrorClass::Transient, "Timeout".to_owned(), causes(error)),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            (CallErrorClass::Transient, "Timeout".to_owned(), causes(error))
        }
        SdkError::ConstructionFailure(_) => (CallErrorClass::Refused, "InvalidRequest".to_owned(), causes(error)),
        _ => (CallErrorClass::Transient, "ConnectionFailed".to_owned(), causes(error)),
    };
    let (code, message) = (tidy(&code, MOST_CODE), tidy(&message, MOST_MESSAGE));
    CallError { class, operation, code, message, request_id: error.request_id().map(str::to_owned) }
}

/// The fields that every error has in the service model. The SDK reads a code from the header
/// `x-amzn-ErrorType` only.
#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Body {
    code: Option<String>,
    message: Option<String>,
}

impl Body {
    fn of(answer: &HttpResponse) -> Self {
        answer.body().bytes().and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default()
    }
}

fn unreadable(error: &(dyn Error + 'static)) -> (CallErrorClass, String, String) {
    (CallErrorClass::Transient, "UnreadableAnswer".to_owned(), causes(error))
}

/// Shortens a code: `ForbiddenException` becomes `Forbidden`, `ThrottledClientException` becomes
/// `Throttled`.
fn short(code: &str) -> &str {
    let without = code.strip_suffix("ClientException").or_else(|| code.strip_suffix("Exception"));
    without.filter(|short| !short.is_empty()).unwrap_or(code)
}

/// Returns the class of a code. The codes are those of the service model, and of "Common errors"
/// and request signing in the AWS documentation.
fn class_of(code: &str, status: u16) -> CallErrorClass {
    match code {
        "Throttled" | "Throttling" | "RequestThrottled" | "TooManyRequests" | "RequestLimitExceeded" | "SlowDown" => {
            CallErrorClass::Throttled
        }
        "Forbidden" | "NotFound" => CallErrorClass::ChannelNotAccessible,
        "Unauthorized" => CallErrorClass::BearerRejected,
        "AccessDenied"
        | "NotAuthorized"
        | "AuthFailure"
        | "OptInRequired"
        | "Unrecognized"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "InvalidToken"
        | "InvalidSignature"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "ExpiredToken"
        | "TokenRefreshRequired"
        | "RequestExpired"
        | "RequestTimeTooSkewed" => CallErrorClass::AccessDenied,
        "RequestTimeout" | "RequestAborted" => CallErrorClass::Transient,
        _ => match class_of_status(status) {
            // A code that is not the service's own is about the signature or IAM.
            CallErrorClass::BearerRejected => CallErrorClass::AccessDenied,
            CallErrorClass::ChannelNotAccessible if status == 403 => CallErrorClass::AccessDenied,
            CallErrorClass::ChannelNotAccessible => CallErrorClass::Refused,
            class => class,
        },
    }
}

fn class_of_status(status: u16) -> CallErrorClass {
    match status {
        429 => CallErrorClass::Throttled,
        401 => CallErrorClass::BearerRejected,
        403 | 404 => CallErrorClass::ChannelNotAccessible,
        408 => CallErrorClass::Transient,
        400..=499 => CallErrorClass::Refused,
        _ => CallErrorClass::Transient,
    }
}

/// Cuts off the request that AWS would have signed, because it contains the session token. AWS
/// repeats that request when it refuses a signature.
fn without_canonical_request(message: &str) -> &str {
    let end = message.find("The Canonical String").or_else(|| message.find("x-amz-security-token"));
    message[..end.unwrap_or(message.len())].trim_end()
}

/// Iterates over an error and its causes, down to the first cause.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// Returns whether the provider of credentials was slow. A slow provider may answer the next time;
/// missing credentials stay missing.
fn credentials_timed_out(error: &(dyn Error + 'static)) -> bool {
    let slow = |cause: &(dyn Error + 'static)| {
        matches!(cause.downcast_ref::<CredentialsError>(), Some(CredentialsError::ProviderTimedOut(_)))
    };
    chain(error).any(slow)
}

fn has_cause<T: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|error| error.downcast_ref::<T>().is_some())
}

/// Returns the texts of an error and its causes, each once.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut said = String::new();
    for cause in chain(error) {
        let text = cause.to_string();
        if !said.ends_with(&text) {
            if !said.is_empty() {
                said.push_str(": ");
            }
            said.push_str(&text);
        }
    }
    said
}

/// Makes a text of the service fit for one line of a log or a status: without control characters,
/// and at most `most` characters long.
pub(super) fn tidy(text: &str, most: usize) -> String {
    let mut line: String = text.chars().take(most).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(most).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_shortened_at_their_end_only() {
        for (code, expected) in [
            ("ForbiddenException", "Forbidden"),
            ("ThrottledClientException", "Throttled"),
            ("UnauthorizedClientException", "Unauthorized"),
            ("SignatureDoesNotMatch", "SignatureDoesNotMatch"),
            ("Exception", "Exception"),
            ("ClientException", "ClientException"),
        ] {
            assert_eq!(short(code), expected);
        }
    }

    #[test]
    fn no_session_token_is_repeated() {
        let message = "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
                       Access Key.\n\nThe Canonical String for this request should have been\n'GET\n/\n\n\
                       x-amz-security-token:SECRET\n'";
        assert_eq!(
            without_canonical_request(message),
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key."
        );
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(tidy(&"é".repeat(600), MOST_MESSAGE).chars().count(), MOST_MESSAGE + 1);
        assert_eq!(tidy("two\nlines\u{1b}[31m", 64), "two lines [31m");
    }
}
