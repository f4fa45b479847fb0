//! What must every store of resources do, that of a cluster and the one in memory alike?
//!
//! Both sides include this file and stand on a ground of their own: the operator's tests in memory are worth as much as that
//! memory is like an API server.

use std::mem::discriminant;

use super::{
    ChannelArn, ChannelMembershipSpec, ChannelMembershipStatus, ConfigMapKeyRef, FINALIZER, Removed, RemovedInHour,
    Resource, SourceRef, SourceText, Store, StoreError, Time, Timestamp, Version,
};

/// Somebody else's.
const OTHER: &str = "example.com/other";

/// What people do with a cluster of two namespaces, `0` and `1`, and what they see of it.
pub trait Ground {
    type Store: Store;

    /// Creates a resource.
    async fn create(&self, namespace: usize, name: &str, spec: ChannelMembershipSpec) -> Seen;
    /// Edits its spec, or does as if.
    async fn edit(&self, namespace: usize, name: &str, change: fn(&mut ChannelMembershipSpec)) -> Seen;
    /// Sets an annotation.
    async fn annotate(&self, namespace: usize, name: &str, value: &str) -> Seen;
    /// Puts these finalizers on, and takes all others off.
    async fn set_finalizers(&self, namespace: usize, name: &str, finalizers: &[&str]) -> Seen;
    /// Deletes it.
    async fn delete(&self, namespace: usize, name: &str);
    /// The resource, if there is one of this name.
    async fn find(&self, namespace: usize, name: &str) -> Option<Seen>;
    /// Writes a key of a ConfigMap.
    async fn set_source(&self, namespace: usize, config_map: &str, key: &str, text: &str);
    /// A store of the very resource that was seen.
    fn store(&self, seen: &Seen) -> Self::Store;
}

/// A resource as people see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
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

async fn get<G: Ground>(ground: &G, name: &str) -> Seen {
    ground.find(0, name).await.unwrap_or_else(|| panic!("there is no {name}"))
}

/// All of it.
pub async fn holds<G: Ground>(ground: &G) {
    a_status_is_written_on_its_basis_or_not_at_all(ground).await;
    what_is_read_of_a_status_is_what_was_written(ground).await;
    a_generation_is_of_the_spec_and_of_a_deletion(ground).await;
    another_of_the_same_name_is_never_written(ground).await;
    our_finalizer_goes_on_and_off_beside_others(ground).await;
    a_deleted_resource_ends_with_its_last_finalizer(ground).await;
    the_resources_of_a_channel_are_those_that_stand_now(ground).await;
}

async fn a_status_is_written_on_its_basis_or_not_at_all<G: Ground>(ground: &G) {
    let made = ground.create(0, "status", spec("status")).await;
    assert_eq!(made.status.as_ref().and_then(|status| status.observed_generation), Some(-1), "it was never looked at");
    let mut store = ground.store(&made);
    let first = store.write_status(&present(1), Some(&made.version)).await.unwrap();
    assert_eq!(first, get(ground, "status").await.version, "the version is that of the write");
    assert_ne!(first, made.version);
    assert_eq!(store.write_status(&present(2), Some(&made.version)).await, Err(StoreError::Conflict));
    assert_eq!(store.write_status(&present(1), Some(&made.version)).await, Err(StoreError::Conflict), "nor the same");
    assert_eq!(store.write_status(&present(1), Some(&first)).await, Ok(first.clone()), "what changes nothing");
    let annotated = ground.annotate(0, "status", "a").await;
    assert_ne!(annotated.version, first);
    assert_eq!(store.write_status(&present(2), Some(&first)).await, Err(StoreError::Conflict));
    let none = Version::default();
    assert_eq!(store.write_status(&present(2), Some(&none)).await, Err(StoreError::Conflict), "no version is none");
    let second = store.write_status(&present(2), None).await.unwrap();
    let now = get(ground, "status").await;
    assert_eq!((now.version, now.status.unwrap().present), (second, Some(2)));
    assert_eq!((now.spec, now.generation, now.uid), (made.spec, 1, made.uid), "nothing else has changed");
}

