//! An API server of canned answers, for tests.

use std::sync::{Arc, Mutex};

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use super::{Cluster, Scope};

/// A call that was made.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// Method, path and query.
    pub line: String,
    /// JSON, or null.
    pub body: Value,
}

/// The calls that were made so far.
pub(super) type Calls = Arc<Mutex<Vec<Call>>>;

/// A cluster whose API server gives these answers.
pub(super) fn cluster(
    scope: Scope,
    reads_sources: bool,
    answer: impl Fn(&Call) -> (u16, Value) + Send + Sync + 'static,
) -> (Arc<Cluster>, Calls) {
    let calls = Calls::default();
    let (made, answer) = (Arc::clone(&calls), Arc::new(answer));
    let server = tower::service_fn(move |request: Request<Body>| {
        let (made, answer) = (Arc::clone(&made), Arc::clone(&answer));
        async move {
            let line = format!("{} {}", request.method(), request.uri());
            let body = request.into_body().collect_bytes().await?;
            let call = Call { line, body: serde_json::from_slice(&body).unwrap_or_default() };
            let (status, body) = answer(&call);
            made.lock().unwrap().push(call);
            let body = Body::from(body.to_string().into_bytes());
            Ok::<_, kube::Error>(Response::builder().status(status).body(body).unwrap())
        }
    });
    (Arc::new(Cluster::new(Client::new(server, "n"), scope, reads_sources)), calls)
}

/// A refusal of the API server; `name` is that of the object, where it says one.
pub(super) fn refusal(code: u16, name: Option<&str>) -> (u16, Value) {
    let details = name.map_or_else(|| json!({}), |name| json!({"name": name}));
    (
        code,
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "code": code, "details": details}),
    )
}

/// The calls so far, by their first line.
pub(super) fn lines(calls: &Calls) -> Vec<String> {
    calls.lock().unwrap().iter().map(|call| call.line.clone()).collect()
}
