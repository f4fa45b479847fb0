//! The store port: where a reconcile writes its status, and how it reads other resources.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::resource::Resource;
pub use super::resource::Version;
use crate::api::{ChannelMembershipStatus, Reason};
use crate::membership::arn::ChannelArn;

/// Something that happened to a resource, for `kubectl describe` and `kubectl events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// True if a person has to do something about it.
    pub warning: bool,
    /// The reason.
    pub reason: Reason,
    /// The text.
    pub note: String,
}

/// Why a write or a read failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The resource is gone, or another one of the same name has taken its place: there is nothing
    /// left to report.
    #[error("the resource is gone")]
    Gone,
    /// The resource was written by another program since the version that the write was based on.
    #[error("the resource was changed by somebody else in the meantime")]
    Conflict,
    /// The API server refused the write, and will again: too large, not allowed, or not valid.
    #[error("the API server refused it: {0}")]
    Refused(String),
    /// The request got no answer. The next one may.
    #[error("the API server could not be reached: {0}")]
    Unavailable(String),
}

impl StoreError {
    /// Returns when the write or read is tried again.
    pub(super) fn retry_after(&self) -> Duration {
        match self {
            Self::Gone | Self::Conflict => Duration::from_secs(1),
            Self::Unavailable(_) => Duration::from_secs(5),
            Self::Refused(_) => Duration::from_mins(5),
        }
    }
}

/// Makes a resource due for a reconcile.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// The store of one resource. Every write is to the object with its UID, and to no other one of its
/// name.
pub trait Store: Send {
    /// Replaces the status; with `basis`, only if the resource was not written since that version.
    /// Returns the new version.
    fn write_status(
        &mut self,
        status: &ChannelMembershipStatus,
        basis: Option<&Version>,
    ) -> impl Future<Output = Result<Version, StoreError>> + Send;

    /// Puts our finalizer on the resource, or takes it off, if the resource was not written since
    /// `basis`. Returns the new version. Taking it off a resource that is being deleted may end
    /// that resource, which is no error.
    fn set_finalizer(
        &mut self,
        present: bool,
        basis: &Version,
    ) -> impl Future<Output = Result<Version, StoreError>> + Send;

    /// Reads all resources of a channel in all watched namespaces, uncached, including this one and
    /// those being deleted.
    fn resources_of(&mut self, channel: &ChannelArn) -> impl Future<Output = Result<Vec<Resource>, StoreError>> + Send;

    /// Publishes an event. A failure is not reported.
    fn publish(&mut self, event: Event) -> impl Future<Output = ()> + Send;

    /// Returns how other resources of the channel make this one due.
    fn wake(&self) -> Wake;
}
