//! Checks that every store of resources must pass: the store of a cluster and the store in memory.
//!
//! Both test suites include this file and bring their own fixture. The tests in memory are valid
//! only as far as that memory behaves like an API server.

use std::mem::discriminant;

use super::{
    ChannelArn, ChannelMembershipSpec, ChannelMembershipStatus, ConfigMapKeyRef, FINALIZER, Removed, RemovedInHour,
    Resource, SourceRef, SourceText, Store, StoreError, Time, Timestamp, Version,
};

/// The finalizer of another controller.
const OTHER: &str = "example.com/other";

/// Changes and reads of a cluster with two namespaces, `0` and `1`.
pub trait StoreFixture {
    type Store: Store;

    /// Creates a resource.
    async fn create(&self, namespace: usize, name: &str, spec: ChannelMembershipSpec) -> SeenResource;
    /// Edits the spec of a resource. The edit may change nothing.
    async fn edit(&self, namespace: usize, name: &str, change: fn(&mut ChannelMembershipSpec)) -> SeenResource;
    /// Sets an annotation.
    async fn annotate(&self, namespace: usize, name: &str, value: &str) -> SeenResource;
    /// Replaces the finalizers of a resource.
    async fn set_finalizers(&self, namespace: usize, name: &str, finalizers: &[&str]) -> SeenResource;
    /// Deletes a resource.
    async fn delete(&self, namespace: usize, name: &str);
    /// Returns the resource of this name, if it exists.
    async fn find(&self, namespace: usize, name: &str) -> Option<SeenResource>;
    /// Writes a key of a ConfigMap.
    async fn set_source(&self, namespace: usize, config_map: &str, key: &str, text: &str);
    /// Returns a store of the resource with this UID.
    fn store(&self, seen: &SeenResource) -> Self::Store;
}

/// A resource as a user sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenResource {
    /// `namespace/name`.
    pub resource: String,
    pub uid: String,
    pub generation: i64,
    pub version: Version,
    pub spec: ChannelMembershipSpec,
    pub status: Option<ChannelMembershipStatus>,
    pub finalizers: Vec<String>,
    pub deleting: bool,
}

fn arn(channel: &str) -> String {
    format!("arn:aws:chime:us-east-1:123456789012:app-instance/1f/channel/{channel}")
}

fn spec(channel: &str) -> ChannelMembershipSpec {
    let members = Some(["alice", "bob"].iter().collect());
    ChannelMembershipSpec { channel_arn: arn(channel), members, ..ChannelMembershipSpec::default() }
}

fn present(count: u32) -> ChannelMembershipStatus {
    ChannelMembershipStatus { present: Some(count), ..ChannelMembershipStatus::default() }
}

async fn get<G: StoreFixture>(fixture: &G, name: &str) -> SeenResource {
    fixture.find(0, name).await.unwrap_or_else(|| panic!("there is no {name}"))
}

/// Runs all checks.
pub async fn check_store<G: StoreFixture>(fixture: &G) {
    status_write_needs_its_base_version(fixture).await;
    status_is_read_back_as_written(fixture).await;
    generation_grows_on_spec_change_and_deletion(fixture).await;
    write_never_reaches_another_uid_of_the_name(fixture).await;
    own_finalizer_is_set_and_removed_beside_others(fixture).await;
    deleted_resource_ends_with_its_last_finalizer(fixture).await;
    resources_of_a_channel_are_read_uncached(fixture).await;
}

async fn status_write_needs_its_base_version<G: StoreFixture>(fixture: &G) {
    let made = fixture.create(0, "status", spec("status")).await;
    assert_eq!(
        made.status.as_ref().and_then(|status| status.observed_generation),
        Some(-1),
        "no reconcile has seen it"
    );
    let mut store = fixture.store(&made);
    let first = store.write_status(&present(1), Some(&made.version)).await.unwrap();
    assert_eq!(first, get(fixture, "status").await.version, "the write returns the new version");
    assert_ne!(first, made.version);
    assert_eq!(store.write_status(&present(2), Some(&made.version)).await, Err(StoreError::Conflict));
    assert_eq!(
        store.write_status(&present(1), Some(&made.version)).await,
        Err(StoreError::Conflict),
        "an equal write conflicts too"
    );
    assert_eq!(
        store.write_status(&present(1), Some(&first)).await,
        Ok(first.clone()),
        "a write without a change keeps the version"
    );
    let annotated = fixture.annotate(0, "status", "a").await;
    assert_ne!(annotated.version, first);
    assert_eq!(store.write_status(&present(2), Some(&first)).await, Err(StoreError::Conflict));
    let none = Version::default();
    assert_eq!(
        store.write_status(&present(2), Some(&none)).await,
        Err(StoreError::Conflict),
        "an empty version is a version"
    );
    let second = store.write_status(&present(2), None).await.unwrap();
    let now = get(fixture, "status").await;
    assert_eq!((now.version, now.status.unwrap().present), (second, Some(2)));
    assert_eq!((now.spec, now.generation, now.uid), (made.spec, 1, made.uid), "nothing else has changed");
}

