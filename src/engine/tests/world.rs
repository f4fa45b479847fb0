//! A cluster, the service's channels and the time, as several processes share them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use super::cluster::Cluster;
use super::fake::{Fake, INSTANCE, user};
use super::process::Process;
use crate::api::{APPROVE, ChannelMembershipSpec, KeepReason, MembershipType};
use crate::chime::port::{
    BatchAnswer, CallError, CallErrorClass, ChannelInfo, Deleted, ListRequest, Membership, Operation, Page, Service,
    Target,
};
use crate::engine::clock::Clock;
use crate::membership::arn::MemberArn;
use crate::membership::guard::Removal;

/// What happens to the pages of listings on their way: given the token that was asked with.
type Spoiler = Box<dyn FnMut(Option<&str>, Result<Page, CallError>) -> Result<Page, CallError> + Send>;

/// What else happens just before a call has its effect.
type Meanwhile = Box<dyn FnMut(Operation) + Send>;

/// Hears of each delete just before it has its effect: whose it is.
type Judge = Box<dyn FnMut(&str) + Send>;

/// Clones are of the same world.
#[derive(Clone)]
pub struct World {
    pub cluster: Cluster,
    pub clock: Clock,
    channels: Arc<Mutex<BTreeMap<String, Fake>>>,
    spoiler: Arc<Mutex<Option<Spoiler>>>,
    meanwhile: Arc<Mutex<Option<Meanwhile>>>,
    judge: Arc<Mutex<Option<Judge>>>,
    moves: Arc<Mutex<Vec<Move>>>,
    refusals: Arc<Mutex<Vec<Refusal>>>,
}

/// Calls that are refused as long as it stands: of one kind, or all.
type Refusal = (Option<Operation>, CallErrorClass, &'static str);

/// Somebody came or went by a call of an operator, which is more than that a call named them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Move {
    pub channel: String,
    pub id: String,
    pub came: bool,
}

/// A spec that declares these for the channel `support`.
pub fn spec<T: AsRef<str>>(members: impl IntoIterator<Item = T>) -> ChannelMembershipSpec {
    spec_of("support", members)
}

/// A spec that declares these for a channel.
pub fn spec_of<T: AsRef<str>>(channel: &str, members: impl IntoIterator<Item = T>) -> ChannelMembershipSpec {
    ChannelMembershipSpec {
        channel_arn: format!("{INSTANCE}/channel/{channel}"),
        members: Some(members.into_iter().collect()),
        ..ChannelMembershipSpec::default()
    }
}

impl World {
    pub fn new() -> Self {
        let clock = Clock::starting_at(Timestamp::UNIX_EPOCH);
        Self {
            cluster: Cluster::new(clock),
            clock,
            channels: Arc::default(),
            spoiler: Arc::default(),
            meanwhile: Arc::default(),
            judge: Arc::default(),
            moves: Arc::default(),
            refusals: Arc::default(),
        }
    }

    /// A channel, by its id.
    pub fn channel(&self, id: &str) -> Fake {
        let mut channels = self.channels.lock().unwrap();
        channels.entry(id.to_owned()).or_insert_with(|| Fake::at(self.clock)).clone()
    }

    /// The channel `support`.
    pub fn support(&self) -> Fake {
        self.channel("support")
    }

    /// People are in a channel already, whom somebody added.
    pub fn strangers<T: AsRef<str>>(&self, ids: impl IntoIterator<Item = T>) {
        let now = self.clock.now();
        self.support().with(|channel| {
            for id in ids {
                channel.join(&arn(id.as_ref()), &user("somebody"), now);
            }
        });
    }

    /// Somebody creates a resource that declares these for the channel `support`, and is else as `change` has it.
    pub fn create<T: AsRef<str>>(
        &self,
        resource: &str,
        members: impl IntoIterator<Item = T>,
        change: impl FnOnce(&mut ChannelMembershipSpec),
    ) -> String {
        let mut spec = spec(members);
        change(&mut spec);
        self.cluster.create(resource, spec)
    }

    /// Why a resource is Ready, or is not.
    pub fn reason(&self, resource: &str) -> String {
        let status = self.cluster.status(resource);
        status.conditions.first().map(|ready| ready.reason.clone()).unwrap_or_default()
    }

