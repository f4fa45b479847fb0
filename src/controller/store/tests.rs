use serde_json::Value;

use super::*;
use crate::controller::Scope;
use crate::controller::test_server::{self, ServerCall, ServerCalls, lines, refusal};
use crate::engine::resource::SourceText;

const CHANNEL: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/1f/channel/support";

fn store(answer: impl Fn(&ServerCall) -> (u16, Value) + Send + Sync + 'static) -> (ClusterStore, ServerCalls) {
    store_in(Scope::Cluster, answer)
}

fn store_in(
    scope: Scope,
    answer: impl Fn(&ServerCall) -> (u16, Value) + Send + Sync + 'static,
) -> (ClusterStore, ServerCalls) {
    let (cluster, calls) = test_server::cluster(scope, true, answer);
    let identity = Identity { namespace: "n".to_owned(), name: "a".to_owned(), uid: "u".to_owned() };
    (ClusterStore::new(cluster, identity, Arc::new(|| ())), calls)
}

fn version(text: &str) -> Version {
    Version(text.to_owned())
}

fn metadata(uid: &str, version: &str, finalizers: &[&str]) -> Value {
    json!({"metadata": {"name": "a", "uid": uid, "resourceVersion": version, "finalizers": finalizers}})
}

/// Returns a store whose API server answers the list and the patch of a change of finalizers.
fn with_finalizers(uid: &'static str, held: &'static [&'static str]) -> (ClusterStore, ServerCalls) {
    store(move |call| {
        if call.line.starts_with("GET") {
            (200, json!({"metadata": {}, "items": [metadata(uid, "7", held)]}))
        } else {
            (200, metadata(uid, "8", &[]))
        }
    })
}

#[tokio::test]
async fn status_write_is_bound_to_its_object_and_version() {
    let (mut store, calls) = store(|_| (200, metadata("u", "8", &[])));
    let status = ChannelMembershipStatus { present: Some(1), ..ChannelMembershipStatus::default() };
    assert_eq!(store.write_status(&status, Some(&version("7"))).await, Ok(version("8")));
    assert_eq!(store.write_status(&status, None).await, Ok(version("8")));
    let test = json!({"op": "test", "path": "/metadata/uid", "value": "u"});
    let basis = json!({"op": "replace", "path": "/metadata/resourceVersion", "value": "7"});
    let change = json!({"op": "add", "path": "/status", "value": {"present": 1}});
    let bodies: Vec<Value> = calls.lock().iter().map(|call| call.body.clone()).collect();
    assert_eq!(bodies, [json!([test, basis, change]), json!([test, change])]);
}

#[tokio::test]
async fn empty_version_never_matches_every_version() {
    let (mut store, calls) = store(|_| (200, metadata("u", "8", &[])));
    for none in ["", "0"] {
        let status = ChannelMembershipStatus::default();
        assert_eq!(store.write_status(&status, Some(&version(none))).await, Err(StoreError::Conflict));
    }
    assert!(lines(&calls).is_empty());
}

#[tokio::test]
async fn refusals_of_a_write_are_told_apart() {
    let kind = |result: Result<Version, StoreError>| match result.unwrap_err() {
        StoreError::Gone => "gone",
        StoreError::Conflict => "conflict",
        StoreError::Refused(_) => "refused",
        StoreError::Unavailable(_) => "unavailable",
    };
    // These are the answers of Kubernetes 1.36. A failed test of the UID names no object; an
    // invalid status or an older version names it.
    let table = [
        (404, Some("a"), "gone", "gone"),
        (422, None, "gone", "gone"),
        (422, Some("a"), "refused", "refused"),
        (409, Some("a"), "conflict", "unavailable"),
        (403, Some("a"), "refused", "refused"),
        (413, None, "refused", "refused"),
        (429, None, "unavailable", "unavailable"),
        (500, None, "unavailable", "unavailable"),
    ];
    for (code, name, based, unbased) in table {
        let (mut store, _) = store(move |_| refusal(code, name));
        let status = ChannelMembershipStatus::default();
        assert_eq!(kind(store.write_status(&status, Some(&version("7"))).await), based, "{code}");
        assert_eq!(kind(store.write_status(&status, None).await), unbased, "{code}");
    }
}

#[tokio::test]
async fn our_finalizer_changes_and_those_of_others_stay() {
    for (present, held, after) in [
        (true, &["example.com/other"][..], json!(["example.com/other", FINALIZER])),
        (true, &[], json!([FINALIZER])),
        (false, &[FINALIZER, "example.com/other"], json!(["example.com/other"])),
        (false, &[FINALIZER], json!([])),
    ] {
        let (mut store, calls) = with_finalizers("u", held);
        assert_eq!(store.set_finalizer(present, &version("7")).await, Ok(version("8")));
        let patch = calls.lock()[1].body.clone();
        assert_eq!(patch[1], json!({"op": "replace", "path": "/metadata/resourceVersion", "value": "7"}));
        assert_eq!(patch[2], json!({"op": "add", "path": "/metadata/finalizers", "value": after}));
    }
}

#[tokio::test]
async fn finalizer_is_not_written_if_it_is_right_already() {
    for (present, held) in [(true, &[FINALIZER][..]), (false, &["example.com/other"])] {
        let (mut store, calls) = with_finalizers("u", held);
        assert_eq!(store.set_finalizer(present, &version("7")).await, Ok(version("7")));
        assert_eq!(lines(&calls).len(), 1);
    }
}

#[tokio::test]
async fn finalizer_never_changes_in_another_version_or_object() {
    let (mut store, calls) = with_finalizers("u", &[]);
    assert_eq!(store.set_finalizer(true, &version("6")).await, Err(StoreError::Conflict));
    assert_eq!(lines(&calls).len(), 1);
    let (mut store, calls) = with_finalizers("another", &[]);
    assert_eq!(store.set_finalizer(true, &version("7")).await, Err(StoreError::Gone));
    assert_eq!(store.set_finalizer(false, &version("7")).await, Ok(version("7")), "nothing is left to take it off");
    assert_eq!(lines(&calls).len(), 2);
}

#[tokio::test]
async fn removal_of_our_finalizer_succeeds_if_the_object_is_gone() {
    let (mut store, _) = store(|call| {
        if call.line.starts_with("GET") {
            (200, json!({"metadata": {}, "items": [metadata("u", "7", &[FINALIZER])]}))
        } else {
            refusal(404, Some("a"))
        }
    });
    assert_eq!(store.set_finalizer(false, &version("7")).await, Ok(version("7")));
}

/// Returns a resource as the API server lists it.
fn listed(name: &str, spec: &Value) -> Value {
    let metadata = json!({
        "name": name, "namespace": "n", "uid": name, "generation": 3, "resourceVersion": "9",
        "creationTimestamp": "2026-01-02T03:04:05Z",
    });
    json!({"metadata": metadata, "spec": spec, "status": {"present": 1}})
}

#[tokio::test]
async fn all_pages_of_a_channels_resources_are_read_with_sources() {
    let sources = json!([{"configMapKeyRef": {"name": "on-call", "key": "a"}}, {"configMapKeyRef": {"name": "gone", "key": "a"}}]);
    let mut ending = listed("ending", &json!({"channelArn": CHANNEL, "membersFrom": sources}));
    ending["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:06Z");
    let first = listed("first", &json!({"channelArn": CHANNEL, "members": ["alice"], "later": 1}));
    let pages = [
        json!({"metadata": {"continue": "more"}, "items": [first, listed("bad", &json!({"channelArn": 7}))]}),
        json!({"metadata": {}, "items": [ending, listed("last", &json!({"channelArn": CHANNEL, "membersFrom": sources}))]}),
    ];
    let (mut store, calls) = store(move |call| {
        if call.line.ends_with("/configmaps/on-call") {
            (200, json!({"metadata": {"resourceVersion": "1"}, "data": {"a": "bob"}}))
        } else if call.line.contains("/configmaps/") {
            refusal(404, None)
        } else {
            (200, pages[usize::from(call.line.contains("continue=more"))].clone())
        }
    });

    let found = store.resources_of(&ChannelArn::parse(CHANNEL).unwrap()).await.unwrap();

    let names: Vec<&str> = found.iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["n/first", "n/bad", "n/ending", "n/last"]);
    assert_eq!(found[0].unknown_field.as_deref(), Some("later"));
    assert!(found[1].spec.as_ref().unwrap_err().contains("invalid type"));
    assert!(found[2].is_deleting() && found[2].sources.is_empty(), "it declares no members");
    let texts: Vec<&SourceText> = found[3].sources.iter().map(|source| &source.text).collect();
    let absent = SourceText::Absent("ConfigMap gone is not there".to_owned());
    assert_eq!(texts, [&SourceText::Read("bob".to_owned()), &absent]);
    assert_eq!((found[3].generation, &found[3].version), (3, &version("9")));
    let lists = lines(&calls).into_iter().filter(|line| line.contains("channelmemberships")).collect::<Vec<_>>();
    assert_eq!(lists.len(), 2, "{lists:?}");
    assert!(lists[0].starts_with("GET /apis/rollcall.dev/v1alpha1/channelmemberships?"), "{lists:?}");
    assert!(lists[0].contains("fieldSelector=spec.channelArn%3Darn%3Aaws%3Achime"), "{lists:?}");
    assert!(!lists.iter().any(|line| line.contains("resourceVersion")), "a read that no cache answers");
}

