//! Is what the README says to install enough, and no more than enough?

#[path = "support/control_plane.rs"]
mod control_plane;
#[path = "support/operator.rs"]
mod operator;

use std::time::Duration;

use control_plane::ControlPlane;
use operator::{Launch, Operator};
use rollcall::api::MembershipType;
use rollcall::simulator::{Options, Seed, Simulator};

const BEARER: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/demo/user/rollcall";
const IDENTITY: &str = "system:serviceaccount:rollcall:rollcall";

#[tokio::test]
async fn the_rights_of_the_install_manifest_are_enough_for_a_whole_life_and_reach_no_secret() {
    let cluster = ControlPlane::start().await.unwrap();
    cluster.install_crd_file("crds/channelmemberships.rollcall.dev.yaml".as_ref()).await.unwrap();
    let applied = cluster.kubectl(&["apply", "--server-side", "-f", "examples/install/rollcall.yaml"]).await.unwrap();
    assert!(applied.success, "{}", applied.stderr);
    let seed = Seed::from_yaml(&std::fs::read_to_string("examples/simulator/seed.yaml").unwrap()).unwrap();
    let service = Simulator::start(Options { seed, ..Options::default() }).await.unwrap();
    let kubeconfig = cluster.kubeconfig_as(IDENTITY, &["system:serviceaccounts", "system:authenticated"]).unwrap();
    let log = cluster.folder().join("operator.log");
    let launch = Launch {
        program: env!("CARGO_BIN_EXE_rollcall").as_ref(),
        kubeconfig: &kubeconfig,
        endpoint: &service.endpoint(),
        log: &log,
    };
    let operator = Operator::start(&launch, ["--chime-bearer", BEARER]).unwrap();
    let manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: on-call}, data: {members: carol}}\n---\n\
                    {apiVersion: rollcall.dev/v1alpha1, kind: ChannelMembership, metadata: {name: support}, spec: {channelArn: \
                    'arn:aws:chime:us-east-1:123456789012:app-instance/demo/channel/support', members: [bob, ghost], \
                    membersFrom: [{configMapKeyRef: {name: on-call, key: members}}], prune: Owned, deletionPolicy: Prune}}";
    let applied = cluster.kubectl_with_input(&["apply", "--server-side", "-f", "-"], manifest).await.unwrap();
    assert!(applied.success, "{}", applied.stderr);
    let told =
        ["wait", "--for=create", "events.events.k8s.io", "--field-selector=reason=MembersRefused", "--timeout=60s"];
    let events = cluster.kubectl(&told).await.unwrap();
    assert!(events.success, "{}\n{}", events.stderr, operator.log());
    let present = ["get", "chm", "support", "-o", "jsonpath={.status.present}"];
    assert_eq!(cluster.kubectl(&present).await.unwrap().stdout, "2");
    let deleted = cluster.kubectl(&["delete", "chm", "support", "--timeout=60s"]).await.unwrap();
    assert!(deleted.success, "{}\n{}", deleted.stderr, operator.log());
    let channel = "arn:aws:chime:us-east-1:123456789012:app-instance/demo/channel/support";
    let left = service.members(channel, MembershipType::Default);
    assert!(!left.iter().any(|arn| arn.ends_with("/bob") || arn.ends_with("/carol")), "{left:?}");
    for (verb, resource, answer) in [
        ("patch", "channelmemberships", "yes"),
        ("get", "configmaps", "yes"),
        ("list", "configmaps", "yes"),
        ("watch", "configmaps", "yes"),
        ("get", "secrets", "no"),
        ("patch", "configmaps", "no"),
        ("update", "channelmemberships", "no"),
        ("delete", "channelmemberships", "no"),
        ("delete", "events", "no"),
    ] {
        let asked = cluster.kubectl(&["auth", "can-i", verb, resource, "--as", IDENTITY]).await.unwrap();
        assert_eq!(asked.stdout.trim(), answer, "{verb} {resource}");
    }
    assert!(!operator.log().contains("the watch"), "{}", operator.log());
    assert!(tokio::time::timeout(Duration::from_secs(20), operator.stop()).await.unwrap().unwrap());
}
