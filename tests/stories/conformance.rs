//! The store of a cluster passes the same tests as the store in memory.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use rollcall::api::{
    ChannelMembership, ChannelMembershipSpec, ChannelMembershipStatus, ConfigMapKeyRef, FINALIZER, Removed,
    RemovedInHour, SourceRef,
};
use rollcall::controller::store::{ClusterStore, Identity};
use rollcall::controller::{Cluster, Scope};
use rollcall::engine::resource::{Resource, SourceText};
use rollcall::engine::store::{Store, StoreError, Version};
use rollcall::membership::arn::ChannelArn;
use serde_json::{Value, json};

use self::suite::{SeenResource, StoreFixture};
use crate::stage::shared;

#[path = "../conformance/store.rs"]
mod suite;

struct Real {
    client: kube::Client,
    namespaces: [String; 2],
    cluster: Arc<Cluster>,
}

impl Real {
    fn api(&self, namespace: usize) -> Api<ChannelMembership> {
        Api::namespaced(self.client.clone(), &self.namespaces[namespace])
    }

    async fn patch(&self, namespace: usize, name: &str, patch: Value) -> SeenResource {
        let patched = self.api(namespace).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        seen(patched.unwrap())
    }
}

fn seen(object: ChannelMembership) -> SeenResource {
    let metadata = object.metadata;
    SeenResource {
        resource: format!("{}/{}", metadata.namespace.unwrap(), metadata.name.unwrap()),
        uid: metadata.uid.unwrap(),
        generation: metadata.generation.unwrap(),
        version: Version(metadata.resource_version.unwrap()),
        spec: object.spec,
        status: object.status,
        finalizers: metadata.finalizers.unwrap_or_default(),
        deleting: metadata.deletion_timestamp.is_some(),
    }
}

impl StoreFixture for Real {
    type Store = ClusterStore;

    async fn create(&self, namespace: usize, name: &str, spec: ChannelMembershipSpec) -> SeenResource {
        let object = ChannelMembership::new(name, spec);
        seen(self.api(namespace).create(&kube::api::PostParams::default(), &object).await.unwrap())
    }

    async fn edit(&self, namespace: usize, name: &str, change: fn(&mut ChannelMembershipSpec)) -> SeenResource {
        let mut spec = self.api(namespace).get(name).await.unwrap().spec;
        change(&mut spec);
        self.patch(namespace, name, json!({"spec": spec})).await
    }

    async fn annotate(&self, namespace: usize, name: &str, value: &str) -> SeenResource {
        self.patch(namespace, name, json!({"metadata": {"annotations": {"example.com/note": value}}})).await
    }

    async fn set_finalizers(&self, namespace: usize, name: &str, finalizers: &[&str]) -> SeenResource {
        self.patch(namespace, name, json!({"metadata": {"finalizers": finalizers}})).await
    }

    async fn delete(&self, namespace: usize, name: &str) {
        self.api(namespace).delete(name, &DeleteParams::default()).await.unwrap();
    }

    async fn find(&self, namespace: usize, name: &str) -> Option<SeenResource> {
        self.api(namespace).get_opt(name).await.unwrap().map(seen)
    }

    async fn set_source(&self, namespace: usize, config_map: &str, key: &str, text: &str) {
        let maps: Api<k8s_openapi::api::core::v1::ConfigMap> =
            Api::namespaced(self.client.clone(), &self.namespaces[namespace]);
        let map =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": config_map}, "data": {key: text}});
        maps.patch(config_map, &PatchParams::apply("story"), &Patch::Apply(map)).await.unwrap();
    }

    fn store(&self, seen: &SeenResource) -> ClusterStore {
        let (namespace, name) = seen.resource.split_once('/').unwrap();
        let identity = Identity { namespace: namespace.to_owned(), name: name.to_owned(), uid: seen.uid.clone() };
        ClusterStore::new(Arc::clone(&self.cluster), identity, Arc::new(|| ()))
    }
}

#[tokio::test]
async fn the_store_of_a_cluster_is_as_the_one_in_memory() {
    let control_plane = shared().await;
    let client = control_plane.client().await.unwrap();
    let namespaces = [control_plane.namespace("story").await.unwrap(), control_plane.namespace("story").await.unwrap()];
    let cluster = Cluster::new(client.clone(), Scope::Namespaces(namespaces.to_vec()), true);
    suite::check_store(&Real { client, namespaces, cluster: Arc::new(cluster) }).await;
}
