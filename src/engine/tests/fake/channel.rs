//! A channel in memory that answers like the service. A test can make its calls fail.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use super::user;
use crate::api::MembershipType;
use crate::chime::port::{
    BatchAnswer, BatchMemberError, CallError, CallErrorClass, ChannelInfo, Deleted, ListRequest, Membership, Operation,
    PAGE_SIZE, Page, PageItem, Privacy, Service, Target,
};
use crate::engine::clock::Clock;
use crate::membership::arn::MemberArn;
use crate::membership::guard::Removal;

/// A call that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeCallRecord {
    pub operation: Operation,
    pub members: Vec<String>,
    pub token: Option<String>,
    pub sub_channel: Option<String>,
}

/// The failure of one call.
pub enum CallFault {
    /// Before its effect.
    Before(CallErrorClass, &'static str),
    /// After its effect.
    After(CallErrorClass, &'static str),
}

/// The members of a channel and its answers. All members are full ARNs.
#[derive(Default)]
pub struct FakeChannel {
    pub members: BTreeMap<String, MembershipType>,
    /// The inviter of each member. The inviter of a member without an entry is `user/somebody`.
    pub invited_by: BTreeMap<String, String>,
    /// The join time of each member. A member without an entry joined at the epoch, when the clock
    /// began.
    pub created: BTreeMap<String, Timestamp>,
    pub moderators: BTreeSet<String>,
    pub bans: BTreeSet<String>,
    /// A new channel has the creator `user/creator`.
    pub creator: Option<String>,
    /// In an elastic channel, a member is in one sub-channel, and a moderator may be in several.
    pub elastic: bool,
    /// The members of each sub-channel, by its id. A test that adds a member to an elastic channel
    /// adds an entry here too.
    pub sub_channels: BTreeMap<String, BTreeSet<String>>,
    /// A listing without a sub-channel shows all members of an elastic channel, or none. AWS does
    /// not document which.
    pub spans: bool,
    /// The error code of the service for each of these members, and the number of times.
    pub refused: BTreeMap<String, (Option<String>, usize)>,
    /// A batch with such a member is refused as a whole.
    pub poison: Vec<String>,
    pub describe_denied: bool,
    /// Another user removes this member just before the next listing.
    pub vanishing: Option<String>,
    /// Listings do not show these members.
    pub unseen: Vec<String>,
    /// The answer of a batch leaves these members out.
    pub forgotten: Vec<String>,
    pub faults: VecDeque<CallFault>,
    pub made: Vec<FakeCallRecord>,
}

impl FakeChannel {
    /// Adds a member.
    pub fn join(&mut self, member: &str, inviter: &str, created: Timestamp) {
        self.members.insert(member.to_owned(), MembershipType::Default);
        self.invited_by.insert(member.to_owned(), inviter.to_owned());
        self.created.insert(member.to_owned(), created);
    }

    /// Puts a new member of an elastic channel into a sub-channel. The service chooses one if the
    /// call names none. Calls may name one for moderators only.
    fn place(&mut self, member: &str, given: Option<&str>) -> Result<(), &'static str> {
        if !self.elastic {
            return if given.is_some() { Err("BadRequest") } else { Ok(()) };
        }
        let id = match (given, self.moderators.contains(member)) {
            (Some(id), true) => Some(id.to_owned()),
            (None, false) => {
                self.sub_channels.iter().min_by_key(|(_, members)| members.len()).map(|(id, _)| id.clone())
            }
            _ => return Err("BadRequest"),
        };
        let members = id.and_then(|id| self.sub_channels.get_mut(&id)).ok_or("NotFound")?;
        if members.insert(member.to_owned()) { Ok(()) } else { Err("Conflict") }
    }

    fn members_page(&mut self, target: &Target, token: Option<&str>) -> Page {
        if let Some(vanishing) = self.vanishing.take() {
            self.remove(&vanishing, None);
        }
        let sub_channel = target.sub_channel.as_deref();
        let shown = !self.elastic || self.spans || sub_channel.is_some();
        let members = self.members.iter().filter(|(_, kind)| shown && **kind == target.membership_type);
        let members = members.map(|(arn, _)| arn).filter(|arn| self.is_in(arn, sub_channel));
        let mut page = page(members.filter(|arn| !self.unseen.contains(arn)), token);
        // The display name of a member is its id.
        for item in &mut page.items {
            item.name = item.id.rsplit('/').next().map(str::to_owned);
        }
        page
    }

    /// Returns whether a call that names this sub-channel, or none, concerns this member.
    fn is_in(&self, member: &str, sub_channel: Option<&str>) -> bool {
        match sub_channel {
            None => true,
            Some(id) => self.sub_channels.get(id).is_some_and(|members| members.contains(member)),
        }
    }

    fn remove(&mut self, member: &str, sub_channel: Option<&str>) {
        for (id, members) in &mut self.sub_channels {
            if sub_channel.is_none_or(|given| given == id) {
                members.remove(member);
            }
        }
        if sub_channel.is_none() || !self.sub_channels.values().any(|members| members.contains(member)) {
            self.members.remove(member);
            self.invited_by.remove(member);
            self.created.remove(member);
        }
    }
}

#[derive(Clone)]
pub struct FakeService {
    channel: Arc<Mutex<FakeChannel>>,
    /// The clock of join times.
    pub clock: Clock,
}

impl Default for FakeService {
    fn default() -> Self {
        Self::at(Clock::starting_at(Timestamp::UNIX_EPOCH))
    }
}

fn error(operation: Operation, class: CallErrorClass, code: &str) -> CallError {
    CallError { class, operation, code: code.to_owned(), message: "as the test has it".to_owned(), request_id: None }
}

fn made(operation: Operation, target: &Target, members: &[&str], token: Option<&str>) -> FakeCallRecord {
    let members = members.iter().map(|&member| member.to_owned()).collect();
    let sub_channel = target.sub_channel.as_deref().map(str::to_owned);
    FakeCallRecord { operation, members, token: token.map(str::to_owned), sub_channel }
}

/// Returns the page of a sorted list after `token`, the last item of the page before.
fn page<'a>(items: impl Iterator<Item = &'a String>, token: Option<&str>) -> Page {
    let mut rest = items.filter(|item| item.as_str() > token.unwrap_or_default());
    let items: Vec<PageItem> = rest.by_ref().take(PAGE_SIZE).cloned().map(PageItem::from).collect();
    let next = rest.next().and_then(|_| items.last().map(|item| item.id.clone()));
    Page { items, next }
}

