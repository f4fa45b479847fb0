//! The API server accepts every object of the chart unchanged.

use std::fmt::Write as _;

use crate::control_plane::ControlPlane;
use crate::tools::{template, variants};

/// The kinds of the Prometheus operator, with as much schema as the chart needs.
fn prometheus_operator() -> String {
    let mut definitions = String::new();
    for (kind, plural) in
        [("ServiceMonitor", "servicemonitors"), ("PodMonitor", "podmonitors"), ("PrometheusRule", "prometheusrules")]
    {
        let singular = kind.to_lowercase();
        write!(
            definitions,
            "---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: \
             {plural}.monitoring.coreos.com}}\nspec:\n  group: monitoring.coreos.com\n  scope: Namespaced\n  names: {{kind: {kind}, \
             plural: {plural}, singular: {singular}}}\n  versions: [{{name: v1, served: true, storage: true, schema: {{openAPIV3Schema: \
             {{type: object, properties: {{spec: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}}}}}}}]\n"
        )
        .unwrap();
    }
    definitions
}

/// Creates two namespaces: one enforces the restricted Pod Security Standard, the other does not. A
/// controller that does not run here would create their accounts.
fn restricted(name: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n  labels: {{pod-security.kubernetes.io/enforce: restricted, \
         pod-security.kubernetes.io/warn: restricted}}\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: default, \
         namespace: {name}}}\n"
    )
}

#[tokio::test]
async fn every_variant_passes_a_strict_dry_run_and_restricted_pod_security() {
    let cluster = ControlPlane::start().await.unwrap();
    let around: String = ["rollcall", "care", "sales"].map(restricted).concat() + &prometheus_operator();
    let made = cluster.kubectl_with_input(&["apply", "--server-side", "--filename=-"], &around).await.unwrap();
    assert!(made.success, "{}", made.stderr);
    let established = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=15m"];
    assert!(cluster.kubectl(&established).await.unwrap().success);

    for values in variants() {
        let rendered = template(&values).await.expect_success().stdout;
        // The API server refuses a pod without its account, and a dry run creates none.
        let accounts = rendered.lines().filter_map(|line| line.trim().strip_prefix("serviceAccountName: "));
        let account = |name: &str| {
            format!("---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {name}, namespace: rollcall}}\n")
        };
        let accounts: String = accounts.map(account).collect();
        let made = cluster.kubectl_with_input(&["apply", "--server-side", "--filename=-"], &accounts).await.unwrap();
        assert!(made.success, "{values:?}: {}", made.stderr);
        let objects = rendered.lines().filter(|line| line.starts_with("kind: ")).count();
        let dry_run = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename=-"];
        let answer = cluster.kubectl_with_input(&dry_run, &rendered).await.unwrap();
        assert!(answer.success, "{values:?}: {}", answer.stderr);
        assert_eq!(answer.stdout.matches("(server dry run)").count(), objects, "{values:?}: {}", answer.stdout);
        // Containers that the variant itself adds are not part of the chart.
        let ours = answer.stderr.lines().filter(|line| !line.contains("\"before\""));
        assert_eq!(ours.collect::<Vec<_>>(), [""; 0], "{values:?}");
    }
}
