//! The verdicts of kstatus, by which Flux and `helm --wait` decide whether an object is ready.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::Value;

/// The verdict on an object.
#[derive(Debug, Deserialize)]
pub struct KstatusVerdict {
    /// `InProgress`, `Current`, `Failed` or `Terminating`.
    pub status: String,
    /// The reason of the verdict.
    pub message: String,
}

/// Returns the real kstatus' verdict on each of these objects, in their order.
pub fn kstatus<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Vec<KstatusVerdict> {
    let lines: Vec<String> = objects.into_iter().map(Value::to_string).collect();
    let mut program =
        Command::new(program()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    program.stdin.take().unwrap().write_all(lines.join("\n").as_bytes()).unwrap();
    let output = program.wait_with_output().unwrap();
    assert!(output.status.success(), "kstatus: {}", output.status);
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn program() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("hack/control-plane-tools");
    let found = Command::new(script).arg("kstatus").stderr(Stdio::inherit()).output().unwrap();
    assert!(found.status.success(), "failed to find or build kstatus");
    PathBuf::from(String::from_utf8(found.stdout).unwrap().trim()).join("kstatus")
}