async fn status_is_read_back_as_written<G: StoreFixture>(fixture: &G) {
    let made = fixture.create(0, "kept", spec("kept")).await;
    let at = Time(Timestamp::from_second(1_767_323_045).unwrap());
    let full = ChannelMembershipStatus {
        present: Some(0),
        last_declared: Some(["alice", "bot/helper"].iter().collect()),
        last_declared_uid: Some(made.uid.clone()),
        last_declared_at: Some(at.clone()),
        removed: Some(Removed { count: 3, since: Some(at.clone()), hours: vec![RemovedInHour { from: at, count: 3 }] }),
        ..ChannelMembershipStatus::default()
    };
    let mut store = fixture.store(&made);
    store.write_status(&full, None).await.unwrap();
    assert_eq!(get(fixture, "kept").await.status, Some(full.clone()));
    // The new status replaces the whole old status: fields that are left out are removed.
    store.write_status(&present(1), None).await.unwrap();
    assert_eq!(get(fixture, "kept").await.status.unwrap().last_declared, None);
}

async fn generation_grows_on_spec_change_and_deletion<G: StoreFixture>(fixture: &G) {
    let made = fixture.create(0, "generation", spec("generation")).await;
    let edited = fixture.edit(0, "generation", |spec| spec.suspend = true).await;
    assert_eq!((made.generation, edited.generation), (1, 2));
    assert_eq!(
        fixture.edit(0, "generation", |spec| spec.suspend = true).await,
        edited,
        "an edit without a change writes nothing"
    );
    let mut store = fixture.store(&made);
    let on = store.set_finalizer(true, &edited.version).await.unwrap();
    store.write_status(&present(1), Some(&on)).await.unwrap();
    assert_eq!(fixture.annotate(0, "generation", "a").await.generation, 2);
    fixture.delete(0, "generation").await;
    let ending = get(fixture, "generation").await;
    assert_eq!((ending.generation, ending.deleting), (3, true));
    fixture.delete(0, "generation").await;
    assert_eq!(get(fixture, "generation").await, ending, "a second deletion changes nothing");
    store.set_finalizer(false, &ending.version).await.unwrap();
}

async fn write_never_reaches_another_uid_of_the_name<G: StoreFixture>(fixture: &G) {
    let made = fixture.create(0, "again", spec("again")).await;
    let mut store = fixture.store(&made);
    fixture.delete(0, "again").await;
    assert_eq!(store.write_status(&present(1), None).await, Err(StoreError::Gone));
    assert_eq!(store.set_finalizer(true, &made.version).await, Err(StoreError::Gone));
    let other = fixture.create(0, "again", spec("again")).await;
    assert_ne!(other.uid, made.uid);
    for basis in [None, Some(&other.version), Some(&made.version)] {
        assert_eq!(store.write_status(&present(1), basis).await, Err(StoreError::Gone), "{basis:?}");
    }
    assert_eq!(store.set_finalizer(true, &other.version).await, Err(StoreError::Gone));
    assert!(store.set_finalizer(false, &made.version).await.is_ok(), "the old object has no finalizer left");
    assert_eq!(get(fixture, "again").await, other);
}

async fn own_finalizer_is_set_and_removed_beside_others<G: StoreFixture>(fixture: &G) {
    let made = fixture.create(0, "finalizer", spec("finalizer")).await;
    let mut store = fixture.store(&made);
    let with_other = fixture.set_finalizers(0, "finalizer", &[OTHER]).await;
    assert_eq!(store.set_finalizer(true, &made.version).await, Err(StoreError::Conflict));
    assert_eq!(store.set_finalizer(false, &made.version).await, Err(StoreError::Conflict));
    assert_eq!(store.set_finalizer(false, &with_other.version).await, Ok(with_other.version.clone()), "no write");
    let on = store.set_finalizer(true, &with_other.version).await.unwrap();
    let now = get(fixture, "finalizer").await;
    assert_eq!((now.finalizers, &now.version), (vec![OTHER.to_owned(), FINALIZER.to_owned()], &on));
    assert_eq!(store.set_finalizer(true, &on).await, Ok(on.clone()), "no write");
    // Each write is based on the version of the write before it.
    let told = store.write_status(&present(1), Some(&on)).await.unwrap();
    let off = store.set_finalizer(false, &told).await.unwrap();
    let now = get(fixture, "finalizer").await;
    assert_eq!((now.finalizers, now.version, now.generation), (vec![OTHER.to_owned()], off, 1));
}

