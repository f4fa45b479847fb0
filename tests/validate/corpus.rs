//! The API server decides on every manifest of the corpus, and the command has to agree.

use std::fs;
use std::path::{Path, PathBuf};

use kube::Client;
use rollcall::manifests::{Input, Judge, Manifests, Problem, check_changes, read_manifests};
use serde_json::Value;

use crate::control_plane::ControlPlane;

/// A manifest of the corpus, and the expected answers.
struct Case {
    /// Its file and its subject.
    title: String,
    text: String,
    /// Words that both the API server and the command have to say.
    both: Option<String>,
    /// Words that the command has to say.
    ours: Option<String>,
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/manifests")
}

fn files(kind: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(corpus().join(kind)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn cases_of(file: &Path, separator: &str) -> Vec<Case> {
    let text = fs::read_to_string(file).unwrap();
    let case = |text: &str| {
        let said = |who: &str| text.lines().find_map(|line| line.strip_prefix(who)).map(str::to_owned);
        let about = text.lines().next().unwrap().strip_prefix("# ").expect("a case begins with its title");
        let title = format!("{}: {about}", file.file_stem().unwrap().to_string_lossy());
        Case { title, text: text.to_owned(), both: said("# both say: "), ours: said("# we say: ") }
    };
    text.split(separator).map(case).collect()
}

fn cases(kind: &str) -> Vec<Case> {
    files(kind).iter().flat_map(|file| cases_of(file, "---\n")).collect()
}

/// Returns the answer of the command.
fn ask_command(text: &str) -> Result<Manifests, Vec<Problem>> {
    read_manifests(&[Input::Text { name: "case.yaml".into(), text: text.into() }], "default")
}

/// Returns the answer of the API server.
async fn ask_api_server(client: &Client, method: &str, path: &str, content: &str, text: &str) -> Result<(), String> {
    let request = http::Request::builder().method(method).uri(path).header("content-type", content);
    match client.request::<Value>(request.body(text.as_bytes().to_vec()).unwrap()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if (400..500).contains(&status.code) => Err(status.message.clone()),
        Err(other) => panic!("no verdict: {other}"),
    }
}

async fn create_dry_run(client: &Client, namespace: &str, text: &str) -> Result<(), String> {
    let is_config_map = text.lines().any(|line| line == "kind: ConfigMap");
    let (base, kind) =
        if is_config_map { ("api/v1", "configmaps") } else { ("apis/rollcall.dev/v1alpha1", "channelmemberships") };
    let path = format!("/{base}/namespaces/{namespace}/{kind}?dryRun=All&fieldValidation=Strict");
    ask_api_server(client, "POST", &path, "application/yaml", text).await
}

async fn cluster() -> (&'static ControlPlane, Client, String) {
    let control_plane = ControlPlane::shared().await.unwrap();
    let crd = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds/channelmemberships.rollcall.dev.yaml");
    control_plane.install_crd_file(&crd).await.unwrap();
    let namespace = control_plane.namespace("judge").await.unwrap();
    (control_plane, control_plane.client().await.unwrap(), namespace)
}

/// Returns whether the command says that the API server refuses the manifest.
fn has_api_problem(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.judge != Judge::Operator)
}

#[tokio::test]
async fn command_agrees_with_the_api_server_on_every_manifest() {
    let (_, client, namespace) = cluster().await;
    let (good, bad) = (cases("good"), cases("bad"));
    let mut faults = Vec::new();
    for case in &good {
        if let Err(message) = create_dry_run(&client, &namespace, &case.text).await {
            faults.push(format!("{}: the API server refuses it: {message}", case.title));
        }
        if let Err(problems) = ask_command(&case.text) {
            faults.push(format!("{}: the command refuses it: {}", case.title, problems[0]));
        }
    }
    for case in &bad {
        match create_dry_run(&client, &namespace, &case.text).await {
            Ok(()) => faults.push(format!("{}: the API server accepts it", case.title)),
            Err(message) if case.both.as_ref().is_some_and(|both| !message.contains(both)) => {
                faults.push(format!("{}: the API server says: {message}", case.title));
            }
            Err(_) => {}
        }
        match ask_command(&case.text) {
            Err(problems) if has_api_problem(&problems) => {
                let told: String = problems.iter().flat_map(|problem| [problem.to_string(), "\n".to_owned()]).collect();
                for words in [&case.both, &case.ours].into_iter().flatten().filter(|words| !told.contains(*words)) {
                    faults.push(format!("{}: the command does not say {words:?} but: {told}", case.title));
                }
                let whole = problems.iter().any(|problem| problem.position.line == 0);
                if whole {
                    faults.push(format!("{}: the command names no line: {told}", case.title));
                }
            }
            _ => faults.push(format!("{}: the command accepts it", case.title)),
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), good.len() + bad.len(), faults.join("\n"));
    assert!(good.len() >= 90 && bad.len() >= 190, "{} good, {} bad", good.len(), bad.len());
}

#[tokio::test]
async fn command_agrees_with_the_api_server_on_every_change() {
    let (_, client, namespace) = cluster().await;
    let mut faults = Vec::new();
    for (file, takes) in [("change-good.txt", true), ("change-bad.txt", false)] {
        for (number, case) in cases_of(&corpus().join(file), "=== next\n").into_iter().enumerate() {
            let (before, after) = case.text.split_once("---\n").expect("a change has two manifests");
            let name = format!("case-{takes}-{number}");
            let path = format!("/apis/rollcall.dev/v1alpha1/namespaces/{namespace}/channelmemberships/{name}");
            let query = "fieldManager=corpus&force=true&fieldValidation=Strict";
            let named = |text: &str| text.replace("name: case", &format!("name: {name}"));
            let apply = "application/apply-patch+yaml";
            let made = ask_api_server(&client, "PATCH", &format!("{path}?{query}"), apply, &named(before)).await;
            assert_eq!(made, Ok(()), "{}", case.title);
            let theirs =
                ask_api_server(&client, "PATCH", &format!("{path}?{query}&dryRun=All"), apply, &named(after)).await;
            let changes = check_changes(&ask_command(before).unwrap(), &ask_command(after).unwrap());
            let told: String = changes.iter().flat_map(|problem| [problem.to_string(), "\n".to_owned()]).collect();
            let both = case.both.unwrap_or_default();
            let agree = if takes {
                theirs.is_ok() && changes.is_empty()
            } else {
                theirs.as_ref().is_err_and(|message| message.contains(&both)) && told.contains(&both)
            };
            if !agree {
                faults.push(format!("{}: the API server: {theirs:?}, the command: {told}", case.title));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test]
async fn kubectl_accepts_the_good_manifests() {
    let (control_plane, _, namespace) = cluster().await;
    for file in files("good") {
        let path = file.to_str().unwrap();
        let apply = ["apply", "--dry-run=server", "--validate=strict"];
        let more = ["--namespace", &namespace, "--filename", path];
        let applied = control_plane.kubectl(&[apply.as_slice(), &more].concat()).await.unwrap();
        assert!(applied.success, "{path}: {applied:?}");
        let count = cases_of(&file, "---\n").len();
        assert_eq!(applied.stdout.lines().count(), count, "{path}: {applied:?}");
    }
}
