use serde_json::json;

use super::row::Row;
use super::table::render_page;
use crate::cli::shared::resources::Entry;

const NOW: &str = "2026-11-23T12:00:00Z";

fn row(name: &str, channel: &str, status: &serde_json::Value) -> Row {
    let entry: Entry = serde_json::from_str(
        &json!({
            "metadata": {"name": name, "namespace": "care", "generation": 3},
            "spec": {"channelArn": format!("arn:aws:chime:us-east-1:1:app-instance/i/channel/{channel}")},
            "status": status,
        })
        .to_string(),
    )
    .unwrap();
    Row::of(&entry)
}

fn status(reason: &str, ready: &str, stalled: &str, message: &str, counts: [u32; 4]) -> serde_json::Value {
    let [desired, present, pending, failed] = counts;
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": NOW});
    let reconciling = if ready == "False" && stalled == "False" { "True" } else { "False" };
    json!({"observedGeneration": 3, "desired": desired, "present": present, "pending": pending, "failed": failed,
        "lastListed": "2026-11-23T11:57:00Z",
        "conditions": [condition("Ready", ready), condition("Reconciling", reconciling), condition("Stalled", stalled)]})
}

fn shown(rows: &[Row]) -> String {
    render_page(rows, true, NOW.parse().unwrap(), false)
}

#[test]
fn table_shows_counts_and_next_steps() {
    let refused =
        "117 of 120 present, 3 refused (Forbidden ×3): see status.errors; Forbidden: check that the user exists";
    let mut pending = status("ApprovalRequired", "False", "True", "12 removals wait for approval", [88, 88, 0, 0]);
    pending["pendingApproval"] = json!({"additions": 0, "removals": 12, "hash": "5c1e", "members": []});
    let mut old = status("AllPresent", "True", "False", "10 of 10 present", [10, 10, 0, 0]);
    old["observedGeneration"] = json!(2);
    let rows = [
        row("support", "support", &status("AllPresent", "True", "False", "12000 of 12000", [12_000, 12_000, 0, 0])),
        row("billing", "billing", &status("MembersRefused", "False", "True", refused, [120, 117, 0, 3])),
        row("billing-2", "billing", &status("MembersRefused", "False", "True", refused, [120, 117, 0, 3])),
        row("sales", "sales", &pending),
        row(
            "growing",
            "growing",
            &status("Adding", "False", "False", "3,000 of 10,000 present", [10_000, 3_000, 7_000, 0]),
        ),
        row("edited", "edited", &old),
        row("new", "us-east-1:6d1c6f2e-1b1c-4d6c-9f7b-3a1f0d9b2c11", &json!({"observedGeneration": -1})),
    ];
    insta::assert_snapshot!(shown(&rows), @"
RESOURCE    CHANNEL    READY    REASON                  PRESENT  PENDING  FAILED  APPROVAL  LISTED
care/suppo  support    True     AllPresent        12,000/12,000        0       0         -  3m
rt
care/billi  billing    False    MembersRefused          117/120        0       3         -  3m
ng
care/billi  billing    False    MembersRefused          117/120        0       3         -  3m
ng-2
care/sales  sales      False    ApprovalRequired          88/88        0       0        12  3m
care/growi  growing    False    Adding             3,000/10,000    7,000       0         -  3m
ng
care/edite  edited     Unknown  AllPresent                10/10        0       0         -  3m
d
care/new    us-east-1  Unknown  -                           -/-        -       -         -  -
            :6d1c6f2e
            -1b1c-4d6
            c-9f7b-3a
            1f0d9b2c1
            1

care/billing and 1 more: MembersRefused: 117 of 120 present, 3 refused (Forbidden ×3): see status.errors; Forbidden: check that the user exists
care/sales: ApprovalRequired: 12 removals wait for approval
care/growing: Adding: 3,000 of 10,000 present
care/edited: the operator has not reconciled the newest spec yet (generation 3); before: 10 of 10 present
care/new: no status: does the operator run, and does it watch this namespace?

7 resources: 1 ready, 1 in progress, 3 stalled, 2 other; 15,332 of 22,338 declared members present, 6 failed, 12 additions and removals pending approval
");
    assert!(shown(&rows).lines().take(18).all(|line| line.chars().count() <= 100));
}

#[test]
fn only_the_ready_column_is_coloured() {
    let rows = [row("false", "true", &status("AllPresent", "True", "False", "1 of 1 present", [1, 1, 0, 0]))];
    let plain = render_page(&rows, true, NOW.parse().unwrap(), false);
    let colourful = render_page(&rows, true, NOW.parse().unwrap(), true);
    assert!(!plain.contains('\x1b'));
    assert_eq!(colourful.matches("\x1b[32mTrue\x1b[0m").count(), 1);
    assert_eq!(colourful.replace("\x1b[32m", "").replace("\x1b[0m", ""), plain);
}

#[test]
fn changed_row_is_one_line() {
    let it = row("support", "support", &status("Adding", "False", "False", "3 of 5 present", [5, 3, 2, 0]));
    insta::assert_snapshot!(it.line(), @"care/support  False  Adding  3/5 present, 2 pending, 0 failed; Adding: 3 of 5 present");
}
