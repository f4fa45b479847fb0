//! No call is made without a grant.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::fake::{INSTANCE, user};
use super::operator::{Options, TestOperator};
use super::world::{TestWorld, spec_of};
use crate::api::{Prune, RECONCILE_REQUESTED_AT};
use crate::chime::port::Operation;
use crate::engine::settings::Granting;
use crate::membership::grants::Grants;

const MINUTE: Duration = Duration::from_mins(1);

/// A grants file whose text a test can replace.
#[derive(Clone)]
struct TestGrantsFile(Arc<Mutex<Arc<Grants>>>);

impl TestGrantsFile {
    fn with_text(yaml: &str) -> Self {
        let file = Self(Arc::default());
        file.replace_text(yaml);
        file
    }

    fn replace_text(&self, yaml: &str) {
        let grants: Grants = serde_yaml::from_str(&yaml.replace("INSTANCE", INSTANCE)).unwrap();
        grants.check().unwrap();
        *self.0.lock().unwrap() = Arc::new(grants);
    }

    /// Returns the options of an operator that allows everything except by the grants.
    fn options(&self) -> Options {
        let file = self.clone();
        Options::with(|settings| {
            settings.allow_bearer_override = true;
            settings.allow_authoritative = true;
            settings.grants = Granting::by("/etc/grants.yaml", move || Arc::clone(&file.0.lock().unwrap()));
        })
    }
}

fn total_calls(world: &TestWorld) -> usize {
    Operation::ALL.into_iter().map(|operation| world.calls(operation)).sum()
}

for_each_prune!(service_is_not_called_for_any_denied_combination in [Never, Owned, Declared, Authoritative]);
async fn service_is_not_called_for_any_denied_combination(prune: Prune) {
    use Prune::{Authoritative, Declared, Never, Owned};
    const GRANTS: &str = "
        - {namespaces: [care], channels: [INSTANCE/channel/support], bearers: [INSTANCE/user/rollcall], prune: [Never, Owned]}
        - {namespaces: [care], channels: ['INSTANCE/channel/team-*']}
        - {namespaces: ['*'], channels: [INSTANCE/channel/lobby], bearers: [INSTANCE/user/other], prune: [Authoritative]}";
    // The same grants, written by hand: namespace, channel, bearer, prune modes.
    let granted: [(&str, &str, &str, &[Prune]); 6] = [
        ("care", "support", "rollcall", &[Never, Owned]),
        ("care", "team-red", "rollcall", &[Never, Owned, Declared]),
        ("care", "team-red", "other", &[Never, Owned, Declared]),
        ("care", "lobby", "other", &[Authoritative]),
        ("sales", "lobby", "other", &[Authoritative]),
        ("ops", "lobby", "other", &[Authoritative]),
    ];
    let (mut allowed, mut denied) = (0, 0);
    for namespace in ["care", "sales", "ops"] {
        for channel in ["support", "team-red", "lobby"] {
            for bearer in ["rollcall", "other"] {
                let world = TestWorld::new();
                let mut operator = TestOperator::start_with(&world, TestGrantsFile::with_text(GRANTS).options());
                let resource = format!("{namespace}/it");
                let mut spec = spec_of(channel, ["alice"]);
                (spec.prune, spec.chime_bearer) = (prune, Some(user(bearer)));
                world.cluster.create(&resource, spec);
                operator.run_for(MINUTE).await;
                let case = format!("{namespace} {channel} {bearer}");
                let right = granted
                    .iter()
                    .any(|cell| (cell.0, cell.1, cell.2) == (namespace, channel, bearer) && cell.3.contains(&prune));
                if right {
                    allowed += 1;
                    assert_eq!(world.ready_reason(&resource), "AllPresent", "{case}");
                } else {
                    denied += 1;
                    assert_eq!(
                        (total_calls(&world), world.ready_reason(&resource)),
                        (0, "NotGranted".into()),
                        "{case}"
                    );
                }
            }
        }
    }
    // All four modes together: 11 combinations are granted and 61 are denied.
    let expected = if prune == Declared { (2, 16) } else { (3, 15) };
    assert_eq!((allowed, denied), expected);
}

