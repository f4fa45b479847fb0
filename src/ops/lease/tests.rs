use http::{Method, Request, Response};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

const DURATION: Duration = Duration::from_secs(15);

/// An API server with one lease, kept by resourceVersion as the real one does.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    lease: Option<Value>,
    version: u64,
    /// How long an answer takes to come; the effect is there at once.
    answers_after: Duration,
}

impl Server {
    /// A process that wants to lead; `cut` takes its network away.
    fn elector(&self, identity: &str) -> (Arc<LeaderElector>, Arc<Mutex<bool>>) {
        let (server, cut) = (self.clone(), Arc::<Mutex<bool>>::default());
        let is_cut = Arc::clone(&cut);
        let service = tower::service_fn(move |request: Request<Body>| {
            let (server, is_cut) = (server.clone(), Arc::clone(&is_cut));
            async move {
                if *is_cut.lock() {
                    std::future::pending::<()>().await;
                }
                let method = request.method().clone();
                let body = request.into_body().collect_bytes().await?;
                let (status, answer) = server.answer(&method, serde_json::from_slice(&body).unwrap_or_default());
                let late = server.0.lock().answers_after;
                sleep(late).await;
                let answer = Body::from(answer.to_string().into_bytes());
                Ok::<_, kube::Error>(Response::builder().status(status).body(answer).unwrap())
            }
        });
        let config = LeaseConfig {
            namespace: "n".to_owned(),
            name: "rollcall".to_owned(),
            identity: identity.to_owned(),
            duration: DURATION,
        };
        (Arc::new(LeaderElector::new(Client::new(service, "n"), config)), cut)
    }

    fn answer(&self, method: &Method, mut lease: Value) -> (u16, Value) {
        let refusal = |code: u16| {
            let reason = if code == 404 { "NotFound" } else { "Conflict" };
            (code, json!({"kind": "Status", "status": "Failure", "message": "no", "reason": reason, "code": code}))
        };
        let mut state = self.0.lock();
        let version = state.lease.as_ref().map(|lease| lease["metadata"]["resourceVersion"].clone());
        match (method, version) {
            (&Method::GET, Some(_)) => return (200, state.lease.clone().unwrap()),
            (&Method::GET | &Method::PUT, None) => return refusal(404),
            (&Method::POST, Some(_)) => return refusal(409),
            (&Method::PUT, Some(version)) if version != lease["metadata"]["resourceVersion"] => return refusal(409),
            _ => {}
        }
        state.version += 1;
        lease["metadata"]["resourceVersion"] = json!(state.version.to_string());
        state.lease = Some(lease.clone());
        (200, lease)
    }

