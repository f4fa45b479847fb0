//! How does a request become an answer on the connection?

use std::collections::HashMap;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;

use super::admin;
use super::api_error::ApiError;
use super::audit_log::CallRecord;
use super::call::{ApiCall, ApiResponse};
use super::connection::ConnectionHandle;
use super::fault::{CallTweaks, FaultTarget, Interruption};
use super::quotas::CallCost;
use super::route::{RoutedRequest, route_request};
use super::signature;
use super::simulation::{SharedSimulation, Simulation};
use crate::membership::arn::{ChannelArn, MemberArn};

/// The most bytes of a body. 100 ARNs of 1,600 characters make 160 KB; seeds sent to the admin page are larger.
pub const MAX_BODY: usize = 16 << 20;

/// Those whom a call names, for faults and for the record.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct NamedMembers {
    member_arns: Vec<String>,
    member_arn: Option<String>,
    channel_moderator_arn: Option<String>,
}

/// Answers one request.
pub async fn handle_request(
    Shared(service): Shared<std::sync::Arc<SharedSimulation>>,
    ConnectInfo(connection): ConnectInfo<ConnectionHandle>,
    request: Request,
) -> Response {
    let at = service.elapsed();
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return refused(&ApiError::unmodelled(
            413,
            "RequestEntityTooLarge",
            format!("a body holds {MAX_BODY} bytes at most"),
        ));
    };
    let (method, path, query) = (parts.method.as_str(), parts.uri.path(), parts.uri.query().unwrap_or_default());
    if admin::is_admin_path(path) {
        return admin::answer_admin(&service, method, path, query, &body);
    }
    let Some(routed) = route_request(method, path, query) else {
        let message = format!("the simulator does not know {method} {path}");
        return refused(&ApiError::unmodelled(404, "UnknownOperationException", message));
    };
    let authorization = text(&parts.headers, &header::AUTHORIZATION);
    let read = signature::check_signature(authorization, service.region.as_deref())
        .and_then(|()| ApiCall::from_request(&routed, text(&parts.headers, "x-amz-chime-bearer"), &body));
    let mut call = match read {
        Ok(call) => call,
        Err(refusal) => {
            record(&service, call_record(&service, &routed, at, None, Err(&refusal), 0, false));
            return refused(&refusal);
        }
    };
    let members = named_members(&call);
    let mut tweaks = match admit(&service, &call, &members, at) {
        Ok(tweaks) => tweaks,
        Err(refusal) => {
            record(&service, call_record(&service, &routed, at, Some(&call), Err(&refusal), members.len(), false));
            return refused(&refusal);
        }
    };
    if !tweaks.latency.is_zero() {
        tokio::select! {
            () = tokio::time::sleep(tweaks.latency) => {}
            () = service.stop.cancelled() => tweaks.interruption = Some(Interruption::Cut),
        }
    }
    call.now = service.elapsed();
    call.tweaks = tweaks;
    carry_out(&service, &connection, &call, at, members.len())
}

/// Asks quotas, then faults: a throttled call spends no fault.
fn admit(
    service: &SharedSimulation,
    call: &ApiCall<'_>,
    members: &[String],
    now: Duration,
) -> Result<CallTweaks, ApiError> {
    service.update_state(|Simulation { state, buckets, faults, .. }| {
        let channel = call.channel.as_ref();
        if let Some(bearer) = &call.bearer {
            let load = CallCost {
                operation: call.routed.operation,
                channel,
                elastic: channel.and_then(|arn| state.channels.get(arn)).is_some_and(|it| it.elastic.is_some()),
                bearer,
                user: call.routed.parameter("app-instance-user-arn"),
                creates: if state.behaviours.batch_counts_as_creates { members.len() } else { 0 },
            };
            if !buckets.try_take(load, now) {
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

fn carry_out(
    service: &SharedSimulation,
    connection: &ConnectionHandle,
    call: &ApiCall<'_>,
    at: Duration,
    named: usize,
) -> Response {
    let routed = call.routed;
    match &call.tweaks.interruption {
        Some(Interruption::Refuse(refusal, body)) => {
            record(service, call_record(service, routed, at, Some(call), Err(refusal), named, false));
            return match body {
                None => refused(refusal),
                Some(body) => plain(refusal.status, body),
            };
        }
        Some(Interruption::Cut) => {
            let refusal = ApiError::unmodelled(502, "ConnectionCut", "injected fault");
            record(service, call_record(service, routed, at, Some(call), Err(&refusal), named, true));
            connection.cut_connection();
            return refused(&refusal);
        }
        Some(Interruption::LoseAnswer) => connection.cut_connection(),
        None => {}
    }
    // In one step under the lock, so that who waits for the effect finds the record too.
    let lost = call.tweaks.interruption.is_some();
    let outcome = service.update_state(|world| {
        let outcome = world.state.dispatch_call(call);
        let listed = outcome.as_ref().map_or(0, |answer| answer.listed);
        world.calls.add(call_record(service, routed, at, Some(call), outcome.as_ref(), named.max(listed), lost));
        outcome
    });
    match outcome {
        Ok(answer) => accepted(answer),
        Err(refusal) => refused(&refusal),
    }
}

fn record(service: &SharedSimulation, record: CallRecord) {
    service.update_state(|world| world.calls.add(record));
}

fn call_record(
    service: &SharedSimulation,
    routed: &RoutedRequest,
    at: Duration,
    call: Option<&ApiCall<'_>>,
    outcome: Result<&ApiResponse, &ApiError>,
    members: usize,
    cut: bool,
) -> CallRecord {
    CallRecord {
        at,
        answered_at: service.elapsed(),
        operation: routed.operation,
        channel: call.and_then(|call| call.channel.clone()),
        bearer: call.and_then(|call| call.bearer.clone()),
        status: outcome.map_or_else(|refusal| refusal.status, |answer| answer.status),
        code: outcome.err().map(|refusal| refusal.code.clone().into_owned()),
        members,
        cut,
    }
}

fn named_members(call: &ApiCall<'_>) -> Vec<String> {
    // A body that is not what it should be names nobody here, and is refused when it is read in earnest.
    let named: NamedMembers = serde_json::from_slice(call.body).unwrap_or_default();
    let mut members = named.member_arns;
    members.extend(named.member_arn);
    members.extend(named.channel_moderator_arn);
    members.extend(call.routed.member.clone());
    members
}

fn text(headers: &HeaderMap, name: impl header::AsHeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

fn accepted(answer: ApiResponse) -> Response {
    respond(answer.status, Body::from(answer.body), None)
}

fn refused(refusal: &ApiError) -> Response {
    respond(refusal.status, Body::from(refusal.body().to_string()), Some(&refusal.shape))
}

fn plain(status: u16, body: &str) -> Response {
    let mut response = respond(status, Body::from(body.to_owned()), None);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}

/// The server below adds the `Date`, by which SDKs measure the skew of their clock.
fn respond(status: u16, body: Body, error: Option<&str>) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let given = HashMap::from([
        ("x-amzn-requestid", Some(super::channels::uuid())),
        ("x-amzn-errortype", error.map(str::to_owned)),
    ]);
    for (name, value) in given {
        if let Some(Ok(value)) = value.map(|value| HeaderValue::from_str(&value)) {
            headers.insert(name, value);
        }
    }
    response
}
