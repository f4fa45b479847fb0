//! `rollcall undeclared` shows the members of a channel that no resource declares.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use crate::api::{ChannelMembershipSpec, KeepReason};
use crate::cli::shared::cluster::{self, ClusterArgs};
use crate::cli::shared::failure::Failure;
use crate::cli::shared::live_lookup::{LiveArgs, LiveService};
use crate::cli::shared::member_lookup::Live;
use crate::cli::shared::output::{OutputArgs, emit, format_time, join_lines, plural, render_table};
use crate::cli::shared::resources::{Entry, KnownResource, ResourceClient};
use crate::engine::{declared_members, number};
use crate::membership::arn::{ChannelArn, MemberArn, display_name};

/// Show the undeclared members of a resource's channel, the reasons why they are not removed, and
/// the lines that would declare them.
///
/// The status holds a sample. --live lists the whole channel, and reads the resources of all
/// namespaces that you may list, or of --namespace.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall undeclared support
  rollcall undeclared support -n care --live
  rollcall undeclared care/support --live --inviters 100 -o json")]
pub(in crate::cli) struct Args {
    /// The resource, as name or namespace/name.
    #[arg(value_name = "NAME")]
    name: String,

    /// With --live: the number of members for which the inviter is looked up, with one call each.
    #[arg(long, env = "ROLLCALL_INVITERS", value_name = "MEMBERS", default_value_t = 20)]
    inviters: usize,

    #[command(flatten)]
    live: LiveArgs,

    #[command(flatten)]
    cluster: ClusterArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// An undeclared member.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownMember {
    /// The name as a list of members has it.
    name: String,
    member_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    /// The reason why the member is not removed, if the status names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<KeepReason>,
    /// The user or bot that added the member, if the service was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    invited_by: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    resource: String,
    channel: String,
    /// The time of the status or of the listing.
    at: Option<Timestamp>,
    live: bool,
    /// The number of undeclared members.
    count: usize,
    people: Vec<ShownMember>,
}

pub(in crate::cli) fn run(args: &Args) -> Result<(), Failure> {
    cluster::run_async(async {
        let mut client = ResourceClient::open(&args.cluster).await?;
        let entry = client.get(&args.name).await?;
        let channel = entry
            .channel()
            .ok_or_else(|| Failure::of(format!("{}: its channelArn cannot be read", entry.resource())))?;
        let spec = entry.spec().cloned().unwrap_or_default();
        let answer = match args.live.service(entry.bearer()).await? {
            None => by_status(&entry, &channel)?,
            Some(service) => {
                let siblings = client.list_all_namespaces(Some(channel.as_str())).await?;
                let known = client.with_sources(siblings).await?;
                by_service(args, &service, &entry, &spec, &channel, &known).await?
            }
        };
        emit(&answer, args.output.output, |answer| render_text(answer, Timestamp::now()))
    })
}

fn by_status(entry: &Entry, channel: &ChannelArn) -> Result<Answer, Failure> {
    let status = entry.status();
    let undeclared = status.and_then(|status| status.undeclared.clone());
    if status.is_none_or(|status| status.last_listed.is_none()) {
        let resource = entry.resource();
        return Err(Failure::of(format!("{resource}: its status has no listing of the channel yet")));
    }
    let undeclared = undeclared.unwrap_or_default();
    let people = undeclared.sample.into_iter().map(|it| ShownMember {
        name: name(channel, &it.member_arn),
        member_arn: it.member_arn,
        display_name: None,
        reason: Some(it.reason),
        invited_by: None,
    });
    Ok(Answer {
        resource: entry.resource(),
        channel: channel.as_str().to_owned(),
        at: entry.status_written_at(),
        live: false,
        count: undeclared.count as usize,
        people: people.collect(),
    })
}

async fn by_service(
    args: &Args,
    service: &LiveService,
    entry: &Entry,
    spec: &ChannelMembershipSpec,
    channel: &ChannelArn,
    known: &[KnownResource],
) -> Result<Answer, Failure> {
    let failed = |why: String| Failure::of(format!("failed to list {channel}: {why}"));
    let there = service.list_members(channel, spec.membership_type).await.map_err(failed)?;
    let wanted = declared_names(spec, channel, known, Timestamp::now());
    let sample = entry.status().and_then(|status| status.undeclared.as_ref());
    let reason = |arn: &str| sample?.sample.iter().find(|it| it.member_arn == arn).map(|it| it.reason);
    let mut people: Vec<ShownMember> = there
        .into_iter()
        .filter(|it| channel.name_of(&it.arn).is_none_or(|name| !wanted.contains(name)))
        .map(|it| ShownMember {
            name: name(channel, &it.arn),
            reason: reason(&it.arn),
            member_arn: it.arn,
            display_name: it.name,
            invited_by: None,
        })
        .collect();
    people.sort_by(|a, b| a.member_arn.cmp(&b.member_arn));
    for person in people.iter_mut().take(args.inviters) {
        let Ok(member) = MemberArn::parse(&person.member_arn) else { continue };
        if let Live::In { invited_by, .. } = service.describe_member(channel, &member, false).await {
            person.invited_by = invited_by;
        }
    }
    Ok(Answer {
        resource: entry.resource(),
        channel: channel.as_str().to_owned(),
        at: Some(Timestamp::now()),
        live: true,
        count: people.len(),
        people,
    })
}

