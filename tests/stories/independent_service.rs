//! An independent service of one channel shows the requests of the operator.
//!
//! It keeps each call as it came, and checks signatures by AWS's own description (Signature Version
//! 4, "Create a signed AWS API request").

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use rustls::SupportedCipherSuite;
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// The secret key of the tests' operators.
const SECRET: &str = "test";
const PAGE: usize = 50;

/// A service of one channel.
pub struct IndependentService {
    shared: Arc<Shared>,
    endpoint: String,
    serving: JoinHandle<()>,
}

struct Shared {
    members: Mutex<BTreeSet<String>>,
    calls: Mutex<Vec<RecordedCall>>,
}

/// A call as it came.
#[derive(Clone, Debug)]
pub struct RecordedCall {
    pub method: Method,
    /// Still encoded, as it came.
    pub path: String,
    /// Still encoded, as it came.
    pub query: String,
    headers: HeaderMap,
    body: Bytes,
}

impl IndependentService {
    /// Starts a service with these members, by ARN.
    pub async fn start(members: BTreeSet<String>) -> Self {
        let shared = Arc::new(Shared { members: Mutex::new(members), calls: Mutex::default() });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { shared, endpoint, serving }
    }

    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    pub fn members(&self) -> BTreeSet<String> {
        self.shared.members.lock().unwrap().clone()
    }

    pub fn calls(&self) -> Vec<RecordedCall> {
        self.shared.calls.lock().unwrap().clone()
    }
}

impl Drop for IndependentService {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (path, query) = (uri.path().to_owned(), uri.query().unwrap_or_default().to_owned());
    let call = RecordedCall { method, path, query, headers, body };
    shared.calls.lock().unwrap().push(call.clone());
    let mut members = shared.members.lock().unwrap();
    if call.method == Method::GET {
        let start: usize = call.query().get("next-token").map_or(0, |token| token.parse().unwrap());
        let page: Vec<Value> =
            members.iter().skip(start).take(PAGE).map(|arn| json!({"Member": {"Arn": arn}})).collect();
        let next = (start + PAGE < members.len()).then(|| (start + PAGE).to_string());
        return json_answer(&json!({"ChannelMemberships": page, "NextToken": next}));
    }
    if call.method == Method::POST && call.query == "operation=batch-create" {
        let added = call.member_arns();
        members.extend(added.iter().cloned());
        let added: Vec<Value> = added.iter().map(|arn| json!({"Arn": arn})).collect();
        return json_answer(&json!({"BatchChannelMemberships": {"Members": added}, "Errors": []}));
    }
    StatusCode::NOT_IMPLEMENTED.into_response()
}

fn json_answer(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

impl RecordedCall {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the query by name. The values of these calls need no decoding.
    pub fn query(&self) -> BTreeMap<String, String> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Returns the members that a batch names.
    pub fn member_arns(&self) -> Vec<String> {
        serde_json::from_value(self.json()["MemberArns"].clone()).unwrap()
    }

    /// Returns the error of a signature that is not made with the tests' key for this region and
    /// service.
    pub fn signature_problem(&self, region: &str, service: &str) -> Option<String> {
        let Some(authorization) = self.header("authorization").and_then(|it| it.strip_prefix("AWS4-HMAC-SHA256 "))
        else {
            return Some("the call is not signed".to_owned());
        };
        let part = |name: &str| {
            authorization.split(", ").find_map(|part| part.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
        };
        let time = self.header("x-amz-date").unwrap_or_default();
        let day = time.get(..8).unwrap_or_default();
        let scope = format!("{day}/{region}/{service}/aws4_request");
        if part("Credential") != format!("test/{scope}") {
            return Some(format!("the credential is {}, not of {scope}", part("Credential")));
        }
        let signed: Vec<&str> = part("SignedHeaders").split(';').collect();
        if let Some(unsigned) = ["host", "x-amz-chime-bearer", "x-amz-date"].iter().find(|name| !signed.contains(name))
        {
            return Some(format!("{unsigned} is not signed"));
        }
        let canonical = self.canonical_request(&signed);
        let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&sha256(canonical.as_bytes())));
        let key = [day, region, service, "aws4_request"]
            .iter()
            .fold(format!("AWS4{SECRET}").into_bytes(), |key, text| hmac(&key, text.as_bytes()));
        let right = hex(&hmac(&key, to_sign.as_bytes()));
        (part("Signature") != right).then(|| format!("the signature is not that of\n{canonical}"))
    }

    fn canonical_request(&self, signed: &[&str]) -> String {
        // Paths are encoded once more for all services but S3.
        let path = self.path.replace('%', "%25");
        let mut query: Vec<&str> = self.query.split('&').collect();
        query.sort_unstable();
        let lines = signed.iter().map(|name| format!("{name}:{}", self.header(name).unwrap_or_default().trim()));
        let headers = lines.collect::<Vec<_>>().join("\n") + "\n";
        let body = hex(&sha256(&self.body));
        format!("{}\n{path}\n{}\n{headers}\n{}\n{body}", self.method, query.join("&"), signed.join(";"))
    }
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    let SupportedCipherSuite::Tls13(suite) = TLS13_AES_128_GCM_SHA256 else { unreachable!("it is one of TLS 1.3") };
    suite.common.hash_provider.hash(bytes).as_ref().to_vec()
}

/// Computes an HMAC by RFC 2104 over SHA-256. No key here is longer than its block of 64 bytes.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let pad = |with: u8| (0..64).map(|n| key.get(n).copied().unwrap_or_default() ^ with).collect::<Vec<u8>>();
    let inner = sha256(&[pad(0x36).as_slice(), message].concat());
    sha256(&[pad(0x5c), inner].concat())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
