//! What does the operator cost while nothing happens?
//!
//! As the chart runs it: it leads by a lease, a Prometheus asks for its metrics and a kubelet for its health, and resources have
//! `prune: Owned`, so that it keeps in mind whom each declared. Reported, and nothing is asserted of it.

use std::time::Duration;

use rollcall::api::Prune;
use rollcall::simulator::{Quotas, Simulator};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::Failure;
use crate::operator::Operator;
use crate::run::{calls, mebibytes, program, say, seconds, start};
use crate::usage::Usage;
use crate::world::{MEMBERS, Names, World};

/// How long nothing happens.
const STRETCH: Duration = Duration::from_mins(1);

/// Without a call for so long, all is as declared.
const SETTLED: Duration = Duration::from_secs(5);

/// Longer than any of it takes.
const STUCK: Duration = Duration::from_mins(3);

/// How often the chart's ServiceMonitor asks where Prometheus does not say.
const SCRAPE_EVERY: Duration = Duration::from_secs(30);

/// How often the chart's readiness probe asks; its liveness probe asks half as often.
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

/// The headings of the rows of [`rows`].
pub const HEADINGS: [&str; 7] = ["", "seconds", "calls", "writes", "% of a core", "MiB", "peak MiB"];

/// What it costs after it has added everybody, and after a start at which all were there.
pub async fn rows(name: &str, resources: usize) -> Result<Vec<Vec<String>>, Failure> {
    say(&format!("{name}: making {resources} resources of {MEMBERS} members"));
    let world = World::new(resources, Names::Ids, Prune::Owned).await?;
    let simulator = world.simulator(Quotas::Off, false).await?;
    let mut rows = Vec::new();
    for (what, least) in [("after adding them", 2), ("after a restart", 1)] {
        let name = format!("{name} {what}");
        let mut operator = start(&world, &simulator, &program(), &FLAGS, &name.replace(' ', "-"))?;
        settled(&world, &simulator, calls(&simulator) + least * resources as u64).await?;
        rows.push(idle(&name, &world, &simulator, &mut operator).await?);
        operator.stop().await?;
    }
    simulator.shutdown().await;
    world.stop().await;
    Ok(rows)
}

/// Waits until so many calls were made, all members are there, and nobody calls any more.
async fn settled(world: &World, simulator: &Simulator, least: u64) -> Result<(), Failure> {
    let quiet = async {
        simulator.wait_until(|simulator| calls(simulator) >= least).await;
        world.complete().await?;
        let mut before = 0;
        while calls(simulator) != before {
            before = calls(simulator);
            sleep(SETTLED).await;
        }
        Ok::<_, Failure>(())
    };
    timeout(STUCK, quiet).await.map_err(|_| "the operator did not come to rest within three minutes")?
}

async fn idle(
    name: &str,
    world: &World,
    simulator: &Simulator,
    operator: &mut Operator,
) -> Result<Vec<String>, Failure> {
    let pid = operator.pid().await?.ok_or("the program has ended")?;
    let addresses = addresses(&operator.log());
    let address = addresses.first().ok_or("the program listens nowhere")?;
    say(&format!("{name}: idle"));
    let (began, before) = (Instant::now(), Usage::of(pid)?);
    let (calls_before, writes_before) = (calls(simulator), world.seen.borrow().writes);
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
        (world.seen.borrow().writes - writes_before).to_string(),
        format!("{:.2}", share * 100.0),
        mebibytes(after.resident),
        mebibytes(after.peak),
    ])
}

/// Where it listens, as its log says.
fn addresses(log: &str) -> Vec<String> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let listening = lines.filter(|line| line["message"] == "listening");
    listening.filter_map(|line| line["address"].as_str().map(str::to_owned)).collect()
}

/// Fails unless the page is answered with 200.
async fn ask(address: &str, page: &str) -> Result<(), Failure> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {page} HTTP/1.0\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let first = answer.lines().next().unwrap_or_default();
    if first.contains(" 200 ") { Ok(()) } else { Err(format!("{page} answered {first:?}").into()) }
}
