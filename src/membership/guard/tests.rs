//! Laws of removal, for generated channels, resources and members.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::api::{ApprovalReason, Tolerance};
use crate::membership::approval::{self, ApprovalInput};
use crate::membership::declarers::Declarer;
use crate::membership::desired::DesiredMembers;

const INSTANCE: &str = "arn:aws:chime:us-east-1:1:app-instance/i";

fn channel() -> ChannelArn {
    ChannelArn::parse(&format!("{INSTANCE}/channel/c")).unwrap()
}

fn arn(name: &str) -> MemberArn {
    channel().member_named(name)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// One generated resource.
#[derive(Clone, Debug)]
struct ResourceCase {
    created: i64,
    hidden: bool,
    members: Vec<String>,
    unknown: bool,
}

#[derive(Clone, Debug)]
struct RemovalCase {
    resources: Vec<ResourceCase>,
    prune: Prune,
    owned: Vec<String>,
    live: Vec<String>,
    removing: Vec<String>,
    orphans: Vec<String>,
    counted: usize,
    limit: Tolerance,
    none_declared: bool,
    approved: Vec<String>,
    moderators: Vec<String>,
    creator: String,
    inviters: Vec<Option<bool>>,
    created: i64,
    proven_at: i64,
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => "user/[a-d]", 1 => "user/[A-D]", 1 => "bot/[a-c]"]
}

fn some_names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(name(), 0..8)
}

fn resource() -> impl Strategy<Value = ResourceCase> {
    (0..3_i64, any::<bool>(), some_names(), prop::bool::weighted(0.05))
        .prop_map(|(created, hidden, members, unknown)| ResourceCase { created, hidden, members, unknown })
}

fn removal_case() -> impl Strategy<Value = RemovalCase> {
    let prunes = vec![Prune::Never, Prune::Owned, Prune::Declared, Prune::Authoritative];
    let limits = prop_oneof![(0..8_u32).prop_map(Tolerance::Count), (0..=100_u8).prop_map(Tolerance::Percent)];
    let people = (some_names(), some_names(), some_names(), some_names(), some_names(), some_names(), name());
    let times = (0..2000_i64, 0..2000_i64);
    (
        prop::collection::vec(resource(), 0..4),
        prop::sample::select(prunes),
        people,
        (0..6_usize, limits, any::<bool>()),
        prop::collection::vec(prop::option::of(any::<bool>()), 4),
        times,
    )
        .prop_map(|(resources, prune, people, (counted, limit, none_declared), inviters, (created, proven_at))| {
            let (owned, live, removing, orphans, approved, moderators, creator) = people;
            RemovalCase {
                resources,
                prune,
                owned,
                live,
                removing,
                orphans,
                counted,
                limit,
                none_declared,
                approved,
                moderators,
                creator,
                inviters,
                created,
                proven_at,
            }
        })
}

fn set(names: &[String]) -> NameSet {
    names.iter().map(String::as_str).collect()
}

fn declarers(resources: &[ResourceCase]) -> Declarers {
    let declarer = |(index, resource): (usize, &ResourceCase)| {
        Arc::new(Declarer {
            resource: format!("n/{index}").into(),
            uid: index.to_string().into(),
            created: at(resource.created),
            membership_type: if resource.hidden { MembershipType::Hidden } else { MembershipType::Default },
            desired: Arc::new(DesiredMembers::parse(&channel(), resource.members.iter().map(String::as_str)).unwrap()),
            authoritative: false,
            bearer: None,
            unknown: resource.unknown.then(|| "unreadable".into()),
        })
    };
    resources.iter().enumerate().map(declarer).collect()
}

impl RemovalCase {
    fn propose(&self) -> Proposal {
        let owned = Ownership::new(set(&self.owned), Some(at(self.proven_at)), Vec::new());
        let (live, declarers) = (set(&self.live), declarers(&self.resources));
        Proposal::new(&RemovalInput {
            channel: &channel(),
            membership_type: MembershipType::Default,
            prune: self.prune,
            owned: &owned,
            live: &live,
            declarers: &declarers,
        })
    }

    fn protected(&self) -> Protected {
        let moderators = self.moderators.iter().map(|name| arn(name).as_str().to_owned());
        let creator = arn(&self.creator);
        Protected::new(vec![arn("user/rollcall")], [&arn("bot/bearer")], moderators, Some(creator.as_str())).unwrap()
    }

