//! What did whoever runs the engine decide for all resources?

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
    /// Where the service is, when it is not AWS: said in every status, so that nobody takes a trial for the real thing.
    pub custom_endpoint: Option<String>,
}
