//! The service in memory and the simulator behind the AWS SDK give the same answers to the same
//! calls.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use jiff::Timestamp;

use crate::api::MembershipType::{self, Default as Visible, Hidden};
use crate::chime::port::{CallError, ChannelsQuery, ListRequest, Privacy, Service, Target};
use crate::chime::removal;
use crate::chime::sdk::{Sdk, SdkOptions};
use crate::engine::clock::Clock;
use crate::engine::tests::fake::{FakeService, INSTANCE, user};
use crate::membership::arn::{ChannelArn, MemberArn};
use crate::simulator::{ChannelSeed, ElasticConfiguration, Quotas, Seed, Simulator, SimulatorOptions};

/// The id of the channel in both.
const SUPPORT: &str = "support";

/// Returns the time one hour before the service started.
fn hour_ago(now: Timestamp) -> Timestamp {
    let hour_ago = now - jiff::SignedDuration::from_hours(1);
    Timestamp::from_second(hour_ago.as_second()).unwrap()
}

fn people(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("p{n:03}")).collect()
}

fn target(membership_type: MembershipType, sub_channel: Option<&str>) -> Target {
    Target {
        channel: ChannelArn::parse(&format!("{INSTANCE}/channel/{SUPPORT}")).unwrap(),
        membership_type,
        bearer: MemberArn::parse(&user("rollcall")).unwrap(),
        sub_channel: sub_channel.map(Into::into),
    }
}

fn members<T: AsRef<str>>(ids: &[T]) -> Vec<MemberArn> {
    ids.iter().map(|id| MemberArn::parse(&user(id.as_ref())).unwrap()).collect()
}

/// The answers of a service to a series of calls, without texts, tokens and times.
struct Transcript<'a, S> {
    service: &'a S,
    hour_ago: Timestamp,
    lines: Vec<String>,
}

impl<S: Service> Transcript<'_, S> {
    fn record_answer<T: Debug>(&mut self, call: &str, answer: Result<T, CallError>) {
        let answer = answer.map_err(|error| (error.operation, error.class, error.code));
        self.lines.push(format!("{call}: {answer:?}").replace(INSTANCE, ""));
    }

    async fn add<T: AsRef<str>>(&mut self, membership_type: MembershipType, sub_channel: Option<&str>, ids: &[T]) {
        let target = target(membership_type, sub_channel);
        let answer = self.service.batch_create(&target, &members(ids)).await;
        let answer = answer.map(|answer| {
            let added: BTreeSet<String> = answer.added.into_iter().collect();
            let errors: BTreeMap<_, _> = answer.errors.into_iter().map(|error| (error.member, error.code)).collect();
            (added, errors)
        });
        self.record_answer(&format!("add {membership_type} {sub_channel:?}"), answer);
    }

    async fn describe(&mut self, sub_channel: Option<&str>, id: &str) {
        let answer = self.service.describe_membership(&target(Visible, sub_channel), &members(&[id])[0]).await;
        let answer = answer.map(|found| {
            found.map(|it| {
                let since = it.created.map(|created| if created == self.hour_ago { "long" } else { "lately" });
                (it.membership_type, it.invited_by, since)
            })
        });
        self.record_answer(&format!("describe {id} {sub_channel:?}"), answer);
    }

    async fn delete(&mut self, sub_channel: Option<&str>, id: &str) {
        let target = target(Visible, sub_channel);
        let answer = self.service.delete_membership(&target, removal::of(&target, &format!("user/{id}"))).await;
        // The request id differs in every call.
        self.record_answer(&format!("delete {id} {sub_channel:?}"), answer.map(|_| ()));
    }

    /// Records all pages of a list, each requested with the token of the page before.
    async fn pages(&mut self, call: &str, list: ListRequest<'_>) {
        let mut token: Option<String> = None;
        loop {
            let answer = self.service.list_page(list, token.as_deref()).await;
            token = answer.as_ref().ok().and_then(|page| page.next.clone());
            self.record_answer(call, answer.map(|page| (page.items, page.next.is_some())));
            if token.is_none() {
                return;
            }
        }
    }

    async fn list(&mut self, membership_type: MembershipType, sub_channel: Option<&str>) {
        let target = target(membership_type, sub_channel);
        let call = format!("list {membership_type} {sub_channel:?}");
        self.pages(&call, ListRequest::Members(&target)).await;
    }

    async fn directory(&mut self) {
        let bearer = target(Visible, None).bearer;
        for privacy in [Privacy::Public, Privacy::Private] {
            let query = ChannelsQuery { bearer: bearer.clone(), privacy };
            let call = format!("channels {privacy:?}");
            self.pages(&call, ListRequest::Channels(&query)).await;
        }
    }

    async fn channel(&mut self) {
        self.directory().await;
        let target = target(Visible, None);
        let info = self.service.describe_channel(&target).await;
        self.record_answer("channel", info);
        self.pages("moderators", ListRequest::Moderators(&target)).await;
        self.pages("bans", ListRequest::Bans(&target)).await;
        self.pages("sub-channels", ListRequest::SubChannels(&target)).await;
    }
}

