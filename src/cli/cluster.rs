//! Which cluster is meant, and which part of it?

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::BoolishValueParser;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::Failure;

/// An API server that says nothing for so long, in the middle of an answer, is taken for gone. A quiet watch ends before that.
const SILENCE: Duration = Duration::from_mins(2);

// Flags that kubectl has too.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct ClusterArgs {
    /// The namespace; by default the kubeconfig's current one.
    #[arg(short, long, env = "ROLLCALL_NAMESPACE", value_name = "NAMESPACE", value_parser = namespace)]
    pub namespace: Option<String>,

    /// All namespaces, whatever --namespace says.
    #[arg(short = 'A', long, env = "ROLLCALL_ALL_NAMESPACES", value_parser = BoolishValueParser::new())]
    pub all_namespaces: bool,

    /// The context of the kubeconfig; by default its current one.
    #[arg(long, env = "ROLLCALL_CONTEXT", value_name = "CONTEXT")]
    context: Option<String>,

    /// The kubeconfig; by default KUBECONFIG, else ~/.kube/config, else the cluster around.
    #[arg(long, env = "ROLLCALL_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// A client of the cluster of `KUBECONFIG`, else of the one around us. Nothing is called yet.
pub(super) async fn client() -> Result<Client, Failure> {
    chosen(&ClusterArgs::default()).await.map(|(client, _)| client)
}

/// A client of the cluster that the flags choose, and the namespace that is current there. Nothing is called yet.
pub(super) async fn chosen(args: &ClusterArgs) -> Result<(Client, String), Failure> {
    let options = KubeConfigOptions { context: args.context.clone(), ..KubeConfigOptions::default() };
    let config = match (&args.kubeconfig, &args.context) {
        (Some(path), _) => from_file(path, &options).await.map_err(|error| (format!("{}", path.display()), error)),
        (None, Some(context)) => {
            Config::from_kubeconfig(&options).await.map_err(|error| (format!("--context {context}"), one_line(&error)))
        }
        (None, None) => {
            let named = std::env::var("KUBECONFIG").ok().filter(|path| !path.is_empty());
            let place = named.map_or_else(
                || "neither KUBECONFIG, ~/.kube/config nor a pod's service account".to_owned(),
                |path| format!("KUBECONFIG={path}"),
            );
            Config::infer().await.map_err(|error| (place, one_line(&error)))
        }
    };
    let mut config =
        config.map_err(|(place, error)| Failure::of(format!("failed to find the cluster by {place}: {error}")))?;
    let namespace = config.default_namespace.clone();
    // Each call has its own deadline and its own next try; this one is for lists and watches.
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    config.default_retry = false;
    let client = Client::try_from(config)
        .map_err(|error| Failure::of(format!("failed to set up the cluster's client: {}", one_line(&error))))?;
    Ok((client, namespace))
}

async fn from_file(path: &Path, options: &KubeConfigOptions) -> Result<Config, String> {
    let kubeconfig = Kubeconfig::read_from(path).map_err(|error| one_line(&error))?;
    Config::from_custom_kubeconfig(kubeconfig, options).await.map_err(|error| one_line(&error))
}

/// Runs what calls a cluster or the service.
pub(super) fn calling<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    // The Kubernetes client and the AWS SDK share this provider of cryptography; two in one process panic. Only a second call
    // fails, and then the first one's is in force.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::of)?;
    let result = runtime.block_on(work);
    // Somebody may have been asked who never answered.
    runtime.shutdown_background();
    result
}

/// An error with its causes.
pub(super) fn one_line(error: &dyn std::error::Error) -> String {
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

/// A namespace's name is a DNS label (Kubernetes, object names).
pub(super) fn namespace(text: &str) -> Result<String, String> {
    let name = text.trim();
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let good =
        (1..=63).contains(&name.len()) && name.bytes().all(legal) && !name.starts_with('-') && !name.ends_with('-');
    if good { Ok(name.to_owned()) } else { Err("no namespace: write a DNS label such as team-a".to_owned()) }
}
