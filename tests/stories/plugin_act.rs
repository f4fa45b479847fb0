//! `rollcall reconcile`, `suspend`, `resume` and `approve` change resources or refuse to.

use std::path::Path;
use std::process::Stdio;

use kube::api::{Patch, PatchParams};
use rollcall::api::{APPROVE, ChannelMembership};
use rollcall::simulator::ChannelSeed;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use crate::command_line::{command, rollcall};
use crate::removal::with;
use crate::stage::{Stage, eventually, ids, ready, seed, status, support, user};

fn suspended(object: &ChannelMembership) -> bool {
    object.spec.suspend
}

#[tokio::test]
async fn reconcile_lists_the_channel_now_and_waits_for_the_result() {
    let stage = Stage::open(seed(3)).await;
    stage.apply("team", support(&["m0000", "newcomer"])).await;
    stage.apply("late", with("support", &["m0000"], json!({"suspend": true}))).await;
    let operator = stage.operator(&[]);
    stage.until_reason("team", "MembersRefused").await;
    stage.simulator.add_user(&user("newcomer")).unwrap();
    let told = rollcall(&stage, &["reconcile", "team", "--wait"]).await.well();
    assert!(told.contains(&format!("{}/team  True  AllPresent  2/2 present", stage.namespace)), "{told}");
    assert_eq!(stage.count("support"), 2);
    let all = rollcall(&stage, &["reconcile", "--all", "--wait", "-o", "json"]).await;
    assert!(all.stderr.contains("late is suspended"), "{all:?}");
    assert_eq!(all.json().as_array().unwrap().len(), 2);
    assert_eq!(all.json()[1]["outcome"]["reason"], json!("AllPresent"), "{all:?}");
    let asked = rollcall(&stage, &["reconcile", "team"]).await.well();
    assert_eq!(asked, format!("{}/team: requested\n", stage.namespace));

    assert!(operator.stop().await.unwrap());
    let late = rollcall(&stage, &["reconcile", "team", "--wait", "--timeout", "1s"]).await.error();
    assert!(late.contains("1 resource was not reconciled within 1s") && late.contains("/team"), "{late}");
    let none = rollcall(&stage, &["reconcile"]).await.error();
    assert!(none.contains("say which resources"), "{none}");
    let none = rollcall(&stage, &["reconcile", "-l", "team=none"]).await.error();
    assert!(none.contains("no ChannelMembership with team=none"), "{none}");
}

