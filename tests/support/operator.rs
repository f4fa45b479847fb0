//! Runs the operator as its users do: the binary, its flags and its environment.

#![allow(dead_code, reason = "each test, demo and benchmark uses its own part")]

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::control_plane::Program;

/// A graceful stop takes at most the 10 s of a call in flight and a little more. The machine may be
/// busy.
const STOP: Duration = Duration::from_secs(40);
const POLL: Duration = Duration::from_millis(20);

/// A running `rollcall run`. It is killed when this is dropped, and does not outlive this process
/// even if this process is killed.
pub struct Operator {
    program: Program,
    log: PathBuf,
}

/// The program and its environment.
#[derive(Clone, Copy)]
pub struct Launch<'a> {
    /// The binary.
    pub program: &'a Path,
    /// The cluster.
    pub kubeconfig: &'a Path,
    /// The service.
    pub endpoint: &'a str,
    /// The path of its log.
    pub log: &'a Path,
}

impl Launch<'_> {
    /// Returns the command `rollcall run`.
    pub fn command(&self) -> Command {
        let mut command = rollcall(self.program, self.endpoint);
        command.arg("run").env("KUBECONFIG", self.kubeconfig);
        command
    }
}

/// Returns the program's command without the machine's variables for AWS, OpenTelemetry, proxies
/// and Rollcall.
pub fn rollcall(program: &Path, endpoint: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let upper = name.to_string_lossy().to_uppercase();
        let ours = ["AWS_", "ROLLCALL_", "OTEL_"].iter().any(|prefix| upper.starts_with(prefix));
        if ours || upper.ends_with("_PROXY") {
            command.env_remove(name);
        }
    }
    command
        .env_remove("RUST_LOG")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", endpoint)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test");
    command
}

impl Operator {
    /// Starts the operator with these flags.
    pub fn start(launch: &Launch<'_>, flags: impl IntoIterator<Item = impl AsRef<OsStr>>) -> io::Result<Self> {
        let mut command = launch.command();
        command.args(flags);
        Self::spawn(&command, launch.log)
    }

    /// Starts the operator by this command, which may have an environment of its own.
    pub fn spawn(command: &Command, log: &Path) -> io::Result<Self> {
        Ok(Self { program: Program::spawn(command, log.to_owned(), None)?, log: log.to_owned() })
    }

    /// Returns the id of the process as soon as it runs, or `None` if it has ended.
    pub async fn pid(&mut self) -> io::Result<Option<u32>> {
        loop {
            match (self.program.pid(), self.program.exit()?) {
                (None, None) => sleep(POLL).await,
                (pid, _) => return Ok(pid),
            }
        }
    }

    /// Returns the log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Kills the operator as `kill -9` does.
    pub async fn kill(mut self) -> io::Result<()> {
        self.program.signal("KILL")?;
        self.exit(STOP).await.map(|_| ())
    }

    /// Stops the operator as a kubelet does: SIGTERM, then waits. Returns whether it exited with 0
    /// in time.
    pub async fn stop(mut self) -> io::Result<bool> {
        self.program.signal("TERM")?;
        Ok(self.exit(STOP).await?.is_some_and(|status| status.success()))
    }

    /// Returns the exit status if the operator ends within this time.
    pub async fn exit(&mut self, within: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + within;
        loop {
            match self.program.exit()? {
                None if Instant::now() < deadline => sleep(POLL).await,
                ended => return Ok(ended),
            }
        }
    }
}
