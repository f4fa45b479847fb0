//! A cluster, the channels of the service, and a clock, shared by several processes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use super::cluster::TestCluster;
use super::fake::{FakeService, INSTANCE, user};
use super::process::Process;
use crate::api::{APPROVE, ChannelMembershipSpec, KeepReason, MembershipType};
use crate::chime::port::{
    BatchAnswer, CallError, CallErrorClass, ChannelInfo, Deleted, ListRequest, Membership, Operation, Page, Service,
    Target,
};
use crate::engine::clock::Clock;
use crate::membership::arn::MemberArn;
use crate::membership::guard::Removal;

/// Changes the pages of listings. It gets the token of the request and the answer.
type PageFilter = Box<dyn FnMut(Option<&str>, Result<Page, CallError>) -> Result<Page, CallError> + Send>;

/// Runs just before a call has its effect.
type CallHook = Box<dyn FnMut(Operation) + Send>;

/// Runs just before each delete has its effect. It gets the short id of the member.
type DeleteHook = Box<dyn FnMut(&str) + Send>;

/// A cluster with its service and clock. All clones share their state.
#[derive(Clone)]
pub struct TestWorld {
    pub cluster: TestCluster,
    pub clock: Clock,
    channels: Arc<Mutex<BTreeMap<String, FakeService>>>,
    page_filter: Arc<Mutex<Option<PageFilter>>>,
    call_hook: Arc<Mutex<Option<CallHook>>>,
    delete_hook: Arc<Mutex<Option<DeleteHook>>>,
    moves: Arc<Mutex<Vec<Move>>>,
    refusals: Arc<Mutex<Vec<Refusal>>>,
}

/// Calls that are refused: all calls, or the calls of one operation.
type Refusal = (Option<Operation>, CallErrorClass, &'static str);

/// A member that a call of an operator really added or removed. A call may name a member and change
/// nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Move {
    pub channel: String,
    pub id: String,
    pub came: bool,
}

/// Returns a spec that declares members of the channel `support`.
pub fn spec<T: AsRef<str>>(members: impl IntoIterator<Item = T>) -> ChannelMembershipSpec {
    spec_of("support", members)
}

/// Returns a spec that declares members of a channel.
pub fn spec_of<T: AsRef<str>>(channel: &str, members: impl IntoIterator<Item = T>) -> ChannelMembershipSpec {
    ChannelMembershipSpec {
        channel_arn: format!("{INSTANCE}/channel/{channel}"),
        members: Some(members.into_iter().collect()),
        ..ChannelMembershipSpec::default()
    }
}

impl TestWorld {
    pub fn new() -> Self {
        let clock = Clock::starting_at(Timestamp::UNIX_EPOCH);
        Self {
            cluster: TestCluster::new(clock),
            clock,
            channels: Arc::default(),
            page_filter: Arc::default(),
            call_hook: Arc::default(),
            delete_hook: Arc::default(),
            moves: Arc::default(),
            refusals: Arc::default(),
        }
    }

    /// Returns a channel by its id.
    pub fn channel(&self, id: &str) -> FakeService {
        let mut channels = self.channels.lock().unwrap();
        channels.entry(id.to_owned()).or_insert_with(|| FakeService::at(self.clock)).clone()
    }

    /// Returns the channel `support`.
    pub fn support(&self) -> FakeService {
        self.channel("support")
    }

    /// Adds members to the channel `support` in the name of another user.
    pub fn add_strangers<T: AsRef<str>>(&self, ids: impl IntoIterator<Item = T>) {
        let now = self.clock.now();
        self.support().with(|channel| {
            for id in ids {
                channel.join(&arn(id.as_ref()), &user("somebody"), now);
            }
        });
    }

    /// Creates a resource that declares members of the channel `support`. `change` edits the rest
    /// of its spec.
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