    fn holder(&self) -> String {
        let state = self.0.lock();
        state.lease.as_ref().unwrap()["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
    }
}

/// Leads, then renews, and gives how it ended.
fn live(elector: &Arc<LeaderElector>) -> tokio::task::JoinHandle<LeadershipLost> {
    let elector = Arc::clone(elector);
    tokio::spawn(async move {
        elector.acquire().await;
        elector.renew_loop().await
    })
}

#[tokio::test(start_paused = true)]
async fn one_leads_while_it_renews_however_long_that_is() {
    let server = Server::default();
    let electors: Vec<_> = ["a", "b", "c"].iter().map(|identity| server.elector(identity).0).collect();
    let lives: Vec<_> = electors.iter().map(live).collect();
    for _ in 0..1000 {
        sleep(Duration::from_millis(3_700)).await;
        assert_eq!(electors.iter().filter(|elector| elector.leadership().is_held()).count(), 1);
    }
    assert!(lives.iter().all(|life| !life.is_finished()));
}

#[tokio::test(start_paused = true)]
async fn who_is_killed_is_followed_within_the_time_of_the_lease_and_not_before() {
    let server = Server::default();
    let ((first, _), (second, _)) = (server.elector("a"), server.elector("b"));
    let life = live(&first);
    sleep(Duration::from_mins(1)).await;
    let _waits = live(&second);
    sleep(Duration::from_mins(1)).await;
    life.abort();
    sleep(Duration::from_secs(12)).await;
    assert!(!second.leadership().is_held(), "the first may still believe in itself");
    sleep(Duration::from_secs(4)).await;
    assert!(second.leadership().is_held());
    assert_eq!(server.holder(), "b");
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_is_taken_within_a_second() {
    let server = Server::default();
    let ((first, _), (second, _)) = (server.elector("a"), server.elector("b"));
    let life = live(&first);
    sleep(Duration::from_secs(5)).await;
    let _waits = live(&second);
    sleep(Duration::from_secs(30)).await;
    life.abort();
    first.release_lease().await;
    assert!(!first.leadership().is_held());
    sleep(Duration::from_millis(1_001)).await;
    assert!(second.leadership().is_held());
}

#[tokio::test(start_paused = true)]
async fn who_is_cut_off_stops_believing_before_anybody_else_leads() {
    let server = Server::default();
    let ((first, cut), (second, _)) = (server.elector("a"), server.elector("b"));
    let life = live(&first);
    sleep(Duration::from_secs(5)).await;
    let _waits = live(&second);
    sleep(Duration::from_secs(30)).await;
    *cut.lock() = true;
    while !second.leadership().is_held() {
        sleep(Duration::from_millis(10)).await;
        assert!(!(first.leadership().is_held() && second.leadership().is_held()));
    }
    let lost = life.await.unwrap();
    assert!(lost.to_string().starts_with("lost the lease n/rollcall: it could not be renewed within 10 s"), "{lost}");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_whose_answer_never_came_is_found_to_be_ours() {
    let server = Server::default();
    let (elector, _) = server.elector("a");
    elector.acquire().await;
    // The first renewal takes effect behind our back.
    let mut lease = server.answer(&Method::GET, Value::Null).1;
    lease["spec"]["renewTime"] = Value::Null;
    assert_eq!(server.answer(&Method::PUT, lease).0, 200);
    let life = tokio::spawn({
        let elector = Arc::clone(&elector);
        async move { elector.renew_loop().await }
    });
    sleep(Duration::from_mins(5)).await;
    assert!(elector.leadership().is_held() && !life.is_finished());
}

#[tokio::test(start_paused = true)]
async fn slow_answers_shorten_the_belief_and_too_slow_ones_end_it() {
    let server = Server::default();
    let (elector, _) = server.elector("a");
    let life = live(&elector);
    sleep(Duration::from_secs(5)).await;
    server.0.lock().answers_after = Duration::from_secs(4);
    sleep(Duration::from_mins(5)).await;
    assert!(elector.leadership().is_held() && !life.is_finished());
    server.0.lock().answers_after = Duration::from_secs(14);
    assert!(matches!(life.await.unwrap(), LeadershipLost::NotRenewed { .. }));
    assert!(!elector.leadership().is_held());
}

#[tokio::test(start_paused = true)]
async fn who_finds_another_name_on_it_is_told_whose() {
    let server = Server::default();
    let (elector, _) = server.elector("a");
    let life = live(&elector);
    sleep(Duration::from_secs(5)).await;
    let mut lease = server.answer(&Method::GET, Value::Null).1;
    lease["spec"]["holderIdentity"] = json!("b");
    server.answer(&Method::PUT, lease);
    let lost = life.await.unwrap();
    assert_eq!(lost.to_string(), "lost the lease n/rollcall: b holds it; stopped, because it leads now");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_somebody_deletes_is_made_again() {
    let server = Server::default();
    let (elector, _) = server.elector("a");
    let life = live(&elector);
    sleep(Duration::from_secs(5)).await;
    server.0.lock().lease = None;
    sleep(Duration::from_mins(1)).await;
    assert!(elector.leadership().is_held() && !life.is_finished());
    assert_eq!(server.holder(), "a");
}
