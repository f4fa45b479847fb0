//! Does anything happen that is not granted?

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::fake::{INSTANCE, user};
use super::operator::{Operator, Options};
use super::world::{World, spec_of};
use crate::api::{Prune, RECONCILE_REQUESTED_AT};
use crate::chime::port::Operation;
use crate::engine::settings::Granting;
use crate::membership::grants::Grants;

const MINUTE: Duration = Duration::from_mins(1);

/// What a file says, and what a test has it say next.
#[derive(Clone)]
struct File(Arc<Mutex<Arc<Grants>>>);

impl File {
    fn says(yaml: &str) -> Self {
        let file = Self(Arc::default());
        file.now_says(yaml);
        file
    }

    fn now_says(&self, yaml: &str) {
        let grants: Grants = serde_yaml::from_str(&yaml.replace("INSTANCE", INSTANCE)).unwrap();
        grants.check().unwrap();
        *self.0.lock().unwrap() = Arc::new(grants);
    }

    /// An operator that is allowed everything else.
    fn options(&self) -> Options {
        let file = self.clone();
        Options::with(|settings| {
            settings.allow_bearer_override = true;
            settings.allow_authoritative = true;
            settings.grants = Granting::by("/etc/grants.yaml", move || Arc::clone(&file.0.lock().unwrap()));
        })
    }
}

fn calls(world: &World) -> usize {
    Operation::ALL.into_iter().map(|operation| world.calls(operation)).sum()
}

#[tokio::test(start_paused = true)]
async fn for_no_cell_of_the_matrix_that_is_denied_is_the_service_called() {
    use Prune::{Authoritative, Declared, Never, Owned};
    const GRANTS: &str = "
        - {namespaces: [care], channels: [INSTANCE/channel/support], bearers: [INSTANCE/user/rollcall], prune: [Never, Owned]}
        - {namespaces: [care], channels: ['INSTANCE/channel/team-*']}
        - {namespaces: ['*'], channels: [INSTANCE/channel/lobby], bearers: [INSTANCE/user/other], prune: [Authoritative]}";
    // The same, cell by cell and by hand: namespace, channel, bearer, and with which prune.
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
                for prune in [Never, Owned, Declared, Authoritative] {
                    let world = World::new();
                    let mut operator = Operator::start_with(&world, File::says(GRANTS).options());
                    let resource = format!("{namespace}/it");
                    let mut spec = spec_of(channel, ["alice"]);
                    (spec.prune, spec.chime_bearer) = (prune, Some(user(bearer)));
                    world.cluster.create(&resource, spec);
                    operator.live(MINUTE).await;
                    let case = format!("{namespace} {channel} {bearer} {prune:?}");
                    let right = granted.iter().any(|cell| {
                        (cell.0, cell.1, cell.2) == (namespace, channel, bearer) && cell.3.contains(&prune)
                    });
                    if right {
                        allowed += 1;
                        assert_eq!(world.reason(&resource), "AllPresent", "{case}");
                    } else {
                        denied += 1;
                        assert_eq!((calls(&world), world.reason(&resource)), (0, "NotGranted".into()), "{case}");
                    }
                }
            }
        }
    }
    assert_eq!((allowed, denied), (11, 61));
}

#[tokio::test(start_paused = true)]
async fn the_condition_says_what_is_not_granted_and_where_grants_stand() {
    let world = World::new();
    let mut operator = Operator::start_with(&world, File::says("[]").options());
    world.create("care/it", ["alice"], |_| ());
    operator.live(MINUTE).await;
    let message = world.cluster.status("care/it").conditions[0].message.clone();
    let channel = format!("{INSTANCE}/channel/support");
    assert!(message.contains(&format!("namespace care is granted no access to the channel {channel}")), "{message}");
    assert!(message.contains("/etc/grants.yaml"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_is_given_or_taken_back_holds_from_the_next_look_on() {
    let file = File::says("[]");
    let world = World::new();
    let mut operator = Operator::start_with(&world, file.options());
    world.create("care/it", ["alice"], |_| ());
    operator.live(MINUTE).await;
    assert_eq!(calls(&world), 0);
    file.now_says("[{namespaces: [care], appInstances: [INSTANCE]}]");
    world.cluster.annotate("care/it", RECONCILE_REQUESTED_AT, "1");
    operator.live(MINUTE).await;
    assert_eq!(world.reason("care/it"), "AllPresent");
    file.now_says("[]");
    let before = calls(&world);
    world.cluster.declare("care/it", ["alice", "bob"]);
    operator.live(MINUTE).await;
    assert_eq!((calls(&world), world.reason("care/it")), (before, "NotGranted".into()));
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_is_taken_back_in_mid_work_stops_the_next_batch() {
    let file = File::says("[{namespaces: [care], appInstances: [INSTANCE]}]");
    let world = World::new();
    let revoked = file.clone();
    world.meanwhile(move |operation| {
        if operation == Operation::BatchCreateChannelMembership {
            revoked.now_says("[]");
        }
    });
    let mut operator = Operator::start_with(&world, file.options());
    world.create("care/it", (0..500).map(|n| format!("m{n:03}")), |_| ());
    operator.live(MINUTE).await;
    assert_eq!(world.calls(Operation::BatchCreateChannelMembership), 1);
    assert_eq!((world.members().len(), world.reason("care/it")), (100, "NotGranted".into()));
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_is_taken_back_in_mid_work_stops_the_next_delete() {
    let file = File::says("[{namespaces: [care], appInstances: [INSTANCE]}]");
    let world = World::new();
    let mut operator = Operator::start_with(&world, file.options());
    let everybody: Vec<String> = (0..40).map(|n| format!("m{n:03}")).collect();
    world.create("care/it", &everybody, |spec| spec.prune = Prune::Declared);
    operator.live(MINUTE * 15).await;
    let revoked = file.clone();
    world.meanwhile(move |operation| {
        if operation == Operation::DeleteChannelMembership {
            revoked.now_says("[]");
        }
    });
    world.cluster.declare("care/it", &everybody[..35]);
    operator.live(MINUTE * 60).await;
    assert_eq!((world.deletes().len(), world.reason("care/it")), (1, "NotGranted".into()));
}

#[tokio::test(start_paused = true)]
async fn a_resource_to_which_nothing_is_granted_still_protects_whom_it_declares() {
    let world = World::new();
    let file = File::says("[{namespaces: [care], appInstances: [INSTANCE]}]");
    let mut operator = Operator::start_with(&world, file.options());
    world.create("care/it", ["alice", "bob", "carol", "dave"], |spec| spec.prune = Prune::Declared);
    world.create("sales/it", ["alice"], |_| ());
    operator.live(MINUTE * 15).await;
    assert_eq!(world.reason("sales/it"), "NotGranted");
    world.cluster.declare("care/it", ["carol", "dave"]);
    operator.live(MINUTE * 180).await;
    assert_eq!(world.members(), BTreeSet::from(["alice", "carol", "dave"].map(str::to_owned)));
    assert_eq!(world.deletes(), ["bob"]);
}
