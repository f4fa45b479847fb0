//! `rollcall apply` adds and removes exactly the members of the plan. Afterwards the plan is empty.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::MINUTE;
use super::harness::ApplyHarness;
use super::property::{CHANNELS, Edit, ResourceSpec, arns, edit, name, people, planned_moves, spec, written};
use crate::engine::tests::fake::user;
use crate::offline::scheduler::End;

async fn check(
    old: Vec<Option<ResourceSpec>>,
    strangers: Vec<&'static str>,
    edits: Vec<Edit>,
    prune: bool,
) -> Result<(), TestCaseError> {
    let mut harness = ApplyHarness::new();
    harness.prune = prune;
    for id in CHANNELS {
        let now = harness.service.clock.now();
        harness.service.channel(id).with(|channel| {
            for member in arns(&strangers) {
                channel.join(&member, &user("somebody"), now);
            }
        });
    }
    tokio::time::sleep(MINUTE * 20).await;
    for (number, written) in old.iter().enumerate() {
        if let Some(written) = written {
            harness.files.insert(name(number), spec(number, written));
        }
    }
    harness.apply().await;
    // No member counts as new any more, and the members that another resource added are known.
    tokio::time::sleep(MINUTE * 180).await;
    harness.apply().await;
    for (number, edit) in edits.iter().enumerate() {
        match edit {
            Edit::Keeps => {}
            Edit::Declares(members) => {
                if let Some(spec) = harness.files.get_mut(&name(number)) {
                    spec.members = Some(members.iter().collect());
                }
            }
            Edit::Becomes(written) => _ = harness.files.insert(name(number), spec(number, written)),
            Edit::Ends => _ = harness.files.remove(&name(number)),
        }
    }
    let already = harness.service.moves().len();
    let plan = harness.plan().await;
    prop_assert_eq!(harness.service.moves().len(), already, "a plan changed a member");
    let (adds, removals) = (planned_moves(&plan, true), planned_moves(&plan, false));
    prop_assert_eq!(harness.apply().await, End::AtRest);
    let moved = harness.service.moves().split_off(already);
    let of = |came: bool| -> BTreeSet<(String, String)> {
        moved.iter().filter(|it| it.came == came).map(|it| (it.channel.clone(), it.id.clone())).collect()
    };
    let told = || {
        let state = harness.state();
        let statuses: Vec<_> =
            state.memberships.iter().map(|it| (&it.object.metadata.name, it.object.status.as_ref())).collect();
        format!("{plan:#?}\n{statuses:#?}")
    };
    prop_assert_eq!(of(true), adds, "added; {}", told());
    prop_assert_eq!(of(false), removals, "removed; {}", told());
    let again = harness.plan().await;
    prop_assert!(planned_moves(&again, true).is_empty(), "{:#?}\n{}", again, told());
    prop_assert!(planned_moves(&again, false).is_empty(), "{:#?}\n{}", again, told());
    Ok(())
}

proptest! {
    #[test]
    fn apply_does_what_its_plan_says_and_leaves_an_empty_plan(
        old in prop::collection::vec(prop::option::weighted(0.8, written()), 4),
        strangers in people(),
        edits in prop::collection::vec(edit(), 4),
        prune in any::<bool>(),
    ) {
        let clock = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        clock.expect("a runtime without sockets").block_on(check(old, strangers, edits, prune))?;
    }
}