#[tokio::test(start_paused = true)]
async fn condition_names_the_missing_grant_and_the_grants_file() {
    let world = TestWorld::new();
    let mut operator = TestOperator::start_with(&world, TestGrantsFile::with_text("[]").options());
    world.create("care/it", ["alice"], |_| ());
    operator.run_for(MINUTE).await;
    let message = world.cluster.status("care/it").conditions[0].message.clone();
    let channel = format!("{INSTANCE}/channel/support");
    assert!(message.contains(&format!("namespace care is granted no access to the channel {channel}")), "{message}");
    assert!(message.contains("/etc/grants.yaml"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn grant_change_takes_effect_at_the_next_reconcile() {
    let file = TestGrantsFile::with_text("[]");
    let world = TestWorld::new();
    let mut operator = TestOperator::start_with(&world, file.options());
    world.create("care/it", ["alice"], |_| ());
    operator.run_for(MINUTE).await;
    assert_eq!(total_calls(&world), 0);
    file.replace_text("[{namespaces: [care], appInstances: [INSTANCE]}]");
    world.cluster.annotate("care/it", RECONCILE_REQUESTED_AT, "1");
    operator.run_for(MINUTE).await;
    assert_eq!(world.ready_reason("care/it"), "AllPresent");
    file.replace_text("[]");
    let before = total_calls(&world);
    world.cluster.declare("care/it", ["alice", "bob"]);
    operator.run_for(MINUTE).await;
    assert_eq!((total_calls(&world), world.ready_reason("care/it")), (before, "NotGranted".into()));
}

#[tokio::test(start_paused = true)]
async fn revoked_grant_stops_the_next_batch() {
    let file = TestGrantsFile::with_text("[{namespaces: [care], appInstances: [INSTANCE]}]");
    let world = TestWorld::new();
    let revoked = file.clone();
    world.before_each_call(move |operation| {
        if operation == Operation::BatchCreateChannelMembership {
            revoked.replace_text("[]");
        }
    });
    let mut operator = TestOperator::start_with(&world, file.options());
    world.create("care/it", (0..500).map(|n| format!("m{n:03}")), |_| ());
    operator.run_for(MINUTE).await;
    assert_eq!(world.calls(Operation::BatchCreateChannelMembership), 1);
    assert_eq!((world.members().len(), world.ready_reason("care/it")), (100, "NotGranted".into()));
}

#[tokio::test(start_paused = true)]
async fn revoked_grant_stops_the_next_delete() {
    let file = TestGrantsFile::with_text("[{namespaces: [care], appInstances: [INSTANCE]}]");
    let world = TestWorld::new();
    let mut operator = TestOperator::start_with(&world, file.options());
    let team: Vec<String> = (0..40).map(|n| format!("m{n:03}")).collect();
    world.create("care/it", &team, |spec| spec.prune = Prune::Declared);
    operator.run_for(MINUTE * 15).await;
    let revoked = file.clone();
    world.before_each_call(move |operation| {
        if operation == Operation::DeleteChannelMembership {
            revoked.replace_text("[]");
        }
    });
    world.cluster.declare("care/it", &team[..35]);
    operator.run_for(MINUTE * 60).await;
    assert_eq!((world.deletes().len(), world.ready_reason("care/it")), (1, "NotGranted".into()));
}

#[tokio::test(start_paused = true)]
async fn resource_without_grant_protects_its_declared_members() {
    let world = TestWorld::new();
    let file = TestGrantsFile::with_text("[{namespaces: [care], appInstances: [INSTANCE]}]");
    let mut operator = TestOperator::start_with(&world, file.options());
    world.create("care/it", ["alice", "bob", "carol", "dave"], |spec| spec.prune = Prune::Declared);
    world.create("sales/it", ["alice"], |_| ());
    operator.run_for(MINUTE * 15).await;
    assert_eq!(world.ready_reason("sales/it"), "NotGranted");
    world.cluster.declare("care/it", ["carol", "dave"]);
    operator.run_for(MINUTE * 180).await;
    assert_eq!(world.members(), BTreeSet::from(["alice", "carol", "dave"].map(str::to_owned)));
    assert_eq!(world.deletes(), ["bob"]);
}