    fn removals<R>(&self, decide: impl FnOnce(&ApprovalInput<'_>) -> R) -> R {
        let (removing, orphans) = (set(&self.removing), set(&self.orphans));
        decide(&ApprovalInput {
            limit: self.limit,
            counted: self.counted.max(removing.len()),
            removing: &removing,
            others: self.live.len(),
            none_declared: self.none_declared,
            shrank: false,
            orphans: &orphans,
            deleting: false,
        })
    }

    fn admitted(&self, approved: Option<&[String]>) -> Admitted {
        let approved = approved.map(set);
        self.removals(|removals| {
            approval::admit(self.propose(), removals, approved.as_ref(), |_| true, self.protected())
        })
    }

    fn admit(&self, approved: Option<&[String]>) -> BTreeSet<String> {
        self.admitted(approved).names().iter().map(str::to_owned).collect()
    }
}

fn names(proposal: &Proposal) -> BTreeSet<String> {
    proposal.names().iter().map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn only_live_undeclared_members_of_the_mode_are_proposed(case in removal_case()) {
        let proposed = names(&case.propose());
        let declared: BTreeSet<String> = case
            .resources
            .iter()
            .filter(|resource| !resource.hidden)
            .flat_map(|resource| resource.members.iter().map(|name| name.to_ascii_lowercase()))
            .collect();
        for name in &proposed {
            prop_assert!(case.live.contains(name), "{name} is not live");
            prop_assert!(!declared.contains(&name.to_ascii_lowercase()), "{name} is declared");
            match case.prune {
                Prune::Never => prop_assert!(false, "{name} is proposed with Never"),
                Prune::Owned | Prune::Declared => prop_assert!(case.owned.contains(name)),
                Prune::Authoritative => prop_assert!(!name.starts_with("bot/") || case.owned.contains(name)),
            }
        }
        if case.resources.iter().any(|resource| resource.unknown) {
            prop_assert!(proposed.is_empty(), "the members of a resource are unknown");
        }
    }

    #[test]
    fn admitted_members_are_within_the_limit_or_approved(case in removal_case()) {
        let proposed = names(&case.propose());
        let admitted = case.admit(None);
        prop_assert!(admitted.is_subset(&proposed));
        let fresh = admitted.iter().filter(|name| !case.removing.contains(name)).count();
        let most = case.removals(|removals| removals.limit.of(removals.others + removals.counted));
        let counted = case.removals(|removals| removals.counted);
        prop_assert!(fresh == 0 || counted + fresh <= most, "{fresh} and {counted} of {most}");
        prop_assert!(fresh == 0 || !case.none_declared, "no member is declared");
        prop_assert!(!admitted.iter().any(|name| case.orphans.contains(name)), "an orphan is admitted");
        // The whole set needs approval, or none of it.
        let wait = case.removals(|removals| approval::approval_reasons(case.propose().names(), removals));
        prop_assert_eq!(wait.is_empty(), admitted == proposed, "{:?}", wait);

        let approved = case.admit(Some(&case.approved));
        prop_assert!(approved.iter().all(|name| proposed.contains(name) && case.approved.contains(name)));
    }

    #[test]
    fn less_knowledge_removes_no_more_members(case in removal_case(), keep in prop::collection::vec(any::<bool>(), 8)) {
        let all = names(&case.propose());
        let forget = |names: &[String]| -> Vec<String> {
            names.iter().zip(&keep).filter(|(_, keep)| **keep).map(|(name, _)| name.clone()).collect()
        };
        let fewer_owned = RemovalCase { owned: forget(&case.owned), ..case.clone() };
        prop_assert!(names(&fewer_owned.propose()).is_subset(&all));
        let fewer_seen = RemovalCase { live: forget(&case.live), ..case.clone() };
        prop_assert!(names(&fewer_seen.propose()).is_subset(&all));
        let mut unreadable = case.clone();
        if let Some(resource) = unreadable.resources.first_mut() {
            resource.unknown = true;
            resource.members.clear();
            prop_assert!(names(&unreadable.propose()).is_empty());
        }
        let admitted = case.admit(None);
        let more_counted = RemovalCase { counted: case.counted + case.removing.len() + 1, ..case.clone() };
        let grown: BTreeSet<String> = more_counted.admit(None);
        let limit_is_a_number = matches!(case.limit, Tolerance::Count(_));
        prop_assert!(!limit_is_a_number || grown.is_subset(&admitted), "{grown:?} of {admitted:?}");
        let more_orphans = RemovalCase { orphans: [case.orphans.clone(), case.live.clone()].concat(), ..case.clone() };
        prop_assert!(more_orphans.admit(None).is_empty());
    }

    #[test]
    fn order_of_resources_and_members_does_not_matter(case in removal_case()) {
        let mut reversed = case.clone();
        reversed.resources.reverse();
        for list in [&mut reversed.owned, &mut reversed.live, &mut reversed.removing, &mut reversed.approved] {
            list.reverse();
        }
        reversed.resources.iter_mut().for_each(|resource| resource.members.reverse());
        prop_assert_eq!(names(&reversed.propose()), names(&case.propose()));
        prop_assert_eq!(reversed.admit(None), case.admit(None));
        prop_assert_eq!(reversed.admit(Some(&case.approved)), case.admit(Some(&case.approved)));
    }

    #[test]
    fn check_removes_only_the_proposed_unprotected_member(case in removal_case()) {
        let admitted = case.admitted(None);
        let now = at(2000);
        for (name, inviter) in admitted.names().iter().zip(case.inviters.iter().cycle()) {
            let ours = *inviter == Some(true);
            let invited_by = inviter.map(|ours| arn(if ours { "user/rollcall" } else { "user/other" }).as_str().to_owned());
            let found = Membership {
                membership_type: Some(MembershipType::Default),
                invited_by,
                created: Some(at(case.created)),
            };
            let verdict = admitted.witness(name, Some(&found), now);
            let Verdict::Remove(removal) = verdict else { continue };
            prop_assert_eq!(removal.member().as_str(), arn(name).as_str().to_owned());
            let protected = case.moderators.iter().chain([&case.creator]);
            let mut protected = protected.map(|name| name.to_ascii_lowercase());
            prop_assert!(!protected.any(|holder| holder == name.to_ascii_lowercase()), "{name} is a moderator or the creator");
            prop_assert!(ours || !name.starts_with("bot/"), "{name} is a bot of another user");
            match case.prune {
                Prune::Never => prop_assert!(false),
                Prune::Owned => prop_assert!(ours),
                Prune::Declared => prop_assert!(ours || case.created <= case.proven_at, "joined after ownership was proven"),
                Prune::Authoritative => prop_assert!(case.created <= 2000 - 600, "joined lately"),
            }
            for wrong in [
                Membership { membership_type: Some(MembershipType::Hidden), ..found.clone() },
                Membership { membership_type: None, ..found.clone() },
            ] {
                prop_assert!(!matches!(admitted.witness(name, Some(&wrong), now), Verdict::Remove(_)));
            }
            prop_assert!(matches!(admitted.witness(name, None, now), Verdict::Gone));
        }
        let stranger = Membership { membership_type: Some(MembershipType::Default), invited_by: None, created: None };
        prop_assert!(!matches!(admitted.witness("user/never-proposed", Some(&stranger), now), Verdict::Remove(_)));
    }
}

#[test]
fn bearers_are_protected_and_an_unknown_creator_is_refused() {
    let bearer = arn("user/rollcall");
    let protected = Protected::new(vec![bearer], [&arn("bot/bearer")], [], Some("creator")).unwrap();
    assert_eq!(protected.reason(&arn("user/rollcall")), Some(KeepReason::Bearer));
    assert_eq!(protected.reason(&arn("bot/bearer")), Some(KeepReason::Bearer));
    assert_eq!(protected.reason(&arn("user/alice")), None);
    assert!(Protected::new(vec![arn("user/rollcall")], [], [], None).is_none());
}

#[test]
fn removals_over_a_quarter_of_100_need_approval() {
    let people: Vec<String> = (0..100).map(|n| format!("user/u{n:03}")).collect();
    let reasons = |remove: usize, counted: usize, removing: usize| {
        let names = set(&people[..remove]);
        let removing = set(&people[..removing]);
        approval::approval_reasons(
            &names,
            &ApprovalInput {
                limit: Tolerance::Percent(25),
                counted,
                removing: &removing,
                others: 100 - counted,
                none_declared: false,
                shrank: false,
                orphans: &NameSet::default(),
                deleting: false,
            },
        )
    };
    assert!(reasons(25, 0, 0).is_empty());
    assert_eq!(reasons(26, 0, 0), [ApprovalReason::TooManyRemovals]);
    assert!(reasons(5, 20, 0).is_empty());
    assert_eq!(reasons(6, 20, 0), [ApprovalReason::TooManyRemovals]);
    assert!(reasons(10, 25, 10).is_empty(), "removals under way are not counted again");
}

#[test]
fn hash_depends_on_the_set_alone() {
    let hash = |names: &[&str]| approval::hash(names);
    assert_eq!(hash(&["-user/a", "-user/b"]), hash(&["-user/b", "-user/a"]));
    assert_ne!(hash(&["-user/a", "-user/b"]), hash(&["-user/a", "+user/b"]));
    assert_ne!(hash(&["-user/a"]), hash(&["-user/a", "-user/b"]));
    assert_eq!(hash(&["-user/a"]).len(), 16);
}
