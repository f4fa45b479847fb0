//! A stage is the setting of a story, with functions that wait for the expected state.

use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use rollcall::api::{ChannelMembership, ChannelMembershipStatus, MembershipType, custom_resource_definition};
use rollcall::simulator::{ApiOperation, ChannelSeed, Quotas, Seed, Simulator, SimulatorOptions};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout};

use crate::control_plane::ControlPlane;
use crate::operator::{Launch, Operator};

/// The app instance of most stories.
pub const INSTANCE: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/1f";

/// The bearer that signs the operator's calls.
pub const BEARER: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/1f/user/rollcall";

/// Flags that lift all rate limits but the service's own, so that a story does not wait for a
/// permit.
pub const UNPACED: [&str; 3] = ["--bearer-rate=0", "--channel-batch-rate=0", "--channel-list-rate=0"];

/// This bound only ends a hanging test.
pub const DEADLINE: Duration = Duration::from_mins(5);
const POLL: Duration = Duration::from_millis(50);

/// A namespace, a service, and the operators that run there.
pub struct Stage {
    pub simulator: Simulator,
    pub namespace: String,
    pub resources: Api<ChannelMembership>,
    pub cluster: Client,
    kubeconfig: PathBuf,
    folder: TempDir,
}

/// Returns the ARN of a channel.
pub fn channel(id: &str) -> String {
    format!("{INSTANCE}/channel/{id}")
}

/// Returns the ARN of a user.
pub fn user(id: &str) -> String {
    format!("{INSTANCE}/user/{id}")
}

/// Returns this number of ids of users, in order.
pub fn ids(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("m{n:04}")).collect()
}

/// Returns an app instance with this number of users, the operator's bearer as its admin and an
/// empty channel `support`.
pub fn seed(users: usize) -> Seed {
    Seed::new(INSTANCE).users(ids(users)).users(["rollcall"]).admins(["rollcall"]).channel(ChannelSeed::new("support"))
}

/// Returns a spec for the channel `support`.
pub fn support(members: &[impl AsRef<str>]) -> Value {
    spec("support", members)
}

/// Returns a spec for a channel.
pub fn spec(channel_id: &str, members: &[impl AsRef<str>]) -> Value {
    json!({"channelArn": channel(channel_id), "members": members.iter().map(AsRef::as_ref).collect::<Vec<_>>()})
}

/// Returns the control plane of this process, with the kind installed.
pub async fn shared() -> &'static ControlPlane {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let control_plane = ControlPlane::shared().await.unwrap();
    let install = || async { control_plane.install_crd(&custom_resource_definition()).await.unwrap() };
    INSTALLED.get_or_init(install).await;
    control_plane
}

/// Waits until `look` finds a value, or fails with this text.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {} s", DEADLINE.as_secs());
        sleep(POLL).await;
    }
}

impl Stage {
    /// Opens a namespace of the shared control plane and a service without quotas.
    pub async fn open(seed: Seed) -> Self {
        Self::with(shared().await, SimulatorOptions { seed, quotas: Quotas::Off, ..SimulatorOptions::default() }).await
    }

