#![expect(clippy::needless_pass_by_value, reason = "a test reads better where values are made in place")]

use serde_json::{Value, json};

use super::*;
use crate::api::{KeepReason, MembershipType};
use crate::cli::shared::resources::Entry;
use crate::engine::resource::Source;

const NOW: &str = "2026-11-23T12:00:00Z";
const INSTANCE: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/1f";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// Returns a resource of the channel `support`, which the operator has reconciled.
fn known(name: &str, spec: Value, status: Value, texts: &[&str]) -> KnownResource {
    let mut whole = json!({"channelArn": format!("{INSTANCE}/channel/support")});
    for (key, value) in spec.as_object().unwrap() {
        whole[key] = value.clone();
    }
    let mut sources = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let reference = json!({"name": "on-call", "key": format!("key-{index}")});
        let reference = serde_json::from_value(reference).unwrap();
        sources.push(Source { reference, version: None, text: SourceText::Read((*text).to_owned()) });
    }
    let entry: Entry = serde_json::from_str(
        &json!({
            "metadata": {"name": name, "namespace": "care", "generation": 2, "managedFields": [
                {"manager": "rollcall", "subresource": "status", "time": "2026-11-23T11:59:20Z"},
                {"manager": "kubectl", "time": "2026-11-23T11:59:50Z"}]},
            "spec": whole,
            "status": status,
        })
        .to_string(),
    )
    .unwrap();
    KnownResource { entry, sources }
}

fn all_present(count: u32) -> Value {
    json!({"observedGeneration": 2, "desired": count, "present": count, "pending": 0, "failed": 0,
        "lastListed": "2026-11-23T11:58:00Z", "bearer": format!("{INSTANCE}/user/rollcall")})
}

fn with(mut status: Value, more: Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        status[key] = value.clone();
    }
    status
}

fn of(all: &[KnownResource], user: &str) -> Vec<Place> {
    find_places(all, user, now(), |_| false).unwrap()
}

/// Returns the findings of one resource about alice.
fn findings(spec: Value, status: Value) -> Vec<Finding> {
    let places = of(&[known("support", spec, status, &[])], "alice");
    places.into_iter().flat_map(|place| place.resources).flat_map(|it| it.findings).collect()
}

fn kinds(findings: &[Finding]) -> Vec<String> {
    let kind = |it: &Finding| serde_json::to_value(it).unwrap()["is"].as_str().unwrap().to_owned();
    findings.iter().map(kind).collect()
}

