//! A node for a test, and programs beside it.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// This bound only ends a hanging test.
const DEADLINE: Duration = Duration::from_mins(15);
const POLL: Duration = Duration::from_millis(200);
/// `hack/node` says with this text that the host cannot have a node.
const CANNOT: i32 = 77;

/// A node with its control plane, its registry and all logs.
pub struct Node {
    process: Child,
    beside: Vec<Child>,
    first: String,
    tools: PathBuf,
    folder: PathBuf,
}

impl Node {
    /// Starts a node. Returns `None` if the host cannot have one; the script prints the reason.
    pub fn start() -> Option<Self> {
        // The node removes it, even if this process is killed.
        let folder = tempfile::Builder::new().prefix("rollcall-node-").tempdir().unwrap().keep();
        let tools = Command::new("hack/control-plane-tools").args(["kubectl", "helm", "crane"]).output().unwrap();
        assert!(tools.status.success(), "{}", String::from_utf8_lossy(&tools.stderr));
        let tools = PathBuf::from(String::from_utf8(tools.stdout).unwrap().trim());
        // The node lives as long as its standard input is open, so it ends with this process.
        let mut process = Command::new("hack/node")
            .arg(&folder)
            .arg("--remove")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut first).unwrap();
        if first.is_empty() {
            let status = process.wait().unwrap();
            assert_eq!(status.code(), Some(CANNOT), "the node did not start");
            fs::remove_dir_all(&folder).unwrap();
            return None;
        }
        Some(Self { process, beside: Vec::new(), first: first.trim().to_owned(), tools, folder })
    }

    /// Starts a program in the node's network, which runs until the node ends.
    pub fn keep(&mut self, command: &mut Command) {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.beside.push(command.spawn().unwrap());
    }

    /// Writes a file that the node's programs can read.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Returns a command in the node's network, which ends with the node.
    pub fn program(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.first, "--net", "--pid", "--"]).arg(program.as_ref());
        command.env("KUBECONFIG", self.folder.join("kubeconfig")).env("HOME", &self.folder);
        for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            command.env_remove(proxy);
        }
        command
    }

    /// Returns a command for one of the pinned programs in the node's network.
    pub fn tool(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = self.program(self.tools.join(name));
        command.args(arguments);
        command
    }

    /// Runs kubectl, which has to succeed, and returns its output.
    #[track_caller]
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        said(&self.tool("kubectl", arguments).stdin(Stdio::null()).output().unwrap(), || {
            format!("kubectl {arguments:?}\n{}", self.events())
        })
    }

    /// Runs helm, which has to succeed, and returns its output.
    #[track_caller]
    pub fn helm(&self, arguments: &[&str]) -> String {
        said(&self.tool("helm", arguments).stdin(Stdio::null()).output().unwrap(), || {
            format!("helm {arguments:?}\n{}", self.events())
        })
    }

    /// Returns an object as JSON.
    #[track_caller]
    pub fn get(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.kubectl(&[&["get", "--output=json"], arguments].concat())).unwrap()
    }

    /// Applies a manifest.
    #[track_caller]
    pub fn apply(&self, manifest: &Value) {
        let apply = ["apply", "--server-side", "--filename=-"];
        let mut kubectl = self.tool("kubectl", &apply);
        let mut kubectl = kubectl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        kubectl.stdin.take().unwrap().write_all(manifest.to_string().as_bytes()).unwrap();
        said(&kubectl.wait_with_output().unwrap(), || manifest.to_string());
    }

    /// Polls until a value is as expected, or fails with the last value.
    #[track_caller]
    pub fn until<T: std::fmt::Debug>(&self, what: &str, look: impl Fn() -> T, holds: impl Fn(&T) -> bool) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let seen = look();
            if holds(&seen) {
                return seen;
            }
            assert!(Instant::now() < deadline, "{what}: not seen; last: {seen:?}\n{}", self.events());
            std::thread::sleep(POLL);
        }
    }

    /// Returns the events of pods, which explain a failed step.
    fn events(&self) -> String {
        let mut all = String::new();
        for arguments in [
            ["get", "pods", "--all-namespaces", "--output=wide"],
            ["get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"],
            ["logs", "--namespace=rollcall", "--selector=app.kubernetes.io/part-of=rollcall", "--tail=20"],
        ] {
            let output = self.tool("kubectl", &arguments).stdin(Stdio::null()).output().unwrap();
            all += &String::from_utf8_lossy(&output.stdout);
        }
        all
    }
}

/// Ends everything and waits until nothing is left, even after a failed step.
impl Drop for Node {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
        for program in &mut self.beside {
            let _ = program.wait();
        }
    }
}

/// Returns the output of a program that has to succeed.
#[track_caller]
pub fn said(output: &Output, what: impl Fn() -> String) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}\n{}", what());
    stdout.into_owned()
}
