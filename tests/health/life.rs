//! The real operator on a real API server brings resources to each stage of their life.

use std::time::Duration;

use jiff::Timestamp;
use kube::api::DeleteParams;
use rollcall::api::ChannelMembership;
use rollcall::simulator::{ApiOperation, ChannelSeed, Fault, FaultEffect, Seed};
use serde_json::{Value, json};

use crate::stage::{BEARER, Stage, channel, eventually, seed, spec, user};

const BATCH: ApiOperation = ApiOperation::BatchCreateChannelMembership;
const PEOPLE: [&str; 3] = ["m0000", "m0001", "m0002"];
/// Longer than a story takes.
const LONG: Duration = Duration::from_mins(10);

/// The stages that a resource reaches through its manifest or a fault of the service.
const AT_ONCE: [(&str, &str); 15] = [
    ("adding", "Adding"),
    ("retrying", "Retrying"),
    ("all-present", "AllPresent"),
    ("refused-within-limit", "RefusedWithinLimit"),
    ("members-refused", "MembersRefused"),
    ("channel-not-accessible", "ChannelNotAccessible"),
    ("bearer-rejected", "BearerRejected"),
    ("access-denied", "AccessDenied"),
    ("not-granted", "NotGranted"),
    ("approval-required", "ApprovalRequired"),
    ("source-not-ready", "SourceNotReady"),
    ("invalid-member", "InvalidMember"),
    ("suspended-from-the-start", "Suspended"),
    ("observed", "Observed"),
    ("observed-incomplete", "Observed"),
];

/// Resources that are as declared at first, before the test changes something.
const LATER: [&str; 7] =
    ["edited", "removing", "ownership-conflict-owner", "suspended", "suspension-unseen", "resumed-unseen", "deleted"];

fn manifest(name: &str) -> Value {
    let mut spec = spec(name, &PEOPLE);
    match name {
        // Ownership is recorded before any member is added.
        "adding" | "removing" => spec["prune"] = json!("Owned"),
        "refused-within-limit" => {
            spec["members"] = json!(["m0000", "ghost"]);
            spec["limits"] = json!({"failed": 1});
        }
        "members-refused" | "suspended-while-stalled" | "mended-unseen" => spec["members"] = json!(["m0000", "ghost"]),
        "bearer-rejected" => {
            spec["channelArn"] = json!("arn:aws:chime:us-east-1:123456789012:app-instance/2e/channel/bearer-rejected");
        }
        "not-granted" => spec["chimeBearer"] = json!(user("m0000")),
        "approval-required" => spec["limits"] = json!({"additions": 1}),
        "source-not-ready" => {
            spec["membersFrom"] = json!([{"configMapKeyRef": {"name": "missing", "key": "members.txt"}}]);
        }
        "invalid-member" => spec["subChannelId"] = json!("sub-0002"),
        "suspended-from-the-start" => spec["suspend"] = json!(true),
        "observed" | "observed-incomplete" => spec["mode"] = json!("Observe"),
        "deleted" => {
            spec["prune"] = json!("Owned");
            spec["deletionPolicy"] = json!("Delete");
        }
        _ => {}
    }
    spec
}

/// Returns one channel for each resource, most of them empty.
fn channels() -> Seed {
    let names = AT_ONCE.iter().map(|(name, _)| *name).filter(|name| *name != "channel-not-accessible");
    let names = names.chain(LATER).chain(["suspended-while-stalled", "mended-unseen"]);
    names.fold(seed(3), |seed, name| {
        seed.channel(match name {
            "observed" => ChannelSeed::new(name).members(PEOPLE),
            _ => ChannelSeed::new(name),
        })
    })
}

/// Returns every stage with an object at that stage.
pub async fn stages() -> Vec<(&'static str, ChannelMembership)> {
    let (rate_limited, mut stages) = tokio::join!(rate_limited(), under_way());
    stages.push(("rate-limited", rate_limited));
    stages
}

/// Returns a resource that waits for a call permit, which the operator gives out every 1,000
/// seconds.
async fn rate_limited() -> ChannelMembership {
    let stage = Stage::open(seed(3).channel(ChannelSeed::new("rate-limited"))).await;
    stage.apply("rate-limited", spec("rate-limited", &PEOPLE)).await;
    let operator = stage.bare_operator(&[&format!("--chime-bearer={BEARER}"), "--bearer-rate=0.001"]);
    let told = stage.until_reason("rate-limited", "RateLimited").await;
    operator.kill().await.unwrap();
    told
}

async fn under_way() -> Vec<(&'static str, ChannelMembership)> {
    let stage = Stage::open(channels()).await;
    let strike =
        |effect, name: &str| stage.simulator.inject_fault(Fault::new(effect).on(BATCH).channel(&channel(name)));
    strike(FaultEffect::latency(LONG), "adding");
    strike(FaultEffect::members("Throttled", [user("m0001")]), "retrying");
    strike(FaultEffect::error(403, "AccessDeniedException"), "access-denied");
    let names = AT_ONCE.iter().map(|(name, _)| *name).chain(LATER);
    for name in names.chain(["suspended-while-stalled", "mended-unseen"]) {
        stage.apply(name, manifest(name)).await;
    }
    let operator = stage.operator(&[]);

    let mut stages = Vec::new();
    for (name, reason) in AT_ONCE {
        stages.push((name, stage.until_reason(name, reason).await));
    }
    for name in LATER {
        stage.until_reason(name, "AllPresent").await;
    }
    for name in ["suspended-while-stalled", "mended-unseen"] {
        stage.until_reason(name, "MembersRefused").await;
    }

    let suspend = json!({"spec": {"suspend": true}});
    for name in ["suspended", "suspended-while-stalled", "resumed-unseen"] {
        stage.patch(name, suspend.clone()).await;
    }
    let fewer = json!({"spec": {"members": &PEOPLE[..2]}});
    stage.patch("removing", fewer.clone()).await;
    stages.push(("removing", stage.until_reason("removing", "Removing").await));
    until_younger_than(&stage, "ownership-conflict-owner").await;
    stage.apply("ownership-conflict", rival()).await;
    for (name, reason) in [
        ("suspended", "Suspended"),
        ("suspended-while-stalled", "Suspended"),
        ("ownership-conflict", "OwnershipConflict"),
    ] {
        stages.push((name, stage.until_reason(name, reason).await));
    }
    stage.until_reason("resumed-unseen", "Suspended").await;

    // No operator runs from here on.
    operator.kill().await.unwrap();
    stage.patch("suspension-unseen", suspend).await;
    stage.patch("resumed-unseen", json!({"spec": {"suspend": false}})).await;
    for name in ["edited", "mended-unseen"] {
        stage.patch(name, fewer.clone()).await;
    }
    stage.resources.delete("deleted", &DeleteParams::default()).await.unwrap();
    stage.apply("just-applied", spec("just-applied", &PEOPLE)).await;
    for name in ["suspension-unseen", "resumed-unseen", "edited", "mended-unseen", "deleted", "just-applied"] {
        stages.push((name, stage.get(name).await));
    }
    stages
}

/// Waits until new objects are younger: of two objects of the same second, either may be the older.
async fn until_younger_than(stage: &Stage, name: &str) {
    let made = stage.get(name).await.metadata.creation_timestamp.unwrap().0;
    eventually("a second later", async || (Timestamp::now().as_second() > made.as_second()).then_some(())).await;
}

/// Returns a spec that declares one of the other's members as hidden.
fn rival() -> Value {
    let mut rival = spec("ownership-conflict-owner", &PEOPLE[..1]);
    rival["type"] = json!("HIDDEN");
    rival
}
