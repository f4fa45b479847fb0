//! A release of the chart on a real API server. The tests run its pods, because there is no
//! kubelet.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rollcall::simulator::{Quotas, Seed, Simulator, SimulatorOptions};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::control_plane::ControlPlane;
use crate::operator::Operator;
use crate::tools::{CHART, ProgramOutput, run_against};

/// The app instance of the channels.
pub const INSTANCE: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/1f";
pub const BEARER: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/1f/user/rollcall";

/// This bound only ends a hanging test.
pub const DEADLINE: Duration = Duration::from_mins(15);
const POLL: Duration = Duration::from_millis(100);

/// The audit log has the user, the verb, the object and the result of each request.
const AUDIT: &str =
    "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n";

/// A right as RBAC grants it and the audit log reports it: API group, resource, verb.
pub type Right = (String, String, String);

/// The chart on an API server of its own, and a service that its operator calls.
pub struct Release {
    pub cluster: ControlPlane,
    pub service: Arc<Simulator>,
    folder: TempDir,
    /// The ports of metrics and of health.
    pub ports: [u16; 2],
}

impl Release {
    /// Installs the chart as the release `rollcall` in the namespace `rollcall`, with these values
    /// in addition to the ones that a test needs, and creates these namespaces.
    pub async fn install(seed: Seed, namespaces: &[&str], values: Value) -> Self {
        let service = Simulator::start(SimulatorOptions { seed, quotas: Quotas::Off, ..SimulatorOptions::default() })
            .await
            .unwrap();
        Self::install_for(Arc::new(service), namespaces, values).await
    }

