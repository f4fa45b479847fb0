//! The runs of the benchmark: their measurements, their promises and their tables.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rollcall::api::{MembershipType, Prune};
use rollcall::simulator::{Quotas, Simulator};
use tokio::time::{Instant, sleep};

use crate::cluster::{FleetCluster, MEMBERS, MemberForm, bearer};
use crate::operator::{Launch, Operator};
use crate::usage::Usage;
use crate::{BenchError, idle, table};

/// The operator's default share, 80 %, of a bearer's 10 calls a second in us-east-1.
const BEARER_RATE: f64 = 8.0;

/// One page of a listing, and one batch.
const CALLS_A_RESOURCE: u64 = 2;

const MAX_RATIO: f64 = 1.25;
const MAX_THROTTLED: f64 = 0.005;
const MAX_EDIT: Duration = Duration::from_secs(2);

/// The time for which the operator is measured after its work.
const IDLE: Duration = Duration::from_secs(10);

/// A run without progress for this time fails.
const STUCK: Duration = Duration::from_mins(1);

/// The number of resources that are edited, one after the other.
const EDITS: usize = 5;

/// Edits begin after this many calls. All resources wait in the queue by then.
const CALLS_BEFORE_EDITS: u64 = 40;

/// The measurements so far, and the promises that they break.
#[derive(Default)]
pub struct Benchmark {
    free: Vec<(&'static str, Measurement)>,
    paced: Vec<(&'static str, Measurement)>,
    edits: Vec<TimedEdit>,
    idle: Vec<Vec<String>>,
    broken: Vec<String>,
}

/// The measurements of one run.
struct Measurement {
    resources: usize,
    calls: u64,
    throttled: usize,
    writes: usize,
    took: Duration,
    working: Usage,
    idle_calls: u64,
    idle_writes: usize,
    idle: Usage,
}

struct TimedEdit {
    took: Duration,
    /// The number of resources with a resync that was still due after the edit.
    due: usize,
}

impl Benchmark {
    /// Runs without rate limits and quotas. Returns the cluster, where all members are present.
    pub async fn free(
        &mut self,
        name: &'static str,
        resources: usize,
        names: MemberForm,
    ) -> Result<FleetCluster, BenchError> {
        say(&format!("{name}: making {resources} resources of {MEMBERS} members"));
        let cluster = FleetCluster::new(resources, names, Prune::Never).await?;
        let simulator = cluster.simulator(Quotas::Off, false).await?;
        let flags = ["--bearer-rate=0", "--channel-batch-rate=0", "--channel-list-rate=0"];
        let measured = measure(name, &cluster, &simulator, &program(), &flags).await?;
        let calls = CALLS_A_RESOURCE * resources as u64;
        self.promise(measured.calls == calls, || format!("{name}: {} calls, not {calls}", measured.calls));
        self.promise(measured.idle_calls == 0, || format!("{name}: {} calls while idle", measured.idle_calls));
        self.promise(measured.idle_writes == 0, || format!("{name}: {} writes while idle", measured.idle_writes));
        self.free.push((name, measured));
        Ok(cluster)
    }

    /// Runs while nothing changes.
    pub async fn idle(&mut self, name: &str, resources: usize) -> Result<(), BenchError> {
        self.idle.extend(idle::rows(name, resources).await?);
        Ok(())
    }

    /// Runs the plain loop that the operator is compared with.
    pub async fn naive(&mut self, name: &'static str, resources: usize) -> Result<(), BenchError> {
        say(&format!("{name}: making {resources} resources of {MEMBERS} members"));
        let cluster = FleetCluster::new(resources, MemberForm::Ids, Prune::Never).await?;
        let simulator = cluster.simulator(Quotas::Off, false).await?;
        let measured = measure(name, &cluster, &simulator, &std::env::current_exe()?, &[]).await?;
        self.free.push((name, measured));
        cluster.stop().await;
        Ok(())
    }

    /// Runs with the service's quotas and the operator's default rate limits.
    pub async fn paced(&mut self, name: &'static str, resources: usize) -> Result<(), BenchError> {
        say(&format!("{name}: making {resources} resources of {MEMBERS} members"));
        let cluster = FleetCluster::new(resources, MemberForm::Ids, Prune::Never).await?;
        let simulator = cluster.simulator(Quotas::Aws, false).await?;
        let measured = measure(name, &cluster, &simulator, &program(), &[]).await?;
        let (ratio, throttled) = (measured.ratio(), measured.throttled_share());
        self.promise(ratio <= MAX_RATIO, || format!("{name}: {ratio:.2} times the shortest time"));
        self.promise(throttled < MAX_THROTTLED, || format!("{name}: {:.2} % answered 429", throttled * 100.0));
        self.paced.push((name, measured));
        cluster.stop().await;
        Ok(())
    }

    /// Edits resources while all resources of the cluster wait for the first listing after a start.
    /// All members are present.
    pub async fn edit(&mut self, name: &'static str, cluster: &FleetCluster) -> Result<(), BenchError> {
        say(&format!("{name}: starting with {} due resyncs", cluster.resources));
        let simulator = cluster.simulator(Quotas::Aws, true).await?;
        let operator = start(cluster, &simulator, &program(), &[], name)?;
        simulator.wait_until(|simulator| calls(simulator) >= CALLS_BEFORE_EDITS).await;
        for nth in 0..EDITS {
            let asked = Instant::now();
            let channel = cluster.edit(cluster.resources * (2 * nth + 1) / (2 * EDITS)).await?;
            let there = |simulator: &Simulator| simulator.member_count(&channel, MembershipType::Default) > MEMBERS;
            if tokio::time::timeout(STUCK, simulator.wait_until(there)).await.is_err() {
                return Err(format!("{name}: an edit was not carried out within a minute").into());
            }
            let took = asked.elapsed();
            let listed: std::collections::HashSet<_> =
                simulator.call_log().into_iter().filter_map(|call| call.channel).collect();
            let due = cluster.resources - listed.len();
            say(&format!("{name}: an edit took {:.2} s, {due} resyncs were due", took.as_secs_f64()));
            self.promise(took <= MAX_EDIT, || format!("{name}: an edit took {:.2} s", took.as_secs_f64()));
            self.edits.push(TimedEdit { took, due });
        }
        operator.stop().await?;
        simulator.shutdown().await;
        Ok(())
    }

    fn promise(&mut self, kept: bool, broken: impl FnOnce() -> String) {
        if !kept {
            self.broken.push(broken());
        }
    }

    /// Prints all figures. Returns `true` if every promise was kept.
    pub fn conclude(&self) -> bool {
        let free: Vec<_> = self.free.iter().map(|(name, measured)| measured.free_row(name)).collect();
        let headings =
            ["", "calls", "writes each", "seconds", "CPU s", "peak MiB", "idle: calls", "writes", "CPU s", "MiB"];
        table::print("Without limits", &headings, &free);
        let of = |name: &str| self.free.iter().find(|(other, _)| *other == name).map(|(_, measured)| measured.working);
        if let (Some(ours), Some(naive)) = (of("free-1000"), of("naive-1000")) {
            #[expect(clippy::cast_precision_loss, reason = "memory in KiB is far below 2^52")]
            let memory = ours.peak as f64 / naive.peak as f64;
            let cpu = ours.cpu.as_secs_f64() / naive.cpu.as_secs_f64();
            println!("  free-1000 ÷ naive-1000: CPU {cpu:.2}, peak memory {memory:.2}");
        }
        table::print("Idle, with the chart's settings and prune: Owned", &idle::HEADINGS, &self.idle);
        let paced: Vec<_> = self.paced.iter().map(|(name, measured)| measured.paced_row(name)).collect();
        let headings = ["", "calls", "answered 429", "writes each", "seconds", "÷ shortest", "CPU s", "peak MiB"];
        table::print("Under the service's quotas, at the default share", &headings, &paced);
        let edits: Vec<_> = self
            .edits
            .iter()
            .enumerate()
            .map(|(nth, edit)| vec![format!("edit {}", nth + 1), seconds(edit.took), edit.due.to_string()])
            .collect();
        table::print("An edit among due resyncs, under the service's quotas", &["", "seconds", "still due"], &edits);
        println!();
        for broken in &self.broken {
            println!("broken promise: {broken}");
        }
        if self.broken.is_empty() {
            println!("all promises were kept");
        }
        self.broken.is_empty()
    }
}

impl Measurement {
    /// Returns the run's time, divided by the shortest time that the rate limit allows.
    fn ratio(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "calls are far below 2^52")]
        let shortest = self.calls as f64 / BEARER_RATE;
        self.took.as_secs_f64() / shortest
    }

