//! What runs during the demo, and what has been seen of it?

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use axum::http::{Method, Request};
use serde::Deserialize;
use serde_json::Value;

use crate::control_plane::{ControlPlane, Program};
use crate::failure::Failure;
use crate::screen::{Event, Screen};

/// Far longer than any step takes, on a busy machine too.
const DEADLINE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(50);

/// A graceful stop takes at most the 10 s of a call in flight, and a little.
const STOP: Duration = Duration::from_secs(15);

/// The local service, with its address.
pub struct Simulation {
    program: Program,
    /// Where it listens.
    pub endpoint: String,
    admin: kube::Client,
}

/// Everything that runs, and what was seen of it. Dropped, it is all gone.
pub struct Stage<'a> {
    /// What it is shown on.
    pub screen: &'a Screen,
    /// The API server.
    pub control_plane: &'a ControlPlane,
    /// The service.
    pub simulation: Simulation,
    operator: Program,
    lines_seen: usize,
    /// The number of the newest entry of the service's log that was shown.
    entry_seen: usize,
    /// From when on seconds are counted.
    pub since: Option<Instant>,
    /// The ARN of the channel looked at.
    pub channel: String,
    /// Ids of those who are in it: `alice`, `bot/helper`.
    pub present: BTreeSet<String>,
    /// Ids of those whom the operator has added, in that order.
    pub added_by_operator: Vec<String>,
    /// What the operator last logged about the resource.
    pub told: Option<Told>,
}

/// A line of the operator's log.
#[derive(Clone, Debug, Deserialize)]
pub struct Told {
    /// For people.
    pub message: String,
    /// The reason of the condition Ready, in a line about a resource.
    pub reason: Option<String>,
    /// How many declared members are in the channel.
    pub present: Option<usize>,
    /// How many were refused.
    pub failed: Option<usize>,
    #[serde(default)]
    span: HashMap<String, Value>,
}

impl Told {
    /// The name of the resource that the line is about. Its span says `<namespace>/<name>`.
    fn resource(&self) -> Option<&str> {
        Some(self.span.get("resource")?.as_str()?.split_once('/')?.1)
    }
}

#[derive(Deserialize)]
struct Entry {
    number: usize,
    action: String,
    channel: String,
    member: String,
    bearer: Option<String>,
}

impl Simulation {
    /// Starts `rollcall simulate` with these arguments and waits until it serves.
    pub async fn start(control_plane: &ControlPlane, arguments: &[&str]) -> Result<Self, Failure> {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let log = control_plane.folder().join("simulate.log");
        let mut program = Program::start(&rollcall()?, &arguments, log, None)
            .map_err(|source| Failure::Start { program: "rollcall simulate", source })?;
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
        let address = endpoint.parse().map_err(|_| Failure::AdminPage(format!("{endpoint:?} is no address")))?;
        // A plain HTTP client, with neither a proxy nor credentials.
        let admin = kube::Client::try_from(kube::Config::new(address))
            .map_err(|error| Failure::AdminPage(error.to_string()))?;
        Ok(Self { program, endpoint, admin })
    }

