//! Where does a pass write what it found?

use std::future::Future;

use crate::api::{ChannelMembershipStatus, Reason};

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

/// Why a status could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The resource is gone, or another of the same name has taken its place: nothing is left to say.
    #[error("the resource is gone")]
    Gone,
    /// The API server refused it, and will again: too large, not allowed, not valid.
    #[error("failed to write the status: {0}")]
    Refused(String),
    /// It did not get through; it may the next time.
    #[error("failed to write the status: {0}")]
    Unavailable(String),
}

/// One resource, to write to.
pub trait Store: Send {
    /// Puts `status` in the place of the resource's status.
    fn write_status(&mut self, status: &ChannelMembershipStatus)
    -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Tells people. What cannot be told fails nothing.
    fn publish(&mut self, event: Event) -> impl Future<Output = ()> + Send;
}
