//! What does a resource want, once its raw strings are checked?

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::declaration::{Source, SourceText};
use super::settings::Settings;
use crate::api::{
    ChannelMembershipSpec, DeletionPolicy, MemberList, Mode, OnLeave, Prune, Reason, SourceStatus, Tolerance,
};
use crate::chime::port::Target;
use crate::membership::arn::{ArnError, ChannelArn, MemberArn};
use crate::membership::roster::Roster;
use crate::membership::{digest, source};

/// So much of the removals of a day goes through without approval, where a resource does not say.
pub(crate) const DEFAULT_REMOVALS: Tolerance = Tolerance::Percent(25);

/// What a resource wants.
#[derive(Clone, Debug)]
pub struct Intent {
    /// Whose memberships, and in whose name.
    pub target: Target,
    /// Who should be there.
    pub roster: Arc<Roster>,
    /// Whether to change anything.
    pub mode: Mode,
    /// Whom to remove.
    pub prune: Prune,
    /// What happens when the resource is deleted.
    pub deletion_policy: DeletionPolicy,
    /// What to do about those who leave.
    pub on_leave: OnLeave,
    /// With how many refused members the resource is still Ready.
    pub tolerated: Tolerance,
    /// How many removals in 24 hours go through without approval.
    pub removals: Tolerance,
    /// How many additions at once go through without approval.
    pub additions: Option<usize>,
    /// How often to look for drift.
    pub interval: Duration,
    /// When the resource will declare no members.
    pub expires_at: Option<Timestamp>,
    /// Whether that time has come.
    pub expired: bool,
    /// What the sources held.
    pub sources: Vec<SourceStatus>,
    /// What is wrong with a source.
    pub source_problem: Option<String>,
    /// Why it is not known whom else the resource declares, if so.
    pub unknown: Option<String>,
}

/// Why a resource cannot be carried out as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// The condition's reason.
    pub reason: Reason,
    /// The condition's message.
    pub message: String,
    /// The channel's id, where that much could be read.
    pub channel: Option<String>,
}

/// Whom a spec and its sources declare.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    pub roster: Roster,
    pub sources: Vec<SourceStatus>,
    /// The first source that is missing or wrong, in words.
    pub problem: Option<String>,
    /// Why it is not known whom else they declare, if so.
    pub unknown: Option<String>,
    pub expired: bool,
}

impl Intent {
    /// Checks a spec: total, and says of the first thing wrong which value it is and what to do.
    pub fn read(
        spec: &ChannelMembershipSpec,
        sources: &[Source],
        unknown_field: Option<&str>,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<Self, Objection> {
        let invalid = |error: ArnError| (Reason::InvalidMember, format!("the spec cannot be used: {error}"));
        let object = |(reason, message), channel| Objection { reason, message, channel };
        let channel = ChannelArn::parse(&spec.channel_arn).map_err(|error| object(invalid(error), None))?;
        let id = || Some(channel.id().to_owned());
        let declared =
            declared(&channel, spec, sources, unknown_field, now).map_err(|error| object(invalid(error), id()))?;
        let bearer = bearer(&channel, spec.chime_bearer.as_deref(), settings).map_err(|why| object(why, id()))?;
        if spec.prune == Prune::Authoritative && !settings.allow_authoritative {
            let next = "write prune: Declared, or start the operator with --allow-authoritative";
            return Err(object((Reason::NotGranted, format!("spec.prune Authoritative is not granted: {next}")), id()));
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
            roster: Arc::new(declared.roster),
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
            source_problem: declared.problem,
            unknown: declared.unknown,
        })
    }

    /// Whether what was declared before must be written down before somebody is added.
    pub(super) fn keeps_claims(&self) -> bool {
        self.prune != Prune::Never
    }
}

/// Whom a spec and its sources declare. A source that is missing or wrong declares no members, and says so.
pub(crate) fn declared(
    channel: &ChannelArn,
    spec: &ChannelMembershipSpec,
    sources: &[Source],
    unknown_field: Option<&str>,
    now: Timestamp,
) -> Result<Declared, ArnError> {
    let written = spec.members.as_ref().into_iter().flat_map(MemberList::iter);
    let mut names = written.map(|name| channel.name(name).map(String::from)).collect::<Result<Vec<String>, _>>()?;
    let (mut statuses, mut problem) = (Vec::new(), None::<String>);
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
            problem.get_or_insert(wrong);
        }
    }
    let expired = spec.expires_at.as_ref().is_some_and(|at| at.0 <= now);
    if expired {
        names.clear();
    }
    let roster = Roster::read(channel, names.iter().map(String::as_str))?;
    Ok(Declared { roster, sources: statuses, problem, unknown, expired })
}

/// The resource's own bearer where that is allowed, else the one configured for the channel's app instance.
pub(super) fn bearer(
    channel: &ChannelArn,
    own: Option<&str>,
    settings: &Settings,
) -> Result<MemberArn, (Reason, String)> {
    let instance = channel.app_instance();
    let Some(own) = own else {
        let configured = settings.bearers.iter().find(|bearer| bearer.app_instance() == instance);
        let start = format!("start the operator with --chime-bearer {instance}/user/<id>");
        let objection = || (Reason::BearerRejected, format!("no bearer is configured for {instance}: {start}"));
        return configured.cloned().ok_or_else(objection);
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