    /// Asks the admin page.
    pub async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &str,
    ) -> Result<T, Failure> {
        let failed = |error: &dyn std::error::Error| Failure::AdminPage(format!("{method} {path}: {error}"));
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

impl<'a> Stage<'a> {
    /// Starts `rollcall run` with these arguments and variables, and nothing else of this process's environment.
    pub async fn open(
        screen: &'a Screen,
        control_plane: &'a ControlPlane,
        simulation: Simulation,
        channel: &str,
        variables: &[(&str, &str)],
        arguments: &[&str],
    ) -> Result<Self, Failure> {
        // `env` becomes the program, so signals reach it.
        let mut line = vec!["-i".to_owned()];
        line.extend(variables.iter().map(|(name, value)| format!("{name}={value}")));
        line.push(rollcall()?.display().to_string());
        line.extend(arguments.iter().map(|&argument| argument.to_owned()));
        let log = control_plane.folder().join("run.log");
        let operator = Program::start(Path::new("env"), &line, log, None)
            .map_err(|source| Failure::Start { program: "rollcall run", source })?;
        // Before the operator can have changed anything: there is no resource yet.
        let entries: Vec<Entry> = simulation.ask(Method::GET, "/_admin/log?last=1", "").await?;
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
        stage.until("the operator says that it is running", |stage| stage.told.is_some()).await?;
        Ok(stage)
    }

    /// Shows what happens until something is there; fails when it does not come in time.
    pub async fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> Result<(), Failure> {
        let deadline = Instant::now() + DEADLINE;
        while !holds(self) {
            if Instant::now() > deadline {
                return Err(not_seen(what, DEADLINE));
            }
            self.look().await?;
        }
        Ok(())
    }

    /// Shows what has happened since the last time, then rests a moment.
    pub async fn look(&mut self) -> Result<(), Failure> {
        alive(&mut self.simulation.program, "rollcall simulate")?;
        alive(&mut self.operator, "rollcall run")?;
        self.show_channel().await?;
        self.show_operator()?;
        tokio::time::sleep(POLL).await;
        Ok(())
    }

    /// Runs kubectl and gives its answer, having shown both.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String, Failure> {
        kubectl(self.screen, self.control_plane, arguments).await
    }

    /// Stops the operator as a kubelet does. `gracefully` waits for its farewell.
    pub async fn close(mut self, gracefully: bool) -> Result<(), Failure> {
        if !gracefully {
            return Ok(());
        }
        self.since = None;
        self.operator.signal("TERM").map_err(|source| Failure::Start { program: "kill", source })?;
        let deadline = Instant::now() + STOP;
        while self.operator.exit().ok().flatten().is_none() {
            if Instant::now() > deadline {
                return Err(not_seen("the operator stops when asked to", STOP));
            }
            tokio::time::sleep(POLL).await;
        }
        self.show_operator()
    }

    async fn show_channel(&mut self) -> Result<(), Failure> {
        let news = format!("/_admin/log?after={}", self.entry_seen);
        let entries: Vec<Entry> = self.simulation.ask(Method::GET, &news, "").await?;
        for entry in entries {
            self.entry_seen = entry.number;
            let id = id_of(&entry.member);
            let by = entry.bearer.as_deref().map_or("somebody else", id_of);
            let added = entry.action == "added";
            if entry.channel == self.channel && added {
                self.present.insert(id.to_owned());
                if by == "rollcall" {
                    self.added_by_operator.push(id.to_owned());
                }
            } else if entry.channel == self.channel {
                self.present.remove(id);
            }
            let (event, verb) = if added { (Event::Joined, "added") } else { (Event::Left, "removed") };
            let place = entry.channel.rsplit('/').next().unwrap_or_default();
            self.screen.happened(self.seconds(), place, event, &format!("{id:<12} {verb} by {by}"))?;
        }
        Ok(())
    }

    fn show_operator(&mut self) -> Result<(), Failure> {
        let output = self.operator.output();
        // The last line may be half written.
        let whole = output.rfind('\n').map_or("", |end| &output[..end]);
        for line in whole.lines().skip(self.lines_seen) {
            self.lines_seen += 1;
            let Ok(told) = serde_json::from_str::<Told>(line) else {
                self.screen.happened(self.seconds(), "operator", Event::Said, line)?;
                continue;
            };
            // That this is not AWS is said in the beginning, once.
            let message = told.message.split(" [the service is").next().unwrap_or_default();
            let short = match (told.resource(), &told.reason) {
                (Some(resource), Some(reason)) => format!("{resource}: {reason}, {message}"),
                (Some(resource), None) => format!("{resource}: {message}"),
                _ => message.to_owned(),
            };
            self.screen.happened(self.seconds(), "operator", Event::Said, &short)?;
            self.told = Some(told);
        }
        Ok(())
    }

    fn seconds(&self) -> Option<f64> {
        self.since.map(|since| since.elapsed().as_secs_f64())
    }
}

/// Runs kubectl and gives its answer, having shown both.
pub async fn kubectl(screen: &Screen, control_plane: &ControlPlane, arguments: &[&str]) -> Result<String, Failure> {
    let mut command = "kubectl".to_owned();
    for argument in arguments {
        // A long one has a line of its own.
        command.push_str(if argument.len() > 60 { " \\\n" } else { " " });
        command.push_str(&quoted(argument));
    }
    screen.command(&command)?;
    let answered = tokio::time::timeout(DEADLINE, control_plane.kubectl(arguments)).await;
    let answer = answered.map_err(|_| not_seen(&format!("the answer of `{command}`"), DEADLINE))??;
    if !answer.success {
        return Err(Failure::Kubectl { command, answer: answer.stderr.trim().to_owned() });
    }
    screen.output(&answer.stdout)?;
    Ok(answer.stdout)
}

/// A user or bot as people write it: without the app instance, and `user/` goes without saying.
pub fn id_of(member: &str) -> &str {
    let id = member.split_once(":app-instance/").and_then(|(_, path)| Some(path.split_once('/')?.1)).unwrap_or(member);
    id.strip_prefix("user/").unwrap_or(id)
}

/// What the admin page wants to know about one member of a channel, as JSON in two lines.
pub fn member_of(channel: &str, member: &str) -> String {
    format!("{{\"members\": [\"{member}\"],\n  \"channel\": \"{channel}\"}}")
}

/// Cargo puts the binary into the folder above that of the examples.
fn rollcall() -> Result<PathBuf, Failure> {
    let demo = std::env::current_exe().map_err(|source| Failure::Start { program: "rollcall", source })?;
    let binary = demo.ancestors().nth(2).map(|folder| folder.join("rollcall"));
    binary.filter(|binary| binary.is_file()).ok_or(Failure::NotBuilt)
}

fn alive(program: &mut Program, name: &'static str) -> Result<(), Failure> {
    match program.exit() {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(Failure::Ended { program: name, log: program.tail() }),
        Err(source) => Err(Failure::Start { program: name, source }),
    }
}

fn not_seen(what: &str, deadline: Duration) -> Failure {
    Failure::NotSeen { what: what.to_owned(), seconds: deadline.as_secs() }
}

/// As a shell wants it.
pub fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@".contains(c);
    if argument.chars().all(plain) { argument.to_owned() } else { format!("'{argument}'") }
}