/// Makes all calls that reconciles make to a channel that is not elastic.
async fn plain_transcript<S: Service>(service: &S, hour_ago: Timestamp) -> Vec<String> {
    let mut script = Transcript { service, hour_ago, lines: Vec::new() };
    script.channel().await;
    script.list(Visible, None).await;
    script.list(Hidden, None).await;
    let people = people(120);
    script.add(Visible, None, &people[..99]).await;
    script.list(Visible, None).await;
    script.add(Visible, None, &people[20..120]).await;
    // Members that are present, of the other type, banned, a moderator, and the creator.
    script.add(Visible, None, &["p000", "guest", "banned", "mod", "creator", "fresh"]).await;
    script.add(Hidden, None, &["p000", "ghostly", "banned"]).await;
    script.list(Visible, None).await;
    script.list(Hidden, None).await;
    for id in ["p000", "guest", "ghostly", "banned", "nobody", "mod"] {
        script.describe(None, id).await;
    }
    for id in ["p000", "p000", "guest", "ghostly", "nobody"] {
        script.delete(None, id).await;
        script.describe(None, id).await;
    }
    script.add(Hidden, None, &["p000"]).await;
    script.add(Visible, None, &["guest"]).await;
    for id in ["p000", "guest"] {
        script.describe(None, id).await;
    }
    script.list(Visible, None).await;
    // A channel that is not elastic has no sub-channels.
    script.list(Visible, Some("sub-0001")).await;
    script.add(Visible, Some("sub-0001"), &["p001"]).await;
    script.describe(Some("sub-0001"), "p001").await;
    script.lines
}

/// Makes all calls that reconciles make to an elastic channel.
async fn elastic_transcript<S: Service>(service: &S, hour_ago: Timestamp) -> Vec<String> {
    let mut script = Transcript { service, hour_ago, lines: Vec::new() };
    script.channel().await;
    script.list(Visible, None).await;
    for id in ["sub-0001", "sub-0002", "sub-0003"] {
        script.list(Visible, Some(id)).await;
    }
    script.list(Hidden, Some("sub-0001")).await;
    script.add(Visible, None, &["p000", "fresh", "mod"]).await;
    script.add(Visible, Some("sub-0002"), &["mod", "p001", "p010"]).await;
    script.add(Visible, Some("sub-0002"), &["mod"]).await;
    script.add(Visible, Some("sub-0001"), &["mod"]).await;
    script.add(Visible, Some("sub-0009"), &["mod"]).await;
    for id in ["sub-0001", "sub-0002"] {
        script.list(Visible, Some(id)).await;
        script.describe(Some(id), "mod").await;
        script.describe(Some(id), "p000").await;
    }
    script.describe(None, "mod").await;
    script.list(Visible, Some("sub-0009")).await;
    script.describe(Some("sub-0009"), "mod").await;
    script.delete(Some("sub-0009"), "mod").await;
    script.delete(Some("sub-0002"), "mod").await;
    script.describe(Some("sub-0002"), "mod").await;
    script.describe(None, "mod").await;
    script.delete(None, "p001").await;
    script.list(Visible, None).await;
    script.lines
}

