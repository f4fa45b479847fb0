//! Which commands are there? One file a command.

mod cluster;
mod crd;
mod drain;
mod healthcheck;
mod run;
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

/// Something about flags, environment or files is wrong: nothing was called yet.
const WRONG_USE: u8 = 2;

/// Carries out a command line and gives the exit code: 0 done, 1 failed, 2 wrong flags, environment or files.
pub fn main<I>(arguments: I) -> ExitCode
where
    I: IntoIterator<Item = OsString>,
{
    let command = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli.command,
        Err(error) => return refuse(&error),
    };
    let result = match command {
        Command::Run(args) => run::run(&args),
        Command::Crd(args) => crd::run(&args),
        Command::Drain(args) => drain::run(&args),
        Command::Healthcheck(args) => healthcheck::run(&args),
        Command::Simulate(args) => simulate::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

/// Why a command ended, in one line, and its exit code.
#[derive(Debug)]
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// Flags, environment or files are wrong.
    fn wrong_use(error: impl std::fmt::Display) -> Self {
        Self { code: WRONG_USE, message: error.to_string() }
    }

    /// It was right, and failed.
    fn failed(error: impl std::fmt::Display) -> Self {
        Self { code: 1, message: error.to_string() }
    }
}

/// Help and version as clap has them; what is wrong in one line.
fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(WRONG_USE);
    }
    let text = error.to_string();
    let paragraphs = text.split("\n\n").take_while(|part| !part.starts_with("Usage:") && !part.starts_with("For more"));
    let line = paragraphs.flat_map(str::lines).map(str::trim).collect::<Vec<_>>().join(" ");
    eprintln!("{line} (see --help)");
    ExitCode::from(WRONG_USE)
}
