//! The spans of calls in traces.
//!
//! Spans of the target [`TARGET`] go to a collector of traces and to no log. Without a collector
//! they are not even created. They name no member.

use std::time::Duration;

use tracing::Span;
use tracing::field::Empty;

use super::port::{CallError, Operation};

/// The target of every span that is exported.
pub const TARGET: &str = "traces";

/// Creates the span of a call about a channel or an app instance. `waited` is the time that the
/// call waited for its turn.
pub(super) fn call_span(about: &str, operation: Operation, waited: Duration) -> Span {
    tracing::info_span!(
        target: TARGET,
        "call",
        otel.name = operation.as_str(),
        otel.kind = "client",
        otel.status_code = Empty,
        // The names are those of OpenTelemetry's semantic conventions for the AWS SDK.
        rpc.system = "aws-api",
        rpc.service = "Chime SDK Messaging",
        rpc.method = operation.as_str(),
        aws.request_id = Empty,
        rollcall.channel = about.split_once("/channel/").map(|(_, id)| id),
        rollcall.answer = Empty,
        rollcall.rate_limit.waited_seconds = waited.as_secs_f64(),
    )
}

/// Records the outcome of the call.
pub(super) fn record_outcome(call: &Span, error: Option<&CallError>) {
    call.record("rollcall.answer", error.map_or("OK", |error| &error.code));
    if error.is_some() {
        call.record("otel.status_code", "ERROR");
    }
}

/// Records the service's request id in the span of the current call.
pub(super) fn record_request_id(id: Option<&str>) {
    if let Some(id) = id {
        Span::current().record("aws.request_id", id);
    }
}
