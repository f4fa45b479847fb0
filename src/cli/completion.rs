//! `rollcall completion`: how does a shell complete a command line?

use std::time::Duration;

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::Shell;

use super::cluster::{self, ClusterArgs};
use super::output::{lines, print};
use super::resources::{Desk, SelectionArgs};
use super::{Cli, Failure};

/// Whoever presses Tab waits so long at most.
const PATIENCE: Duration = Duration::from_secs(2);

/// So many names are offered.
const MOST_NAMES: usize = 200;

/// Write the script by which a shell completes rollcall's commands and flags.
///
/// For kubectl rollcall no script is needed beyond kubectl's own: put a link named kubectl_complete-rollcall to this program on the PATH.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall completion bash > /etc/bash_completion.d/rollcall
  rollcall completion zsh > ~/.zfunc/_rollcall
  rollcall completion fish > ~/.config/fish/completions/rollcall.fish")]
pub(super) struct Args {
    /// The shell.
    #[arg(value_name = "SHELL", value_parser = ["bash", "zsh", "fish"])]
    shell: String,
}

pub(super) fn run(args: &Args) {
    let shell = match args.shell.as_str() {
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        _ => Shell::Bash,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "rollcall", &mut script);
    print(&String::from_utf8_lossy(&script));
}

/// Answers kubectl, which calls kubectl_complete-rollcall with what stands on the line so far, as cobra's completion does: a suggestion
/// a line, with what it is after a tab, and the directive last.
pub(super) fn for_kubectl(words: &[String]) {
    let command = Cli::command();
    let mut suggestions = suggestions(&command, words);
    if suggestions.is_empty() {
        suggestions = resources(&command, words);
    }
    // No names of files.
    suggestions.push(":4".to_owned());
    print(&lines(suggestions));
}

/// The commands, flags and values that may stand where the last word does.
fn suggestions(root: &Command, words: &[String]) -> Vec<String> {
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

/// The command that a line is of, and the words after it.
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

/// The resources of the namespace that the line says, where the command takes one there.
fn resources(root: &Command, words: &[String]) -> Vec<String> {
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
    let names = cluster::calling(async {
        let look = async {
            let desk = Desk::open(&args).await?;
            let all = SelectionArgs { names: Vec::new(), selector: None, cluster: args.clone() };
            let mut names = Vec::new();
            desk.each(&all, |entry| names.push(entry.name().to_owned())).await?;
            Ok::<_, Failure>(names)
        };
        tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| Ok(Vec::new()))
    });
    // Whoever completes a line is told nothing but what may stand there.
    let names = names.unwrap_or_default().into_iter();
    names.filter(|name| name.starts_with(last.as_str())).take(MOST_NAMES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(line: &str) -> Vec<String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        suggestions(&Cli::command(), &words).into_iter().map(|it| it.split('\t').next().unwrap().to_owned()).collect()
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
