//! The operator recovers from faults of the service.

use std::time::Duration;

use rollcall::simulator::{ApiOperation, Fault, FaultEffect, Quotas, SimulatorOptions};

use crate::stage::{BEARER, Stage, counts, ids, ready, seed, shared, status, support, verdict};

const BATCH: ApiOperation = ApiOperation::BatchCreateChannelMembership;
const LIST: ApiOperation = ApiOperation::ListChannelMemberships;

/// Three pages are listed, three batches are missing, and the second call of each kind fails.
async fn recovers_from(effect: FaultEffect) {
    let stage = Stage::open(seed(370)).await;
    for id in &ids(120) {
        stage.simulator.add_member(&crate::stage::channel("support"), id).unwrap();
    }
    let listing = stage.simulator.inject_fault(Fault::new(effect.clone()).on(LIST).skip(1).times(1));
    let batch = stage.simulator.inject_fault(Fault::new(effect).on(BATCH).skip(1).times(1));
    stage.apply("team", support(&ids(370))).await;
    let _operator = stage.operator(&[]);

    let told = stage.until_reason("team", "AllPresent").await;

    assert_eq!((stage.simulator.fault_hits(listing), stage.simulator.fault_hits(batch)), (1, 1));
    assert_eq!(stage.count("support"), 370);
    assert_eq!((counts(&told), status(&told).errors), ([370, 370, 0, 0], vec![]));
    assert_eq!(verdict(&told), ["True", "False", "False"]);
    // A page is requested again with its token, and a batch is sent again unchanged; no work begins
    // anew. One listing of the eight pages that the channel has by then looks for the members of a
    // lost answer.
    assert!(stage.calls(LIST) <= 3 + 1 + 8, "{:?}", stage.simulator.call_counts());
    assert_eq!(stage.calls(BATCH), 3 + 1);
}

#[tokio::test]
async fn the_operator_recovers_from_answers_of_500() {
    recovers_from(FaultEffect::status(500)).await;
}

#[tokio::test]
async fn the_operator_recovers_from_answers_of_503() {
    recovers_from(FaultEffect::status(503)).await;
}

#[tokio::test]
async fn the_operator_recovers_from_answers_of_429() {
    recovers_from(FaultEffect::status(429)).await;
}

#[tokio::test]
async fn the_operator_recovers_from_cut_connections() {
    recovers_from(FaultEffect::Cut).await;
}

#[tokio::test]
async fn the_operator_recovers_from_answers_lost_after_their_effect() {
    recovers_from(FaultEffect::LoseAnswer).await;
}

#[tokio::test]
async fn the_operator_recovers_from_the_error_page_of_a_proxy() {
    let body = Some("<html>Bad gateway</html>".to_owned());
    recovers_from(FaultEffect::Refuse { status: 502, code: None, message: None, body }).await;
}

#[tokio::test]
async fn a_call_without_an_answer_times_out_and_is_repeated() {
    let stage = Stage::open(seed(3)).await;
    stage.simulator.inject_fault(Fault::new(FaultEffect::latency(Duration::from_hours(1))).times(1));
    stage.apply("team", support(&ids(3))).await;
    let _operator = stage.operator(&[]);

    let waiting = stage.until("team", "something is said", |it| ready(it).0 == "False").await;
    assert_eq!(verdict(&waiting), ["False", "True", "False"]);
    stage.until_reason("team", "AllPresent").await;

    assert_eq!((stage.calls(LIST), stage.calls(BATCH)), (1, 1), "the call that timed out was never answered");
}

#[tokio::test]
async fn a_service_that_keeps_failing_is_reported_and_called_less_often() {
    let stage = Stage::open(seed(3)).await;
    let down = stage.simulator.inject_fault(Fault::new(FaultEffect::status(503)));
    stage.apply("team", support(&ids(3))).await;
    let _operator = stage.operator(&[]);

    let waiting = stage.until_reason("team", "Retrying").await;
    assert!(ready(&waiting).2.contains("ServiceUnavailable"), "{waiting:?}");
    stage.until_service("the service was called three times", |it| it.fault_hits(down) == 3).await;
    stage.simulator.clear_fault(down);
    stage.until_reason("team", "AllPresent").await;

    let log = stage.simulator.call_log();
    let waits: Vec<f64> = log.windows(2).take(2).map(|pair| (pair[1].at - pair[0].at).as_secs_f64()).collect();
    for (wait, least) in waits.iter().zip([1.0, 2.0]) {
        assert!(*wait >= least, "{waits:?}");
    }
}

#[tokio::test]
async fn throttling_slows_all_calls_of_the_bearer_until_it_ends() {
    const CHANNELS: usize = 4;
    let storm_seed =
        (0..CHANNELS).fold(seed(5), |seed, n| seed.channel(rollcall::simulator::ChannelSeed::new(&name(n))));
    let stage = Stage::open(storm_seed).await;
    let storm = stage.simulator.inject_fault(Fault::new(FaultEffect::status(429)).bearer(BEARER));
    for n in 0..CHANNELS {
        stage.apply(&name(n), crate::stage::spec(&name(n), &ids(5))).await;
    }
    let bearer = format!("--chime-bearer={BEARER}");
    let _operator = stage.bare_operator(&[&bearer]);

    stage.until_service("calls are throttled", |it| it.fault_hits(storm) >= 8).await;
    let struck = stage.simulator.call_log();
    stage.simulator.clear_fault(storm);
    for n in 0..CHANNELS {
        let told = stage.until_reason(&name(n), "AllPresent").await;
        assert_eq!((counts(&told), stage.count(&name(n))), ([5, 5, 0, 0], 5));
    }

    // The rate falls from 8 calls a second to one in two seconds: the last calls before the end are
    // more than a second apart.
    let last: Vec<_> = struck[struck.len() - 3..].iter().map(|call| call.at).collect();
    assert!(last.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_secs(1)), "{last:?}");
}

fn name(n: usize) -> String {
    format!("channel-{n}")
}

#[tokio::test]
async fn the_service_is_never_called_faster_than_its_quotas() {
    // The limit is a little above the quotas, because a busy machine delivers calls closer together
    // than they were sent.
    let quotas = Quotas::Scaled(1.2);
    let stage =
        Stage::with(shared().await, SimulatorOptions { seed: seed(250), quotas, ..SimulatorOptions::default() }).await;
    stage.apply("team", support(&ids(250))).await;
    let bearer = format!("--chime-bearer={BEARER}");
    let _operator = stage.bare_operator(&[&bearer]);

    stage.until_reason("team", "AllPresent").await;

    let log = stage.simulator.call_log();
    assert!(log.iter().all(|call| call.code.is_none()), "{log:?}");
    assert_eq!((stage.calls(LIST), stage.calls(BATCH), stage.count("support")), (1, 3, 250));
}
