//! Members that other resources declare, over edits and deletions.

use std::sync::Arc;

use jiff::Timestamp;

use super::super::arn::ChannelArn;
use super::super::declarers::Declarer;
use super::super::desired::DesiredMembers;
use super::*;

const DEFAULT: MembershipType = MembershipType::Default;

fn declarers(resources: &[(&str, &[&str])]) -> Declarers {
    let channel = ChannelArn::parse("arn:aws:chime:us-east-1:1:app-instance/i/channel/c").unwrap();
    let declarer = |(uid, names): &(&str, &[&str])| {
        Arc::new(Declarer {
            resource: (*uid).into(),
            uid: (*uid).into(),
            created: Timestamp::UNIX_EPOCH,
            membership_type: DEFAULT,
            desired: Arc::new(DesiredMembers::parse(&channel, names.iter().copied()).unwrap()),
            authoritative: false,
            bearer: None,
            unknown: None,
        })
    };
    resources.iter().map(declarer).collect()
}

fn of(before: &[&str], previous: &[(&str, &[&str])], now: &[(&str, &[&str])]) -> (bool, bool) {
    let before = before.iter().copied().collect();
    let others = DeclaredByOthers::sort(["user/x"], DEFAULT, &before, &declarers(previous), &declarers(now));
    (others.names.contains("user/x"), others.orphans.contains("user/x"))
}

#[test]
fn member_declared_by_another_is_recorded() {
    assert_eq!(of(&[], &[], &[("b", &["x"])]), (true, false));
}

#[test]
fn edit_of_the_other_resource_releases_the_member() {
    assert_eq!(of(&["user/x"], &[("b", &["x"])], &[("b", &["y"])]), (false, false));
}

#[test]
fn deletion_of_the_other_resource_orphans_the_member() {
    assert_eq!(of(&[], &[("b", &["x"])], &[]), (true, true));
    assert_eq!(of(&["user/x"], &[], &[("c", &["y"])]), (true, true));
    assert_eq!(of(&[], &[("b", &["x"]), ("c", &["x"])], &[("c", &[])]), (true, true), "one of two is gone");
}

#[test]
fn member_declared_by_no_other_is_no_orphan() {
    assert_eq!(of(&[], &[("b", &["y"])], &[]), (false, false));
}
