//! What did whoever runs the engine decide for all resources?

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::membership::arn::MemberArn;

/// Decisions that hold for all resources.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The bearers, one an app instance: a channel's is that of its app instance.
    pub bearers: Vec<MemberArn>,
    /// Whether a resource may name another bearer.
    pub allow_bearer_override: bool,
    /// How often drift is looked for where a resource does not say.
    pub resync_interval: Duration,
    /// The shortest interval that a resource can have.
    pub min_resync_interval: Duration,
    /// Nothing is changed, whatever a resource says: all are as `mode: Observe`.
    pub read_only: bool,
    /// Whether anybody may be removed.
    pub removals: RemovalSwitch,
    /// How many people may be removed in an hour, all resources together; 0 for no limit.
    pub max_removals_per_hour: u32,
    /// Whether a resource may remove people whom it never declared.
    pub allow_unlisted: bool,
    /// Bearers of earlier days: whom they added, we added.
    pub former_bearers: Vec<MemberArn>,
    /// Where the service is, when it is not AWS: said in every status, so that nobody takes a trial for the real thing.
    pub custom_endpoint: Option<String>,
}

/// Whether anybody may be removed just now; asked before each delete.
#[derive(Clone)]
pub struct RemovalSwitch(Arc<dyn Fn() -> bool + Send + Sync>);

impl RemovalSwitch {
    /// A switch that `is_on` reads.
    pub fn new(is_on: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_on))
    }

    /// Whether it is on.
    pub fn is_on(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for RemovalSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RemovalSwitch").field(&self.is_on()).finish()
    }
}
