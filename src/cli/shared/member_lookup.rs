//! Collects what all resources say about one member: specs, statuses and ConfigMaps in, findings
//! out. It makes no calls.

mod finding;
mod near;
mod obstacle;
mod phrases;
mod place;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

pub(in crate::cli) use self::finding::{Finding, Origin};
pub(in crate::cli) use self::near::near_names;
pub(in crate::cli) use self::obstacle::RemovalObstacle;
pub(in crate::cli) use self::phrases::{describe_place, join_names, resources_of, suggestion};
pub(in crate::cli) use self::place::{Live, Place, Statement};
use crate::api::{ChannelMembershipSpec, ChannelMembershipStatus, MemberList, Mode, Reason};
use crate::cli::shared::resources::KnownResource;
use crate::engine::declared_members;
use crate::engine::resource::SourceText;
use crate::membership::arn::{ArnError, ChannelArn, MemberArn, display_name};
use crate::membership::error_code::{ErrorCodeClass, MAX_UNKNOWN_ATTEMPTS, advice};
use crate::membership::source;

/// Returns the name of a member within a channel, by an id or ARN; `None` for a channel of another
/// app instance.
pub(in crate::cli) fn name_in_channel(channel: &ChannelArn, user: &str) -> Result<Option<String>, ArnError> {
    match channel.name(user) {
        Ok(name) => Ok(Some(name.into_owned())),
        Err(ArnError::ForeignMember { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns what the resources say about a member, channel by channel. Channels without a statement
/// are left out, unless `always` holds for them.
pub(in crate::cli) fn find_places(
    all: &[KnownResource],
    user: &str,
    now: Timestamp,
    always: impl Fn(&ChannelArn) -> bool,
) -> Result<Vec<Place>, ArnError> {
    let mut by_channel: BTreeMap<ChannelArn, Vec<(&KnownResource, &ChannelMembershipSpec)>> = BTreeMap::new();
    for known in all {
        let Some(spec) = known.entry.spec() else { continue };
        let Ok(channel) = ChannelArn::parse(&spec.channel_arn) else { continue };
        by_channel.entry(channel).or_default().push((known, spec));
    }
    let mut places = Vec::new();
    for (channel, resources) in by_channel {
        let Some(name) = name_in_channel(&channel, user)? else { continue };
        let statements: Vec<Statement> =
            resources.iter().map(|(known, spec)| statement(known, spec, &channel, &name, now)).collect();
        let (speaking, silent): (Vec<_>, Vec<_>) =
            statements.into_iter().partition(|it| !it.declared.is_empty() || !it.findings.is_empty());
        if speaking.is_empty() && !always(&channel) {
            continue;
        }
        places.push(Place {
            member: channel.member_named(&name).as_str().to_owned(),
            channel: channel.as_str().to_owned(),
            live: None,
            resources: speaking,
            silent: silent.len(),
        });
    }
    Ok(places)
}

fn statement(
    known: &KnownResource,
    spec: &ChannelMembershipSpec,
    channel: &ChannelArn,
    name: &str,
    now: Timestamp,
) -> Statement {
    let entry = &known.entry;
    let declared_at = origins(known, spec, channel, name);
    let mut findings = Vec::new();
    if !declared_at.is_empty() {
        if entry.is_deleting() {
            findings.push(Finding::Deleting);
        }
        if let Some(at) = spec.expires_at.as_ref().filter(|at| at.0 <= now) {
            findings.push(Finding::Expired { at: at.0 });
        }
    }
    let wrong = declared_members(channel, spec, &known.sources, entry.spec.unknown_field.as_deref(), now);
    let problem = wrong.ok().and_then(|declared| declared.unknown);
    let is_declared = !declared_at.is_empty() && findings.is_empty();
    let member = channel.member_named(name);
    match entry.status() {
        None if is_declared => findings.push(Finding::NoStatus),
        None => {}
        Some(status) => {
            if is_declared {
                findings.push(presence(entry.generation(), spec, status, &member, display_name(name)));
            }
            findings.extend(others(spec, status, &member, display_name(name), is_declared));
        }
    }
    if declared_at.is_empty() && !findings.is_empty() || is_declared {
        if spec.suspend {
            findings.push(Finding::Suspended);
        } else if spec.mode == Mode::Observe {
            findings.push(Finding::Observe);
        }
    }
    if let Some(why) = problem
        && (!findings.is_empty() || declared_at.is_empty())
    {
        // A member that is not found may be declared in the part that cannot be read.
        findings.push(Finding::Unreadable { why });
    }
    Statement {
        resource: entry.resource(),
        membership_type: spec.membership_type,
        prune: spec.prune,
        declared: declared_at,
        bearer: entry.status().and_then(|status| status.bearer.clone()),
        findings,
        as_of: entry.status_written_at().or_else(|| entry.status()?.last_listed.as_ref().map(|at| at.0)),
    }
}

/// Returns the places where a resource names the member.
fn origins(known: &KnownResource, spec: &ChannelMembershipSpec, channel: &ChannelArn, name: &str) -> Vec<Origin> {
    let is_them = |written: &str| channel.name(written).is_ok_and(|it| it == name);
    let written = spec.members.iter().flat_map(MemberList::iter).enumerate();
    let mut origins: Vec<Origin> = written
        .filter(|(_, written)| is_them(written))
        .map(|(index, written)| Origin::Members { index, written: written.to_owned() })
        .collect();
    for source in &known.sources {
        let SourceText::Read(text) = &source.text else { continue };
        let lines = source::located(channel, text).unwrap_or_default();
        origins.extend(lines.into_iter().filter(|(_, it)| it == name).map(|(line, _)| Origin::ConfigMap {
            namespace: known.entry.namespace().to_owned(),
            name: source.reference.name.clone(),
            key: source.reference.key.clone(),
            line,
        }));
    }
    origins
}

/// Derives from a status whether a declared member is in the channel.
fn presence(
    generation: i64,
    spec: &ChannelMembershipSpec,
    status: &ChannelMembershipStatus,
    member: &MemberArn,
    short: &str,
) -> Finding {
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
    if status.observed_generation != Some(generation) {
        return Finding::SpecNotSeen { generation, seen: status.observed_generation.filter(|seen| *seen >= 0) };
    }
    if let Some(error) = status.errors.iter().find(|error| error.member_arn == member.as_str()) {
        let answer = ErrorCodeClass::of(Some(&error.error_code));
        let passes = matches!(answer, ErrorCodeClass::Transient)
            || answer == ErrorCodeClass::Unknown && error.attempts < MAX_UNKNOWN_ATTEMPTS;
        return Finding::Refused {
            code: error.error_code.clone(),
            message: error.error_message.clone(),
            advice: advice(&error.error_code).to_owned(),
            attempts: error.attempts,
            first_seen: error.first_seen.0,
            next_attempt: error.next_attempt.as_ref().map(|at| at.0),
            passes,
        };
    }
    if let Some(pending) = status.pending_approval.as_ref().filter(|pending| !pending.approved)
        && pending.members.iter().any(|signed| signed.strip_prefix('+') == Some(short))
    {
        return Finding::AdditionPendingApproval { hash: pending.hash.clone() };
    }
    let blocked = [
        Reason::ChannelNotAccessible,
        Reason::BearerRejected,
        Reason::AccessDenied,
        Reason::NotGranted,
        Reason::InvalidMember,
        Reason::Retrying,
    ];
    if let Some(ready) = ready.filter(|it| Reason::named(&it.reason).is_some_and(|it| blocked.contains(&it)))
        && status.pending != Some(0)
    {
        return Finding::ChannelNotSeen { reason: ready.reason.clone(), message: ready.message.clone() };
    }
    let passing = |code: &str| !matches!(ErrorCodeClass::of(Some(code)), ErrorCodeClass::Refused);
    let named = status.errors.iter().filter(|error| passing(&error.error_code)).count();
    let pending = status
        .pending_approval
        .as_ref()
        .filter(|pending| !pending.approved)
        .map_or(0, |pending| pending.additions as usize);
    let unnamed = (status.pending.unwrap_or_default() as usize).saturating_sub(named + pending);
    if let Some(omitted) = status.errors_omitted.filter(|omitted| *omitted > 0) {
        return Finding::PastTheList { omitted };
    }
    match (status.present, unnamed) {
        (None, _) if spec.suspend => Finding::NeverSeen,
        (None, _) => Finding::SpecNotSeen { generation, seen: status.observed_generation },
        (Some(_), 0) => Finding::Present,
        // The status counts all members together; with none present, this member is absent.
        (Some(0), _) => Finding::Awaited,
        (Some(_), count) => Finding::Pending { count },
    }
}

/// Returns what a status says about a member that its spec does not declare.
fn others(
    spec: &ChannelMembershipSpec,
    status: &ChannelMembershipStatus,
    member: &MemberArn,
    short: &str,
    is_declared: bool,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if is_declared {
        return findings;
    }
    let has = |list: &Option<MemberList>| list.iter().any(|list| list.iter().any(|it| it == short));
    if let Some(pending) = &status.pending_approval
        && pending.members.iter().any(|signed| signed.strip_prefix('-') == Some(short))
    {
        findings.push(if pending.approved {
            Finding::RemovalApproved
        } else {
            Finding::RemovalPendingApproval { hash: pending.hash.clone() }
        });
    } else if has(&status.removing) {
        findings.push(Finding::Removing);
    } else if has(&status.declared_elsewhere) {
        findings.push(Finding::DeclaredElsewhere);
    } else if has(&status.last_declared) {
        findings.push(Finding::Claimed { prune: spec.prune });
    }
    let sample = status.undeclared.iter().flat_map(|undeclared| &undeclared.sample);
    if let Some(reason) = sample.filter(|it| it.member_arn == member.as_str()).map(|it| it.reason).next() {
        findings.push(Finding::Undeclared { reason });
    }
    findings
}

/// Returns the short names of all members that the resources mention.
pub(in crate::cli) fn known_names(known: &[KnownResource]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for KnownResource { entry, sources } in known {
        let (Some(spec), Some(channel)) = (entry.spec(), entry.channel()) else { continue };
        if let Ok(declared) = declared_members(&channel, spec, sources, None, Timestamp::MIN) {
            names.extend(declared.desired.names().iter().map(|name| display_name(name).to_owned()));
        }
        let Some(status) = entry.status() else { continue };
        let undeclared = status.undeclared.iter().flat_map(|undeclared| &undeclared.sample).map(|it| &it.member_arn);
        let arns = status.errors.iter().map(|error| &error.member_arn).chain(undeclared);
        names.extend(arns.filter_map(|arn| channel.name_of(arn)).map(|name| display_name(name).to_owned()));
    }
    names
}

#[cfg(test)]
mod tests;
