//! Flux's kustomize-controller applies a change to the channel, and is Ready only when all members
//! are present.
//!
//! Its source-controller does not run: the test serves the archive and writes the status in its
//! place.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::cluster::{Cluster, condition, reason};
use crate::control_plane::Program;
use crate::repository::Repository;

const SOURCE: (&str, &str, &str) = ("flux-system", "gitrepositories.source.toolkit.fluxcd.io", "channels");
const CHANNELS: (&str, &str, &str) = ("flux-system", "kustomizations.kustomize.toolkit.fluxcd.io", "channels");
const SUPPORT: &str = "channels/support.yaml";

#[tokio::test]
#[ignore = "Flux takes minutes to build, once: make test-ecosystem"]
async fn flux_applies_a_change_and_is_ready_once_all_members_are_present() {
    let flux = Flux::start().await;

    // 1. Everything is applied, the CRD first, and no member is present: the operator does not run.
    flux.publish("one").await;
    let waits = |it: &Value| {
        let reconciling = condition(it, "Reconciling");
        reconciling["status"] == "True" && reconciling["message"].as_str().unwrap().contains("Running health checks")
    };
    flux.until("the Kustomization waits for the resource", waits).await;
    assert_eq!(flux.cluster.support().await["status"], json!({"observedGeneration": -1}));
    assert_ne!(condition(&flux.kustomization().await, "Ready")["status"], "True");
    let operator = flux.cluster.operator();
    let members = flux.until_ready("one").await;
    assert_eq!(members, ["alice", "bob", "erin", "frank"]);

    // 2. One member is added and one is removed.
    flux.repository.edit(SUPPORT, "- bob\n", "- carol\n");
    flux.publish("two").await;
    assert_eq!(flux.until_ready("two").await, ["alice", "carol", "erin", "frank"]);

    // 3. A member cannot be added. The Kustomization fails at once with the resource's message,
    // before the timeout of five minutes.
    flux.repository.edit(SUPPORT, "- carol\n", "- carol\n    - mallory\n");
    flux.publish("three").await;
    let failed = flux.until("the Kustomization fails", |it| reason(it) == "HealthCheckFailed").await;
    let message = condition(&failed, "Ready")["message"].as_str().unwrap();
    assert!(message.contains("ChannelMembership/care/support status: 'Failed'"), "{message}");
    assert_eq!(reason(&flux.cluster.support().await), "MembersRefused");

    // 4. The error is fixed.
    flux.repository.edit(SUPPORT, "    - mallory\n", "");
    flux.publish("four").await;
    flux.until_ready("four").await;

    flux.an_approval_lets_a_plan_through_though_flux_takes_the_annotation_back().await;
    flux.people_can_write_beside_flux().await;
    flux.a_deleted_manifest_deletes_the_resource_and_removes_no_member().await;
    assert!(operator.stop().await.unwrap());
}

#[tokio::test]
#[ignore = "Flux takes minutes to build, once: make test-ecosystem"]
async fn flux_treats_suspended_and_observed_resources_as_ready() {
    let flux = Flux::start().await;
    let operator = flux.cluster.operator();
    flux.repository.edit(SUPPORT, "  members:\n", "  mode: Observe\n  members:\n");
    let patch = ["patch", CHANNELS.1, CHANNELS.2, "--namespace", CHANNELS.0, "--type=merge", "--patch-file"];
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/gitops/flux/observe.patch.yaml");
    flux.cluster.kubectl(&[patch.as_slice(), &[file.to_str().unwrap()]].concat()).await;

    flux.publish("one").await;
    assert_eq!(flux.until_ready("one").await, ["alice"], "Flux reconciled it and changed nothing");
    assert_eq!(condition(&flux.cluster.support().await, "Ready")["status"], "False");

    flux.repository.edit(SUPPORT, "  mode: Observe\n", "  suspend: true\n");
    flux.publish("two").await;
    assert_eq!(flux.until_ready("two").await, ["alice"]);

    flux.repository.edit(SUPPORT, "  suspend: true\n", "");
    flux.repository.edit(SUPPORT, "- bob\n", "- mallory\n");
    flux.publish("three").await;
    flux.until("the Kustomization fails", |it| reason(it) == "HealthCheckFailed").await;
    assert!(operator.stop().await.unwrap());
}

/// The controller with a repository, and the server of its archive.
struct Flux {
    cluster: Cluster,
    repository: Repository,
    controller: Program,
    artifact: Arc<Mutex<Vec<u8>>>,
    address: String,
    server: JoinHandle<()>,
}

