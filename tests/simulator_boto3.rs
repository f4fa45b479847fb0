//! The simulator against boto3, an independent client that parses each response by its own model of
//! the service.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking; clippy sees only functions marked as tests")]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rollcall::simulator::{Quotas, Simulator, SimulatorOptions};
use tokio::process::Command;

/// The longest time of a run. Most of it is the installation of boto3 on the first run.
const TIMEOUT: Duration = Duration::from_mins(5);

#[tokio::test(flavor = "multi_thread")]
async fn boto3_understands_every_response() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = run(Command::new(root.join("hack/boto3-venv"))).await;
    let unlimited =
        Simulator::start(SimulatorOptions { quotas: Quotas::Off, ..SimulatorOptions::default() }).await.unwrap();
    let limited = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let mut check = Command::new(python.trim());
    check.arg(root.join("tests/boto3/check.py")).args([unlimited.endpoint(), limited.endpoint()]);
    let report = run(check).await;
    println!("{report}");
    assert!(report.lines().count() > 50, "too few checks ran:\n{report}");
}

/// Runs a command and returns its standard output. Fails with both outputs.
async fn run(mut command: Command) -> String {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn();
    let output = tokio::time::timeout(TIMEOUT, child.unwrap().wait_with_output()).await.unwrap().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} ended with {}:\n{out}\n{err}", output.status);
    out.into_owned()
}
