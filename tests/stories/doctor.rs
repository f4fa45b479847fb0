//! `rollcall doctor` finds the cause of a problem.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use axum::Router;
use axum::http::{StatusCode, header};
use rollcall::simulator::{
    ApiOperation, ChannelPrivacy, ChannelSeed, ElasticConfiguration, Fault, FaultEffect, Quotas, Seed, Simulator,
    SimulatorOptions,
};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::control_plane::ControlPlane;
use crate::export::by_sub_channel;
use crate::operator;
use crate::stage::{BEARER, INSTANCE, Stage, UNPACED, channel, eventually, ids, shared, user};

/// The findings of doctor.
struct DoctorFindings {
    code: Option<i32>,
    checks: Vec<Value>,
    stderr: String,
}

impl DoctorFindings {
    /// Returns the result of each run of a check, with its message and advice.
    fn of(&self, check: &str) -> Vec<(&str, String)> {
        let checks = self.checks.iter().filter(|it| it["check"] == check);
        let text = |it: &Value, key: &str| it[key].as_str().unwrap_or_default().to_owned();
        checks
            .map(|it| {
                (it["result"].as_str().unwrap(), ["about", "message", "advice"].map(|key| text(it, key)).join(" | "))
            })
            .collect()
    }

    /// Returns the only run of a check.
    fn only(&self, check: &str) -> (&str, String) {
        let mut all = self.of(check);
        assert_eq!(all.len(), 1, "{check}: {:#?}", self.checks);
        all.remove(0)
    }

    fn failed(&self) -> Vec<String> {
        let failed = self.checks.iter().filter(|it| it["result"] == "failed");
        failed.map(|it| it["check"].as_str().unwrap().to_owned()).collect()
    }
}

/// Returns the program with these arguments and without rate limits.
fn doctor(service: &Simulator, flags: &[&str]) -> Command {
    let mut command = operator::rollcall(Path::new(env!("CARGO_BIN_EXE_rollcall")), &service.endpoint());
    command.arg("doctor").env("ROLLCALL_OUTPUT", "json").args(UNPACED).args(flags).stdin(Stdio::null());
    // Neither a cluster nor the metadata service of the current machine is used.
    command.env("KUBECONFIG", "/dev/null").env("AWS_EC2_METADATA_DISABLED", "true");
    let mut command = Command::from(command);
    command.kill_on_drop(true);
    command
}

async fn found(command: &mut Command) -> DoctorFindings {
    let output = command.output().await.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    let checks = report["checks"].as_array().unwrap().clone();
    let findings = DoctorFindings { code: output.status.code(), checks, stderr };
    assert_eq!(findings.failed().len(), usize::try_from(report["failed"].as_u64().unwrap()).unwrap());
    assert_eq!(findings.code, Some(i32::from(!findings.failed().is_empty())), "{:#?}", findings.checks);
    findings
}

async fn service() -> Simulator {
    let elastic = ElasticConfiguration {
        maximum_sub_channels: 3,
        target_memberships_per_sub_channel: 2,
        minimum_membership_percentage: 20,
    };
    let seed = Seed::new(INSTANCE)
        .users(ids(4))
        .users(["rollcall", "plain", "mod"])
        .admins(["rollcall"])
        .channel(ChannelSeed::new("support").members(ids(4)).moderators(["mod"]))
        .channel(ChannelSeed::new("private").privacy(ChannelPrivacy::Private))
        .channel(ChannelSeed::new("townhall").members(ids(4)).elastic(elastic));
    Simulator::start(SimulatorOptions {
        seed,
        quotas: Quotas::Off,
        behaviours: by_sub_channel(),
        ..SimulatorOptions::default()
    })
    .await
    .unwrap()
}

fn bearer() -> String {
    format!("--chime-bearer={BEARER}")
}

fn about(id: &str) -> String {
    format!("--channel={}", channel(id))
}

