//! What can one type after `rollcall`?

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod simulate;

/// Keeps the members of Amazon Chime SDK messaging channels as declared in Kubernetes resources.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// One a file below `cli/`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a local stand-in for Amazon Chime SDK messaging.
    Simulate(simulate::Args),
}

/// Does what was typed.
pub async fn run(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Simulate(args) => simulate::run(args).await,
    }
}
