//! Argo CD applies a change to the channel and shows the health of the resource.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::argo_cd_health::settings;
use crate::cluster::{Cluster, condition, free_port, reason};
use crate::control_plane::Program;
use crate::repository::Repository;

const APPLICATION: (&str, &str, &str) = ("argocd", "applications.argoproj.io", "channels");
const SUPPORT: &str = "channels/support.yaml";
/// The socket on which the repo-server answers git. Its path is fixed.
const SOCKET: &str = "/tmp/reposerver-ask-pass.sock";

#[tokio::test]
#[ignore = "Argo CD takes minutes to build, once: make test-ecosystem"]
async fn argo_cd_applies_a_change_and_shows_the_health_of_the_resource() {
    let argo_cd = ArgoCd::start().await;
    let cluster = &argo_cd.cluster;

    // 1. Everything is applied, and no member is present: the operator does not run.
    argo_cd.until("the application is synced and progressing", "Synced", "Progressing").await;
    assert_eq!(cluster.support().await["status"], json!({"observedGeneration": -1}));
    let operator = cluster.operator();
    argo_cd.until("all members are present", "Synced", "Healthy").await;
    cluster.until_members(&["alice", "bob", "erin", "frank"]).await;

    // 2. One member is added and one is removed.
    argo_cd.repository.edit(SUPPORT, "- bob\n", "- carol\n");
    argo_cd.publish("Healthy").await;
    cluster.until_members(&["alice", "carol", "erin", "frank"]).await;

    // 3. A member cannot be added.
    argo_cd.repository.edit(SUPPORT, "- carol\n", "- carol\n    - mallory\n");
    argo_cd.publish("Degraded").await;
    assert_eq!(reason(&cluster.support().await), "MembersRefused");

    // 4. Git suspends the resource, and then resumes it without the wrong member.
    argo_cd.repository.edit(SUPPORT, "  members:\n", "  suspend: true\n  members:\n");
    argo_cd.publish("Suspended").await;
    argo_cd.repository.edit(SUPPORT, "  suspend: true\n", "");
    argo_cd.repository.edit(SUPPORT, "    - mallory\n", "");
    argo_cd.publish("Healthy").await;

    argo_cd.people_can_write_beside_argo_cd().await;
    argo_cd.a_deleted_manifest_deletes_the_resource_and_removes_no_member().await;
    assert!(operator.stop().await.unwrap());
}

/// Argo CD with a repository.
struct ArgoCd {
    cluster: Cluster,
    repository: Repository,
    // The fields are dropped in this order.
    controller: Program,
    _repo_server: Program,
    _redis: Program,
}

impl Drop for ArgoCd {
    fn drop(&mut self) {
        let _ = fs::remove_file(SOCKET);
    }
}

impl ArgoCd {
    /// Applies the example with a repository and a cluster of the test's own.
    async fn start() -> Self {
        let cluster = Cluster::start("argocd", &["miniredis"]).await;
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        cluster.kubectl(&["create", "namespace", "argocd"]).await;
        let crd = root.join("crds/channelmemberships.rollcall.dev.yaml");
        cluster.kubectl(&["apply", "--server-side", "--filename", crd.to_str().unwrap()]).await;
        let repository = Repository::copy();
        repository.commit();
        cluster.kubectl_with(&["apply", "--server-side", "--filename=-"], &installation(&cluster).to_string()).await;

        let redis = format!("127.0.0.1:{}", free_port());
        let (port, metrics, more_metrics) = (free_port(), free_port(), free_port());
        let redis_server = cluster.program("miniredis", std::slice::from_ref(&redis), &[]);
        let repo_server = cluster.program(
            "argocd",
            &[
                "--address=127.0.0.1".to_owned(),
                format!("--port={port}"),
                "--metrics-address=127.0.0.1".to_owned(),
                format!("--metrics-port={metrics}"),
                format!("--redis={redis}"),
                "--disable-tls".to_owned(),
            ],
            &[("ARGOCD_BINARY_NAME", "argocd-repo-server"), ("ARGOCD_GPG_ENABLED", "false")],
        );
        let controller = cluster.program(
            "argocd",
            &[
                "--namespace=argocd".to_owned(),
                format!("--repo-server=127.0.0.1:{port}"),
                "--repo-server-plaintext".to_owned(),
                format!("--redis={redis}"),
                format!("--metrics-port={more_metrics}"),
            ],
            &[("ARGOCD_BINARY_NAME", "argocd-application-controller")],
        );

        let example = fs::read_to_string(root.join("examples/gitops/argocd/application.yaml")).unwrap();
        let mut application: Value = serde_yaml::from_str(&example).unwrap();
        application["spec"]["source"]["repoURL"] = json!(repository.url());
        application["spec"]["destination"]["server"] = json!(server(&cluster));
        // A foreground deletion would wait for the garbage collector, which does not run here.
        let options = application["spec"]["syncPolicy"]["syncOptions"].as_array_mut().unwrap();
        options.push(json!("PrunePropagationPolicy=background"));
        let apply = ["apply", "--server-side", "--filename=-"];
        cluster.kubectl_with(&apply, &application.to_string()).await;
        Self { cluster, repository, controller, _repo_server: repo_server, _redis: redis_server }
    }

