//! The contents of ConfigMaps.

use std::collections::{BTreeMap, HashMap};

use http::{Request, StatusCode};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Resource as _;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::cluster::{CallFailure, Cluster};
use super::object::version_number;
use crate::api::ConfigMapKeyRef;
use crate::engine::resource::{Source, SourceText};

/// The longest name of a ConfigMap (Kubernetes, object names: DNS subdomain).
const MAX_NAME_BYTES: usize = 253;

/// The namespace and name of a ConfigMap.
pub(crate) type ConfigMapId = (String, String);

/// The sources that one call read.
#[derive(Debug)]
pub(crate) struct Reading {
    /// The contents of each requested key, in the order of the request.
    pub sources: Vec<Source>,
    /// The version of each ConfigMap; `None` for a ConfigMap that is absent or cannot be read.
    pub versions: HashMap<ConfigMapId, Option<u64>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Contents {
    metadata: Metadata,
    #[serde(default)]
    data: Option<HashMap<String, String>>,
    #[serde(default)]
    #[expect(clippy::zero_sized_map_values, reason = "JSON has maps and no sets")]
    binary_data: Option<HashMap<String, IgnoredAny>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    resource_version: String,
}

impl Cluster {
    /// Reads keys of ConfigMaps, each given with its namespace. Each ConfigMap is read once and
    /// uncached. Fails if the API server does not answer.
    pub(crate) async fn read_keys(&self, wanted: &[(&str, &ConfigMapKeyRef)]) -> Result<Reading, CallFailure> {
        let unread =
            SourceText::Unreadable("the operator reads no ConfigMaps: it runs with --members-from=off".to_owned());
        let unread =
            |reference: &ConfigMapKeyRef| Source { reference: reference.clone(), version: None, text: unread.clone() };
        let mut sources: Vec<Source> = wanted.iter().map(|(_, reference)| unread(reference)).collect();
        let mut versions = HashMap::new();
        if !self.reads_sources {
            return Ok(Reading { sources, versions });
        }
        let mut places: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
        for (index, (namespace, reference)) in wanted.iter().enumerate() {
            places.entry((namespace, &reference.name)).or_default().push(index);
        }
        for ((namespace, name), indices) in places {
            let contents = self.read_config_map(namespace, name).await?;
            // A ConfigMap that must not be read counts as absent: once a watch shows it, another
            // read is worth a try.
            let there = contents.as_ref().ok().and_then(Option::as_ref);
            let version = there.map(|contents| version_number(&contents.metadata.resource_version));
            for index in indices {
                sources[index].version = version;
                sources[index].text = match &contents {
                    Ok(contents) => text(contents.as_ref(), wanted[index].1),
                    Err(why) => SourceText::Unreadable(why.clone()),
                };
            }
            versions.insert((namespace.to_owned(), name.to_owned()), version);
        }
        Ok(Reading { sources, versions })
    }

