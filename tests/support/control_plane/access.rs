//! Clients of the control plane, and the users that they act as.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Config, ResourceExt as _,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    runtime::{conditions, wait::await_condition},
};
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, process::Command, time::timeout};

use super::{ADMIN_TOKEN, ControlPlane, DEADLINE, Error};

/// The answer of `kubectl`.
#[derive(Debug)]
pub struct Kubectl {
    /// True if it exited with 0.
    pub success: bool,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error, which has the API server's refusals.
    pub stderr: String,
}

impl ControlPlane {
    /// Returns a kubeconfig of the administrator, which has all rights and is exempt from the API
    /// server's own rate limits.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// Writes a kubeconfig that acts as `user` in `groups`, with the rights that RBAC gives them.
    pub fn kubeconfig_as(&self, user: &str, groups: &[&str]) -> Result<PathBuf, Error> {
        let file_name: String = user.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        let path = self.folder.join(format!("kubeconfig-{file_name}"));
        self.write_kubeconfig(&path, &json!({"token": ADMIN_TOKEN, "as": user, "as-groups": groups}))?;
        Ok(path)
    }

    /// Writes a kubeconfig for the owner of a token, such as one of `kubectl create token`.
    pub fn kubeconfig_by_token(&self, name: &str, token: &str) -> Result<PathBuf, Error> {
        let path = self.folder.join(format!("kubeconfig-{name}"));
        self.write_kubeconfig(&path, &json!({"token": token}))?;
        Ok(path)
    }

    /// Returns a client of the administrator.
    ///
    /// Take a new one in each test: a client ends with the runtime that made it.
    pub async fn client(&self) -> Result<Client, Error> {
        self.client_from(&self.kubeconfig()).await
    }

    /// Returns a client that acts as `user` in `groups`, with the rights that RBAC gives them. The
    /// roles `admin`, `edit` and `view` are empty here: a controller that does not run fills them.
    pub async fn client_as(&self, user: &str, groups: &[&str]) -> Result<Client, Error> {
        self.client_from(&self.kubeconfig_as(user, groups)?).await
    }

    /// Runs the real `kubectl` as the administrator.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<Kubectl, Error> {
        self.kubectl_with_input(arguments, "").await
    }

    /// Runs the real `kubectl` as the administrator with `input` on its standard input, as `apply
    /// -f -` wants.
    pub async fn kubectl_with_input(&self, arguments: &[&str], input: &str) -> Result<Kubectl, Error> {
        let failed = |source| Error::Run { program: "kubectl", source };
        let mut kubectl = Command::new(self.tools.join("kubectl"))
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig())
            // The caches and the preferences of the current user are not read.
            .env("HOME", &self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let stdin = kubectl.stdin.take();
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A program that does not read to the end says why on its standard error.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
        };
        let ((), output) = tokio::join!(feed, kubectl.wait_with_output());
        let output = output.map_err(failed)?;
        Ok(Kubectl {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Creates a namespace with a new name that begins with `prefix`, and returns the name. The
    /// namespace goes with the control plane, because no controller deletes namespaces here.
    pub async fn namespace(&self, prefix: &str) -> Result<String, Error> {
        let namespace = Namespace {
            metadata: ObjectMeta { generate_name: Some(format!("{prefix}-")), ..ObjectMeta::default() },
            ..Namespace::default()
        };
        Api::all(self.client().await?)
            .create(&PostParams::default(), &namespace)
            .await
            .map(|made| made.name_any())
            .map_err(|source| Error::Api { what: format!("create a namespace {prefix}-…"), source })
    }

    /// Applies a CRD and waits until the API server serves it.
    pub async fn install_crd(&self, crd: &CustomResourceDefinition) -> Result<(), Error> {
        let name = crd.name_any();
        let failed = |source| Error::Api { what: format!("install {name}"), source };
        let crds: Api<CustomResourceDefinition> = Api::all(self.client().await?);
        crds.patch(&name, &PatchParams::apply("rollcall-support").force(), &Patch::Apply(crd)).await.map_err(failed)?;
        timeout(DEADLINE, await_condition(crds, &name, conditions::is_crd_established()))
            .await
            .map_err(|_| Error::NotEstablished { name: name.clone() })?
            .map_err(|source| Error::Watch { name: name.clone(), source })?;
        Ok(())
    }

    /// Applies a CRD as [`Self::install_crd`] does, from a YAML file of one CRD.
    pub async fn install_crd_file(&self, path: &Path) -> Result<(), Error> {
        let text = fs::read_to_string(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
        let crd = serde_yaml::from_str(&text)
            .map_err(|source| Error::Manifest { path: path.to_owned(), message: source.to_string() })?;
        self.install_crd(&crd).await
    }

    pub(super) fn write_kubeconfig(&self, path: &Path, user: &serde_json::Value) -> Result<(), Error> {
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "control-plane", "cluster": {
                "server": format!("https://127.0.0.1:{}", self.port),
                "certificate-authority": self.folder.join("pki/apiserver.crt"),
            }}],
            "users": [{"name": "user", "user": user}],
            "contexts": [{"name": "control-plane", "context": {"cluster": "control-plane", "user": "user"}}],
            "current-context": "control-plane",
        });
        // JSON is YAML, and needs no writer of its own.
        fs::write(path, format!("{kubeconfig:#}\n")).map_err(|source| Error::File { path: path.to_owned(), source })
    }

    async fn client_from(&self, kubeconfig: &Path) -> Result<Client, Error> {
        let failed = |message: String| Error::Client { kubeconfig: kubeconfig.to_owned(), message };
        let read = Kubeconfig::read_from(kubeconfig).map_err(|error| failed(error.to_string()))?;
        let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
            .await
            .map_err(|error| failed(error.to_string()))?;
        // The machine's HTTPS_PROXY does not reach its loopback.
        config.proxy_url = None;
        Client::try_from(config).map_err(|error| failed(error.to_string()))
    }
}