    /// Installs the chart as [`Self::install`] does, for a service that other tests may use as
    /// well.
    pub async fn install_for(service: Arc<Simulator>, namespaces: &[&str], values: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("policy.yaml"), AUDIT).unwrap();
        let at = folder.path().display();
        let policy = format!("--audit-policy-file={at}/policy.yaml");
        let log = format!("--audit-log-path={at}/audit.log");
        let cluster = ControlPlane::start_with(&[&policy, &log]).await.unwrap();
        let release = Self { cluster, service, folder, ports: [free_port(), free_port()] };
        for namespace in namespaces {
            release.kubectl(&["create", "namespace", namespace]).await;
        }
        release.upgrade(values).await;
        release.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=15m"]).await;
        release
    }

    /// Installs the chart, or upgrades it, with these values and no others.
    pub async fn upgrade(&self, values: Value) -> ProgramOutput {
        let mut all = json!({
            "chimeBearers": [BEARER],
            "aws": {"endpointUrl": self.service.endpoint()},
            "extraEnv": [
                {"name": "AWS_ACCESS_KEY_ID", "value": "test"},
                {"name": "AWS_SECRET_ACCESS_KEY", "value": "test"},
            ],
            "metrics": {"host": "127.0.0.1", "port": self.ports[0]},
            "leaderElection": {"leaseDuration": "3s"},
            "health": {"host": "127.0.0.1", "port": self.ports[1]},
        });
        all.as_object_mut().unwrap().extend(values.as_object().unwrap().clone());
        let file = self.folder.path().join("values.yaml");
        fs::write(&file, all.to_string()).unwrap();
        let values = format!("--values={}", file.display());
        self.helm(&["upgrade", "--install", "rollcall", CHART, "--create-namespace", &values]).await.expect_success()
    }

    /// Runs helm in the namespace of the release.
    pub async fn helm(&self, arguments: &[&str]) -> ProgramOutput {
        let arguments = [arguments, &["--namespace=rollcall"]].concat();
        run_against(&self.cluster.kubeconfig(), "helm", &arguments).await
    }

    /// Runs kubectl, which has to succeed, and returns its output.
    pub async fn kubectl(&self, arguments: &[&str]) -> String {
        let answer = self.cluster.kubectl(arguments).await.unwrap();
        assert!(answer.success, "kubectl {arguments:?}: {}", answer.stderr);
        answer.stdout
    }

    /// Applies a manifest.
    pub async fn apply(&self, manifest: &Value) {
        let apply = ["apply", "--server-side", "--filename=-"];
        let answer = self.cluster.kubectl_with_input(&apply, &manifest.to_string()).await.unwrap();
        assert!(answer.success, "{}", answer.stderr);
    }

    /// Returns an object as it is.
    pub async fn get(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.kubectl(&[&["get", "--output=json"], arguments].concat()).await).unwrap()
    }

    /// Runs kubectl until its output is as expected, or fails with this text.
    pub async fn until(&self, what: &str, arguments: &[&str], holds: impl Fn(&str) -> bool) {
        let mut last = String::new();
        let holds = async || {
            last = self.kubectl(arguments).await;
            holds(&last)
        };
        let held = eventually(holds).await;
        assert!(held, "{what}: not within {} s; last: {last}\n{}", DEADLINE.as_secs(), self.log());
    }

    /// Starts the operator as its Deployment says: program, arguments, variables, account and
    /// files.
    pub async fn operator(&self) -> Operator {
        let deployment = self.get(&["deployment", "rollcall", "--namespace=rollcall"]).await;
        let command = self.container(&deployment["spec"]["template"]["spec"]).await;
        Operator::spawn(&command, &self.folder.path().join("operator.log")).unwrap()
    }

    /// Does the work of a node's controllers and kubelet for as long as it is polled: keeps the
    /// operator running as its Deployment says, and runs Jobs to their end.
    pub async fn node(&self) {
        let mut running: Option<(Value, Operator)> = None;
        loop {
            let wanted = self.deployment().await;
            if running.as_ref().map(|(pod, _)| pod) != wanted.as_ref() {
                if let Some((_, operator)) = running.take() {
                    operator.stop().await.unwrap();
                }
                if let Some(pod) = wanted {
                    let command = self.container(&pod).await;
                    let operator = Operator::spawn(&command, &self.file("operator.log")).unwrap();
                    running = Some((pod, operator));
                }
            }
            let jobs = self.get(&["jobs", "--namespace=rollcall"]).await;
            for job in jobs["items"].as_array().unwrap().iter().filter(|job| job["status"]["succeeded"].is_null()) {
                self.run_job(job).await;
            }
            sleep(POLL).await;
        }
    }

    /// Returns the pod that the operator's Deployment asks for, if there is one.
    async fn deployment(&self) -> Option<Value> {
        let get = ["get", "deployment", "rollcall", "--namespace=rollcall", "--ignore-not-found", "--output=json"];
        let deployment: Value = serde_json::from_str(&self.kubectl(&get).await).ok()?;
        (deployment["spec"]["replicas"] != 0).then(|| deployment["spec"]["template"]["spec"].clone())
    }

    /// Runs a Job and marks it as complete in its status.
    async fn run_job(&self, job: &Value) {
        let mut command = tokio::process::Command::from(self.container(&job["spec"]["template"]["spec"]).await);
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let condition = |kind: &str| json!({"type": kind, "status": "True", "reason": "CompletionsReached", "lastTransitionTime": now});
        let status = json!({"status": {
            "startTime": now, "completionTime": now, "succeeded": 1, "uncountedTerminatedPods": {},
            "conditions": [condition("SuccessCriteriaMet"), condition("Complete")],
        }});
        let name = job["metadata"]["name"].as_str().unwrap();
        let patch = format!("--patch={status}");
        self.kubectl(&["patch", "job", name, "--namespace=rollcall", "--subresource=status", "--type=merge", &patch])
            .await;
    }

    /// Returns the command that a kubelet would run for the first container of a pod.
    pub async fn container(&self, pod: &Value) -> Command {
        let container = &pod["containers"][0];
        let account = pod["serviceAccountName"].as_str().unwrap();
        let token = self.kubectl(&["create", "token", account, "--namespace=rollcall"]).await;
        let kubeconfig = self.cluster.kubeconfig_by_token(account, token.trim()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
        for (name, _) in std::env::vars_os() {
            let upper = name.to_string_lossy().to_uppercase();
            if upper.starts_with("AWS_") || upper.starts_with("ROLLCALL_") || upper.ends_with("_PROXY") {
                command.env_remove(name);
            }
        }
        command.env("KUBECONFIG", kubeconfig).env("AWS_CONFIG_FILE", "/dev/null");
        command.env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
        for variable in container["env"].as_array().into_iter().flatten() {
            command.env(variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap());
        }
        let files = self.mount(pod).await;
        for argument in container["args"].as_array().unwrap() {
            let argument = argument.as_str().unwrap();
            command.arg(argument.replace("/etc/rollcall", files.to_str().unwrap()));
        }
        command
    }

    /// Writes the ConfigMaps that a pod mounts at `/etc/rollcall` to a folder.
    async fn mount(&self, pod: &Value) -> PathBuf {
        let folder = self.folder.path().join("mounted");
        fs::create_dir_all(&folder).unwrap();
        for name in pod["volumes"].as_array().into_iter().flatten().filter_map(|it| it["configMap"]["name"].as_str()) {
            let map = self.get(&["configmap", name, "--namespace=rollcall"]).await;
            for (file, text) in map["data"].as_object().unwrap() {
                fs::write(folder.join(file), text.as_str().unwrap()).unwrap();
            }
        }
        folder
    }

    /// Returns the log of the operator.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("operator.log")).unwrap_or_default()
    }

    /// Returns the path of a file in the release's own folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the rights that roles of this component grant to an account of the release.
    pub async fn granted(&self, component: &str) -> BTreeSet<Right> {
        let selector =
            format!("--selector=app.kubernetes.io/instance=rollcall,app.kubernetes.io/component={component}");
        let roles = self.get(&["roles,clusterroles", "--all-namespaces", &selector]).await;
        let mut rights = BTreeSet::new();
        for rule in roles["items"].as_array().unwrap().iter().flat_map(|role| role["rules"].as_array().unwrap()) {
            for (group, resource, verb) in product(rule) {
                rights.insert((group, resource, verb));
            }
        }
        assert!(!rights.is_empty(), "{roles}");
        rights
    }

    /// Returns the rights that an account used, and the calls that were refused.
    pub fn used(&self, account: &str) -> (BTreeSet<Right>, Vec<String>) {
        let (mut used, mut refused) = (BTreeSet::new(), Vec::new());
        let log = fs::read_to_string(self.folder.path().join("audit.log")).unwrap();
        for line in log.lines() {
            // The last line may be half written.
            let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
            if event["user"]["username"] != format!("system:serviceaccount:rollcall:{account}") {
                continue;
            }
            let object = &event["objectRef"];
            let Some(resource) = object["resource"].as_str() else { continue };
            if event["responseStatus"]["code"] == 403 {
                refused.push(line.to_owned());
            }
            let resource =
                object["subresource"].as_str().map_or(resource.to_owned(), |sub| format!("{resource}/{sub}"));
            used.insert((text(&object["apiGroup"]), resource, text(&event["verb"])));
        }
        (used, refused)
    }
}

fn product(rule: &Value) -> Vec<Right> {
    let list = |name: &str| rule[name].as_array().unwrap().iter().map(text).collect::<Vec<_>>();
    let mut rights = Vec::new();
    for group in list("apiGroups") {
        for resource in list("resources") {
            rights.extend(list("verbs").into_iter().map(|verb| (group.clone(), resource.clone(), verb)));
        }
    }
    rights
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Returns whether something holds within the deadline.
pub async fn eventually(mut holds: impl AsyncFnMut() -> bool) -> bool {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if holds().await {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        sleep(POLL).await;
    }
}

/// Returns the body of a page of the operator.
pub fn page(port: u16, path: &str) -> std::io::Result<String> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Returns the path of the program under test.
pub fn rollcall() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_rollcall"))
}
