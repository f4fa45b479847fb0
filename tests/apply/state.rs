//! A state that cannot be read or written stops an apply.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::desk::{Desk, Said, resource};
use crate::members;

const APPLY: [&str; 4] = ["-f", "m.json", "--state", "state.yaml"];

async fn applied(members: &[&str]) -> Desk {
    let desk = Desk::open().await;
    declare(&desk, members);
    let said = desk.apply(&APPLY).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    desk
}

fn declare(desk: &Desk, members: &[&str]) {
    desk.write("m.json", &[resource("lobby", json!({"members": members, "prune": "Owned"}))]);
}

/// Checks that the run ends with one line that names the file, and makes no call that changes a
/// channel.
fn refused(desk: &Desk, said: &Said, words: &[&str]) {
    assert_eq!(said.code, Some(1), "{said:?}");
    let last = said.stderr.lines().last().unwrap();
    assert!(last.starts_with("error: ") && last.contains("state.yaml"), "{said:?}");
    assert!(words.iter().all(|word| last.contains(word)), "{words:?}: {last}");
    assert_eq!(members(desk, "lobby"), ["alice"]);
}

#[tokio::test]
async fn an_incomplete_state_is_named_and_not_changed() {
    let desk = applied(&["alice"]).await;
    let path = desk.folder.path().join("state.yaml");
    let whole = fs::read_to_string(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!whole.contains("simulator"), "the state has no credentials");
    declare(&desk, &["alice", "bob"]);
    let other = whole.replace("format 1,", "format 7,");
    for (text, words) in [
        (&whole[..whole.len() / 2], &["cut short or edited"][..]),
        ("", &["cut short or edited"]),
        (&whole.replace("user/rollcall", "user/erin"), &["cut short or edited", "first line"]),
        (&other, &["format 7"]),
    ] {
        fs::write(&path, text).unwrap();
        for flags in [&[][..], &["--dry-run"]] {
            let said = desk.apply(&[&APPLY[..], flags].concat()).await;
            refused(&desk, &said, words);
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(desk.apply(&APPLY).await.code, Some(0));
}

#[tokio::test]
async fn a_full_disk_stops_changes_and_keeps_the_state_complete() {
    let desk = applied(&["alice"]).await;
    let path = desk.folder.path().join("state.yaml");
    let whole = fs::read_to_string(&path).unwrap();
    declare(&desk, &["alice", "bob"]);
    // A write beyond the limit fails in the middle, as on a full disk. The unit is 512 bytes.
    let command = format!(
        r#"ulimit -f 2; trap "" XFSZ; exec "{}" apply -f m.json --state state.yaml"#,
        env!("CARGO_BIN_EXE_rollcall")
    );
    let mut limited = desk.rollcall("apply", &[]);
    let environment: Vec<_> =
        limited.as_std().get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
    limited = tokio::process::Command::new("sh");
    limited.args(["-c", &command]).env_clear().envs(environment).current_dir(desk.folder.path());
    limited
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let said = desk.end_of(limited.spawn().unwrap()).await;
    refused(&desk, &said, &["failed to write the state"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), whole);
    let said = desk.apply(&APPLY).await;
    assert_eq!((said.code, members(&desk, "lobby")), (Some(0), vec!["alice".to_owned(), "bob".to_owned()]), "{said:?}");
}

#[tokio::test]
async fn a_channel_cannot_be_changed_under_a_state() {
    let desk = applied(&["alice"]).await;
    let mut moved = resource("support", json!({"members": ["alice"]}));
    moved["metadata"]["name"] = json!("lobby");
    desk.write("m.json", &[moved]);
    let said = desk.apply(&APPLY).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stderr.contains("m.json") && said.stderr.contains("channelArn"), "{said:?}");
}
