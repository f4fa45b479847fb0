//! The programs of the demo, and the events that were seen so far.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use axum::http::{Method, Request};
use serde::Deserialize;
use serde_json::Value;

use crate::control_plane::{ControlPlane, Program};
use crate::failure::DemoError;
use crate::screen::{EventKind, Screen};

/// Far longer than any step takes, even on a busy machine.
const DEADLINE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(50);

/// Longer than a graceful stop, which waits at most 10 s for a call in flight.
const STOP: Duration = Duration::from_secs(15);

/// The local simulation of the service.
pub struct Simulation {
    program: Program,
    /// The address that it listens on.
    pub endpoint: String,
    admin: kube::Client,
}

/// The running programs and the events seen so far. Dropping the stage stops the programs.
pub struct DemoStage<'a> {
    /// The output.
    pub screen: &'a Screen,
    /// The API server.
    pub control_plane: &'a ControlPlane,
    /// The simulation of the service.
    pub simulation: Simulation,
    operator: Program,
    lines_seen: usize,
    /// The number of the last log entry of the service that was shown.
    entry_seen: usize,
    /// The time from which an event's seconds are counted.
    pub since: Option<Instant>,
    /// The ARN of the channel in the demo.
    pub channel: String,
    /// The ids of the channel's members: `alice`, `bot/helper`.
    pub present: BTreeSet<String>,
    /// The ids of the members that the operator has added, in order.
    pub added_by_operator: Vec<String>,
    /// The operator's last log line.
    pub told: Option<LogLine>,
}

/// A line of the operator's log.
#[derive(Clone, Debug, Deserialize)]
pub struct LogLine {
    /// The text of the line.
    pub message: String,
    /// The reason of the condition Ready, if the line is about a resource.
    pub reason: Option<String>,
    /// The number of declared members that are in the channel.
    pub present: Option<usize>,
    /// The number of refused members.
    pub failed: Option<usize>,
    #[serde(default)]
    span: HashMap<String, Value>,
}

impl LogLine {
    /// Returns the name of the resource that the line is about. The line's span has
    /// `<namespace>/<name>`.
    fn resource(&self) -> Option<&str> {
        Some(self.span.get("resource")?.as_str()?.split_once('/')?.1)
    }
}

#[derive(Deserialize)]
struct LogEntry {
    number: usize,
    action: String,
    channel: String,
    member: String,
    bearer: Option<String>,
}

impl Simulation {
    /// Starts `rollcall simulate` with these arguments, and waits until it serves.
    pub async fn start(control_plane: &ControlPlane, arguments: &[&str]) -> Result<Self, DemoError> {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let log = control_plane.folder().join("simulate.log");
        let mut program = Program::start(&rollcall()?, &arguments, log, None)
            .map_err(|source| DemoError::Start { program: "rollcall simulate", source })?;
        let deadline = Instant::now() + DEADLINE;
        let endpoint = loop {
            let output = program.output();
            if let Some((endpoint, _)) = output.split_once(" on ").and_then(|(_, rest)| rest.split_once(';')) {
                break endpoint.to_owned();
            }
            alive(&mut program, "rollcall simulate")?;
            if Instant::now() > deadline {
                return Err(not_seen("the address of `rollcall simulate`", DEADLINE));
            }
            tokio::time::sleep(POLL).await;
        };
        let address = endpoint.parse().map_err(|_| DemoError::AdminPage(format!("{endpoint:?} is not an address")))?;
        // A plain HTTP client, without a proxy or credentials.
        let admin = kube::Client::try_from(kube::Config::new(address))
            .map_err(|error| DemoError::AdminPage(error.to_string()))?;
        Ok(Self { program, endpoint, admin })
    }

    /// Sends a request to the admin page.
    pub async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &str,
    ) -> Result<T, DemoError> {
        let failed = |error: &dyn std::error::Error| DemoError::AdminPage(format!("{method} {path}: {error}"));
        let request = Request::builder()
            .method(&method)
            .uri(path)
            .body(body.as_bytes().to_vec())
            .map_err(|error| failed(&error))?;
        match tokio::time::timeout(DEADLINE, self.admin.request(request)).await {
            Ok(answer) => answer.map_err(|error| failed(&error)),
            Err(elapsed) => Err(failed(&elapsed)),
        }
    }
}

