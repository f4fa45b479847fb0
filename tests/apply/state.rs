//! A state that cannot be read or written stops an apply.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::members;
use crate::workspace::{CommandOutput, Workspace, resource};

const APPLY: [&str; 4] = ["-f", "m.json", "--state", "state.yaml"];

async fn applied(members: &[&str]) -> Workspace {
    let workspace = Workspace::open().await;
    declare(&workspace, members);
    let said = workspace.apply(&APPLY).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    workspace
}

fn declare(workspace: &Workspace, members: &[&str]) {
    workspace.write("m.json", &[resource("lobby", json!({"members": members, "prune": "Owned"}))]);
}

/// Checks that the run ends with one line that names the file, and makes no call that changes a
/// channel.
fn refused(workspace: &Workspace, said: &CommandOutput, words: &[&str]) {
    assert_eq!(said.code, Some(1), "{said:?}");
    let last = said.stderr.lines().last().unwrap();
    assert!(last.starts_with("error: ") && last.contains("state.yaml"), "{said:?}");
    assert!(words.iter().all(|word| last.contains(word)), "{words:?}: {last}");
    assert_eq!(members(workspace, "lobby"), ["alice"]);
}

#[tokio::test]
async fn an_incomplete_state_is_named_and_not_changed() {
    let workspace = applied(&["alice"]).await;
    let path = workspace.folder.path().join("state.yaml");
    let whole = fs::read_to_string(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!whole.contains("simulator"), "the state has no credentials");
    declare(&workspace, &["alice", "bob"]);
    let other = whole.replace("format 1,", "format 7,");
    for (text, words) in [
        (&whole[..whole.len() / 2], &["cut short or edited"][..]),
        ("", &["cut short or edited"]),
        (&whole.replace("user/rollcall", "user/erin"), &["cut short or edited", "first line"]),
        (&other, &["format 7"]),
    ] {
        fs::write(&path, text).unwrap();
        for flags in [&[][..], &["--dry-run"]] {
            let said = workspace.apply(&[&APPLY[..], flags].concat()).await;
            refused(&workspace, &said, words);
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(workspace.apply(&APPLY).await.code, Some(0));
}

#[tokio::test]
async fn a_full_disk_stops_changes_and_keeps_the_state_complete() {
    let workspace = applied(&["alice"]).await;
    let path = workspace.folder.path().join("state.yaml");
    let whole = fs::read_to_string(&path).unwrap();
    declare(&workspace, &["alice", "bob"]);
    // A write beyond the limit fails in the middle, as on a full disk. The unit is 512 bytes.
    let command = format!(
        r#"ulimit -f 2; trap "" XFSZ; exec "{}" apply -f m.json --state state.yaml"#,
        env!("CARGO_BIN_EXE_rollcall")
    );
    let mut limited = workspace.rollcall("apply", &[]);
    let environment: Vec<_> =
        limited.as_std().get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
    limited = tokio::process::Command::new("sh");
    limited.args(["-c", &command]).env_clear().envs(environment).current_dir(workspace.folder.path());
    limited
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let said = workspace.end_of(limited.spawn().unwrap()).await;
    refused(&workspace, &said, &["failed to write the state"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), whole);
    let said = workspace.apply(&APPLY).await;
    assert_eq!(
        (said.code, members(&workspace, "lobby")),
        (Some(0), vec!["alice".to_owned(), "bob".to_owned()]),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_channel_cannot_be_changed_under_a_state() {
    let workspace = applied(&["alice"]).await;
    let mut moved = resource("support", json!({"members": ["alice"]}));
    moved["metadata"]["name"] = json!("lobby");
    workspace.write("m.json", &[moved]);
    let said = workspace.apply(&APPLY).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stderr.contains("m.json") && said.stderr.contains("channelArn"), "{said:?}");
}
