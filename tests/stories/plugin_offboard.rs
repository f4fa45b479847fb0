//! `rollcall offboard` shows whether a user is out of every channel, and what keeps the user there.

use jiff::{SignedDuration, Timestamp};
use rollcall::api::MembershipType;
use rollcall::simulator::{ApiOperation, ChannelSeed, Fault, FaultEffect, Seed};
use serde_json::{Value, json};

use crate::command_line::{RollcallOutput, rollcall};
use crate::removal::{owned, with};
use crate::stage::{INSTANCE, Stage, channel, seed, support, user};

/// Returns an app instance: alice is declared in one channel, olaf added her to another, and a
/// third has no resource.
fn leaving() -> Seed {
    let long_ago = Timestamp::now() - SignedDuration::from_hours(48);
    Seed::new(INSTANCE)
        .users(["alice", "bob", "olaf", "rollcall"])
        .admins(["rollcall"])
        .channel(ChannelSeed::new("support"))
        .channel(ChannelSeed::new("taken").invited("olaf", Some(long_ago), ["alice"]))
        .channel(ChannelSeed::new("alone").invited("olaf", Some(long_ago), ["alice"]).moderators(["alice"]))
        .channel(ChannelSeed::new("quiet").hidden(["bob"]))
}

/// Returns the text about a channel.
fn of<'a>(told: &'a Value, channel_id: &str) -> &'a Value {
    let channels = told["channels"].as_array().unwrap();
    channels.iter().find(|it| it["channel"] == channel(channel_id)).unwrap_or(&Value::Null)
}

