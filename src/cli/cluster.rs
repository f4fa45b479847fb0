//! Which cluster is meant, and which part of it?

use std::time::Duration;

use kube::Client;

use super::Failure;

/// An API server that says nothing for so long, in the middle of an answer, is taken for gone. A quiet watch ends before that.
const SILENCE: Duration = Duration::from_mins(2);

/// The Kubernetes client and the AWS SDK share this provider of cryptography; two in one process panic.
pub(super) fn install_cryptography() {
    // Only a second call fails, and then the first one's is in force.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// A client of the cluster of `KUBECONFIG`, else of the one around us. Nothing is called yet.
pub(super) async fn client() -> Result<Client, Failure> {
    let named = std::env::var("KUBECONFIG").ok().filter(|path| !path.is_empty());
    let mut config = kube::Config::infer().await.map_err(|error| {
        let place = named.map_or_else(
            || "neither KUBECONFIG, ~/.kube/config nor a pod's service account".to_owned(),
            |path| format!("KUBECONFIG={path}"),
        );
        Failure::of(format!("failed to find the cluster by {place}: {}", one_line(&error)))
    })?;
    // Each call has its own deadline and its own next try; this one is for lists and watches.
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    config.default_retry = false;
    Client::try_from(config)
        .map_err(|error| Failure::of(format!("failed to set up the cluster's client: {}", one_line(&error))))
}

/// An error with its causes.
fn one_line(error: &dyn std::error::Error) -> String {
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