const NO_CLUSTER: &str = "--cluster=off";

#[tokio::test]
async fn doctor_passes_and_changes_nothing() {
    let service = service().await;
    let before = service.membership_log().len();
    let found = found(&mut doctor(&service, &[&bearer(), &about("support"), &about("townhall"), NO_CLUSTER])).await;
    assert_eq!(found.failed(), [""; 0]);
    assert!(found.only("bearer").1.contains("is an AppInstanceAdmin"));
    assert_eq!(found.only("credentials"), ("ok", " | from AWS_ACCESS_KEY_ID in the environment | ".to_owned()));
    let (result, endpoint) = found.only("endpoint");
    assert!(result == "warning" && endpoint.contains("which is not AWS"), "{endpoint}");
    assert_eq!(found.only("write actions").0, "skipped");
    let allowed = found.of("allowed");
    assert!(allowed[0].1.contains("ListChannelMemberships (HIDDEN)") && allowed[0].1.contains("ListChannelBans"));
    assert!(allowed[1].1.contains("ListSubChannels") && !allowed[1].1.contains("HIDDEN"));
    let made: BTreeSet<&str> = service.call_counts().keys().map(|operation| operation.as_str()).collect();
    let reads = |name: &&str| name.starts_with("List") || name.starts_with("Describe");
    assert!(made.iter().all(reads), "{made:?}");
    assert_eq!(service.membership_log().len(), before);
    assert_eq!(found.stderr, "");
}

#[tokio::test]
async fn each_denied_iam_action_is_named_and_the_others_are_still_checked() {
    let service = service().await;
    for (operation, check, result) in [
        (ApiOperation::DescribeChannel, "action", "warning"),
        (ApiOperation::ListChannelMemberships, "action", "failed"),
        (ApiOperation::DescribeChannelMembership, "action", "failed"),
        (ApiOperation::ListChannelModerators, "action", "warning"),
        (ApiOperation::ListChannelBans, "action", "warning"),
        (ApiOperation::ListSubChannels, "action", "failed"),
        (ApiOperation::ListChannels, "bearer", "skipped"),
    ] {
        service.clear_faults();
        service.inject_fault(Fault::new(FaultEffect::error(403, "AccessDeniedException")).on(operation));
        let channel = if operation == ApiOperation::ListSubChannels { "townhall" } else { "support" };
        let found = found(&mut doctor(&service, &[&bearer(), &about(channel), NO_CLUSTER])).await;
        let denied = found.of(check);
        let named =
            denied.iter().any(|(as_result, said)| *as_result == result && said.contains(&format!("chime:{operation}")));
        assert!(named, "{operation}: {denied:#?}");
        let (allowed, ours) = (found.only("allowed").1, operation.as_str());
        assert!(!allowed.contains(&format!("{ours},")) && allowed.contains(", "), "{operation}: {allowed}");
        // The service does not list the members of an elastic channel by type.
        let times = if operation == ApiOperation::ListChannelMemberships { 2 } else { 1 };
        assert_eq!(denied.len(), times, "{operation}: {denied:#?}");
    }
}

