//! Argo CD judges resources by the health check that this repository ships.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::recorded::{self, ArgoVerdict};
use crate::repository::tools;

/// The ConfigMap that users merge into the one of Argo CD.
const SETTINGS: &str = "examples/gitops/argocd/argocd-cm.yaml";

#[test]
#[ignore = "Argo CD takes minutes to build, once: make test-ecosystem"]
fn argo_cd_judges_each_recorded_object_as_its_test_file_says() {
    let program = tools(&["argocd"]).join("argocd");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let home = tempfile::tempdir().unwrap();
    let expected = recorded::expected_of_argo_cd();
    assert!(expected.len() > 20, "{expected:?}");
    for (name, expected) in expected {
        let output = Command::new(&program)
            .args(["admin", "settings", "resource-overrides", "health", "--argocd-cm-path"])
            .args([root.join(SETTINGS), recorded::folder().join(format!("testdata/{name}.yaml"))])
            .env("HOME", home.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let verdict = said
            .strip_prefix("STATUS: ")
            .and_then(|rest| rest.trim_end().split_once("\nMESSAGE: "))
            .map(|(status, message)| ArgoVerdict { status: status.to_owned(), message: message.to_owned() });
        assert_eq!(verdict, Some(expected), "{name}: {said}{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Returns the script from the settings of Argo CD.
pub fn settings() -> Value {
    serde_yaml::from_str(&fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(SETTINGS)).unwrap()).unwrap()
}
