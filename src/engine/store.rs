//! Where does a pass write what it found, and ask what else is declared?

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::declaration::Snapshot;
use crate::api::{ChannelMembershipStatus, Reason};
use crate::membership::arn::ChannelArn;

/// Something that happened to a resource, for `kubectl describe` and `kubectl events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whether somebody has to do something about it.
    pub warning: bool,
    /// Why.
    pub reason: Reason,
    /// In words.
    pub note: String,
}

/// Why something could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The resource is gone, or another of the same name has taken its place: nothing is left to say.
    #[error("the resource is gone")]
    Gone,
    /// Somebody wrote the resource since the version that the write was based on.
    #[error("the resource was changed by somebody else in the meantime")]
    Conflict,
    /// The API server refused it, and will again: too large, not allowed, not valid.
    #[error("the API server refused it: {0}")]
    Refused(String),
    /// It did not get through; it may the next time.
    #[error("the API server could not be reached: {0}")]
    Unavailable(String),
}

impl StoreError {
    /// When it is tried again.
    pub(super) fn rest(&self) -> Duration {
        match self {
            Self::Gone | Self::Conflict => Duration::from_secs(1),
            Self::Unavailable(_) => Duration::from_secs(5),
            Self::Refused(_) => Duration::from_mins(5),
        }
    }
}

/// A version of a resource (`metadata.resourceVersion`), to be compared with others of its kind and no more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version(pub String);

/// Makes a pass over the resource due.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// One resource, to write to. Every write is of the object with this UID and of no other of its name.
pub trait Store: Send {
    /// Puts `status` in the place of the resource's status; with `basis` only if nobody has written the resource since that
    /// version. Gives the new version.
    fn write_status(
        &mut self,
        status: &ChannelMembershipStatus,
        basis: Option<&Version>,
    ) -> impl Future<Output = Result<Version, StoreError>> + Send;

    /// Puts our finalizer on the resource, or takes it off, if nobody has written the resource since `basis`. Gives the new version. Taking it
    /// off one that is being deleted may end it: that is no error.
    fn set_finalizer(
        &mut self,
        present: bool,
        basis: &Version,
    ) -> impl Future<Output = Result<Version, StoreError>> + Send;

    /// All resources of the channel in all namespaces that are watched, this one and those that are being deleted among them, as
    /// they are now: a read that no cache answers.
    fn resources_of(&mut self, channel: &ChannelArn) -> impl Future<Output = Result<Vec<Snapshot>, StoreError>> + Send;

    /// Tells people. What cannot be told fails nothing.
    fn publish(&mut self, event: Event) -> impl Future<Output = ()> + Send;

    /// By which other resources of the channel have this one looked at again.
    fn wake(&self) -> Wake;
}
