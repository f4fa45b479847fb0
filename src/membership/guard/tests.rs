//! Laws of removal, whatever the channel, its resources and its people.

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

/// One resource, as generated.
#[derive(Clone, Debug)]
struct Resource {
    created: i64,
    hidden: bool,
    members: Vec<String>,
    unknown: bool,
}

#[derive(Clone, Debug)]
struct World {
    resources: Vec<Resource>,
    prune: Prune,
    claims: Vec<String>,
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
    claimed_at: i64,
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => "user/[a-d]", 1 => "user/[A-D]", 1 => "bot/[a-c]"]
}

fn some_names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(name(), 0..8)
}

fn resource() -> impl Strategy<Value = Resource> {
    (0..3_i64, any::<bool>(), some_names(), prop::bool::weighted(0.05))
        .prop_map(|(created, hidden, members, unknown)| Resource { created, hidden, members, unknown })
}

fn world() -> impl Strategy<Value = World> {
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
        .prop_map(
            |(resources, prune, people, (counted, limit, none_declared), inviters, (created, claimed_at))| {
                let (claims, live, removing, orphans, approved, moderators, creator) = people;
                World {
                    resources,
                    prune,
                    claims,
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
                    claimed_at,
                }
            },
        )
}

fn set(names: &[String]) -> NameSet {
    names.iter().map(String::as_str).collect()
}

