//! What do all resources say of one person? Pure: from specs, statuses and ConfigMaps to findings.

mod finding;
mod keep;
mod near;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

pub(super) use self::finding::{Finding, Origin, stays};
pub(super) use self::keep::Keep;
pub(super) use self::near::near;
pub(super) use self::words::{about, named, of_place, perhaps};
use super::resources::Known;
use crate::api::{ChannelMembershipSpec, ChannelMembershipStatus, MemberList, MembershipType, Mode, Prune, Reason};
use crate::engine::declared_members;
use crate::engine::resource::SourceText;
use crate::membership::arn::{ArnError, ChannelArn, MemberArn, display_name};
use crate::membership::error_code::{ErrorCodeClass, MAX_UNKNOWN_ATTEMPTS, advice};
use crate::membership::source;

/// One channel that has to do with the person.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Place {
    /// The channel.
    pub channel: String,
    /// The person's ARN there.
    pub member: String,
    /// What the service says, where it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live: Option<Live>,
    /// The resources of the channel that say something of the person.
    pub resources: Vec<Standing>,
    /// How many other resources of the channel there are that say nothing of them.
    pub silent: usize,
}

/// What one resource says of the person.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Standing {
    /// `namespace/name`.
    pub resource: String,
    /// The type of its memberships.
    #[serde(rename = "type")]
    pub membership_type: MembershipType,
    /// Whom it removes.
    pub prune: Prune,
    /// Where it declares them.
    pub declared: Vec<Origin>,
    /// In whose name it calls, as its status says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer: Option<String>,
    /// What it says of them.
    pub findings: Vec<Finding>,
    /// When its status was written, by which all of this is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
}

/// What the service says of one membership.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "is")]
pub(super) enum Live {
    /// In the channel.
    In {
        /// As which type.
        #[serde(rename = "type")]
        membership_type: Option<MembershipType>,
        /// Who added them.
        invited_by: Option<String>,
        /// Since when.
        since: Option<Timestamp>,
        /// Whether they made the channel.
        creator: bool,
        /// Whether they are a moderator of it.
        moderator: bool,
    },
    /// Not in the channel.
    Out,
    /// The service did not say.
    Unknown {
        /// Why.
        why: String,
    },
}

impl Standing {
    /// Whether it declares them now.
    pub fn declares(&self) -> bool {
        !self.declared.is_empty() && !self.findings.iter().any(|it| matches!(it, Finding::Expired { .. }))
    }
}

/// The person within a channel, by an id or ARN as somebody wrote it; `None` in channels of other app instances.
pub(super) fn within(channel: &ChannelArn, user: &str) -> Result<Option<String>, ArnError> {
    match channel.name(user) {
        Ok(name) => Ok(Some(name.into_owned())),
        Err(ArnError::ForeignMember { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What the resources say of a person, channel by channel. Channels of which no resource says anything of them are left out, but for
/// those of which `always` holds.
pub(super) fn places(
    all: &[Known],
    user: &str,
    now: Timestamp,
    always: impl Fn(&ChannelArn) -> bool,
) -> Result<Vec<Place>, ArnError> {
    let mut by_channel: BTreeMap<ChannelArn, Vec<(&Known, &ChannelMembershipSpec)>> = BTreeMap::new();
    for known in all {
        let Some(spec) = known.entry.spec() else { continue };
        let Ok(channel) = ChannelArn::parse(&spec.channel_arn) else { continue };
        by_channel.entry(channel).or_default().push((known, spec));
    }
    let mut places = Vec::new();
    for (channel, resources) in by_channel {
        let Some(name) = within(&channel, user)? else { continue };
        let standings: Vec<Standing> =
            resources.iter().map(|(known, spec)| standing(known, spec, &channel, &name, now)).collect();
        let (speaking, silent): (Vec<_>, Vec<_>) =
            standings.into_iter().partition(|it| !it.declared.is_empty() || !it.findings.is_empty());
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

fn standing(known: &Known, spec: &ChannelMembershipSpec, channel: &ChannelArn, name: &str, now: Timestamp) -> Standing {
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
        // Whoever is not found may be declared there.
        findings.push(Finding::Unreadable { why });
    }
    Standing {
        resource: entry.resource(),
        membership_type: spec.membership_type,
        prune: spec.prune,
        declared: declared_at,
        bearer: entry.status().and_then(|status| status.bearer.clone()),
        findings,
        as_of: entry.told_at().or_else(|| entry.status()?.last_listed.as_ref().map(|at| at.0)),
    }
}

/// Where a resource names the person.
fn origins(known: &Known, spec: &ChannelMembershipSpec, channel: &ChannelArn, name: &str) -> Vec<Origin> {
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

/// Whether one who is declared is there, as far as a status tells.
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
        // It is only known of all together.
        (Some(0), _) => Finding::Awaited,
        (Some(_), count) => Finding::Pending { count },
    }
}

/// What a status says of the person besides.
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

/// Everybody whom the resources name in any way, by their short names.
pub(super) fn names(known: &[Known]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for Known { entry, sources } in known {
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
