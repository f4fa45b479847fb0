//! The operator sends traces to an OpenTelemetry collector, and works without one.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;

use crate::stage::{INSTANCE, Stage, seed, spec, support};

/// This delay is longer than a story, so traces arrive only because the process ends.
const NOT_SOON: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "3600000");

/// A collector that keeps requests as they came.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(HeaderMap, Bytes)>>>);

impl Collector {
    /// Starts a collector, and returns its address as well.
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let take = async |State(Self(sent)): State<Self>, headers: HeaderMap, body: Bytes| {
            sent.lock().unwrap().push((headers, body));
        };
        let router = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (collector, endpoint)
    }

    fn sent(&self) -> Vec<(HeaderMap, Bytes)> {
        self.0.lock().unwrap().clone()
    }

    /// Returns the attributes of the spans' resources, and the spans.
    fn spans(&self) -> (BTreeMap<String, String>, Vec<Span>) {
        let (mut whose, mut spans) = (BTreeMap::new(), Vec::new());
        for (_, body) in self.sent() {
            for of_resource in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
                whose.extend(attributes(&of_resource.resource.unwrap().attributes));
                spans.extend(of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans));
            }
        }
        (whose, spans)
    }
}

fn attributes(of: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &KeyValue| match value.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    of.iter().map(|value| (value.key.clone(), text(value))).collect()
}

/// Returns the only span of this name with this attribute.
fn the<'a>(spans: &'a [Span], name: &str, key: &str, value: &str) -> &'a Span {
    let has = |span: &&Span| span.name == name && attributes(&span.attributes).get(key).is_some_and(|it| it == value);
    let found: Vec<_> = spans.iter().filter(has).collect();
    assert_eq!(found.len(), 1, "{name} with {key}={value}: {spans:#?}");
    found[0]
}

#[tokio::test]
async fn a_reconcile_and_its_calls_are_spans_that_name_no_member() {
    let (collector, endpoint) = Collector::start().await;
    let stage = Stage::open(seed(3)).await;
    stage.apply("team", support(&["m0000", "m0001"])).await;
    stage.apply("lost", spec("nowhere", &["m0002"])).await;
    let operator = stage.operator_with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=chat%20team"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=story"),
        NOT_SOON,
    ]);
    let team = stage.until_reason("team", "AllPresent").await;
    stage.until_reason("lost", "ChannelNotAccessible").await;
    assert!(collector.sent().is_empty());
    assert!(operator.stop().await.unwrap());

    let (whose, spans) = collector.spans();
    for (name, value) in [("service.name", "rollcall"), ("deployment.environment.name", "story")] {
        assert_eq!(whose[name], value, "{whose:?}");
    }
    assert_eq!(collector.sent()[0].0["x-tenant"], "chat team");
    let resource = format!("{}/team", stage.namespace);
    // A reconcile that found no work may have followed.
    let reconciles =
        spans.iter().filter(|span| attributes(&span.attributes).get("rollcall.resource") == Some(&resource));
    let reconcile = reconciles.min_by_key(|span| span.start_time_unix_nano).unwrap();
    let said = attributes(&reconcile.attributes);
    assert_eq!(reconcile.name, "reconcile");
    assert_eq!(said["rollcall.uid"], team.metadata.uid.unwrap());
    let expected = [("rollcall.generation", "1"), ("rollcall.channel", "support"), ("rollcall.reason", "AllPresent")];
    for (name, value) in expected {
        assert_eq!(said[name], value, "{said:?}");
    }
    let listing = the(&spans, "listing", "rollcall.channel", "support");
    assert_eq!(listing.parent_span_id, reconcile.span_id);
    let page = the(&spans, "ListChannelMemberships", "rollcall.channel", "support");
    assert_eq!(page.parent_span_id, listing.span_id);
    let batch = the(&spans, "BatchCreateChannelMembership", "rollcall.channel", "support");
    assert_eq!((&batch.parent_span_id, &batch.trace_id), (&reconcile.span_id, &reconcile.trace_id));
    for call in [page, batch] {
        let said = attributes(&call.attributes);
        assert_eq!((said["rollcall.answer"].as_str(), said["rpc.method"].as_str()), ("OK", call.name.as_str()));
        assert!(
            !said["aws.request_id"].is_empty() && said["rollcall.rate_limit.waited_seconds"].parse::<f64>().is_ok()
        );
    }
    let refused = the(&spans, "ListChannelMemberships", "rollcall.channel", "nowhere");
    let said = attributes(&refused.attributes);
    assert_eq!(said["rollcall.answer"], "Forbidden");
    assert!(!said["aws.request_id"].is_empty());
    assert_eq!(refused.status.as_ref().unwrap().code(), StatusCode::Error);
    for (_, body) in collector.sent() {
        let text = String::from_utf8_lossy(&body);
        assert!(!text.contains("m000") && !text.contains(INSTANCE), "{text}");
    }
}

#[tokio::test]
async fn no_traces_are_sent_without_an_endpoint() {
    let (collector, endpoint) = Collector::start().await;
    let stage = Stage::open(seed(1)).await;
    stage.apply("team", support(&["m0000"])).await;
    for variables in [
        &[("OTEL_SERVICE_NAME", "chat"), ("OTEL_TRACES_EXPORTER", "otlp")] as &[_],
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_SDK_DISABLED", "true")],
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_TRACES_EXPORTER", "none")],
    ] {
        let mut operator = stage.operator_with(variables);
        stage.reconcile("team").await;
        let threads = std::fs::read_dir(format!("/proc/{}/task", operator.pid().await.unwrap().unwrap())).unwrap();
        let names = threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("comm")).unwrap());
        let of_traces: Vec<String> = names.filter(|name| name.starts_with("OpenTelemetry")).collect();
        assert!(of_traces.is_empty(), "{of_traces:?}");
        assert!(operator.stop().await.unwrap());
    }
    assert!(collector.sent().is_empty());
}

#[tokio::test]
async fn an_unreachable_collector_delays_nothing_and_is_logged_once() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (hangs, away) = (silent.local_addr().unwrap(), TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let stage = Stage::open(seed(1)).await;
    stage.apply("team", support(&["m0000"])).await;
    for collector in [away, hangs] {
        let endpoint = format!("http://{collector}");
        let operator = stage.operator_with(&[
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint.as_str()),
            ("OTEL_BSP_SCHEDULE_DELAY", "10"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "1"),
        ]);
        for _ in 0..3 {
            stage.reconcile("team").await;
        }
        if collector == away {
            let told = async || operator.log().contains("failed to send traces").then_some(());
            crate::stage::eventually("the failure is logged", told).await;
        }
        assert!(operator.stop().await.unwrap());
    }
    // Both operators write to one log.
    let log = std::fs::read_to_string(stage.log()).unwrap();
    assert_eq!(log.matches("failed to send traces").count(), 1, "{log}");
    assert_eq!(log.matches("the last traces were not sent").count(), 1, "{log}");
}