#[test]
fn declaration_is_found_with_its_line_in_every_spelling() {
    let full = format!("{INSTANCE}/user/alice");
    let team =
        known("team", json!({"members": ["bob", full]}), all_present(3), &["# a\n\nalice\n", "- bob\n- user/alice"]);
    let other = known("other", json!({"members": ["Alice"]}), all_present(1), &[]);
    for user in ["alice", "user/alice", &full] {
        let places = of(&[team.clone(), other.clone()], user);
        assert_eq!(places.len(), 1);
        let text = describe_place(&places[0], &[team.clone(), other.clone()], now()).join("\n");
        insta::allow_duplicates!(insta::assert_snapshot!(text, @"
alice in channel support (arn:aws:chime:us-east-1:123456789012:app-instance/1f/channel/support)
  care/team (DEFAULT, prune: Never), by its status of 2026-11-23T11:59:20Z, 40s ago
    declared in spec.members[1], written arn:aws:chime:us-east-1:123456789012:app-instance/1f/user/alice
    declared in ConfigMap care/on-call, key key-0, line 3
    declared in ConfigMap care/on-call, key key-1, line 2
    present: declared, neither refused nor pending
  1 other resource does not mention the member: care/other
"));
    }
    assert!(of(&[team], "arn:aws:chime:us-east-1:1:app-instance/other/user/alice").is_empty(), "another app instance");
    assert!(find_places(&[other], "no such id", now(), |_| false).is_err());
}

#[test]
fn member_is_present_only_if_the_status_proves_it() {
    let alice = || json!({"members": ["alice", "bob"]});
    let says = |status: Value| kinds(&findings(alice(), status));
    assert_eq!(says(all_present(2)), ["present"]);
    assert_eq!(says(json!(null)), ["noStatus"]);
    assert_eq!(says(json!({"observedGeneration": -1})), ["specNotSeen"]);
    assert_eq!(says(with(all_present(2), json!({"observedGeneration": 1}))), ["specNotSeen"]);
    assert_eq!(says(with(all_present(2), json!({"present": 1, "pending": 1}))), ["pending"]);
    assert_eq!(says(with(all_present(2), json!({"present": 0, "pending": 2}))), ["awaited"]);
    assert_eq!(says(with(all_present(2), json!({"errorsOmitted": 3}))), ["pastTheList"]);
    let pending = json!({"additions": 1, "removals": 0, "hash": "5c1e", "members": ["+alice"]});
    assert_eq!(
        says(with(all_present(2), json!({"present": 1, "pending": 1, "pendingApproval": pending}))),
        ["additionPendingApproval"]
    );
    let pending = json!({"additions": 1, "removals": 0, "hash": "5c1e", "members": ["+bob"]});
    assert_eq!(
        says(with(all_present(2), json!({"present": 1, "pending": 1, "pendingApproval": pending}))),
        ["present"]
    );
    let blocked = json!([{"type": "Ready", "status": "False", "reason": "AccessDenied", "message": "no",
        "lastTransitionTime": NOW}]);
    assert_eq!(says(json!({"observedGeneration": 2, "conditions": blocked})), ["channelNotSeen"]);
}

#[test]
fn error_is_described_with_advice_and_next_attempt() {
    let error = |code: &str, attempts: u32, next: Value| {
        let error = json!({"memberArn": format!("{INSTANCE}/user/alice"), "errorCode": code, "errorMessage": "No.",
            "attempts": attempts, "firstSeen": "2026-11-23T10:00:00Z", "nextAttempt": next});
        let status = with(all_present(2), json!({"present": 1, "failed": 1, "errors": [error]}));
        findings(json!({"members": ["alice", "bob"]}), status)[0].describe("care/support", now())
    };
    insta::assert_snapshot!(error("Forbidden", 3, json!("2026-11-23T12:30:00Z")), @"refused: Forbidden: No.; check that the user exists in the app instance and is not banned from the channel, tried 3 times since 2026-11-23T10:00:00Z, 2h ago; next attempt not before 2026-11-23T12:30:00Z, in 30m");
    insta::assert_snapshot!(error("Throttled", 1, json!("2026-11-23T11:59:59Z")), @"not present yet: Throttled: No.; a temporary error, tried once; due since 2026-11-23T11:59:59Z, 1s ago");
    insta::assert_snapshot!(error("Contested", 0, json!(null)), @"refused: Contested: No.; another program removes this member again and again: find that program, or take the name out; to keep a user out, ban the user; not retried automatically");
}

#[test]
fn formerly_declared_member_gets_a_finding_for_its_state() {
    let says = |spec: Value, status: Value| kinds(&findings(spec, with(all_present(1), status)));
    let owned = || json!({"members": ["bob"], "prune": "Owned"});
    assert!(says(owned(), json!({})).is_empty());
    assert_eq!(says(owned(), json!({"lastDeclared": ["alice", "bob"]})), ["claimed"]);
    assert_eq!(
        says(owned(), json!({"lastDeclared": ["alice"], "declaredElsewhere": ["alice"]})),
        ["declaredElsewhere"]
    );
    assert_eq!(says(owned(), json!({"lastDeclared": ["alice"], "removing": ["alice"]})), ["removing"]);
    let pending = |approved: bool| json!({"pendingApproval": {"additions": 0, "removals": 1, "hash": "5c1e", "members": ["-alice"], "approved": approved}});
    assert_eq!(says(owned(), pending(false)), ["removalPendingApproval"]);
    assert_eq!(says(owned(), pending(true)), ["removalApproved"]);
    let sample = json!([{"memberArn": format!("{INSTANCE}/user/alice"), "reason": "NotOwned"}]);
    let undeclared = json!({"undeclared": {"count": 1, "sample": sample}});
    assert_eq!(says(json!({"members": []}), undeclared.clone()), ["undeclared"]);
    assert_eq!(says(json!({"members": [], "suspend": true}), undeclared.clone()), ["undeclared", "suspended"]);
    assert_eq!(says(json!({"members": [], "mode": "Observe"}), undeclared), ["undeclared", "observe"]);
}

#[test]
fn expired_suspended_or_unreadable_resource_gets_a_finding() {
    let says = |spec: Value| kinds(&findings(spec, all_present(1)));
    assert_eq!(says(json!({"members": ["alice"], "expiresAt": "2026-11-23T11:00:00Z"})), ["expired"]);
    assert_eq!(says(json!({"members": ["alice"], "expiresAt": "2026-11-23T13:00:00Z"})), ["present"]);
    assert_eq!(says(json!({"members": ["alice"], "suspend": true})), ["present", "suspended"]);
    assert_eq!(says(json!({"members": ["bob"], "later": ["alice"]})), ["unreadable"], "they may be declared there");
    let mut absent = known("support", json!({"members": []}), all_present(0), &[""]);
    absent.sources[0].text = SourceText::Absent("ConfigMap on-call is not there".to_owned());
    assert_eq!(kinds(&of(&[absent], "alice")[0].resources[0].findings), ["unreadable"]);
}

#[test]
fn obstacle_names_the_change_that_removes_it() {
    let live = |invited_by: &str, creator: bool, moderator: bool| {
        let invited_by = Some(format!("{INSTANCE}/user/{invited_by}"));
        Live::In { membership_type: Some(MembershipType::Default), invited_by, since: None, creator, moderator }
    };
    let keeps = |spec: Value, status: Value, texts: &[&str], live: Live| -> Vec<String> {
        let known = [known("support", spec, with(all_present(1), status), texts)];
        let mut place = find_places(&known, "alice", now(), |_| true).unwrap().remove(0);
        place.live = Some(live);
        place.obstacles().iter().map(ToString::to_string).collect()
    };
    let by_us = || live("rollcall", false, false);
    let claimed = || json!({"lastDeclared": ["alice"]});
    let told = [
        keeps(json!({"members": ["alice"]}), json!({}), &["bob\nalice"], by_us()),
        keeps(json!({"members": [], "prune": "Owned"}), claimed(), &[], by_us()),
        keeps(json!({"members": [], "prune": "Owned"}), claimed(), &[], live("erin", false, false)),
        keeps(json!({"members": [], "prune": "Declared"}), claimed(), &[], live("erin", true, true)),
        keeps(json!({"members": [], "suspend": true, "prune": "Owned"}), claimed(), &[], by_us()),
        keeps(json!({"members": []}), json!({}), &[], by_us()),
        keeps(json!({"members": ["alice"]}), json!({}), &[], Live::Out),
    ];
    insta::assert_snapshot!(told.map(|it| it.join("\n")).join("\n--\n"), @"
care/support declares the member: delete it from spec.members[0], written alice
care/support declares the member: delete it from ConfigMap care/on-call, key key-0, line 2
--
care/support is about to remove the member: check again in a minute
--
arn:aws:chime:us-east-1:123456789012:app-instance/1f/user/erin added the member, and care/support removes only members that Rollcall added (prune: Owned): remove the member in the service, or set prune: Declared
--
the member created the channel, and a creator is never removed: remove the member in the service
the member is a moderator of the channel, and moderators are never removed: revoke that role in the service
--
care/support is suspended: rollcall resume care/support
--
no resource has declared the member, so none removes it: remove the member in the service, or declare it once in a resource with prune: Declared, wait for Ready, and delete it from the list again
--
care/support declares the member: delete it from spec.members[0], written alice
");
    let nobody = Place {
        channel: format!("{INSTANCE}/channel/other"),
        member: format!("{INSTANCE}/user/alice"),
        live: Some(by_us()),
        resources: Vec::new(),
        silent: 0,
    };
    assert_eq!(nobody.obstacles(), [RemovalObstacle::NoResource]);
}

#[test]
fn every_keep_reason_has_its_own_description() {
    let all = [
        KeepReason::NotOwned,
        KeepReason::Bearer,
        KeepReason::Moderator,
        KeepReason::Creator,
        KeepReason::Bot,
        KeepReason::JoinedLately,
        KeepReason::AwaitingApproval,
        KeepReason::Waiting,
        KeepReason::Refused,
    ];
    let words: std::collections::BTreeSet<String> = all.iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), all.len());
}
