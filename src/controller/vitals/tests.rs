use std::future::pending;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::json;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::controller::canned;
use crate::controller::reconcile::reconcile;
use crate::controller::reconcile::tests::{Defective, context, object};
use crate::controller::{Cluster, Scope, watch};

/// What an API server does about a request of a watch.
#[derive(Clone, Copy)]
enum Watching {
    /// Nothing at all, for ever.
    Hangs,
    /// It is away.
    Fails,
    /// Ends it after a minute in which nothing happened.
    IsQuiet,
}

/// Runs a controller on an API server without resources.
fn controller(watching: Watching) -> (Arc<Vitals>, CancellationToken) {
    let server = tower::service_fn(move |request: Request<Body>| async move {
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": []});
        let (status, body) = match watching {
            _ if !is_watch => (200, list.to_string()),
            Watching::Hangs => pending().await,
            Watching::Fails => (503, canned::refusal(503, None).1.to_string()),
            Watching::IsQuiet => {
                sleep(Duration::from_mins(1)).await;
                (200, String::new())
            }
        };
        Ok::<_, kube::Error>(Response::builder().status(status).body(Body::from(body.into_bytes())).unwrap())
    });
    let cluster = Arc::new(Cluster::new(Client::new(server, "n"), Scope::Cluster, false));
    let context = context(Arc::clone(&cluster), Defective::default());
    let (vitals, stop) = (Arc::<Vitals>::default(), CancellationToken::new());
    let (of_it, stops) = (Arc::clone(&vitals), stop.clone());
    tokio::spawn(async move { watch::run(cluster, Arc::clone(&context.engine), &of_it, stops).await });
    (vitals, stop)
}