    /// Opens a namespace of this control plane with this service.
    pub async fn with(control_plane: &ControlPlane, options: SimulatorOptions) -> Self {
        let namespace = control_plane.namespace("story").await.unwrap();
        let cluster = control_plane.client().await.unwrap();
        Self {
            simulator: Simulator::start(options).await.unwrap(),
            resources: Api::namespaced(cluster.clone(), &namespace),
            cluster,
            namespace,
            kubeconfig: control_plane.kubeconfig(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Has later operators use this kubeconfig, with the rights that it gives.
    pub fn act_by(&mut self, kubeconfig: PathBuf) {
        self.kubeconfig = kubeconfig;
    }

    /// Creates a ConfigMap, or replaces it.
    pub async fn config_map(&self, name: &str, data: Value) {
        let maps: Api<ConfigMap> = Api::namespaced(self.cluster.clone(), &self.namespace);
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
        maps.patch(name, &PatchParams::apply("story").force(), &Patch::Apply(map)).await.unwrap();
    }

    /// Deletes a ConfigMap.
    pub async fn delete_config_map(&self, name: &str) {
        let maps: Api<ConfigMap> = Api::namespaced(self.cluster.clone(), &self.namespace);
        maps.delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Starts an operator of this namespace, without rate limits and with the usual bearer.
    pub fn operator(&self, flags: &[&str]) -> Operator {
        let bearer = format!("--chime-bearer={BEARER}");
        self.bare_operator(&[&[bearer.as_str()], UNPACED.as_slice(), flags].concat())
    }

    /// Starts an operator of this namespace with only these flags.
    pub fn bare_operator(&self, flags: &[&str]) -> Operator {
        let namespace = format!("--watch-namespace={}", self.namespace);
        self.operator_of(&self.simulator.endpoint(), &[&[namespace.as_str()], flags].concat())
    }

    /// Starts an operator with only these flags, for another service.
    pub fn operator_of(&self, endpoint: &str, flags: &[&str]) -> Operator {
        self.launch(endpoint, flags, &[])
    }

    /// Starts an operator without flags, with these variables.
    pub fn operator_with_environment(&self, variables: &[(&str, &str)]) -> Operator {
        self.launch(&self.simulator.endpoint(), &[], variables)
    }

    /// Starts the operator of most stories with these variables.
    pub fn operator_with(&self, variables: &[(&str, &str)]) -> Operator {
        let (bearer, namespace) = (format!("--chime-bearer={BEARER}"), format!("--watch-namespace={}", self.namespace));
        let flags = [&[bearer.as_str(), namespace.as_str()], UNPACED.as_slice()].concat();
        self.launch(&self.simulator.endpoint(), &flags, variables)
    }

    /// Starts one of several operators of this namespace that compete for a lease. It may have a
    /// kubeconfig of its own, and has a log of its own.
    pub fn replica(&self, name: &str, kubeconfig: Option<&Path>, flags: &[&str]) -> Operator {
        let log = self.folder.path().join(format!("{name}.log"));
        let (program, endpoint) = (Path::new(env!("CARGO_BIN_EXE_rollcall")), self.simulator.endpoint());
        let kubeconfig = kubeconfig.unwrap_or(&self.kubeconfig);
        let mut command = Launch { program, kubeconfig, endpoint: &endpoint, log: &log }.command();
        let namespace = &self.namespace;
        command.arg(format!("--chime-bearer={BEARER}")).args(UNPACED).arg(format!("--watch-namespace={namespace}"));
        command.args(["--leader-elect", "--lease-namespace", namespace]).args(flags).env("HOSTNAME", name);
        Operator::spawn(&command, &log).unwrap()
    }

    fn launch(&self, endpoint: &str, flags: &[&str], variables: &[(&str, &str)]) -> Operator {
        let log = self.log();
        let program = Path::new(env!("CARGO_BIN_EXE_rollcall"));
        let launch = Launch { program, kubeconfig: &self.kubeconfig, endpoint, log: &log };
        let mut command = launch.command();
        command.args(flags).envs(variables.iter().copied());
        Operator::spawn(&command, &log).unwrap()
    }

    /// Returns the path of the operator's log, which outlives the operator.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("operator.log")
    }

    /// Applies a resource on the server side, as GitOps does.
    pub async fn apply(&self, name: &str, spec: Value) -> ChannelMembership {
        self.try_apply(name, spec).await.unwrap()
    }

    /// Applies a resource as [`Self::apply`] does, and returns a refusal of the API server.
    pub async fn try_apply(&self, name: &str, spec: Value) -> Result<ChannelMembership, kube::Error> {
        let object = json!({
            "apiVersion": "rollcall.dev/v1alpha1",
            "kind": "ChannelMembership",
            "metadata": {"name": name},
            "spec": spec,
        });
        self.resources.patch(name, &PatchParams::apply("story").force(), &Patch::Apply(object)).await
    }

    /// Changes a part of a resource, as `kubectl patch --type=merge` does.
    pub async fn patch(&self, name: &str, patch: Value) {
        self.resources.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// Requests a reconcile. Returns the value that the status will have once the reconcile is
    /// done.
    pub async fn request_reconcile(&self, name: &str) -> String {
        let asked = fastrand::u64(..).to_string();
        self.patch(name, json!({"metadata": {"annotations": {"rollcall.dev/reconcile-requested-at": asked}}})).await;
        asked
    }

    /// Requests a reconcile and waits until it is done.
    pub async fn reconcile(&self, name: &str) -> ChannelMembership {
        let asked = self.request_reconcile(name).await;
        self.until(name, "the reconcile is done", |it| status(it).last_handled_reconcile_at.as_deref() == Some(&asked))
            .await
    }

    /// Returns the resource as it is.
    pub async fn get(&self, name: &str) -> ChannelMembership {
        self.resources.get(name).await.unwrap()
    }

    /// Waits until a resource is as expected.
    pub async fn until(&self, name: &str, what: &str, holds: impl Fn(&ChannelMembership) -> bool) -> ChannelMembership {
        let mut last = None;
        let deadline = Instant::now() + DEADLINE;
        loop {
            // A request to an API server that is away is repeated.
            if let Ok(object) = self.resources.get(name).await {
                if holds(&object) {
                    return object;
                }
                last = object.status;
            }
            if Instant::now() > deadline {
                let last = serde_json::to_string_pretty(&last).unwrap();
                panic!("{name}: {what}: not within {} s; status: {last}\n{}", DEADLINE.as_secs(), self.log_tail());
            }
            sleep(POLL).await;
        }
    }

    /// Waits until Ready has this reason for the current generation of a resource.
    pub async fn until_reason(&self, name: &str, reason: &str) -> ChannelMembership {
        let says =
            |it: &ChannelMembership| status(it).observed_generation == it.metadata.generation && ready(it).1 == reason;
        self.until(name, reason, says).await
    }

    /// Waits until the service is as expected.
    pub async fn until_service(&self, what: &str, holds: impl FnMut(&Simulator) -> bool) {
        if timeout(DEADLINE, self.simulator.wait_until(holds)).await.is_err() {
            panic!("{what}: not within {} s\n{}", DEADLINE.as_secs(), self.log_tail());
        }
    }

    /// Waits for this number of further listings.
    pub async fn until_listed(&self, times: u64) {
        let before = self.calls(ApiOperation::ListChannelMemberships);
        let more = |service: &Simulator| count(service, ApiOperation::ListChannelMemberships) >= before + times;
        self.until_service("more listings", more).await;
    }

    /// Returns the number of calls of an operation.
    pub fn calls(&self, operation: ApiOperation) -> u64 {
        count(&self.simulator, operation)
    }

    /// Returns the members of type DEFAULT of a channel, by id.
    pub fn present(&self, channel_id: &str) -> Vec<String> {
        let members = self.simulator.list_members(&channel(channel_id), MembershipType::Default);
        members.iter().map(|arn| arn.rsplit('/').next().unwrap().to_owned()).collect()
    }

    /// Returns the number of members of type DEFAULT of a channel.
    pub fn count(&self, channel_id: &str) -> usize {
        self.simulator.member_count(&channel(channel_id), MembershipType::Default)
    }

    /// Returns the Events about a resource once there is one: the operator sends it a moment after
    /// the status.
    pub async fn events(&self, name: &str) -> Vec<Event> {
        let events: Api<Event> = Api::namespaced(self.cluster.clone(), &self.namespace);
        eventually("an event", async || {
            let mut about = events.list(&ListParams::default()).await.unwrap().items;
            about.retain(|event| event.regarding.as_ref().and_then(|it| it.name.as_deref()) == Some(name));
            (!about.is_empty()).then_some(about)
        })
        .await
    }

    fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

/// Returns the number of calls of an operation that a service has answered.
pub fn count(simulator: &Simulator, operation: ApiOperation) -> u64 {
    simulator.call_counts().get(&operation).copied().unwrap_or_default()
}

/// Returns the status, or an empty one if there is none.
pub fn status(object: &ChannelMembership) -> ChannelMembershipStatus {
    object.status.clone().unwrap_or_default()
}

/// Returns status, reason and message of a condition, or empty texts if there is none.
pub fn condition(object: &ChannelMembership, kind: &str) -> (String, String, String) {
    let all = status(object).conditions;
    let found = all.into_iter().find(|condition| condition.type_ == kind);
    found.map(|it| (it.status, it.reason, it.message)).unwrap_or_default()
}

/// Returns status, reason and message of Ready.
pub fn ready(object: &ChannelMembership) -> (String, String, String) {
    condition(object, "Ready")
}

/// Returns the status of Ready, Reconciling and Stalled, in this order.
pub fn verdict(object: &ChannelMembership) -> [String; 3] {
    ["Ready", "Reconciling", "Stalled"].map(|kind| condition(object, kind).0)
}

/// Returns the numbers of declared, present, pending and refused members.
pub fn counts(object: &ChannelMembership) -> [u32; 4] {
    let status = status(object);
    [status.desired, status.present, status.pending, status.failed].map(|count| count.unwrap_or(u32::MAX))
}
