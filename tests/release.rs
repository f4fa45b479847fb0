//! All files that name a version name the same one, and every flag on a page exists.

#![expect(clippy::unwrap_used, reason = "a test that cannot read a file has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const WORKFLOWS: &str = ".github/workflows";

/// Returns the value of a line `key: value` of a chart.
fn of_chart(key: &str) -> String {
    let chart = fs::read_to_string("charts/rollcall/Chart.yaml").unwrap();
    let line = chart.lines().find_map(|line| line.strip_prefix(&format!("{key}: ")));
    line.unwrap().trim_matches('"').to_owned()
}

fn help(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_rollcall")).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn program_chart_and_changelog_have_one_version() {
    assert_eq!(help(&["--version"]).trim(), format!("rollcall {VERSION}"));
    assert_eq!(of_chart("appVersion"), VERSION);
    let changelog = fs::read_to_string("CHANGELOG.md").unwrap();
    let mut headings = changelog.lines().filter_map(|line| line.strip_prefix("## ["));
    assert_eq!(headings.next(), Some("Unreleased]"), "the unreleased version is first");
    let newest = headings.next().unwrap();
    assert!(newest.starts_with(&format!("{VERSION}] - ")), "the newest version in CHANGELOG.md is [{newest}");
    assert!(of_chart("version").split('.').count() == 3);
}

/// Returns the pages for people.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec!["README.md".into(), "CHANGELOG.md".into(), "SECURITY.md".into(), "CONTRIBUTING.md".into()];
    let mut folders = vec![PathBuf::from("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "md") {
                pages.push(path);
            }
        }
    }
    pages
}

/// Returns the words of a text that begin as a flag does.
fn flags(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
    words.filter(|word| word.starts_with("--") && word.len() > 3 && !word.ends_with('-')).map(str::to_owned).collect()
}

/// Removes the first cells of the CHANGELOG's table, which lists old words beside the new ones.
fn without_old_words(page: &str) -> String {
    let (before, rest) = page.split_once("| Old | New |").unwrap_or((page, ""));
    let new_words = rest.lines().map(|line| match line.strip_prefix("| ").and_then(|row| row.split_once(" | ")) {
        Some((_, new_word)) => new_word,
        None => line,
    });
    std::iter::once(before).chain(new_words).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_flag_of_rollcall_on_a_page_exists() {
    let commands = help(&["--help"]);
    let commands = commands.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: Vec<&str> =
        commands.take_while(|line| !line.is_empty()).filter_map(|it| it.split_whitespace().next()).collect();
    assert!(commands.contains(&"run"), "{commands:?}");
    let known: BTreeSet<String> = commands.iter().flat_map(|command| flags(&help(&[command, "--help"]))).collect();
    let mut seen = 0;
    for path in pages() {
        let page = without_old_words(&fs::read_to_string(&path).unwrap());
        // A flag alone between backquotes, in prose, is a flag of rollcall. A flag in a command
        // line belongs to that command.
        let prose: String = page.split("```").step_by(2).collect();
        for code in prose.split('`').skip(1).step_by(2).filter(|code| code.starts_with("--")) {
            let flag = code.split([' ', '=']).next().unwrap();
            // Flags of kubectl and of Helm.
            if ["--server-side", "--set"].contains(&flag) {
                continue;
            }
            seen += 1;
            assert!(known.contains(flag), "{}: rollcall has no flag {flag}", path.display());
        }
        for line in page.lines().filter(|line| line.contains("$ rollcall ")) {
            for flag in flags(line) {
                assert!(known.contains(&flag), "{}: rollcall has no flag {flag}", path.display());
            }
        }
    }
    assert!(seen > 10, "only {seen} flags on all pages");
}

fn workflows() -> Vec<(PathBuf, String)> {
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        (path, text)
    };
    fs::read_dir(WORKFLOWS).unwrap().map(read).collect()
}

#[test]
fn every_action_is_pinned_by_a_commit_with_its_version() {
    let mut seen = 0;
    for (path, text) in workflows() {
        for line in text.lines().filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix("uses: ")) {
            if line.starts_with("./") {
                continue;
            }
            seen += 1;
            let pinned = line.split_once('@').and_then(|(_, pin)| pin.split_once(" # v"));
            let by_commit =
                |(commit, _): (&str, &str)| commit.len() == 40 && commit.bytes().all(|it| it.is_ascii_hexdigit());
            assert!(pinned.is_some_and(by_commit), "{}: {line}", path.display());
        }
    }
    assert!(seen > 10, "only {seen} actions");
}

#[test]
fn no_workflow_has_a_right_for_all_its_jobs_or_a_secret() {
    for (path, text) in workflows() {
        assert!(text.contains("\npermissions: {}\n"), "{}: rights are given job by job", path.display());
        assert!(!text.contains("secrets."), "{}: needs no secret but the job's own token", path.display());
        assert!(
            !text.contains("pull_request_target"),
            "{}: runs what a stranger wrote with our rights",
            path.display()
        );
        serde_yaml::from_str::<serde_json::Value>(&text).unwrap();
    }
}

#[test]
fn the_links_of_the_pages_work() {
    for path in pages() {
        let page = fs::read_to_string(&path).unwrap();
        for link in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link}", path.display());
            assert!(heading.is_empty() || anchors(&target).contains(heading), "{}: {link}", path.display());
        }
    }
}

/// Returns the link anchor of a heading: in lower case, hyphens for blanks, and without the rest.
fn anchors(page: &Path) -> BTreeSet<String> {
    let anchor = |title: &str| {
        let kept = title.chars().filter(|it| it.is_alphanumeric() || [' ', '-', '_'].contains(it));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    let text = fs::read_to_string(page).unwrap();
    text.lines().filter(|line| line.starts_with('#')).map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}