#[tokio::test]
async fn denials_of_a_channel_role_differ_from_denials_of_iam() {
    let service = service().await;
    let as_plain = format!("--chime-bearer={}", user("plain"));
    let plain = found(&mut doctor(&service, &[&as_plain, &about("support"), NO_CLUSTER])).await;
    assert_eq!(plain.failed(), [""; 0]);
    let (result, bearer) = plain.only("bearer");
    assert!(result == "warning" && bearer.contains("is no AppInstanceAdmin"), "{bearer}");
    let roles: Vec<String> = plain.of("role").into_iter().map(|(_, said)| said).collect();
    let [hidden, moderators, bans] = roles.as_slice() else { panic!("{roles:#?}") };
    assert!(hidden.contains("a resource of type HIDDEN cannot work here"), "{hidden}");
    assert!(
        moderators.contains("no members are removed") && moderators.contains("a moderator of the channel"),
        "{moderators}"
    );
    assert!(bans.contains("is not explained"), "{bans}");

    let as_moderator = format!("--chime-bearer={}", user("mod"));
    let moderator = found(&mut doctor(&service, &[&as_moderator, &about("support"), NO_CLUSTER])).await;
    assert_eq!((moderator.failed().len(), moderator.of("role").len(), moderator.only("bearer").0), (0, 0, "warning"));

    let outside = found(&mut doctor(&service, &[&as_plain, &about("private"), &about("nowhere"), NO_CLUSTER])).await;
    assert_eq!(outside.failed(), ["action", "action"]);
    assert!(
        outside
            .of("action")
            .iter()
            .all(|(_, said)| said.contains("gone, or this bearer is neither a member nor an AppInstanceAdmin"))
    );
}

#[tokio::test]
async fn a_bearer_that_is_unknown_or_missing_fails_once() {
    let service = service().await;
    let as_ghost = format!("--chime-bearer={}", user("ghost"));
    let ghost = found(&mut doctor(&service, &[&as_ghost, &about("support"), NO_CLUSTER])).await;
    assert_eq!(ghost.failed(), ["bearer"]);
    assert_eq!(ghost.only("channel").0, "skipped");

    let none = found(&mut doctor(&service, &[&about("support"), NO_CLUSTER])).await;
    assert_eq!(none.failed(), ["bearer", "channel"]);
    let override_allowed = found(&mut doctor(&service, &["--allow-bearer-override", NO_CLUSTER])).await;
    assert_eq!(override_allowed.failed(), [""; 0]);
}

#[tokio::test]
async fn a_throttled_or_unreachable_service_is_reported_as_such() {
    let service = service().await;
    service.inject_fault(Fault::new(FaultEffect::status(429)).on(ApiOperation::ListChannelBans).times(1));
    let busy = found(&mut doctor(&service, &[&bearer(), &about("support"), NO_CLUSTER])).await;
    assert_eq!(busy.failed(), [""; 0]);
    let (result, quota) = busy.only("quota");
    assert!(result == "warning" && quota.contains("answered 429: 1"), "{quota}");
    assert!(busy.stderr.contains("retry in"), "{}", busy.stderr);

    let mut away = doctor(&service, &[&bearer(), &about("support"), NO_CLUSTER]);
    away.env("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", "http://127.0.0.1:1");
    let away = found(&mut away).await;
    assert_eq!(away.failed(), ["bearer", "action"]);
    assert!(away.only("action").1.contains("check that the endpoint can be reached"), "{:#?}", away.checks);
}

#[tokio::test]
async fn keys_that_take_precedence_over_the_pod_role_are_named() {
    let service = service().await;
    for (variable, called) in [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "IRSA"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "EKS Pod Identity"),
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "ECS"),
    ] {
        let found = found(doctor(&service, &[&bearer(), NO_CLUSTER]).env(variable, "/somewhere")).await;
        let (result, said) = found.only("shadowed role");
        assert_eq!(result, "warning");
        assert!(said.contains(variable) && said.contains(called) && said.contains("take AWS_ACCESS_KEY_ID"), "{said}");
    }
    let mut none = doctor(&service, &[&bearer(), &about("support"), NO_CLUSTER]);
    let none = found(none.env_remove("AWS_ACCESS_KEY_ID")).await;
    assert_eq!(none.failed(), ["credentials"]);
    assert!(
        service.call_counts().keys().all(|it| *it == ApiOperation::ListChannels),
        "the others asked for the bearer"
    );
}

