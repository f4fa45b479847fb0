//! How does a program live exactly as long as the test, demo or benchmark that started it?

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
};

/// How many of the last lines of a log an error shows.
const TAIL_LINES: usize = 20;

/// A program under `hack/with-parent`: gone when this is dropped, and when this process ends in whatever way.
///
/// It is held by `std`, not tokio, so that it can outlive the runtime of the test that happened to start it.
pub struct Program {
    wrapper: Child,
    // Each line is a signal for the program; its end is the program's.
    lifeline: Option<ChildStdin>,
    log: PathBuf,
    log_start: u64,
}

impl Program {
    /// Starts `program`, its output appended to `log`. `remove` is a folder to remove once the program's time is over.
    pub fn start(program: &Path, arguments: &[String], log: PathBuf, remove: Option<&Path>) -> io::Result<Self> {
        let output = OpenOptions::new().create(true).append(true).open(&log)?;
        let log_start = output.metadata()?.len();
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("hack/with-parent"));
        if let Some(folder) = remove {
            command.arg("--remove").arg(folder);
        }
        let mut wrapper = command
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            // Ctrl-C is for the process that started it, which may still need the program to end well.
            .process_group(0)
            .spawn()?;
        let lifeline = wrapper.stdin.take();
        Ok(Self { wrapper, lifeline, log, log_start })
    }

    /// Sends the signal of this name, `STOP` or `CONT`.
    pub fn signal(&mut self, name: &str) -> io::Result<()> {
        let lifeline = self.lifeline.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(lifeline, "{name}")?;
        lifeline.flush()
    }

    /// How the program ended, if it did.
    pub fn exit(&mut self) -> io::Result<Option<ExitStatus>> {
        self.wrapper.try_wait()
    }

    /// What the program wrote since this start of it.
    pub fn output(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let start = usize::try_from(self.log_start).unwrap_or_default();
        String::from_utf8_lossy(log.get(start..).unwrap_or_default()).into_owned()
    }

    /// The last lines of the output, for an error message.
    pub fn tail(&self) -> String {
        let output = self.output();
        // While etcd starts, gRPC fills the log with dials it gave up.
        let lines: Vec<&str> = output.lines().filter(|line| !line.contains("addrConn.createTransport")).collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        // The program is killed by SIGKILL, so this takes milliseconds, and its port is free afterwards. If it fails there is
        // nobody left to tell.
        let _ = self.wrapper.wait();
    }
}