impl FakeService {
    /// Returns a channel that takes join times from this clock.
    pub fn at(clock: Clock) -> Self {
        let channel = FakeChannel { creator: Some(user("creator")), ..FakeChannel::default() };
        Self { channel: Arc::new(Mutex::new(channel)), clock }
    }

    pub fn with<T>(&self, change: impl FnOnce(&mut FakeChannel) -> T) -> T {
        change(&mut self.channel.lock().unwrap())
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

    fn call<T>(
        &self,
        made: FakeCallRecord,
        effect: impl FnOnce(&mut FakeChannel) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        self.with(|channel| {
            let operation = made.operation;
            let unknown = made.sub_channel.as_ref().is_some_and(|id| !channel.sub_channels.contains_key(id));
            // In an elastic channel, a sub-channel that does not exist has no members, and only a
            // listing of it fails.
            let unknown = unknown && !(channel.elastic && operation != Operation::ListChannelMemberships);
            channel.made.push(made);
            match channel.faults.pop_front() {
                Some(CallFault::Before(class, code)) => Err(error(operation, class, code)),
                _ if unknown => Err(error(operation, CallErrorClass::Refused, "BadRequest")),
                Some(CallFault::After(class, code)) => {
                    effect(channel)?;
                    Err(error(operation, class, code))
                }
                None => effect(channel),
            }
        })
    }
}

impl Service for FakeService {
    async fn list_page(&self, list: ListRequest<'_>, token: Option<&str>) -> Result<Page, CallError> {
        let operation = list.operation();
        let call = match list.target() {
            Some(target) => made(operation, target, &[], token),
            None => {
                FakeCallRecord { operation, members: Vec::new(), token: token.map(str::to_owned), sub_channel: None }
            }
        };
        self.call(call, |channel| match list {
            ListRequest::Members(target) => Ok(channel.members_page(target, token)),
            ListRequest::Moderators(_) => Ok(page(channel.moderators.iter(), token)),
            ListRequest::Bans(_) => Ok(page(channel.bans.iter(), token)),
            ListRequest::SubChannels(_) if channel.elastic => Ok(page(channel.sub_channels.keys(), token)),
            ListRequest::SubChannels(_) => Err(error(operation, CallErrorClass::Refused, "BadRequest")),
            // The app instance has one channel, and it is public.
            ListRequest::Channels(query) => {
                let support = format!("{}/channel/support", query.bearer.app_instance());
                let listed = Some(support).filter(|_| query.privacy == Privacy::Public);
                Ok(page(listed.iter(), token))
            }
            ListRequest::UserMemberships { .. } => unreachable!("no reconcile lists the channels of a user"),
        })
    }