#[tokio::test]
async fn an_invalid_endpoint_is_refused_and_the_other_checks_run() {
    let service = service().await;
    let mut wrong = doctor(&service, &[&bearer(), "--cluster=on"]);
    let wrong = found(wrong.env("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", "http://me:secret@host")).await;
    assert_eq!(wrong.failed(), ["endpoint", "cluster"]);
    assert!(!wrong.only("endpoint").1.contains("secret"));
    let fips = found(doctor(&service, &[&bearer(), NO_CLUSTER]).env("AWS_USE_FIPS_ENDPOINT", "true")).await;
    assert_eq!(fips.failed(), ["endpoint"]);
    let elsewhere = format!("--chime-bearer={}", BEARER.replace("us-east-1", "eu-west-9"));
    let region = found(&mut doctor(&service, &[&elsewhere, NO_CLUSTER])).await;
    assert_eq!(region.only("region").0, "warning");
}

/// Serves an STS that always gives this answer.
async fn sts(status: StatusCode, body: &'static str) -> String {
    let router = Router::new().fallback(async move || (status, [(header::CONTENT_TYPE, "text/xml")], body));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    endpoint
}

#[tokio::test]
async fn the_caller_identity_comes_from_aws() {
    let service = service().await;
    let arn = "arn:aws:sts::123456789012:assumed-role/rollcall/session";
    let known = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
                 <Arn>arn:aws:sts::123456789012:assumed-role/rollcall/session</Arn><UserId>u</UserId><Account>123456789012</Account>\
                 </GetCallerIdentityResult></GetCallerIdentityResponse>";
    let refusal = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                   <Code>RequestExpired</Code><Message>Request has expired</Message></Error></ErrorResponse>";
    for (status, body, result, words) in [
        (StatusCode::OK, known, "ok", arn),
        (StatusCode::BAD_REQUEST, refusal, "failed", "set this machine's clock"),
        (StatusCode::BAD_GATEWAY, "", "warning", "let the pod reach STS"),
    ] {
        let endpoint = sts(status, body).await;
        let found = found(doctor(&service, &[&bearer(), NO_CLUSTER]).env("AWS_ENDPOINT_URL_STS", endpoint)).await;
        let (as_result, said) = found.only("identity");
        assert!(as_result == result && said.contains(words), "{said}");
    }
    assert_eq!(found(&mut doctor(&service, &[&bearer(), NO_CLUSTER])).await.only("identity").0, "skipped");
}

/// Creates a user with these rights in a namespace, and returns its kubeconfig.
async fn may(cluster: &ControlPlane, namespace: &str, rules: Value) -> std::path::PathBuf {
    let user = format!("doctor-{}", fastrand::u64(..));
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": user, "namespace": namespace}, "rules": rules});
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": user, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": user},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    });
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [role, binding]}).to_string();
    let made = cluster.kubectl_with_input(&["create", "--filename=-"], &list).await.unwrap();
    assert!(made.success, "{}", made.stderr);
    cluster.kubeconfig_as(&user, &["system:authenticated"]).unwrap()
}

