//! Where do traces go, if anywhere?
//!
//! To a collector, by OTLP over HTTP, where OpenTelemetry's usual variables name one: the SDK reads them, and
//! [`environment`] refuses what the SDK would pass over in silence. Spans wait in a queue of 2,048 (`OTEL_BSP_MAX_QUEUE_SIZE`) and what does not
//! fit is dropped, so a collector that is away neither holds up a pass nor fills memory.

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

/// What is still to be sent when the process ends has this long.
pub const FLUSH: Duration = Duration::from_secs(3);

/// The way to a collector. Dropped without [`Traces::flush`], the last spans may be lost.
pub struct Traces(SdkTracerProvider);

/// Why no trace can be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// A variable cannot be used as it is.
    #[error(transparent)]
    Variable(#[from] VariableError),
    /// The certificates of this machine, by which a collector's is judged, cannot be read.
    #[error(
        "failed to read the certificates to trust, for a collector by https: {0}; SSL_CERT_FILE names a file of them"
    )]
    Certificates(std::io::Error),
    /// The exporter cannot be made of the variables.
    #[error("failed to set up traces by the variables OTEL_…: {0}")]
    Exporter(#[from] ExporterBuildError),
}

impl Traces {
    /// What the environment says; `None` where it asks for no traces, and then there is no thread and no span. Sends by `runtime`, which needs
    /// a provider of cryptography by then.
    pub fn from_environment(runtime: &Handle) -> Result<Option<Self>, TracesError> {
        let Some(environment) = Environment::read(|name| std::env::var_os(name))? else { return Ok(None) };
        let client = OtlpClient::new(&environment, runtime.clone()).map_err(TracesError::Certificates)?;
        let exporter =
            SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).with_http_client(client).build()?;
        let provider = SdkTracerProvider::builder().with_resource(resource()).with_batch_exporter(exporter);
        Ok(Some(Self(provider.build())))
    }

    /// What makes spans of ours, and of nobody else's, known to the collector.
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

    /// Sends what is still to be sent, for [`FLUSH`] at most, and is the end of it.
    pub async fn flush(self) {
        // It waits for a thread that sends by this runtime, which must go on meanwhile.
        let flushed = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(FLUSH)).await;
        if let Ok(Err(error)) = flushed {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Whose spans these are, unless `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say something else.
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