async fn deleted_resource_ends_with_its_last_finalizer<G: StoreFixture>(fixture: &G) {
    let made = fixture.create(0, "ending", spec("ending")).await;
    let mut store = fixture.store(&made);
    fixture.set_finalizers(0, "ending", &[OTHER, FINALIZER]).await;
    fixture.delete(0, "ending").await;
    let ending = get(fixture, "ending").await;
    assert!(ending.deleting);
    let told = store.write_status(&present(1), Some(&ending.version)).await.unwrap();
    let off = store.set_finalizer(false, &told).await.unwrap();
    let left = get(fixture, "ending").await;
    assert_eq!((left.finalizers.as_slice(), &left.version), ([OTHER.to_owned()].as_slice(), &off));
    let late = store.set_finalizer(true, &off).await;
    let refused = StoreError::Refused(String::new());
    assert!(late.as_ref().is_err_and(|error| discriminant(error) == discriminant(&refused)), "{late:?}");
    fixture.set_finalizers(0, "ending", &[]).await;
    assert_eq!(fixture.find(0, "ending").await, None);

    let made = fixture.create(0, "ending", spec("ending")).await;
    let mut store = fixture.store(&made);
    store.set_finalizer(true, &made.version).await.unwrap();
    fixture.delete(0, "ending").await;
    let ending = get(fixture, "ending").await;
    store.set_finalizer(false, &ending.version).await.unwrap();
    assert_eq!(fixture.find(0, "ending").await, None);
    assert!(store.set_finalizer(false, &ending.version).await.is_ok(), "it is gone already");
    assert_eq!(store.set_finalizer(true, &ending.version).await, Err(StoreError::Gone));
    assert_eq!(store.write_status(&present(1), Some(&ending.version)).await, Err(StoreError::Gone));
}

async fn resources_of_a_channel_are_read_uncached<G: StoreFixture>(fixture: &G) {
    let with_source = |key: &str, optional| {
        let mut spec = spec("team");
        let reference = ConfigMapKeyRef { name: "on-call".to_owned(), key: key.to_owned(), optional };
        spec.members_from = vec![SourceRef { config_map_key_ref: reference }];
        spec
    };
    fixture.set_source(0, "on-call", "members", "carol\n").await;
    let a = fixture.create(0, "a", with_source("members", false)).await;
    let b = fixture.create(0, "b", with_source("gone", true)).await;
    fixture.create(0, "other", spec("other")).await;
    let same_name = fixture.create(1, "a", with_source("members", false)).await;
    let ending = fixture.create(1, "ending", spec("team")).await;
    fixture.set_finalizers(1, "ending", &[OTHER]).await;
    fixture.delete(1, "ending").await;
    let mut store = fixture.store(&b);
    // The read sees a write of a moment ago.
    let b_version = store.write_status(&present(1), None).await.unwrap();

    let channel = ChannelArn::parse(&arn("team")).unwrap();
    let mut found = store.resources_of(&channel).await.unwrap();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    let mut expected = [&a, &b, &same_name, &ending];
    expected.sort_by(|a, b| a.resource.cmp(&b.resource));
    let names = |found: &[Resource]| found.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&found), expected.map(|it| it.resource.clone()));
    for (found, made) in found.iter().zip(expected) {
        let now = [0, 1].map(|namespace| fixture.find(namespace, made.resource.split('/').nth(1).unwrap()));
        let [here, there] = now;
        let now = [here.await, there.await].into_iter().flatten().find(|it| it.uid == made.uid).unwrap();
        assert_eq!((&found.uid, found.generation, &found.version), (&now.uid, now.generation, &now.version));
        assert_eq!((found.spec.as_ref(), found.is_deleting()), (Ok(&now.spec), now.uid == ending.uid));
        assert_eq!(found.unknown_field, None);
    }
    let source = |uid: &str| &found.iter().find(|it| it.uid == uid).unwrap().sources[0];
    assert_eq!(source(&a.uid).text, SourceText::Read("carol\n".to_owned()));
    assert!(matches!(&source(&b.uid).text, SourceText::Absent(what) if what.contains("no key gone")));
    assert!(source(&b.uid).reference.optional);
    let missing = &source(&same_name.uid).text;
    assert!(matches!(missing, SourceText::Absent(what) if what.contains("on-call is not there")), "{missing:?}");
    assert!(found.iter().any(|it| it.uid == b.uid && it.version == b_version));

    // Adds a source in the other namespace, deletes a resource, and creates one.
    fixture.set_source(1, "on-call", "members", "dora\n").await;
    fixture.delete(0, "a").await;
    fixture.create(0, "c", spec("team")).await;
    let found = store.resources_of(&channel).await.unwrap();
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|it| it.uid != a.uid) && found.iter().any(|it| it.name.ends_with("/c")));
    let there = found.iter().find(|it| it.uid == same_name.uid).unwrap();
    assert_eq!(there.sources[0].text, SourceText::Read("dora\n".to_owned()));
}
