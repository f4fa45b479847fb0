//! `rollcall simulate` as a person runs it.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking; clippy sees only functions marked as tests")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

fn simulate(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.arg("simulate").args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn refused(args: &[&str]) -> String {
    let Output { status, stdout, stderr } = simulate(args).output().unwrap();
    assert_eq!(status.code(), Some(2), "{args:?}");
    assert!(stdout.is_empty(), "{args:?}");
    String::from_utf8(stderr).unwrap()
}

#[test]
fn it_says_how_to_use_it_and_ends_by_itself_on_sigterm() {
    let seed = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/simulator/seed.yaml");
    let mut child = simulate(&["--address", "127.0.0.1:0", "--seed", seed, "--no-quotas"]).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let exported = lines
        .take_while(|line| !line.contains("/_admin"))
        .any(|line| line.trim_start().starts_with("export AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING=http://127.0.0.1:"));
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    let ended = child.wait().unwrap();
    assert!(exported && killed.success());
    assert_eq!(ended.code(), Some(0));
}

#[test]
fn what_is_wrong_on_the_command_line_is_said_in_one_line() {
    for (args, value) in [
        (&["--seed", "/no/such/file"][..], "/no/such/file"),
        (&["--switch", "existing-member=maybe"], "existing-member=maybe"),
        (&["--limit", "members-per-channel=many"], "members-per-channel=many"),
        (&["--address", "192.0.2.1:0"], "192.0.2.1:0"),
    ] {
        let error = refused(args);
        assert!(error.contains(value) && error.lines().count() == 1, "{error}");
    }
    for (args, value) in [
        (["--visibility-delay", "soon"], "soon"),
        (["--quota-scale", "-1"], "-1"),
        (["--address", "nowhere"], "nowhere"),
    ] {
        assert!(refused(&args).contains(value));
    }
}

#[test]
fn a_wrong_seed_is_named_with_file_line_and_value() {
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
        let error = refused(&["--seed", path]);
        assert!(error.lines().count() == 1 && error.contains(path), "{error}");
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}