#[tokio::test]
async fn suspend_and_resume_change_one_field_and_name_other_managers() {
    let stage = Stage::open(seed(3)).await;
    stage.apply("team", support(&["m0000"])).await;
    let told = rollcall(&stage, &["suspend", "team"]).await;
    assert_eq!((told.stderr.as_str(), told.stdout.as_str()), ("", &*format!("{}/team: suspended\n", stage.namespace)));
    let object = stage.get("team").await;
    assert!(suspended(&object));
    let fields = object.metadata.managed_fields.unwrap();
    let ours = fields.iter().find(|it| it.manager.as_deref() == Some("rollcall-cli")).unwrap();
    assert!(ours.fields_v1.as_ref().unwrap().0.pointer("/f:spec/f:suspend").is_some());
    // GitOps applies the same manifest again, which does not have the field.
    stage.apply("team", support(&["m0000"])).await;
    assert!(suspended(&stage.get("team").await));
    assert!(rollcall(&stage, &["suspend", "team"]).await.well().contains("suspended already"));
    rollcall(&stage, &["resume", "team"]).await.well();
    assert!(!suspended(&stage.get("team").await));

    // Now the field comes from Git, set by another manager.
    stage.apply("git", with("support", &["m0000"], json!({"suspend": false}))).await;
    let labels = json!({"metadata": {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps", "team": "care"}}});
    stage.patch("git", labels).await;
    let told = rollcall(&stage, &["suspend", "-l", "team=care", "-o", "json"]).await;
    assert!(told.stderr.contains("was written by story, whose next apply reverts it"), "{told:?}");
    assert!(told.stderr.contains("is managed by the Flux Kustomization"), "{told:?}");
    assert_eq!(told.json()[0]["warnings"].as_array().unwrap().len(), 2);
    assert!(suspended(&stage.get("git").await), "the resource is suspended all the same");
    stage.apply("git", with("support", &["m0000"], json!({"suspend": false}))).await;
    assert!(!suspended(&stage.get("git").await), "the apply reverts it, as the warning said");
}

/// Returns a plan of this number of removals that is pending approval, and its hash.
async fn pending(stage: &Stage, name: &str, removals: u32) -> String {
    let waits = |it: &ChannelMembership| {
        ready(it).1 == "ApprovalRequired"
            && status(it).pending_approval.is_some_and(|pending| pending.removals == removals && !pending.approved)
    };
    let told = stage.until(name, "a plan is pending approval", waits).await;
    status(&told).pending_approval.unwrap().hash
}

fn owned(channel_id: &str, members: &[String]) -> serde_json::Value {
    with(channel_id, members, json!({"prune": "Owned"}))
}

#[tokio::test]
async fn approve_shows_the_plan_and_approves_it_only_when_confirmed() {
    let stage = Stage::open(seed(12)).await;
    let people = ids(12);
    stage.apply("team", owned("support", &people)).await;
    let _operator = stage.operator(&[]);
    stage.until_reason("team", "AllPresent").await;
    let nothing = rollcall(&stage, &["approve", "team"]).await;
    assert!(nothing.stderr.contains("nothing waits for approval"), "{nothing:?}");
    assert!(nothing.error().contains("no plan waits for approval"));
    stage.apply("team", owned("support", &people[..6])).await;
    let hash = pending(&stage, "team", 6).await;

    let asked = rollcall(&stage, &["approve", "team"]).await;
    assert!(asked.stdout.contains("/team: 6 removals and 0 additions; 6 declared"), "{asked:?}");
    assert!(asked.stdout.contains("more removals in 24 hours than limits.removals (25%)"), "{asked:?}");
    assert!(asked.stdout.contains("\n  -m0006\n") && asked.stdout.contains(&hash), "{asked:?}");
    assert!(asked.error().contains("there is no terminal to ask on, so give --yes"));
    // A pipe cannot answer a question.
    let mut piped = command(&stage, &["approve", "team"]).await;
    let mut piped = piped.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    piped.stdin.take().unwrap().write_all(b"y\n").await.unwrap();
    assert_eq!(piped.wait().await.unwrap().code(), Some(1));
    let other = rollcall(&stage, &["approve", "team", "--hash", "0123456789abcdef"]).await.error();
    assert!(other.contains("has another hash"), "{other}");
    assert_eq!((stage.get("team").await.metadata.annotations, stage.count("support")), (None, 12));

    let told = rollcall(&stage, &["approve", "team", "--yes", "-o", "json"]).await;
    assert_eq!((told.json()[0]["outcome"].as_str(), told.json()[0]["hash"].as_str()), (Some("approved"), Some(&*hash)));
    stage.until_reason("team", "AllPresent").await;
    assert_eq!(stage.present("support"), people[..6]);

    // The same plan is pending again. Its old approval was used, so the command removes it first.
    stage.apply("team", owned("support", &people)).await;
    stage.until_reason("team", "AllPresent").await;
    stage.apply("team", owned("support", &people[..6])).await;
    assert_eq!(pending(&stage, "team", 6).await, hash);
    rollcall(&stage, &["approve", "team", "--hash", &hash]).await.well();
    stage.until_service("the members leave again", |_| stage.count("support") == 6).await;
}

#[tokio::test]
async fn several_plans_are_approved_one_by_one_and_summed_up() {
    let seed = ["one", "two"].iter().fold(seed(12), |seed, id| seed.channel(ChannelSeed::new(id)));
    let stage = Stage::open(seed).await;
    let people = ids(12);
    for name in ["one", "two"] {
        stage.apply(name, owned(name, &people)).await;
    }
    let _operator = stage.operator(&[]);
    for name in ["one", "two"] {
        stage.until_reason(name, "AllPresent").await;
        stage.apply(name, owned(name, &people[..6])).await;
        pending(&stage, name, 6).await;
        stage.patch(name, json!({"metadata": {"labels": {"team": "care"}}})).await;
    }
    let told = rollcall(&stage, &["approve", "-l", "team=care", "--yes"]).await.well();
    assert!(told.contains("2 of 2 plans approved"), "{told}");
    for name in ["one", "two"] {
        stage.until_reason(name, "AllPresent").await;
        assert_eq!(stage.present(name), people[..6]);
    }
}

/// The list is edited between the display of the plan and the approval. The approval of the shown
/// plan admits nothing.
#[tokio::test]
async fn a_plan_that_changes_during_the_question_is_not_approved() {
    let stage = Stage::open(seed(12)).await;
    let people = ids(12);
    stage.apply("team", owned("support", &people)).await;
    let operator = stage.operator(&[]);
    stage.until_reason("team", "AllPresent").await;
    stage.apply("team", owned("support", &people[..6])).await;
    pending(&stage, "team", 6).await;
    assert!(operator.stop().await.unwrap());

    // The plan changes while the terminal shows the question.
    let folder = tempfile::tempdir().unwrap();
    let screen = folder.path().join("screen");
    let program = env!("CARGO_BIN_EXE_rollcall");
    let script = format!("{program} approve team; echo ended $?");
    let mut terminal = terminal(&command(&stage, &[]).await, &script, &screen);
    let shown = || std::fs::read_to_string(&screen).unwrap_or_default();
    eventually("the command asks", async || shown().contains("Approve this plan? [y/N]").then_some(())).await;
    // The status gets the plan of another reconcile, as the operator writes it.
    let other = json!({"status": {"pendingApproval": {"additions": 0, "removals": 7, "hash": "0123456789abcdef", "members": ["-m0005"]}}});
    stage.resources.patch_status("team", &PatchParams::default(), &Patch::Merge(other)).await.unwrap();
    terminal.stdin.take().unwrap().write_all(b"y\n").await.unwrap();
    eventually("the command ends", async || shown().contains("ended 1").then_some(())).await;
    assert!(shown().contains("the plan of ") && shown().contains("changed since it was shown"), "{}", shown());
    let annotations = stage.get("team").await.metadata.annotations.unwrap_or_default();
    assert!(!annotations.contains_key(APPROVE), "{annotations:?}");
    terminal.kill().await.unwrap();
}

/// Runs a shell line on a terminal whose screen goes to a file, by util-linux' script.
fn terminal(environment: &Command, line: &str, screen: &Path) -> Child {
    let mut script = Command::new("script");
    for (name, value) in environment.as_std().get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    script
        .args(["--quiet", "--flush", "--command", line])
        .arg(screen)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}