impl Drop for Flux {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Flux {
    /// Applies the example as it is.
    async fn start() -> Self {
        let cluster = Cluster::start("kustomize-controller", &[]).await;
        let flags = [
            "--watch-all-namespaces=true",
            "--enable-leader-election=false",
            "--metrics-addr=127.0.0.1:0",
            "--health-addr=127.0.0.1:0",
            "--requeue-dependency=1s",
        ];
        let controller =
            cluster.program("kustomize-controller", &flags.map(str::to_owned), &[("RUNTIME_NAMESPACE", "flux-system")]);
        cluster.kubectl(&["create", "namespace", "flux-system"]).await;
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/gitops/flux/channels.yaml");
        cluster.kubectl(&["apply", "--server-side", "--filename", example.to_str().unwrap()]).await;
        let artifact = Arc::new(Mutex::new(Vec::new()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let content = Arc::clone(&artifact);
        let answer = axum::routing::get(async move || content.lock().unwrap().clone());
        let router = axum::Router::new().route("/channels.tar.gz", answer);
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { cluster, repository: Repository::copy(), controller, artifact, address, server }
    }

    /// Writes the status that source-controller writes after a commit.
    async fn publish(&self, revision: &str) {
        let archive = self.repository.archive();
        let digest = Sha256::digest(&archive).iter().fold("sha256:".to_owned(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        });
        let size = archive.len();
        *self.artifact.lock().unwrap() = archive;
        let source = self.cluster.get(SOURCE.0, SOURCE.1, SOURCE.2).await;
        let now = jiff::Timestamp::now().to_string();
        let status = json!({"status": {
            "observedGeneration": source["metadata"]["generation"],
            "artifact": {
                "path": "channels.tar.gz",
                "url": format!("http://{}/channels.tar.gz", self.address),
                "revision": format!("main@sha1:{revision}"),
                "digest": digest,
                "size": size,
                "lastUpdateTime": now,
            },
            "conditions": [{
                "type": "Ready",
                "status": "True",
                "reason": "Succeeded",
                "message": "stored artifact",
                "lastTransitionTime": now,
            }],
        }})
        .to_string();
        let patch = [
            "patch",
            SOURCE.1,
            SOURCE.2,
            "--namespace",
            SOURCE.0,
            "--subresource=status",
            "--type=merge",
            "-p",
            &status,
        ];
        self.cluster.kubectl(&patch).await;
    }

    /// Requests a reconcile as `flux reconcile kustomization channels` does, and waits for it.
    async fn reconcile(&self) {
        let asked = fastrand::u64(..).to_string();
        let annotation = format!("reconcile.fluxcd.io/requestedAt={asked}");
        let annotate = ["annotate", "--overwrite", "--namespace", CHANNELS.0, CHANNELS.1, CHANNELS.2, &annotation];
        self.cluster.kubectl(&annotate).await;
        let done =
            |it: &Value| it["status"]["lastHandledReconcileAt"] == asked && reason(it) == "ReconciliationSucceeded";
        self.until("the reconcile is done", done).await;
    }

    async fn kustomization(&self) -> Value {
        self.cluster.get(CHANNELS.0, CHANNELS.1, CHANNELS.2).await
    }

    async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        self.cluster.until(what, CHANNELS, &self.controller, holds).await
    }

    /// Returns the members of the channel at the moment when a revision is first Ready.
    async fn until_ready(&self, revision: &str) -> Vec<String> {
        let applied = format!("main@sha1:{revision}");
        let ready =
            |it: &Value| condition(it, "Ready")["status"] == "True" && it["status"]["lastAppliedRevision"] == applied;
        self.until(revision, ready).await;
        self.cluster.members().into_iter().collect()
    }

    async fn an_approval_lets_a_plan_through_though_flux_takes_the_annotation_back(&self) {
        self.repository.edit(SUPPORT, "removals: 50%", "removals: 0");
        self.repository.edit(SUPPORT, "- carol\n", "- dave\n");
        self.publish("five").await;
        self.until("the Kustomization fails", |it| reason(it) == "HealthCheckFailed").await;
        let pending = self.cluster.support().await;
        assert_eq!(reason(&pending), "ApprovalRequired");
        let approve =
            format!("rollcall.dev/approve={}", pending["status"]["pendingApproval"]["hash"].as_str().unwrap());
        let annotate = ["annotate", "chm", "support", "--namespace=care", "--overwrite", &approve];
        self.cluster.kubectl(&annotate).await;
        let support = ("care", "chm", "support");
        self.cluster
            .until("the Kustomization is ready", support, &self.controller, |it| reason(it) == "AllPresent")
            .await;
        self.reconcile().await;
        assert_eq!(self.until_ready("five").await, ["alice", "dave", "erin", "frank"]);
        let done = self.cluster.support().await;
        assert_eq!(done["metadata"]["annotations"]["rollcall.dev/approve"], Value::Null);
    }

    /// Flux reverts every change by a manager whose name begins with `kubectl`.
    async fn people_can_write_beside_flux(&self) {
        let annotate = ["annotate", "chm", "support", "--namespace=care", "--overwrite"];
        let mine = "--field-manager=rollcall-user";
        let suspend =
            ["patch", "chm", "support", "--namespace=care", "--type=merge", "-p", r#"{"spec":{"suspend":true}}"#];

        self.cluster.kubectl(&[annotate.as_slice(), &["rollcall.dev/approve=0123456789abcdef"]].concat()).await;
        self.cluster.kubectl(&suspend).await;
        self.reconcile().await;
        let taken_back = self.cluster.support().await;
        assert_eq!(taken_back["metadata"]["annotations"]["rollcall.dev/approve"], Value::Null);
        assert_eq!(taken_back["spec"]["suspend"], Value::Null);

        self.cluster.kubectl(&[annotate.as_slice(), &["rollcall.dev/approve=0123456789abcdef", mine]].concat()).await;
        self.cluster.kubectl(&[suspend.as_slice(), &[mine]].concat()).await;
        self.reconcile().await;
        let kept = self.cluster.support().await;
        assert_eq!(kept["metadata"]["annotations"]["rollcall.dev/approve"], "0123456789abcdef");
        assert_eq!((&kept["spec"]["suspend"], reason(&kept)), (&json!(true), "Suspended"));
        let resume =
            ["patch", "chm", "support", "--namespace=care", "--type=merge", "-p", r#"{"spec":{"suspend":null}}"#];
        self.cluster.kubectl(&[resume.as_slice(), &[mine]].concat()).await;
    }

    /// Deletes the resource with `deletionPolicy: Retain`, the default.
    async fn a_deleted_manifest_deletes_the_resource_and_removes_no_member(&self) {
        let before = self.cluster.members();
        self.repository.delete(SUPPORT);
        self.publish("six").await;
        self.until_ready("six").await;
        assert_eq!((self.cluster.support().await, self.cluster.members()), (Value::Null, before));
    }
}