impl<'a> DemoStage<'a> {
    /// Starts `rollcall run` with these arguments and variables, without this process's
    /// environment.
    pub async fn open(
        screen: &'a Screen,
        control_plane: &'a ControlPlane,
        simulation: Simulation,
        channel: &str,
        variables: &[(&str, &str)],
        arguments: &[&str],
    ) -> Result<Self, DemoError> {
        // `env` replaces itself with the program, so signals reach the program.
        let mut line = vec!["-i".to_owned()];
        line.extend(variables.iter().map(|(name, value)| format!("{name}={value}")));
        line.push(rollcall()?.display().to_string());
        line.extend(arguments.iter().map(|&argument| argument.to_owned()));
        let log = control_plane.folder().join("run.log");
        let operator = Program::start(Path::new("env"), &line, log, None)
            .map_err(|source| DemoError::Start { program: "rollcall run", source })?;
        // No resource exists yet, so the operator has changed nothing.
        let entries: Vec<LogEntry> = simulation.ask(Method::GET, "/_admin/log?last=1", "").await?;
        let mut stage = Self {
            screen,
            control_plane,
            simulation,
            operator,
            lines_seen: 0,
            entry_seen: entries.last().map_or(0, |entry| entry.number),
            since: None,
            channel: channel.to_owned(),
            present: BTreeSet::new(),
            added_by_operator: Vec::new(),
            told: None,
        };
        let members: Vec<String> =
            stage.simulation.ask(Method::GET, &format!("/_admin/members?channel={channel}"), "").await?;
        stage.present = members.iter().map(|member| id_of(member).to_owned()).collect();
        stage.until("the operator logs that it is running", |stage| stage.told.is_some()).await?;
        Ok(stage)
    }

    /// Shows events until the condition holds. Fails if the deadline passes first.
    pub async fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> Result<(), DemoError> {
        let deadline = Instant::now() + DEADLINE;
        while !holds(self) {
            if Instant::now() > deadline {
                return Err(not_seen(what, DEADLINE));
            }
            self.look().await?;
        }
        Ok(())
    }

    /// Shows the events since the last call, then sleeps for a moment.
    pub async fn look(&mut self) -> Result<(), DemoError> {
        alive(&mut self.simulation.program, "rollcall simulate")?;
        alive(&mut self.operator, "rollcall run")?;
        self.show_channel().await?;
        self.show_operator()?;
        tokio::time::sleep(POLL).await;
        Ok(())
    }

