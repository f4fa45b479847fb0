//! The manifests of a channel declare it as it is, and nothing else.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::naming::Naming;
use super::*;
use crate::api::MembershipType::{Default as Visible, Hidden};
use crate::api::{ChannelMembership, DeletionPolicy, Mode, Prune};
use crate::membership::desired::DesiredMembers;
use crate::membership::member_set::NameSet;

const INSTANCE: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/1f";

fn live<T: AsRef<str>>(id: &str, visible: &[T], hidden: &[T]) -> LiveChannel {
    let channel = ChannelArn::parse(&format!("{INSTANCE}/channel/{id}")).unwrap();
    let people = |names: &[T]| {
        let person = |name: &T| ListedMember { arn: format!("{INSTANCE}/{}", name.as_ref()), name: None };
        names.iter().map(person).collect()
    };
    LiveChannel {
        channel,
        title: None,
        elastic: false,
        members: vec![(Visible, people(visible)), (Hidden, people(hidden))],
    }
}

fn text(live: &LiveChannel, style: &Style) -> String {
    let name = Naming::of(std::slice::from_ref(&live.channel)).name(&live.channel);
    manifests(live, &name, style).unwrap()
}

fn read(text: &str) -> Vec<ChannelMembership> {
    serde_yaml::from_multiple(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn name_of(object: &ChannelMembership) -> &str {
    object.metadata.name.as_deref().unwrap()
}

fn members(object: &ChannelMembership) -> Vec<&str> {
    object.spec.members.as_ref().unwrap().iter().collect()
}

#[test]
fn channel_is_written_as_a_plain_manifest() {
    let mut live = live("support", &["user/alice", "user/bob", "bot/helper"], &["user/auditor"]);
    live.title = Some("Customer support".to_owned());
    live.members[0].1[0].name = Some("Alice Adams".to_owned());
    let style = Style { namespace: Some("care".to_owned()), names: true, observe: true, ..Style::default() };
    insta::assert_snapshot!(text(&live, &style), @r"
    ---
    # Channel support, Customer support: 3 members of type DEFAULT.
    # Applied as it is (kubectl apply --server-side), it adds no member and removes no member.
    # A member taken off the list stays in the channel, unless prune: Declared is written below.
    apiVersion: rollcall.dev/v1alpha1
    kind: ChannelMembership
    metadata:
      name: support
      namespace: care
    spec:
      channelArn: arn:aws:chime:us-east-1:123456789012:app-instance/1f/channel/support
      type: DEFAULT
      mode: Observe
      members:
        - alice # Alice Adams
        - bob
        - bot/helper
    ---
    # Channel support, Customer support: 1 member of type HIDDEN.
    # Applied as it is (kubectl apply --server-side), it adds no member and removes no member.
    # A member taken off the list stays in the channel, unless prune: Declared is written below.
    apiVersion: rollcall.dev/v1alpha1
    kind: ChannelMembership
    metadata:
      name: support.hidden
      namespace: care
    spec:
      channelArn: arn:aws:chime:us-east-1:123456789012:app-instance/1f/channel/support
      type: HIDDEN
      mode: Observe
      members:
        - auditor
    ");
}

#[test]
fn channel_without_members_has_a_manifest() {
    let objects = read(&text(&live::<&str>("lobby", &[], &[]), &Style::default()));
    assert_eq!((objects.len(), objects[0].spec.membership_type), (1, Visible));
    assert_eq!(members(&objects[0]), [""; 0]);
    let hidden_only = read(&text(&live("lobby", &[], &["user/auditor"]), &Style::default()));
    assert_eq!((hidden_only.len(), hidden_only[0].spec.membership_type), (1, Hidden));
    assert_eq!(name_of(&hidden_only[0]), "lobby.hidden");
}

#[test]
fn exported_manifest_removes_no_member() {
    for object in read(&text(&live("support", &["user/alice"], &["user/bob"]), &Style::default())) {
        assert_eq!((object.spec.prune, object.spec.deletion_policy), (Prune::Never, DeletionPolicy::Retain));
        assert_eq!((object.spec.mode, object.spec.chime_bearer), (Mode::Enforce, None));
    }
}

#[test]
fn id_that_yaml_would_read_as_another_value_stays_an_id() {
    let ids = [
        "012",
        "1e3",
        "0x1F",
        "0o17",
        "0b11",
        "1_000",
        "1.5",
        "12:30",
        "12:30:45",
        "2026-11-23",
        "2026-11-23T10:00:00",
        "yes",
        "No",
        "on",
        "off",
        "y",
        "n",
        "true",
        "FALSE",
        "null",
        "Null",
        "nan",
        "inf",
        "a:b",
        "a@b.c",
        "arn:x",
        "user",
        "bot",
        "1e999",
        "0e0",
        "9.9.9",
        "1__2",
    ];
    let names: Vec<String> = ids.iter().flat_map(|id| [format!("user/{id}"), format!("bot/{id}")]).collect();
    let objects = read(&text(&live("12:30", &names, &[]), &Style::default()));
    let channel = ChannelArn::parse(&objects[0].spec.channel_arn).unwrap();
    let declared: BTreeSet<String> =
        members(&objects[0]).iter().map(|it| channel.name(it).unwrap().into_owned()).collect();
    assert_eq!(declared, names.into_iter().collect());
}

#[test]
fn undeclarable_member_is_in_a_comment_with_the_reason() {
    let mut live = live("support", &["user/alice", "admin/x"], &[]);
    let elsewhere = "arn:aws:chime:us-east-1:123456789012:app-instance/2e/user/bob";
    live.members[0].1.push(ListedMember { arn: elsewhere.to_owned(), name: None });
    let text = text(&live, &Style::default());
    assert!(text.contains(&format!("\n    # {elsewhere}: of another app instance")), "{text}");
    assert!(text.contains(&format!("\n    # {INSTANCE}/admin/x: no ARN of a user or bot\n")), "{text}");
    assert_eq!(members(&read(&text)[0]), ["alice"]);
    live.members[0].1.remove(0);
    assert_eq!(members(&read(&self::text(&live, &Style::default()))[0]), [""; 0]);
}

#[test]
fn members_over_the_limit_of_one_resource_are_split() {
    let names: Vec<String> = (0..20_001).map(|n| format!("user/u{n:05}")).collect();
    let text = text(&live("townhall", &names, &[]), &Style::default());
    let objects = read(&text);
    let shape: Vec<_> = objects.iter().map(|object| (name_of(object), members(object).len())).collect();
    assert_eq!(shape, [("townhall", MAX_MEMBERS), ("townhall.2", MAX_MEMBERS), ("townhall.3", 1)]);
    assert!(text.contains("20001 members of type DEFAULT, part 2 of 3."));
    let small = Style { max_members: 7, ..Style::default() };
    let few = live("townhall", &names[..15], &[]);
    assert_eq!(read(&self::text(&few, &small)).len(), 3);
}

#[test]
fn manifest_too_large_for_client_side_apply_has_a_warning() {
    let long: Vec<String> = (0..5_000).map(|n| format!("user/{n:064}")).collect();
    for (members, large) in [(&long[..], true), (&long[..2_000], false)] {
        let text = text(&live("townhall", members, &[]), &Style::default());
        assert_eq!(text.contains("Too large for kubectl's client-side apply"), large);
    }
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9]([A-Za-z0-9:_.@-]{0,62}[A-Za-z0-9])?",
        "[0-9]{1,4}[-:.e_][0-9]{1,3}",
        prop::sample::select(vec!["yes", "null", "1e3", "012", "arn:aws:chime:x", "~x"])
            .prop_map(|id| id.trim_start_matches('~').to_owned()),
    ]
}

fn people() -> impl Strategy<Value = BTreeSet<String>> {
    prop::collection::btree_set(
        (prop::bool::ANY, id()).prop_map(|(bot, id)| format!("{}/{id}", if bot { "bot" } else { "user" })),
        0..30,
    )
}

proptest! {
    /// This test compares the sets that the operator compares.
    #[test]
    fn declared_members_are_the_present_members(
        id in id(), visible in people(), hidden in people(), max_members in 1_usize..12, called in ".{0,20}", observe: bool,
    ) {
        let (visible, hidden): (Vec<_>, Vec<_>) = (visible.into_iter().collect(), hidden.into_iter().collect());
        let mut live = live(&id, &visible, &hidden);
        for (_, people) in &mut live.members {
            for person in people {
                person.name = Some(called.clone());
            }
        }
        live.title = Some(called);
        let style = Style { names: true, observe, max_members, namespace: None };
        let written = text(&live, &style);
        prop_assert_eq!(&written, &text(&live, &style));
        let objects = read(&written);
        let names: BTreeSet<&str> = objects.iter().map(name_of).collect();
        prop_assert_eq!(names.len(), objects.len());
        for (kind, there) in [(Visible, &visible), (Hidden, &hidden)] {
            let of_type = objects.iter().filter(|object| object.spec.membership_type == kind);
            let mut declared = NameSet::default();
            for object in of_type {
                prop_assert_eq!(&object.spec.channel_arn, live.channel.as_str());
                let desired = DesiredMembers::parse(&live.channel, members(object).into_iter()).unwrap();
                let present: NameSet = there.iter().map(String::as_str).collect();
                prop_assert!(desired.names().iter().all(|name| present.contains(name)), "nothing is added");
                declared.extend(desired.names().iter());
            }
            prop_assert_eq!(declared.iter().collect::<Vec<_>>(), there.iter().collect::<Vec<_>>());
        }
    }
}