    /// Why an undeclared member stays, as a resource says.
    pub fn stays(&self, resource: &str, id: &str) -> Option<KeepReason> {
        let undeclared = self.cluster.status(resource).undeclared?;
        undeclared.sample.iter().find(|member| member.member_arn == arn(id)).map(|member| member.reason)
    }

    /// Approves the plan that a resource holds, and gives its hash.
    pub fn approve(&self, resource: &str) -> String {
        let pending = self.cluster.status(resource).pending_approval;
        let hash = pending.unwrap_or_else(|| panic!("{resource} holds nothing: {}", self.reason(resource))).hash;
        self.cluster.annotate(resource, APPROVE, &hash);
        hash
    }

    /// Who is in the channel `support`, by short id.
    pub fn members(&self) -> BTreeSet<String> {
        self.members_of("support")
    }

    pub fn members_of(&self, channel: &str) -> BTreeSet<String> {
        self.channel(channel).with(|channel| channel.members.keys().map(|arn| short(arn)).collect())
    }

    /// Who is in the channel `support` with a type.
    pub fn members_as(&self, kind: MembershipType) -> BTreeSet<String> {
        self.support()
            .with(|channel| channel.members.iter().filter(|(_, of)| **of == kind).map(|(arn, _)| short(arn)).collect())
    }

    /// The people of each call that deletes, in all channels.
    pub fn deletes(&self) -> Vec<String> {
        self.named_by(Operation::DeleteChannelMembership)
    }

    /// The people of all batches, in all channels.
    pub fn adds(&self) -> Vec<String> {
        self.named_by(Operation::BatchCreateChannelMembership)
    }

    /// Calls of one kind, in all channels.
    pub fn calls(&self, operation: Operation) -> usize {
        self.channels.lock().unwrap().values().map(|fake| fake.calls(operation)).sum()
    }

    /// Who came and went by calls of operators, in order.
    pub fn moves(&self) -> Vec<Move> {
        self.moves.lock().unwrap().clone()
    }

    fn named_by(&self, operation: Operation) -> Vec<String> {
        let channels = self.channels.lock().unwrap();
        let made = channels.values().flat_map(|fake| fake.with(|channel| channel.made.clone()));
        made.filter(|made| made.operation == operation)
            .flat_map(|made| made.members.into_iter().map(|arn| short(&arn)))
            .collect()
    }

    /// Pages of listings go by `spoiler` from now on.
    pub fn spoil(
        &self,
        spoiler: impl FnMut(Option<&str>, Result<Page, CallError>) -> Result<Page, CallError> + Send + 'static,
    ) {
        *self.spoiler.lock().unwrap() = Some(Box::new(spoiler));
    }

    /// Pages of listings are as they are again.
    pub fn mend(&self) {
        *self.spoiler.lock().unwrap() = None;
    }

    /// `meanwhile` happens just before each call of the service has its effect.
    pub fn meanwhile(&self, meanwhile: impl FnMut(Operation) + Send + 'static) {
        *self.meanwhile.lock().unwrap() = Some(Box::new(meanwhile));
    }

    /// `judge` hears of each delete in the channel just before it has its effect.
    pub fn before_delete(&self, judge: impl FnMut(&str) + Send + 'static) {
        *self.judge.lock().unwrap() = Some(Box::new(judge));
    }

    /// IAM allows this operation no more.
    pub fn deny(&self, operation: Operation) {
        self.refusals.lock().unwrap().push((Some(operation), CallErrorClass::AccessDenied, "AccessDenied"));
    }

    /// All calls are refused from now on.
    pub fn refuse_all(&self, class: CallErrorClass, code: &'static str) {
        self.refusals.lock().unwrap().push((None, class, code));
    }

    /// Nothing is refused any more.
    pub fn allow(&self) {
        self.refusals.lock().unwrap().clear();
    }

    fn refusal(&self, operation: Operation) -> Option<CallError> {
        let refusals = self.refusals.lock().unwrap();
        let refused = refusals.iter().find(|(of, ..)| of.is_none_or(|of| of == operation));
        refused.map(|(_, class, code)| CallError {
            class: *class,
            operation,
            code: (*code).to_owned(),
            message: "as the test has it".to_owned(),
            request_id: None,
        })
    }

    fn goes_on(&self, operation: Operation) {
        if let Some(meanwhile) = &mut *self.meanwhile.lock().unwrap() {
            meanwhile(operation);
        }
    }

