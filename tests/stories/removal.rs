//! Undeclared members leave a channel or stay, as `prune` and the exemptions say.

use jiff::Timestamp;
use rollcall::api::{ChannelMembership, KeepReason, Prune};
use rollcall::simulator::{ApiOperation, ChannelSeed, MembershipAction, Seed};
use serde_json::{Value, json};

use crate::stage::{INSTANCE, Stage, channel, condition, ready, spec, status};

pub const DELETE: ApiOperation = ApiOperation::DeleteChannelMembership;

/// Returns a spec for a channel with these fields on top.
pub fn with(channel_id: &str, members: &[impl AsRef<str>], fields: Value) -> Value {
    let mut spec = spec(channel_id, members);
    if let (Some(spec), Value::Object(fields)) = (spec.as_object_mut(), fields) {
        spec.extend(fields);
    }
    spec
}

/// Returns a spec that removes members which it declared and added, without a limit.
pub fn owned(channel_id: &str, members: &[impl AsRef<str>]) -> Value {
    with(channel_id, members, json!({"prune": "Owned", "limits": {"removals": "100%"}}))
}

/// Returns the ids of the members that calls of ours removed from a channel, in the order of
/// removal.
pub fn removed(stage: &Stage, channel_id: &str) -> Vec<String> {
    let log = stage.simulator.membership_log().into_iter();
    let gone = log.filter(|entry| entry.action == MembershipAction::Removed && entry.operation == Some(DELETE));
    gone.filter(|entry| entry.channel.id() == channel_id)
        .map(|entry| entry.member.as_str().rsplit('/').next().unwrap().to_owned())
        .collect()
}

/// Returns the same ids, sorted.
pub fn removed_sorted(stage: &Stage, channel_id: &str) -> Vec<String> {
    let mut removed = removed(stage, channel_id);
    removed.sort_unstable();
    removed
}

const CHANNELS: [&str; 4] = ["never", "owned", "declared", "authoritative"];

/// The members that the resources declare at first. Later, each resource declares only the first.
const DECLARED: [&str; 7] = ["kept", "fresh", "guest", "mod", "owner", "rollcall", "bot/helper"];

/// Returns an app instance. In each channel, another user invited these members an hour ago: a
/// guest, a stranger, a bot, a moderator and the creator of the channel. A newcomer came just now.
fn one_channel_per_policy() -> Seed {
    let hour_ago = Timestamp::now() - jiff::SignedDuration::from_hours(1);
    let people = ["kept", "fresh", "guest", "mod", "owner", "stranger", "newcomer", "rollcall", "olaf"];
    let seed = Seed::new(INSTANCE).users(people).bots(["helper", "intruder"]).admins(["rollcall"]);
    CHANNELS.iter().fold(seed, |seed, id| {
        seed.channel(
            ChannelSeed::new(id)
                .created_by("owner")
                .moderators(["mod"])
                .invited("olaf", Some(hour_ago), ["guest", "stranger", "mod", "owner", "bot/intruder"])
                .invited("olaf", None, ["newcomer"]),
        )
    })
}