#[tokio::test]
async fn each_watched_namespace_is_read_once_and_must_answer() {
    let scope = Scope::Namespaces(["b", "a", "b"].map(str::to_owned).to_vec());
    let (mut store, calls) = store_in(scope, |call| {
        if call.line.contains("/namespaces/b/") {
            refusal(503, None)
        } else {
            (200, json!({"metadata": {}, "items": []}))
        }
    });
    let found = store.resources_of(&ChannelArn::parse(CHANNEL).unwrap()).await;
    assert!(matches!(found, Err(StoreError::Unavailable(_))), "{found:?}");
    let parts: Vec<bool> = lines(&calls).iter().map(|line| line.contains("/namespaces/b/")).collect();
    assert_eq!(parts, [false, true]);
}

#[tokio::test]
async fn read_of_a_channel_fails_while_a_source_cannot_be_read() {
    let (mut store, _) = store(|call| {
        if call.line.contains("/configmaps/") {
            refusal(500, None)
        } else {
            let spec =
                json!({"channelArn": CHANNEL, "membersFrom": [{"configMapKeyRef": {"name": "on-call", "key": "a"}}]});
            (200, json!({"metadata": {}, "items": [listed("one", &spec)]}))
        }
    });
    let found = store.resources_of(&ChannelArn::parse(CHANNEL).unwrap()).await;
    assert!(matches!(found, Err(StoreError::Unavailable(_))), "{found:?}");
}
