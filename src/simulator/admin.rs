//! What can be seen and changed from outside, over HTTP, without being a client of the service?
//!
//! JSON under `/_admin`, where no operation of the service can be: its paths begin with the name of a resource.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::actor::Actor;
use super::audit_log::{CallRecord, MembershipAction, MembershipChange};
use super::fault::Fault;
use super::route::percent_decode;
use super::seed::Seed;
use super::simulation::SharedSimulation;
use crate::api::MembershipType;
use crate::membership::arn::{ChannelArn, MemberArn};

/// So many entries of a log are shown, unless `?last=` says otherwise.
const SHOWN: usize = 1000;

const INDEX: &[(&str, &str)] = &[
    ("GET /_admin/state", "app instances, users, and channels with their numbers of members"),
    ("GET /_admin/members?channel=ARN&type=DEFAULT|HIDDEN", "a channel's members"),
    (
        "POST /_admin/members",
        r#"adds behind the callers' backs: {"channel": ARN, "members": [ARN], "type": "DEFAULT", "invitedBy": ARN, "created": TIME}"#,
    ),
    ("DELETE /_admin/members", r#"removes behind the callers' backs: {"channel": ARN, "members": [ARN]}"#),
    ("POST /_admin/bans", r#"bans: {"channel": ARN, "members": [ARN]}"#),
    ("DELETE /_admin/bans", r#"lifts bans: {"channel": ARN, "members": [ARN]}"#),
    ("POST /_admin/users", r#"makes users and bots: {"users": [ARN]}"#),
    ("DELETE /_admin/users", r#"deletes users and bots: {"users": [ARN]}"#),
    ("POST /_admin/seed", "adds a seed, in YAML or JSON"),
    ("DELETE /_admin/channels", r#"deletes a channel: {"channel": ARN}"#),
    ("GET /_admin/calls?last=N", "calls by operation, and the newest in full"),
    ("DELETE /_admin/calls", "forgets the calls"),
    ("GET /_admin/log?last=N", "who was added and removed, when, in whose name: the newest entries"),
    ("GET /_admin/log?after=N", "the same: the first 1000 entries after the one with that number"),
    ("GET /_admin/faults", "faults in force"),
    (
        "POST /_admin/faults",
        r#"injects one: {"operation": "…", "times": 1, "effect": {"kind": "refuse", "status": 503}}"#,
    ),
    ("DELETE /_admin/faults?id=N", "clears one, or all"),
];

/// Whether a path is of the admin page.
pub fn is_admin_path(path: &str) -> bool {
    path == "/_admin" || path.starts_with("/_admin/")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MembersRequest {
    channel: String,
    members: Vec<String>,
}

/// Members to add.
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

/// Why the admin page refuses: a status and a sentence.
struct AdminError(u16, String);

impl<E: std::error::Error> From<E> for AdminError {
    fn from(error: E) -> Self {
        Self(400, error.to_string())
    }
}

/// Answers a request to the admin page.
pub fn answer_admin(service: &SharedSimulation, method: &str, path: &str, query: &str, body: &[u8]) -> Response {
    let page = path.trim_start_matches("/_admin").trim_matches('/');
    let (status, answer) = match perform(service, method, page, query, body) {
        Ok(answer) => (200, answer),
        Err(AdminError(status, message)) => (status, json!({"error": message})),
    };
    let text = serde_json::to_string_pretty(&answer).unwrap_or_default() + "\n";
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn perform(
    service: &SharedSimulation,
    method: &str,
    page: &str,
    query: &str,
    body: &[u8],
) -> Result<Value, AdminError> {
    let parameter = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).and_then(|(_, value)| percent_decode(value, true))
    };
    let number = |name: &str| {
        let parse = |text: String| text.parse().map_err(|_| AdminError(400, format!("{name}={text:?} is no number")));
        parameter(name).map(parse).transpose()
    };
    let last: Option<usize> = number("last")?;
    let now = service.elapsed();
    match (method, page) {
        ("GET", "") => Ok(INDEX.iter().map(|(path, what)| ((*path).to_owned(), Value::from(*what))).collect()),
        ("GET", "state") => Ok(state(service)),
        ("GET", "members") => members(service, parameter("channel").as_deref(), parameter("type").as_deref()),
        ("POST", "members") => {
            let asked: AddMembersRequest = serde_json::from_slice(body)?;
            let inviter = asked.invited_by.map(|inviter| ChannelArn::parse(&asked.channel)?.member(&inviter));
            let inviter = inviter.transpose()?;
            each(&asked.channel, &asked.members, |channel, member| {
                let (by, created) = (inviter.as_ref(), asked.created);
                let outcome = service.update_state(|world| {
                    world.state.add_member_directly(channel, member, asked.r#type, by, created, now)
                });
                outcome.err().map_or_else(|| "added".into(), |refusal| format!("{}: {}", refusal.code, refusal.message))
            })
        }
        ("DELETE", "members") => change_members(body, |channel, member| {
            service.update_state(|world| world.state.remove_member(channel, member, now, Actor::default()))
        }),
        ("POST", "bans") => change_members(body, |channel, member| {
            service.update_state(|world| world.state.ban_member(channel, member, now, Actor::default()))
        }),
        ("DELETE", "bans") => {
            change_members(body, |channel, member| service.update_state(|world| world.state.lift_ban(channel, member)))
        }
        ("POST", "users") => {
            let asked: UsersRequest = serde_json::from_slice(body)?;
            let users: Vec<_> = asked.users.iter().map(|user| MemberArn::parse(user)).collect::<Result<_, _>>()?;
            service.update_state(|world| users.into_iter().for_each(|user| world.state.add_user(user)));
            Ok(json!({"done": true}))
        }
        ("DELETE", "users") => {
            let asked: UsersRequest = serde_json::from_slice(body)?;
            let users: Vec<_> = asked.users.iter().map(|user| MemberArn::parse(user)).collect::<Result<_, _>>()?;
            let there = service.update_state(|world| {
                users.iter().filter(|user| world.state.delete_user(user, now, Actor::default())).count()
            });
            Ok(json!({"deleted": there}))
        }
        ("POST", "seed") => {
            let text = std::str::from_utf8(body)?;
            let seed = Seed::from_yaml(text)?;
            service.update_state(|world| world.state.apply_seed(&seed, now))?;
            Ok(json!({"done": true}))
        }
        ("DELETE", "channels") => {
            let asked: ChannelRequest = serde_json::from_slice(body)?;
            let channel = ChannelArn::parse(&asked.channel)?;
            Ok(json!({"deleted": service.update_state(|world| world.state.delete_channel(&channel))}))
        }
        ("GET", "calls") => {
            let world = service.lock_state();
            let calls = world.calls.iter();
            let shown: Vec<_> =
                calls.skip(world.calls.iter().len().saturating_sub(last.unwrap_or(SHOWN))).map(call).collect();
            Ok(json!({"counts": world.calls.counts(), "calls": shown}))
        }
        ("DELETE", "calls") => {
            service.update_state(|world| world.calls = super::audit_log::CallLog::default());
            Ok(json!({"done": true}))
        }
        ("GET", "log") => {
            let world = service.lock_state();
            let log = &world.state.log;
            let (after, most) = match (number("after")?, last) {
                (None, last) => (log.newest().saturating_sub(last.unwrap_or(SHOWN)), usize::MAX),
                (Some(after), None) => (after, SHOWN),
                (Some(_), Some(_)) => return Err(AdminError(400, "say either last or after".into())),
            };
            Ok(log.after(after).take(most).map(|(number, logged)| entry(number, logged)).collect())
        }
        ("GET", "faults") => {
            let world = service.lock_state();
            Ok(world.faults.iter().map(|(id, fault, hits)| json!({"id": id, "fault": fault, "hits": hits})).collect())
        }
        ("POST", "faults") => {
            let fault: Fault = serde_json::from_slice(body)?;
            Ok(json!({"id": service.update_state(|world| world.faults.add(fault))}))
        }
        ("DELETE", "faults") => match parameter("id") {
            None => {
                service.update_state(|world| world.faults.clear());
                Ok(json!({"done": true}))
            }
            Some(text) => {
                let id = text.parse().map_err(|_| AdminError(400, format!("id={text:?} is no number")))?;
                Ok(json!({"done": service.update_state(|world| world.faults.remove(id))}))
            }
        },
        _ => Err(AdminError(404, format!("there is no {method} /_admin/{page}: GET /_admin lists what there is"))),
    }
}

fn change_members(body: &[u8], mut change: impl FnMut(&ChannelArn, &MemberArn) -> bool) -> Result<Value, AdminError> {
    let asked: MembersRequest = serde_json::from_slice(body)?;
    each(&asked.channel, &asked.members, |channel, member| {
        if change(channel, member) { "done" } else { "no change" }.into()
    })
}

fn each(
    channel: &str,
    members: &[String],
    mut change: impl FnMut(&ChannelArn, &MemberArn) -> String,
) -> Result<Value, AdminError> {
    let channel = ChannelArn::parse(channel)?;
    // Ids will do: `alice` is user/alice of the channel's app instance.
    let members: Vec<_> = members.iter().map(|member| channel.member(member)).collect::<Result<_, _>>()?;
    Ok(members.iter().map(|member| (member.to_string(), Value::from(change(&channel, member)))).collect())
}

fn state(service: &SharedSimulation) -> Value {
    let world = service.lock_state();
    let state = &world.state;
    let mut users: Vec<_> = state.users.keys().map(MemberArn::as_str).collect();
    users.sort_unstable();
    let mut admins: Vec<_> =
        state.users.iter().filter(|(_, user)| user.is_admin).map(|(arn, _)| arn.as_str()).collect();
    admins.sort_unstable();
    let channels: serde_json::Map<_, _> = state
        .channels
        .iter()
        .map(|(arn, channel)| {
            let shown = json!({
                "mode": channel.mode,
                "privacy": channel.privacy,
                "createdBy": channel.created_by.as_str(),
                "defaultMembers": channel.default_members.len(),
                "hiddenMembers": channel.hidden_members.len(),
                "moderators": channel.moderators.keys().map(MemberArn::as_str).collect::<Vec<_>>(),
                "bans": channel.bans.keys().map(MemberArn::as_str).collect::<Vec<_>>(),
                "subChannels": channel.elastic.as_ref().map(|elastic| {
                    elastic.sub_channels.iter().map(|(id, members)| (id.clone(), members.len())).collect::<std::collections::BTreeMap<_, _>>()
                }),
            });
            (arn.to_string(), shown)
        })
        .collect();
    json!({"appInstances": state.app_instances, "users": users, "admins": admins, "channels": channels})
}

fn members(
    service: &SharedSimulation,
    channel: Option<&str>,
    membership_type: Option<&str>,
) -> Result<Value, AdminError> {
    let channel = channel.ok_or_else(|| AdminError(400, "say which: ?channel=ARN".into()))?;
    let arn = ChannelArn::parse(channel)?;
    let membership_type = match membership_type {
        None | Some("DEFAULT") => MembershipType::Default,
        Some("HIDDEN") => MembershipType::Hidden,
        Some(other) => return Err(AdminError(400, format!("type {other:?} is neither DEFAULT nor HIDDEN"))),
    };
    let world = service.lock_state();
    let channel =
        world.state.channels.get(&arn).ok_or_else(|| AdminError(404, format!("there is no channel {arn}")))?;
    Ok(channel.members_of_type(membership_type).iter().map(|member| Value::from(member.as_str())).collect())
}

fn call(record: &CallRecord) -> Value {
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

fn entry(number: usize, entry: &MembershipChange) -> Value {
    json!({
        "number": number,
        "at": entry.at.as_secs_f64(),
        "action": match entry.action { MembershipAction::Added => "added", MembershipAction::Removed => "removed" },
        "channel": entry.channel.as_str(),
        "member": entry.member.as_str(),
        "type": entry.membership_type,
        "bearer": entry.bearer.as_ref().map(MemberArn::as_str),
        "operation": entry.operation,
    })
}