fn keeps(told: &Value, channel_id: &str) -> Vec<String> {
    let keeps = of(told, channel_id)["keeps"].as_array().cloned().unwrap_or_default();
    keeps.iter().map(|keep| keep["is"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn offboard_follows_a_user_out_of_all_channels_and_prints_a_receipt() {
    let stage = Stage::open(leaving()).await;
    stage.config_map("on-call", json!({"members.txt": "bob\nalice\n"})).await;
    let mut spec = owned("support", &["bob"]);
    spec["membersFrom"] = json!([{"configMapKeyRef": {"name": "on-call", "key": "members.txt"}}]);
    stage.apply("support", spec).await;
    stage.apply("taken", owned("taken", &["bob"])).await;
    let _operator = stage.operator(&[]);
    stage.until_reason("support", "AllPresent").await;
    stage.until_reason("taken", "AllPresent").await;
    let folder = tempfile::tempdir().unwrap();
    let receipt = folder.path().join("alice.json");
    let path = receipt.display().to_string();
    let offboard = async || rollcall(&stage, &["offboard", "alice", "--live", "-o", "json", "--receipt", &path]).await;

    let told = offboard().await;
    assert_eq!((told.code, told.json()["gone"].as_bool(), receipt.exists()), (2, Some(false), false), "{told:?}");
    assert_eq!(keeps(&told.json(), "support"), ["declared"]);
    assert_eq!(of(&told.json(), "support")["keeps"][0]["origin"]["line"], json!(2));
    assert_eq!(keeps(&told.json(), "taken"), ["invitedByAnother"]);
    assert_eq!(keeps(&told.json(), "alone"), ["moderator", "noResource"]);
    let text = rollcall(&stage, &["offboard", "alice", "--live"]).await;
    assert_eq!(text.code, 2);
    let place = format!("delete it from ConfigMap {}/on-call, key members.txt, line 2", stage.namespace);
    assert!(text.stdout.contains(&place) && text.stdout.contains("alice: not gone; in 3 channels"), "{}", text.stdout);
    assert!(
        text.stdout.contains("no resource declares members of this channel: remove the member in the service"),
        "{}",
        text.stdout
    );

    stage.config_map("on-call", json!({"members.txt": "bob\n"})).await;
    stage.simulator.remove_member(&channel("taken"), "alice").unwrap();
    stage.simulator.remove_member(&channel("alone"), "alice").unwrap();
    stage.until_service("Rollcall removes them", |_| stage.count("support") == 1).await;
    let told = offboard().await;
    assert_eq!(told.code, 0, "{told:?}");
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(&receipt).unwrap()).unwrap();
    assert_eq!(kept, told.json());
    assert_eq!((kept["gone"].as_bool(), kept["members"].clone()), (Some(true), json!([user("alice")])));
    assert!(kept["at"].as_str().unwrap().parse::<Timestamp>().is_ok());
    assert_eq!(kept["looked"]["listedBy"], json!([user("rollcall")]));
    assert_eq!(kept["looked"]["described"], json!([channel("support"), channel("taken")]));
    assert_eq!(stage.calls(ApiOperation::DeleteChannelMembership), 1, "the one removal is the operator's");
}

#[tokio::test]
async fn offboard_proves_nothing_without_a_complete_answer() {
    let stage = Stage::open(leaving()).await;
    stage.apply("support", support(&["bob"])).await;
    let _operator = stage.operator(&[]);
    stage.until_reason("support", "AllPresent").await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("receipt.json").display().to_string();
    let unproven = |said: RollcallOutput| {
        assert!(!std::path::Path::new(&path).exists());
        said.error()
    };
    let by_status = rollcall(&stage, &["offboard", "olaf", "--receipt", &path]).await;
    assert!(unproven(by_status).contains("statuses alone cannot prove that olaf is in no channel"));

    let list = ApiOperation::ListChannelMembershipsForAppInstanceUser;
    for (operation, status) in [(list, 403), (ApiOperation::DescribeChannelMembership, 403)] {
        let fault = stage.simulator.inject_fault(Fault::new(FaultEffect::status(status)).on(operation));
        let told = rollcall(&stage, &["offboard", "olaf", "--live", "--receipt", &path]).await;
        let error = unproven(told);
        assert!(error.contains("failed to find out whether olaf is in no channel"), "{error}");
        stage.simulator.clear_fault(fault);
    }
    let gone = rollcall(&stage, &["offboard", "olaf", "--live", "--receipt", &path]).await;
    assert_eq!(gone.code, 0, "{gone:?}");
    // The user is in no channel but declared, so the operator would add the user.
    stage.apply("later", with("quiet", &["olaf"], json!({"suspend": true}))).await;
    let declared = rollcall(&stage, &["offboard", "olaf", "--live", "-o", "json"]).await;
    assert_eq!((declared.code, keeps(&declared.json(), "quiet")), (2, vec!["declared".to_owned()]), "{declared:?}");
}

#[tokio::test]
async fn offboard_finds_a_hidden_member_and_hints_at_a_misspelt_name() {
    let stage = Stage::open(leaving()).await;
    stage.apply("quiet", with("quiet", &["bob"], json!({"type": "HIDDEN"}))).await;
    let _operator = stage.operator(&[]);
    stage.until_reason("quiet", "AllPresent").await;
    assert_eq!(stage.simulator.member_count(&channel("quiet"), MembershipType::Hidden), 1);
    let told = rollcall(&stage, &["offboard", "bob", "--live", "-o", "json"]).await;
    assert_eq!((told.code, of(&told.json(), "quiet")["live"]["type"].as_str()), (2, Some("HIDDEN")), "{told:?}");
    let misspelt = rollcall(&stage, &["offboard", "Bob", "--live"]).await;
    assert!(misspelt.stderr.contains("Bob was found in no channel; perhaps bob?"), "{misspelt:?}");
    let wrong = rollcall(&stage, &["offboard", "Bob Smith", "--live"]).await.error();
    assert!(wrong.contains("names no member"), "{wrong}");
}

#[tokio::test]
async fn offboard_needs_a_resource_or_a_bearer() {
    let stage = Stage::open(seed(1)).await;
    let told = rollcall(&stage, &["offboard", "m0000", "-n", &stage.namespace]).await.error();
    assert!(told.contains("in which app instance m0000 is"), "{told}");
    let arn = user("m0000");
    let told = rollcall(&stage, &["offboard", &arn, "--live"]).await.error();
    assert!(told.contains("no bearer is known for") && told.contains("--chime-bearer"), "{told}");
    let told = rollcall(&stage, &["offboard", &arn, "--live", "--chime-bearer", &user("rollcall")]).await;
    assert_eq!(told.code, 0, "{told:?}");
}
