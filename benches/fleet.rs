//! Measures the operator's calls, time and memory, and checks its promises about them.
//!
//! `cargo bench` runs the operator as a process of its own, so that CPU time and memory are the
//! operator's alone. The API server is real, and the simulator is in the benchmark's process. The
//! benchmark exits with 1 when a promise is broken:
//! - two calls for each resource
//! - at most 1.25 times the shortest time that the rate limit allows
//! - fewer than 0.5 % of calls answered 429
//! - an edit carried out within 2 s while 5,000 resyncs are due
//!
//! Other times depend on the machine, so the benchmark reports them and asserts nothing.
//!
//! `ROLLCALL_BENCH=full` adds the rate-limited runs of 1,000 (4 minutes) and 5,000 (21 minutes)
//! resources. Arguments select runs by name: `cargo bench --bench fleet -- free-1000 naive`.
//! `ROLLCALL_BENCH_OPERATOR` is the path of another build of the operator to measure.

#[path = "fleet/cluster.rs"]
mod cluster;
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

use std::process::ExitCode;

use cluster::MemberForm;
use run::Benchmark;

/// Any error, which ends the benchmark.
type BenchError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    // With the operator's arguments, this program is the plain loop that the operator is compared
    // with.
    let is_plain_loop = words.first().is_some_and(|word| word == "run");
    let work = async { if is_plain_loop { naive::run().await.map(|()| true) } else { bench(&words).await } };
    match tokio::runtime::Runtime::new().map_err(BenchError::from).and_then(|runtime| runtime.block_on(work)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("failed to measure: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the selected runs and prints their figures. Returns `true` if all promises were kept.
async fn bench(words: &[String]) -> Result<bool, BenchError> {
    if !cfg!(target_os = "linux") {
        println!("skipped: CPU time and memory come from /proc, which exists on Linux only");
        return Ok(true);
    }
    let full = std::env::var("ROLLCALL_BENCH").is_ok_and(|value| value == "full");
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let mut bench = Benchmark::default();
    for (name, resources, names) in [
        ("free-100", 100, MemberForm::Ids),
        ("free-1000", 1000, MemberForm::Ids),
        ("arns-1000", 1000, MemberForm::Arns),
    ] {
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
        let cluster = bench.free("free-5000", 5000, MemberForm::Ids).await?;
        if wanted("edit-5000") {
            bench.edit("edit-5000", &cluster).await?;
        }
        cluster.stop().await;
    }
    for (name, resources, always) in [("paced-100", 100, true), ("paced-1000", 1000, full), ("paced-5000", 5000, full)]
    {
        if wanted(name) && (always || !words.is_empty()) {
            bench.paced(name, resources).await?;
        }
    }
    Ok(bench.conclude())
}