async fn what_is_read_of_a_status_is_what_was_written<G: Ground>(ground: &G) {
    let made = ground.create(0, "kept", spec("kept")).await;
    let at = Time(Timestamp::from_second(1_767_323_045).unwrap());
    let full = ChannelMembershipStatus {
        present: Some(0),
        last_declared: Some(["alice", "bot/helper"].iter().collect()),
        last_declared_uid: Some(made.uid.clone()),
        last_declared_at: Some(at.clone()),
        removed: Some(Removed { count: 3, since: Some(at.clone()), hours: vec![RemovedInHour { from: at, count: 3 }] }),
        ..ChannelMembershipStatus::default()
    };
    let mut store = ground.store(&made);
    store.write_status(&full, None).await.unwrap();
    assert_eq!(get(ground, "kept").await.status, Some(full.clone()));
    // The whole is put in the place of the whole: what is left out is gone.
    store.write_status(&present(1), None).await.unwrap();
    assert_eq!(get(ground, "kept").await.status.unwrap().last_declared, None);
}

async fn a_generation_is_of_the_spec_and_of_a_deletion<G: Ground>(ground: &G) {
    let made = ground.create(0, "generation", spec("generation")).await;
    let edited = ground.edit(0, "generation", |spec| spec.suspend = true).await;
    assert_eq!((made.generation, edited.generation), (1, 2));
    assert_eq!(ground.edit(0, "generation", |spec| spec.suspend = true).await, edited, "no change is no write");
    let mut store = ground.store(&made);
    let on = store.set_finalizer(true, &edited.version).await.unwrap();
    store.write_status(&present(1), Some(&on)).await.unwrap();
    assert_eq!(ground.annotate(0, "generation", "a").await.generation, 2);
    ground.delete(0, "generation").await;
    let ending = get(ground, "generation").await;
    assert_eq!((ending.generation, ending.deleting), (3, true));
    ground.delete(0, "generation").await;
    assert_eq!(get(ground, "generation").await, ending, "deleted twice is deleted once");
    store.set_finalizer(false, &ending.version).await.unwrap();
}

async fn another_of_the_same_name_is_never_written<G: Ground>(ground: &G) {
    let made = ground.create(0, "again", spec("again")).await;
    let mut store = ground.store(&made);
    ground.delete(0, "again").await;
    assert_eq!(store.write_status(&present(1), None).await, Err(StoreError::Gone));
    assert_eq!(store.set_finalizer(true, &made.version).await, Err(StoreError::Gone));
    let other = ground.create(0, "again", spec("again")).await;
    assert_ne!(other.uid, made.uid);
    for basis in [None, Some(&other.version), Some(&made.version)] {
        assert_eq!(store.write_status(&present(1), basis).await, Err(StoreError::Gone), "{basis:?}");
    }
    assert_eq!(store.set_finalizer(true, &other.version).await, Err(StoreError::Gone));
    assert!(store.set_finalizer(false, &made.version).await.is_ok(), "it is on nothing of ours");
    assert_eq!(get(ground, "again").await, other);
}

async fn our_finalizer_goes_on_and_off_beside_others<G: Ground>(ground: &G) {
    let made = ground.create(0, "finalizer", spec("finalizer")).await;
    let mut store = ground.store(&made);
    let with_other = ground.set_finalizers(0, "finalizer", &[OTHER]).await;
    assert_eq!(store.set_finalizer(true, &made.version).await, Err(StoreError::Conflict));
    assert_eq!(store.set_finalizer(false, &made.version).await, Err(StoreError::Conflict));
    assert_eq!(store.set_finalizer(false, &with_other.version).await, Ok(with_other.version.clone()), "no write");
    let on = store.set_finalizer(true, &with_other.version).await.unwrap();
    let now = get(ground, "finalizer").await;
    assert_eq!((now.finalizers, &now.version), (vec![OTHER.to_owned(), FINALIZER.to_owned()], &on));
    assert_eq!(store.set_finalizer(true, &on).await, Ok(on.clone()), "no write");
    // Each write takes the version that the one before it made.
    let told = store.write_status(&present(1), Some(&on)).await.unwrap();
    let off = store.set_finalizer(false, &told).await.unwrap();
    let now = get(ground, "finalizer").await;
    assert_eq!((now.finalizers, now.version, now.generation), (vec![OTHER.to_owned()], off, 1));
}