    async fn batch_create(&self, target: &Target, members: &[MemberArn]) -> Result<BatchAnswer, CallError> {
        let operation = Operation::BatchCreateChannelMembership;
        let members: Vec<&str> = members.iter().map(MemberArn::as_str).collect();
        self.call(made(operation, target, &members, None), |channel| {
            if channel.poison.iter().any(|poison| members.contains(&poison.as_str())) {
                return Err(error(operation, CallErrorClass::Refused, "BadRequest"));
            }
            let mut answer = BatchAnswer::default();
            for member in members {
                if channel.forgotten.iter().any(|forgotten| forgotten == member) {
                    continue;
                }
                // Moderators of an elastic channel may be in several of its sub-channels.
                let again = channel.elastic && channel.moderators.contains(member);
                let spoiled = channel.refused.get_mut(member).filter(|(_, times)| *times > 0).map(|(code, times)| {
                    *times -= 1;
                    code.clone()
                });
                let code = match spoiled {
                    Some(code) => Some(code),
                    None if channel.bans.contains(member) => Some(Some("Forbidden".to_owned())),
                    None if target.sub_channel.is_none() && channel.members.contains_key(member) && !again => {
                        Some(Some("Conflict".to_owned()))
                    }
                    None => {
                        channel.place(member, target.sub_channel.as_deref()).err().map(|code| Some(code.to_owned()))
                    }
                };
                if let Some(code) = code {
                    let message = Some("no".to_owned());
                    answer.errors.push(BatchMemberError { member: Some(member.to_owned()), code, message });
                } else {
                    channel.join(member, target.bearer.as_str(), self.clock.now());
                    channel.members.insert(member.to_owned(), target.membership_type);
                    answer.added.push(member.to_owned());
                }
            }
            Ok(answer)
        })
    }

    async fn describe_membership(&self, target: &Target, member: &MemberArn) -> Result<Option<Membership>, CallError> {
        let operation = Operation::DescribeChannelMembership;
        let member = member.as_str();
        self.call(made(operation, target, &[member], None), |channel| {
            if channel.describe_denied {
                return Err(error(operation, CallErrorClass::AccessDenied, "AccessDenied"));
            }
            let kind = channel.members.get(member).filter(|_| channel.is_in(member, target.sub_channel.as_deref()));
            Ok(kind.map(|&kind| Membership {
                membership_type: Some(kind),
                invited_by: Some(channel.invited_by.get(member).cloned().unwrap_or_else(|| user("somebody"))),
                created: Some(channel.created.get(member).copied().unwrap_or(Timestamp::UNIX_EPOCH)),
            }))
        })
    }

    async fn delete_membership(&self, target: &Target, removal: Removal) -> Result<Deleted, CallError> {
        assert_eq!(removal.channel(), &target.channel);
        let member = removal.member().as_str();
        self.call(made(Operation::DeleteChannelMembership, target, &[member], None), |channel| {
            channel.remove(member, target.sub_channel.as_deref());
            Ok(Deleted::default())
        })
    }

    async fn describe_channel(&self, target: &Target) -> Result<ChannelInfo, CallError> {
        self.call(made(Operation::DescribeChannel, target, &[], None), |channel| {
            let name = Some(target.channel.id().to_owned());
            Ok(ChannelInfo { name, created_by: channel.creator.clone(), elastic: channel.elastic })
        })
    }
}
