//! The tests write the files of the page, run its commands, and compare the output.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

fn section() -> String {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/command-line.md")).unwrap();
    let section = page.split("\n## ").find(|section| section.starts_with("Check manifests")).expect("the section");
    section.to_owned()
}

#[test]
fn documented_commands_print_the_documented_output() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("channels")).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_rollcall")).parent().unwrap().to_owned();
    let path =
        std::env::join_paths([program].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())));
    let (section, mut printed, mut compared) = (section(), String::new(), 0);
    for block in section.split("\n```").skip(1).step_by(2) {
        let (language, text) = block.split_once('\n').unwrap();
        match language {
            "yaml" if text.starts_with("# channels/") => {
                let name = text.lines().next().unwrap().trim_start_matches("# ");
                fs::write(folder.path().join(name), format!("{text}\n")).unwrap();
            }
            "sh" => {
                let shell = Command::new("bash")
                    .args(["-c", &format!("exec 2>&1\n{text}")])
                    .current_dir(folder.path())
                    .env("PATH", path.as_ref().unwrap())
                    .stdin(Stdio::null())
                    .output()
                    .unwrap();
                printed = String::from_utf8(shell.stdout).unwrap();
            }
            "text" => {
                assert_eq!(printed.trim_end(), text, "below a command of the page");
                compared += 1;
            }
            _ => {}
        }
    }
    assert_eq!(compared, 3);
}

#[test]
fn every_flag_and_variable_is_documented() {
    let help = Command::new(env!("CARGO_BIN_EXE_rollcall")).args(["validate", "--help"]).output().unwrap();
    let (help, section) = (String::from_utf8(help.stdout).unwrap(), section());
    let options = help.split("Options:").nth(1).unwrap().split("Examples:").next().unwrap();
    let long = options.split_whitespace().filter(|word| word.starts_with("--") && *word != "--help");
    let variables = options.split("[env: ").skip(1).map(|rest| rest.split('=').next().unwrap());
    let (mut flags, mut rows) = (0, section.lines().filter(|line| line.starts_with("| `--")));
    let rows: String = rows.by_ref().collect();
    for name in long.chain(variables) {
        flags += 1;
        assert!(rows.contains(&format!("`{name}`")), "{name} has no row");
    }
    assert_eq!(flags, 6, "{options}");
}
