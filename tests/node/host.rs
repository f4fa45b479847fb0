//! How does a test get a node of its own, and programs beside it?

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Long enough for two busy cores.
const DEADLINE: Duration = Duration::from_mins(15);
const POLL: Duration = Duration::from_millis(200);
/// By which `hack/node` says that this host cannot have a node.
const CANNOT: i32 = 77;

/// A node with its control plane and registry, and the logs of it all.
pub struct Node {
    process: Child,
    beside: Vec<Child>,
    first: String,
    tools: PathBuf,
    folder: PathBuf,
}

impl Node {
    /// Starts one. None where the host cannot have a node, which it has said on standard error.
    pub fn start() -> Option<Self> {
        // The node removes it, which it also does when this process is killed.
        let folder = tempfile::Builder::new().prefix("rollcall-node-").tempdir().unwrap().keep();
        let tools = Command::new("hack/control-plane-tools").args(["kubectl", "helm", "crane"]).output().unwrap();
        assert!(tools.status.success(), "{}", String::from_utf8_lossy(&tools.stderr));
        let tools = PathBuf::from(String::from_utf8(tools.stdout).unwrap().trim());
        // The node lives for as long as its standard input is open, so it also goes when this process is killed.
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

    /// Lets a program run in the node's network until the node ends.
    pub fn keep(&mut self, command: &mut Command) {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.beside.push(command.spawn().unwrap());
    }

    /// A file that the node's programs can read.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A program in the node's network, which goes with the node.
    pub fn program(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.first, "--net", "--pid", "--"]).arg(program.as_ref());
        command.env("KUBECONFIG", self.folder.join("kubeconfig")).env("HOME", &self.folder);
        for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            command.env_remove(proxy);
        }
        command
    }

    /// One of the pinned programs in the node's network.
    pub fn tool(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = self.program(self.tools.join(name));
        command.args(arguments);
        command
    }

    /// Runs kubectl, which has to succeed, and gives what it says.
    #[track_caller]
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        said(&self.tool("kubectl", arguments).stdin(Stdio::null()).output().unwrap(), || {
            format!("kubectl {arguments:?}\n{}", self.events())
        })
    }

    /// Runs helm, which has to succeed, and gives what it says.
    #[track_caller]
    pub fn helm(&self, arguments: &[&str]) -> String {
        said(&self.tool("helm", arguments).stdin(Stdio::null()).output().unwrap(), || {
            format!("helm {arguments:?}\n{}", self.events())
        })
    }

    /// An object, as JSON.
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

    /// Looks until it is as it should be, or fails with what was seen last.
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

    /// What happened to pods, for whoever has to find out why a step failed.
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

/// Ends it all and waits until nothing is left, also when a step has failed.
impl Drop for Node {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
        for program in &mut self.beside {
            let _ = program.wait();
        }
    }
}

/// What a program said that has to succeed.
#[track_caller]
pub fn said(output: &Output, what: impl Fn() -> String) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}\n{}", what());
    stdout.into_owned()
}
