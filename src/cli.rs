//! The command line: one file for each command, and the dispatch from a command line to it.

mod kubectl;
mod manifests;
mod process;
mod shared;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use clap::builder::StyledStr;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use self::kubectl::{approve, doctor, offboard, reconcile, status, suspend, undeclared, why};
use self::manifests::{apply, export, plan, validate};
use self::process::{completion, crd, healthcheck, man, release, run, simulate};
use self::shared::failure::Failure;

/// Keeps the members of Amazon Chime SDK messaging channels as ChannelMembership resources declare
/// them.
#[derive(Debug, Parser)]
#[command(name = "rollcall", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Validate(validate::Args),
    Plan(Box<plan::Args>),
    Apply(Box<apply::Args>),
    Export(export::Args),
    Status(status::Args),
    Why(why::Args),
    Undeclared(undeclared::Args),
    Offboard(offboard::Args),
    Reconcile(reconcile::Args),
    Suspend(suspend::SuspendArgs),
    Resume(suspend::ResumeArgs),
    Approve(approve::Args),
    Run(run::Args),
    Release(release::Args),
    Doctor(doctor::Args),
    Crd(crd::Args),
    Healthcheck(healthcheck::Args),
    Simulate(simulate::Args),
    Completion(completion::Args),
    Man(man::Args),
}

/// Runs a command line and returns its exit code: 0 for success, 1 for a failure. A command may
/// return 2 to report a finding; its flags say when.
pub fn main<I>(arguments: I) -> ExitCode
where
    I: IntoIterator<Item = OsString>,
{
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let called = arguments.first().map(|path| Called::by(path.as_os_str())).unwrap_or_default();
    if called == Called::ToComplete {
        let words: Vec<String> = arguments.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
        completion::complete_for_kubectl(&Cli::command(), &words);
        return ExitCode::SUCCESS;
    }
    let parsed = called.command().try_get_matches_from(arguments).and_then(|mut it| Cli::from_arg_matches_mut(&mut it));
    let command = match parsed {
        Ok(cli) => cli.command,
        Err(error) => return refuse(&error),
    };
    let result = match command {
        Command::Validate(args) => validate::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Apply(args) => apply::run(&args),
        Command::Export(args) => export::run(&args).map(done),
        Command::Status(args) => status::run(&args).map(done),
        Command::Why(args) => why::run(&args),
        Command::Undeclared(args) => undeclared::run(&args).map(done),
        Command::Offboard(args) => offboard::run(&args),
        Command::Reconcile(args) => reconcile::run(&args).map(done),
        Command::Suspend(args) => suspend::suspend(&args).map(done),
        Command::Resume(args) => suspend::resume(&args).map(done),
        Command::Approve(args) => approve::run(&args).map(done),
        Command::Run(args) => run::run(&args).map(done),
        Command::Release(args) => release::run(&args).map(done),
        Command::Doctor(args) => doctor::run(&args).map(done),
        Command::Crd(args) => crd::run(&args).map(done),
        Command::Healthcheck(args) => healthcheck::run(&args).map(done),
        Command::Simulate(args) => simulate::run(&args).map(done),
        Command::Completion(args) => {
            completion::run(&args, Cli::command());
            Ok(ExitCode::SUCCESS)
        }
        Command::Man(args) => man::run(&args, Cli::command()).map(done),
    };
    result.unwrap_or_else(|Failure(why)| {
        eprintln!("error: {why}");
        ExitCode::FAILURE
    })
}

/// The name by which the program was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Called {
    /// `rollcall`.
    #[default]
    Rollcall,
    /// `kubectl-rollcall`, which kubectl runs for `kubectl rollcall`.
    Plugin,
    /// `kubectl_complete-rollcall`, which kubectl runs to complete a command line.
    ToComplete,
}

impl Called {
    fn by(path: &OsStr) -> Self {
        let name = Path::new(path).file_stem().and_then(OsStr::to_str).unwrap_or_default();
        match name {
            "kubectl-rollcall" => Self::Plugin,
            "kubectl_complete-rollcall" => Self::ToComplete,
            _ => Self::Rollcall,
        }
    }

