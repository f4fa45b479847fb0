//! An API server with scripted answers, for tests.

use std::sync::Arc;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::cluster::{Cluster, Scope};

/// A call that the server received.
#[derive(Clone, Debug)]
pub(super) struct ServerCall {
    /// Method, path and query.
    pub line: String,
    /// The JSON body, or null.
    pub body: Value,
}

/// All calls that the server received.
pub(super) type ServerCalls = Arc<Mutex<Vec<ServerCall>>>;

/// Returns a cluster whose API server gives these answers, and the calls it receives.
pub(super) fn cluster(
    scope: Scope,
    reads_sources: bool,
    answer: impl Fn(&ServerCall) -> (u16, Value) + Send + Sync + 'static,
) -> (Arc<Cluster>, ServerCalls) {
    let calls = ServerCalls::default();
    let (made, answer) = (Arc::clone(&calls), Arc::new(answer));
    let server = tower::service_fn(move |request: Request<Body>| {
        let (made, answer) = (Arc::clone(&made), Arc::clone(&answer));
        async move {
            let line = format!("{} {}", request.method(), request.uri());
            let body = request.into_body().collect_bytes().await?;
            let call = ServerCall { line, body: serde_json::from_slice(&body).unwrap_or_default() };
            let (status, body) = answer(&call);
            made.lock().push(call);
            let body = Body::from(body.to_string().into_bytes());
            Ok::<_, kube::Error>(Response::builder().status(status).body(body).unwrap())
        }
    });
    (Arc::new(Cluster::new(Client::new(server, "n"), scope, reads_sources)), calls)
}

/// Returns an error of the API server. `name` is the name of the object, if the error names one.
pub(super) fn refusal(code: u16, name: Option<&str>) -> (u16, Value) {
    let details = name.map_or_else(|| json!({}), |name| json!({"name": name}));
    (
        code,
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "code": code, "details": details}),
    )
}

/// Returns the first line of each call.
pub(super) fn lines(calls: &ServerCalls) -> Vec<String> {
    calls.lock().iter().map(|call| call.line.clone()).collect()
}
