//! What does the operator cost, and does it keep its promises of pace?
//!
//! `cargo bench` runs the operator, as its users do, against a real API server and the simulator in this process, so that
//! CPU time and memory are those of the operator alone. It ends with 1 when a promise is broken: two calls a resource, at
//! most 1.25 times the shortest time that the rate allows, fewer than 0.5 % of calls answered 429, an edit behind 5,000
//! due resyncs carried out within 2 s. Times are of this machine, and nothing is asserted of them.
//!
//! `ROLLCALL_BENCH=full` adds the paced runs of 1,000 (4 minutes) and 5,000 (21 minutes). Words on the command line choose
//! among the runs by name: `cargo bench --bench fleet -- free-1000 naive`. `ROLLCALL_BENCH_OPERATOR` names another build of the
//! operator to measure.

#[path = "../tests/support/control_plane.rs"]
mod control_plane;
#[path = "fleet/idle.rs"]
mod idle;
#[path = "fleet/naive.rs"]
mod naive;
#[allow(dead_code, reason = "a test kills it")]
#[path = "../tests/support/operator.rs"]
mod operator;
#[path = "fleet/run.rs"]
mod run;
#[path = "fleet/table.rs"]
mod table;
#[path = "fleet/usage.rs"]
mod usage;
#[path = "fleet/world.rs"]
mod world;

use std::process::ExitCode;

use run::Bench;
use world::Names;

/// Whatever goes wrong ends the benchmark.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    // Started as the operator is, this is the loop it is compared with.
    let measured = words.first().is_some_and(|word| word == "run");
    let work = async { if measured { naive::run().await.map(|()| true) } else { bench(&words).await } };
    match tokio::runtime::Runtime::new().map_err(Failure::from).and_then(|runtime| runtime.block_on(work)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("failed to measure: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what is wanted and prints what came of it; whether all promises were kept.
async fn bench(words: &[String]) -> Result<bool, Failure> {
    if !cfg!(target_os = "linux") {
        println!("skipped: CPU time and memory are read from /proc, which only Linux has");
        return Ok(true);
    }
    let full = std::env::var("ROLLCALL_BENCH").is_ok_and(|value| value == "full");
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let mut bench = Bench::default();
    for (name, resources, names) in
        [("free-100", 100, Names::Ids), ("free-1000", 1000, Names::Ids), ("arns-1000", 1000, Names::Arns)]
    {
        if wanted(name) {
            bench.free(name, resources, names).await?.stop().await;
        }
    }
    for (name, resources) in [("idle-1", 1), ("idle-1000", 1000)] {
        if wanted(name) {
            bench.idle(name, resources).await?;
        }
    }
    if wanted("naive-1000") {
        bench.naive("naive-1000", 1000).await?;
    }
    if wanted("free-5000") || wanted("edit-5000") {
        let world = bench.free("free-5000", 5000, Names::Ids).await?;
        if wanted("edit-5000") {
            bench.edit("edit-5000", &world).await?;
        }
        world.stop().await;
    }
    for (name, resources, always) in [("paced-100", 100, true), ("paced-1000", 1000, full), ("paced-5000", 5000, full)]
    {
        if wanted(name) && (always || !words.is_empty()) {
            bench.paced(name, resources).await?;
        }
    }
    Ok(bench.conclude())
}
