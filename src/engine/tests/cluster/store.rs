//! The store of one resource, as a reconcile of one process writes to it.

use std::future::Future;

use super::{StoreOperation, StoredObject, TestCluster};
use crate::api::ChannelMembershipStatus;
use crate::engine::resource::Resource;
use crate::engine::store::{Event, Store, StoreError, Version, Wake};
use crate::engine::tests::process::Process;
use crate::membership::arn::ChannelArn;

pub struct ObjectStore {
    pub cluster: TestCluster,
    pub resource: String,
    pub uid: String,
    pub process: Process,
    pub waker: Wake,
}

impl ObjectStore {
    pub fn of(object: &StoredObject, cluster: &TestCluster, process: &Process, waker: Wake) -> Self {
        Self {
            cluster: cluster.clone(),
            resource: object.resource.clone(),
            uid: object.uid.clone(),
            process: process.clone(),
            waker,
        }
    }

    /// Makes a call as one numbered effect, with the fault that a test set.
    fn call<T>(
        &self,
        op: StoreOperation,
        call: impl FnOnce(&TestCluster, &str) -> Result<T, StoreError> + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send
    where
        T: Send,
    {
        let what = format!("{op:?} of {}", self.resource);
        let call = async move {
            match self.cluster.take_fault(op) {
                Some(error) => Err(error),
                None => call(&self.cluster, &self.uid),
            }
        };
        self.process.run_effect(what, call, || Err(StoreError::Unavailable("as the test has it".to_owned())))
    }
}

impl Store for ObjectStore {
    async fn write_status(
        &mut self,
        status: &ChannelMembershipStatus,
        basis: Option<&Version>,
    ) -> Result<Version, StoreError> {
        self.call(StoreOperation::Status, |cluster, uid| {
            let version = cluster.write_status(uid, status, basis)?;
            if let Some(object) = cluster.find(&self.resource) {
                cluster.order_law(|law| law.take_status(&self.resource, &object.spec, status));
            }
            Ok(version)
        })
        .await
    }

    async fn set_finalizer(&mut self, present: bool, basis: &Version) -> Result<Version, StoreError> {
        self.call(StoreOperation::Finalizer, |cluster, uid| cluster.set_finalizer(uid, present, basis)).await
    }

    async fn resources_of(&mut self, channel: &ChannelArn) -> Result<Vec<Resource>, StoreError> {
        self.call(StoreOperation::Read, |cluster, _| {
            let objects = cluster.objects().into_values();
            let of_channel = objects.filter(|object| object.spec.channel_arn == channel.as_str());
            Ok(of_channel
                .map(|object| object.resource(&cluster.sources(object.namespace(), &object.spec.members_from)))
                .collect())
        })
        .await
    }

    async fn publish(&mut self, event: Event) {
        if !self.process.is_dead() {
            self.cluster.with(|state| state.events.push((self.resource.clone(), event)));
        }
    }

    fn wake(&self) -> Wake {
        self.waker.clone()
    }
}