    /// Commits, has Argo CD refresh at once, and waits until that commit is synced with this
    /// health.
    async fn publish(&self, health: &str) {
        let commit = self.repository.commit();
        self.refresh().await;
        let there = |it: &Value| it["status"]["sync"]["revision"] == commit && is(it, "Synced", health);
        self.cluster.until(&format!("{commit} is {health}"), APPLICATION, &self.controller, there).await;
    }

    /// Requests a refresh as the button of the UI does.
    async fn refresh(&self) {
        let refresh = "argocd.argoproj.io/refresh=normal";
        let (namespace, kind, name) = APPLICATION;
        self.cluster.kubectl(&["annotate", "--overwrite", "--namespace", namespace, kind, name, refresh]).await;
        let done = |it: &Value| it["metadata"]["annotations"]["argocd.argoproj.io/refresh"].is_null();
        self.cluster.until("the application is refreshed", APPLICATION, &self.controller, done).await;
    }

    async fn until(&self, what: &str, sync: &str, health: &str) {
        self.cluster.until(what, APPLICATION, &self.controller, |it| is(it, sync, health)).await;
    }

    /// Argo CD does not change fields that Git does not set.
    async fn people_can_write_beside_argo_cd(&self) {
        let approve = "rollcall.dev/approve=0123456789abcdef";
        self.cluster.kubectl(&["annotate", "chm", "support", "--namespace=care", approve]).await;
        let suspend = r#"{"spec":{"suspend":true}}"#;
        self.cluster.kubectl(&["patch", "chm", "support", "--namespace=care", "--type=merge", "-p", suspend]).await;
        self.until("the application is suspended", "Synced", "Suspended").await;
        self.refresh().await;
        let kept = self.cluster.support().await;
        assert_eq!(kept["metadata"]["annotations"]["rollcall.dev/approve"], "0123456789abcdef");
        assert_eq!(kept["spec"]["suspend"], true);
        let resume = r#"{"spec":{"suspend":null}}"#;
        self.cluster.kubectl(&["patch", "chm", "support", "--namespace=care", "--type=merge", "-p", resume]).await;
        self.until("the application is resumed", "Synced", "Healthy").await;
    }

    /// Deletes the resource with `deletionPolicy: Retain`, the default.
    async fn a_deleted_manifest_deletes_the_resource_and_removes_no_member(&self) {
        let before = self.cluster.members();
        self.repository.delete(SUPPORT);
        self.publish("Healthy").await;
        assert_eq!((self.cluster.support().await, self.cluster.members()), (Value::Null, before));
    }
}

fn is(application: &Value, sync: &str, health: &str) -> bool {
    let status = &application["status"];
    status["sync"]["status"] == sync
        && status["health"]["status"] == health
        && condition(application, "ComparisonError").is_null()
}

fn server(cluster: &Cluster) -> String {
    format!("https://127.0.0.1:{}", cluster.control_plane.port())
}

/// Applies the parts of an installation that the two programs read: settings with the health check,
/// a project, and the cluster.
fn installation(cluster: &Cluster) -> Value {
    let part = json!({"app.kubernetes.io/part-of": "argocd"});
    let credentials = json!({"bearerToken": "admin", "tlsClientConfig": {"insecure": true}}).to_string();
    let named = |kind: &str, name: &str, labels: &Value| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "argocd", "labels": labels}});
    let with = |mut object: Value, field: &str, value: Value| {
        object[field] = value;
        object
    };
    let cluster_label = json!({"argocd.argoproj.io/secret-type": "cluster"});
    json!({"apiVersion": "v1", "kind": "List", "items": [
        settings(),
        named("ConfigMap", "argocd-rbac-cm", &part),
        named("ConfigMap", "argocd-gpg-keys-cm", &part),
        named("ConfigMap", "argocd-ssh-known-hosts-cm", &part),
        named("ConfigMap", "argocd-tls-certs-cm", &part),
        with(named("Secret", "argocd-secret", &part), "stringData", json!({"server.secretkey": "none"})),
        with(named("Secret", "here", &cluster_label), "stringData", json!({"name": "here", "server": server(cluster), "config": credentials})),
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "AppProject",
            "metadata": {"name": "default", "namespace": "argocd"},
            "spec": {
                "sourceRepos": ["*"],
                "destinations": [{"server": "*", "namespace": "*"}],
                "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
            },
        },
    ]})
}
