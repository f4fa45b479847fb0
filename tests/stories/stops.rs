//! An operator that ends in the middle of its work leaves a state from which the next one
//! continues.

use std::time::Duration;

use rollcall::simulator::{ApiOperation, Fault, FaultEffect};

use crate::stage::{Stage, channel, counts, ids, ready, seed, status, support, user, verdict};

const BATCH: ApiOperation = ApiOperation::BatchCreateChannelMembership;
const MEMBERS: usize = 1_000;

/// Opens a stage with a resource of ten batches, each of which takes a moment.
async fn long_work() -> (Stage, u64) {
    let stage = Stage::open(seed(MEMBERS)).await;
    let slow = stage.simulator.inject_fault(Fault::new(FaultEffect::latency(Duration::from_secs(1))).on(BATCH));
    stage.apply("team", support(&ids(MEMBERS))).await;
    (stage, slow)
}

/// Waits until each member is present. Each was added once, by the least number of batches and the
/// batches that were sent twice.
async fn converges(stage: &Stage, sent_twice: u64) {
    let told = stage.until_reason("team", "AllPresent").await;
    assert_eq!(verdict(&told), ["True", "False", "False"]);
    assert_eq!(counts(&told), [1_000, 1_000, 0, 0]);
    assert_eq!(stage.count("support"), MEMBERS);
    assert_eq!(stage.simulator.membership_log().len(), MEMBERS);
    assert!(stage.calls(BATCH) <= 10 + sent_twice, "{:?}", stage.simulator.call_counts());
}

#[tokio::test]
async fn a_new_process_continues_the_work_after_kill_9() {
    let (stage, slow) = long_work().await;
    for members in [300, 600] {
        let operator = stage.operator(&[]);
        stage.until_service("some are added", |_| stage.count("support") >= members).await;
        operator.kill().await.unwrap();
        let left = stage.get("team").await;
        assert_ne!(ready(&left).0, "True", "Ready is never wrongly True: {left:?}");
    }
    stage.simulator.clear_fault(slow);

    let _operator = stage.operator(&[]);

    converges(&stage, 2).await;
}

#[tokio::test]
async fn sigterm_lets_the_call_in_flight_end_and_writes_the_status() {
    let (stage, slow) = long_work().await;
    let operator = stage.operator(&[]);
    // The condition holds at the beginning of a call: with 200 members, the third batch is under
    // way.
    stage.until_service("some are added", |_| stage.count("support") == 200).await;

    assert!(operator.stop().await.unwrap(), "the operator exits with 0");

    let log = stage.simulator.call_log();
    assert!(log.iter().all(|call| !call.cut), "{log:?}");
    let left = stage.get("team").await;
    let there = u32::try_from(stage.count("support")).unwrap();
    assert!((200..1_000).contains(&there), "{there}");
    assert_eq!(counts(&left), [1_000, there, 1_000 - there, 0]);
    assert_eq!(verdict(&left), ["False", "True", "False"]);
    assert_eq!(ready(&left).1, "Adding");

    stage.simulator.clear_fault(slow);
    let _operator = stage.operator(&[]);
    converges(&stage, 1).await;
}

#[tokio::test]
async fn sigterm_ends_an_idle_operator_at_once_and_writes_nothing() {
    let stage = Stage::open(seed(3)).await;
    stage.apply("team", support(&ids(3))).await;
    let operator = stage.operator(&[]);
    let told = stage.until_reason("team", "AllPresent").await;

    assert!(operator.stop().await.unwrap());

    assert_eq!(stage.get("team").await.metadata.resource_version, told.metadata.resource_version);
}

#[tokio::test]
async fn sigterm_does_not_wait_for_the_backoff_of_a_failed_call() {
    let stage = Stage::open(seed(3)).await;
    let down = stage.simulator.inject_fault(Fault::new(FaultEffect::status(503)).on(BATCH));
    stage.apply("team", support(&ids(3))).await;
    let operator = stage.operator(&[]);
    stage.until_service("calls failed often", |it| it.fault_hits(down) >= 3).await;

    assert!(operator.stop().await.unwrap());

    let left = stage.get("team").await;
    assert_eq!((verdict(&left), counts(&left)), (["False", "True", "False"].map(str::to_owned), [3, 0, 3, 0]));
}

#[tokio::test]
async fn a_new_process_finds_changes_made_while_none_ran() {
    let stage = Stage::open(seed(4)).await;
    stage.apply("team", support(&ids(3))).await;
    let operator = stage.operator(&[]);
    stage.until_reason("team", "AllPresent").await;
    operator.kill().await.unwrap();
    stage.simulator.remove_member(&channel("support"), "m0000").unwrap();
    stage.apply("team", support(&ids(4))).await;

    let _operator = stage.operator(&[]);
    let told = stage.until_reason("team", "AllPresent").await;

    assert_eq!((counts(&told), stage.present("support")), ([4, 4, 0, 0], ids(4)));
}

#[tokio::test]
async fn an_edit_during_work_is_applied_before_the_old_work_ends() {
    let (stage, slow) = long_work().await;
    let _operator = stage.operator(&[]);
    stage.until_service("some are added", |_| stage.count("support") >= 200).await;

    stage.apply("team", support(&["m0999"])).await;
    let told = stage.until("team", "one member is declared", |it| status(it).desired == Some(1)).await;

    assert_eq!((ready(&told).1.as_str(), counts(&told)), ("AllPresent", [1, 1, 0, 0]));
    assert!(
        stage
            .simulator
            .list_members(&channel("support"), rollcall::api::MembershipType::Default)
            .contains(&user("m0999"))
    );
    assert!(stage.count("support") < 900, "undeclared members are not added");
    stage.simulator.clear_fault(slow);
}
