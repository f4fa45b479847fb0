//! Measures the operator's cost while nothing changes.
//!
//! The operator runs as in the chart: it holds a lease, Prometheus reads its metrics, and a kubelet
//! reads its health. Resources have `prune: Owned`, so the operator also keeps in memory the
//! members that each resource declared. The figures are reported, and nothing is asserted.

use std::time::Duration;

use rollcall::api::Prune;
use rollcall::simulator::{Quotas, Simulator};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::BenchError;
use crate::cluster::{FleetCluster, MEMBERS, MemberForm};
use crate::operator::Operator;
use crate::run::{calls, mebibytes, program, say, seconds, start};
use crate::usage::Usage;

/// The length of the measurement.
const STRETCH: Duration = Duration::from_mins(1);

/// The operator has finished its work when it makes no call for this time.
const SETTLED: Duration = Duration::from_secs(5);

/// Longer than any step takes.
const STUCK: Duration = Duration::from_mins(3);

/// The default scrape interval of the chart's ServiceMonitor.
const SCRAPE_EVERY: Duration = Duration::from_secs(30);

/// The interval of the chart's readiness probe. The liveness probe's interval is twice as long.
const PROBE_EVERY: Duration = Duration::from_secs(5);

const FLAGS: [&str; 8] = [
    "--bearer-rate=0",
    "--channel-batch-rate=0",
    "--channel-list-rate=0",
    "--leader-elect",
    "--lease-namespace=default",
    "--metrics-address=127.0.0.1:0",
    "--health-address=127.0.0.1:0",
    "--log-format=json",
];

/// The headings of [`rows`].
pub const HEADINGS: [&str; 7] = ["", "seconds", "calls", "writes", "% of a core", "MiB", "peak MiB"];

/// Measures an operator that has added all members, and one that found all members present at its
/// start.
pub async fn rows(name: &str, resources: usize) -> Result<Vec<Vec<String>>, BenchError> {
    say(&format!("{name}: making {resources} resources of {MEMBERS} members"));
    let cluster = FleetCluster::new(resources, MemberForm::Ids, Prune::Owned).await?;
    let simulator = cluster.simulator(Quotas::Off, false).await?;
    let mut rows = Vec::new();
    for (what, least) in [("after adding them", 2), ("after a restart", 1)] {
        let name = format!("{name} {what}");
        let mut operator = start(&cluster, &simulator, &program(), &FLAGS, &name.replace(' ', "-"))?;
        settled(&cluster, &simulator, calls(&simulator) + least * resources as u64).await?;
        rows.push(idle(&name, &cluster, &simulator, &mut operator).await?);
        operator.stop().await?;
    }
    simulator.shutdown().await;
    cluster.stop().await;
    Ok(rows)
}

/// Waits until at least `least` calls were made, all members are present, and the calls have
/// stopped.
async fn settled(cluster: &FleetCluster, simulator: &Simulator, least: u64) -> Result<(), BenchError> {
    let quiet = async {
        simulator.wait_until(|simulator| calls(simulator) >= least).await;
        cluster.complete().await?;
        let mut before = 0;
        while calls(simulator) != before {
            before = calls(simulator);
            sleep(SETTLED).await;
        }
        Ok::<_, BenchError>(())
    };
    timeout(STUCK, quiet).await.map_err(|_| "the operator was still making calls after three minutes")?
}

async fn idle(
    name: &str,
    cluster: &FleetCluster,
    simulator: &Simulator,
    operator: &mut Operator,
) -> Result<Vec<String>, BenchError> {
    let pid = operator.pid().await?.ok_or("the program has ended")?;
    let addresses = addresses(&operator.log());
    let address = addresses.first().ok_or("the program has no address in its log")?;
    say(&format!("{name}: idle"));
    let (began, before) = (Instant::now(), Usage::of(pid)?);
    let (calls_before, writes_before) = (calls(simulator), cluster.seen.borrow().writes);
    let (mut scrapes, mut probes) = (interval(SCRAPE_EVERY), interval(PROBE_EVERY));
    scrapes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while began.elapsed() < STRETCH {
        tokio::select! {
            _ = scrapes.tick() => ask(address, "/metrics").await?,
            _ = probes.tick() => {
                ask(address, "/healthz").await?;
                ask(address, "/readyz").await?;
            }
            () = sleep(STRETCH.saturating_sub(began.elapsed())) => {}
        }
    }
    let (took, after) = (began.elapsed(), Usage::of(pid)?);
    let share = (after.cpu.saturating_sub(before.cpu)).as_secs_f64() / took.as_secs_f64();
    Ok(vec![
        name.to_owned(),
        seconds(took),
        (calls(simulator) - calls_before).to_string(),
        (cluster.seen.borrow().writes - writes_before).to_string(),
        format!("{:.2}", share * 100.0),
        mebibytes(after.resident),
        mebibytes(after.peak),
    ])
}

/// Returns the addresses that the operator listens on, from its log.
fn addresses(log: &str) -> Vec<String> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let listening = lines.filter(|line| line["message"] == "listening");
    listening.filter_map(|line| line["address"].as_str().map(str::to_owned)).collect()
}

/// Requests a page. Fails unless the status is 200.
async fn ask(address: &str, page: &str) -> Result<(), BenchError> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {page} HTTP/1.0\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let first = answer.lines().next().unwrap_or_default();
    if first.contains(" 200 ") { Ok(()) } else { Err(format!("{page} answered {first:?}").into()) }
}
