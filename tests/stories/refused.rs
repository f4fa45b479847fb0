//! A resource reports the members that the service refuses.

use std::time::Duration;

use jiff::Timestamp;
use rollcall::api::ChannelMembership;
use rollcall::simulator::{ApiOperation, Fault, FaultEffect};
use serde_json::json;

use crate::stage::{BEARER, Stage, channel, counts, ids, ready, seed, status, support, user, verdict};

const BATCH: ApiOperation = ApiOperation::BatchCreateChannelMembership;

/// Opens a stage with 20 members: one unknown to the service, one banned, one over a quota.
async fn three_of_twenty_refused() -> (Stage, Vec<String>, u64) {
    let stage = Stage::open(seed(19)).await;
    stage.simulator.ban_member(&channel("support"), "m0004").unwrap();
    let full = stage
        .simulator
        .inject_fault(Fault::new(FaultEffect::members("ResourceLimitExceeded", [user("m0007")])).on(BATCH));
    (stage, [ids(19), vec!["ghost".to_owned()]].concat(), full)
}

fn errors(object: &ChannelMembership) -> Vec<(String, String, u32)> {
    let errors = status(object).errors.into_iter();
    errors.map(|it| (it.member_arn, it.error_code, it.attempts)).collect()
}

#[tokio::test]
async fn refused_members_are_named_and_not_retried_before_they_are_due() {
    let (stage, members, full) = three_of_twenty_refused().await;
    stage.apply("team", support(&members)).await;
    let operator = stage.operator(&["--resync-interval=1s", "--min-resync-interval=1s"]);

    let told = stage.until_reason("team", "MembersRefused").await;

    assert_eq!(verdict(&told), ["False", "False", "True"]);
    assert_eq!(counts(&told), [20, 17, 0, 3]);
    assert_eq!(stage.count("support"), 17);
    let (forbidden, over) = ("Forbidden".to_owned(), "ResourceLimitExceeded".to_owned());
    let [ghost, banned, unlucky] = ["ghost", "m0004", "m0007"].map(user);
    assert_eq!(
        errors(&told),
        [(ghost.clone(), forbidden.clone(), 1), (banned, forbidden, 1), (unlucky.clone(), over, 1)]
    );
    let problems = status(&told).errors;
    assert!(problems.iter().all(|problem| !problem.error_message.is_empty()), "{problems:?}");
    assert_eq!(problems[2].error_message, "injected fault");
    let message = ready(&told).2;
    assert!(message.starts_with("17 of 20 present, 3 refused (Forbidden ×2, ResourceLimitExceeded ×1)"), "{message}");
    assert!(message.contains("see status.errors"), "{message}");
    for problem in &problems {
        let next = problem.next_attempt.as_ref().unwrap().0;
        assert!(next.duration_since(Timestamp::now()).as_secs() > 55 * 60, "{problem:?}");
    }

    // Further listings and a new process retry no member and write nothing.
    stage.until_listed(3).await;
    assert!(operator.stop().await.unwrap());
    let _operator = stage.operator(&["--resync-interval=1s", "--min-resync-interval=1s"]);
    stage.until_listed(3).await;
    assert_eq!(stage.calls(BATCH), 1);
    assert_eq!(stage.get("team").await.metadata.resource_version, told.metadata.resource_version);
    let events = stage.events("team").await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((events[0].type_.as_deref(), events[0].reason.as_deref()), (Some("Warning"), Some("MembersRefused")));
    assert_eq!(events[0].series, None);
    assert!(events[0].note.as_deref().unwrap().starts_with("17 of 20 present"), "{events:?}");

    stage.simulator.add_user(&ghost).unwrap();
    stage.simulator.lift_ban(&channel("support"), "m0004").unwrap();
    stage.simulator.clear_fault(full);
    let mended = stage.reconcile("team").await;

    assert_eq!(
        (verdict(&mended), ready(&mended).1),
        (["True", "False", "False"].map(str::to_owned), "AllPresent".into())
    );
    assert_eq!((counts(&mended), status(&mended).errors), ([20, 20, 0, 0], vec![]));
    assert_eq!(stage.count("support"), 20);
}

#[tokio::test]
async fn refused_members_within_the_limit_leave_the_resource_ready() {
    let (stage, members, _) = three_of_twenty_refused().await;
    let mut spec = support(&members);
    spec["limits"] = json!({"failed": 3});
    stage.apply("team", spec).await;
    let _operator = stage.operator(&[]);

    let told = stage.until_reason("team", "RefusedWithinLimit").await;

    assert_eq!(verdict(&told), ["True", "False", "False"]);
    assert_eq!(counts(&told), [20, 17, 0, 3]);
    assert_eq!(errors(&told).len(), 3);
}

