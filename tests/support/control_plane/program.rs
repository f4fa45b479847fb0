//! A program that lives exactly as long as the test, demo or benchmark that started it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
};

/// The number of last lines of a log that an error shows.
const TAIL_LINES: usize = 20;

/// A program under `hack/with-parent`. It ends when this is dropped, and when this process ends in
/// any way.
///
/// It is held by `std`, not tokio, so that it can outlive the runtime of the test that happened to
/// start it.
pub struct Program {
    wrapper: Child,
    // Each line is a signal for the program; its end is the program's.
    lifeline: Option<ChildStdin>,
    path: PathBuf,
    log: PathBuf,
    log_start: u64,
}

impl Program {
    /// Starts `program` and appends its output to `log`. `remove` is a folder to remove once the
    /// program has ended.
    pub fn start(program: &Path, arguments: &[String], log: PathBuf, remove: Option<&Path>) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments);
        Self::spawn(&command, log, remove)
    }

    /// Starts a program as [`Self::start`] does, in the environment of a command.
    pub fn spawn(command: &Command, log: PathBuf, remove: Option<&Path>) -> io::Result<Self> {
        let output = OpenOptions::new().create(true).append(true).open(&log)?;
        let log_start = output.metadata()?.len();
        let mut wrapper = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("hack/with-parent"));
        if let Some(folder) = remove {
            wrapper.arg("--remove").arg(folder);
        }
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => wrapper.env(name, value),
                None => wrapper.env_remove(name),
            };
        }
        let mut wrapper = wrapper
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            // Ctrl-C is for the process that started this program, and may still need it to end
            // well.
            .process_group(0)
            .spawn()?;
        let lifeline = wrapper.stdin.take();
        let path = command.get_program().into();
        Ok(Self { wrapper, lifeline, path, log, log_start })
    }

    /// Returns the id of the program's own process, once the wrapper has started it (Linux only).
    pub fn pid(&self) -> Option<u32> {
        let wrapper = self.wrapper.id();
        let path = fs::canonicalize(&self.path).ok()?;
        let children = fs::read_to_string(format!("/proc/{wrapper}/task/{wrapper}/children")).ok()?;
        let is_program = |pid: &&str| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == path);
        children.split_whitespace().find(is_program)?.parse().ok()
    }

    /// Sends the signal of this name, such as `TERM` or `STOP`.
    pub fn signal(&mut self, name: &str) -> io::Result<()> {
        let lifeline = self.lifeline.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(lifeline, "{name}")?;
        lifeline.flush()
    }

    /// Returns the exit status of the program, if it has ended.
    pub fn exit(&mut self) -> io::Result<Option<ExitStatus>> {
        self.wrapper.try_wait()
    }

    /// Returns the output of the program since this start.
    pub fn output(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let start = usize::try_from(self.log_start).unwrap_or_default();
        String::from_utf8_lossy(log.get(start..).unwrap_or_default()).into_owned()
    }

    /// Returns the last lines of the output, for an error message.
    pub fn tail(&self) -> String {
        let output = self.output();
        // While etcd starts, gRPC fills the log with failed dials.
        let lines: Vec<&str> = output.lines().filter(|line| !line.contains("addrConn.createTransport")).collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        // The program is killed by SIGKILL, so this takes milliseconds, and its port is free
        // afterwards. A failure cannot be reported here.
        let _ = self.wrapper.wait();
    }
}
