//! Does each room know only the rooms below it?

#![expect(clippy::expect_used, reason = "a test that cannot read the sources has failed")]

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the top down, as `src/lib.rs` lists them.
const ROOMS: [&str; 10] =
    ["cli", "controller", "ops", "offline", "manifests", "engine", "simulator", "chime", "membership", "api"];

/// Crates that a room must not name: what is pure stays so, and one room alone speaks for the service.
const CLOSED: [(&str, &[&str]); 3] = [
    ("membership", &["tokio", "kube", "aws_sdk_chimesdkmessaging", "aws_config", "fastrand"]),
    ("engine", &["kube", "aws_sdk_chimesdkmessaging", "aws_config"]),
    ("controller", &["aws_sdk_chimesdkmessaging", "aws_config"]),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("src can be read") {
        let path = entry.expect("src can be read").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The room that a file is in; `main.rs` and `lib.rs` are in none.
fn room(file: &Path) -> Option<String> {
    let within = file.strip_prefix("src").ok()?;
    let first = within.components().next()?.as_os_str().to_str()?;
    let name = first.trim_end_matches(".rs").to_owned();
    ROOMS.contains(&name.as_str()).then_some(name)
}

/// The names that follow `prefix` in a text, one of a braced group each.
fn names_after(text: &str, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in text.match_indices(prefix) {
        let rest = &text[at + prefix.len()..];
        let inside = rest.strip_prefix('{').map(|group| &group[..group.find('}').unwrap_or(group.len())]);
        for part in inside.map_or_else(|| vec![rest], |group| group.split(',').collect()) {
            let name: String = part.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            names.push(name);
        }
    }
    names
}

fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn uses_crate(text: &str, name: &str) -> bool {
    text.match_indices(&format!("{name}::"))
        .any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
}

#[test]
fn a_room_knows_only_rooms_below_it() {
    let mut faults = Vec::new();
    for file in sources(Path::new("src")) {
        let Some(room) = room(&file) else { continue };
        let height = ROOMS.iter().position(|other| *other == room);
        let text = without_comments(&fs::read_to_string(&file).expect("a source can be read"));
        for name in names_after(&text, "crate::") {
            let known = ROOMS.iter().position(|other| *other == name);
            if known < height || known.is_none() {
                faults.push(format!("{}: the room {room} must not know {name:?}", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn closed_rooms_name_no_crate_that_would_open_them() {
    let mut faults = Vec::new();
    for file in sources(Path::new("src")) {
        let Some(room) = room(&file) else { continue };
        let text = without_comments(&fs::read_to_string(&file).expect("a source can be read"));
        // A fake that stands beside the tests may need a runtime.
        if file.components().any(|part| part.as_os_str() == "tests") {
            continue;
        }
        for name in CLOSED.iter().filter(|(closed, _)| *closed == room).flat_map(|(_, names)| *names) {
            if uses_crate(&text, name) {
                faults.push(format!("{}: the room {room} must not use {name}", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Every removal passes the guard, because the one call of the service that removes takes what only the guard makes.
#[test]
fn a_membership_is_deleted_in_one_place_alone() {
    let mut places = Vec::new();
    for file in sources(Path::new("src")) {
        let text = without_comments(&fs::read_to_string(&file).expect("a source can be read"));
        let calls = text.matches("delete_channel_membership(").count();
        places.extend(std::iter::repeat_n(file, calls));
    }
    assert_eq!(places, [Path::new("src/chime/sdk/calls.rs")]);
}

#[test]
fn the_map_lists_the_rooms_in_their_order() {
    let map = fs::read_to_string("src/lib.rs").expect("a source can be read");
    let listed = names_after(&map, "//! | [`");
    assert_eq!(listed, ROOMS);
}

#[test]
fn the_check_itself_sees_imports_however_they_are_written() {
    assert_eq!(names_after("use crate::engine::Engine;", "crate::"), ["engine"]);
    assert_eq!(names_after("use crate::{api::Reason, chime};", "crate::"), ["api", "chime"]);
    assert_eq!(names_after("let x = crate::controller::run();", "crate::"), ["controller"]);
    assert!(uses_crate("use kube::Client;", "kube"));
    assert!(!uses_crate("use mykube::Client;", "kube"));
}
