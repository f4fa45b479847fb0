//! How does a test run the operator as its users do: the binary, its flags and its environment?

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A graceful stop takes at most the 10 s of a call in flight, and a little.
const STOP: Duration = Duration::from_secs(20);

/// A running `rollcall run`. Dropped, it is killed.
pub struct Operator {
    child: Child,
    log: PathBuf,
}

/// What to start it with.
pub struct Launch<'a> {
    /// The binary.
    pub program: &'a Path,
    /// The cluster.
    pub kubeconfig: &'a Path,
    /// The service.
    pub endpoint: &'a str,
    /// Where its log goes.
    pub log: &'a Path,
}

impl Operator {
    /// Starts it with these flags.
    pub fn start(launch: &Launch<'_>, flags: impl IntoIterator<Item = impl AsRef<OsStr>>) -> io::Result<Self> {
        let log = File::options().create(true).append(true).open(launch.log)?;
        let mut command = Command::new(launch.program);
        // What the machine says of AWS, proxies and Rollcall itself is none of the test's.
        for (name, _) in std::env::vars() {
            let upper = name.to_uppercase();
            if upper.starts_with("AWS_") || upper.starts_with("ROLLCALL_") || upper.ends_with("_PROXY") {
                command.env_remove(name);
            }
        }
        let child = command
            .arg("run")
            .args(flags)
            .env("KUBECONFIG", launch.kubeconfig)
            .env("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", launch.endpoint)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { child, log: launch.log.to_owned() })
    }

    /// The process.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// As `kill -9` does.
    pub async fn kill(mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// As a kubelet does: SIGTERM, then waits. Gives whether it ended well in time.
    pub async fn stop(mut self) -> io::Result<bool> {
        if let Some(pid) = self.child.id() {
            Command::new("kill").arg(pid.to_string()).status().await?;
        }
        if let Ok(status) = timeout(STOP, self.child.wait()).await {
            Ok(status?.success())
        } else {
            self.child.kill().await?;
            Ok(false)
        }
    }
}
