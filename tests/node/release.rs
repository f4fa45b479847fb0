//! A release on the node, as it looks from outside of its pods.

use serde_json::{Value, json};

use crate::host::Node;

pub const CHANNEL: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/demo/channel/support";
const OPERATORS: &str = "--selector=app.kubernetes.io/instance=rollcall,app.kubernetes.io/component=operator";
const SIMULATOR: &str = "/api/v1/namespaces/rollcall/services/rollcall-simulator:4010/proxy/_admin";

/// Returns the operator's pods that are ready and not being deleted.
pub fn ready(node: &Node) -> Vec<String> {
    let pods = node.get(&["pods", "--namespace=rollcall", OPERATORS]);
    let is_ready = |pod: &&Value| {
        let conditions = pod["status"]["conditions"].as_array();
        pod["metadata"]["deletionTimestamp"].is_null()
            && conditions.into_iter().flatten().any(|it| it["type"] == "Ready" && it["status"] == "True")
    };
    let name = |pod: &Value| pod["metadata"]["name"].as_str().unwrap().to_owned();
    pods["items"].as_array().unwrap().iter().filter(is_ready).map(name).collect()
}

/// Returns the leading pod by its Lease.
pub fn leader(node: &Node) -> String {
    let lease = node.get(&["lease", "rollcall", "--namespace=rollcall"]);
    let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
    // Each start of a pod adds a suffix of its own.
    holder.split('_').next().unwrap_or_default().to_owned()
}

/// Returns the value of a metric without labels from a pod.
pub fn metric(node: &Node, pod: &str, name: &str) -> Option<f64> {
    let page = node.kubectl(&["get", "--raw", &format!("/api/v1/namespaces/rollcall/pods/{pod}:8080/proxy/metrics")]);
    page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// Declares the members of the channel in a resource of this name and namespace.
pub fn declare(node: &Node, namespace: &str, name: &str, members: &[&str]) {
    node.apply(&json!({
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "ChannelMembership",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"channelArn": CHANNEL, "members": members, "prune": "Owned", "deletionPolicy": "Delete", "limits": {"removals": "100%"}},
    }));
}

/// Waits until the current generation of a resource is ready.
pub fn until_ready(node: &Node, namespace: &str, name: &str) {
    let look = || node.get(&["channelmembership", name, "--namespace", namespace]);
    node.until(&format!("{namespace}/{name} is ready"), look, |it| {
        let ready = it["status"]["conditions"].as_array().into_iter().flatten().find(|it| it["type"] == "Ready");
        let generation = &it["metadata"]["generation"];
        it["status"]["observedGeneration"] == *generation
            && ready.is_some_and(|it| it["status"] == "True" && it["observedGeneration"] == *generation)
    });
}

/// Returns the ids of the members of the channel.
pub fn members(node: &Node) -> Vec<String> {
    let page = simulator(node, &format!("members?channel={CHANNEL}"));
    page.as_array().unwrap().iter().map(|arn| arn.as_str().unwrap().rsplit('/').next().unwrap().to_owned()).collect()
}

/// Returns the number of additions and removals so far.
pub fn changes(node: &Node) -> u64 {
    simulator(node, "log?last=1")[0]["number"].as_u64().unwrap_or_default()
}

fn simulator(node: &Node, page: &str) -> Value {
    serde_json::from_str(&node.kubectl(&["get", "--raw", &format!("{SIMULATOR}/{page}")])).unwrap()
}