    /// Returns the clap definition. The commands are the same under every name; the help shows the
    /// name that was called.
    fn command(self) -> clap::Command {
        let command = Cli::command();
        if self != Self::Plugin {
            return command;
        }
        let plugin = |text: &StyledStr| text.to_string().replace("\n  rollcall ", "\n  kubectl rollcall ");
        command.bin_name("kubectl rollcall").mut_subcommands(|it| match it.get_after_help().map(plugin) {
            Some(text) => it.after_help(text),
            None => it,
        })
    }
}

/// Returns the exit code of a command that has no result of its own.
fn done((): ()) -> ExitCode {
    ExitCode::SUCCESS
}

/// Prints help and version as clap formats them, and an error in one line.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits a command line into words as a shell does, up to the first shell operator.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
        for letter in line.chars().chain([' ']) {
            match (quote, letter) {
                (Some(open), _) if open == letter => quote = None,
                (None, '\'' | '"') => {
                    quote = Some(letter);
                    word.get_or_insert_default();
                }
                (None, ' ') => words.extend(word.take()),
                _ => word.get_or_insert_default().push(letter),
            }
        }
        words.into_iter().take_while(|word| !["|", ">", "&&", ";"].contains(&word.as_str())).collect()
    }

    #[test]
    fn every_example_in_help_is_a_valid_command_line() {
        let mut all = Cli::command();
        all.build();
        for command in all.get_subcommands().filter(|it| it.get_name() != "help") {
            let name = command.get_name();
            let help = command.clone().render_long_help().to_string();
            let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{name} has no examples"));
            let lines: Vec<&str> = examples.lines().filter(|line| !line.trim().is_empty()).collect();
            assert!(!lines.is_empty(), "{name}");
            for line in lines {
                let ours = line.split(" | ").map(str::trim).find(|part| part.starts_with("rollcall "));
                let words = words(ours.unwrap_or(line));
                assert_eq!(words[..2], ["rollcall", name], "an example of {name} is another command: {line}");
                if let Err(error) = Cli::try_parse_from(&words) {
                    panic!("{line}: {error}");
                }
            }
        }
    }

    #[test]
    fn plugin_help_names_kubectl_rollcall() {
        assert_eq!(Called::by("/usr/bin/kubectl-rollcall".as_ref()), Called::Plugin);
        assert_eq!(Called::by("kubectl_complete-rollcall".as_ref()), Called::ToComplete);
        assert_eq!(Called::by("/usr/bin/rollcall".as_ref()), Called::Rollcall);
        let mut plugin = Called::Plugin.command();
        plugin.build();
        let status = plugin.find_subcommand_mut("status").unwrap().render_help().to_string();
        assert!(status.contains("Usage: kubectl rollcall status"), "{status}");
        assert!(status.contains("\n  kubectl rollcall status -A --watch"), "{status}");
        let mut plain = Called::Rollcall.command();
        plain.build();
        let status = plain.find_subcommand_mut("status").unwrap().render_help().to_string();
        assert!(status.contains("Usage: rollcall status") && !status.contains("kubectl rollcall"), "{status}");
    }

    fn complete(line: &str) -> Vec<String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let suggestions = completion::suggestions(&Cli::command(), &words);
        suggestions.into_iter().map(|it| it.split('\t').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn commands_flags_and_values_are_completed_for_kubectl() {
        assert_eq!(complete("stat"), ["status"]);
        assert!(complete("").contains(&"offboard".to_owned()));
        assert!(complete("status --wat").contains(&"--watch".to_owned()));
        assert_eq!(complete("status -o "), ["text", "json"]);
        assert_eq!(complete("status --output j"), ["json"]);
        assert_eq!(complete("completion "), ["bash", "zsh", "fish"]);
        assert_eq!(complete("status -n "), [] as [&str; 0]);
        assert_eq!(complete("nothing --x"), [] as [&str; 0]);
    }
}
