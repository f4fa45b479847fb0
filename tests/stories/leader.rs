//! One of several operators leads, and a standby takes over when the leader ends in any way.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use rollcall::simulator::{ApiOperation, Fault, FaultEffect};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::operator::Operator;
use crate::stage::{DEADLINE, Stage, eventually, ids, seed, shared, status, support};

const BATCH: ApiOperation = ApiOperation::BatchCreateChannelMembership;
const SHORT: &str = "--lease-duration=2s";

/// Returns the holder of the lease: the name of a replica, or an empty text.
async fn holder(stage: &Stage) -> String {
    let leases: Api<Lease> = Api::namespaced(stage.cluster.clone(), &stage.namespace);
    let lease = leases.get_opt("rollcall").await.ok().flatten();
    let identity = lease.and_then(|lease| lease.spec?.holder_identity).unwrap_or_default();
    identity.split('_').next().unwrap_or_default().to_owned()
}

async fn until_leads(stage: &Stage, name: &str) {
    eventually(&format!("{name} leads"), async || (holder(stage).await == name).then_some(())).await;
}

fn leads(operator: &Operator) -> bool {
    operator.log().contains("this process leads")
}

#[tokio::test]
async fn a_leader_hands_over_at_once_on_sigterm() {
    let stage = Stage::open(seed(2)).await;
    stage.apply("team", support(&ids(1))).await;
    let first = stage.replica("first", None, &[]);
    until_leads(&stage, "first").await;
    let second = stage.replica("second", None, &["--health-address=127.0.0.1:0"]);
    eventually("the standby waits", async || second.log().contains("waiting: another process leads").then_some(()))
        .await;
    stage.until_reason("team", "AllPresent").await;
    let address = crate::operating::address(&second).await;
    assert_eq!(crate::operating::page(&address, "/readyz"), "ok\n", "a standby is ready");
    assert!(!leads(&second));

    let asked = Instant::now();
    assert!(first.stop().await.unwrap(), "the operator exits with 0");
    until_leads(&stage, "second").await;
    println!("handed over on SIGTERM within {} ms", asked.elapsed().as_millis());

    stage.apply("team", support(&ids(2))).await;
    stage.until("team", "the standby applies the edit", |it| status(it).present == Some(2)).await;
    assert!(second.stop().await.unwrap());
    assert_eq!(holder(&stage).await, "", "the last operator releases the lease, too");
}

#[tokio::test]
async fn sigterm_ends_a_standby_and_the_leader_keeps_the_lease() {
    let stage = Stage::open(seed(0)).await;
    let first = stage.replica("first", None, &[SHORT]);
    until_leads(&stage, "first").await;
    let second = stage.replica("second", None, &[SHORT]);
    eventually("the standby waits", async || second.log().contains("waiting: another process leads").then_some(()))
        .await;
    assert!(second.stop().await.unwrap());
    assert_eq!(holder(&stage).await, "first");
    drop(first);
}

#[tokio::test]
async fn a_standby_takes_over_after_kill_9_of_the_leader() {
    let stage = Stage::open(seed(2)).await;
    let first = stage.replica("first", None, &[]);
    until_leads(&stage, "first").await;
    let _second = stage.replica("second", None, &[]);
    let killed = Instant::now();
    first.kill().await.unwrap();
    until_leads(&stage, "second").await;
    println!("taken over after kill -9 within {:.1} s, of a lease of 15 s", killed.elapsed().as_secs_f64());
    stage.apply("team", support(&ids(2))).await;
    stage.until_reason("team", "AllPresent").await;
}

/// Returns a kubeconfig with a connection to the API server that the test can cut. After the cut,
/// no data passes and no connection ends.
async fn cuttable_kubeconfig(stage: &Stage) -> (PathBuf, Arc<AtomicBool>) {
    let kubeconfig = std::fs::read_to_string(shared().await.kubeconfig()).unwrap();
    let port = kubeconfig.split("https://127.0.0.1:").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = listener.local_addr().unwrap().port();
    let path = std::env::temp_dir().join(format!("rollcall-{}-kubeconfig", stage.namespace));
    std::fs::write(&path, kubeconfig.replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{here}"))).unwrap();
    let cut = Arc::<AtomicBool>::default();
    let is_cut = Arc::clone(&cut);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let (is_cut, port) = (Arc::clone(&is_cut), port.clone());
            tokio::spawn(async move {
                let mut far = TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
                let ends = async {
                    while !is_cut.load(Ordering::Relaxed) {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                };
                tokio::select! {
                    _ = copy_bidirectional(&mut near, &mut far) => return,
                    () = ends => {}
                }
                std::future::pending::<()>().await;
            });
        }
    });
    (path, cut)
}

#[tokio::test]
async fn a_leader_cut_off_from_the_api_server_stops_and_a_standby_leads() {
    let stage = Stage::open(seed(1_000)).await;
    stage.simulator.inject_fault(Fault::new(FaultEffect::latency(Duration::from_secs(1))).on(BATCH));
    stage.apply("team", support(&ids(1_000))).await;
    let (kubeconfig, cut) = cuttable_kubeconfig(&stage).await;
    let mut first = stage.replica("first", Some(&kubeconfig), &["--lease-duration=3s"]);
    until_leads(&stage, "first").await;
    stage.until_service("additions have begun", |_| stage.count("support") >= 100).await;
    let _second = stage.replica("second", None, &["--lease-duration=3s"]);

    cut.store(true, Ordering::Relaxed);
    let exit = first.exit(DEADLINE).await.unwrap().unwrap();

    assert_eq!(exit.code(), Some(1));
    let log = first.log();
    let last = log.lines().last().unwrap();
    assert!(last.starts_with("error: lost the lease") && last.contains("could not be renewed within 2 s"), "{log}");
    until_leads(&stage, "second").await;
    stage.until_reason("team", "AllPresent").await;
    assert_eq!(stage.count("support"), 1_000);
    std::fs::remove_file(kubeconfig).unwrap();
}

#[tokio::test]
async fn twenty_kills_of_the_leader_mid_batch_lose_and_remove_no_member() {
    const MEMBERS: usize = 6_000;
    let stage = Stage::open(seed(MEMBERS + 5)).await;
    let slow = stage.simulator.inject_fault(Fault::new(FaultEffect::latency(Duration::from_millis(200))).on(BATCH));
    let strangers = &ids(MEMBERS + 5)[MEMBERS..];
    for stranger in strangers {
        stage.simulator.add_member(&crate::stage::channel("support"), stranger).unwrap();
    }
    let mut spec = support(&ids(MEMBERS));
    spec["prune"] = "Declared".into();
    stage.apply("team", spec).await;
    let mut leader = stage.replica("r0", None, &[SHORT]);
    let mut times = Vec::new();
    for kill in 1..=20 {
        let (now, next) = (format!("r{}", kill - 1), format!("r{kill}"));
        until_leads(&stage, &now).await;
        let before = stage.count("support");
        let standby = stage.replica(&next, None, &[SHORT]);
        stage.until_service("the leader adds members", |_| stage.count("support") >= before + 100).await;
        let killed = Instant::now();
        leader.kill().await.unwrap();
        until_leads(&stage, &next).await;
        times.push(killed.elapsed().as_millis());
        leader = standby;
    }
    stage.simulator.clear_fault(slow);
    stage.until_reason("team", "AllPresent").await;
    println!("taken over {} times, of a lease of 2 s, within ms: {times:?}", times.len());
    assert_eq!(stage.count("support"), MEMBERS + 5);
    assert_eq!(stage.calls(ApiOperation::DeleteChannelMembership), 0);
    assert!(leader.stop().await.unwrap());
}
