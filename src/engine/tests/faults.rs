//! A resource becomes ready after all faults end, and stays ready.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::fake::{CallFault, FakeService, TestResource, engine, user, users};
use crate::api::MembershipType;
use crate::chime::port::CallErrorClass;
use crate::engine::Requeue;
use crate::engine::session::Session;
use crate::engine::store::StoreError;

#[derive(Clone, Debug)]
enum Trouble {
    Before(CallErrorClass),
    After(CallErrorClass),
    Refuse(usize, Option<&'static str>, usize),
    Edit(usize),
    RemovedByOther(usize),
    Restart,
    StatusLost,
    Reconcile,
}

fn class() -> impl Strategy<Value = CallErrorClass> {
    use CallErrorClass::{AccessDenied, BearerRejected, ChannelNotAccessible, Refused, Throttled, Transient};
    prop::sample::select(vec![
        Throttled,
        Transient,
        Transient,
        ChannelNotAccessible,
        BearerRejected,
        AccessDenied,
        Refused,
    ])
}

fn trouble() -> impl Strategy<Value = Trouble> {
    let codes = vec![Some("Forbidden"), Some("Throttled"), Some("ServiceFailure"), Some("Surprise"), None];
    prop_oneof![
        3 => class().prop_map(Trouble::Before),
        2 => class().prop_map(Trouble::After),
        2 => (0..300_usize, prop::sample::select(codes), 1..7_usize).prop_map(|(member, code, times)| Trouble::Refuse(member, code, times)),
        2 => (0..300_usize).prop_map(Trouble::Edit),
        1 => (0..300_usize).prop_map(Trouble::RemovedByOther),
        1 => Just(Trouble::Restart),
        1 => Just(Trouble::StatusLost),
        4 => Just(Trouble::Reconcile),
    ]
}

async fn converges(live: usize, declared: usize, troubles: Vec<Trouble>) -> Result<(), TestCaseError> {
    let service = FakeService::default();
    service.with(|channel| channel.members.extend(users(live).iter().map(|id| (user(id), MembershipType::Default))));
    let mut engine_now = engine(&service);
    let mut resource = TestResource::declaring(users(declared));
    for trouble in troubles {
        match trouble {
            Trouble::Before(class) => {
                service.with(|channel| channel.faults.push_back(CallFault::Before(class, "Fault")));
            }
            Trouble::After(class) => service.with(|channel| channel.faults.push_back(CallFault::After(class, "Fault"))),
            Trouble::Refuse(member, code, times) => service.with(|channel| {
                channel.refused.insert(user(&format!("u{member:05}")), (code.map(str::to_owned), times));
            }),
            Trouble::Edit(count) => resource.edit(|spec| spec.members = Some(users(count).iter().collect())),
            Trouble::RemovedByOther(member) => service.with(|channel| {
                channel.members.remove(&user(&format!("u{member:05}")));
            }),
            Trouble::Restart => {
                resource.session = Session::default();
                engine_now = engine(&service);
            }
            Trouble::StatusLost => {
                resource.store.failures.push_back(StoreError::Unavailable("lost".to_owned()));
            }
            Trouble::Reconcile => {
                let Requeue::After(_) = resource.reconcile(&engine_now).await else {
                    return Err(TestCaseError::fail("a reconcile that was not cancelled has a time for the next"));
                };
            }
        }
    }
    service.with(|channel| channel.faults.clear());
    // A refused member is retried at a resync after an hour, at least every two hours, and refused
    // up to six times.
    resource.run_for(&engine_now, Duration::from_hours(15)).await;
    let written = resource.store.statuses.len();
    let declared: BTreeSet<String> = resource.spec.members.iter().flat_map(|list| list.iter().map(user)).collect();
    let there: BTreeSet<String> = service.with(|channel| channel.members.keys().cloned().collect());
    prop_assert!(declared.is_subset(&there), "{:?} are missing", declared.difference(&there).collect::<Vec<_>>());
    prop_assert_eq!(resource.conditions(), "Ready=True Reconciling=False Stalled=False AllPresent");
    prop_assert_eq!(resource.status().present, Some(u32::try_from(declared.len()).unwrap_or_default()));

    let batches = service.batches().len();
    resource.run_for(&engine_now, Duration::from_hours(15)).await;
    prop_assert_eq!(resource.store.statuses.len(), written, "the status was written without a change");
    prop_assert_eq!(service.batches().len(), batches, "a batch was made without a missing member");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn declared_members_are_present_after_all_faults_end(
        live in 0..300_usize,
        declared in 0..300_usize,
        troubles in prop::collection::vec(trouble(), 0..24),
    ) {
        let clock = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        clock.expect("a runtime without sockets").block_on(converges(live, declared, troubles))?;
    }
}
