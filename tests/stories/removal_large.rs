//! A full channel fits in its resources, and one removal stays cheap there.
//!
//! `cargo test --test stories large -- --nocapture` prints the stored size of each resource and the
//! memory of its operator.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use http::Request;
use kube::Resource as _;
use rollcall::api::ChannelMembership;
use rollcall::simulator::{ApiOperation, ChannelSeed, Seed};
use serde_json::{Value, json};

use crate::operator::Operator;
use crate::removal::{DELETE, removed, with};
use crate::stage::{BEARER, INSTANCE, Stage, counts, ready, status};

/// The most members of a channel (AWS General Reference, Amazon Chime SDK messaging quotas).
const FULL: usize = 10_000;

/// The size limit of a request to etcd by default.
const MOST_BYTES: usize = 1_572_864;

/// Returns ids as long as the ones of Amazon Cognito, which many applications use for their users.
fn long_ids() -> Vec<String> {
    (0..FULL).map(|n| format!("{n:08x}-1f2e-4d3c-8b4a-{n:012x}")).collect()
}

async fn stage(people: &[String]) -> Stage {
    let seed = Seed::new(INSTANCE).users(people.to_vec()).users(["rollcall"]).admins(["rollcall"]);
    Stage::open(seed.channel(ChannelSeed::new("support"))).await
}

/// Returns the size of the resource in the API server, in bytes.
async fn stored(stage: &Stage) -> usize {
    let path = format!("{}/team", ChannelMembership::url_path(&(), Some(&stage.namespace)));
    stage.cluster.request_text(Request::get(path).body(Vec::new()).unwrap()).await.unwrap().len()
}

/// Returns the operator's memory as the kernel reports it, if the kernel does.
async fn memory(operator: &mut Operator) -> String {
    let pid = operator.pid().await.unwrap().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mut told = String::new();
    for line in status.lines().filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS")) {
        let _ = write!(told, ", {}", line.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    told
}

async fn tell(what: &str, stage: &Stage, operator: &mut Operator) {
    let size = stored(stage).await;
    println!("{what}: {size} bytes stored{}", memory(operator).await);
    assert!(size < MOST_BYTES, "{size}");
}

/// Adds all members, then removes one with `drop_one`, and checks that this costs four calls.
async fn check_one_removal(what: &str, stage: &Stage, people: &[String], drop_one: impl AsyncFnOnce()) {
    let mut operator = stage.operator(&[]);
    let full = u32::try_from(FULL).unwrap();
    stage.until("team", "all members are present", |it| counts(it) == [full, full, 0, 0]).await;
    tell(&format!("{what}, {FULL} members"), stage, &mut operator).await;
    stage.simulator.reset_calls();

    drop_one().await;
    stage.until_service("one member leaves", |_| stage.calls(DELETE) == 1).await;
    let told = stage.until("team", "one less", |it| counts(it)[1] == full - 1 && ready(it).1 == "AllPresent").await;

    assert_eq!(removed(stage, "support"), people[FULL - 1..]);
    assert_eq!(status(&told).last_declared.unwrap().len(), FULL - 1);
    let once = [
        ApiOperation::DescribeChannel,
        ApiOperation::ListChannelModerators,
        ApiOperation::DescribeChannelMembership,
        ApiOperation::DeleteChannelMembership,
    ];
    assert_eq!(stage.simulator.call_counts(), BTreeMap::from(once.map(|operation| (operation, 1))));
    tell(&format!("{what}, one less"), stage, &mut operator).await;
    assert!(operator.stop().await.unwrap());
    // A new process begins with the whole list and the whole status.
    let mut operator = stage.operator(&[]);
    stage.reconcile("team").await;
    tell(&format!("{what}, after a restart"), stage, &mut operator).await;
}

#[tokio::test]
async fn removal_from_a_list_of_10000_costs_four_calls() {
    let people = long_ids();
    let stage = stage(&people).await;
    let spec = |members: &[String]| with("support", members, json!({"prune": "Owned"}));
    let applied = stage.apply("team", spec(&people)).await;
    assert_eq!(applied.spec.members.map(|members| members.len()), Some(FULL));

    check_one_removal("a list", &stage, &people, async || drop(stage.apply("team", spec(&people[..FULL - 1])).await))
        .await;
}

#[tokio::test]
async fn removal_from_nine_config_maps_of_10000_costs_four_calls() {
    let people = long_ids();
    let stage = stage(&people).await;
    let maps: Vec<&[String]> = people.chunks(FULL.div_ceil(9)).collect();
    let name = |number: usize| format!("part-{number}");
    let config_map = async |number: usize, members: &[String]| {
        stage.config_map(&name(number), json!({"members.txt": members.join("\n")})).await;
    };
    for (number, members) in maps.iter().enumerate() {
        config_map(number, members).await;
    }
    let source = |number| json!({"configMapKeyRef": {"name": name(number), "key": "members.txt"}});
    let sources: Vec<Value> = (0..maps.len()).map(source).collect();
    assert_eq!(sources.len(), 9);
    let mut spec = with("support", &[] as &[&str], json!({"prune": "Owned", "membersFrom": sources}));
    spec.as_object_mut().unwrap().remove("members");
    stage.apply("team", spec).await;

    let last = maps[8];
    check_one_removal("nine ConfigMaps", &stage, &people, async || config_map(8, &last[..last.len() - 1]).await).await;
    assert_eq!(status(&stage.get("team").await).bearer.as_deref(), Some(BEARER));
}
