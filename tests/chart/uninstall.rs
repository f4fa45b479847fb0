//! An uninstall leaves nothing behind and removes no member.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rollcall::api::{FINALIZER, MembershipType};
use rollcall::simulator::{ApiOperation, ChannelSeed, Seed};
use serde_json::{Value, json};

use crate::release::{INSTANCE, Release, eventually};

const RESOURCES: usize = 500;

fn channel(number: usize) -> String {
    format!("{INSTANCE}/channel/c{number:03}")
}

/// Returns a resource with one of the seven combinations of policies in turn. A part of them has a
/// finalizer.
fn resource(number: usize) -> Value {
    let (prune, deletion) = [
        ("Never", "Retain"),
        ("Owned", "Retain"),
        ("Owned", "Delete"),
        ("Declared", "Retain"),
        ("Declared", "Delete"),
        ("Authoritative", "Retain"),
        ("Authoritative", "Delete"),
    ][number % 7];
    json!({
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "ChannelMembership",
        "metadata": {"name": format!("c{number:03}"), "namespace": if number.is_multiple_of(2) { "care" } else { "sales" }},
        "spec": {"channelArn": channel(number), "members": ["bob", "carol"], "prune": prune, "deletionPolicy": deletion},
    })
}

fn members(release: &Release) -> BTreeMap<usize, BTreeSet<String>> {
    (0..RESOURCES)
        .map(|number| (number, release.service.list_members(&channel(number), MembershipType::Default)))
        .collect()
}

fn removals(release: &Release) -> u64 {
    release.service.call_counts().get(&ApiOperation::DeleteChannelMembership).copied().unwrap_or_default()
}

#[tokio::test]
async fn uninstall_keeps_the_members_of_500_channels_and_nothing_is_stuck() {
    let mut seed = Seed::new(INSTANCE).users(["alice", "bob", "carol", "rollcall"]).admins(["rollcall"]);
    for number in 0..RESOURCES {
        seed = seed.channel(ChannelSeed::new(&format!("c{number:03}")).members(["alice"]));
    }
    let unpaced = json!({"allowAuthoritative": true, "bearerRate": 0, "channelBatchRate": 0, "channelListRate": 0});
    let release = Release::install(seed, &["care", "sales"], unpaced).await;
    let all: Vec<Value> = (0..RESOURCES).map(resource).collect();
    release.apply(&json!({"apiVersion": "v1", "kind": "List", "items": all})).await;

    let story = async {
        let ready = ["wait", "chm", "--all", "--all-namespaces", "--for=jsonpath={.status.present}=2", "--timeout=15m"];
        release.kubectl(&ready).await;
        assert!(finalizers(&release).await > 150);
        let before = members(&release);

        let uninstalled = release.helm(&["uninstall", "rollcall", "--timeout=15m"]).await;
        assert!(uninstalled.success, "{}\n{}", uninstalled.stderr, release.log());

        assert_eq!(finalizers(&release).await, 0, "{}", release.log());
        assert_eq!(members(&release), before);
        let left = release
            .get(&["all,roles,clusterroles,configmaps", "-A", "--selector=app.kubernetes.io/instance=rollcall"])
            .await;
        assert_eq!(left["items"], json!([]));
        let kept = release.get(&["chm", "--all-namespaces"]).await;
        assert_eq!(kept["items"].as_array().unwrap().len(), RESOURCES);
        // All resources go with the CRD, and the API server waits for their finalizers.
        release.kubectl(&["delete", "crd", "channelmemberships.rollcall.dev", "--timeout=15m"]).await;
        assert_eq!(members(&release), before);
        assert_eq!(removals(&release), 0);
    };
    tokio::select! {
        () = release.node() => unreachable!("a node runs for ever"),
        () = story => {}
    }
}

async fn finalizers(release: &Release) -> usize {
    let all = release.get(&["chm", "--all-namespaces"]).await;
    let finalizers =
        all["items"].as_array().unwrap().iter().filter_map(|it| it["metadata"]["finalizers"].as_array().cloned());
    finalizers.flatten().filter(|it| it == FINALIZER).count()
}