#[tokio::test]
async fn each_missing_right_and_the_leader_are_named() {
    let cluster = shared().await;
    let stage = Stage::open(crate::stage::seed(1)).await;
    let namespace = stage.namespace.as_str();
    let (watch, lease) = (format!("--watch-namespace={namespace}"), format!("--lease-namespace={namespace}"));
    let flags = [&bearer(), "--cluster=on", watch.as_str(), lease.as_str()];
    let ask = async |kubeconfig: &Path| found(doctor(&stage.simulator, &flags).env("KUBECONFIG", kubeconfig)).await;

    let none = may(cluster, namespace, json!([])).await;
    let none = ask(&none).await;
    let missing: Vec<String> = none.of("rights").into_iter().map(|(_, said)| said).collect();
    for right in [
        "list channelmemberships.rollcall.dev",
        "watch channelmemberships.rollcall.dev",
        "patch channelmemberships.rollcall.dev",
        "patch channelmemberships/status.rollcall.dev",
        "get configmaps",
        "list configmaps",
        "watch configmaps",
        "create events.events.k8s.io",
        "create leases.coordination.k8s.io",
        "get leases.coordination.k8s.io rollcall",
        "update leases.coordination.k8s.io rollcall",
    ] {
        let named = format!("not granted: {right} in namespace {namespace} |");
        assert!(missing.iter().any(|it| it.contains(&named)), "{right}: {missing:#?}");
    }
    assert_eq!((missing.len(), none.failed().len()), (11, 11));
    assert_eq!((none.only("leader").0, none.only("definition").0, none.only("cluster").0), ("skipped", "ok", "ok"));

    let all = may(cluster, namespace, json!([
        {"apiGroups": ["rollcall.dev"], "resources": ["channelmemberships"], "verbs": ["list", "watch", "patch"]},
        {"apiGroups": ["rollcall.dev"], "resources": ["channelmemberships/status"], "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": ["rollcall"], "verbs": ["get", "update"]},
    ])).await;
    assert_eq!(ask(&all).await.failed(), ["leader"], "no operator leads yet");
    let operator = stage.replica("first", None, &[]);
    let led = eventually("the operator leads", async || {
        let found = ask(&all).await;
        found.failed().is_empty().then_some(found)
    });
    let led = led.await;
    assert!(led.only("leader").1.contains(" first_"), "{:#?}", led.checks);
    assert_eq!(led.only("rights").0, "ok");
    operator.kill().await.unwrap();
    let left = eventually("the lease runs out", async || {
        let found = ask(&all).await;
        (!found.failed().is_empty()).then_some(found)
    });
    assert!(left.await.only("leader").1.contains("does not renew it any more"));
    // Cluster-wide rights are checked apart.
    let everywhere =
        found(doctor(&stage.simulator, &[&bearer(), "--cluster=auto", "--members-from=off"]).env("KUBECONFIG", &all))
            .await;
    assert_eq!(everywhere.failed().len(), 5, "{:#?}", everywhere.of("rights"));
    assert!(everywhere.of("rights").iter().all(|(_, said)| said.contains("in all namespaces")));
}

#[tokio::test]
async fn a_kind_the_cluster_does_not_serve_is_named() {
    let mut cluster = ControlPlane::start().await.unwrap();
    let service = service().await;
    let kubeconfig = cluster.kubeconfig();
    let ask = async |when: &str| found(doctor(&service, &[&bearer(), when]).env("KUBECONFIG", &kubeconfig)).await;
    let nothing = ask("--cluster=auto").await;
    assert_eq!(nothing.failed(), ["definition"]);
    assert!(nothing.only("definition").1.contains("does not know ChannelMembership"));
    cluster.install_crd_file("tests/data/crd-before-removal.yaml".as_ref()).await.unwrap();
    let older = eventually("the older CRD is served", async || {
        let found = ask("--cluster=on").await;
        found.only("definition").1.contains("is served without").then_some(found)
    });
    let older = older.await;
    assert!(older.only("definition").1.contains("spec.prune"), "{:#?}", older.checks);
    assert_eq!(older.failed(), ["definition"]);
    cluster.kill_apiserver();
    assert_eq!(ask("--cluster=auto").await.only("cluster").0, "skipped");
    assert_eq!(ask("--cluster=on").await.failed(), ["cluster"]);
    cluster.stop().await;
}

#[tokio::test]
async fn the_text_output_has_a_line_per_check_with_advice_below() {
    let service = service().await;
    let mut command = doctor(&service, &[&format!("--chime-bearer={}", user("ghost")), NO_CLUSTER, "--output=text"]);
    let output = command.output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\nfailed   bearer       1f/user/ghost: ListChannels answered Unauthorized: "), "{text}");
    assert!(text.contains("\n                      -> create the user or bot"), "{text}");
    assert!(text.ends_with("\n8 checks: 3 ok, 1 warning, 1 failed, 3 skipped\n"), "{text}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "error: 1 of 8 checks failed\n");
}
