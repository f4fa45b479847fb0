//! The HTTP handler of the service's operations.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State as Shared};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use serde::Deserialize;

use super::admin;
use super::api_error::ApiError;
use super::audit_log::CallRecord;
use super::call::{ApiCall, ApiResponse};
use super::channels::random_id;
use super::connection::ConnectionHandle;
use super::fault::{CallTweaks, FaultTarget, Interruption};
use super::quotas::CallCost;
use super::route::{RoutedRequest, route_request};
use super::shared_state::{SharedState, SimulatorState};
use super::signature::check_signature;
use crate::membership::arn::{ChannelArn, MemberArn};

/// The maximum size of a body. A batch of 100 ARNs has up to 160 KB. Seeds are larger.
const MAX_BODY: usize = 16 << 20;

/// The members that the body of a call names.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct NamedMembers {
    member_arns: Vec<String>,
    member_arn: Option<String>,
    channel_moderator_arn: Option<String>,
}

/// Handles one request.
pub async fn handle_request(
    Shared(shared): Shared<Arc<SharedState>>,
    ConnectInfo(connection): ConnectInfo<ConnectionHandle>,
    request: Request,
) -> Response {
    let at = shared.elapsed();
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        let message = format!("The body has more than {MAX_BODY} bytes");
        return error_response(&ApiError::unmodelled(413, "RequestEntityTooLarge", message));
    };
    let (method, path, query) = (parts.method.as_str(), parts.uri.path(), parts.uri.query().unwrap_or_default());
    if admin::is_admin_path(path) {
        return admin::handle_admin_request(&shared, method, path, query, &body);
    }
    let Some(routed) = route_request(method, path, query) else {
        let message = format!("The simulator has no operation for {method} {path}");
        return error_response(&ApiError::unmodelled(404, "UnknownOperationException", message));
    };
    let authorization = header_text(&parts.headers, &header::AUTHORIZATION);
    let parsed = check_signature(authorization, shared.region.as_deref())
        .and_then(|()| ApiCall::from_request(&routed, header_text(&parts.headers, "x-amz-chime-bearer"), &body));
    let pending = PendingCall { shared: &shared, routed: &routed, at };
    let mut call = match parsed {
        Ok(call) => call,
        Err(error) => return pending.refuse(None, &error, 0),
    };
    let members = named_members(&call);
    let mut tweaks = match apply_quotas_and_faults(&shared, &call, &members, at) {
        Ok(tweaks) => tweaks,
        Err(error) => return pending.refuse(Some(&call), &error, members.len()),
    };
    if !tweaks.latency.is_zero() {
        tokio::select! {
            () = tokio::time::sleep(tweaks.latency) => {}
            () = shared.stop.cancelled() => tweaks.interruption = Some(Interruption::Cut),
        }
    }
    call.now = shared.elapsed();
    call.tweaks = tweaks;
    pending.execute(&connection, &call, members.len())
}

/// Applies the quotas first and the faults second, so that a throttled call uses up no fault.
fn apply_quotas_and_faults(
    shared: &SharedState,
    call: &ApiCall<'_>,
    members: &[String],
    now: Duration,
) -> Result<CallTweaks, ApiError> {
    shared.update_state(|SimulatorState { service, buckets, faults, .. }| {
        let channel = call.channel.as_ref();
        if let Some(bearer) = &call.bearer {
            let cost = CallCost {
                operation: call.routed.operation,
                channel,
                elastic: channel.and_then(|arn| service.channels.get(arn)).is_some_and(|it| it.elastic.is_some()),
                bearer,
                user: call.routed.parameter("app-instance-user-arn"),
                creates: if service.behaviours.batch_counts_as_creates { members.len() } else { 0 },
            };
            if !buckets.try_take(cost, now) {
                return Err(ApiError::throttled("Rate exceeded"));
            }
        }
        Ok(faults.tweaks_for(FaultTarget {
            operation: call.routed.operation,
            channel: channel.map(ChannelArn::as_str),
            bearer: call.bearer.as_ref().map(MemberArn::as_str),
            members,
        }))
    })
}