#[tokio::test]
async fn the_release_hook_needs_all_of_its_rights_and_no_others() {
    let seed = Seed::new(INSTANCE).users(["alice", "rollcall"]).admins(["rollcall"]).channel(ChannelSeed::new("c002"));
    let release = Release::install(seed, &["care", "sales"], json!({"watchNamespaces": ["care"]})).await;
    let mut finalized = resource(2);
    finalized["metadata"]["finalizers"] = json!([FINALIZER]);
    release.apply(&finalized).await;
    finalized["metadata"]["namespace"] = json!("sales");
    release.apply(&finalized).await;

    // Hook objects exist only for a moment, so their rights are read before the Job ends.
    let uninstall = release.helm(&["uninstall", "rollcall", "--timeout=15m"]);
    let watch = async {
        let job = ["get", "job", "rollcall-release", "--namespace=rollcall", "--ignore-not-found", "--output=name"];
        assert!(eventually(async || !release.kubectl(&job).await.is_empty()).await);
        let granted = release.granted("release").await;
        tokio::select! {
            () = release.node() => unreachable!("a node runs for ever"),
            () = tokio::time::sleep(Duration::from_mins(15)) => panic!("the Job did not end"),
            gone = eventually(async || release.kubectl(&job).await.is_empty()) => assert!(gone),
        }
        let (used, refused) = release.used("rollcall-release");
        assert_eq!(used, granted, "left: rights used, right: rights granted");
        assert_eq!(refused, [""; 0]);
    };
    let (uninstalled, ()) = tokio::join!(uninstall, watch);
    uninstalled.expect_success();
    let finalizers = "--output=jsonpath={.metadata.finalizers}";
    assert_eq!(release.kubectl(&["get", "chm", "c002", "--namespace=care", finalizers]).await, "");
    let not_looked_at = release.kubectl(&["get", "chm", "c002", "--namespace=sales", finalizers]).await;
    assert!(not_looked_at.contains(FINALIZER), "{not_looked_at}");
}

#[tokio::test]
async fn an_upgrade_and_a_rollback_touch_no_member() {
    let seed = Seed::new(INSTANCE).users(["alice", "bob", "carol", "rollcall"]).admins(["rollcall"]);
    let seed = seed.channel(ChannelSeed::new("c002").members(["alice"]));
    let release = Release::install(seed, &["care"], json!({})).await;
    release.apply(&resource(2)).await;
    let now = || release.service.list_members(&channel(2), MembershipType::Default);
    let written = || {
        let calls = release.service.call_counts();
        let of = |operation| calls.get(&operation).copied().unwrap_or_default();
        of(ApiOperation::BatchCreateChannelMembership) + of(ApiOperation::DeleteChannelMembership)
    };
    let listed =
        || release.service.call_counts().get(&ApiOperation::ListChannelMemberships).copied().unwrap_or_default();
    let story = async {
        release.kubectl(&["wait", "chm", "c002", "--namespace=care", "--for=condition=Ready", "--timeout=15m"]).await;
        let (before, calls) = (now(), written());
        for change in ["upgrade", "rollback"] {
            let looks = listed();
            if change == "upgrade" {
                release.upgrade(json!({"quotaShare": "50%", "podLabels": {"changed": "yes"}})).await;
            } else {
                release.helm(&["rollback", "rollcall", "1"]).await.expect_success();
            }
            // The new process has listed each channel once.
            assert!(eventually(async || listed() > looks).await, "{change}: {}", release.log());
            release
                .kubectl(&["wait", "chm", "c002", "--namespace=care", "--for=condition=Ready", "--timeout=15m"])
                .await;
            assert_eq!((now(), written()), (before.clone(), calls), "{change}");
        }
    };
    tokio::select! {
        () = release.node() => unreachable!("a node runs for ever"),
        () = story => {}
    }
}