fn health(vitals: &Arc<Vitals>) -> Health {
    let mut health = Health::default();
    vitals.check(&mut health, || false);
    health
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_hangs_is_no_life() {
    let (vitals, _stop) = controller(Watching::Hangs);
    let health = health(&vitals);
    assert!(health.check_readiness().is_err(), "nothing was listed yet");
    sleep(Duration::from_mins(4)).await;
    assert_eq!((health.check_liveness(), health.check_readiness()), (Ok(()), Ok(())));
    sleep(Duration::from_mins(2)).await;
    assert_eq!(health.check_liveness(), Err("the watch of resources is stuck for 360 s".to_owned()));
    assert_eq!(health.check_readiness(), Ok(()), "what it knows it still knows");
}

#[tokio::test(start_paused = true)]
async fn a_watch_over_which_nothing_happens_for_hours_is_alive() {
    let (vitals, _stop) = controller(Watching::IsQuiet);
    sleep(Duration::from_hours(5)).await;
    assert_eq!(health(&vitals).check_liveness(), Ok(()));
    let mut metrics = Metrics::default();
    vitals.register(&mut metrics, true);
    let page = metrics.render_text().unwrap();
    assert!(page.contains("rollcall_watch_last_event_seconds 18000.0"), "{page}");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_is_no_reason_to_be_restarted() {
    let (vitals, _stop) = controller(Watching::Fails);
    sleep(Duration::from_hours(5)).await;
    assert_eq!(health(&vitals).check_liveness(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_does_nothing_at_all_is_no_life() {
    let written = |_: &_| (200, json!({"metadata": {"resourceVersion": "1"}}));
    let (cluster, _) = canned::cluster(Scope::Cluster, false, written);
    let context = context(Arc::clone(&cluster), Defective::default());
    let slots = Arc::clone(&context.slots);
    let object = object("blessed", &[]);
    let slot = slots.of(&object);
    // A lock that is never given back, as by a deadlock.
    let held = slot.memory.lock().await;
    let pass = tokio::spawn(reconcile(object, context));
    sleep(Duration::from_mins(14)).await;
    assert_eq!(slots.stuck(PASS_SILENCE), None);
    sleep(Duration::from_mins(2)).await;
    assert_eq!(slots.stuck(PASS_SILENCE).as_deref(), Some("the pass over n/blessed is stuck for 960 s"));
    drop(held);
    pass.await.unwrap();
    assert_eq!(slots.stuck(Duration::ZERO), None, "it is over");
}

fn resource(name: &str, status: &serde_json::Value) -> Watched {
    let metadata = json!({"name": name, "namespace": "n", "uid": name, "generation": 1});
    serde_json::from_str(&json!({"metadata": metadata, "spec": {}, "status": status}).to_string()).unwrap()
}

fn told(status: &str, reason: &str) -> serde_json::Value {
    json!([{"type": "Ready", "status": status, "reason": reason, "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z"}])
}

#[test]
fn resources_are_counted_as_their_statuses_have_it_and_no_label_is_anybodys_choice() {
    let problem = |code: &str| {
        json!({"memberArn": "arn", "errorCode": code, "errorMessage": "", "attempts": 1,
                                      "firstSeen": "2026-01-02T03:04:05Z"})
    };
    let refused = json!({
        "conditions": told("False", "MembersRefused"), "desired": 500, "present": 250, "pending": 40, "failed": 210,
        "errors": [problem("Forbidden"), problem("Forbidden"), problem("Novelty")], "errorsOmitted": 7,
    });
    let pending = json!({"conditions": told("False", "ApprovalRequired"), "desired": 2, "present": 2, "pending": 0, "failed": 0,
        "pendingApproval": {"additions": 0, "removals": 2, "hash": "5c1e", "reasons": [], "members": [], "approved": false}});
    let fine = json!({"conditions": told("True", "AllPresent"), "desired": 3, "present": 3, "pending": 0, "failed": 0});
    let strange = json!({"conditions": told("Sometimes", "Mood")});
    let statuses = [refused, pending, fine, strange, json!({"observedGeneration": -1})];
    let mut metrics = Metrics::default();
    metrics.add_collector(move |page| {
        let mut census = Census::default();
        for (index, status) in statuses.iter().enumerate() {
            census.count(&resource(&format!("r{index}"), status), true);
        }
        census.write(page, true)
    });
    let page = metrics.render_text().unwrap();
    for line in [
        r#"rollcall_resources{ready="False",reason="MembersRefused"} 1.0"#,
        r#"rollcall_resources{ready="False",reason="ApprovalRequired"} 1.0"#,
        r#"rollcall_resources{ready="True",reason="AllPresent"} 1.0"#,
        r#"rollcall_resources{ready="Unknown",reason="other"} 1.0"#,
        r#"rollcall_resources{ready="Unknown",reason="None"} 1.0"#,
        r#"rollcall_members{state="desired"} 505.0"#,
        r#"rollcall_members{state="present"} 255.0"#,
        r#"rollcall_members{state="pending"} 40.0"#,
        r#"rollcall_members{state="failed"} 210.0"#,
        r#"rollcall_members_failed{code="Forbidden"} 2.0"#,
        r#"rollcall_members_failed{code="other"} 8.0"#,
        "rollcall_plans_pending_approval 1.0",
        r#"rollcall_resource_ready{namespace="n",name="r2"} 1.0"#,
        r#"rollcall_resource_ready{namespace="n",name="r0"} 0.0"#,
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
    assert!(!page.contains("arn") && !page.contains("Novelty") && !page.contains("Mood"));
}

#[test]
fn every_code_of_a_members_refusal_has_a_label_of_its_own_that_the_engine_makes_or_knows() {
    use crate::membership::error_code::ErrorCodeClass;
    for code in ["Forbidden", "NotFound", "Left", "Contested", "OwnershipConflict", "TypeMismatch", "Throttled"] {
        assert_eq!(known_code(code), code);
        assert_ne!(ErrorCodeClass::of(Some(code)), ErrorCodeClass::Unknown);
    }
}