/// A call that has no response yet.
struct PendingCall<'a> {
    shared: &'a SharedState,
    routed: &'a RoutedRequest,
    /// The time of arrival.
    at: Duration,
}

impl PendingCall<'_> {
    /// Executes the call with its tweaks. `named` is the number of members that the call names.
    fn execute(&self, connection: &ConnectionHandle, call: &ApiCall<'_>, named: usize) -> Response {
        let interruption = call.tweaks.interruption.as_ref();
        match interruption {
            Some(Interruption::Refuse(error, raw_body)) => {
                let response = self.refuse(Some(call), error, named);
                return raw_body.as_ref().map_or(response, |body| html_response(error.status, body));
            }
            Some(Interruption::Cut) => {
                let error = ApiError::unmodelled(502, "ConnectionCut", "injected fault");
                let record = CallRecord { cut: true, ..self.record(Some(call), Err(&error), named) };
                self.shared.update_state(|state| state.calls.add(record));
                connection.cut_connection();
                return error_response(&error);
            }
            Some(Interruption::LoseAnswer) => connection.cut_connection(),
            None => {}
        }
        // One step under the lock, so that a task that waits for the effect finds the record.
        let outcome = self.shared.update_state(|state| {
            let outcome = state.service.dispatch_call(call);
            let listed = outcome.as_ref().map_or(0, |response| response.listed);
            let record = self.record(Some(call), outcome.as_ref(), named.max(listed));
            state.calls.add(CallRecord { cut: interruption.is_some(), ..record });
            outcome
        });
        match outcome {
            Ok(response) => respond(response.status, Body::from(response.body), None),
            Err(error) => error_response(&error),
        }
    }

    /// Records the refusal of the call and returns its response.
    fn refuse(&self, call: Option<&ApiCall<'_>>, error: &ApiError, members: usize) -> Response {
        let record = self.record(call, Err(error), members);
        self.shared.update_state(|state| state.calls.add(record));
        error_response(error)
    }

    fn record(
        &self,
        call: Option<&ApiCall<'_>>,
        outcome: Result<&ApiResponse, &ApiError>,
        members: usize,
    ) -> CallRecord {
        CallRecord {
            at: self.at,
            answered_at: self.shared.elapsed(),
            operation: self.routed.operation,
            channel: call.and_then(|call| call.channel.clone()),
            bearer: call.and_then(|call| call.bearer.clone()),
            status: outcome.map_or_else(|error| error.status, |response| response.status),
            code: outcome.err().map(|error| error.code.clone().into_owned()),
            members,
            cut: false,
        }
    }
}

fn named_members(call: &ApiCall<'_>) -> Vec<String> {
    // A malformed body names no members here. The operation refuses it later.
    let named: NamedMembers = serde_json::from_slice(call.body).unwrap_or_default();
    let mut members = named.member_arns;
    members.extend(named.member_arn);
    members.extend(named.channel_moderator_arn);
    members.extend(call.routed.member.clone());
    members
}

fn header_text(headers: &HeaderMap, name: impl header::AsHeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

fn error_response(error: &ApiError) -> Response {
    respond(error.status, Body::from(error.body().to_string()), Some(&error.shape))
}

fn html_response(status: u16, body: &str) -> Response {
    let mut response = respond(status, Body::from(body.to_owned()), None);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}

/// Builds a response. The HTTP server adds the `Date`, which SDKs need for their clock skew.
fn respond(status: u16, body: Body, error_shape: Option<&str>) -> Response {
    let mut response = admin::json_response(status, body);
    let request_id = random_id();
    for (name, value) in [("x-amzn-requestid", Some(request_id.as_str())), ("x-amzn-errortype", error_shape)] {
        if let Some(Ok(value)) = value.map(HeaderValue::from_str) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
