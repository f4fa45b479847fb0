//! Settings of the operator that hold for all resources.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::membership::arn::MemberArn;
use crate::membership::grants::{AccessRequest, Denial, Grants};

/// Decisions that hold for all resources.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The bearers, one an app instance: a channel's is that of its app instance.
    pub bearers: Vec<MemberArn>,
    /// True if a resource may name another bearer.
    pub allow_bearer_override: bool,
    /// How often drift is looked for where a resource does not say.
    pub resync_interval: Duration,
    /// The shortest interval that a resource can have.
    pub min_resync_interval: Duration,
    /// Nothing is changed, whatever a resource says: all are as `mode: Observe`.
    pub read_only: bool,
    /// The switch for removals.
    pub removals: RemovalSwitch,
    /// How many people may be removed in an hour, all resources together; 0 for no limit.
    pub max_removals_per_hour: u32,
    /// True if a resource may use `prune: Authoritative`.
    pub allow_authoritative: bool,
    /// Earlier bearers: members that they added count as added by us.
    pub former_bearers: Vec<MemberArn>,
    /// Which namespace may reach what.
    pub grants: Granting,
    /// The address of the service, if it is not AWS. Every status names it, so that a trial is not
    /// mistaken for AWS.
    pub custom_endpoint: Option<String>,
}

impl Settings {
    /// How often drift is looked for, unless an operator is started otherwise.
    pub const RESYNC_INTERVAL: Duration = Duration::from_hours(1);

    /// The shortest interval, unless an operator is started otherwise.
    pub const MIN_RESYNC_INTERVAL: Duration = Duration::from_secs(10);
}

#[cfg(test)]
impl Settings {
    /// As an operator is started that was given a bearer and nothing else.
    pub(crate) fn of_bearer(bearer: &str) -> Self {
        Self {
            bearers: vec![MemberArn::parse(bearer).unwrap()],
            allow_bearer_override: false,
            resync_interval: Duration::from_hours(1),
            min_resync_interval: Duration::from_secs(10),
            read_only: false,
            removals: RemovalSwitch::new(|| true),
            max_removals_per_hour: 0,
            allow_authoritative: false,
            former_bearers: Vec::new(),
            grants: Granting::everything(),
            custom_endpoint: None,
        }
    }
}

/// The switch for removals. It is read before each delete.
#[derive(Clone)]
pub struct RemovalSwitch(Arc<dyn Fn() -> bool + Send + Sync>);

impl RemovalSwitch {
    /// A switch that `is_on` reads.
    pub fn new(is_on: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_on))
    }

    /// Returns whether removals are on.
    pub fn is_on(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for RemovalSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RemovalSwitch").field(&self.is_on()).finish()
    }
}

/// The grants as they are now. They are checked when a reconcile begins, and before each batch and
/// each delete.
#[derive(Clone, Default)]
pub struct Granting(Option<(Arc<str>, Grantor)>);

type Grantor = Arc<dyn Fn() -> Arc<Grants> + Send + Sync>;

impl Granting {
    /// Every namespace reaches every channel that a bearer can.
    pub fn everything() -> Self {
        Self(None)
    }

    /// Creates the grants that `now` returns; `source` names their place.
    pub fn by(source: &str, now: impl Fn() -> Arc<Grants> + Send + Sync + 'static) -> Self {
        Self(Some((source.into(), Arc::new(now))))
    }

    /// Checks an access request. Returns the denial and the source of the grants.
    pub(super) fn decide(&self, request: &AccessRequest<'_>) -> Result<(), (Denial, &str)> {
        let Some((source, now)) = &self.0 else { return Ok(()) };
        now().decide(request).map_err(|denial| (denial, &**source))
    }
}

impl fmt::Debug for Granting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Granting").field(&self.0.as_ref().map(|(source, _)| source)).finish()
    }
}
