//! Protection: the members of a channel that are never removed.

use std::time::Duration;

use super::channel_info::{describe_channel, list_all};
use super::channel_roles::ChannelRoles;
use super::io::Io;
use super::observe::ensure_listed_since;
use super::outcome::Outcome;
use super::progress::ProgressReport;
use super::stop::Stop;
use crate::chime::port::{ListRequest, Service};
use crate::membership::arn::MemberArn;
use crate::membership::guard::Protected;
use crate::membership::time::between;

/// Returns the roles of the channel, read at most `age` ago. If the channel turns out to be
/// elastic, it is listed again.
pub(super) async fn channel_roles<S: Service, P: ProgressReport>(
    io: &mut Io<'_, S, P>,
    outcome: &Outcome<'_>,
    age: Duration,
) -> Result<ChannelRoles, Stop> {
    let now = io.now();
    if let Some(roles) = io.roles.as_ref().filter(|roles| between(roles.read_at, now) <= age) {
        return Ok(roles.clone());
    }
    let was_elastic = io.view().is_elastic();
    let info = describe_channel(io, outcome).await?;
    if info.elastic && !was_elastic {
        let now = io.now();
        ensure_listed_since(io, outcome, now).await?;
    }
    let moderators = list_all(io, outcome, |target| ListRequest::Moderators(target)).await?;
    let roles = ChannelRoles { creator: info.created_by, moderators, read_at: now };
    io.roles = Some(roles.clone());
    Ok(roles)
}

impl<S: Service, P: ProgressReport> Io<'_, S, P> {
    /// Returns the members that are never removed, with these bearers among them; `None` if the
    /// creator is unknown.
    pub(super) fn protected_members(&self, roles: &ChannelRoles, bearers: &[MemberArn]) -> Option<Protected> {
        let settings = &self.engine.settings;
        let mut ours = vec![self.spec.target.bearer.clone()];
        ours.extend(settings.former_bearers.iter().cloned());
        let bearers = settings.bearers.iter().chain(bearers);
        Protected::new(ours, bearers, roles.moderators.iter().cloned(), roles.creator.as_deref())
    }
}
