//! `rollcall simulate` as a person runs it.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking; clippy sees only functions marked as tests")]

use std::io::{self, BufRead as _, BufReader};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// This bound only ends a hanging test; the command takes well under a second.
const DEADLINE: Duration = Duration::from_mins(5);

/// Returns a command that is killed if its test ends first.
fn simulate(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.arg("simulate").args(args).stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn refused(args: &[&str]) -> String {
    let Output { status, stdout, stderr } = timeout(DEADLINE, simulate(args).output()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(1), "{args:?}");
    assert!(stdout.is_empty(), "{args:?}");
    String::from_utf8(stderr).unwrap()
}

#[tokio::test]
async fn simulate_prints_its_usage_and_ends_on_sigterm() {
    let seed = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/simulator/seed.yaml");
    let (output, input) = io::pipe().unwrap();
    let args = ["--address", "127.0.0.1:0", "--seed", seed, "--no-quotas"];
    let mut child = simulate(&args).stdout(input).spawn().unwrap();
    let lines = BufReader::new(output).lines().map_while(Result::ok).take_while(|line| !line.contains("/_admin"));
    let said = timeout(DEADLINE, spawn_blocking(|| lines.collect::<Vec<_>>())).await.unwrap().unwrap();
    let export = "  export AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING=http://127.0.0.1:";
    assert!(said.iter().any(|line| line.starts_with(export)), "{said:?}");

    // The shell's own `kill` is used, because not every machine has the program.
    let kill = Command::new("sh").args(["-c", r#"kill -TERM "$0""#, &child.id().unwrap().to_string()]).status().await;
    assert!(kill.unwrap().success());
    assert_eq!(timeout(DEADLINE, child.wait()).await.unwrap().unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_wrong_command_line_is_one_line() {
    for (args, value) in [
        (&["--seed", "/no/such/file"][..], "/no/such/file"),
        (&["--switch", "existing-member=maybe"], "existing-member=maybe"),
        (&["--limit", "members-per-channel=many"], "members-per-channel=many"),
        (&["--address", "192.0.2.1:0"], "192.0.2.1:0"),
    ] {
        let error = refused(args).await;
        assert!(error.contains(value) && error.lines().count() == 1, "{error}");
    }
    for (args, value) in [
        (["--visibility-delay", "soon"], "soon"),
        (["--quota-scale", "-1"], "-1"),
        (["--address", "nowhere"], "nowhere"),
    ] {
        assert!(refused(&args).await.contains(value));
    }
}

#[tokio::test]
async fn a_wrong_seed_is_named_with_file_line_and_value() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let arn = "arn:aws:chime:us-east-1:123456789012:app-instance/demo";
    for (text, parts) in [
        (format!("appInstances:\n  - arn: {arn}\n    admins:\n      - ghost\n"), ["line 4", "ghost"]),
        (format!("appInstances:\n  - arn: {arn}\n    usres: []\n"), ["line 3", "usres"]),
        ("appInstances:\n  - arn: nonsense\n".to_owned(), ["line 2", "nonsense"]),
        ("appInstances: [".to_owned(), ["line 1", ""]),
    ] {
        std::fs::write(path, text).unwrap();
        let error = refused(&["--seed", path]).await;
        assert!(error.lines().count() == 1 && error.contains(path), "{error}");
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}
