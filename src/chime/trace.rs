//! What does a trace tell of a call?
//!
//! Spans of the target [`TARGET`] are for a collector of traces alone and stand in no log; where there is no collector they are not
//! even made. They name no member.

use std::time::Duration;

use tracing::Span;
use tracing::field::Empty;

use super::port::{CallError, Operation};

/// The target of every span that is exported.
pub const TARGET: &str = "traces";

/// A call about a channel or an app instance that is about to be made, and how long it waited for its turn.
pub(super) fn call_span(about: &str, operation: Operation, waited: Duration) -> Span {
    tracing::info_span!(
        target: TARGET,
        "call",
        otel.name = operation.as_str(),
        otel.kind = "client",
        otel.status_code = Empty,
        // By OpenTelemetry's semantic conventions for the AWS SDK.
        rpc.system = "aws-api",
        rpc.service = "Chime SDK Messaging",
        rpc.method = operation.as_str(),
        aws.request_id = Empty,
        rollcall.channel = about.split_once("/channel/").map(|(_, id)| id),
        rollcall.answer = Empty,
        rollcall.pace.waited_seconds = waited.as_secs_f64(),
    )
}

/// How the call was answered.
pub(super) fn record_outcome(call: &Span, error: Option<&CallError>) {
    call.record("rollcall.answer", error.map_or("OK", |error| &error.code));
    if error.is_some() {
        call.record("otel.status_code", "ERROR");
    }
}

/// By which request id the service knows the call under way.
pub(super) fn record_request_id(id: Option<&str>) {
    if let Some(id) = id {
        Span::current().record("aws.request_id", id);
    }
}
