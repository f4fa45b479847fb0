//! The store in memory, held to what the cluster's is held to as well.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use self::suite::{Ground, Seen};
use crate::api::{
    ChannelMembershipSpec, ChannelMembershipStatus, ConfigMapKeyRef, FINALIZER, Removed, RemovedInHour, SourceRef,
};
use crate::engine::clock::Clock;
use crate::engine::resource::{Resource, SourceText};
use crate::engine::store::{Store, StoreError, Version};
use crate::engine::tests::cluster::{Cluster, ObjectStore};
use crate::engine::tests::process::Process;
use crate::membership::arn::ChannelArn;

#[path = "../../../../tests/conformance/store.rs"]
mod suite;

fn path(namespace: usize, name: &str) -> String {
    format!("n{namespace}/{name}")
}

impl Ground for Cluster {
    type Store = ObjectStore;

    async fn create(&self, namespace: usize, name: &str, spec: ChannelMembershipSpec) -> Seen {
        Cluster::create(self, &path(namespace, name), spec);
        seen(self, namespace, name)
    }

    async fn edit(&self, namespace: usize, name: &str, change: fn(&mut ChannelMembershipSpec)) -> Seen {
        Cluster::edit(self, &path(namespace, name), change);
        seen(self, namespace, name)
    }

    async fn annotate(&self, namespace: usize, name: &str, value: &str) -> Seen {
        Cluster::annotate(self, &path(namespace, name), "example.com/note", value);
        seen(self, namespace, name)
    }

    async fn set_finalizers(&self, namespace: usize, name: &str, finalizers: &[&str]) -> Seen {
        let before = seen(self, namespace, name);
        self.update(&path(namespace, name), |object| {
            object.finalizers = finalizers.iter().map(|&finalizer| finalizer.to_owned()).collect();
        });
        Ground::find(self, namespace, name).await.unwrap_or(before)
    }

    async fn delete(&self, namespace: usize, name: &str) {
        Cluster::delete(self, &path(namespace, name));
    }

    async fn find(&self, namespace: usize, name: &str) -> Option<Seen> {
        let object = Cluster::find(self, &path(namespace, name))?;
        Some(Seen {
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
        Cluster::set_source(self, &path(namespace, config_map), key, text);
    }

    fn store(&self, seen: &Seen) -> ObjectStore {
        ObjectStore::of(&self.get(&seen.resource), self, &Process::default(), Arc::new(|| ()))
    }
}

fn seen(cluster: &Cluster, namespace: usize, name: &str) -> Seen {
    use futures::FutureExt as _;
    let found = Ground::find(cluster, namespace, name).now_or_never();
    found.flatten().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_store_in_memory_is_as_a_clusters() {
    suite::holds(&Cluster::new(Clock::starting_at(Timestamp::UNIX_EPOCH))).await;
}
