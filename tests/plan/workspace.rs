//! A service and a folder in which `rollcall plan` runs.

#![allow(dead_code, reason = "each test uses its own part")]

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use rollcall::simulator::{ApiOperation, ChannelSeed, Quotas, Seed, Simulator, SimulatorOptions};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::time::timeout;

pub const INSTANCE: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/1f";
pub const BEARER: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/1f/user/rollcall";

/// This bound only ends a hanging test.
const DEADLINE: Duration = Duration::from_mins(5);

pub struct Workspace {
    pub simulator: Simulator,
    pub folder: TempDir,
}

/// The output of a command and its exit code.
#[derive(Debug)]
pub struct CommandOutput {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl CommandOutput {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn last_line(&self) -> &str {
        self.stdout.lines().last().unwrap_or_default()
    }
}

/// Returns a resource of the namespace `care`, as people write it.
#[expect(clippy::needless_pass_by_value, reason = "it is written where it is given")]
pub fn resource(name: &str, spec: Value) -> Value {
    let mut all = json!({"channelArn": format!("{INSTANCE}/channel/{name}")});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    json!({
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "ChannelMembership",
        "metadata": {"name": name, "namespace": "care"},
        "spec": all,
    })
}

/// Returns the same resource as a cluster has it once all `members` are present and declared.
pub fn carried_out(name: &str, spec: Value) -> Value {
    let mut object = resource(name, spec);
    let members = object["spec"]["members"].clone();
    object["metadata"]["uid"] = json!(format!("uid-{name}"));
    object["metadata"]["generation"] = json!(3);
    object["metadata"]["resourceVersion"] = json!("77");
    object["metadata"]["creationTimestamp"] = json!("2026-01-02T03:04:05Z");
    object["status"] = json!({
        "observedGeneration": 3,
        "desired": members.as_array().map_or(0, Vec::len),
        "lastDeclared": members,
        "lastDeclaredUID": format!("uid-{name}"),
        "lastDeclaredAt": "2126-01-02T03:04:05Z",
    });
    object
}

impl Workspace {
    /// Returns a workspace with two channels. Rollcall added alice, bob and carol to `support`,
    /// another user added zoe; `lobby` is empty.
    pub async fn open() -> Self {
        let support = ChannelSeed::new("support")
            .invited("erin", None, ["zoe"])
            .invited("rollcall", None, ["alice", "bob", "carol"])
            .moderators(["carol"]);
        let seed = Seed::new(INSTANCE)
            .users(["alice", "bob", "carol", "dave", "erin", "zoe", "rollcall"])
            .admins(["rollcall"])
            .channel(support)
            .channel(ChannelSeed::new("lobby"));
        Self::with(seed).await
    }

    pub async fn with(seed: Seed) -> Self {
        let simulator = Simulator::start(SimulatorOptions { seed, quotas: Quotas::Off, ..SimulatorOptions::default() })
            .await
            .unwrap();
        Self { simulator, folder: tempfile::tempdir().unwrap() }
    }

    /// Writes a file of these objects.
    pub fn write(&self, name: &str, objects: &[Value]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        std::fs::write(&path, serde_json::to_string_pretty(&list).unwrap()).unwrap();
        path
    }

    /// Returns the command `rollcall plan` for the folder. It is killed if its test ends first.
    pub fn command(&self, args: &[&str]) -> Command {
        self.rollcall("plan", args)
    }

    /// Returns a command of rollcall for the folder. It is killed if its test ends first.
    pub fn rollcall(&self, command: &str, args: &[&str]) -> Command {
        let name = command;
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
        command
            .env_clear()
            .env("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", self.simulator.endpoint())
            .env("AWS_ACCESS_KEY_ID", "simulator")
            .env("AWS_SECRET_ACCESS_KEY", "simulator")
            .env("AWS_REGION", "us-east-1")
            .env("ROLLCALL_BEARER_RATE", "0")
            .env("ROLLCALL_CHANNEL_LIST_RATE", "0")
            .env("ROLLCALL_CHIME_BEARER", BEARER)
            .current_dir(self.folder.path())
            .arg(name)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs `rollcall plan`.
    pub async fn plan(&self, args: &[&str]) -> CommandOutput {
        let output = timeout(DEADLINE, self.command(args).output()).await.expect("the command ends").unwrap();
        said(output)
    }

    /// Runs `rollcall apply`.
    pub async fn apply(&self, args: &[&str]) -> CommandOutput {
        self.end_of(self.rollcall("apply", args).spawn().unwrap()).await
    }

    /// Waits until a command ends.
    pub async fn end_of(&self, child: Child) -> CommandOutput {
        said(timeout(DEADLINE, child.wait_with_output()).await.expect("the command ends").unwrap())
    }

    /// Runs `rollcall plan` with this standard input.
    pub async fn plan_of(&self, input: &str, args: &[&str]) -> CommandOutput {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        said(timeout(DEADLINE, child.wait_with_output()).await.expect("the command ends").unwrap())
    }

    /// Checks that only reading calls were made.
    pub fn nothing_was_changed(&self) {
        let changes = [ApiOperation::BatchCreateChannelMembership, ApiOperation::DeleteChannelMembership];
        let calls = self.simulator.call_counts();
        assert!(changes.iter().all(|change| !calls.contains_key(change)), "{calls:?}");
    }

    /// Returns the number of calls in all.
    pub fn calls(&self) -> u64 {
        self.simulator.call_counts().values().sum()
    }
}

fn said(output: Output) -> CommandOutput {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    CommandOutput { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
