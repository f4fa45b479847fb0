//! A cluster for the operator to work on: an API server with resources, and a simulator with
//! channels.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource};
use rollcall::api::{ChannelMembership, ChannelMembershipSpec, Prune, custom_resource_definition};
use rollcall::simulator::{ChannelSeed, Quotas, Seed, Simulator, SimulatorOptions};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::BenchError;
use crate::control_plane::ControlPlane;

/// The number of members that each resource declares.
pub const MEMBERS: usize = 100;

/// The number of users. Each resource declares some of them.
const USERS: usize = 1000;

/// The number of resources that are created at the same time.
const WRITERS: usize = 16;

const INSTANCE: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/5f0c3a52-7d3b-4c1e-9a55-3f1f5d0e8c11";

/// The form of members in a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberForm {
    /// Ids.
    Ids,
    /// Full ARNs.
    Arns,
}

/// An API server with resources, each on a channel of its own.
pub struct FleetCluster {
    control_plane: ControlPlane,
    api: Api<ChannelMembership>,
    pub resources: usize,
    pub seen: watch::Receiver<FleetStatus>,
    watching: JoinHandle<()>,
}

/// The state of all resources, as their statuses report it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FleetStatus {
    /// The number of resources with all members present.
    pub complete: usize,
    /// The number of writes of the resources since their creation.
    pub writes: usize,
}

impl FleetCluster {
    /// Starts an API server and creates the resources.
    pub async fn new(resources: usize, names: MemberForm, prune: Prune) -> Result<Self, BenchError> {
        let control_plane = ControlPlane::start().await?;
        control_plane.install_crd(&custom_resource_definition()).await?;
        let client = control_plane.client().await?;
        let api: Api<ChannelMembership> = Api::namespaced(client.clone(), "default");
        stream::iter(0..resources)
            .map(Ok::<_, BenchError>)
            .try_for_each_concurrent(WRITERS, async |index| {
                api.create(&PostParams::default(), &resource(index, names, prune)).await?;
                Ok(())
            })
            .await?;
        let (tell, seen) = watch::channel(FleetStatus::default());
        let watching = tokio::spawn(observe(client, tell));
        Ok(Self { control_plane, api, resources, seen, watching })
    }

    /// Returns the kubeconfig of the cluster's administrator.
    pub fn kubeconfig(&self) -> std::path::PathBuf {
        self.control_plane.kubeconfig()
    }

    /// Returns a folder for logs.
    pub fn folder(&self) -> &std::path::Path {
        self.control_plane.folder()
    }

    /// Starts a simulator with a channel for each resource. The channel has all declared members if
    /// `complete`, and no members otherwise.
    pub async fn simulator(&self, quotas: Quotas, complete: bool) -> Result<Simulator, BenchError> {
        let mut seed = Seed::new(INSTANCE).users((0..USERS).map(user)).users(["rollcall"]).admins(["rollcall"]);
        for index in 0..self.resources {
            let members = members(index).filter(|_| complete);
            seed = seed.channel(ChannelSeed::new(&name(index)).members(members));
        }
        Ok(Simulator::start(SimulatorOptions { seed, quotas, ..SimulatorOptions::default() }).await?)
    }

    /// Declares one more member of a channel. Returns the channel's ARN.
    pub async fn edit(&self, index: usize) -> Result<String, BenchError> {
        let with_one_more: Vec<String> = members(index).chain([user(first(index) + MEMBERS)]).collect();
        let patch = json!({"spec": {"members": with_one_more}});
        self.api.patch(&name(index), &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(channel(index))
    }

    /// Waits until all members of all resources are present.
    pub async fn complete(&self) -> Result<(), BenchError> {
        self.seen.clone().wait_for(|seen| seen.complete == self.resources).await?;
        Ok(())
    }

    /// Stops the API server.
    pub async fn stop(self) {
        self.watching.abort();
        self.control_plane.stop().await;
    }
}

/// Returns the bearer's ARN.
pub fn bearer() -> String {
    format!("{INSTANCE}/user/rollcall")
}

fn name(index: usize) -> String {
    format!("team-{index:04}")
}

fn channel(index: usize) -> String {
    format!("{INSTANCE}/channel/{}", name(index))
}

fn user(number: usize) -> String {
    format!("person-{:04}", number % USERS)
}

/// Returns the first of the [`MEMBERS`] consecutive users of a resource.
fn first(index: usize) -> usize {
    index * 7
}

fn members(index: usize) -> impl Iterator<Item = String> {
    (first(index)..first(index) + MEMBERS).map(user)
}

fn resource(index: usize, names: MemberForm, prune: Prune) -> ChannelMembership {
    let written = |id: String| if names == MemberForm::Arns { format!("{INSTANCE}/user/{id}") } else { id };
    let members = members(index).map(written).collect();
    let spec =
        ChannelMembershipSpec { channel_arn: channel(index), members: Some(members), prune, ..Default::default() };
    ChannelMembership::new(&name(index), spec)
}

/// A resource without its members, which the benchmark does not read.
#[derive(Resource, Clone, Debug, Deserialize)]
#[resource(inherit = "ChannelMembership")]
struct Outline {
    metadata: ObjectMeta,
    #[serde(default)]
    status: FleetMemberCounts,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FleetMemberCounts {
    observed_generation: Option<i64>,
    desired: Option<usize>,
    present: Option<usize>,
}

impl Outline {
    fn is_complete(&self) -> bool {
        let FleetMemberCounts { observed_generation, desired, present } = &self.status;
        *observed_generation == self.metadata.generation && desired.is_some() && desired == present
    }
}

/// Counts complete resources and writes. All resources exist when the watch begins, so
/// each `Apply` event is a write.
async fn observe(client: Client, tell: watch::Sender<FleetStatus>) {
    let complete = Arc::new(Mutex::new(HashSet::new()));
    let changes = watcher(Api::<Outline>::all(client), watcher::Config::default()).default_backoff();
    changes
        .for_each(|event| {
            let mut complete = complete.lock().unwrap_or_else(PoisonError::into_inner);
            let (object, written) = match event {
                Ok(watcher::Event::Apply(object)) => (object, 1),
                Ok(watcher::Event::InitApply(object)) => (object, 0),
                Ok(_) => return std::future::ready(()),
                Err(error) => {
                    eprintln!("the watch failed, so some writes are not counted: {error}");
                    return std::future::ready(());
                }
            };
            let is_complete = object.is_complete();
            let name = object.metadata.name.unwrap_or_default();
            if is_complete {
                complete.insert(name)
            } else {
                complete.remove(&name)
            };
            tell.send_modify(|seen| {
                seen.writes += written;
                seen.complete = complete.len();
            });
            std::future::ready(())
        })
        .await;
}
