//! A real Kubernetes control plane, etcd and kube-apiserver, for tests, the demo and benchmarks.
//!
//! Include it with `#[path = "support/control_plane.rs"] mod control_plane;`. Tests share the
//! control plane of their process, [`ControlPlane::shared`], and use a [`ControlPlane::namespace`]
//! each. A test that disturbs the API server starts a control plane of its own. No controller runs
//! here: no garbage is collected, no pod is created, and a deleted namespace stays.

#![allow(dead_code, unused_imports, reason = "each test, demo and benchmark uses its own part")]

use std::{
    fs, io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use serde_json::json;
use tokio::{
    process::Command,
    sync::OnceCell,
    time::{Instant, sleep, timeout},
};

#[path = "control_plane/access.rs"]
mod access;
#[path = "control_plane/program.rs"]
mod program;

pub use access::Kubectl;
pub use program::Program;

/// This bound only ends a hanging start; a start takes three seconds on an idle machine.
const DEADLINE: Duration = Duration::from_mins(10);
const POLL: Duration = Duration::from_millis(50);
/// These ports are below the range for outgoing connections, which could take the port while the
/// API server is down.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const ADMIN_TOKEN: &str = "admin";

/// The reason why a control plane did not start or did not do its work.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Error {
    #[error(
        "failed to find or build the control plane's programs: see the output of hack/control-plane-tools ({status})"
    )]
    Tools { status: ExitStatus },
    #[error("failed to run {program}")]
    Run { program: &'static str, source: io::Error },
    #[error("failed to read or write {}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{program} ended by itself ({status}); its last words:\n{log}")]
    Ended { program: &'static str, status: ExitStatus, log: String },
    #[error("kube-apiserver is not ready after {} s ({last}); its last words:\n{log}", DEADLINE.as_secs())]
    NotReady { last: String, log: String },
    #[error("kube-apiserver is stopped: start it first")]
    Stopped,
    #[error("failed to make a client from {}: {message}", kubeconfig.display())]
    Client { kubeconfig: PathBuf, message: String },
    #[error("failed to {what}")]
    Api { what: String, source: kube::Error },
    #[error("failed to watch {name} until it is established")]
    Watch { name: String, source: kube::runtime::wait::Error },
    #[error("{name} is not established after {} s", DEADLINE.as_secs())]
    NotEstablished { name: String },
    #[error("failed to read {} as a custom resource definition: {message}", path.display())]
    Manifest { path: PathBuf, message: String },
}

/// One etcd and one kube-apiserver on the loopback, with a folder of their own.
///
/// All of it is removed when this is dropped, and when this process ends: by a panic, Ctrl-C or
/// `kill -9`.
pub struct ControlPlane {
    // Fields are dropped in this order: the API server goes before its store, whose wrapper removes
    // the folder.
    apiserver: Option<Program>,
    etcd: Program,
    folder: PathBuf,
    tools: PathBuf,
    port: u16,
    flags: Vec<String>,
}

impl ControlPlane {
    /// Returns the control plane that all tests of this process share. The first caller starts it.
    pub async fn shared() -> Result<&'static Self, Error> {
        static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// Starts a control plane and waits until it is ready.
    pub async fn start() -> Result<Self, Error> {
        Self::start_with(&[]).await
    }

    /// Starts a control plane as [`Self::start`] does, with more flags for the API server, such as
    /// `--audit-log-path=…`.
    pub async fn start_with(flags: &[&str]) -> Result<Self, Error> {
        let tools = find_tools().await?;
        let temporary = tempfile::Builder::new()
            .prefix("rollcall-")
            .tempdir()
            .map_err(|source| Error::File { path: std::env::temp_dir(), source })?;
        let etcd = start_etcd(&tools, temporary.path())?;
        // From here on, etcd's wrapper removes the folder, even if this process is killed.
        let folder = temporary.keep();
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        let mut control_plane = Self { apiserver: None, etcd, folder, tools, port: free_port(), flags };
        let tokens = control_plane.folder.join("tokens");
        fs::write(&tokens, format!("{ADMIN_TOKEN},admin,admin,\"system:masters\"\n"))
            .map_err(|source| Error::File { path: tokens, source })?;
        loop {
            control_plane.write_kubeconfig(&control_plane.kubeconfig(), &json!({"token": ADMIN_TOKEN}))?;
            match control_plane.start_apiserver().await {
                // Another process took the port first.
                Err(Error::Ended { log, .. }) if log.contains("address already in use") => {
                    control_plane.port = free_port();
                }
                started => return started.map(|()| control_plane),
            }
        }
    }

    /// Starts the API server again after [`Self::kill_apiserver`], at the same address and on the
    /// same store, and waits until it is ready.
    pub async fn start_apiserver(&mut self) -> Result<(), Error> {
        let apiserver = Program::start(
            &self.tools.join("kube-apiserver"),
            &self.apiserver_arguments(),
            self.folder.join("kube-apiserver.log"),
            None,
        )
        .map_err(|source| Error::Run { program: "kube-apiserver", source })?;
        self.apiserver = Some(apiserver);
        let started = self.wait_until_ready().await;
        if started.is_err() {
            self.kill_apiserver();
        }
        started
    }

    /// Kills the API server: its connections break and its port refuses new ones. The store keeps
    /// running.
    pub fn kill_apiserver(&mut self) {
        self.apiserver = None;
    }

    /// Freezes the API server: it accepts connections and keeps them open, but gives no answer.
    pub fn pause_apiserver(&mut self) -> Result<(), Error> {
        self.signal_apiserver("STOP")
    }

    /// Lets the API server continue after [`Self::pause_apiserver`].
    pub fn resume_apiserver(&mut self) -> Result<(), Error> {
        self.signal_apiserver("CONT")
    }

    /// Ends everything and waits until nothing is left. Dropping does the same without waiting for
    /// the folder to go.
    pub async fn stop(self) {
        let folder = self.folder.clone();
        drop(self);
        let deadline = Instant::now() + DEADLINE;
        while folder.exists() && Instant::now() < deadline {
            sleep(POLL).await;
        }
    }

    /// Returns the folder with the data, the logs and the certificates, which is removed at the
    /// end.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the folder with the programs `etcd`, `kube-apiserver` and `kubectl`.
    pub fn tools(&self) -> &Path {
        &self.tools
    }

    /// Returns the API server's port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn signal_apiserver(&mut self, signal: &str) -> Result<(), Error> {
        self.apiserver
            .as_mut()
            .ok_or(Error::Stopped)?
            .signal(signal)
            .map_err(|source| Error::Run { program: "kube-apiserver", source })
    }

    /// Waits for `/readyz`, and for the namespace `default`, which comes a moment later.
    async fn wait_until_ready(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let last = match timeout(Duration::from_secs(5), self.ask_whether_ready()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(_) => "no answer".to_owned(),
            };
            let apiserver = self.apiserver.as_mut().ok_or(Error::Stopped)?;
            for (name, program) in [("etcd", &mut self.etcd), ("kube-apiserver", apiserver)] {
                let exit = program.exit().map_err(|source| Error::Run { program: name, source })?;
                if let Some(status) = exit {
                    return Err(Error::Ended { program: name, status, log: program.tail() });
                }
            }
            if Instant::now() > deadline {
                let log = self.apiserver.as_ref().map(Program::tail).unwrap_or_default();
                return Err(Error::NotReady { last, log });
            }
            sleep(POLL).await;
        }
    }

    async fn ask_whether_ready(&self) -> Result<(), String> {
        // The API server writes the certificate that clients trust, so there is none at first.
        let client = self.client().await.map_err(|error| error.to_string())?;
        let request = axum::http::Request::get("/readyz").body(Vec::new()).map_err(|error| error.to_string())?;
        client.request_text(request).await.map_err(|error| error.to_string())?;
        Api::<Namespace>::all(client).get("default").await.map_err(|error| error.to_string())?;
        Ok(())
    }

    fn apiserver_arguments(&self) -> Vec<String> {
        let folder = self.folder.display();
        let mut arguments = vec![
            format!("--etcd-servers=unix://{folder}/etcd.sock"),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", self.port),
            // The API server creates its certificate there at the first start. The certificate's
            // key also signs service account tokens.
            format!("--cert-dir={folder}/pki"),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={folder}/pki/apiserver.key"),
            format!("--service-account-signing-key-file={folder}/pki/apiserver.key"),
            format!("--token-auth-file={folder}/tokens"),
            "--authorization-mode=RBAC".to_owned(),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            // A loopback address cannot be an endpoint of the service `kubernetes`.
            "--endpoint-reconciler-type=none".to_owned(),
        ];
        arguments.extend(self.flags.iter().cloned());
        arguments
    }
}

fn start_etcd(tools: &Path, folder: &Path) -> Result<Program, Error> {
    let at = folder.display();
    let arguments = [
        "--name=rollcall".to_owned(),
        format!("--data-dir={at}/etcd"),
        // Sockets in the folder need no free port.
        format!("--listen-client-urls=unix://{at}/etcd.sock"),
        format!("--listen-peer-urls=unix://{at}/peer.sock"),
        // No client uses these addresses, but etcd requires a host and a port.
        "--advertise-client-urls=http://localhost:2379".to_owned(),
        "--initial-advertise-peer-urls=http://localhost:2380".to_owned(),
        "--initial-cluster=rollcall=http://localhost:2380".to_owned(),
        // The data ends with the process, so no write has to reach the disk.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    Program::start(&tools.join("etcd"), &arguments, folder.join("etcd.log"), Some(folder))
        .map_err(|source| Error::Run { program: "etcd", source })
}

async fn find_tools() -> Result<PathBuf, Error> {
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("hack/control-plane-tools"))
        // The progress of the download goes to standard error.
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| Error::Run { program: "hack/control-plane-tools", source })?;
    if !output.status.success() {
        return Err(Error::Tools { status: output.status });
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(PORTS);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
