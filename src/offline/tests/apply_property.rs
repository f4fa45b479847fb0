//! Whom a plan names, `rollcall apply` then adds and removes, nobody else; and afterwards the plan is empty.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::MINUTE;
use super::desk::Desk;
use super::property::{CHANNELS, Edit, Written, arns, edit, foreseen, name, people, spec, written};
use crate::engine::tests::fake::user;
use crate::offline::passes::End;

async fn check(
    old: Vec<Option<Written>>,
    strangers: Vec<&'static str>,
    edits: Vec<Edit>,
    prune: bool,
) -> Result<(), TestCaseError> {
    let mut desk = Desk::new();
    desk.prune = prune;
    for id in CHANNELS {
        let now = desk.service.clock.now();
        desk.service.channel(id).with(|channel| {
            for member in arns(&strangers) {
                channel.join(&member, &user("somebody"), now);
            }
        });
    }
    tokio::time::sleep(MINUTE * 20).await;
    for (number, written) in old.iter().enumerate() {
        if let Some(written) = written {
            desk.files.insert(name(number), spec(number, written));
        }
    }
    desk.apply().await;
    // Newcomers are none any more, and whom another resource brought is known.
    tokio::time::sleep(MINUTE * 180).await;
    desk.apply().await;
    for (number, edit) in edits.iter().enumerate() {
        match edit {
            Edit::Keeps => {}
            Edit::Declares(members) => {
                if let Some(spec) = desk.files.get_mut(&name(number)) {
                    spec.members = Some(members.iter().collect());
                }
            }
            Edit::Becomes(written) => _ = desk.files.insert(name(number), spec(number, written)),
            Edit::Ends => _ = desk.files.remove(&name(number)),
        }
    }
    let already = desk.service.moves().len();
    let plan = desk.plan().await;
    prop_assert_eq!(desk.service.moves().len(), already, "a plan moved somebody");
    let (adds, removals) = (foreseen(&plan, true), foreseen(&plan, false));
    prop_assert_eq!(desk.apply().await, End::AtRest);
    let moved = desk.service.moves().split_off(already);
    let of = |came: bool| -> BTreeSet<(String, String)> {
        moved.iter().filter(|it| it.came == came).map(|it| (it.channel.clone(), it.id.clone())).collect()
    };
    let told = || {
        let state = desk.state();
        let statuses: Vec<_> =
            state.memberships.iter().map(|it| (&it.object.metadata.name, it.object.status.as_ref())).collect();
        format!("{plan:#?}\n{statuses:#?}")
    };
    prop_assert_eq!(of(true), adds, "added; {}", told());
    prop_assert_eq!(of(false), removals, "removed; {}", told());
    let again = desk.plan().await;
    prop_assert!(foreseen(&again, true).is_empty(), "{:#?}\n{}", again, told());
    prop_assert!(foreseen(&again, false).is_empty(), "{:#?}\n{}", again, told());
    Ok(())
}

proptest! {
    #[test]
    fn whom_a_plan_names_is_whom_applying_adds_and_removes_and_then_nothing_is_left_to_plan(
        old in prop::collection::vec(prop::option::weighted(0.8, written()), 4),
        strangers in people(),
        edits in prop::collection::vec(edit(), 4),
        prune in any::<bool>(),
    ) {
        let clock = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        clock.expect("a runtime without sockets").block_on(check(old, strangers, edits, prune))?;
    }
}
