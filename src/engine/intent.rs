//! What does a resource want, once its raw strings are checked?

use std::sync::Arc;
use std::time::Duration;

use super::settings::Settings;
use crate::api::{ChannelMembershipSpec, Mode, Reason, Tolerance};
use crate::chime::port::Target;
use crate::membership::arn::{ArnError, ChannelArn, MemberArn};
use crate::membership::roster::Roster;

/// What a resource wants.
#[derive(Clone, Debug)]
pub struct Intent {
    /// Whose memberships, and in whose name.
    pub target: Target,
    /// Who should be there.
    pub roster: Arc<Roster>,
    /// Whether to change anything.
    pub mode: Mode,
    /// With how many refused members the resource is still Ready.
    pub tolerated: Tolerance,
    /// How often to look for drift.
    pub interval: Duration,
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

impl Intent {
    /// Checks a spec: total, and says of the first thing wrong which value it is and what to do.
    pub fn read(spec: &ChannelMembershipSpec, settings: &Settings) -> Result<Self, Objection> {
        let invalid = |error: ArnError| (Reason::InvalidMember, format!("the spec cannot be used: {error}"));
        let object = |(reason, message), channel| Objection { reason, message, channel };
        let channel = ChannelArn::parse(&spec.channel_arn).map_err(|error| object(invalid(error), None))?;
        let id = || Some(channel.id().to_owned());
        let written = spec.members.as_ref().into_iter().flat_map(crate::api::MemberList::iter);
        let roster = Roster::read(&channel, written).map_err(|error| object(invalid(error), id()))?;
        let bearer = bearer(&channel, spec.chime_bearer.as_deref(), settings).map_err(|why| object(why, id()))?;
        let wanted = spec.resync_interval.map_or(settings.resync_interval, crate::api::Interval::duration);
        Ok(Self {
            target: Target { channel, membership_type: spec.membership_type, bearer },
            roster: Arc::new(roster),
            mode: spec.mode,
            tolerated: spec.limits.and_then(|limits| limits.failed).unwrap_or_default(),
            interval: wanted.max(settings.min_resync_interval),
        })
    }
}

/// The resource's own bearer where that is allowed, else the one configured for the channel's app instance.
fn bearer(channel: &ChannelArn, own: Option<&str>, settings: &Settings) -> Result<MemberArn, (Reason, String)> {
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