/// Returns all members that resources of the channel declare with this type, by their names within
/// the channel.
fn declared_names(
    spec: &ChannelMembershipSpec,
    channel: &ChannelArn,
    known: &[KnownResource],
    now: Timestamp,
) -> BTreeSet<String> {
    let mut wanted = BTreeSet::new();
    for KnownResource { entry, sources } in known {
        let of_type = entry.spec().filter(|it| it.membership_type == spec.membership_type && !entry.is_deleting());
        let Some(spec) = of_type else { continue };
        match declared_members(channel, spec, sources, entry.spec.unknown_field.as_deref(), now) {
            Ok(declared) => {
                if let Some(unknown) = declared.unknown {
                    eprintln!("{} may declare further members that cannot be read: {unknown}", entry.resource());
                }
                wanted.extend(declared.desired.names().iter().map(str::to_owned));
            }
            Err(error) => eprintln!("{} cannot be read: {error}", entry.resource()),
        }
    }
    wanted
}

/// Returns the name as a list of members has it.
fn name(channel: &ChannelArn, arn: &str) -> String {
    channel.name_of(arn).map_or(arn, display_name).to_owned()
}

fn render_text(answer: &Answer, now: Timestamp) -> String {
    let by = if answer.live { "the service" } else { "its status" };
    let at = answer.at.map_or_else(String::new, |at| format!(" of {}", format_time(at, now)));
    let mut text = vec![format!(
        "{}: {} undeclared, by {by}{at}",
        answer.resource,
        plural(answer.count, "member is", "members are")
    )];
    if answer.people.is_empty() {
        return join_lines(text);
    }
    text.push(String::new());
    let cells = |person: &ShownMember| {
        vec![
            person.name.clone(),
            one_line_name(person).unwrap_or_default(),
            person.invited_by.as_deref().map_or("", |arn| arn.rsplit('/').next().unwrap_or(arn)).to_owned(),
            person.reason.map_or_else(String::new, |reason| format!("{reason:?}: {reason}")),
        ]
    };
    let rows: Vec<Vec<String>> = answer.people.iter().map(cells).collect();
    let used: Vec<usize> = (0..4).filter(|column| rows.iter().any(|row| !row[*column].is_empty())).collect();
    let pick = |row: &[String]| -> Vec<String> { used.iter().map(|column| row[*column].clone()).collect() };
    let header = ["MEMBER", "NAME", "ADDED BY", "REASON"];
    let header: Vec<&str> = used.iter().map(|column| header[*column]).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(|row| pick(row)).collect();
    text.extend(render_table(&header, &rows, used.len(), &[]));
    let omitted = answer.count.saturating_sub(answer.people.len());
    if omitted > 0 {
        text.push(format!("and {} more that the status does not name: --live lists all", number(omitted)));
    }
    text.extend([String::new(), "To declare them, put these lines under spec.members:".to_owned(), String::new()]);
    text.extend(answer.people.iter().map(yaml_line));
    join_lines(text)
}

/// Returns the display name in one line: a YAML comment ends with its line, and control characters
/// would command the terminal.
fn one_line_name(person: &ShownMember) -> Option<String> {
    let name = person.display_name.as_deref().filter(|name| !name.is_empty());
    name.map(|name| name.replace(char::is_control, " "))
}

/// Returns a line of YAML that declares the member.
fn yaml_line(person: &ShownMember) -> String {
    // YAML reads some plain words as a number, a boolean or null.
    let plain = person.name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&person.name.to_ascii_lowercase().as_str())
        && !person.name.contains(": ")
        && !person.name.ends_with(':');
    let name = if plain { person.name.clone() } else { format!("\"{}\"", person.name) };
    let remark = one_line_name(person).map(|name| format!(" # {name}")).unwrap_or_default();
    format!("    - {name}{remark}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(
        id: &str,
        display_name: Option<&str>,
        reason: Option<KeepReason>,
        invited_by: Option<&str>,
    ) -> ShownMember {
        ShownMember {
            name: id.to_owned(),
            member_arn: format!("arn:aws:chime:us-east-1:1:app-instance/i/user/{id}"),
            display_name: display_name.map(str::to_owned),
            reason,
            invited_by: invited_by.map(str::to_owned),
        }
    }

    #[test]
    fn undeclared_members_are_shown_with_reasons_and_lines_to_paste() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let answer = Answer {
            resource: "care/support".to_owned(),
            channel: String::new(),
            at: Some("2026-11-23T11:57:00Z".parse().unwrap()),
            live: false,
            count: 12,
            people: vec![
                person("dave", Some("Dave\nElse"), Some(KeepReason::NotOwned), Some("arn:x:user/erin")),
                person("0123", None, Some(KeepReason::Moderator), None),
                person("no", None, None, None),
            ],
        };
        insta::assert_snapshot!(render_text(&answer, now), @r#"
care/support: 12 members are undeclared, by its status of 2026-11-23T11:57:00Z, 3m ago

MEMBER  NAME       ADDED BY  REASON
dave    Dave Else  erin      NotOwned: this resource never declared the member, or Rollcall did
                             not add it, and prune allows no more
0123                         Moderator: a moderator is never removed
no
and 9 more that the status does not name: --live lists all

To declare them, put these lines under spec.members:

    - dave # Dave Else
    - "0123"
    - "no"
"#);
    }

    #[test]
    fn printed_lines_parse_to_the_same_names() {
        for id in ["alice", "012", "yes", "NULL", "bot/helper", "a:b", "1e5", "a@b.c", "us-east-1:0f"] {
            let line = yaml_line(&person(id, Some("a # b: \"c\""), None, None));
            assert_eq!(serde_yaml::from_str::<Vec<String>>(&line).unwrap(), [id], "{line}");
        }
    }
}
