//! The store in memory passes the checks that the store of a cluster passes.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use self::suite::{SeenResource, StoreFixture};
use crate::api::{
    ChannelMembershipSpec, ChannelMembershipStatus, ConfigMapKeyRef, FINALIZER, Removed, RemovedInHour, SourceRef,
};
use crate::engine::clock::Clock;
use crate::engine::resource::{Resource, SourceText};
use crate::engine::store::{Store, StoreError, Version};
use crate::engine::tests::cluster::{ObjectStore, TestCluster};
use crate::engine::tests::process::Process;
use crate::membership::arn::ChannelArn;

#[path = "../../../../tests/conformance/store.rs"]
mod suite;

fn path(namespace: usize, name: &str) -> String {
    format!("n{namespace}/{name}")
}

impl StoreFixture for TestCluster {
    type Store = ObjectStore;

    async fn create(&self, namespace: usize, name: &str, spec: ChannelMembershipSpec) -> SeenResource {
        TestCluster::create(self, &path(namespace, name), spec);
        seen(self, namespace, name)
    }

    async fn edit(&self, namespace: usize, name: &str, change: fn(&mut ChannelMembershipSpec)) -> SeenResource {
        TestCluster::edit(self, &path(namespace, name), change);
        seen(self, namespace, name)
    }

    async fn annotate(&self, namespace: usize, name: &str, value: &str) -> SeenResource {
        TestCluster::annotate(self, &path(namespace, name), "example.com/note", value);
        seen(self, namespace, name)
    }

    async fn set_finalizers(&self, namespace: usize, name: &str, finalizers: &[&str]) -> SeenResource {
        let before = seen(self, namespace, name);
        self.update(&path(namespace, name), |object| {
            object.finalizers = finalizers.iter().map(|&finalizer| finalizer.to_owned()).collect();
        });
        StoreFixture::find(self, namespace, name).await.unwrap_or(before)
    }

    async fn delete(&self, namespace: usize, name: &str) {
        TestCluster::delete(self, &path(namespace, name));
    }

    async fn find(&self, namespace: usize, name: &str) -> Option<SeenResource> {
        let object = TestCluster::find(self, &path(namespace, name))?;
        Some(SeenResource {
            resource: object.resource.clone(),
            uid: object.uid.clone(),
            generation: object.generation,
            version: object.version.clone(),
            spec: object.spec.clone(),
            status: object.status.clone(),
            finalizers: object.finalizers.clone(),
            deleting: object.deleting_since.is_some(),
        })
    }

    async fn set_source(&self, namespace: usize, config_map: &str, key: &str, text: &str) {
        TestCluster::set_source(self, &path(namespace, config_map), key, text);
    }

    fn store(&self, seen: &SeenResource) -> ObjectStore {
        ObjectStore::of(&self.get(&seen.resource), self, &Process::default(), Arc::new(|| ()))
    }
}

fn seen(cluster: &TestCluster, namespace: usize, name: &str) -> SeenResource {
    use futures::FutureExt as _;
    let found = StoreFixture::find(cluster, namespace, name).now_or_never();
    found.flatten().unwrap()
}

#[tokio::test(start_paused = true)]
async fn store_in_memory_behaves_like_the_store_of_a_cluster() {
    suite::check_store(&TestCluster::new(Clock::starting_at(Timestamp::UNIX_EPOCH))).await;
}
