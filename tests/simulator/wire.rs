//! A client that writes and reads raw HTTP, without an SDK.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

/// The app instance of these tests.
pub const APP_INSTANCE: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/demo";

/// Returns the ARN of `user/alice` or `channel/support` in it.
pub fn arn(within: &str) -> String {
    format!("{APP_INSTANCE}/{within}")
}

/// Returns the ARN of the channel of these tests.
pub fn support() -> String {
    arn("channel/support")
}

/// Returns the path of the channel's memberships, followed by `rest`.
pub fn memberships(rest: &str) -> String {
    of_channel("support", &format!("/memberships{rest}"))
}

/// Returns the path of a channel, followed by `rest`.
pub fn of_channel(id: &str, rest: &str) -> String {
    format!("/channels/{}{rest}", encoded(&arn(&format!("channel/{id}"))))
}

#[derive(Clone)]
pub struct Client {
    authority: String,
    bearer: Option<String>,
    authorization: Option<String>,
}

#[derive(Debug)]
pub struct HttpResponse {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub text: String,
    /// Null if the body is not JSON.
    pub json: Value,
}

impl Client {
    pub fn new(endpoint: &str) -> Self {
        let authority = endpoint.strip_prefix("http://").unwrap().to_owned();
        Self { authority, bearer: Some(arn("user/rollcall")), authorization: None }.signed_for("us-east-1")
    }

    pub fn as_bearer(&self, bearer: Option<&str>) -> Self {
        Self { bearer: bearer.map(str::to_owned), ..self.clone() }
    }

    pub fn signed_for(&self, region: &str) -> Self {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=KEY/20261101/{region}/chime/aws4_request, SignedHeaders=host, Signature={}",
            "0".repeat(64)
        );
        Self { authorization: Some(authorization), ..self.clone() }
    }

    pub fn unsigned(&self) -> Self {
        Self { authorization: None, ..self.clone() }
    }

    pub async fn batch(&self, members: &[String]) -> HttpResponse {
        self.try_batch(members).await.unwrap()
    }

    pub async fn try_batch(&self, members: &[String]) -> io::Result<HttpResponse> {
        let path = memberships("?operation=batch-create");
        self.exchange("POST", &path, &json!({"MemberArns": members, "Type": "DEFAULT"}).to_string()).await
    }

    pub async fn list(&self, query: &str) -> HttpResponse {
        self.send("GET", &memberships(&format!("?{query}")), "").await
    }

    pub async fn describe(&self, member: &str) -> HttpResponse {
        self.send("GET", &memberships(&format!("/{}", encoded(&arn(member)))), "").await
    }

    pub async fn delete(&self, member: &str) -> HttpResponse {
        self.send("DELETE", &memberships(&format!("/{}", encoded(&arn(member)))), "").await
    }

    pub async fn send(&self, method: &str, path: &str, body: &str) -> HttpResponse {
        self.exchange(method, path, body).await.unwrap()
    }

    async fn exchange(&self, method: &str, path: &str, body: &str) -> io::Result<HttpResponse> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.authority);
        for (name, value) in [("x-amz-chime-bearer", &self.bearer), ("authorization", &self.authorization)] {
            if let Some(value) = value {
                request.extend([name, ": ", value, "\r\n"]);
            }
        }
        request.extend(["content-length: ", &body.len().to_string(), "\r\n\r\n", body]);
        let authority = self.authority.clone();
        tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(authority)?;
            stream.set_read_timeout(Some(Duration::from_mins(1)))?;
            stream.write_all(request.as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, answer))
        })
        .await
        .unwrap()
    }
}

impl HttpResponse {
    /// Returns the status and the error shape.
    pub fn refusal(&self) -> (u16, String) {
        (self.status, self.headers.get("x-amzn-errortype").cloned().unwrap_or_default())
    }

    /// Lists the members of a page.
    pub fn members(&self) -> Vec<String> {
        let memberships = self.json["ChannelMemberships"].as_array().unwrap();
        memberships.iter().map(|membership| membership["Member"]["Arn"].as_str().unwrap().to_owned()).collect()
    }

    /// Lists the members that a batch refused, with their codes.
    pub fn codes(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let errors = self.json["Errors"].as_array().unwrap();
        errors.iter().map(|error| (text(&error["MemberArn"]), text(&error["ErrorCode"]))).collect()
    }
}

fn parse(answer: &str) -> Option<HttpResponse> {
    let (head, text) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    Some(HttpResponse { status, headers, text: text.to_owned(), json: serde_json::from_str(text).unwrap_or_default() })
}

/// Percent-encodes a label of a path.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