    fn spoiled(&self, token: Option<&str>, page: Result<Page, CallError>) -> Result<Page, CallError> {
        match &mut *self.spoiler.lock().unwrap() {
            Some(spoil) => spoil(token, page),
            None => page,
        }
    }

    /// The service, for one process.
    pub fn port(&self, process: &Process) -> Port {
        Port { world: self.clone(), process: process.clone() }
    }
}

/// `alice` or `bot/helper`, in full.
pub fn arn(id: &str) -> String {
    if id.starts_with("bot/") { format!("{INSTANCE}/{id}") } else { user(id) }
}

/// What a full ARN is in short.
pub fn short(arn: &str) -> String {
    let name = arn.strip_prefix(INSTANCE).map_or(arn, |rest| rest.trim_start_matches('/'));
    name.strip_prefix("user/").unwrap_or(name).to_owned()
}

/// The service as one process calls it. Each channel of the world answers for itself.
#[derive(Clone)]
pub struct Port {
    world: World,
    process: Process,
}

impl Port {
    async fn call<T, F: Future<Output = Result<T, CallError>>>(
        &self,
        operation: Operation,
        target: &Target,
        members: &[&MemberArn],
        call: impl FnOnce(Fake) -> F,
    ) -> Result<T, CallError> {
        let members: Vec<String> = members.iter().map(|member| short(member.as_str())).collect();
        let what = format!("{operation} of {}: {}", target.channel.id(), members.join(" "));
        let fake = self.world.channel(target.channel.id());
        let effect = async move {
            self.world.goes_on(operation);
            if let Some(refused) = self.world.refusal(operation) {
                return Err(refused);
            }
            if operation == Operation::DeleteChannelMembership
                && let Some(judge) = &mut *self.world.judge.lock().unwrap()
            {
                for id in &members {
                    judge(id);
                }
            }
            let there = |id: &String| fake.with(|channel| channel.members.contains_key(&arn(id)));
            let before: Vec<bool> = members.iter().map(there).collect();
            let answer = call(fake.clone()).await;
            let gone_or_come = members.iter().zip(before).filter(|(id, before)| there(id) != *before);
            let channel = target.channel.id();
            let moves =
                gone_or_come.map(|(id, before)| Move { channel: channel.to_owned(), id: id.clone(), came: !before });
            self.world.moves.lock().unwrap().extend(moves);
            answer
        };
        let failed = || {
            Err(CallError {
                class: CallErrorClass::Transient,
                operation,
                code: "ConnectionFailed".to_owned(),
                message: "as the test has it".to_owned(),
                request_id: None,
            })
        };
        self.process.effect(what, effect, failed).await
    }
}

impl Service for Port {
    async fn list_page(&self, list: ListRequest<'_>, token: Option<&str>) -> Result<Page, CallError> {
        let target = list.target().expect("a reconcile lists only what a channel has");
        let call = async |fake: Fake| {
            let page = fake.list_page(list, token).await;
            if matches!(list, ListRequest::Members(_)) { self.world.spoiled(token, page) } else { page }
        };
        self.call(list.operation(), target, &[], call).await
    }

    async fn batch_create(&self, target: &Target, members: &[MemberArn]) -> Result<BatchAnswer, CallError> {
        let operation = Operation::BatchCreateChannelMembership;
        let named: Vec<&MemberArn> = members.iter().collect();
        self.call(operation, target, &named, async |fake: Fake| fake.batch_create(target, members).await).await
    }

    async fn describe_membership(&self, target: &Target, member: &MemberArn) -> Result<Option<Membership>, CallError> {
        let operation = Operation::DescribeChannelMembership;
        self.call(operation, target, &[member], async |fake: Fake| fake.describe_membership(target, member).await).await
    }

    async fn delete_membership(&self, target: &Target, removal: Removal) -> Result<Deleted, CallError> {
        let operation = Operation::DeleteChannelMembership;
        let member = removal.member().clone();
        self.call(operation, target, &[&member], async |fake: Fake| fake.delete_membership(target, removal).await).await
    }

    async fn describe_channel(&self, target: &Target) -> Result<ChannelInfo, CallError> {
        let operation = Operation::DescribeChannel;
        self.call(operation, target, &[], async |fake: Fake| fake.describe_channel(target).await).await
    }
}
