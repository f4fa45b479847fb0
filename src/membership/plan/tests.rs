//! The totality law: every declared and every live member has exactly one place in a plan.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::api::{DeletionPolicy, KeepReason, MembershipType, Mode, OnLeave, Prune, Tolerance};
use crate::membership::arn::{ChannelArn, MemberArn};
use crate::membership::declarers::{Declarer, Declarers};
use crate::membership::listing::{Listing, ListingSnapshot, Wanted};
use crate::membership::observation::{ChannelView, RecentChanges};
use crate::membership::removal::within_limits;
use crate::membership::situation::Waits;
use crate::membership::spec::ValidSpec;
use crate::membership::target::Target;

const NOW: i64 = 100_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn channel() -> ChannelArn {
    ChannelArn::parse("arn:aws:chime:us-east-1:1:app-instance/i/channel/c").unwrap()
}

fn set(names: &[String]) -> NameSet {
    names.iter().map(String::as_str).collect()
}

/// Everything that a plan depends on, as generated.
#[derive(Clone, Debug)]
struct PlanCase {
    prune: Prune,
    desired: Vec<String>,
    live: Vec<String>,
    owned: Vec<String>,
    other: Vec<String>,
    other_unknown: bool,
    refused: Vec<String>,
    throttled: Vec<String>,
    exempt: Vec<String>,
    undeclared_for: i64,
    removals: u32,
    additions: Option<usize>,
    approves: bool,
}

fn names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(prop_oneof![5 => "user/[a-g]", 1 => "user/[A-B]", 1 => "bot/[a-b]"], 0..7)
}

fn input() -> impl Strategy<Value = PlanCase> {
    let prune = prop::sample::select(vec![Prune::Never, Prune::Owned, Prune::Declared, Prune::Authoritative]);
    let sets = (names(), names(), names(), names(), names(), names(), names());
    let numbers = (0..30_i64, 0..4_u32, prop::option::of(0..4_usize), any::<bool>(), any::<bool>());
    (prune, sets, numbers).prop_map(|(prune, sets, numbers)| {
        let (desired, live, owned, other, refused, throttled, exempt) = sets;
        let (undeclared_for, removals, additions, other_unknown, approves) = numbers;
        PlanCase {
            prune,
            desired,
            live,
            owned,
            other,
            other_unknown,
            refused,
            throttled,
            exempt,
            undeclared_for,
            removals,
            additions,
            approves,
        }
    })
}

fn declarer(uid: &str, members: &[String], unknown: bool) -> Arc<Declarer> {
    Arc::new(Declarer {
        resource: uid.into(),
        uid: uid.into(),
        created: Timestamp::UNIX_EPOCH,
        membership_type: MembershipType::Default,
        desired: Arc::new(DesiredMembers::parse(&channel(), members.iter().map(String::as_str)).unwrap()),
        authoritative: false,
        bearer: None,
        unknown: unknown.then(|| "a source is absent".into()),
    })
}

fn spec(input: &PlanCase) -> ValidSpec {
    let bearer = MemberArn::parse("arn:aws:chime:us-east-1:1:app-instance/i/user/rollcall").unwrap();
    let target = Target { channel: channel(), membership_type: MembershipType::Default, bearer, sub_channel: None };
    ValidSpec {
        target,
        desired: Arc::new(DesiredMembers::parse(&channel(), input.desired.iter().map(String::as_str)).unwrap()),
        mode: Mode::Enforce,
        prune: input.prune,
        deletion_policy: DeletionPolicy::Retain,
        on_leave: OnLeave::Readd,
        tolerated: Tolerance::default(),
        removals: Tolerance::Count(input.removals),
        additions: input.additions,
        interval: Duration::from_hours(1),
        expires_at: None,
        expired: false,
        sources: Vec::new(),
        source_error: None,
        unknown: None,
    }
}

fn view(input: &PlanCase) -> ChannelView {
    let wanted = Wanted { sets: Vec::new(), all: true };
    let listing = |second| Listing { names: set(&input.live), pages: 1, began: at(second), ended: at(second) };
    let (first, _) = ListingSnapshot::merge(None, &listing(NOW - 60), &wanted, false);
    let (second, _) = ListingSnapshot::merge(Some(first), &listing(NOW - 30), &wanted, false);
    ChannelView { listing: Some(second), elastic: Some(false), ..ChannelView::default() }
}

