//! A cluster with a channel service and the operator, and programs beside it.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rollcall::api::MembershipType;
use rollcall::simulator::{Seed, Simulator, SimulatorOptions};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::control_plane::{ControlPlane, Program};
use crate::operator::{Launch, Operator};

pub const INSTANCE: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/demo";
/// This bound only ends a hanging test.
const DEADLINE: Duration = Duration::from_mins(15);
const POLL: Duration = Duration::from_millis(200);

/// An API server of its own with the channel service of `examples/simulator/seed.yaml`.
pub struct Cluster {
    pub control_plane: ControlPlane,
    pub simulator: Simulator,
    /// The folder of the pinned programs.
    pub tools: PathBuf,
}

impl Cluster {
    /// Starts a cluster with the kinds of one of the pinned programs.
    pub async fn start(program: &str, others: &[&str]) -> Self {
        let tools = crate::repository::tools(&[&[program], others].concat());
        let control_plane = ControlPlane::start().await.unwrap();
        let seed =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/simulator/seed.yaml")).unwrap();
        let seed = Seed::from_yaml(&seed).unwrap();
        let simulator = Simulator::start(SimulatorOptions { seed, ..SimulatorOptions::default() }).await.unwrap();
        let cluster = Self { control_plane, simulator, tools };
        let kinds = fs::read_to_string(cluster.tools.join(format!("{program}.crds.yaml"))).unwrap();
        for kind in serde_yaml::from_multiple(&kinds).unwrap() {
            cluster.control_plane.install_crd(&kind).await.unwrap();
        }
        cluster
    }

    /// Starts the operator for all namespaces.
    pub fn operator(&self) -> Operator {
        let launch = Launch {
            program: Path::new(env!("CARGO_BIN_EXE_rollcall")),
            kubeconfig: &self.control_plane.kubeconfig(),
            endpoint: &self.simulator.endpoint(),
            log: &self.control_plane.folder().join("operator.log"),
        };
        let bearer = format!("--chime-bearer={INSTANCE}/user/rollcall");
        Operator::start(&launch, [bearer.as_str(), "--bearer-rate=0", "--channel-batch-rate=0"]).unwrap()
    }

    /// Starts one of the pinned programs. It runs until the result is dropped, and finds the
    /// cluster by KUBECONFIG.
    pub fn program(&self, name: &str, arguments: &[String], variables: &[(&str, &str)]) -> Program {
        let mut command = Command::new(self.tools.join(name));
        let home = self.control_plane.folder();
        command
            .args(arguments)
            .env("HOME", home)
            .env("TMPDIR", home)
            .env("KUBECONFIG", self.control_plane.kubeconfig());
        for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            command.env_remove(proxy);
        }
        command.envs(variables.iter().copied());
        let log =
            variables.iter().find(|(variable, _)| *variable == "ARGOCD_BINARY_NAME").map_or(name, |(_, value)| value);
        Program::spawn(&command, home.join(format!("{log}.log")), None).unwrap()
    }

    /// Runs kubectl, which has to succeed, and returns its output.
    pub async fn kubectl(&self, arguments: &[&str]) -> String {
        self.kubectl_with(arguments, "").await
    }

    /// Runs kubectl as [`Self::kubectl`] does, with this standard input.
    pub async fn kubectl_with(&self, arguments: &[&str], input: &str) -> String {
        let answer = self.control_plane.kubectl_with_input(arguments, input).await.unwrap();
        assert!(answer.success, "kubectl {arguments:?}: {}", answer.stderr);
        answer.stdout
    }

    /// Returns an object as JSON, or null if it does not exist.
    pub async fn get(&self, namespace: &str, kind: &str, name: &str) -> Value {
        let get = ["get", kind, name, "--namespace", namespace, "--output=json", "--ignore-not-found"];
        let answer = self.control_plane.kubectl(&get).await.unwrap();
        serde_json::from_str(&answer.stdout).unwrap_or_default()
    }

    /// Waits until an object is as expected. A failure prints `log`, the log of the responsible
    /// program.
    pub async fn until(
        &self,
        what: &str,
        (namespace, kind, name): (&str, &str, &str),
        log: &Program,
        holds: impl Fn(&Value) -> bool,
    ) -> Value {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let object = self.get(namespace, kind, name).await;
            if holds(&object) {
                return object;
            }
            assert!(Instant::now() < deadline, "{what}: not seen; last: {:#}\n{}", object["status"], log.tail());
            sleep(POLL).await;
        }
    }

    /// Returns the resource of the repository.
    pub async fn support(&self) -> Value {
        self.get("care", "chm", "support").await
    }

    /// Returns the members of its channel.
    pub fn members(&self) -> BTreeSet<String> {
        let arns = self.simulator.list_members(&format!("{INSTANCE}/channel/support"), MembershipType::Default);
        arns.iter().map(|arn| arn.rsplit('/').next().unwrap().to_owned()).collect()
    }

    /// Waits until the channel has these members.
    pub async fn until_members(&self, ids: &[&str]) {
        let wanted: BTreeSet<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        let there = self.simulator.wait_until(|_| self.members() == wanted);
        let reached = tokio::time::timeout(DEADLINE, there).await;
        assert!(reached.is_ok(), "{ids:?} wanted, {:?} seen", self.members());
    }
}

/// Returns the reason of the condition Ready.
pub fn reason(object: &Value) -> &str {
    condition(object, "Ready")["reason"].as_str().unwrap_or_default()
}

/// Returns a condition, or null if there is none.
pub fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    let conditions = object["status"]["conditions"].as_array();
    conditions.and_then(|all| all.iter().find(|it| it["type"] == kind)).unwrap_or(&Value::Null)
}

/// Returns a port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
