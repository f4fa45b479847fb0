//! Checks a section of a page: writes its files, runs its commands, and compares their output.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use tokio::task::spawn_blocking;

use crate::workspace::Workspace;

/// Returns the section of the page about the command line that begins with this heading.
pub fn section(title: &str) -> String {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/command-line.md")).unwrap();
    page.split("\n## ").find(|section| section.starts_with(title)).expect("the section").to_owned()
}

/// Runs a section, and returns the number of compared outputs.
pub async fn follow(section: &str, workspace: &Workspace) -> usize {
    let program = Path::new(env!("CARGO_BIN_EXE_rollcall")).parent().unwrap().to_owned();
    let path =
        std::env::join_paths([program].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())));
    let path = path.unwrap();
    let (mut printed, mut compared, mut exports) = (String::new(), 0, String::new());
    for block in section.split("\n```").skip(1).step_by(2) {
        let (language, text) = block.split_once('\n').unwrap();
        match language {
            "yaml" if text.contains("\nkind: ") => {
                let file = workspace.folder.path().join(text.lines().next().unwrap().trim_start_matches("# "));
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, format!("{text}\n")).unwrap();
            }
            "sh" => {
                let mut shell = Command::new("bash");
                shell
                    .args(["-c", &format!("exec 2>&1\n{exports}{text}")])
                    .current_dir(workspace.folder.path())
                    .env_clear()
                    .env("PATH", &path)
                    .env("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", workspace.simulator.endpoint())
                    .env("AWS_ACCESS_KEY_ID", "simulator")
                    .env("AWS_SECRET_ACCESS_KEY", "simulator");
                let output = spawn_blocking(move || shell.output()).await.unwrap().unwrap();
                printed = String::from_utf8(output.stdout).unwrap();
                // A reader of the page stays in one shell.
                let lines = text.lines().filter(|line| line.starts_with("export "));
                exports.extend(lines.map(|line| format!("{line}\n")));
            }
            "text" => {
                let printed = printed.replace(&workspace.simulator.endpoint(), "http://127.0.0.1:4010");
                // The duration differs between runs.
                let lines: Vec<&str> = printed.lines().filter(|line| !line.starts_with("changed ")).collect();
                assert_eq!(lines.join("\n").trim_end(), text, "below a command of the page");
                compared += 1;
            }
            _ => {}
        }
    }
    compared
}

/// Checks that every flag of a command, and its variable, has its row in the section.
pub fn every_flag_has_its_row(command: &str, section: &str) {
    let help = Command::new(env!("CARGO_BIN_EXE_rollcall")).args([command, "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let options = help.split("Options:").nth(1).unwrap().split("Examples:").next().unwrap();
    let long = options.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--")));
    let flags: BTreeSet<&str> = long.filter(|flag| *flag != "--help").collect();
    let variables = options.split("[env: ").skip(1).map(|rest| rest.split('=').next().unwrap());
    let rows: String = section.lines().filter(|line| line.starts_with("| `--")).collect();
    assert!(flags.len() > 15, "{flags:?}");
    for name in flags.into_iter().chain(variables) {
        assert!(rows.contains(&format!("`{name}`")), "{name} has no row");
    }
}
