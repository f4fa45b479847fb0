//! A channel in memory, whose answers a test can spoil, and a resource that stands on it.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::api::{ChannelMembershipSpec, ChannelMembershipStatus, MembershipType};
use crate::chime::client::Client;
use crate::chime::pace::{Pacer, Rates};
use crate::chime::port::{
    BatchAnswer, CallError, CallErrorClass, MemberError, Membership, Operation, PAGE_SIZE, Page, Service, Target,
};
use crate::engine::clock::Clock;
use crate::engine::declaration::Declaration;
use crate::engine::memory::Memory;
use crate::engine::settings::Settings;
use crate::engine::store::{Event, Store, StoreError};
use crate::engine::{Engine, Next};
use crate::membership::arn::MemberArn;

pub const INSTANCE: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/1f";

pub fn user(id: &str) -> String {
    format!("{INSTANCE}/user/{id}")
}

pub fn users(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("u{n:05}")).collect()
}

/// A call that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    pub operation: Operation,
    pub members: Vec<String>,
    pub token: Option<String>,
}

/// How one call goes wrong.
pub enum Fault {
    /// Before it has an effect.
    Before(CallErrorClass, &'static str),
    /// After it had its effect.
    After(CallErrorClass, &'static str),
}

#[derive(Default)]
pub struct Channel {
    pub members: BTreeMap<String, MembershipType>,
    /// Code of the service for each of these members, as often as it says.
    pub refused: BTreeMap<String, (Option<String>, usize)>,
    /// Batches that hold such a member are refused whole.
    pub poison: Vec<String>,
    pub describe_denied: bool,
    /// Taken out by somebody just before the next listing.
    pub vanishing: Option<String>,
    /// Listings do not show these yet.
    pub unseen: Vec<String>,
    /// These are left out of a batch's answer.
    pub forgotten: Vec<String>,
    pub faults: VecDeque<Fault>,
    pub made: Vec<Made>,
}

#[derive(Clone, Default)]
pub struct Fake(Arc<Mutex<Channel>>);

fn error(operation: Operation, class: CallErrorClass, code: &str) -> CallError {
    CallError { class, operation, code: code.to_owned(), message: "as the test has it".to_owned(), request_id: None }
}

impl Fake {
    pub fn with<T>(&self, change: impl FnOnce(&mut Channel) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    pub fn calls(&self, operation: Operation) -> usize {
        self.with(|channel| channel.made.iter().filter(|made| made.operation == operation).count())
    }

    pub fn all_calls(&self) -> usize {
        self.with(|channel| channel.made.len())
    }

    pub fn batches(&self) -> Vec<Vec<String>> {
        self.with(|channel| {
            let batches = channel.made.iter().filter(|made| made.operation == Operation::BatchCreateChannelMembership);
            batches.map(|made| made.members.clone()).collect()
        })
    }

    fn call<T>(&self, made: Made, effect: impl FnOnce(&mut Channel) -> Result<T, CallError>) -> Result<T, CallError> {
        self.with(|channel| {
            let operation = made.operation;
            channel.made.push(made);
            match channel.faults.pop_front() {
                Some(Fault::Before(class, code)) => Err(error(operation, class, code)),
                Some(Fault::After(class, code)) => {
                    effect(channel)?;
                    Err(error(operation, class, code))
                }
                None => effect(channel),
            }
        })
    }
}

impl Service for Fake {
    async fn list_page(&self, target: &Target, token: Option<&str>) -> Result<Page, CallError> {
        let operation = Operation::ListChannelMemberships;
        let made = Made { operation, members: Vec::new(), token: token.map(str::to_owned) };
        self.call(made, |channel| {
            if let Some(vanishing) = channel.vanishing.take() {
                channel.members.remove(&vanishing);
            }
            let after = token.unwrap_or_default();
            let mut rest = channel
                .members
                .iter()
                .filter(|(arn, kind)| arn.as_str() > after && **kind == target.membership_type)
                .filter(|(arn, _)| !channel.unseen.contains(arn))
                .map(|(arn, _)| arn.clone());
            let members: Vec<String> = rest.by_ref().take(PAGE_SIZE).collect();
            let next = rest.next().and_then(|_| members.last().cloned());
            Ok(Page { members, next })
        })
    }

    async fn batch_create(&self, target: &Target, members: &[MemberArn]) -> Result<BatchAnswer, CallError> {
        let operation = Operation::BatchCreateChannelMembership;
        let members: Vec<String> = members.iter().map(|member| member.as_str().to_owned()).collect();
        let made = Made { operation, members: members.clone(), token: None };
        self.call(made, |channel| {
            if channel.poison.iter().any(|poison| members.contains(poison)) {
                return Err(error(operation, CallErrorClass::Refused, "BadRequest"));
            }
            let mut answer = BatchAnswer::default();
            for member in members {
                if channel.forgotten.contains(&member) {
                    continue;
                }
                let spoiled = channel.refused.get_mut(&member).filter(|(_, times)| *times > 0);
                let code = match spoiled {
                    Some((code, times)) => {
                        *times -= 1;
                        Some(code.clone())
                    }
                    None if channel.members.contains_key(&member) => Some(Some("Conflict".to_owned())),
                    None => None,
                };
                if let Some(code) = code {
                    let message = Some("no".to_owned());
                    answer.errors.push(MemberError { member: Some(member), code, message });
                } else {
                    channel.members.insert(member.clone(), target.membership_type);
                    answer.added.push(member);
                }
            }
            Ok(answer)
        })
    }

    async fn describe(&self, _: &Target, member: &MemberArn) -> Result<Option<Membership>, CallError> {
        let operation = Operation::DescribeChannelMembership;
        let made = Made { operation, members: vec![member.as_str().to_owned()], token: None };
        self.call(made, |channel| {
            if channel.describe_denied {
                return Err(error(operation, CallErrorClass::AccessDenied, "AccessDenied"));
            }
            let kind = channel.members.get(member.as_str()).copied();
            Ok(kind.map(|kind| Membership { membership_type: Some(kind), invited_by: None }))
        })
    }
}

/// The statuses and events of one resource.
#[derive(Default)]
pub struct Written {
    pub statuses: Vec<ChannelMembershipStatus>,
    pub events: Vec<Event>,
    pub failures: VecDeque<StoreError>,
}

impl Store for Written {
    async fn write_status(&mut self, status: &ChannelMembershipStatus) -> Result<(), StoreError> {
        if let Some(error) = self.failures.pop_front() {
            return Err(error);
        }
        self.statuses.push(status.clone());
        Ok(())
    }

    async fn publish(&mut self, event: Event) {
        self.events.push(event);
    }
}

/// One resource, as a test changes it.
pub struct Resource {
    pub generation: i64,
    pub spec: ChannelMembershipSpec,
    pub requested_at: Option<String>,
    pub memory: Memory,
    pub written: Written,
    pub cancel: CancellationToken,
}

impl Resource {
    pub fn declaring<T: AsRef<str>>(members: impl IntoIterator<Item = T>) -> Self {
        let spec = ChannelMembershipSpec {
            channel_arn: format!("{INSTANCE}/channel/support"),
            members: Some(members.into_iter().collect()),
            ..ChannelMembershipSpec::default()
        };
        Self {
            generation: 1,
            spec,
            requested_at: None,
            memory: Memory::default(),
            written: Written::default(),
            cancel: CancellationToken::new(),
        }
    }

    pub fn edit(&mut self, change: impl FnOnce(&mut ChannelMembershipSpec)) {
        change(&mut self.spec);
        self.generation += 1;
    }

    pub fn status(&self) -> &ChannelMembershipStatus {
        self.written.statuses.last().expect("no status was written")
    }

    /// Ready, Reconciling and Stalled, and the reason.
    pub fn conditions(&self) -> String {
        let conditions = &self.status().conditions;
        let all: Vec<String> = conditions.iter().map(|c| format!("{}={}", c.type_, c.status)).collect();
        format!("{} {}", all.join(" "), conditions[0].reason)
    }

    pub fn message(&self) -> &str {
        &self.status().conditions[0].message
    }

    pub fn errors(&self) -> Vec<(&str, &str, u32)> {
        let errors = self.status().errors.iter();
        errors
            .map(|error| {
                let id = error.member_arn.rsplit('/').next().unwrap();
                (id, error.error_code.as_str(), error.attempts)
            })
            .collect()
    }

    /// One pass over it.
    pub async fn pass(&mut self, engine: &Engine<Fake>) -> Next {
        let status = self.written.statuses.last().cloned();
        let declaration = Declaration {
            generation: self.generation,
            spec: Ok(&self.spec),
            status: status.as_ref(),
            requested_at: self.requested_at.as_deref(),
        };
        engine.pass(&declaration, &mut self.memory, &mut self.written, &self.cancel).await
    }

    /// Passes over it as often as it wants to be looked at within a time.
    pub async fn live(&mut self, engine: &Engine<Fake>, time: Duration) {
        let end = tokio::time::Instant::now() + time;
        loop {
            let rest = match self.pass(engine).await {
                Next::After(rest) => rest,
                Next::AtOnce => Duration::ZERO,
                Next::OnChange => Duration::MAX,
            };
            let now = tokio::time::Instant::now();
            if now + rest.min(Duration::from_secs(1 << 30)) > end {
                tokio::time::sleep_until(end).await;
                return;
            }
            tokio::time::sleep(rest).await;
        }
    }
}

pub fn engine_at(service: &Fake, rates: Rates) -> Engine<Fake> {
    engine_until(service, rates, CancellationToken::new())
}

/// An engine of a process that stops when `stop` is cancelled.
pub fn engine_until(service: &Fake, rates: Rates, stop: CancellationToken) -> Engine<Fake> {
    let client = Client::new(Arc::new(service.clone()), Arc::new(Pacer::new(rates, NonZeroU16::MAX)));
    let settings = Settings {
        bearers: vec![MemberArn::parse(&user("rollcall")).unwrap()],
        allow_bearer_override: false,
        resync_interval: Duration::from_hours(1),
        min_resync_interval: Duration::from_secs(10),
        custom_endpoint: None,
    };
    Engine::new(client, settings, Clock::starting_at(Timestamp::UNIX_EPOCH), stop)
}

/// An engine without a limit.
pub fn engine(service: &Fake) -> Engine<Fake> {
    engine_at(service, Rates::UNLIMITED)
}