    fn throttled_share(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "calls are far below 2^52")]
        let share = self.throttled as f64 / self.calls as f64;
        share
    }

    fn writes_each(&self) -> String {
        #[expect(clippy::cast_precision_loss, reason = "writes are far below 2^52")]
        let each = self.writes as f64 / self.resources as f64;
        format!("{each:.2}")
    }

    fn free_row(&self, name: &str) -> Vec<String> {
        vec![
            name.to_owned(),
            self.calls.to_string(),
            self.writes_each(),
            seconds(self.took),
            seconds(self.working.cpu),
            mebibytes(self.working.peak),
            self.idle_calls.to_string(),
            self.idle_writes.to_string(),
            seconds(self.idle.cpu.saturating_sub(self.working.cpu)),
            mebibytes(self.idle.resident),
        ]
    }

    fn paced_row(&self, name: &str) -> Vec<String> {
        vec![
            name.to_owned(),
            self.calls.to_string(),
            format!("{:.2} %", self.throttled_share() * 100.0),
            self.writes_each(),
            seconds(self.took),
            format!("{:.3}", self.ratio()),
            seconds(self.working.cpu),
            mebibytes(self.working.peak),
        ]
    }
}

/// Measures the program until all members are present, and then while nothing changes.
async fn measure(
    name: &str,
    cluster: &FleetCluster,
    simulator: &Simulator,
    program: &Path,
    flags: &[&str],
) -> Result<Measurement, BenchError> {
    let began = Instant::now();
    let mut operator = start(cluster, simulator, program, flags, name)?;
    let pid = operator.pid().await?.ok_or("the program has ended")?;
    tokio::select! {
        complete = cluster.complete() => complete?,
        stuck = progress(name, cluster, simulator, pid) => {
            return Err(format!("{name}: {stuck}; the end of the program's log:\n{}", last_lines(&operator.log())).into());
        }
    }
    let (took, working) = (began.elapsed(), Usage::of(pid)?);
    let (worked, seen) = (calls(simulator), *cluster.seen.borrow());
    say(&format!("{name}: took {:.1} s, {:.2} s of CPU; now idle", took.as_secs_f64(), working.cpu.as_secs_f64()));
    sleep(IDLE).await;
    let measured = Measurement {
        resources: cluster.resources,
        calls: worked,
        throttled: simulator.call_log().iter().filter(|call| call.status == 429).count(),
        writes: seen.writes,
        took,
        working,
        idle_calls: calls(simulator) - worked,
        idle_writes: cluster.seen.borrow().writes - seen.writes,
        idle: Usage::of(pid)?,
    };
    operator.stop().await?;
    Ok(measured)
}

