//! The HTTP client that sends spans to the collector.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper_rustls::HttpsConnectorBuilder;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use tokio::runtime::Handle;

use super::environment::Environment;

/// Sends the batches of the exporter's thread, which has no runtime, on the runtime of the process.
/// Logs a failure once and not for each batch.
pub(super) struct OtlpClient {
    client: Arc<dyn HttpClient>,
    runtime: Handle,
    collector: String,
    failing: AtomicBool,
}

impl fmt::Debug for OtlpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpClient").field("collector", &self.collector).finish_non_exhaustive()
    }
}

impl OtlpClient {
    /// Creates the client. Fails if the certificates to trust cannot be read, which https needs.
    pub(super) fn new(environment: &Environment, runtime: Handle) -> io::Result<Self> {
        let client: Arc<dyn HttpClient> = if environment.secure {
            let connector = HttpsConnectorBuilder::new().with_native_roots()?.https_only().enable_http1().build();
            Arc::new(HyperClient::new(connector, environment.timeout, None))
        } else {
            Arc::new(HyperClient::with_default_connector(environment.timeout, None))
        };
        Ok(Self { client, runtime, collector: environment.collector.clone(), failing: AtomicBool::new(false) })
    }
}

impl HttpClient for OtlpClient {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let client = Arc::clone(&self.client);
        let sent = self.runtime.spawn(async move { client.send_bytes(request).await });
        Box::pin(async move {
            let answer = match sent.await {
                Ok(answer) => answer,
                // The process ends, and has logged the spans that were not sent.
                Err(cancelled) => return Err(cancelled.into()),
            };
            let fault = match &answer {
                Ok(answer) if answer.status().is_success() => None,
                Ok(answer) => Some(format!("it answered {}", answer.status())),
                Err(error) => Some(causes(&**error)),
            };
            match fault {
                Some(error) if !self.failing.swap(true, Ordering::Relaxed) => tracing::warn!(
                    collector = self.collector,
                    error,
                    "failed to send traces; until it works again they are dropped, and nothing more is said of it"
                ),
                None if self.failing.swap(false, Ordering::Relaxed) => {
                    tracing::info!(collector = self.collector, "traces are sent again");
                }
                _ => {}
            }
            answer
        })
    }
}

/// Returns the texts of an error and its causes.
fn causes(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