fn state(input: &PlanCase) -> State {
    let mut state = State::default();
    state.record.owned.extend(&set(&input.owned));
    for (names, code) in [(&input.refused, "Forbidden"), (&input.throttled, "Throttled")] {
        for name in names {
            state.notes.errors.record(name, Some(code), "", at(NOW - 1), |_| Duration::from_mins(1));
        }
    }
    for name in &input.exempt {
        state.notes.exemptions.insert(name, KeepReason::Moderator, at(NOW + 60));
    }
    state.notes.grace.observe(&set(&input.live), at(NOW - input.undeclared_for));
    state
}

/// The place of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PlaceInPlan {
    Present,
    Added,
    OnHold,
    RetriedLater,
    Removed,
    Waiting,
    Exempt,
    NotAskedFor,
    DeclaredByAnother,
    CaseVariant,
}

fn places(input: &PlanCase, with_approval: Option<&str>) -> (BTreeMap<String, Vec<PlaceInPlan>>, Plan, State) {
    let (spec, view) = (spec(input), view(input));
    let declarers: Declarers =
        [declarer("me", &input.desired, false), declarer("other", &input.other, input.other_unknown)]
            .into_iter()
            .collect();
    let own = Arc::clone(&spec.desired);
    let recent = RecentChanges::default();
    let situation = Situation {
        uid: "me",
        spec: &spec,
        own: &own,
        approval: with_approval,
        deleting: false,
        view: &view,
        declarers: &declarers,
        recent: &recent,
        started: at(0),
        waits: Waits::FULL,
        now: at(NOW),
    };
    let (plan, state) = make_plan(&situation, state(input));
    let removed = if declarers.unknown().is_some() {
        NameSet::default()
    } else {
        within_limits(&situation, &state, &plan.candidates)
    };
    let lowercased = declarers.lowercased(MembershipType::Default);
    let mut places = BTreeMap::new();
    for name in input.desired.iter().chain(&input.live) {
        let (declared, present) = (spec.desired.names().contains(name), view.has(name));
        let owned = state.record.owned.names().contains(name);
        let asked_for = match spec.prune {
            Prune::Never => false,
            Prune::Owned | Prune::Declared => owned,
            Prune::Authoritative => owned || !name.starts_with("bot/"),
        };
        let by_another = declarers.declares(MembershipType::Default, name);
        let variant = lowercased.contains(&name.to_ascii_lowercase());
        let exempt = state.notes.exemptions.reason(name, at(NOW)).is_some();
        let candidate = plan.candidates.contains(name);
        let all = [
            (PlaceInPlan::Present, declared && present),
            (PlaceInPlan::Added, plan.add.contains(name)),
            (PlaceInPlan::OnHold, plan.on_hold.contains(name)),
            (
                PlaceInPlan::RetriedLater,
                state.notes.errors.get(name).is_some_and(|error| error.next_attempt > at(NOW)) && declared && !present,
            ),
            (PlaceInPlan::Removed, removed.contains(name)),
            (PlaceInPlan::Waiting, candidate && !removed.contains(name)),
            (PlaceInPlan::DeclaredByAnother, !declared && by_another),
            (PlaceInPlan::CaseVariant, !by_another && variant),
            (PlaceInPlan::NotAskedFor, !by_another && !variant && !asked_for),
            (PlaceInPlan::Exempt, !by_another && !variant && asked_for && exempt),
        ];
        places.insert(name.clone(), all.iter().filter(|(_, holds)| *holds).map(|(place, _)| *place).collect());
    }
    (places, plan, state)
}

proptest! {
    #[test]
    fn every_member_has_exactly_one_place(input in input()) {
        let (places, plan, state) = places(&input, None);
        for (name, places) in &places {
            prop_assert_eq!(places.len(), 1, "{} is {:?} in {:?}", name, places, &plan);
        }
        let desired = set(&input.desired);
        prop_assert!(plan.add.iter().chain(plan.on_hold.iter()).all(|name| desired.contains(name)));
        prop_assert!(plan.candidates.iter().all(|name| set(&input.live).contains(name) && !desired.contains(name)));
        let kept = set(&input.owned);
        prop_assert!(kept.iter().all(|name| state.record.owned.names().contains(name)), "a plan releases no ownership");
    }

    #[test]
    fn unknown_declarer_stops_every_removal(mut input in input()) {
        input.other_unknown = true;
        let (places, _, _) = places(&input, None);
        prop_assert!(places.values().all(|places| !places.contains(&PlaceInPlan::Removed)));
    }

    #[test]
    fn plan_of_the_same_input_is_the_same(input in input()) {
        let approval = input.approves.then_some("5c1e");
        let (first, second) = (places(&input, approval), places(&input, approval));
        prop_assert_eq!(first.0, second.0);
        prop_assert_eq!(format!("{:?}", first.1), format!("{:?}", second.1));
    }
}