    /// Returns the reason of the condition Ready.
    pub fn ready_reason(&self, resource: &str) -> String {
        let status = self.cluster.status(resource);
        status.conditions.first().map(|ready| ready.reason.clone()).unwrap_or_default()
    }

    /// Returns the reason in the status why an undeclared member stays.
    pub fn keep_reason(&self, resource: &str, id: &str) -> Option<KeepReason> {
        let undeclared = self.cluster.status(resource).undeclared?;
        undeclared.sample.iter().find(|member| member.member_arn == arn(id)).map(|member| member.reason)
    }

    /// Approves the pending plan of a resource, and returns its hash.
    pub fn approve_plan(&self, resource: &str) -> String {
        let pending = self.cluster.status(resource).pending_approval;
        let hash =
            pending.unwrap_or_else(|| panic!("{resource} has no pending plan: {}", self.ready_reason(resource))).hash;
        self.cluster.annotate(resource, APPROVE, &hash);
        hash
    }

    /// Returns the members of the channel `support`, by short id.
    pub fn members(&self) -> BTreeSet<String> {
        self.members_of("support")
    }

    pub fn members_of(&self, channel: &str) -> BTreeSet<String> {
        self.channel(channel).with(|channel| channel.members.keys().map(|arn| short(arn)).collect())
    }

    /// Returns the members of the channel `support` that have a type.
    pub fn members_as(&self, kind: MembershipType) -> BTreeSet<String> {
        self.support()
            .with(|channel| channel.members.iter().filter(|(_, of)| **of == kind).map(|(arn, _)| short(arn)).collect())
    }

    /// Returns the member of each delete call, in all channels.
    pub fn deletes(&self) -> Vec<String> {
        self.named_by(Operation::DeleteChannelMembership)
    }

    /// Returns the members of all batches, in all channels.
    pub fn adds(&self) -> Vec<String> {
        self.named_by(Operation::BatchCreateChannelMembership)
    }

    /// Counts the calls of an operation, in all channels.
    pub fn calls(&self, operation: Operation) -> usize {
        self.channels.lock().unwrap().values().map(|fake| fake.calls(operation)).sum()
    }

    /// Returns the members that calls of operators added and removed, in order.
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

    /// Lets `page_filter` change all pages of listings from now on.
    pub fn alter_pages(
        &self,
        page_filter: impl FnMut(Option<&str>, Result<Page, CallError>) -> Result<Page, CallError> + Send + 'static,
    ) {
        *self.page_filter.lock().unwrap() = Some(Box::new(page_filter));
    }

    /// Leaves pages of listings unchanged again.
    pub fn restore_pages(&self) {
        *self.page_filter.lock().unwrap() = None;
    }

    /// Runs `call_hook` just before each call of the service has its effect.
    pub fn before_each_call(&self, call_hook: impl FnMut(Operation) + Send + 'static) {
        *self.call_hook.lock().unwrap() = Some(Box::new(call_hook));
    }

    /// Runs `delete_hook` just before each delete has its effect.
    pub fn before_delete(&self, delete_hook: impl FnMut(&str) + Send + 'static) {
        *self.delete_hook.lock().unwrap() = Some(Box::new(delete_hook));
    }

    /// Denies an operation, as IAM does.
    pub fn deny_operation(&self, operation: Operation) {
        self.refusals.lock().unwrap().push((Some(operation), CallErrorClass::AccessDenied, "AccessDenied"));
    }

    /// Refuses all calls from now on.
    pub fn refuse_calls(&self, class: CallErrorClass, code: &'static str) {
        self.refusals.lock().unwrap().push((None, class, code));
    }