fn seed(channel: ChannelSeed) -> SimulatorOptions {
    let others = ["rollcall", "creator", "mod", "olaf", "guest", "banned", "fresh", "ghostly"];
    let seed = Seed::new(INSTANCE).users(others).users(people(120)).admins(["rollcall"]).channel(channel);
    SimulatorOptions { seed, quotas: Quotas::Off, ..SimulatorOptions::default() }
}

async fn sdk(simulator: &Simulator) -> Sdk {
    let credentials = Some(("simulator".to_owned(), "simulator".to_owned()));
    let endpoint = Some(simulator.endpoint());
    Sdk::load(SdkOptions { endpoint, credentials, ..SdkOptions::default() }).await.unwrap()
}

fn moderators() -> Vec<String> {
    let mut moderators = people(60);
    moderators.push("mod".to_owned());
    moderators
}

/// Compares line by line, so that the failure shows the first different call.
fn assert_same(in_memory: &[String], real: &[String]) {
    for (number, (in_memory, real)) in in_memory.iter().zip(real).enumerate() {
        assert_eq!(in_memory, real, "call {number}");
    }
    assert_eq!(in_memory.len(), real.len());
}

#[tokio::test]
async fn fake_channel_answers_like_the_simulator_behind_the_sdk() {
    let now = Timestamp::now();
    let hour_ago = hour_ago(now);
    let fake = FakeService::at(Clock::starting_at(now));
    fake.with(|channel| {
        channel.join(&user("guest"), &user("olaf"), hour_ago);
        channel.moderators = moderators().iter().map(|id| user(id)).collect();
        channel.bans = [user("banned")].into();
    });
    let channel = ChannelSeed::new(SUPPORT).created_by("creator").moderators(moderators()).bans(["banned"]);
    let simulator = Simulator::start(seed(channel.invited("olaf", Some(hour_ago), ["guest"]))).await.unwrap();

    let (in_memory, real) =
        (plain_transcript(&fake, hour_ago).await, plain_transcript(&sdk(&simulator).await, hour_ago).await);

    assert_same(&in_memory, &real);
    assert!(real.iter().filter(|line| line.starts_with("list DEFAULT")).count() > 8, "{real:?}");
}

#[tokio::test]
async fn fake_elastic_channel_answers_like_the_simulator_behind_the_sdk() {
    let now = Timestamp::now();
    let hour_ago = hour_ago(now);
    let fake = FakeService::at(Clock::starting_at(now));
    let there = people(5);
    fake.with(|channel| {
        (channel.elastic, channel.spans) = (true, true);
        channel.moderators = [user("mod")].into();
        let halves = ["sub-0001", "sub-0002", "sub-0003"].iter().zip(there.chunks(2));
        for (id, half) in halves {
            for member in half {
                channel.join(&user(member), &user("olaf"), hour_ago);
            }
            channel.sub_channels.insert((*id).to_owned(), half.iter().map(|member| user(member)).collect());
        }
    });
    let configuration = ElasticConfiguration {
        maximum_sub_channels: 3,
        target_memberships_per_sub_channel: 2,
        minimum_membership_percentage: 20,
    };
    let channel = ChannelSeed::new(SUPPORT).created_by("creator").moderators(["mod"]).elastic(configuration);
    let simulator = Simulator::start(seed(channel.invited("olaf", Some(hour_ago), there))).await.unwrap();

    let (in_memory, real) =
        (elastic_transcript(&fake, hour_ago).await, elastic_transcript(&sdk(&simulator).await, hour_ago).await);

    assert_same(&in_memory, &real);
}