/// Starts the program on a cluster. `name` is the name of its log.
pub fn start(
    cluster: &FleetCluster,
    simulator: &Simulator,
    program: &Path,
    flags: &[&str],
    name: &str,
) -> Result<Operator, BenchError> {
    let (kubeconfig, log) = (cluster.kubeconfig(), cluster.folder().join(format!("{name}.log")));
    let launch = Launch { program, kubeconfig: &kubeconfig, endpoint: &simulator.endpoint(), log: &log };
    let flags = flags.iter().map(|&flag| flag.to_owned()).chain([format!("--chime-bearer={}", bearer())]);
    Ok(Operator::start(&launch, flags)?)
}

/// Prints a run's progress until it stops. Returns the reason.
async fn progress(name: &str, cluster: &FleetCluster, simulator: &Simulator, pid: u32) -> String {
    let (mut before, mut since) = ((0, 0), Instant::now());
    loop {
        sleep(Duration::from_secs(1)).await;
        let now = (cluster.seen.borrow().complete, calls(simulator));
        if now != before {
            (before, since) = (now, Instant::now());
        }
        show(&format!("{name}: {} of {} complete, {} calls", now.0, cluster.resources, now.1));
        if since.elapsed() > STUCK {
            return "no progress for a minute".to_owned();
        }
        if let Err(error) = Usage::of(pid) {
            return format!("the program has ended ({error})");
        }
    }
}

/// Returns the number of calls so far.
pub fn calls(simulator: &Simulator) -> u64 {
    simulator.call_counts().values().sum()
}

/// Returns the path of the operator that is measured.
pub fn program() -> PathBuf {
    std::env::var_os("ROLLCALL_BENCH_OPERATOR").map_or_else(|| env!("CARGO_BIN_EXE_rollcall").into(), PathBuf::from)
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Formats a duration as a table cell.
pub fn seconds(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64())
}

/// Formats KiB as a table cell in MiB.
pub fn mebibytes(kib: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "memory in KiB is far below 2^52")]
    let mebibytes = kib as f64 / 1024.0;
    format!("{mebibytes:.1}")
}

/// Prints a line that stays.
pub fn say(line: &str) {
    let clear = if std::io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
    eprintln!("{clear}{line}");
}

/// Prints a line that the next line replaces on a terminal.
fn show(line: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{line}");
        let _ = std::io::stderr().flush();
    } else {
        eprintln!("{line}");
    }
}
