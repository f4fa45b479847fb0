//! How does a test run the operator as its users do: the binary, its flags and its environment?

#![allow(dead_code, reason = "each test, demo and benchmark uses its own part")]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// A graceful stop takes at most the 10 s of a call in flight, and a little.
const STOP: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

/// Ends a program once whoever holds the other end of this one's standard input is gone without a word.
const WATCHDOG: &str = r#"read -r _ || kill -s KILL "$0" 2>/dev/null"#;

/// A running `rollcall run`. Dropped, it is killed; it does not outlive this process either, be that killed itself.
///
/// It is held by `std`, not tokio, so that dropping it can wait until it is gone.
pub struct Operator {
    child: Child,
    watchdog: (Child, Option<ChildStdin>),
    log: PathBuf,
}

/// What to start it with.
#[derive(Clone, Copy)]
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

impl Launch<'_> {
    /// `rollcall run` without flags, in an environment where nothing of the machine's AWS, proxies and Rollcall is left.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        for (name, _) in std::env::vars_os() {
            let upper = name.to_string_lossy().to_uppercase();
            if upper.starts_with("AWS_") || upper.starts_with("ROLLCALL_") || upper.ends_with("_PROXY") {
                command.env_remove(name);
            }
        }
        command
            .arg("run")
            .env_remove("RUST_LOG")
            .env("KUBECONFIG", self.kubeconfig)
            .env("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", self.endpoint)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .stdin(Stdio::null());
        command
    }
}

impl Operator {
    /// Starts it with these flags.
    pub fn start(launch: &Launch<'_>, flags: impl IntoIterator<Item = impl AsRef<OsStr>>) -> io::Result<Self> {
        let mut command = launch.command();
        command.args(flags);
        Self::spawn(command, launch.log)
    }

    /// Starts it by this command, which may have an environment of its own.
    pub fn spawn(mut command: Command, log: &Path) -> io::Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        let child = command.stdout(Stdio::null()).stderr(output).spawn()?;
        let watchdog =
            Command::new("sh").arg("-c").arg(WATCHDOG).arg(child.id().to_string()).stdin(Stdio::piped()).spawn();
        let mut watchdog = match watchdog {
            Ok(watchdog) => watchdog,
            Err(error) => {
                end(child);
                return Err(error);
            }
        };
        let lifeline = watchdog.stdin.take();
        Ok(Self { child, watchdog: (watchdog, lifeline), log: log.to_owned() })
    }

    /// The process.
    pub fn pid(&self) -> Option<u32> {
        Some(self.child.id())
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// As `kill -9` does.
    pub async fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.exit(STOP).await.map(|_| ())
    }

    /// As a kubelet does: SIGTERM, then waits. Gives whether it ended well in time.
    pub async fn stop(mut self) -> io::Result<bool> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        Ok(self.exit(STOP).await?.is_some_and(|status| status.success()))
    }

    /// How it ended, if it does within this time.
    async fn exit(&mut self, within: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + within;
        loop {
            match self.child.try_wait()? {
                None if Instant::now() < deadline => sleep(POLL).await,
                ended => return Ok(ended),
            }
        }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Its number may be another's from here on, so the watchdog is told to leave it alone.
        let (watchdog, lifeline) = &mut self.watchdog;
        if let Some(mut lifeline) = lifeline.take() {
            let _ = writeln!(lifeline, "over");
        }
        let _ = watchdog.wait();
    }
}

fn end(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}
