//! A plan says what an operator then does. The tests go from files to calls, on a service and a
//! cluster in memory.

mod apply;
mod apply_crash;
mod apply_property;
mod change_set;
mod harness;
mod local_cluster;
mod property;

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::change_set::{ChangeSet, Origin};
use super::plan::{Plan, ResourcePlan};
use super::planner;
use crate::api::{ChannelMembership, ChannelMembershipSpec};
use crate::chime::client::Client;
use crate::chime::rate_limit::{RateLimiter, Rates};
use crate::engine::Engine;
use crate::engine::settings::Settings;
use crate::engine::tests::cluster::StoredObject;
use crate::engine::tests::operator::{LATENCY, Options};
use crate::engine::tests::process::Process;
use crate::engine::tests::world::TestWorld;
use crate::manifests::{self, Input, Manifests};

const MINUTE: Duration = Duration::from_mins(1);

fn settings() -> Settings {
    Options::with(|settings| settings.allow_authoritative = true).settings
}

/// Returns an object as `kubectl get` prints it.
fn printed(object: &StoredObject) -> Value {
    let (namespace, name) = object.resource.split_once('/').unwrap();
    let metadata = ObjectMeta {
        namespace: Some(namespace.to_owned()),
        name: Some(name.to_owned()),
        uid: Some(object.uid.clone()),
        generation: Some(object.generation),
        resource_version: Some(object.version.0.clone()),
        creation_timestamp: Some(Time(object.created)),
        deletion_timestamp: object.deleting_since.map(Time),
        finalizers: Some(object.finalizers.clone()),
        annotations: Some(object.annotations.clone()),
        ..ObjectMeta::default()
    };
    let (spec, status) = (object.spec.clone(), object.status.clone());
    serde_json::to_value(ChannelMembership { metadata, spec, status }).unwrap()
}

/// Returns a manifest of a resource.
fn manifest(resource: &str, spec: &ChannelMembershipSpec) -> Value {
    let (namespace, name) = resource.split_once('/').unwrap();
    let metadata =
        ObjectMeta { namespace: Some(namespace.to_owned()), name: Some(name.to_owned()), ..ObjectMeta::default() };
    serde_json::to_value(ChannelMembership { metadata, spec: spec.clone(), status: None }).unwrap()
}

fn write(folder: &Path, name: &str, items: impl IntoIterator<Item = Value>) -> Vec<Input> {
    let items: Vec<Value> = items.into_iter().collect();
    let path = folder.join(name);
    fs::write(&path, json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()).unwrap();
    vec![Input::Path(path)]
}

/// Returns the state of a world, as a cluster prints it.
fn state(world: &TestWorld) -> Manifests {
    let folder = tempfile::tempdir().unwrap();
    let objects = world.cluster.objects();
    if objects.is_empty() {
        return Manifests::default();
    }
    let input = write(folder.path(), "state.json", objects.values().map(|object| printed(object)));
    manifests::read_state(&input, "default").unwrap()
}

/// Returns the manifests of these specs.
fn files<'a>(specs: impl IntoIterator<Item = (&'a String, &'a ChannelMembershipSpec)>) -> Manifests {
    let folder = tempfile::tempdir().unwrap();
    let items: Vec<Value> = specs.into_iter().map(|(resource, spec)| manifest(resource, spec)).collect();
    if items.is_empty() {
        return Manifests::default();
    }
    let input = write(folder.path(), "manifests.json", items);
    manifests::read_manifests(&input, "default").unwrap()
}

/// Plans to apply these files to a world and to delete its other resources. Nothing is done.
async fn plan(world: &TestWorld, files: &Manifests, origin: &Origin) -> Plan {
    let change_set = ChangeSet::new(files, origin, true, &settings(), world.clock.now());
    let service = Arc::new(world.service_port(&Process::with_latency(LATENCY)));
    let client = Client::new(service, Arc::new(RateLimiter::new(Rates::UNLIMITED, NonZeroU16::MAX))).read_only();
    let engine = Engine::new(client, settings(), world.clock, CancellationToken::new());
    planner::plan(&engine, &change_set, &Rates::default(), |_, _| {}).await
}

/// Returns the plans by resource.
fn by_name(plan: &Plan) -> BTreeMap<&str, &ResourcePlan> {
    plan.resources.iter().map(|it| (&*it.resource, it)).collect()
}