    /// Reads a ConfigMap. Returns `None` if it is absent, or why it cannot be read.
    async fn read_config_map(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Result<Option<Contents>, String>, CallFailure> {
        // The name becomes part of a path, so nothing but a valid name may be used.
        if !is_name(name) {
            return Ok(Err(format!("{name:?} is not a valid name of a ConfigMap")));
        }
        let path = format!("{}/{name}", ConfigMap::url_path(&(), Some(namespace)));
        let request = match Request::get(path).body(Vec::new()) {
            Ok(request) => request,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let failure = match self.limited(|| self.client.request::<Contents>(request)).await {
            Ok(contents) => return Ok(Ok(Some(contents))),
            Err(failure) => failure,
        };
        match failure.code() {
            Some(StatusCode::NOT_FOUND) => Ok(Ok(None)),
            Some(StatusCode::FORBIDDEN) => Ok(Err(format!(
                "ConfigMap {name}: this process has no permission to read it; grant get, list and watch on configmaps \
                 in namespace {namespace}"
            ))),
            Some(StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::UNAUTHORIZED) => {
                Err(failure)
            }
            Some(code) if code.is_client_error() => Ok(Err(format!("ConfigMap {name}: {failure}"))),
            _ => Err(failure),
        }
    }
}

fn text(contents: Option<&Contents>, reference: &ConfigMapKeyRef) -> SourceText {
    let Some(contents) = contents else { return SourceText::no_map(reference) };
    let text = contents.data.as_ref().and_then(|data| data.get(&reference.key));
    let is_binary = contents.binary_data.as_ref().is_some_and(|data| data.contains_key(&reference.key));
    SourceText::of_map(reference, text.map(String::as_str), is_binary)
}

/// Returns whether this can be the name of a ConfigMap: a DNS subdomain (Kubernetes, object names).
fn is_name(name: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let label = |label: &str| {
        label.bytes().all(|b| alphanumeric(b) || b == b'-')
            && label.bytes().next().is_some_and(alphanumeric)
            && label.bytes().next_back().is_some_and(alphanumeric)
    };
    name.len() <= MAX_NAME_BYTES && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::controller::Scope;
    use crate::controller::test_server::{self, lines, refusal};

    /// Returns a cluster whose API server gives this answer to every call.
    fn cluster(status: u16, body: Value, reads_sources: bool) -> (Arc<Cluster>, test_server::ServerCalls) {
        test_server::cluster(Scope::Cluster, reads_sources, move |_| (status, body.clone()))
    }

    fn refusing(code: u16) -> Arc<Cluster> {
        test_server::cluster(Scope::Cluster, true, move |_| refusal(code, None)).0
    }

    fn key(name: &str, key: &str) -> ConfigMapKeyRef {
        ConfigMapKeyRef { name: name.to_owned(), key: key.to_owned(), optional: false }
    }

    async fn one(cluster: &Cluster, reference: &ConfigMapKeyRef) -> SourceText {
        cluster.read_keys(&[("n", reference)]).await.unwrap().sources.remove(0).text
    }

    #[tokio::test]
    async fn keys_of_one_config_map_are_read_in_one_call_in_their_order() {
        let body = json!({"metadata": {"resourceVersion": "7"}, "data": {"a": "alice", "b": "bob"}});
        let (cluster, asked) = cluster(200, body, true);
        let (a, other, b) = (key("on-call", "a"), key("other", "a"), key("on-call", "b"));
        let reading = cluster.read_keys(&[("n", &b), ("n", &other), ("n", &a), ("n", &b)]).await.unwrap();
        let text = |text: &str| SourceText::Read(text.to_owned());
        let texts: Vec<SourceText> = reading.sources.into_iter().map(|source| source.text).collect();
        assert_eq!(texts, [text("bob"), text("alice"), text("alice"), text("bob")]);
        assert_eq!(
            lines(&asked),
            ["GET /api/v1/namespaces/n/configmaps/on-call", "GET /api/v1/namespaces/n/configmaps/other"]
        );
        assert_eq!(reading.versions[&("n".to_owned(), "on-call".to_owned())], Some(7));
    }

    #[tokio::test]
    async fn absent_source_differs_from_an_unreadable_source() {
        let body = json!({"metadata": {}, "binaryData": {"key": "AA=="}});
        let (there, _) = cluster(200, body, true);
        let told = |text: SourceText| match text {
            SourceText::Read(text) => panic!("read {text}"),
            SourceText::Absent(why) => ("absent", why),
            SourceText::Unreadable(why) => ("unreadable", why),
        };
        let absent = told(one(&there, &key("on-call", "x")).await);
        assert_eq!(absent, ("absent", "ConfigMap on-call has no key x".to_owned()));
        let (kind, why) = told(one(&there, &key("on-call", "key")).await);
        assert_eq!((kind, why.contains("binaryData")), ("unreadable", true), "{why}");
        let gone = told(one(&refusing(404), &key("on-call", "x")).await);
        assert_eq!(gone, ("absent", "ConfigMap on-call is not there".to_owned()));
        let (kind, why) = told(one(&refusing(403), &key("on-call", "x")).await);
        assert_eq!((kind, why.contains("get, list and watch on configmaps")), ("unreadable", true), "{why}");
        let huge = json!({"metadata": {}, "data": {"key": "x".repeat((1 << 20) + 1)}});
        assert_eq!(told(one(&cluster(200, huge, true).0, &key("on-call", "key")).await).0, "unreadable");
    }

    #[tokio::test]
    async fn source_is_not_absent_while_the_api_server_fails() {
        for code in [401, 408, 429, 500, 503] {
            let away = refusing(code);
            assert!(away.read_keys(&[("n", &key("on-call", "x"))]).await.is_err(), "{code}");
        }
    }

    #[tokio::test]
    async fn nothing_is_read_with_members_from_off() {
        let (off, asked) = cluster(200, json!({"metadata": {}, "data": {"x": "alice"}}), false);
        let SourceText::Unreadable(why) = one(&off, &key("on-call", "x")).await else { panic!("it was read") };
        assert!(why.contains("--members-from=off"), "{why}");
        assert!(lines(&asked).is_empty());
    }

    #[tokio::test]
    async fn invalid_name_never_becomes_part_of_a_path() {
        let (cluster, asked) = cluster(200, json!({"metadata": {}, "data": {"x": "alice"}}), true);
        for bad in ["../secrets/token", "a/b", "a?b", "..", ".", "a..b", "-a", "A", "", "ä", &"a".repeat(254)] {
            assert!(matches!(one(&cluster, &key(bad, "x")).await, SourceText::Unreadable(_)), "{bad}");
        }
        assert!(lines(&asked).is_empty());
        assert!(is_name("kube-root-ca.crt") && is_name("0"));
    }
}
