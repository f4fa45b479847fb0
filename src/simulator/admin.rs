//! The admin pages: JSON under `/_admin` that shows and changes the state of the simulator.
//!
//! No operation of the service has such a path.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::actor::Actor;
use super::audit_log::{CallLog, CallRecord, MembershipAction, MembershipChange};
use super::call::parse_membership_type;
use super::channel::ChannelRecord;
use super::fault::Fault;
use super::route::parse_query;
use super::seed::Seed;
use super::shared_state::SharedState;
use crate::api::MembershipType;
use crate::membership::arn::{ChannelArn, MemberArn};

/// The number of log entries on a page without `?last=`.
const DEFAULT_ENTRIES: usize = 1000;

const INDEX: &[(&str, &str)] = &[
    ("GET /_admin/state", "shows app instances, users, and channels with the number of their members"),
    ("GET /_admin/members?channel=ARN&type=DEFAULT|HIDDEN", "lists the members of a channel"),
    (
        "POST /_admin/members",
        r#"adds members without a call: {"channel": ARN, "members": [ARN], "type": "DEFAULT", "invitedBy": ARN, "created": TIME}"#,
    ),
    ("DELETE /_admin/members", r#"removes members without a call: {"channel": ARN, "members": [ARN]}"#),
    ("POST /_admin/bans", r#"bans users: {"channel": ARN, "members": [ARN]}"#),
    ("DELETE /_admin/bans", r#"lifts bans: {"channel": ARN, "members": [ARN]}"#),
    ("POST /_admin/users", r#"creates users and bots: {"users": [ARN]}"#),
    ("DELETE /_admin/users", r#"deletes users and bots: {"users": [ARN]}"#),
    ("POST /_admin/seed", "applies a seed, in YAML or JSON"),
    ("DELETE /_admin/channels", r#"deletes a channel: {"channel": ARN}"#),
    ("GET /_admin/calls?last=N", "counts the calls by operation, and shows the newest"),
    ("DELETE /_admin/calls", "clears the calls"),
    ("GET /_admin/log?last=N", "shows the newest membership changes: member, time, bearer, operation"),
    ("GET /_admin/log?after=N", "shows the first 1000 membership changes after the entry with this number"),
    ("GET /_admin/faults", "lists the faults in force"),
    (
        "POST /_admin/faults",
        r#"injects a fault: {"operation": "…", "times": 1, "effect": {"kind": "refuse", "status": 503}}"#,
    ),
    ("DELETE /_admin/faults?id=N", "clears a fault, or all faults"),
];

/// Returns true for the path of an admin page.
pub fn is_admin_path(path: &str) -> bool {
    path == "/_admin" || path.starts_with("/_admin/")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MembersRequest {
    channel: String,
    members: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AddMembersRequest {
    channel: String,
    members: Vec<String>,
    #[serde(default)]
    r#type: MembershipType,
    invited_by: Option<String>,
    created: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsersRequest {
    users: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelRequest {
    channel: String,
}

/// The error of an admin page: a status and a message.
struct AdminError(u16, String);

impl<E: std::error::Error> From<E> for AdminError {
    fn from(error: E) -> Self {
        Self(400, error.to_string())
    }
}

/// Handles a request to an admin page.
pub fn handle_admin_request(shared: &SharedState, method: &str, path: &str, query: &str, body: &[u8]) -> Response {
    let page = path.trim_start_matches("/_admin").trim_matches('/');
    let outcome = parse_query(query)
        .ok_or_else(|| AdminError(400, "the query is not well-formed".into()))
        .and_then(|query| AdminRequest { shared, query, body }.execute(method, page));
    let (status, answer) = match outcome {
        Ok(answer) => (200, answer),
        Err(AdminError(status, message)) => (status, json!({"error": message})),
    };
    json_response(status, Body::from(serde_json::to_string_pretty(&answer).unwrap_or_default() + "\n"))
}

/// Builds a response with a JSON body.
pub fn json_response(status: u16, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

struct AdminRequest<'a> {
    shared: &'a SharedState,
    query: Vec<(String, String)>,
    body: &'a [u8],
}

impl AdminRequest<'_> {
    fn execute(&self, method: &str, page: &str) -> Result<Value, AdminError> {
        let (shared, now) = (self.shared, self.shared.elapsed());
        match (method, page) {
            ("GET", "") => Ok(INDEX.iter().map(|(path, what)| ((*path).to_owned(), Value::from(*what))).collect()),
            ("GET", "state") => Ok(state_json(shared)),
            ("GET", "members") => self.list_members(),
            ("POST", "members") => self.add_members(),
            ("DELETE", "members") => self.change_members(|channel, member| {
                shared.update_state(|state| state.service.remove_member(channel, member, now, Actor::default()))
            }),
            ("POST", "bans") => self.change_members(|channel, member| {
                shared.update_state(|state| state.service.ban_member(channel, member, now, Actor::default()))
            }),
            ("DELETE", "bans") => self
                .change_members(|channel, member| shared.update_state(|state| state.service.lift_ban(channel, member))),
            ("POST", "users") => {
                let users = self.users()?;
                shared.update_state(|state| users.into_iter().for_each(|user| state.service.add_user(user)));
                Ok(json!({"done": true}))
            }
            ("DELETE", "users") => {
                let users = self.users()?;
                let deleted = shared.update_state(|state| {
                    users.iter().filter(|user| state.service.delete_user(user, now, Actor::default())).count()
                });
                Ok(json!({"deleted": deleted}))
            }
            ("POST", "seed") => {
                let seed = Seed::from_yaml(std::str::from_utf8(self.body)?)?;
                shared.update_state(|state| state.service.apply_seed(&seed, now))?;
                Ok(json!({"done": true}))
            }
            ("DELETE", "channels") => {
                let channel = ChannelArn::parse(&self.json::<ChannelRequest>()?.channel)?;
                Ok(json!({"deleted": shared.update_state(|state| state.service.delete_channel(&channel))}))
            }
            ("GET", "calls") => {
                let last = self.number("last")?.unwrap_or(DEFAULT_ENTRIES);
                let state = shared.lock_state();
                let calls = state.calls.iter();
                let skipped = calls.len().saturating_sub(last);
                let shown: Vec<_> = calls.skip(skipped).map(call_json).collect();
                Ok(json!({"counts": state.calls.counts(), "calls": shown}))
            }
            ("DELETE", "calls") => {
                shared.update_state(|state| state.calls = CallLog::default());
                Ok(json!({"done": true}))
            }
            ("GET", "log") => self.list_changes(),
            ("GET", "faults") => {
                let state = shared.lock_state();
                let faults = state.faults.iter();
                Ok(faults.map(|(id, fault, hits)| json!({"id": id, "fault": fault, "hits": hits})).collect())
            }
            ("POST", "faults") => {
                let fault: Fault = self.json()?;
                Ok(json!({"id": shared.update_state(|state| state.faults.add(fault))}))
            }
            ("DELETE", "faults") => {
                let id: Option<u64> = self.number("id")?;
                let done = shared.update_state(|state| {
                    let Some(id) = id else {
                        state.faults.clear();
                        return true;
                    };
                    state.faults.remove(id)
                });
                Ok(json!({"done": done}))
            }
            _ => Err(AdminError(404, format!("there is no {method} /_admin/{page}: GET /_admin lists the pages"))),
        }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, AdminError> {
        let parse = |text: &str| text.parse().map_err(|_| AdminError(400, format!("{name}={text:?} is no number")));
        self.parameter(name).map(parse).transpose()
    }

    fn json<T: DeserializeOwned>(&self) -> Result<T, AdminError> {
        Ok(serde_json::from_slice(self.body)?)
    }

    fn users(&self) -> Result<Vec<MemberArn>, AdminError> {
        let request: UsersRequest = self.json()?;
        Ok(request.users.iter().map(|user| MemberArn::parse(user)).collect::<Result<_, _>>()?)
    }

    fn add_members(&self) -> Result<Value, AdminError> {
        let AddMembersRequest { channel, members, r#type, invited_by, created } = self.json()?;
        let inviter = invited_by.map(|inviter| ChannelArn::parse(&channel)?.member(&inviter)).transpose()?;
        let now = self.shared.elapsed();
        for_each_member(&channel, &members, |channel, member| {
            let outcome = self.shared.update_state(|state| {
                state.service.add_member_directly(channel, member, r#type, inviter.as_ref(), created, now)
            });
            outcome.err().map_or_else(|| "added".into(), |error| format!("{}: {}", error.code, error.message))
        })
    }

    fn change_members(&self, mut change: impl FnMut(&ChannelArn, &MemberArn) -> bool) -> Result<Value, AdminError> {
        let request: MembersRequest = self.json()?;
        for_each_member(&request.channel, &request.members, |channel, member| {
            if change(channel, member) { "done" } else { "no change" }.into()
        })
    }

    fn list_members(&self) -> Result<Value, AdminError> {
        let missing = || AdminError(400, "the channel is missing: add ?channel=ARN".into());
        let arn = ChannelArn::parse(self.parameter("channel").ok_or_else(missing)?)?;
        let membership_type =
            parse_membership_type(self.parameter("type")).map_err(|message| AdminError(400, message))?;
        let state = self.shared.lock_state();
        let unknown = || AdminError(404, format!("there is no channel {arn}"));
        let channel = state.service.channels.get(&arn).ok_or_else(unknown)?;
        Ok(channel.members_of_type(membership_type).iter().map(MemberArn::as_str).collect())
    }

    fn list_changes(&self) -> Result<Value, AdminError> {
        let (after, last) = (self.number("after")?, self.number("last")?);
        let state = self.shared.lock_state();
        let log = &state.service.log;
        let (after, most) = match (after, last) {
            (None, last) => (log.newest_number().saturating_sub(last.unwrap_or(DEFAULT_ENTRIES)), usize::MAX),
            (Some(after), None) => (after, DEFAULT_ENTRIES),
            (Some(_), Some(_)) => return Err(AdminError(400, "last and after exclude each other".into())),
        };
        Ok(log.entries_after(after).take(most).map(|(number, change)| change_json(number, change)).collect())
    }
}

/// Applies a change to each member, given as an ARN or as an id in the app instance.
fn for_each_member(
    channel: &str,
    members: &[String],
    mut change: impl FnMut(&ChannelArn, &MemberArn) -> String,
) -> Result<Value, AdminError> {
    let channel = ChannelArn::parse(channel)?;
    let members: Vec<_> = members.iter().map(|member| channel.member(member)).collect::<Result<_, _>>()?;
    Ok(members.iter().map(|member| (member.to_string(), Value::from(change(&channel, member)))).collect())
}

fn state_json(shared: &SharedState) -> Value {
    let state = shared.lock_state();
    let service = &state.service;
    let mut users: Vec<_> = service.users.keys().map(MemberArn::as_str).collect();
    users.sort_unstable();
    let mut admins: Vec<_> =
        service.users.iter().filter(|(_, user)| user.is_admin).map(|(arn, _)| arn.as_str()).collect();
    admins.sort_unstable();
    let channels: BTreeMap<_, _> =
        service.channels.iter().map(|(arn, channel)| (arn.as_str(), channel_json(channel))).collect();
    json!({"appInstances": service.app_instances, "users": users, "admins": admins, "channels": channels})
}

fn channel_json(channel: &ChannelRecord) -> Value {
    let sub_channels = channel.elastic.as_ref().map(|elastic| {
        let sizes = elastic.sub_channels.iter().map(|(id, members)| (id.as_str(), members.len()));
        sizes.collect::<BTreeMap<_, _>>()
    });
    json!({
        "mode": channel.mode,
        "privacy": channel.privacy,
        "createdBy": channel.created_by.as_str(),
        "defaultMembers": channel.default_members.len(),
        "hiddenMembers": channel.hidden_members.len(),
        "moderators": channel.moderators.keys().map(MemberArn::as_str).collect::<Vec<_>>(),
        "bans": channel.bans.keys().map(MemberArn::as_str).collect::<Vec<_>>(),
        "subChannels": sub_channels,
    })
}

fn call_json(record: &CallRecord) -> Value {
    json!({
        "at": record.at.as_secs_f64(),
        "seconds": record.answered_at.saturating_sub(record.at).as_secs_f64(),
        "operation": record.operation,
        "channel": record.channel.as_ref().map(ChannelArn::as_str),
        "bearer": record.bearer.as_ref().map(MemberArn::as_str),
        "status": record.status,
        "code": record.code,
        "members": record.members,
        "cut": record.cut,
    })
}

fn change_json(number: usize, change: &MembershipChange) -> Value {
    json!({
        "number": number,
        "at": change.at.as_secs_f64(),
        "action": match change.action { MembershipAction::Added => "added", MembershipAction::Removed => "removed" },
        "channel": change.channel.as_str(),
        "member": change.member.as_str(),
        "type": change.membership_type,
        "bearer": change.bearer.as_ref().map(MemberArn::as_str),
        "operation": change.operation,
    })
}
