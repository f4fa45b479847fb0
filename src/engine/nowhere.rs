//! Where does a pass write that must not write?

use super::declaration::Snapshot;
use super::store::{Event, Store, StoreError, Version, Wake};
use crate::api::ChannelMembershipStatus;
use crate::membership::arn::ChannelArn;

/// A store that holds nothing and reaches nothing.
pub(super) struct Nowhere;

impl Store for Nowhere {
    async fn write_status(&mut self, _: &ChannelMembershipStatus, _: Option<&Version>) -> Result<Version, StoreError> {
        Err(StoreError::Gone)
    }

    async fn set_finalizer(&mut self, _: bool, _: &Version) -> Result<Version, StoreError> {
        Err(StoreError::Gone)
    }

    async fn resources_of(&mut self, _: &ChannelArn) -> Result<Vec<Snapshot>, StoreError> {
        Err(StoreError::Gone)
    }

    async fn publish(&mut self, _: Event) {}

    fn wake(&self) -> Wake {
        std::sync::Arc::new(|| ())
    }
}