#[tokio::test]
async fn an_edit_tries_refused_members_again_at_once() {
    let stage = Stage::open(seed(2)).await;
    stage.apply("team", support(&["ghost", "m0000"])).await;
    let _operator = stage.operator(&[]);
    stage.until_reason("team", "MembersRefused").await;
    stage.simulator.add_user(&user("ghost")).unwrap();

    stage.apply("team", support(&["ghost", "m0000", "m0001"])).await;

    stage.until_reason("team", "AllPresent").await;
    assert_eq!(stage.present("support"), ["ghost", "m0000", "m0001"]);
}

#[tokio::test]
async fn members_with_a_passing_error_are_retried_alone() {
    let stage = Stage::open(seed(30)).await;
    let codes = ["Throttled", "ServiceFailure", "ServiceUnavailable", "NobodyKnowsThisCode"];
    for (code, id) in codes.iter().zip(ids(4)) {
        stage
            .simulator
            .inject_fault(Fault::new(FaultEffect::members(code, [user(&id)])).on(BATCH).member(&user(&id)).times(3));
    }
    stage.apply("team", support(&ids(30))).await;
    let _operator = stage.operator(&[]);

    let waiting = stage.until_reason("team", "Retrying").await;
    assert_eq!(verdict(&waiting), ["False", "True", "False"]);
    assert_eq!((counts(&waiting)[0], counts(&waiting)[3]), (30, 0), "no member is refused for good");
    stage.until_reason("team", "AllPresent").await;

    let log = stage.simulator.call_log();
    let tried: Vec<usize> = log.iter().filter(|call| call.operation == BATCH).map(|call| call.members).collect();
    assert_eq!(tried[0], 30);
    assert_eq!(tried[1..].iter().sum::<usize>(), 3 * 4, "{tried:?}");
    assert_eq!(stage.present("support"), ids(30));
}

#[tokio::test]
async fn one_bad_member_of_a_batch_does_not_block_the_other_99() {
    let stage = Stage::open(seed(100)).await;
    let poison = user("m0042");
    stage.simulator.inject_fault(Fault::new(FaultEffect::status(400)).on(BATCH).member(&poison));
    stage.apply("team", support(&ids(100))).await;
    let _operator = stage.operator(&[]);

    let told = stage.until_reason("team", "MembersRefused").await;

    assert_eq!(counts(&told), [100, 99, 0, 1]);
    assert_eq!(errors(&told), [(poison, "BadRequest".to_owned(), 1)]);
    assert_eq!(stage.count("support"), 99);
    let log = stage.simulator.call_log();
    let refused = log.iter().filter(|call| call.operation == BATCH && call.code.is_some()).count();
    assert!(refused <= 8, "{log:?}");
}

/// Checks a refused call: a condition reports it, no member gets an error, and nothing is changed.
async fn told_as(fault: Fault, reason: &str, words: &[&str]) {
    let stage = Stage::open(seed(3)).await;
    stage.simulator.add_member(&channel("support"), "m0000").unwrap();
    let fault = stage.simulator.inject_fault(fault);
    stage.apply("team", support(&ids(3))).await;
    let _operator = stage.operator(&[]);

    let told = stage.until_reason("team", reason).await;

    assert_eq!(verdict(&told), ["False", "False", "True"]);
    assert_eq!(status(&told).errors, []);
    let message = ready(&told).2;
    for word in words {
        assert!(message.contains(word), "{message}");
    }
    assert_eq!(stage.count("support"), 1);
    assert_eq!(stage.events("team").await.len(), 1);

    stage.simulator.clear_fault(fault);
    assert_eq!(ready(&stage.reconcile("team").await).1, "AllPresent");
}

#[tokio::test]
async fn a_channel_closed_to_the_bearer_is_a_condition() {
    let words = ["Forbidden", "AppInstanceAdmin", BEARER];
    told_as(Fault::new(FaultEffect::status(403)), "ChannelNotAccessible", &words).await;
}

#[tokio::test]
async fn an_unknown_bearer_is_a_condition() {
    told_as(Fault::new(FaultEffect::status(401)), "BearerRejected", &["Unauthorized", BEARER]).await;
}

#[tokio::test]
async fn a_missing_iam_action_is_a_condition_that_names_it() {
    let denied = Fault::new(FaultEffect::error(403, "AccessDeniedException")).on(BATCH);
    told_as(denied, "AccessDenied", &["AccessDenied", "chime:BatchCreateChannelMembership"]).await;
}

#[tokio::test]
async fn a_deleted_channel_is_never_treated_as_empty() {
    let stage = Stage::open(seed(3)).await;
    stage.apply("team", support(&ids(3))).await;
    let _operator = stage.operator(&["--resync-interval=1s", "--min-resync-interval=1s"]);
    stage.until_reason("team", "AllPresent").await;

    stage.simulator.delete_channel(&channel("support")).unwrap();
    stage.until_reason("team", "ChannelNotAccessible").await;

    assert_eq!(stage.calls(BATCH), 1);
    let log = stage.simulator.call_log();
    let refused: Vec<Duration> = log.iter().filter(|call| call.code.is_some()).map(|call| call.at).collect();
    assert_eq!(refused.len(), 1, "what cannot be read is left in peace for a minute: {log:?}");
}
