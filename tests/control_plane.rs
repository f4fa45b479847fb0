//! The control plane for the other tests is real, isolated, and removed afterwards.

#[path = "support/control_plane.rs"]
mod control_plane;

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, BufRead as _, BufReader},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use control_plane::{ControlPlane, Error};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::{
    sync::oneshot,
    task::spawn_blocking,
    time::{sleep, timeout},
};

/// This variable is set for the process that is killed while it holds a control plane.
const HOLD: &str = "ROLLCALL_TEST_HOLD";

fn config_map(name: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        data: Some(BTreeMap::from([("key".to_owned(), "value".to_owned())])),
        ..ConfigMap::default()
    }
}

async fn create(client: Client, namespace: &str, name: &str) -> Result<ConfigMap, kube::Error> {
    Api::namespaced(client, namespace).create(&PostParams::default(), &config_map(name)).await
}

#[tokio::test]
async fn a_control_plane_serves_the_pinned_version() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let version = control_plane.client().await.unwrap().apiserver_version().await.unwrap();
    if env::var_os("KUBEBUILDER_ASSETS").is_none() {
        let pins = include_str!("../hack/tools/go.mod");
        let pinned = pins.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes v")).unwrap();
        assert_eq!(version.git_version, format!("v{}", pinned.split_whitespace().next().unwrap()));
    }
    let kubectl = control_plane.kubectl(&["version"]).await.unwrap();
    assert!(kubectl.success && kubectl.stdout.contains(&version.git_version), "{kubectl:?}");
}

#[tokio::test]
async fn kubectl_applies_a_manifest_and_returns_a_refusal() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let namespace = control_plane.namespace("kubectl").await.unwrap();
    let manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: NAME}}";
    let apply = ["apply", "--namespace", &namespace, "--filename", "-"];

    let good = control_plane.kubectl_with_input(&apply, &manifest.replace("NAME", "good")).await.unwrap();
    assert!(good.success && good.stdout.contains("configmap/good created"), "{good:?}");

    let bad = control_plane.kubectl_with_input(&apply, &manifest.replace("NAME", "not_good")).await.unwrap();
    assert!(!bad.success && bad.stderr.contains("not_good"), "{bad:?}");
}

#[tokio::test]
async fn another_user_has_only_the_granted_rights() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let namespace = control_plane.namespace("users").await.unwrap();
    let visitor = control_plane.client_as("visitor", &["visitors"]).await.unwrap();

    let refused = create(visitor.clone(), &namespace, "first").await.unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 403));

    let grant = [
        "create",
        "rolebinding",
        "visitors",
        "--clusterrole=cluster-admin",
        "--group=visitors",
        "--namespace",
        &namespace,
    ];
    assert!(control_plane.kubectl(&grant).await.unwrap().success);
    // The authorizer learns of the change through a watch.
    timeout(Duration::from_mins(5), async {
        while create(visitor.clone(), &namespace, "second").await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_kind_is_served_once_its_definition_is_installed() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let crd = control_plane.folder().join("crd.yaml");
    fs::write(
        &crd,
        "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: samples.test.rollcall.dev}
spec:
  group: test.rollcall.dev
  scope: Namespaced
  names: {kind: Sample, plural: samples}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
",
    )
    .unwrap();

    control_plane.install_crd_file(&crd).await.unwrap();

    let listed = control_plane.kubectl(&["get", "samples.test.rollcall.dev"]).await.unwrap();
    assert!(listed.success, "{listed:?}");
}

#[tokio::test]
async fn two_control_planes_at_once_share_nothing() {
    let (one, other) = tokio::join!(ControlPlane::start(), ControlPlane::start());
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_ne!(one.port(), other.port());

    create(one.client().await.unwrap(), "default", "mine").await.unwrap();
    create(other.client().await.unwrap(), "default", "mine").await.unwrap();
}

#[tokio::test]
async fn objects_outlive_an_outage_of_the_api_server() {
    let mut control_plane = ControlPlane::start().await.unwrap();
    let client = control_plane.client().await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    create(client, "default", "kept").await.unwrap();

    control_plane.kill_apiserver();
    maps.get("kept").await.unwrap_err();
    control_plane.start_apiserver().await.unwrap();

    assert_eq!(maps.get("kept").await.unwrap().data, config_map("kept").data);
}

#[tokio::test]
async fn a_paused_api_server_answers_when_it_goes_on() {
    let mut control_plane = ControlPlane::start().await.unwrap();
    let client = control_plane.client().await.unwrap();
    control_plane.pause_apiserver().unwrap();
    // The signal takes a moment to arrive. Requests after that get no answer.
    timeout(Duration::from_mins(5), async {
        while timeout(Duration::from_millis(500), client.apiserver_version()).await.is_ok() {}
    })
    .await
    .unwrap();

    control_plane.resume_apiserver().unwrap();

    timeout(Duration::from_mins(5), client.apiserver_version()).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_api_server_that_cannot_start_is_reported_with_its_last_words() {
    let error = ControlPlane::start_with(&["--no-such-flag"]).await.err().unwrap();
    assert!(
        matches!(&error, Error::Ended { program: "kube-apiserver", log, .. } if log.contains("no-such-flag")),
        "{error}"
    );
}

#[tokio::test]
async fn nothing_is_left_when_it_is_stopped() {
    let control_plane = ControlPlane::start().await.unwrap();
    let folder = control_plane.folder().to_owned();
    control_plane.stop().await;
    assert!(!folder.exists());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn nothing_is_left_when_its_owner_is_killed() {
    let mut owner = Command::new(env::current_exe().unwrap())
        .args(["--exact", "hold_a_control_plane_until_killed", "--ignored", "--nocapture"])
        .env(HOLD, "1")
        // No other process has the other end of the pipe, so the owner sees the end of the test.
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines().map_while(Result::ok);
    let folder = spawn_blocking(move || lines.find_map(|line| Some(line.split_once("holding ")?.1.to_owned())));
    let folder = timeout(Duration::from_mins(15), folder).await.unwrap().unwrap().unwrap();
    assert_eq!(processes_naming(&folder), ["etcd", "kube-apiserver", "sh", "sh", "sh", "sh"]);

    owner.kill().unwrap();
    owner.wait().unwrap();

    timeout(Duration::from_mins(5), async {
        while fs::exists(&folder).unwrap() || !processes_naming(&folder).is_empty() {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("left in {folder}: {:?}", processes_naming(&folder)));
}

#[tokio::test]
#[ignore = "only a part of another test, which kills it"]
async fn hold_a_control_plane_until_killed() {
    if env::var_os(HOLD).is_none() {
        return;
    }
    // This is a thread, because the runtime would wait for a blocking task of its own if the start
    // fails.
    let (ended, unwanted) = oneshot::channel();
    thread::spawn(move || ended.send(io::copy(&mut io::stdin(), &mut io::sink())));
    let hold = async {
        let control_plane = ControlPlane::start().await.unwrap();
        println!("holding {}", control_plane.folder().display());
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = hold => {}
        _ = unwanted => {}
    }
}

/// Returns the programs that have this text in their command line, sorted.
#[cfg(target_os = "linux")]
fn processes_naming(text: &str) -> Vec<String> {
    let mut programs: Vec<String> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("cmdline")).ok())
        .filter(|command_line| command_line.contains(text))
        .filter_map(|command_line| Some(command_line.split('\0').next()?.rsplit('/').next()?.to_owned()))
        .collect();
    programs.sort();
    programs
}
