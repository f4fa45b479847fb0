//! A local cluster keeps the rules of an API server, and a write is done once it is on disk.

use std::fs;
use std::sync::Arc;

use proptest::prelude::*;

use super::harness::ApplyHarness;
use super::settings;
use crate::api::{ChannelMembershipStatus, DeletionPolicy, MemberProblem, Prune};
use crate::engine::store::{Store as _, StoreError, Version};
use crate::manifests::{Input, read_state};
use crate::membership::arn::ChannelArn;
use crate::offline::change_set::{ChangeSet, Origin};
use crate::offline::local_cluster::LocalCluster;
use crate::offline::state_file::StateFile;
use crate::offline::{admission, state_text};

const MAIN: &str = "care/main";

fn status(desired: u32) -> ChannelMembershipStatus {
    ChannelMembershipStatus { desired: Some(desired), ..ChannelMembershipStatus::default() }
}

/// Returns a cluster with a resource that is being deleted and has our finalizer.
async fn ending(harness: &mut ApplyHarness) -> Arc<LocalCluster> {
    harness.write(MAIN, ["alice"], |spec| (spec.prune, spec.deletion_policy) = (Prune::Owned, DeletionPolicy::Delete));
    harness.apply().await;
    let mut change_set = ChangeSet::new(
        &crate::manifests::Manifests::default(),
        &Origin::State(harness.state()),
        true,
        &settings(),
        harness.service.clock.now(),
    );
    admission::admit(&mut change_set, &[], harness.service.clock.now());
    let cluster = LocalCluster::new(change_set, Some(StateFile::open(&harness.path()).unwrap()));
    cluster.begin().await.unwrap();
    cluster
}

#[tokio::test(start_paused = true)]
async fn write_is_bound_to_one_uid_and_version() {
    let mut harness = ApplyHarness::new();
    let cluster = ending(&mut harness).await;
    let object = cluster.get(MAIN).unwrap();
    let mut store = cluster.store(&object, Arc::new(|| ()));
    let basis = object.version().clone();
    let next = store.write_status(&status(1), Some(&basis)).await.unwrap();
    assert_eq!(store.write_status(&status(2), Some(&basis)).await, Err(StoreError::Conflict));
    let number = |version: &Version| version.0.parse::<u64>().unwrap();
    assert!(number(&next) > number(&basis));
    assert_eq!(harness.status(MAIN).desired, Some(1));
    let channel = ChannelArn::parse(object.channel()).unwrap();
    let snapshots = store.resources_of(&channel).await.unwrap();
    assert_eq!((snapshots.len(), &snapshots[0].version, snapshots[0].is_deleting()), (1, &next, true));
    store.set_finalizer(false, &next).await.unwrap();
    assert!(cluster.objects().is_empty() && harness.find(MAIN).is_none());
    assert_eq!(store.write_status(&status(3), None).await, Err(StoreError::Gone));
    assert!(store.set_finalizer(false, &next).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn writes_are_refused_after_a_failed_write() {
    let mut harness = ApplyHarness::new();
    let cluster = ending(&mut harness).await;
    let text = fs::read_to_string(harness.path()).unwrap();
    let mut store = cluster.store(&cluster.get(MAIN).unwrap(), Arc::new(|| ()));
    let in_the_way = harness.folder.path().join(".state.yaml.new");
    fs::create_dir(&in_the_way).unwrap();
    assert!(matches!(store.write_status(&status(1), None).await, Err(StoreError::Unavailable(_))));
    assert!(cluster.broken().is_cancelled());
    fs::remove_dir(&in_the_way).unwrap();
    assert!(matches!(store.write_status(&status(2), None).await, Err(StoreError::Unavailable(_))));
    assert_eq!(fs::read_to_string(harness.path()).unwrap(), text);
    assert!(cluster.failure().await.unwrap().to_string().contains("state.yaml"));
}

proptest! {
    /// Any error text of the service and any source is read back as it was written.
    #[test]
    fn written_state_is_read_back(
        texts in prop::collection::vec(any::<String>(), 1..4),
        lines in "([a-z0-9 :#'\"|>@&*!%{}\\[\\],?-]{0,12}\n){0,4}",
        name in "[0-9a-zA-Z_.:@~=-]{1,20}",
    ) {
        let mut harness = ApplyHarness::new();
        harness.write(MAIN, ["alice"], |_| ());
        let change_set = harness.change_set();
        let mut object = change_set.new[MAIN].object.clone();
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