    /// Runs kubectl, shows the command and its output, and returns the output.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String, DemoError> {
        kubectl(self.screen, self.control_plane, arguments).await
    }

    /// Stops the operator. With `gracefully`, sends SIGTERM, as a kubelet does, and waits for the
    /// end.
    pub async fn close(mut self, gracefully: bool) -> Result<(), DemoError> {
        if !gracefully {
            return Ok(());
        }
        self.since = None;
        self.operator.signal("TERM").map_err(|source| DemoError::Start { program: "kill", source })?;
        let deadline = Instant::now() + STOP;
        while self.operator.exit().ok().flatten().is_none() {
            if Instant::now() > deadline {
                return Err(not_seen("the operator stops when asked to", STOP));
            }
            tokio::time::sleep(POLL).await;
        }
        self.show_operator()
    }

    async fn show_channel(&mut self) -> Result<(), DemoError> {
        let news = format!("/_admin/log?after={}", self.entry_seen);
        let entries: Vec<LogEntry> = self.simulation.ask(Method::GET, &news, "").await?;
        for entry in entries {
            self.entry_seen = entry.number;
            let id = id_of(&entry.member);
            let by = entry.bearer.as_deref().map_or("another client", id_of);
            let added = entry.action == "added";
            if entry.channel == self.channel && added {
                self.present.insert(id.to_owned());
                if by == "rollcall" {
                    self.added_by_operator.push(id.to_owned());
                }
            } else if entry.channel == self.channel {
                self.present.remove(id);
            }
            let (event, verb) = if added { (EventKind::Joined, "added") } else { (EventKind::Left, "removed") };
            let place = entry.channel.rsplit('/').next().unwrap_or_default();
            self.screen.happened(self.seconds(), place, event, &format!("{id:<12} {verb} by {by}"))?;
        }
        Ok(())
    }

    fn show_operator(&mut self) -> Result<(), DemoError> {
        let output = self.operator.output();
        // The last line may be incomplete.
        let whole = output.rfind('\n').map_or("", |end| &output[..end]);
        for line in whole.lines().skip(self.lines_seen) {
            self.lines_seen += 1;
            let Ok(told) = serde_json::from_str::<LogLine>(line) else {
                self.screen.happened(self.seconds(), "operator", EventKind::Said, line)?;
                continue;
            };
            // Each message says that the service is not AWS. The demo says it once, at the
            // beginning.
            let message = told.message.split(" [the service is").next().unwrap_or_default();
            let short = match (told.resource(), &told.reason) {
                (Some(resource), Some(reason)) => format!("{resource}: {reason}, {message}"),
                (Some(resource), None) => format!("{resource}: {message}"),
                _ => message.to_owned(),
            };
            self.screen.happened(self.seconds(), "operator", EventKind::Said, &short)?;
            self.told = Some(told);
        }
        Ok(())
    }

    fn seconds(&self) -> Option<f64> {
        self.since.map(|since| since.elapsed().as_secs_f64())
    }
}

/// Runs kubectl, shows the command and its output, and returns the output.
pub async fn kubectl(screen: &Screen, control_plane: &ControlPlane, arguments: &[&str]) -> Result<String, DemoError> {
    let mut command = "kubectl".to_owned();
    for argument in arguments {
        // A long argument is on a line of its own.
        command.push_str(if argument.len() > 60 { " \\\n" } else { " " });
        command.push_str(&quoted(argument));
    }
    screen.command(&command)?;
    let answered = tokio::time::timeout(DEADLINE, control_plane.kubectl(arguments)).await;
    let answer = answered.map_err(|_| not_seen(&format!("the answer of `{command}`"), DEADLINE))??;
    if !answer.success {
        return Err(DemoError::Kubectl { command, answer: answer.stderr.trim().to_owned() });
    }
    screen.output(&answer.stdout)?;
    Ok(answer.stdout)
}

/// Returns a member's id: the ARN without the app instance and without `user/`.
pub fn id_of(member: &str) -> &str {
    let id = member.split_once(":app-instance/").and_then(|(_, path)| Some(path.split_once('/')?.1)).unwrap_or(member);
    id.strip_prefix("user/").unwrap_or(id)
}

/// Returns the body of a request to the admin page about one member of a channel, as JSON in two
/// lines.
pub fn member_of(channel: &str, member: &str) -> String {
    format!("{{\"members\": [\"{member}\"],\n  \"channel\": \"{channel}\"}}")
}

/// Returns the path of the binary `rollcall`, which is in the folder above the folder of the
/// examples.
fn rollcall() -> Result<PathBuf, DemoError> {
    let demo = std::env::current_exe().map_err(|source| DemoError::Start { program: "rollcall", source })?;
    let binary = demo.ancestors().nth(2).map(|folder| folder.join("rollcall"));
    binary.filter(|binary| binary.is_file()).ok_or(DemoError::NotBuilt)
}

fn alive(program: &mut Program, name: &'static str) -> Result<(), DemoError> {
    match program.exit() {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(DemoError::Ended { program: name, log: program.tail() }),
        Err(source) => Err(DemoError::Start { program: name, source }),
    }
}

fn not_seen(what: &str, deadline: Duration) -> DemoError {
    DemoError::NotSeen { what: what.to_owned(), seconds: deadline.as_secs() }
}

/// Quotes an argument for a shell, if needed.
pub fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@".contains(c);
    if argument.chars().all(plain) { argument.to_owned() } else { format!("'{argument}'") }
}
