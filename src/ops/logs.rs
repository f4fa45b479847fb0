//! The destination and the format of log lines.

use std::io::{IsTerminal as _, stderr};

use clap::ValueEnum;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt, registry};

use super::traces::Traces;
use crate::chime::trace;

/// The filter if `RUST_LOG` is not set. The controller's spans are left out: they are entered for
/// each reconcile in flight whenever one of them makes progress, and a reconcile has a span of its
/// own. The watcher's warnings are left out: Rollcall logs them itself, with advice.
const DEFAULT_FILTER: &str = "info,kube_runtime::controller=warn,kube_runtime::watcher=error";

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For users.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// `RUST_LOG` cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("RUST_LOG={value:?} is no filter ({source}): write a level such as info, or target=level, comma-separated")]
pub struct FilterError {
    value: String,
    source: ParseError,
}

/// Sends log lines and panics to stderr from here on, and spans to a collector if there is one.
pub fn init_logging(format: LogFormat, traces: Option<&Traces>) -> Result<(), FilterError> {
    let value = std::env::var("RUST_LOG").ok().filter(|value| !value.is_empty());
    let value = value.unwrap_or_else(|| DEFAULT_FILTER.to_owned());
    // Spans for a collector are in no log line, so they cost nothing without a collector.
    let filter = EnvFilter::try_new(format!("{value},{}=off", trace::TARGET));
    let filter = filter.map_err(|source| FilterError { value, source })?;
    let lines = fmt::layer().with_writer(stderr);
    let text = match format {
        LogFormat::Auto => stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let lines = if text {
        lines.with_ansi(stderr().is_terminal()).with_target(false).boxed()
    } else {
        lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
    };
    let lines = registry().with(lines.with_filter(filter));
    // A second call alone fails here, and then the settings of the first are in force.
    let _ = match traces {
        None => lines.try_init(),
        Some(traces) => lines.with(traces.layer()).try_init(),
    };
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let what = panic.payload_as_str().unwrap_or("a panic without words");
        tracing::error!(place, "panicked: {what}");
    }));
    Ok(())
}
