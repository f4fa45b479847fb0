//! People on call run `rollcall` beside the operator.

use std::path::Path;

use tokio::process::Command;

use crate::stage::{Stage, shared};

/// The answer of a command.
#[derive(Debug)]
pub struct RollcallOutput {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl RollcallOutput {
    /// Returns the output of a command that succeeded.
    #[track_caller]
    pub fn well(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// Returns the one line on standard error of a command that failed.
    #[track_caller]
    pub fn error(self) -> String {
        assert_eq!(self.code, 1, "{}{}", self.stdout, self.stderr);
        let error = self.stderr.lines().last().unwrap_or_default().to_owned();
        assert!(error.starts_with("error: "), "{}", self.stderr);
        error
    }

    /// Returns the output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Returns a command line of `rollcall` in the stage's namespace, with credentials of the service.
pub async fn command(stage: &Stage, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    for (name, _) in std::env::vars_os() {
        let upper = name.to_string_lossy().to_uppercase();
        if upper.starts_with("AWS_") || upper.starts_with("ROLLCALL_") || upper.ends_with("_PROXY") {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        .env("KUBECONFIG", shared().await.kubeconfig())
        .env("ROLLCALL_NAMESPACE", &stage.namespace)
        .env("ROLLCALL_QUOTA_SHARE", "100%")
        .env("ROLLCALL_BEARER_RATE", "0")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", stage.simulator.endpoint())
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs `rollcall` with these arguments.
pub async fn rollcall(stage: &Stage, arguments: &[&str]) -> RollcallOutput {
    ended(command(stage, arguments).await).await
}

/// Runs `rollcall` with another kubeconfig.
pub async fn rollcall_as(stage: &Stage, kubeconfig: &Path, arguments: &[&str]) -> RollcallOutput {
    let mut command = command(stage, arguments).await;
    command.env("KUBECONFIG", kubeconfig);
    ended(command).await
}

/// Runs a command to its end.
pub async fn ended(mut command: Command) -> RollcallOutput {
    let output = command.output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    RollcallOutput { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
