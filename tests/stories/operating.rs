//! Operators of the program read its metrics, logs and health.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};

use kube::api::DeleteParams;
use rollcall::simulator::ApiOperation;

use crate::operator::Operator;
use crate::stage::{Stage, eventually, seed, support};

/// Returns the address of an operator from its log.
pub async fn address(operator: &Operator) -> String {
    eventually("the operator listens", async || {
        let log = operator.log();
        let lines = log.lines().rev().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let mut listening = lines.filter(|line| line["message"] == "listening");
        listening.find_map(|line| line["address"].as_str().map(str::to_owned))
    })
    .await
}

/// Returns a page of the operator.
pub fn page(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Returns the value of a line of metrics.
pub fn metric(page: &str, name: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

fn healthcheck(url: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rollcall")).args(["healthcheck", url]).output().unwrap()
}

const LISTENING: &str = "127.0.0.1:0";

#[tokio::test]
async fn metrics_count_memberships_and_drop_a_deleted_resource() {
    let stage = Stage::open(seed(3)).await;
    stage.apply("team", support(&["m0000", "m0001", "ghost"])).await;
    let operator = stage.operator(&["--metrics-address", LISTENING, "--health-address", LISTENING]);
    stage.until_reason("team", "MembersRefused").await;
    let address = address(&operator).await;
    let mine = format!("rollcall_resource_ready{{namespace=\"{}\",name=\"team\"}}", stage.namespace);
    let metrics = eventually("the watch has shown the status", async || {
        let metrics = page(&address, "/metrics");
        (metric(&metrics, r#"rollcall_members{state="present"}"#) == Some(2.0)).then_some(metrics)
    })
    .await;
    let listings = stage.calls(ApiOperation::ListChannelMemberships);
    for (name, value) in [
        (r#"rollcall_resources{ready="False",reason="MembersRefused"}"#, 1.0),
        (mine.as_str(), 0.0),
        (r#"rollcall_members{state="desired"}"#, 3.0),
        (r#"rollcall_members{state="failed"}"#, 1.0),
        (r#"rollcall_members_failed{code="Forbidden"}"#, 1.0),
        ("rollcall_members_added_total", 2.0),
        ("rollcall_members_removed_total", 0.0),
        ("rollcall_plans_pending_approval", 0.0),
        ("rollcall_status_writes_failed_total", 0.0),
        ("rollcall_reconciles_in_flight", 0.0),
        #[expect(clippy::cast_precision_loss, reason = "a few calls")]
        (r#"rollcall_service_calls_total{operation="ListChannelMemberships",answer="ok"}"#, listings as f64),
        ("rollcall_service_throttled_total", 0.0),
    ] {
        assert_eq!(metric(&metrics, name), Some(value), "{name}\n{metrics}");
    }
    for name in ["rollcall_oldest_listing_seconds", "rollcall_quota_used_ratio", "rollcall_watch_last_event_seconds"] {
        assert!(metric(&metrics, name).is_some_and(|value| value > 0.0), "{name}\n{metrics}");
    }
    assert!(!metrics.contains("arn:"), "{metrics}");
    let told = std::fs::read_to_string("docs/operating.md").unwrap();
    for name in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        assert!(told.contains(&format!("\n| `{name}` |")), "docs/operating.md says nothing of {name}");
    }
    promtool_accepts(&metrics);

    let ready = healthcheck(&format!("http://{address}/readyz"));
    assert!(ready.status.success(), "{ready:?}");
    assert_eq!(page(&address, "/healthz"), "ok\n");
    let lost = healthcheck(&format!("http://{address}/no-page"));
    assert_eq!(lost.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&lost.stderr).contains("answered 404"), "{lost:?}");

    stage.resources.delete("team", &DeleteParams::default()).await.unwrap();
    eventually("the gauges of the resource are gone", async || {
        (!page(&address, "/metrics").contains(&mine)).then_some(())
    })
    .await;
}

/// Checks the metrics with promtool if the machine has it.
fn promtool_accepts(metrics: &str) {
    let promtool =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut promtool) = promtool else { return };
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
async fn no_port_is_opened_without_an_address_and_a_taken_one_is_one_error() {
    let stage = Stage::open(seed(0)).await;
    let taken = std::net::TcpListener::bind(LISTENING).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut operator = stage.operator(&["--health-address", &address]);
    let exit = operator.exit(crate::stage::DEADLINE).await.unwrap().unwrap();
    assert_eq!(exit.code(), Some(1));
    assert!(operator.log().contains(&format!("error: failed to listen at {address}")), "{}", operator.log());
}

#[tokio::test]
async fn an_operator_without_its_crd_is_alive_and_not_ready() {
    let bare = crate::control_plane::ControlPlane::start().await.unwrap();
    let stage = Stage::with(&bare, rollcall::simulator::SimulatorOptions { seed: seed(0), ..Default::default() }).await;
    let operator = stage.operator(&["--health-address", LISTENING]);
    let address = address(&operator).await;
    eventually("the operator has tried", async || operator.log().contains("apply crds/").then_some(())).await;
    assert_eq!(page(&address, "/healthz"), "ok\n");
    assert_eq!(page(&address, "/readyz"), "the watch has not shown all resources yet\n");
}

#[tokio::test]
async fn a_namespace_is_granted_as_soon_as_the_file_says_so() {
    let stage = Stage::open(seed(3)).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("grants.yaml");
    std::fs::write(&file, "[]").unwrap();
    let operator = stage.operator(&["--grants", file.to_str().unwrap()]);
    stage.apply("team", support(&["m0000"])).await;
    let told = stage.until_reason("team", "NotGranted").await;
    assert_eq!(crate::stage::verdict(&told), ["False", "False", "True"]);
    assert!(stage.simulator.call_log().is_empty());

    let granted = format!("- namespaces: [{}]\n  appInstances: ['{}']\n", stage.namespace, crate::stage::INSTANCE);
    std::fs::write(&file, granted).unwrap();
    stage.until_reason("team", "AllPresent").await;

    std::fs::write(&file, "[]").unwrap();
    stage.apply("team", support(&["m0000", "m0001"])).await;
    stage.until_reason("team", "NotGranted").await;
    assert_eq!(stage.present("support"), ["m0000"], "no member is added or removed");
    assert!(!operator.log().contains("no --grants"));
}

#[tokio::test]
async fn each_change_is_one_audit_line_with_resource_and_request_id() {
    let stage = Stage::open(seed(2)).await;
    let operator = stage.operator(&[]);
    let mut spec = support(&["m0000", "m0001", "ghost"]);
    (spec["prune"], spec["deletionPolicy"]) = ("Owned".into(), "Delete".into());
    let made = stage.apply("team", spec).await;
    stage.until_reason("team", "MembersRefused").await;
    stage.resources.delete("team", &DeleteParams::default()).await.unwrap();
    stage.until_service("the members are gone", |_| stage.count("support") == 0).await;
    let resource = format!("{}/team", stage.namespace);
    let mut told = Vec::new();
    let log = eventually("all changes are logged", async || {
        let log = operator.log();
        (log.matches(r#""action":"remove""#).count() == 2).then_some(log)
    })
    .await;
    for line in log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
        if line["target"] != "audit" {
            continue;
        }
        assert_eq!((line["resource"].as_str(), line["uid"].as_str()), (Some(&*resource), made.metadata.uid.as_deref()));
        assert!(line["generation"].as_i64().is_some() && line["request_id"].as_str().is_some(), "{line}");
        told.push((line["action"].as_str().unwrap().to_owned(), line["member"].as_str().unwrap().to_owned()));
    }
    told.sort();
    let line = |action: &str, id: &str| (action.to_owned(), crate::stage::user(id));
    assert_eq!(told, [line("add", "m0000"), line("add", "m0001"), line("remove", "m0000"), line("remove", "m0001")]);
}

#[tokio::test]
async fn an_older_crd_is_reported_with_its_missing_fields_only() {
    let bare = crate::control_plane::ControlPlane::start().await.unwrap();
    let whole = rollcall::api::custom_resource_definition();
    let mut older = serde_json::to_value(&whole).unwrap();
    let status = &mut older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"];
    status.as_object_mut().unwrap().remove("errorsOmitted");
    let stage = Stage::with(&bare, rollcall::simulator::SimulatorOptions { seed: seed(0), ..Default::default() }).await;
    let kind = "/openapi/v3/apis/rollcall.dev/v1alpha1";
    for (definition, lacks) in [(serde_json::from_value(older).unwrap(), true), (whole, false)] {
        bare.install_crd(&definition).await.unwrap();
        eventually("the API server describes it", async || {
            let page = bare.kubectl(&["get", "--raw", kind]).await.unwrap();
            (page.success && page.stdout.contains("errorsOmitted") != lacks).then_some(())
        })
        .await;
        let operator = stage.replica(if lacks { "older" } else { "whole" }, None, &["--metrics-address", LISTENING]);
        stage.apply("team", support(&["nobody"])).await;
        stage.request_reconcile("team").await;
        eventually("the operator works", async || operator.log().contains("MembersRefused").then_some(())).await;
        let said =
            operator.log().lines().any(|line| line.contains("apply crds/") && line.contains("status.errorsOmitted"));
        assert_eq!(said, lacks, "{}", operator.log());
        assert!(operator.stop().await.unwrap());
        stage.patch("team", serde_json::json!({"spec": {"suspend": true}})).await;
        stage.resources.delete("team", &DeleteParams::default()).await.unwrap();
    }
}
