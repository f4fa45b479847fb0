//! The program resolves a server's name inside the image, and trusts the server by the image's
//! certificates.

use std::process::Command;

use serde_json::{Value, json};

use crate::host::{Node, said};
use crate::release::{changes, declare, members, until_ready};

/// This name exists only in the cluster's DNS.
const NAME: &str = "chime.tls.svc.cluster.local";
/// The address of the node's programs.
const ADDRESS: &str = "10.89.0.2";
const PORT: u16 = 8443;
/// The path of Debian's certificates in the image.
const CERTIFICATES: &str = "/etc/ssl/certs";

/// A second release calls the simulator of the first as it would call AWS: by name and TLS. It uses
/// the certificates of the image, and then the server's authority in their place.
pub fn resolves_the_service_and_trusts_the_certificates_of_the_image(node: &mut Node) {
    // The first release watches one namespace, so that the second may watch another.
    super::upgrade(node, &["--set=watchNamespaces={care}"]);
    for namespace in ["tls", "sales"] {
        node.kubectl(&["create", "namespace", namespace]);
    }
    serve(node);
    let before = changes(node);
    install(node, &json!([]), &json!([]));
    declare(node, "sales", "sales", &["alice", "erin", "frank"]);
    // The server answered by TLS, and Debian's authorities do not vouch for it. The leading pod
    // says so.
    let logs = || node.kubectl(&["logs", "--selector=app.kubernetes.io/instance=tls", "--namespace=tls", "--tail=-1"]);
    node.until("the server is not trusted", logs, |logs| logs.contains("UnknownIssuer"));
    assert_eq!(changes(node), before);

    let volume = json!([{"name": "authority", "configMap": {"name": "authority"}}]);
    let mount = json!([{"name": "authority", "mountPath": CERTIFICATES, "readOnly": true}]);
    install(node, &volume, &mount);
    until_ready(node, "sales", "sales");
    assert_eq!(members(node), ["alice", "erin", "frank"]);

    // The release goes without a removal.
    let before = changes(node);
    node.helm(&["uninstall", "tls", "--namespace=tls", "--wait", "--timeout=15m"]);
    node.kubectl(&["delete", "namespace", "sales", "tls", "--timeout=15m"]);
    assert_eq!(changes(node), before);
}

fn install(node: &Node, volumes: &Value, mounts: &Value) {
    let values = json!({
        "image": {"repository": super::IMAGE},
        "crds": {"enabled": false},
        "watchNamespaces": ["sales"],
        "chimeBearers": ["arn:aws:chime:us-east-1:123456789012:app-instance/demo/user/rollcall"],
        "aws": {"endpointUrl": format!("https://{NAME}")},
        "extraEnv": [
            {"name": "AWS_ACCESS_KEY_ID", "value": "simulator"},
            {"name": "AWS_SECRET_ACCESS_KEY", "value": "simulator"},
        ],
        "extraVolumes": volumes,
        "extraVolumeMounts": mounts,
    });
    let values = format!("--values={}", node.file("tls-values.json", &values.to_string()).display());
    let arguments =
        ["upgrade", "--install", "tls", super::CHART, "--namespace=tls", &values, "--wait", "--timeout=15m"];
    node.helm(&arguments);
}

/// Serves the simulator by TLS beside the node, as a Service of that name.
fn serve(node: &mut Node) {
    let openssl =
        |arguments: &[&str]| said(&Command::new("openssl").args(arguments).output().unwrap(), || NAME.to_owned());
    let path = |name: &str| node.file(name, "").display().to_string();
    let (authority, authority_key) = (path("authority.pem"), path("authority.key"));
    let (certificate, key) = (path("server.pem"), path("server.key"));
    let new = ["req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "1"];
    openssl(&[&new[..], &["-subj", "/CN=authority", "-keyout", &authority_key, "-out", &authority]].concat());
    let name = format!("subjectAltName=DNS:{NAME}");
    let server = ["-subj", "/CN=server", "-addext", &name, "-addext", "basicConstraints=critical,CA:FALSE"];
    let by = ["-CA", &authority, "-CAkey", &authority_key, "-keyout", &key, "-out", &certificate];
    openssl(&[&new[..], &server, &by].concat());
    let from = format!("--from-file=ca-certificates.crt={authority}");
    node.kubectl(&["create", "configmap", "authority", "--namespace=tls", &from]);

    let simulator = node.get(&["service", "rollcall-simulator", "--namespace=rollcall"]);
    let simulator = simulator["spec"]["clusterIP"].as_str().unwrap();
    let listen = format!("OPENSSL-LISTEN:{PORT},bind={ADDRESS},reuseaddr,fork,verify=0,cert={certificate},key={key}");
    let mut socat = node.program("socat");
    node.keep(socat.args([&listen, &format!("TCP:{simulator}:4010")]));
    node.apply(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "chime", "namespace": "tls"},
        "spec": {"ports": [{"port": 443}]},
    }));
    node.apply(&json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "chime", "namespace": "tls", "labels": {"kubernetes.io/service-name": "chime"}},
        "ports": [{"port": PORT}],
        "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": true}}],
    }));
}
