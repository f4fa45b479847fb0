//! The export of traces.
//!
//! Traces go to a collector by OTLP over HTTP if OpenTelemetry's usual variables name one. The SDK
//! reads the variables, and [`environment`] refuses values that the SDK would ignore silently.
//! Spans wait in a queue of 2,048 (`OTEL_BSP_MAX_QUEUE_SIZE`), and further spans are dropped, so a
//! collector that is away neither delays a reconcile nor fills memory.

mod environment;
mod otlp_client;

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, ResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use self::environment::Environment;
pub use self::environment::VariableError;
use self::otlp_client::OtlpClient;
use crate::chime::trace::TARGET;

/// The time to send the last spans when the process ends.
pub const FLUSH: Duration = Duration::from_secs(3);

/// The export to a collector. If it is dropped without [`Traces::flush`], the last spans may be
/// lost.
pub struct Traces(SdkTracerProvider);

/// The reason why no trace can be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// A variable has an invalid value.
    #[error(transparent)]
    Variable(#[from] VariableError),
    /// The certificates of this machine, which verify the collector's, cannot be read.
    #[error(
        "failed to read the certificates to trust, for a collector by https: {0}; SSL_CERT_FILE names a file of them"
    )]
    Certificates(std::io::Error),
    /// The exporter cannot be created from the variables.
    #[error("failed to set up traces by the variables OTEL_…: {0}")]
    Exporter(#[from] ExporterBuildError),
}

impl Traces {
    /// Sets up the export from the environment; `None` if the environment names no collector, and
    /// then there is no thread and no span. Sends on `runtime`, and needs a provider of
    /// cryptography by then.
    pub fn from_environment(runtime: &Handle) -> Result<Option<Self>, TracesError> {
        let Some(environment) = Environment::read(|name| std::env::var_os(name))? else { return Ok(None) };
        let client = OtlpClient::new(&environment, runtime.clone()).map_err(TracesError::Certificates)?;
        let exporter =
            SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).with_http_client(client).build()?;
        let provider = SdkTracerProvider::builder().with_resource(resource()).with_batch_exporter(exporter);
        Ok(Some(Self(provider.build())))
    }

    /// Returns the layer that exports the spans of Rollcall, and no other spans.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let layer: OpenTelemetryLayer<S, SdkTracer> = tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("rollcall"))
            .with_context_activation(false)
            .with_level(false)
            .with_location(false)
            .with_target(false)
            .with_threads(false)
            .with_tracked_inactivity(false);
        layer.with_filter(filter_fn(|of| of.is_span() && of.target() == TARGET))
    }

    /// Sends the last spans, for [`FLUSH`] at most, and ends the export.
    pub async fn flush(self) {
        // The shutdown waits for a thread that sends on this runtime, so the runtime must go on
        // meanwhile.
        let flushed = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(FLUSH)).await;
        if let Ok(Err(error)) = flushed {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Returns the attributes of the process. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`
/// replace them.
fn resource() -> Resource {
    let ours = [KeyValue::new("service.name", "rollcall"), KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))];
    let detectors: [Box<dyn ResourceDetector>; 2] =
        [Box::new(TelemetryResourceDetector), Box::new(EnvResourceDetector::new())];
    let resource = Resource::builder_empty().with_attributes(ours).with_detectors(&detectors);
    match std::env::var("OTEL_SERVICE_NAME") {
        Ok(name) if !name.is_empty() => resource.with_service_name(name).build(),
        _ => resource.build(),
    }
}
