//! `rollcall completion` writes the completion script of a shell. kubectl's completion is answered
//! here too.

use std::time::Duration;

use clap::{Arg, Command};
use clap_complete::Shell;

use crate::cli::shared::cluster::{self, ClusterArgs};
use crate::cli::shared::failure::Failure;
use crate::cli::shared::output::{join_lines, print};
use crate::cli::shared::resources::{ResourceClient, SelectionArgs};

/// The longest time that a press of Tab waits for the cluster.
const PATIENCE: Duration = Duration::from_secs(2);

/// The most names that are offered.
const MOST_NAMES: usize = 200;

/// Write the script that completes rollcall's commands and flags in a shell.
///
/// kubectl rollcall needs no script besides kubectl's own: put a link named
/// kubectl_complete-rollcall to this program on the PATH.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall completion bash > /etc/bash_completion.d/rollcall
  rollcall completion zsh > ~/.zfunc/_rollcall
  rollcall completion fish > ~/.config/fish/completions/rollcall.fish")]
pub(in crate::cli) struct Args {
    /// The shell.
    #[arg(value_name = "SHELL", value_parser = ["bash", "zsh", "fish"])]
    shell: String,
}

pub(in crate::cli) fn run(args: &Args, mut command: Command) {
    let shell = match args.shell.as_str() {
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        _ => Shell::Bash,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "rollcall", &mut script);
    print(&String::from_utf8_lossy(&script));
}

/// Answers kubectl, which calls kubectl_complete-rollcall with the words of the line so far. The
/// answer has the format of cobra's completion: each line is a suggestion, a tab and a description,
/// and the last line is the directive.
pub(in crate::cli) fn complete_for_kubectl(command: &Command, words: &[String]) {
    let mut suggestions = suggestions(command, words);
    if suggestions.is_empty() {
        suggestions = resource_names(command, words);
    }
    // ShellCompDirectiveNoFileComp: file names are not offered.
    suggestions.push(":4".to_owned());
    print(&join_lines(suggestions));
}

/// Returns the commands, flags and values that can stand in place of the last word.
pub(in crate::cli) fn suggestions(root: &Command, words: &[String]) -> Vec<String> {
    let Some((last, before)) = words.split_last() else { return Vec::new() };
    let Some((command, after)) = within(root, before) else {
        let all = root.get_subcommands().filter(|it| !it.is_hide_set() && it.get_name().starts_with(last.as_str()));
        return all.map(|it| suggestion(it.get_name(), it.get_about())).collect();
    };
    if let Some(flag) = after.last().and_then(|word| flag(command, word)).filter(|flag| takes_value(flag)) {
        return values(flag, last);
    }
    if last.starts_with('-') {
        let flags = command.get_arguments().filter_map(|it| Some((it.get_long()?, it)));
        let flags =
            flags.map(|(name, it)| (format!("--{name}"), it)).filter(|(name, _)| name.starts_with(last.as_str()));
        return flags.map(|(name, it)| suggestion(&name, it.get_help())).collect();
    }
    let positional = command.get_positionals().next();
    positional.map(|it| values(it, last)).unwrap_or_default()
}

/// Returns the command of a line, and the words after it.
fn within<'a>(root: &'a Command, words: &'a [String]) -> Option<(&'a Command, &'a [String])> {
    let at = words.iter().position(|word| !word.starts_with('-'))?;
    Some((root.find_subcommand(&words[at])?, &words[at + 1..]))
}

fn flag<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let long = word.strip_prefix("--");
    let short = word.strip_prefix('-').filter(|it| it.chars().count() == 1).and_then(|it| it.chars().next());
    command
        .get_arguments()
        .find(|it| long.is_some() && it.get_long() == long || short.is_some() && it.get_short() == short)
}

fn takes_value(flag: &Arg) -> bool {
    flag.get_action().takes_values()
}

fn values(of: &Arg, begun: &str) -> Vec<String> {
    let all = of.get_possible_values();
    let all = all.iter().filter(|it| !it.is_hide_set() && it.get_name().starts_with(begun));
    all.map(|it| it.get_name().to_owned()).collect()
}

fn suggestion(name: &str, about: Option<&clap::builder::StyledStr>) -> String {
    let about = about.map(ToString::to_string).unwrap_or_default();
    format!("{name}\t{}", about.lines().next().unwrap_or_default())
}

/// Returns the resources of the line's namespace, if the command takes a resource name in this
/// place.
fn resource_names(root: &Command, words: &[String]) -> Vec<String> {
    let Some((last, before)) = words.split_last() else { return Vec::new() };
    let takes_name = within(root, before).is_some_and(|(command, after)| {
        let is_value = after.last().and_then(|word| flag(command, word)).is_some_and(takes_value);
        !is_value
            && command.get_positionals().any(|it| it.get_value_names().is_some_and(|it| it.contains(&"NAME".into())))
    });
    if !takes_name || last.starts_with('-') {
        return Vec::new();
    }
    let value = |names: [&str; 2]| {
        let at = before.iter().position(|word| names.contains(&word.as_str()))?;
        before.get(at + 1).cloned()
    };
    let mut args = ClusterArgs::default();
    args.namespace = value(["-n", "--namespace"]);
    let names = cluster::run_async(async {
        let look = async {
            let client = ResourceClient::open(&args).await?;
            let all = SelectionArgs { names: Vec::new(), selector: None, cluster: args.clone() };
            let mut names = Vec::new();
            client.for_each_selected(&all, |entry| names.push(entry.name().to_owned())).await?;
            Ok::<_, Failure>(names)
        };
        tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| Ok(Vec::new()))
    });
    // A completion shows suggestions and no errors.
    let names = names.unwrap_or_default().into_iter();
    names.filter(|name| name.starts_with(last.as_str())).take(MOST_NAMES).collect()
}
