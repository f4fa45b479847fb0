//! Parsing of a resource's spec and sources into a valid spec. Total: the first thing wrong is
//! named, with its value and what to do.

use std::sync::Arc;

use jiff::Timestamp;

use super::resource::{Resource, Source, SourceText};
use super::settings::Settings;
use crate::api::{ChannelMembershipSpec, MemberList, Mode, Prune, Reason, SourceStatus, Tolerance};
use crate::membership::arn::{ArnError, ChannelArn, MemberArn};
use crate::membership::desired::DesiredMembers;
use crate::membership::spec::ValidSpec;
use crate::membership::target::Target;
use crate::membership::{digest, source};

/// The share of removals in a day that needs no approval, unless the resource says otherwise.
pub(crate) const DEFAULT_REMOVALS: Tolerance = Tolerance::Percent(25);

/// Why a resource cannot be reconciled as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSpec {
    /// The condition's reason.
    pub reason: Reason,
    /// The condition's message.
    pub message: String,
    /// The channel's id, if that much could be read.
    pub channel: Option<String>,
}

/// The members that a spec and its sources declare.
#[derive(Clone, Debug)]
pub(crate) struct DeclaredMembers {
    pub desired: DesiredMembers,
    pub sources: Vec<SourceStatus>,
    /// The first source that is missing or wrong, in words.
    pub source_error: Option<String>,
    /// Why more members may be declared.
    pub unknown: Option<String>,
    pub expired: bool,
}

impl ValidSpec {
    /// Parses the spec of a resource.
    pub fn parse(resource: &Resource, settings: &Settings, now: Timestamp) -> Result<Self, InvalidSpec> {
        let error = |reason, message, channel| InvalidSpec { reason, message, channel };
        let invalid = |wrong: ArnError, channel| {
            error(Reason::InvalidMember, format!("the spec cannot be used: {wrong}"), channel)
        };
        let spec = resource.spec.as_ref().map_err(|unreadable| {
            error(Reason::InvalidMember, format!("the spec cannot be read: {unreadable}"), None)
        })?;
        let channel = ChannelArn::parse(&spec.channel_arn).map_err(|wrong| invalid(wrong, None))?;
        let id = || Some(channel.id().to_owned());
        let unknown_field = resource.unknown_field.as_deref();
        let declared = declared_members(&channel, spec, &resource.sources, unknown_field, now)
            .map_err(|wrong| invalid(wrong, id()))?;
        let bearer = bearer(&channel, spec.chime_bearer.as_deref(), settings)
            .map_err(|(reason, message)| error(reason, message, id()))?;
        if spec.prune == Prune::Authoritative && !settings.allow_authoritative {
            let next = "write prune: Declared, or start the operator with --allow-authoritative";
            let message = format!("spec.prune Authoritative is not granted: {next}");
            return Err(error(Reason::NotGranted, message, id()));
        }
        let wanted = spec.resync_interval.map_or(settings.resync_interval, crate::api::Interval::duration);
        let limits = spec.limits.unwrap_or_default();
        Ok(Self {
            target: Target {
                channel,
                membership_type: spec.membership_type,
                bearer,
                sub_channel: spec.sub_channel_id.as_deref().map(Into::into),
            },
            desired: Arc::new(declared.desired),
            mode: if settings.read_only { Mode::Observe } else { spec.mode },
            prune: spec.prune,
            deletion_policy: spec.deletion_policy,
            on_leave: spec.on_leave,
            tolerated: limits.failed.unwrap_or_default(),
            removals: limits.removals.unwrap_or(DEFAULT_REMOVALS),
            additions: limits.additions.map(|most| most as usize),
            interval: wanted.max(settings.min_resync_interval),
            expires_at: spec.expires_at.as_ref().map(|time| time.0),
            expired: declared.expired,
            sources: declared.sources,
            source_error: declared.source_error,
            unknown: declared.unknown,
        })
    }
}

/// Returns the members that a spec and its sources declare. A missing or wrong source declares no
/// members, and is named.
pub(crate) fn declared_members(
    channel: &ChannelArn,
    spec: &ChannelMembershipSpec,
    sources: &[Source],
    unknown_field: Option<&str>,
    now: Timestamp,
) -> Result<DeclaredMembers, ArnError> {
    let written = spec.members.as_ref().into_iter().flat_map(MemberList::iter);
    let mut names = written.map(|name| channel.name(name).map(String::from)).collect::<Result<Vec<String>, _>>()?;
    let (mut statuses, mut source_error) = (Vec::new(), None::<String>);
    let mut unknown = unknown_field.map(|field| format!("spec.{field} is not known to this version of Rollcall"));
    for Source { reference, text, .. } in sources {
        let place = format!("ConfigMap {} key {}", reference.name, reference.key);
        let mut status = SourceStatus { name: reference.name.clone(), key: reference.key.clone(), hash: None };
        let wrong = match text {
            SourceText::Read(text) => {
                status.hash = Some(digest::of([text]));
                match source::read(channel, text) {
                    Ok(more) => {
                        names.extend(more);
                        None
                    }
                    Err(error) => Some(format!("{place}: {error}")),
                }
            }
            SourceText::Absent(what) if reference.optional => {
                unknown.get_or_insert_with(|| format!("{place} is absent ({what})"));
                None
            }
            SourceText::Absent(what) => Some(format!(
                "{place} is absent ({what}): create it, take it out of spec.membersFrom, or set optional: true"
            )),
            SourceText::Unreadable(why) => Some(format!("{place} cannot be read: {why}")),
        };
        statuses.push(status);
        if let Some(wrong) = wrong {
            unknown.get_or_insert_with(|| wrong.clone());
            source_error.get_or_insert(wrong);
        }
    }
    let expired = spec.expires_at.as_ref().is_some_and(|at| at.0 <= now);
    if expired {
        names.clear();
    }
    let desired = DesiredMembers::parse(channel, names.iter().map(String::as_str))?;
    Ok(DeclaredMembers { desired, sources: statuses, source_error, unknown, expired })
}

/// Returns the resource's own bearer if that is allowed, else the one configured for the channel's
/// app instance.
pub(super) fn bearer(
    channel: &ChannelArn,
    own: Option<&str>,
    settings: &Settings,
) -> Result<MemberArn, (Reason, String)> {
    let instance = channel.app_instance();
    let Some(own) = own else {
        let configured = settings.bearers.iter().find(|bearer| bearer.app_instance() == instance);
        let start = format!("start the operator with --chime-bearer {instance}/user/<id>");
        let missing = || (Reason::BearerRejected, format!("no bearer is configured for {instance}: {start}"));
        return configured.cloned().ok_or_else(missing);
    };
    if !settings.allow_bearer_override {
        let next = "take it out, or start the operator with --allow-bearer-override";
        return Err((Reason::NotGranted, format!("spec.chimeBearer {own:?} is not honoured: {next}")));
    }
    match MemberArn::parse(own) {
        Ok(bearer) if bearer.app_instance() == instance => Ok(bearer),
        _ => {
            let wanted = format!("no user or bot of the channel's app instance {instance}");
            Err((Reason::BearerRejected, format!("spec.chimeBearer {own:?} is {wanted}")))
        }
    }
}
