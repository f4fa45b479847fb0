//! `hack/prose` finds each kind of fault, names its file and line, and passes good text.

#![expect(clippy::unwrap_used, reason = "a test that cannot run the script has failed")]

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/hack/prose");

/// Two plain sentences of a module doc.
const PLAIN: &str = "//! Lists the members of a channel. The listing takes one call a page.\n";

/// Runs the script on a tree of these files. Returns its exit code and its output.
fn run(files: &[(&str, &str)], arguments: &[&str]) -> (i32, String) {
    let root = TempDir::new().unwrap();
    for (file, text) in files {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let output = Command::new(SCRIPT).arg("--root").arg(root.path()).args(arguments).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// Asserts that the script fails on this file for this kind alone, and that it names `place`.
#[track_caller]
fn assert_found(kind: &str, file: &str, text: &str, place: &str) {
    assert_all_found(kind, &[(file, text)], place);
}

#[track_caller]
fn assert_all_found(kind: &str, files: &[(&str, &str)], place: &str) {
    let (code, output) = run(files, &[]);
    assert_eq!(code, 1, "{output}");
    assert!(output.contains(&format!("\n  {place}")), "no {place:?} in {output}");
    let failed: Vec<&str> =
        output.lines().filter(|line| line.starts_with(char::is_alphabetic) && line.contains(": ")).collect();
    assert!(failed.iter().all(|line| line.starts_with(&format!("{kind}: "))), "{failed:?}");

    let (code, list) = run(files, &["--list", kind]);
    assert_eq!(code, 1, "{list}");
    assert!(list.lines().any(|line| line.starts_with(place)), "no {place:?} in {list}");
}

#[test]
fn plain_comments_docs_and_names_pass() {
    let source = "//! Lists members. Does a page end the listing?\n\n/// Returns the code, as in `who?`.\npub struct Page;\n\n\
        // - `What` is code, and so is this:\n// ```\n// What is fenced\n// ```\nconst ADDRESS: &str = \"http://nobody.example\";\n";
    let page = "# What a heading says\n\nRun [the command](https://example.com/who).\n\n| What | Who |\n|---|---|\n\n\
        ```sh\nwho # Whom it shows\n```\n";
    let changelog = "# Changelog\n\nThe field `status.unlisted` is `status.undeclared` now.\n";
    let (code, output) = run(&[("src/page.rs", source), ("docs/page.md", page), ("CHANGELOG.md", changelog)], &[]);
    assert_eq!(code, 0, "{output}");
}

#[test]
fn comment_that_turns_on_somebody_fails() {
    let text = format!("{PLAIN}\n/// Returns the member\n/// that somebody added.\nfn added() {{}}\n");
    assert_found("pronoun", "src/a.rs", &text, "src/a.rs:3: Returns the member that somebody added.");
}

#[test]
fn page_that_turns_on_those_who_fails() {
    let text = "# Title\n\nThe operator\nadds members. It removes those\nwho left.\n";
    assert_found("pronoun", "docs/a.md", text, "docs/a.md:4: It removes those who left.");
}

#[test]
fn good_docs_do_not_make_up_for_bad_comments() {
    let page = "The operator adds members. ".repeat(200);
    let files = [("docs/a.md", page.as_str()), ("src/a.rs", "// Returns whoever is new.\n")];
    assert_all_found("pronoun", &files, "src/a.rs:1: Returns whoever is new.");
}

#[test]
fn two_percent_of_a_kind_pass_and_more_fail() {
    let plain = "The operator adds members. ".repeat(49);
    assert_eq!(run(&[("docs/a.md", &format!("{plain}Nobody is removed."))], &[]).0, 0);
    let text = format!("{plain}Nobody is removed. Nobody is added.");
    assert_found("pronoun", "docs/a.md", &text, "docs/a.md:1: Nobody is removed.");
}

#[test]
fn comment_that_begins_with_what_fails() {
    assert_found("opening", "src/a.rs", "fn a() {} // what was seen\n", "src/a.rs:1: what was seen");
}

#[test]
fn shell_comment_that_begins_with_only_fails() {
    let text = "#!/bin/sh\n\necho '# Of no comment'\n# Only one run at a time.\n";
    assert_found("opening", "hack/a", text, "hack/a:4: Only one run at a time.");
}

#[test]
fn template_comment_that_begins_with_whether_fails() {
    let text = "{{/*\nWhether there is a role.\n*/}}\n# -- The name.\n";
    assert_found("opening", "charts/a.tpl", text, "charts/a.tpl:2: Whether there is a role.");
}

#[test]
fn list_item_of_a_page_that_begins_with_so_fails() {
    assert_found("opening", "docs/a.md", "One thing:\n\n- **So** it ends.\n", "docs/a.md:3: **So** it ends.");
}

#[test]
fn comment_over_100_columns_fails_unless_it_has_an_address() {
    let words = "long ".repeat(20);
    let text =
        format!("// See https://example.com {words}\n// | {words} |\n// {words}.\nconst A: &str = \"{words}\";\n");
    assert_found("width", "src/a.rs", &text, "src/a.rs:3: 104 columns");
}

#[test]
fn module_doc_that_opens_with_a_question_fails() {
    assert_found("question", "src/a.rs", "//! How does\n//! this work? It works.\n", "src/a.rs:1: How does this work?");
}

#[test]
fn type_name_of_two_modules_fails() {
    let files = [("src/a.rs", "pub struct World;\n"), ("src/b.rs", "\npub(crate) enum World {}\n")];
    assert_all_found("type", &files, "src/a.rs:1: World is in 2 modules, and 1 may have it");
    assert_all_found("type", &files, "src/b.rs:2: World is in 2 modules, and 1 may have it");
}

#[test]
fn listed_type_name_passes_for_as_many_modules_as_listed() {
    let files =
        [("src/a.rs", "struct World;\n"), ("src/b.rs", "struct World;\n"), ("hack/prose-types", "# Shared\nWorld 2\n")];
    assert_eq!(run(&files, &[]).0, 0);
    let files = [&files[..], &[("src/c.rs", "struct World;\n")]].concat();
    assert_all_found("type", &files, "src/c.rs:1: World is in 3 modules, and 2 may have it");
}

#[test]
fn listed_type_name_that_is_shared_no_more_fails() {
    let files = [("src/a.rs", "struct World;\n"), ("hack/prose-types", "# Shared\nWorld 2\n")];
    assert_all_found("type", &files, "hack/prose-types:2: World is in 1 modules, not in 2: remove the entry");
}

#[test]
fn house_and_room_fail_as_words_and_in_identifiers() {
    assert_found("metaphor", "src/a.rs", "// The house.\n", "src/a.rs:1: 'house' in: // The house.");
    assert_found("metaphor", "src/a.rs", "\nconst ROOMS: u8 = 1;\n", "src/a.rs:2: 'ROOMS' in: const ROOMS");
    assert_found("metaphor", "src/a.rs", "fn has_room() {}\n", "src/a.rs:1: 'room' in: fn has_room");
    assert_found("metaphor", "src/a.rs", "use a::{SideRoom};\n", "src/a.rs:1: 'Room' in: use a::{SideRoom};");
}

#[test]
fn old_product_word_fails_outside_the_changelog() {
    for (file, text) in [
        ("docs/a.md", "Set `prune: Unlisted`.\n"),
        ("docs/a.md", "Set `deletionPolicy: Prune`.\n"),
        ("docs/a.md", "Read `status.held`.\n"),
        ("charts/values.yaml", "drain:\n  enabled: true\n"),
        ("charts/files/alerts.yaml", "expr: rollcall_plans_held > 0\n"),
        ("src/a.rs", "const REASON: Reason = Reason::Paced;\n"),
        ("src/a.rs", "const TEXT: &str = \"a member that nobody declares\";\n"),
    ] {
        assert_found("old-word", file, text, &format!("{file}:1: '"));
    }
}

#[test]
fn test_name_over_70_characters_fails() {
    let names = ["a".repeat(70), "b".repeat(71)];
    let text =
        names.map(|name| format!("#[tokio::test(start_paused = true)]\n#[ignore]\nasync fn {name}() {{}}\n")).concat();
    assert_found("test-name", "src/a.rs", &text, "src/a.rs:6: bbb");
}

#[test]
fn path_limits_what_is_read() {
    let files =
        [("src/a.rs", "// Lists members.\n"), ("src/b.rs", "// The house.\n"), ("hack/prose-types", "World 2\n")];
    assert_eq!(run(&files, &["src/a.rs"]).0, 0);
    assert_eq!(run(&files, &["src"]).0, 1);
}

#[test]
fn script_passes_its_own_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(SCRIPT).args(["hack/prose", "tests/prose.rs"]).current_dir(root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
