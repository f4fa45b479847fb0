use std::future::pending;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::json;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::controller::reconcile::reconcile;
use crate::controller::reconcile::tests::{Defective, context, object};
use crate::controller::test_server;
use crate::controller::{Cluster, Scope, watch};

/// How an API server answers the request of a watch.
#[derive(Clone, Copy)]
enum Watching {
    /// It never answers.
    Hangs,
    /// It fails.
    Fails,
    /// It ends the watch after a minute without an event.
    IsQuiet,
}

/// Runs a controller on an API server without resources.
fn controller(watching: Watching) -> (Arc<ControllerMetrics>, CancellationToken) {
    let server = tower::service_fn(move |request: Request<Body>| async move {
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": []});
        let (status, body) = match watching {
            _ if !is_watch => (200, list.to_string()),
            Watching::Hangs => pending().await,
            Watching::Fails => (503, test_server::refusal(503, None).1.to_string()),
            Watching::IsQuiet => {
                sleep(Duration::from_mins(1)).await;
                (200, String::new())
            }
        };
        Ok::<_, kube::Error>(Response::builder().status(status).body(Body::from(body.into_bytes())).unwrap())
    });
    let cluster = Arc::new(Cluster::new(Client::new(server, "n"), Scope::Cluster, false));
    let context = context(Arc::clone(&cluster), Defective::default());
    let (metrics, stop) = (Arc::<ControllerMetrics>::default(), CancellationToken::new());
    let (of_it, stops) = (Arc::clone(&metrics), stop.clone());
    tokio::spawn(async move { watch::run(cluster, Arc::clone(&context.engine), &of_it, stops).await });
    (metrics, stop)
}

fn health(metrics: &Arc<ControllerMetrics>) -> Health {
    let mut health = Health::default();
    metrics.register_checks(&mut health, || false);
    health
}

#[tokio::test(start_paused = true)]
async fn liveness_fails_if_a_watch_hangs() {
    let (metrics, _stop) = controller(Watching::Hangs);
    let health = health(&metrics);
    assert!(health.check_readiness().is_err(), "nothing was listed yet");
    sleep(Duration::from_mins(4)).await;
    assert_eq!((health.check_liveness(), health.check_readiness()), (Ok(()), Ok(())));
    sleep(Duration::from_mins(2)).await;
    assert_eq!(health.check_liveness(), Err("the watch of resources is stuck for 360 s".to_owned()));
    assert_eq!(health.check_readiness(), Ok(()), "the last list still counts");
}

#[tokio::test(start_paused = true)]
async fn liveness_holds_if_a_watch_is_quiet_for_hours() {
    let (metrics, _stop) = controller(Watching::IsQuiet);
    sleep(Duration::from_hours(5)).await;
    assert_eq!(health(&metrics).check_liveness(), Ok(()));
    let mut page = Metrics::default();
    metrics.register_metrics(&mut page, true);
    let page = page.render_text().unwrap();
    assert!(page.contains("rollcall_watch_last_event_seconds 18000.0"), "{page}");
}

#[tokio::test(start_paused = true)]
async fn liveness_holds_if_the_api_server_fails() {
    let (metrics, _stop) = controller(Watching::Fails);
    sleep(Duration::from_hours(5)).await;
    assert_eq!(health(&metrics).check_liveness(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn liveness_fails_if_a_reconcile_shows_no_activity() {
    let written = |_: &_| (200, json!({"metadata": {"resourceVersion": "1"}}));
    let (cluster, _) = test_server::cluster(Scope::Cluster, false, written);
    let context = context(Arc::clone(&cluster), Defective::default());
    let states = Arc::clone(&context.states);
    let object = object("blessed", &[]);
    let state = states.state_of(&object);
    // The lock is never released, as in a deadlock.
    let held = state.session.lock().await;
    let reconcile = tokio::spawn(reconcile(object, context));
    sleep(Duration::from_mins(14)).await;
    assert_eq!(states.stuck_reconcile(RECONCILE_SILENCE), None);
    sleep(Duration::from_mins(2)).await;
    assert_eq!(
        states.stuck_reconcile(RECONCILE_SILENCE).as_deref(),
        Some("the reconcile of n/blessed is stuck for 960 s")
    );
    drop(held);
    reconcile.await.unwrap();
    assert_eq!(states.stuck_reconcile(Duration::ZERO), None, "the reconcile ended");
}

fn resource(name: &str, status: &serde_json::Value) -> WatchedObject {
    let metadata = json!({"name": name, "namespace": "n", "uid": name, "generation": 1});
    serde_json::from_str(&json!({"metadata": metadata, "spec": {}, "status": status}).to_string()).unwrap()
}

fn told(status: &str, reason: &str) -> serde_json::Value {
    json!([{"type": "Ready", "status": status, "reason": reason, "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z"}])
}

#[test]
fn resources_are_counted_by_status_with_a_fixed_set_of_labels() {
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
        let mut counts = ResourceCounts::default();
        for (index, status) in statuses.iter().enumerate() {
            counts.count(&resource(&format!("r{index}"), status), true);
        }
        counts.write(page, true)
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
fn every_known_error_code_has_a_label() {
    use crate::membership::error_code::ErrorCodeClass;
    for code in ["Forbidden", "NotFound", "Left", "Contested", "OwnershipConflict", "TypeMismatch", "Throttled"] {
        assert_eq!(known_code(code), code);
        assert_ne!(ErrorCodeClass::of(Some(code)), ErrorCodeClass::Unknown);
    }
}
