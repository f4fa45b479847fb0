//! What does a resource want, once its raw strings are checked?

use std::sync::Arc;
use std::time::Duration;

use super::settings::Settings;
use crate::api::{ChannelMembershipSpec, Mode, Reason, Tolerance};
use crate::chime::port::Target;
use crate::membership::arn::{ChannelArn, MemberArn};
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
}

impl Intent {
    /// Checks a spec: total, and says of the first thing wrong which value it is and what to do.
    pub fn read(spec: &ChannelMembershipSpec, settings: &Settings) -> Result<Self, Objection> {
        let invalid = |error: &dyn std::error::Error| Objection {
            reason: Reason::InvalidMember,
            message: format!("the spec cannot be used: {error}"),
        };
        let channel = ChannelArn::parse(&spec.channel_arn).map_err(|error| invalid(&error))?;
        let written = spec.members.as_ref().into_iter().flat_map(crate::api::MemberList::iter);
        let roster = Roster::read(&channel, written).map_err(|error| invalid(&error))?;
        let bearer = bearer(&channel, spec.chime_bearer.as_deref(), settings)?;
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
fn bearer(channel: &ChannelArn, own: Option<&str>, settings: &Settings) -> Result<MemberArn, Objection> {
    let instance = channel.app_instance();
    let Some(own) = own else {
        return settings.bearers.iter().find(|bearer| bearer.app_instance() == instance).cloned().ok_or_else(|| {
            Objection {
                reason: Reason::BearerRejected,
                message: format!(
                    "no bearer is configured for {instance}: start the operator with --chime-bearer {instance}/user/<id>"
                ),
            }
        });
    };
    if !settings.allow_bearer_override {
        return Err(Objection {
            reason: Reason::NotGranted,
            message: format!(
                "spec.chimeBearer {own:?} is not honoured: take it out, or start the operator with --allow-bearer-override"
            ),
        });
    }
    match MemberArn::parse(own) {
        Ok(bearer) if bearer.app_instance() == instance => Ok(bearer),
        _ => Err(Objection {
            reason: Reason::BearerRejected,
            message: format!("spec.chimeBearer {own:?} is no user or bot of the channel's app instance {instance}"),
        }),
    }
}
