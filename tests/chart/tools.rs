//! Runs the programs that check the chart.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;
use tokio::sync::OnceCell;

/// The path of the chart from the folder in which tests run.
pub const CHART: &str = "charts/rollcall";

/// The result of a program and its output.
#[derive(Debug)]
pub struct ProgramOutput {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl ProgramOutput {
    /// Fails with all output unless the program succeeded.
    #[track_caller]
    pub fn expect_success(self) -> Self {
        assert!(self.success, "{}\n{}", self.stdout, self.stderr);
        self
    }
}

/// Returns the folder with helm and the other programs. Builds them if they are missing.
async fn folder() -> &'static Path {
    static FOLDER: OnceCell<PathBuf> = OnceCell::const_new();
    let find = async || {
        let programs = ["etcd", "kubectl", "kube-apiserver", "helm", "helm-unittest", "helm-docs", "ct"];
        let output = Command::new("hack/control-plane-tools").args(programs).stderr(Stdio::inherit()).output().await;
        let output = output.unwrap();
        assert!(output.status.success(), "failed to find or build {programs:?}");
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
    };
    FOLDER.get_or_init(find).await
}

/// Returns the path of one of the pinned programs.
pub async fn program(name: &str) -> PathBuf {
    folder().await.join(name)
}

/// Runs one of the pinned programs without the settings and caches of the current user.
pub async fn run(program: &str, arguments: &[&str]) -> ProgramOutput {
    run_against("/dev/null".as_ref(), program, arguments).await
}

/// Runs a program as [`run`] does, against the cluster of a kubeconfig.
pub async fn run_against(kubeconfig: &Path, program: &str, arguments: &[&str]) -> ProgramOutput {
    let folder = folder().await;
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chart");
    // ct calls helm by its name.
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new(folder.join(program))
        .args(arguments)
        .env("PATH", path)
        .env("KUBECONFIG", kubeconfig)
        .env("HOME", &home)
        .env("HELM_CACHE_HOME", home.join("cache"))
        .env("HELM_CONFIG_HOME", home.join("config"))
        .env("HELM_DATA_HOME", home.join("data"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    ProgramOutput {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Returns the variants of the chart to test: its defaults, and each file of `ci/`.
pub fn variants() -> Vec<Vec<String>> {
    let mut files: Vec<String> = std::fs::read_dir(format!("{CHART}/ci"))
        .unwrap()
        .map(|entry| entry.unwrap().path().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    assert!(files.len() > 3, "{files:?}");
    let mut variants = vec![vec![]];
    variants.extend(files.into_iter().map(|file| vec![format!("--values={file}")]));
    variants
}

/// Renders the chart as the release `rollcall` in the namespace `rollcall`.
pub async fn template(values: &[impl AsRef<str>]) -> ProgramOutput {
    let mut arguments = vec!["template", "rollcall", CHART, "--namespace=rollcall"];
    arguments.extend(values.iter().map(AsRef::as_ref));
    run("helm", &arguments).await
}
