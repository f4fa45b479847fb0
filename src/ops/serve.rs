//! The HTTP endpoints for metrics and health.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use super::health::Health;
use super::metrics::{MEDIA_TYPE, Metrics};

/// An address to listen at: `0.0.0.0:8080`, or `:8080` for all IPv4 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListenAddress(SocketAddr);

impl FromStr for ListenAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let whole = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
        whole.parse().map(Self).map_err(|_| "no address: write ip:port, such as 0.0.0.0:8080 or [::]:8080, or :8080")
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The endpoints of each address. No port is open before [`HttpEndpoints::open_sockets`].
#[derive(Default)]
pub struct HttpEndpoints(BTreeMap<ListenAddress, Router>);

/// The error of an address that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen at {address}: {source}")]
pub struct ListenError {
    address: ListenAddress,
    source: io::Error,
}

/// The open sockets, to be served.
pub struct OpenEndpoints(Vec<(tokio::net::TcpListener, Router)>);

impl HttpEndpoints {
    /// Adds `/metrics`.
    pub fn add_metrics(&mut self, at: ListenAddress, metrics: Arc<Metrics>) {
        self.add(at, Router::new().route("/metrics", get(async move || page(&metrics))));
    }

    /// Adds `/healthz` and `/readyz`: they answer 200, or 503 and the problems.
    pub fn add_health(&mut self, at: ListenAddress, health: Arc<Health>) {
        let same = Arc::clone(&health);
        let router = Router::new()
            .route("/healthz", get(async move || verdict(health.check_liveness())))
            .route("/readyz", get(async move || verdict(same.check_readiness())));
        self.add(at, router);
    }

    fn add(&mut self, at: ListenAddress, router: Router) {
        let before = self.0.remove(&at).unwrap_or_default();
        self.0.insert(at, before.merge(router));
    }

    /// Opens the sockets.
    pub fn open_sockets(self) -> Result<OpenEndpoints, ListenError> {
        let listen = |(address, router): (ListenAddress, Router)| {
            let listener = TcpListener::bind(address.0).and_then(|listener| {
                listener.set_nonblocking(true)?;
                tokio::net::TcpListener::from_std(listener)
            });
            listener.map(|listener| (listener, router)).map_err(|source| ListenError { address, source })
        };
        self.0.into_iter().map(listen).collect::<Result<_, _>>().map(OpenEndpoints)
    }
}

impl OpenEndpoints {
    /// Serves the endpoints in the background until the runtime ends.
    pub fn serve(self) {
        for (listener, router) in self.0 {
            if let Ok(address) = listener.local_addr() {
                tracing::info!(%address, "listening");
            }
            tokio::spawn(async move { axum::serve(listener, router).await });
        }
    }
}

fn page(metrics: &Metrics) -> Response {
    match metrics.render_text() {
        Ok(page) => ([(header::CONTENT_TYPE, MEDIA_TYPE)], page).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn verdict(verdict: Result<(), String>) -> Response {
    match verdict {
        Ok(()) => "ok\n".into_response(),
        Err(wrong) => (StatusCode::SERVICE_UNAVAILABLE, wrong + "\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(router: &Router, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        (status, String::from_utf8(to_bytes(answer.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn metrics_and_health_may_share_an_address() {
        let at: ListenAddress = "127.0.0.1:0".parse().unwrap();
        let mut health = Health::default();
        health.add_readiness_check(|| Err("the watch is not through".to_owned()));
        let mut endpoints = HttpEndpoints::default();
        endpoints.add_metrics(at, Arc::new(Metrics::default()));
        endpoints.add_health(at, Arc::new(health));
        let router = endpoints.0.remove(&at).unwrap();
        assert_eq!(ask(&router, "/healthz").await, (200, "ok\n".to_owned()));
        assert_eq!(ask(&router, "/readyz").await, (503, "the watch is not through\n".to_owned()));
        assert!(ask(&router, "/metrics").await.1.contains("rollcall_build_info"));
        assert_eq!(ask(&router, "/debug").await.0, 404);
    }

    #[test]
    fn an_address_is_an_ip_and_a_port_or_the_port_alone() {
        assert_eq!(":8080".parse::<ListenAddress>().unwrap().to_string(), "0.0.0.0:8080");
        assert_eq!("[::1]:9".parse::<ListenAddress>().unwrap().to_string(), "[::1]:9");
        for wrong in ["", "8080", "localhost:80", ":99999", "0.0.0.0"] {
            assert!(wrong.parse::<ListenAddress>().is_err(), "{wrong}");
        }
    }
}
