//! `rollcall healthcheck` asks a running process for its health.

use std::time::Duration;

use http::Uri;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::cli::shared::failure::Failure;

/// The longest wait for an answer; a kubelet's probe waits less.
const DEADLINE: Duration = Duration::from_secs(10);

/// The longest answer that is read.
const MAX_BYTES: u64 = 64 << 10;

/// Ask a running operator for its health. The exit code is 0 if it answers 200; otherwise it is 1,
/// and the answer is printed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall healthcheck http://127.0.0.1:8081/readyz")]
pub(in crate::cli) struct Args {
    /// The address of the health page, such as http://rollcall.rollcall.svc:8081/readyz.
    #[arg(value_name = "URL", value_parser = url)]
    url: Uri,
}

fn url(text: &str) -> Result<Uri, String> {
    let uri = text.parse::<Uri>().ok();
    uri.filter(|uri| uri.scheme_str() == Some("http") && uri.host().is_some())
        .ok_or_else(|| "no address of a page: write http://host:port/readyz".to_owned())
}

pub(in crate::cli) fn run(args: &Args) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::of)?;
    let answer = runtime.block_on(async { tokio::time::timeout(DEADLINE, get(&args.url)).await });
    let failed = |why: String| Failure::of(format!("failed to ask {}: {why}", args.url));
    let answer = match answer {
        Err(_) => return Err(failed(format!("no answer within {} s", DEADLINE.as_secs()))),
        Ok(answer) => answer.map_err(|error| failed(error.to_string()))?,
    };
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    if status == "200" {
        return Ok(());
    }
    let said = body.trim().replace('\n', "; ");
    Err(Failure::of(format!("{} answered {status}: {said}", args.url)))
}

/// Sends a request of HTTP/1.0 and returns the whole answer, which ends with the connection.
async fn get(url: &Uri) -> std::io::Result<String> {
    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let mut stream = TcpStream::connect((host, url.port_u16().unwrap_or(80))).await?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let authority = url.authority().map_or(host, |authority| authority.as_str());
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {authority}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_BYTES).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
