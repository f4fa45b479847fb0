//! The `rollcall` binary.

use std::process::ExitCode;

use clap::Parser;
use rollcall::cli::{Cli, run};

#[tokio::main]
async fn main() -> ExitCode {
    run(Cli::parse()).await
}
