//! Finds the cluster and the namespace that a command works on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::BoolishValueParser;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::cli::shared::failure::Failure;

/// The longest silence of an API server within an answer; after it, the connection counts as lost.
/// A quiet watch ends sooner.
const SILENCE: Duration = Duration::from_mins(2);

// Flags that kubectl has too. (A doc comment would become the help's introduction.)
#[derive(Clone, Debug, Default, clap::Args)]
pub(in crate::cli) struct ClusterArgs {
    /// The namespace. Default: the current one of the kubeconfig.
    #[arg(short, long, env = "ROLLCALL_NAMESPACE", value_name = "NAMESPACE", value_parser = namespace)]
    pub namespace: Option<String>,

    /// Use all namespaces; --namespace is ignored.
    #[arg(short = 'A', long, env = "ROLLCALL_ALL_NAMESPACES", value_parser = BoolishValueParser::new())]
    pub all_namespaces: bool,

    /// The context of the kubeconfig. Default: the current one.
    #[arg(long, env = "ROLLCALL_CONTEXT", value_name = "CONTEXT")]
    context: Option<String>,

    /// The kubeconfig. Default: KUBECONFIG, else ~/.kube/config, else the cluster that the process
    /// runs in.
    #[arg(long, env = "ROLLCALL_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// Returns a client of the cluster of `KUBECONFIG`, else of the one that this process runs in. It
/// makes no call.
pub(in crate::cli) async fn client() -> Result<Client, Failure> {
    client_and_namespace(&ClusterArgs::default()).await.map(|(client, _)| client)
}

/// Returns a client of the cluster that the flags choose, and its current namespace. It makes no
/// call.
pub(in crate::cli) async fn client_and_namespace(args: &ClusterArgs) -> Result<(Client, String), Failure> {
    let options = KubeConfigOptions { context: args.context.clone(), ..KubeConfigOptions::default() };
    let config = match (&args.kubeconfig, &args.context) {
        (Some(path), _) => from_file(path, &options).await.map_err(|error| (format!("{}", path.display()), error)),
        (None, Some(context)) => Config::from_kubeconfig(&options)
            .await
            .map_err(|error| (format!("--context {context}"), error_chain(&error))),
        (None, None) => {
            let named = std::env::var("KUBECONFIG").ok().filter(|path| !path.is_empty());
            let place = named.map_or_else(
                || "neither KUBECONFIG, ~/.kube/config nor a pod's service account".to_owned(),
                |path| format!("KUBECONFIG={path}"),
            );
            Config::infer().await.map_err(|error| (place, error_chain(&error)))
        }
    };
    let mut config =
        config.map_err(|(place, error)| Failure::of(format!("failed to find the cluster by {place}: {error}")))?;
    let namespace = config.default_namespace.clone();
    // Each call has its own deadline and its own retries; this timeout is for lists and watches.
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    config.default_retry = false;
    let client = Client::try_from(config)
        .map_err(|error| Failure::of(format!("failed to set up the cluster's client: {}", error_chain(&error))))?;
    Ok((client, namespace))
}

async fn from_file(path: &Path, options: &KubeConfigOptions) -> Result<Config, String> {
    let kubeconfig = Kubeconfig::read_from(path).map_err(|error| error_chain(&error))?;
    Config::from_custom_kubeconfig(kubeconfig, options).await.map_err(|error| error_chain(&error))
}

/// Runs asynchronous work that calls a cluster or the service.
pub(in crate::cli) fn run_async<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    // The Kubernetes client and the AWS SDK share this provider of cryptography; two in one process
    // panic. A second call fails, and the first provider stays in force.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::of)?;
    let result = runtime.block_on(work);
    // A thread may still wait for an answer on standard input.
    runtime.shutdown_background();
    result
}

/// Returns an error and its causes in one line.
pub(in crate::cli) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text.replace('\n', " ")
}

/// Parses the name of a namespace: a DNS label (Kubernetes, object names).
pub(in crate::cli) fn namespace(text: &str) -> Result<String, String> {
    let name = text.trim();
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let good =
        (1..=63).contains(&name.len()) && name.bytes().all(legal) && !name.starts_with('-') && !name.ends_with('-');
    if good { Ok(name.to_owned()) } else { Err("no namespace: write a DNS label such as team-a".to_owned()) }
}
