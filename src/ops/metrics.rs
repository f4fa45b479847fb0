//! The metrics of the process.
//!
//! Each component has its metrics as values and registers them here; nothing is global. Most
//! metrics are read when they are scraped ([`Metrics::add_collector`]): they cost nothing before,
//! need no clean-up when a resource is deleted, and never grow.

mod engine;
mod service;

use std::fmt::{self, Write as _};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Metric, Registry};

pub use self::engine::register_engine_metrics;
pub use self::service::register_service_metrics;

/// The media type of [`Metrics::render_text`] (Prometheus, exposition formats).
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics of a process.
#[derive(Debug)]
pub struct Metrics(Registry);

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self(Registry::with_prefix("rollcall"));
        metrics.add_collector(|page| {
            let mut info = page.gauges("build_info", "What runs; always 1")?;
            info.set(&[("version", env!("CARGO_PKG_VERSION"))], 1.0)
        });
        metrics
    }
}

impl Metrics {
    /// Registers a metric that is kept up to date; `name` is without the prefix `rollcall_`, and
    /// without `_total`.
    pub fn register(&mut self, name: &str, help: &str, metric: impl Metric) {
        self.0.register(name, help, metric);
    }

    /// Registers metrics that are read at each scrape.
    pub fn add_collector(&mut self, read: impl Fn(&mut MetricsWriter<'_>) -> fmt::Result + Send + Sync + 'static) {
        self.0.register_collector(Box::new(FnCollector(read)));
    }

    /// Renders all metrics in the Prometheus text format, as `promtool check metrics` accepts it.
    pub fn render_text(&self) -> Result<String, fmt::Error> {
        let mut openmetrics = String::new();
        text::encode_registry(&mut openmetrics, &self.0)?;
        classic(&openmetrics)
    }
}

/// Converts OpenMetrics' text format to Prometheus' own. In OpenMetrics, the family of a counter
/// lacks the `_total` of its samples.
fn classic(openmetrics: &str) -> Result<String, fmt::Error> {
    let mut page = String::with_capacity(openmetrics.len() + 1024);
    let mut lines = openmetrics.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) else {
            writeln!(page, "{line}")?;
            continue;
        };
        let kind = lines.next_if(|line| line.starts_with("# TYPE ")).and_then(|line| line.rsplit(' ').next());
        let kind = kind.unwrap_or("untyped");
        let suffix = if kind == "counter" { "_total" } else { "" };
        writeln!(page, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}")?;
    }
    Ok(page)
}

struct FnCollector<F>(F);

impl<F> fmt::Debug for FnCollector<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FnCollector")
    }
}

impl<F: Fn(&mut MetricsWriter<'_>) -> fmt::Result + Send + Sync + 'static> Collector for FnCollector<F> {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        (self.0)(&mut MetricsWriter(encoder))
    }
}

/// Writes the metrics of a collector.
pub struct MetricsWriter<'a>(DescriptorEncoder<'a>);

/// Gauges of one name with different labels.
pub struct Gauges<'a>(MetricEncoder<'a>);

/// Counters of one name with different labels.
pub struct Counters<'a>(MetricEncoder<'a>);

impl MetricsWriter<'_> {
    /// Writes one gauge.
    pub fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// Writes one counter; `name` is without `_total`.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut counter = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        counter.encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    /// Begins gauges of one name.
    pub fn gauges<'p>(&'p mut self, name: &'p str, help: &str) -> Result<Gauges<'p>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge).map(Gauges)
    }

    /// Begins counters of one name, without `_total`.
    pub fn counters<'p>(&'p mut self, name: &'p str, help: &str) -> Result<Counters<'p>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, MetricType::Counter).map(Counters)
    }
}

impl Gauges<'_> {
    /// Writes the gauge with these labels.
    pub fn set<const N: usize>(&mut self, labels: &[(&str, &str); N], value: f64) -> fmt::Result {
        self.0.encode_family(labels)?.encode_gauge(&value)
    }
}

impl Counters<'_> {
    /// Writes the counter with these labels.
    pub fn set<const N: usize>(&mut self, labels: &[(&str, &str); N], value: f64) -> fmt::Result {
        self.0.encode_family(labels)?.encode_counter::<NoLabelSet, _, f64>(&value, None)
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn what_is_registered_is_rendered_as_prometheus_reads_it() {
        let mut metrics = Metrics::default();
        let kept = Counter::<u64>::default();
        metrics.register("kept", "Kept up to date", kept.clone());
        metrics.add_collector(|page| {
            page.counter("things", "Things", 7)?;
            page.gauge("share", "A share", 0.5)?;
            page.counters("calls", "Calls")?.set(&[("operation", "List"), ("answer", "a \"b\"")], 2.0)
        });
        kept.inc();
        let page = metrics.render_text().unwrap();
        for line in [
            concat!("rollcall_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1.0"),
            "# TYPE rollcall_kept_total counter",
            "rollcall_kept_total 1",
            "# TYPE rollcall_things_total counter",
            "rollcall_things_total 7",
            "# TYPE rollcall_share gauge",
            "rollcall_share 0.5",
            "rollcall_calls_total{operation=\"List\",answer=\"a \\\"b\\\"\"} 2.0",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
        }
        assert!(!page.contains("EOF"));
    }
}
