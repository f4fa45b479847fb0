//! Which commands are there? One file a command.

mod cluster;
mod crd;
mod drain;
mod healthcheck;
mod run;
mod service;
mod simulate;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

/// Keeps the members of Amazon Chime SDK messaging channels as ChannelMembership resources declare them.
#[derive(Debug, Parser)]
#[command(name = "rollcall", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Crd(crd::Args),
    Drain(drain::Args),
    Healthcheck(healthcheck::Args),
    Simulate(simulate::Args),
}

/// Carries out a command line and gives the exit code: 0 done, 1 failed or not begun. 2 is left to what a command says of what it
/// found, as the flags of that command have it.
pub fn main<I>(arguments: I) -> ExitCode
where
    I: IntoIterator<Item = OsString>,
{
    let command = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli.command,
        Err(error) => return refuse(&error),
    };
    let result = match command {
        Command::Run(args) => run::run(&args).map(done),
        Command::Crd(args) => crd::run(&args).map(done),
        Command::Drain(args) => drain::run(&args).map(done),
        Command::Healthcheck(args) => healthcheck::run(&args).map(done),
        Command::Simulate(args) => simulate::run(&args).map(done),
    };
    result.unwrap_or_else(|Failure(why)| {
        eprintln!("error: {why}");
        ExitCode::FAILURE
    })
}

/// Why a command ended, in one line.
#[derive(Debug)]
struct Failure(String);

impl Failure {
    fn of(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Of a command whose result is that it was done.
fn done((): ()) -> ExitCode {
    ExitCode::SUCCESS
}

/// Help and version as clap has them; what is wrong in one line.
fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::FAILURE;
    }
    let text = error.to_string();
    let paragraphs = text.split("\n\n").take_while(|part| !part.starts_with("Usage:") && !part.starts_with("For more"));
    let line = paragraphs.flat_map(str::lines).map(str::trim).collect::<Vec<_>>().join(" ");
    eprintln!("{line} (see --help)");
    ExitCode::FAILURE
}