fn roll(resources: &[Resource]) -> Declarers {
    let declarer = |(index, resource): (usize, &Resource)| {
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

impl World {
    fn propose(&self) -> Proposal {
        let claims = Ownership::new(set(&self.claims), Some(at(self.claimed_at)), Vec::new());
        let (live, roll) = (set(&self.live), roll(&self.resources));
        Proposal::new(&RemovalInput {
            channel: &channel(),
            membership_type: MembershipType::Default,
            prune: self.prune,
            owned: &claims,
            live: &live,
            declarers: &roll,
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
    fn nobody_is_proposed_who_is_declared_or_not_there_or_whom_the_mode_does_not_mean(world in world()) {
        let proposed = names(&world.propose());
        let declared: BTreeSet<String> = world
            .resources
            .iter()
            .filter(|resource| !resource.hidden)
            .flat_map(|resource| resource.members.iter().map(|name| name.to_ascii_lowercase()))
            .collect();
        for name in &proposed {
            prop_assert!(world.live.contains(name), "{name} is not there");
            prop_assert!(!declared.contains(&name.to_ascii_lowercase()), "{name} is declared");
            match world.prune {
                Prune::Never => prop_assert!(false, "{name} though prune is Never"),
                Prune::Owned | Prune::Declared => prop_assert!(world.claims.contains(name)),
                Prune::Authoritative => prop_assert!(!name.starts_with("bot/") || world.claims.contains(name)),
            }
        }
        if world.resources.iter().any(|resource| resource.unknown) {
            prop_assert!(proposed.is_empty(), "it is not known whom all resources declare");
        }
    }

    #[test]
    fn no_more_are_admitted_than_the_limit_allows_but_those_whom_somebody_approved(world in world()) {
        let proposed = names(&world.propose());
        let admitted = world.admit(None);
        prop_assert!(admitted.is_subset(&proposed));
        let fresh = admitted.iter().filter(|name| !world.removing.contains(name)).count();
        let most = world.removals(|removals| removals.limit.of(removals.others + removals.counted));
        let counted = world.removals(|removals| removals.counted);
        prop_assert!(fresh == 0 || counted + fresh <= most, "{fresh} and {counted} of {most}");
        prop_assert!(fresh == 0 || !world.none_declared, "the list is empty");
        prop_assert!(!admitted.iter().any(|name| world.orphans.contains(name)), "whose resource is gone");
        // The whole set waits, or none of it.
        let wait = world.removals(|removals| approval::approval_reasons(world.propose().names(), removals));
        prop_assert_eq!(wait.is_empty(), admitted == proposed, "{:?}", wait);

        let approved = world.admit(Some(&world.approved));
        prop_assert!(approved.iter().all(|name| proposed.contains(name) && world.approved.contains(name)));
    }

    #[test]
    fn whoever_knows_less_removes_no_more(world in world(), keep in prop::collection::vec(any::<bool>(), 8)) {
        let all = names(&world.propose());
        let forget = |names: &[String]| -> Vec<String> {
            names.iter().zip(&keep).filter(|(_, keep)| **keep).map(|(name, _)| name.clone()).collect()
        };
        let fewer_claims = World { claims: forget(&world.claims), ..world.clone() };
        prop_assert!(names(&fewer_claims.propose()).is_subset(&all));
        let fewer_seen = World { live: forget(&world.live), ..world.clone() };
        prop_assert!(names(&fewer_seen.propose()).is_subset(&all));
        let mut unreadable = world.clone();
        if let Some(resource) = unreadable.resources.first_mut() {
            resource.unknown = true;
            resource.members.clear();
            prop_assert!(names(&unreadable.propose()).is_empty());
        }
        let admitted = world.admit(None);
        let more_counted = World { counted: world.counted + world.removing.len() + 1, ..world.clone() };
        let grown: BTreeSet<String> = more_counted.admit(None);
        let limit_is_a_number = matches!(world.limit, Tolerance::Count(_));
        prop_assert!(!limit_is_a_number || grown.is_subset(&admitted), "{grown:?} of {admitted:?}");
        let more_orphans = World { orphans: [world.orphans.clone(), world.live.clone()].concat(), ..world.clone() };
        prop_assert!(more_orphans.admit(None).is_empty());
    }

    #[test]
    fn the_order_of_resources_and_members_does_not_matter(world in world()) {
        let mut turned = world.clone();
        turned.resources.reverse();
        for list in [&mut turned.claims, &mut turned.live, &mut turned.removing, &mut turned.approved] {
            list.reverse();
        }
        turned.resources.iter_mut().for_each(|resource| resource.members.reverse());
        prop_assert_eq!(names(&turned.propose()), names(&world.propose()));
        prop_assert_eq!(turned.admit(None), world.admit(None));
        prop_assert_eq!(turned.admit(Some(&world.approved)), world.admit(Some(&world.approved)));
    }

    #[test]
    fn a_look_lets_nobody_go_who_holds_an_office_or_is_not_the_one_that_is_meant(world in world()) {
        let admitted = world.admitted(None);
        let now = at(2000);
        for (name, inviter) in admitted.names().iter().zip(world.inviters.iter().cycle()) {
            let ours = *inviter == Some(true);
            let invited_by = inviter.map(|ours| arn(if ours { "user/rollcall" } else { "user/other" }).as_str().to_owned());
            let found = Membership {
                membership_type: Some(MembershipType::Default),
                invited_by,
                created: Some(at(world.created)),
            };
            let verdict = admitted.witness(name, Some(&found), now);
            let Verdict::Remove(removal) = verdict else { continue };
            prop_assert_eq!(removal.member().as_str(), arn(name).as_str().to_owned());
            let office = world.moderators.iter().chain([&world.creator]);
            let mut office = office.map(|name| name.to_ascii_lowercase());
            prop_assert!(!office.any(|holder| holder == name.to_ascii_lowercase()), "{name} holds an office");
            prop_assert!(ours || !name.starts_with("bot/"), "{name} is a bot of somebody else");
            match world.prune {
                Prune::Never => prop_assert!(false),
                Prune::Owned => prop_assert!(ours),
                Prune::Declared => prop_assert!(ours || world.created <= world.claimed_at, "joined after the claim"),
                Prune::Authoritative => prop_assert!(world.created <= 2000 - 600, "joined lately"),
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
fn bearers_are_protected_and_without_a_known_creator_nobody_is_removed() {
    let bearer = arn("user/rollcall");
    let protected = Protected::new(vec![bearer], [&arn("bot/bearer")], [], Some("creator")).unwrap();
    assert_eq!(protected.reason(&arn("user/rollcall")), Some(KeepReason::Bearer));
    assert_eq!(protected.reason(&arn("bot/bearer")), Some(KeepReason::Bearer));
    assert_eq!(protected.reason(&arn("user/alice")), None);
    assert!(Protected::new(vec![arn("user/rollcall")], [], [], None).is_none());
}

#[test]
fn a_quarter_of_a_hundred_goes_and_one_more_waits_also_when_some_are_gone_already() {
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
    assert!(reasons(10, 25, 10).is_empty(), "what was begun and counted is not counted again");
}

#[test]
fn the_hash_is_of_the_set_alone() {
    let hash = |names: &[&str]| approval::hash(names);
    assert_eq!(hash(&["-user/a", "-user/b"]), hash(&["-user/b", "-user/a"]));
    assert_ne!(hash(&["-user/a", "-user/b"]), hash(&["-user/a", "+user/b"]));
    assert_ne!(hash(&["-user/a"]), hash(&["-user/a", "-user/b"]));
    assert_eq!(hash(&["-user/a"]).len(), 16);
}