    /// Ends all refusals.
    pub fn allow_calls(&self) {
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

    fn run_call_hook(&self, operation: Operation) {
        if let Some(call_hook) = &mut *self.call_hook.lock().unwrap() {
            call_hook(operation);
        }
    }

    fn filtered_page(&self, token: Option<&str>, page: Result<Page, CallError>) -> Result<Page, CallError> {
        match &mut *self.page_filter.lock().unwrap() {
            Some(filter) => filter(token, page),
            None => page,
        }
    }

    /// Returns the service as one process calls it.
    pub fn service_port(&self, process: &Process) -> Port {
        Port { world: self.clone(), process: process.clone() }
    }
}

/// Returns the full ARN of `alice` or `bot/helper`.
pub fn arn(id: &str) -> String {
    if id.starts_with("bot/") { format!("{INSTANCE}/{id}") } else { user(id) }
}

/// Returns the short id of a full ARN.
pub fn short(arn: &str) -> String {
    let name = arn.strip_prefix(INSTANCE).map_or(arn, |rest| rest.trim_start_matches('/'));
    name.strip_prefix("user/").unwrap_or(name).to_owned()
}

/// The service as one process calls it. Each channel answers its own calls.
#[derive(Clone)]
pub struct Port {
    world: TestWorld,
    process: Process,
}

impl Port {
    async fn call<T, F: Future<Output = Result<T, CallError>>>(
        &self,
        operation: Operation,
        target: &Target,
        members: &[&MemberArn],
        call: impl FnOnce(FakeService) -> F,
    ) -> Result<T, CallError> {
        let members: Vec<String> = members.iter().map(|member| short(member.as_str())).collect();
        let what = format!("{operation} of {}: {}", target.channel.id(), members.join(" "));
        let fake = self.world.channel(target.channel.id());
        let effect = async move {
            self.world.run_call_hook(operation);
            if let Some(refused) = self.world.refusal(operation) {
                return Err(refused);
            }
            if operation == Operation::DeleteChannelMembership
                && let Some(delete_hook) = &mut *self.world.delete_hook.lock().unwrap()
            {
                for id in &members {
                    delete_hook(id);
                }
            }
            self.world.cluster.order_law(|law| match operation {
                Operation::BatchCreateChannelMembership => law.check_add(target.channel.id(), &members),
                Operation::DescribeChannelMembership => law.take_description(target.channel.id(), &members[0]),
                Operation::DeleteChannelMembership => law.check_delete(target.channel.id(), &members[0]),
                _ => {}
            });
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
        self.process.run_effect(what, effect, failed).await
    }
}

impl Service for Port {
    async fn list_page(&self, list: ListRequest<'_>, token: Option<&str>) -> Result<Page, CallError> {
        let target = list.target().expect("a reconcile lists only parts of a channel");
        let call = async |fake: FakeService| {
            let page = fake.list_page(list, token).await;
            if matches!(list, ListRequest::Members(_)) { self.world.filtered_page(token, page) } else { page }
        };
        self.call(list.operation(), target, &[], call).await
    }

    async fn batch_create(&self, target: &Target, members: &[MemberArn]) -> Result<BatchAnswer, CallError> {
        let operation = Operation::BatchCreateChannelMembership;
        let named: Vec<&MemberArn> = members.iter().collect();
        self.call(operation, target, &named, async |fake: FakeService| fake.batch_create(target, members).await).await
    }

    async fn describe_membership(&self, target: &Target, member: &MemberArn) -> Result<Option<Membership>, CallError> {
        let operation = Operation::DescribeChannelMembership;
        self.call(operation, target, &[member], async |fake: FakeService| {
            fake.describe_membership(target, member).await
        })
        .await
    }

    async fn delete_membership(&self, target: &Target, removal: Removal) -> Result<Deleted, CallError> {
        let operation = Operation::DeleteChannelMembership;
        let member = removal.member().clone();
        self.call(operation, target, &[&member], async |fake: FakeService| {
            fake.delete_membership(target, removal).await
        })
        .await
    }

    async fn describe_channel(&self, target: &Target) -> Result<ChannelInfo, CallError> {
        let operation = Operation::DescribeChannel;
        self.call(operation, target, &[], async |fake: FakeService| fake.describe_channel(target).await).await
    }
}