async fn a_deleted_resource_ends_with_its_last_finalizer<G: Ground>(ground: &G) {
    let made = ground.create(0, "ending", spec("ending")).await;
    let mut store = ground.store(&made);
    ground.set_finalizers(0, "ending", &[OTHER, FINALIZER]).await;
    ground.delete(0, "ending").await;
    let ending = get(ground, "ending").await;
    assert!(ending.deleting);
    let told = store.write_status(&present(1), Some(&ending.version)).await.unwrap();
    let off = store.set_finalizer(false, &told).await.unwrap();
    let left = get(ground, "ending").await;
    assert_eq!((left.finalizers.as_slice(), &left.version), ([OTHER.to_owned()].as_slice(), &off));
    let late = store.set_finalizer(true, &off).await;
    let refused = StoreError::Refused(String::new());
    assert!(late.as_ref().is_err_and(|error| discriminant(error) == discriminant(&refused)), "{late:?}");
    ground.set_finalizers(0, "ending", &[]).await;
    assert_eq!(ground.find(0, "ending").await, None);

    let made = ground.create(0, "ending", spec("ending")).await;
    let mut store = ground.store(&made);
    store.set_finalizer(true, &made.version).await.unwrap();
    ground.delete(0, "ending").await;
    let ending = get(ground, "ending").await;
    store.set_finalizer(false, &ending.version).await.unwrap();
    assert_eq!(ground.find(0, "ending").await, None);
    assert!(store.set_finalizer(false, &ending.version).await.is_ok(), "it is gone already");
    assert_eq!(store.set_finalizer(true, &ending.version).await, Err(StoreError::Gone));
    assert_eq!(store.write_status(&present(1), Some(&ending.version)).await, Err(StoreError::Gone));
}

async fn the_resources_of_a_channel_are_those_that_stand_now<G: Ground>(ground: &G) {
    let with_source = |key: &str, optional| {
        let mut spec = spec("team");
        let reference = ConfigMapKeyRef { name: "on-call".to_owned(), key: key.to_owned(), optional };
        spec.members_from = vec![SourceRef { config_map_key_ref: reference }];
        spec
    };
    ground.set_source(0, "on-call", "members", "carol\n").await;
    let a = ground.create(0, "a", with_source("members", false)).await;
    let b = ground.create(0, "b", with_source("gone", true)).await;
    ground.create(0, "other", spec("other")).await;
    let same_name = ground.create(1, "a", with_source("members", false)).await;
    let ending = ground.create(1, "ending", spec("team")).await;
    ground.set_finalizers(1, "ending", &[OTHER]).await;
    ground.delete(1, "ending").await;
    let mut store = ground.store(&b);
    // What was written a moment ago is seen.
    let b_version = store.write_status(&present(1), None).await.unwrap();

    let channel = ChannelArn::parse(&arn("team")).unwrap();
    let mut found = store.resources_of(&channel).await.unwrap();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    let mut expected = [&a, &b, &same_name, &ending];
    expected.sort_by(|a, b| a.resource.cmp(&b.resource));
    let names = |found: &[Resource]| found.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&found), expected.map(|it| it.resource.clone()));
    for (found, made) in found.iter().zip(expected) {
        let now = [0, 1].map(|namespace| ground.find(namespace, made.resource.split('/').nth(1).unwrap()));
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

    // A source in another place, a resource that goes, and one that comes.
    ground.set_source(1, "on-call", "members", "dora\n").await;
    ground.delete(0, "a").await;
    ground.create(0, "c", spec("team")).await;
    let found = store.resources_of(&channel).await.unwrap();
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|it| it.uid != a.uid) && found.iter().any(|it| it.name.ends_with("/c")));
    let there = found.iter().find(|it| it.uid == same_name.uid).unwrap();
    assert_eq!(there.sources[0].text, SourceText::Read("dora\n".to_owned()));
}
