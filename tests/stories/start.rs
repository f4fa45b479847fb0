//! The operator rejects wrong flags and variables at its start.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::operator::Launch;
use crate::stage::{BEARER, INSTANCE, Stage, seed, status, support};

/// This bound only ends a hanging test; an error takes milliseconds.
const DEADLINE: Duration = Duration::from_mins(5);

/// A cluster and a service that record whether a client connects.
struct UnusedServers {
    cluster: TcpListener,
    service: TcpListener,
    folder: tempfile::TempDir,
}

impl UnusedServers {
    fn open() -> Self {
        let listen = || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            listener
        };
        let servers = Self { cluster: listen(), service: listen(), folder: tempfile::tempdir().unwrap() };
        let kubeconfig = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "it", "cluster": {"server": format!("http://{}", address(&servers.cluster))}}],
            "users": [{"name": "it", "user": {}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "current-context": "it",
        });
        std::fs::write(servers.folder.path().join("kubeconfig"), kubeconfig.to_string()).unwrap();
        servers
    }

    /// Runs `rollcall run` to its end.
    fn run(&self, flags: &[&str], environment: &[(&str, &str)]) -> Output {
        let launch = Launch {
            program: Path::new(env!("CARGO_BIN_EXE_rollcall")),
            kubeconfig: &self.folder.path().join("kubeconfig"),
            endpoint: &format!("http://{}", address(&self.service)),
            log: Path::new("/dev/null"),
        };
        let mut command: Command = launch.command();
        command
            .args(flags)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let deadline = Instant::now() + DEADLINE;
        // An operator that accepts a wrong flag would run for ever.
        while child.try_wait().unwrap().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = child.kill();
        child.wait_with_output().unwrap()
    }

    fn was_called(&self) -> bool {
        let uncalled =
            |listener: &TcpListener| listener.accept().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        !uncalled(&self.cluster) || !uncalled(&self.service)
    }
}

fn address(listener: &TcpListener) -> String {
    listener.local_addr().unwrap().to_string()
}

#[test]
fn wrong_flags_or_variables_are_one_line_and_exit_2_before_any_call() {
    let second = format!("{BEARER},{INSTANCE}/user/other");
    let foreign_channel = format!("{INSTANCE}/channel/support");
    let flags: &[(&str, &str, &str)] = &[
        ("--chime-bearer", "rollcall", "no user or bot ARN"),
        ("--chime-bearer", &foreign_channel, "no user or bot ARN"),
        ("--chime-bearer", &second, "is the second of its app instance"),
        ("--watch-namespace", "Team_A", "no namespace: write a DNS label"),
        ("--resync-interval", "90", "is not a duration: write hours, minutes and seconds"),
        ("--min-resync-interval", "0s", "is not a duration"),
        ("--quota-share", "0%", "--quota-share"),
        ("--quota-share", "101%", "--quota-share"),
        ("--quota-share", "most", "--quota-share"),
        ("--bearer-rate", "-1", "--bearer-rate"),
        ("--bearer-rate", "fast", "--bearer-rate"),
        ("--channel-batch-rate", "inf", "--channel-batch-rate"),
        ("--channel-list-rate", "NaN", "--channel-list-rate"),
        ("--concurrency", "0", "--concurrency"),
        ("--concurrency", "70000", "--concurrency"),
        ("--metrics-address", "8080", "no address: write ip:port"),
        ("--health-address", "localhost:8081", "no address: write ip:port"),
        ("--metrics-per-resource", "some", "[possible values: on, off]"),
        ("--leader-elect", "perhaps", "perhaps"),
        ("--lease-namespace", "Team_A", "no namespace: write a DNS label"),
        ("--lease-name", "Rollcall", "write a DNS label"),
        ("--lease-duration", "1s", "a lease lasts 2s at least"),
        ("--grants", "/nonexistent/grants", "failed to read the grants of /nonexistent/grants"),
        ("--log-format", "yaml", "[possible values: auto, text, json]"),
        ("--allow-bearer-override", "maybe", "maybe"),
    ];
    let servers = UnusedServers::open();
    for (flag, value, help) in flags {
        let form = format!("{flag}={value}");
        refused(&form, servers.run(&[&form], &[]), &[last(value), help]);
        let variable = format!("ROLLCALL_{}", flag.trim_start_matches('-').replace('-', "_").to_uppercase());
        let output = servers.run(&[], &[(&variable, value)]);
        refused(&format!("{variable}={value}"), output, &[last(value), help]);
    }
    refused("--prune=Owned", servers.run(&["--prune=Owned"], &[]), &["unexpected argument '--prune'"]);
    let environment: &[(&str, &str, &str)] = &[
        ("KUBECONFIG", "/nonexistent/config", "failed to find the cluster by KUBECONFIG=/nonexistent/config"),
        ("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", "localhost:80", "\"localhost:80\": write http://host:port"),
        ("AWS_USE_FIPS_ENDPOINT", "true", "together with FIPS or dual-stack: unset AWS_USE_FIPS_ENDPOINT"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "\"collector:4318\": write http://host:port"),
        ("RUST_LOG", "rollcall=loud", "RUST_LOG=\"rollcall=loud\" is no filter"),
    ];
    for (variable, value, help) in environment {
        let output = servers.run(&["--chime-bearer", BEARER], &[(variable, value)]);
        refused(&format!("{variable}={value}"), output, &[help]);
    }
    let output = servers.run(&["--leader-elect", "--chime-bearer", BEARER], &[]);
    refused("--leader-elect", output, &["needs --lease-namespace"]);
    assert!(!servers.was_called());
}

/// Returns the last value of a list.
fn last(values: &str) -> &str {
    values.rsplit(',').next().unwrap()
}

fn refused(what: &str, output: Output, words: &[&str]) {
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{what}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{what}: {stderr}");
    for word in words {
        assert!(stderr.contains(word), "{what} without {word:?}: {stderr}");
    }
    assert_eq!(output.stdout, b"", "{what}");
}

#[test]
fn help_and_version_exit_with_0() {
    let servers = UnusedServers::open();
    for flag in ["--help", "-h"] {
        let output = servers.run(&[flag], &[]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("ROLLCALL_CHIME_BEARER"), "{text}");
    }
    assert!(!servers.was_called());
}

#[tokio::test]
async fn flags_are_accepted_as_variables() {
    let stage = Stage::open(seed(1)).await;
    stage.apply("team", support(&["m0000"])).await;
    let _operator = stage.operator_with_environment(&[
        ("ROLLCALL_WATCH_NAMESPACE", &format!("{},no-such-namespace", stage.namespace)),
        ("ROLLCALL_CHIME_BEARER", BEARER),
        ("ROLLCALL_ALLOW_BEARER_OVERRIDE", "true"),
        ("ROLLCALL_RESYNC_INTERVAL", "2h"),
        ("ROLLCALL_BEARER_RATE", "0"),
        ("ROLLCALL_LOG_FORMAT", "json"),
    ]);

    let told = stage.until_reason("team", "AllPresent").await;

    assert_eq!(status(&told).resync_interval.unwrap().to_string(), "2h");
}
