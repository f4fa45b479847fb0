//! The chart is right before it is installed in a cluster.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::tools::{CHART, run, template, variants};

#[tokio::test]
async fn helm_and_ct_accept_the_chart() {
    run("helm", &["lint", "--strict", CHART]).await.expect_success();
    // These are the checks of ct that need neither Python nor the history of a repository. Each
    // file of `ci/` is one run.
    let off = ["--validate-maintainers=false", "--check-version-increment=false", "--validate-yaml=false"];
    let ct = [["lint", "--charts", CHART].as_slice(), &off, &["--validate-chart-schema=false"]].concat();
    let linted = run("ct", &ct).await.expect_success();
    assert_eq!(linted.stdout.matches("with values file").count(), variants().len() - 1, "{}", linted.stdout);
}

#[tokio::test]
async fn the_values_for_traces_are_valid() {
    let page = fs::read_to_string("docs/operating.md").unwrap();
    let (_, values) = page.split_once("```yaml\nextraEnv:").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("values.yaml");
    fs::write(&file, format!("extraEnv:{}", values.split_once("```").unwrap().0)).unwrap();
    let values = format!("--values={}", file.display());
    let rendered = template(&[values.as_str(), "--set=networkPolicy.enabled=true"]).await.expect_success().stdout;
    for part in ["value: http://otel-collector.observability.svc:4318", "port: 4318"] {
        assert!(rendered.contains(part), "{part}: {rendered}");
    }
}

#[tokio::test]
async fn the_unit_tests_of_the_chart_pass() {
    let answer = run("helm-unittest", &[CHART]).await.expect_success();
    assert!(!answer.stdout.contains("Tests:       0"), "{}", answer.stdout);
}

#[tokio::test]
async fn the_chart_rendered_twice_is_the_same_to_the_byte() {
    for values in variants() {
        let (one, other) = tokio::join!(template(&values), template(&values));
        assert_eq!(one.expect_success().stdout, other.expect_success().stdout, "{values:?}");
    }
}

#[tokio::test]
async fn an_unknown_or_wrong_value_is_refused_by_its_name() {
    let table: &[(&str, &[&str])] = &[
        ("replicas=2", &["additional properties 'replicas' not allowed"]),
        ("image.name=x", &["'/image'", "additional properties 'name' not allowed"]),
        ("metrics.serviceMonitor.on=true", &["'/metrics/serviceMonitor'", "'on' not allowed"]),
        ("replicaCount=two", &["'/replicaCount'", "got string, want integer"]),
        ("chimeBearers={alice}", &["'/chimeBearers/0'", "'alice' does not match pattern"]),
        ("resyncInterval=1d", &["'/resyncInterval'", "'1d' does not match pattern"]),
        ("logFormat=xml", &["'/logFormat'", "'auto', 'text', 'json'"]),
        ("removals=perhaps", &["'/removals'"]),
        ("watchNamespaces={Care}", &["'/watchNamespaces/0'", "'Care'"]),
        ("podDisruptionBudget.maxUnavailable=0", &["'/podDisruptionBudget/maxUnavailable'", "got 0, want 1"]),
        ("grants[0].namespaces={care}", &["'/grants/0'", "missing property 'channels'"]),
        ("grants[0].prune={All}", &["'/grants/0/prune/0'"]),
        ("image.digest=0123", &["'/image/digest'"]),
        ("extraArgs=--read-only", &["'/extraArgs'", "got string, want array"]),
    ];
    for (set, words) in table {
        let answer = template(&["--set", set]).await;
        assert!(!answer.success, "{set}");
        for word in *words {
            assert!(answer.stderr.contains(word), "{set} was refused without {word:?}: {}", answer.stderr);
        }
    }
    // Parent charts share these values.
    template(&["--set", "global.anything.at.all=1"]).await.expect_success();
}

/// Returns the flags that begin a line of `rollcall run --help`.
fn flags_of_run() -> BTreeSet<String> {
    let help = Command::new(env!("CARGO_BIN_EXE_rollcall")).args(["run", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let words = help.lines().filter_map(|line| line.split_whitespace().next());
    words.filter(|word| word.starts_with("--")).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_operator_flag_is_a_value_and_every_value_a_flag() {
    let rendered = template(&[format!("--values={CHART}/ci/everything-values.yaml")]).await.expect_success().stdout;
    let operator =
        documents(&rendered).into_iter().find(|it| it["kind"] == "Deployment" && it["metadata"]["name"] == "roll");
    let arguments = operator.unwrap()["spec"]["template"]["spec"]["containers"][0]["args"].clone();
    let names = arguments.as_array().unwrap().iter().skip(1).map(|flag| flag.as_str().unwrap());
    let rendered: BTreeSet<String> = names.map(|flag| flag.split('=').next().unwrap().to_owned()).collect();
    let mut known = flags_of_run();
    // This flag is not a setting.
    known.remove("--watch-namespace");
    assert_eq!(rendered, known);
    let limited = template(&["--set", "watchNamespaces={care,sales}"]).await.expect_success().stdout;
    assert!(limited.contains("- --watch-namespace=care\n") && limited.contains("- --watch-namespace=sales\n"));
    let readme = fs::read_to_string(format!("{CHART}/README.md")).unwrap();
    for flag in flags_of_run() {
        assert!(readme.contains(&format!("(`{flag}`)")), "the chart's README does not name {flag}");
    }
}

#[tokio::test]
async fn the_readme_is_generated_from_the_values_and_explains_each() {
    let made = run("helm-docs", &["--dry-run", "--log-level=warning", "--chart-search-root", CHART]).await;
    let made = made.expect_success().stdout;
    let committed = fs::read_to_string(format!("{CHART}/README.md")).unwrap();
    assert_eq!(
        made.trim(),
        committed.trim(),
        "the chart's README is stale: run make manifests and commit what it writes"
    );
    let silent: Vec<&str> = committed.lines().filter(|line| line.ends_with("|  |")).collect();
    assert!(silent.is_empty(), "{silent:#?}");
}

#[tokio::test]
async fn the_crd_in_the_chart_is_the_one_of_the_repository() {
    let file = "channelmemberships.rollcall.dev.yaml";
    let source = fs::read_to_string(format!("crds/{file}")).unwrap();
    let copy = fs::read_to_string(format!("{CHART}/files/{file}")).unwrap();
    assert!(copy == source, "the chart's definition is stale: run make manifests and commit what it writes");

    let rendered = template(&["--show-only=templates/crds.yaml"]).await.expect_success().stdout;
    let mut rendered = documents(&rendered).remove(0);
    let metadata = rendered["metadata"].as_object_mut().unwrap();
    assert_eq!(metadata.remove("annotations").unwrap()["helm.sh/resource-policy"], "keep");
    metadata.remove("labels").unwrap();
    assert_eq!(rendered, documents(&source).remove(0));
}

fn documents(yaml: &str) -> Vec<Value> {
    let documents: Vec<Option<Value>> = serde_yaml::from_multiple(yaml).unwrap();
    documents.into_iter().flatten().collect()
}