#[tokio::test]
async fn undeclared_members_are_removed_exactly_as_prune_says() {
    let stage = Stage::open(one_channel_per_policy()).await;
    let policies = [Prune::Never, Prune::Owned, Prune::Declared, Prune::Authoritative];
    let all = [DECLARED.as_slice(), &["bot/intruder"]].concat();
    let resource = |index: usize, members: &[&str]| {
        with(CHANNELS[index], members, json!({"prune": policies[index], "limits": {"removals": "100%"}}))
    };
    for (index, name) in CHANNELS.iter().enumerate() {
        stage.apply(name, resource(index, &all)).await;
    }
    let _operator = stage.operator(&["--allow-authoritative"]);
    for name in CHANNELS {
        stage.until_reason(name, "AllPresent").await;
    }
    // A younger resource wants to remove strangers of the same channel as well.
    stage.apply("younger", with("authoritative", &["kept"], json!({"prune": "Authoritative"}))).await;

    for (index, name) in CHANNELS.iter().enumerate() {
        stage.apply(name, resource(index, &["kept"])).await;
    }

    stage.until_service("owned", |_| removed_sorted(&stage, "owned") == ["fresh", "helper"]).await;
    stage.until_service("declared", |_| removed_sorted(&stage, "declared") == ["fresh", "guest", "helper"]).await;
    stage.until_service("authoritative", |_| removed_sorted(&stage, "authoritative") == ["guest", "stranger"]).await;
    for name in CHANNELS {
        let told = stage.until_reason(name, "AllPresent").await;
        assert_eq!(status(&told).present, Some(1), "{told:?}");
    }
    let stays = ["intruder", "kept", "mod", "newcomer", "owner", "rollcall"];
    let present = |id: &str| {
        let mut present = stage.present(id);
        present.sort_unstable();
        present
    };
    let and = |more: &[&str]| {
        let mut all: Vec<String> = stays.iter().chain(more).map(|&id| id.to_owned()).collect();
        all.sort_unstable();
        all
    };
    assert_eq!(present("never"), and(&["fresh", "guest", "helper", "stranger"]), "no member leaves");
    assert_eq!(
        present("owned"),
        and(&["guest", "stranger"]),
        "members that were declared and invited by the bearer leave"
    );
    assert_eq!(present("declared"), and(&["stranger"]), "members that were declared leave, by any inviter");
    assert_eq!(
        present("authoritative"),
        and(&["fresh", "helper"]),
        "all leave except bots and members of the last ten minutes"
    );
    let about_never = stage.simulator.call_log().into_iter().filter(|call| call.operation == DELETE);
    assert!(about_never.clone().count() == 7 && about_never.clone().all(|call| call.channel.unwrap().id() != "never"));

    let reason = |object: &ChannelMembership, id: &str| {
        let undeclared = status(object).undeclared.unwrap();
        undeclared.sample.iter().find(|it| it.member_arn.ends_with(id)).map(|it| it.reason)
    };
    let expected = [
        ("/newcomer", KeepReason::JoinedLately),
        ("/mod", KeepReason::Moderator),
        ("/owner", KeepReason::Creator),
        ("/rollcall", KeepReason::Bearer),
        ("/intruder", KeepReason::Bot),
    ];
    let told = stage.until("authoritative", "the status says why the members stay", |it| {
        expected.iter().all(|(id, why)| reason(it, id) == Some(*why))
    });
    assert_eq!(status(&told.await).undeclared.unwrap().count, 7);
    assert_eq!(reason(&stage.get("owned").await, "/guest"), Some(KeepReason::NotOwned));
    let younger = stage.until_reason("younger", "OwnershipConflict").await;
    assert!(ready(&younger).2.contains(&format!("{}/authoritative is older", stage.namespace)), "{younger:?}");
}

#[tokio::test]
async fn members_declared_again_within_10s_or_returned_by_others_stay() {
    let hour_ago = Timestamp::now() - jiff::SignedDuration::from_hours(1);
    let seed = Seed::new(INSTANCE).users(["a", "b", "c", "d", "olaf", "rollcall"]).admins(["rollcall"]);
    let seed = seed
        .channel(ChannelSeed::new("flips"))
        .channel(ChannelSeed::new("returns"))
        .channel(ChannelSeed::new("taken-over").invited("olaf", Some(hour_ago), ["a", "b"]));
    let stage = Stage::open(seed).await;
    let declared = |members: &[&str]| with("taken-over", members, json!({"prune": "Declared"}));
    stage.apply("flips", owned("flips", &["a", "b", "c"])).await;
    stage.apply("returns", owned("returns", &["a", "b", "c"])).await;
    stage.apply("taken-over", declared(&["a", "b", "c", "d"])).await;
    let _operator = stage.operator(&[]);
    for name in ["flips", "returns", "taken-over"] {
        stage.until_reason(name, "AllPresent").await;
    }

    // These members left and were invited again by another user, so Rollcall does not own them.
    stage.simulator.remove_member(&channel("returns"), "c").unwrap();
    stage.simulator.add_member_by(&channel("returns"), "c", "olaf", None).unwrap();
    stage.apply("returns", owned("returns", &["a"])).await;
    // A member that was present before us leaves with the others. One of four is within the default
    // limit.
    stage.apply("taken-over", declared(&["b", "c", "d"])).await;
    let settled = async {
        stage.until_service("b of returns leaves", |_| removed(&stage, "returns") == ["b"]).await;
        stage.until_service("a of taken-over leaves", |_| removed(&stage, "taken-over") == ["a"]).await;
    };
    let flips = async {
        for round in 0..10 {
            stage.apply("flips", owned("flips", if round % 2 == 0 { &["a"] } else { &["a", "b", "c"] })).await;
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    };
    tokio::join!(settled, flips);

    assert_eq!(removed(&stage, "flips"), [] as [&str; 0]);
    assert_eq!(stage.present("flips"), ["a", "b", "c"]);
    stage.until_reason("returns", "AllPresent").await;
    assert_eq!(stage.present("returns"), ["a", "c"]);
    let told = stage.until_reason("taken-over", "AllPresent").await;
    assert_eq!(status(&told).removed.unwrap().count, 1);
    assert_eq!(condition(&told, "Stalled").0, "False");
}
