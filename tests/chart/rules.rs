//! The alerts fire when they should. The links of alerts and dashboard work.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::tools::CHART;

/// Runs promtool. Returns `None`, and prints the reason on standard error, if this machine does not
/// have it.
fn promtool(arguments: &[&str]) -> Option<Output> {
    let found = Command::new("hack/promtool").output().unwrap();
    if !found.status.success() {
        eprintln!("skipped: {}", String::from_utf8_lossy(&found.stderr));
        return None;
    }
    let promtool = String::from_utf8(found.stdout).unwrap();
    Some(Command::new(promtool.trim()).args(arguments).output().unwrap())
}

fn run_promtool(arguments: &[&str]) {
    let Some(output) = promtool(arguments) else { return };
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
}

#[test]
fn prometheus_accepts_the_alerts() {
    run_promtool(&["check", "rules", "--lint-fatal", &format!("{CHART}/files/alerts.yaml")]);
}

#[test]
fn each_alert_fires_when_it_should_and_not_before() {
    run_promtool(&["test", "rules", &format!("{CHART}/tests/alerts.yaml")]);
    let tests = fs::read_to_string(format!("{CHART}/tests/alerts.yaml")).unwrap();
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        let firing = tests
            .split(&format!("alertname: {name}\n"))
            .skip(1)
            .any(|rest| rest.trim_start().starts_with("exp_alerts"));
        assert!(firing, "no test sees {name} fire");
    }
}

#[test]
fn each_alert_names_a_runbook_that_exists() {
    for alert in alerts() {
        let runbook = alert["annotations"]["runbook_url"].as_str().unwrap();
        assert!(Path::new(runbook).is_file(), "{}: {runbook}", alert["alert"]);
        assert!(alert["labels"]["severity"].is_string(), "{alert}");
    }
}

fn alerts() -> Vec<Value> {
    let text = fs::read_to_string(format!("{CHART}/files/alerts.yaml")).unwrap();
    let file: Value = serde_yaml::from_str(&text).unwrap();
    let alerts = file["groups"][0]["rules"].as_array().unwrap().clone();
    assert!(alerts.len() > 5);
    alerts
}

/// Checks with promtool the text of `/metrics` in this file.
pub fn takes_metrics(file: &Path, told: &str) {
    fs::write(file, told).unwrap();
    let Ok(found) = Command::new("hack/promtool").output() else { return };
    if !found.status.success() {
        return;
    }
    let promtool = String::from_utf8(found.stdout).unwrap();
    let judged =
        Command::new(promtool.trim()).args(["check", "metrics"]).stdin(fs::File::open(file).unwrap()).output().unwrap();
    assert!(
        judged.status.success(),
        "{}{}",
        String::from_utf8_lossy(&judged.stdout),
        String::from_utf8_lossy(&judged.stderr)
    );
}

/// Returns the names of the metrics that alerts and dashboard use.
pub fn asked_for() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in ["alerts.yaml", "dashboard.json"] {
        let text = fs::read_to_string(format!("{CHART}/files/{file}")).unwrap();
        for (at, _) in text.match_indices("rollcall_") {
            let name: String = text[at..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            names.insert(name);
        }
    }
    names
}

#[test]
fn each_query_of_the_dashboard_can_be_parsed() {
    let text = fs::read_to_string(format!("{CHART}/files/dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut questions = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            questions.push(target["expr"].as_str().unwrap().to_owned());
        }
    }
    assert!(questions.len() > 8, "{questions:?}");
    // promtool reads expressions only in rules. Grafana's variables stand for regular expressions
    // and durations.
    let rules: Vec<Value> = questions
        .iter()
        .enumerate()
        .map(|(n, question)| {
            let expr = question.replace("$__rate_interval", "5m").replace("$namespace", ".*").replace("$job", ".*");
            serde_json::json!({"record": format!("question:{n}"), "expr": expr})
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("questions.yaml");
    fs::write(&file, serde_json::json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string()).unwrap();
    run_promtool(&["check", "rules", file.to_str().unwrap()]);
}
