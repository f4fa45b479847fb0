//! Does a world keep the rules of an API server, and is a write done when it is on disk?

use std::fs;
use std::sync::Arc;

use proptest::prelude::*;

use super::desk::Desk;
use super::settings;
use crate::api::{ChannelMembershipStatus, DeletionPolicy, MemberProblem, Prune};
use crate::engine::store::{Store as _, StoreError, Version};
use crate::manifests::{Input, read_state};
use crate::membership::arn::ChannelArn;
use crate::offline::scene::{Origin, Scene};
use crate::offline::state_file::StateFile;
use crate::offline::world::World;
use crate::offline::{admission, state_text};

const MAIN: &str = "care/main";

fn status(desired: u32) -> ChannelMembershipStatus {
    ChannelMembershipStatus { desired: Some(desired), ..ChannelMembershipStatus::default() }
}

/// A resource that is being deleted and has our finalizer.
async fn ending(desk: &mut Desk) -> Arc<World> {
    desk.write(MAIN, ["alice"], |spec| (spec.prune, spec.deletion_policy) = (Prune::Owned, DeletionPolicy::Delete));
    desk.apply().await;
    let mut scene = Scene::new(
        &crate::manifests::Manifests::default(),
        &Origin::State(desk.state()),
        true,
        &settings(),
        desk.service.clock.now(),
    );
    admission::admit(&mut scene, &[], desk.service.clock.now());
    let world = World::new(scene, Some(StateFile::open(&desk.path()).unwrap()));
    world.begin().await.unwrap();
    world
}

#[tokio::test(start_paused = true)]
async fn a_write_is_of_one_version_and_one_uid_and_the_last_finalizer_of_a_deleted_resource_ends_it() {
    let mut desk = Desk::new();
    let world = ending(&mut desk).await;
    let object = world.get(MAIN).unwrap();
    let mut store = world.store(&object, Arc::new(|| ()));
    let basis = object.version().clone();
    let next = store.write_status(&status(1), Some(&basis)).await.unwrap();
    assert_eq!(store.write_status(&status(2), Some(&basis)).await, Err(StoreError::Conflict));
    let number = |version: &Version| version.0.parse::<u64>().unwrap();
    assert!(number(&next) > number(&basis));
    assert_eq!(desk.status(MAIN).desired, Some(1));
    let channel = ChannelArn::parse(object.channel()).unwrap();
    let snapshots = store.resources_of(&channel).await.unwrap();
    assert_eq!((snapshots.len(), &snapshots[0].version, snapshots[0].is_deleting()), (1, &next, true));
    store.set_finalizer(false, &next).await.unwrap();
    assert!(world.objects().is_empty() && desk.find(MAIN).is_none());
    assert_eq!(store.write_status(&status(3), None).await, Err(StoreError::Gone));
    assert!(store.set_finalizer(false, &next).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_written_is_refused_from_then_on_and_the_state_stays_what_it_was() {
    let mut desk = Desk::new();
    let world = ending(&mut desk).await;
    let text = fs::read_to_string(desk.path()).unwrap();
    let mut store = world.store(&world.get(MAIN).unwrap(), Arc::new(|| ()));
    let in_the_way = desk.folder.path().join(".state.yaml.new");
    fs::create_dir(&in_the_way).unwrap();
    assert!(matches!(store.write_status(&status(1), None).await, Err(StoreError::Unavailable(_))));
    assert!(world.broken().is_cancelled());
    fs::remove_dir(&in_the_way).unwrap();
    assert!(matches!(store.write_status(&status(2), None).await, Err(StoreError::Unavailable(_))));
    assert_eq!(fs::read_to_string(desk.path()).unwrap(), text);
    assert!(world.failure().await.unwrap().to_string().contains("state.yaml"));
}

proptest! {
    /// Whatever the service says of a member, and whatever stands in a source, is read again as it was written.
    #[test]
    fn what_is_written_to_a_state_is_read_again(
        texts in prop::collection::vec(any::<String>(), 1..4),
        lines in "([a-z0-9 :#'\"|>@&*!%{}\\[\\],?-]{0,12}\n){0,4}",
        name in "[0-9a-zA-Z_.:@~=-]{1,20}",
    ) {
        let mut desk = Desk::new();
        desk.write(MAIN, ["alice"], |_| ());
        let scene = desk.scene();
        let mut object = scene.new[MAIN].object.clone();
        let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH);
        let problem = |text: &String| MemberProblem {
            member_arn: name.clone(),
            error_code: name.clone(),
            error_message: text.clone(),
            attempts: 1,
            first_seen: now.clone(),
            next_attempt: None,
        };
        object.status = Some(ChannelMembershipStatus {
            errors: texts.iter().chain([&lines]).map(problem).collect(),
            last_declared: Some([&name, "yes", "012", "1e3", "null", "~"].into_iter().collect()),
            ..ChannelMembershipStatus::default()
        });
        let item = state_text::item(&object.manifest().unwrap()).unwrap();
        let text = format!("{}{item}{item}", state_text::list(true)).replacen("name: main", "name: other", 1);
        let read = read_state(&[Input::Text { name: "state".into(), text: text.into() }], "default");
        let read = read.map_err(|problems| TestCaseError::fail(format!("{problems:?}\n{item}")))?;
        prop_assert_eq!(read.memberships.len(), 2);
        for manifest in read.memberships {
            prop_assert_eq!(&manifest.object.status, &object.status);
            prop_assert_eq!(manifest.object.spec, object.spec.clone().unwrap());
        }
    }
}
