//! Additions: missing members are added in batches; members without a clear answer are confirmed.

use std::collections::VecDeque;
use std::sync::Arc;

use super::audit::{Action, audit};
use super::channel_info::detect_elastic;
use super::io::Io;
use super::observe::ensure_listed_since;
use super::outcome::{Effect, Outcome};
use super::progress::{ProgressReport, Waiting};
use super::record::Recorded;
use super::stop::{Stop, refusal};
use crate::chime::backoff::Backoff;
use crate::chime::caller::retry_transient;
use crate::chime::port::{BatchAnswer, CallError, CallErrorClass, MAX_BATCH, Membership, Operation, Service};
use crate::membership::arn::MemberArn;
use crate::membership::error_code::{ErrorCodeClass, TYPE_MISMATCH};
use crate::membership::member_set::NameSet;

/// A batch that is refused more often than this in a row, without a success, has more than one bad
/// member: halving a batch of 100 finds one in 8.
const MAX_REFUSALS: u32 = 8;

/// Each of the first members refused alone, up to this many, allows two more refusals.
const MAX_ALONE: u32 = 2;

/// After this many batches in a row without an added member, the rest is not tried: the channel may
/// be full.
const MAX_BATCHES_IN_VAIN: u32 = 2;

/// Adds the recorded members. Returns the members whose presence the answers leave open.
pub(super) async fn add_members<S: Service, P: ProgressReport>(
    io: &mut Io<'_, S, P>,
    outcome: &mut Outcome<'_>,
    recorded: &Recorded<NameSet>,
) -> Result<Vec<String>, Stop> {
    let add: Vec<String> = recorded.value().iter().map(str::to_owned).collect();
    let (mut unanswered, mut in_vain) = (Vec::new(), 0);
    let mut batches = add.chunks(MAX_BATCH);
    for batch in batches.by_ref() {
        let mut adding = Adding::default();
        let end = adding.add_bisecting(io, outcome, batch.to_vec()).await;
        outcome.fold(adding.effects, io.now());
        unanswered.extend(adding.unanswered);
        match end? {
            None => in_vain = 0,
            Some(error) => {
                in_vain += 1;
                if in_vain == MAX_BATCHES_IN_VAIN {
                    let at = io.now();
                    outcome.fold(batches.flatten().map(|name| not_added(name, &error, at)), at);
                    break;
                }
            }
        }
    }
    Ok(unanswered)
}

/// The effects of one batch so far.
#[derive(Default)]
struct Adding {
    effects: Vec<Effect>,
    unanswered: Vec<String>,
}

/// The end of one call.
enum BatchEnd {
    /// The service answered for each member of the batch.
    Answered,
    /// The batch was refused as a whole.
    Refused(Vec<String>, CallError),
}

impl Adding {
    /// Adds a batch. A batch that is refused as a whole although the channel can be listed is
    /// halved, because one member may spoil it for the others. Returns the refusal if no part of
    /// it was answered.
    async fn add_bisecting<S: Service, P: ProgressReport>(
        &mut self,
        io: &mut Io<'_, S, P>,
        outcome: &Outcome<'_>,
        batch: Vec<String>,
    ) -> Result<Option<CallError>, Stop> {
        let mut parts = VecDeque::from([batch]);
        let (mut refusals, mut any) = (0, false);
        // Members that were refused alone, until the refusal turns out to be the channel's or the
        // bearer's.
        let mut alone: Vec<String> = Vec::new();
        let mut last = None;
        while let Some(mut part) = parts.pop_front() {
            let error = match self.add_batch(io, outcome, part).await? {
                BatchEnd::Answered => {
                    (refusals, any) = (0, true);
                    alone.clear();
                    continue;
                }
                BatchEnd::Refused(names, error) => {
                    part = names;
                    error
                }
            };
            refusals += 1;
            if error.class == CallErrorClass::ChannelNotAccessible {
                // A bearer that can list the channel now has access. A channel listed in this
                // reconcile is not listed again.
                let began = io.began;
                ensure_listed_since(io, outcome, began).await?;
            }
            let is_members = error.class == CallErrorClass::Refused;
            let alone_count = u32::try_from(alone.len()).unwrap_or(MAX_ALONE).min(MAX_ALONE);
            let most = MAX_REFUSALS + if is_members { 2 * alone_count } else { 0 };
            let enough = refusals > most || refusals == most && part.len() > 1;
            if error.class.affects_all_calls() || enough && !is_members {
                // The channel or the bearer is refused, not these members.
                let blamed = |effect: &Effect| matches!(effect, Effect::NotAdded { name, .. } if alone.iter().any(|alone| **alone == **name));
                self.effects.retain(|effect| !blamed(effect));
                self.effects.extend(alone.iter().map(|name| Effect::NoError(name.as_str().into())));
                return Err(Stop::Refused(error));
            }
            if enough {
                parts.push_front(part);
                for name in parts.iter().flatten() {
                    self.effects.push(not_added(name, &error, io.now()));
                }
                return Ok((!any).then_some(error));
            }
            if part.len() == 1 {
                self.effects.push(not_added(&part[0], &error, io.now()));
                alone.append(&mut part);
                last = Some(error);
            } else {
                let second = part.split_off(part.len() / 2);
                parts.push_front(second);
                parts.push_front(part);
            }
        }
        Ok(last.filter(|_| !any))
    }

    /// Adds one batch, and repeats the call until it is answered or refused.
    async fn add_batch<S: Service, P: ProgressReport>(
        &mut self,
        io: &mut Io<'_, S, P>,
        outcome: &Outcome<'_>,
        batch: Vec<String>,
    ) -> Result<BatchEnd, Stop> {
        let mut backoff = Backoff::default();
        loop {
            let entry = Arc::clone(&io.entry);
            let writing = io.wait(outcome, &Waiting::Permit, entry.writing.lock()).await?;
            let permit = io.acquire_permit(outcome, Operation::BatchCreateChannelMembership).await?;
            io.still_authorized(outcome)?;
            // Another resource of the channel may have added some in the meantime.
            let names = io.entry.missing(batch.clone());
            if names.is_empty() {
                return Ok(BatchEnd::Answered);
            }
            let desired = &outcome.facts.spec.desired;
            let members: Vec<MemberArn> = names.iter().map(|name| desired.arn(name)).collect();
            io.entry.mark_adding(&names, io.now());
            match io.engine.client.batch_create(permit, &io.spec.target, &members).await {
                Ok(answer) => {
                    self.record_answer(io, outcome, &names, &answer);
                    return Ok(BatchEnd::Answered);
                }
                Err(error) if error.class.is_transient() => {
                    // The call may have its effect until now.
                    io.entry.mark_adding(&names, io.now());
                    drop(writing);
                    io.back_off(outcome, &mut backoff, error).await?;
                }
                Err(error) => return Ok(BatchEnd::Refused(names, error)),
            }
        }
    }

    /// Records what the service answered for each member of a batch.
    fn record_answer<S: Service, P: ProgressReport>(
        &mut self,
        io: &Io<'_, S, P>,
        outcome: &Outcome<'_>,
        names: &[String],
        answer: &BatchAnswer,
    ) {
        let (channel, at) = (&io.spec.target.channel, io.now());
        let added_names = || answer.added.iter().filter_map(|arn| channel.name_of(arn));
        io.entry.mark_present(added_names(), at);
        io.engine.counters.count_added(answer.added.len());
        for name in added_names() {
            audit(outcome, Action::Added, &outcome.facts.spec.desired.arn(name), answer.request_id.as_deref());
        }
        let (added, failed) = (answer.added.len(), answer.errors.len());
        tracing::info!(
            channel = channel.as_str(),
            added,
            not_added = failed,
            "added {added} of {} members",
            names.len()
        );
        for name in names {
            let error = answer
                .errors
                .iter()
                .find(|error| error.member.as_deref().and_then(|arn| channel.name_of(arn)) == Some(name.as_str()));
            match error {
                _ if added_names().any(|added| added == name) => {
                    self.effects.push(Effect::NoError(name.as_str().into()));
                }
                // A member in neither list is unknown.
                None => self.unanswered.push(name.clone()),
                Some(error) if ErrorCodeClass::of(error.code.as_deref()) == ErrorCodeClass::Conflict => {
                    self.unanswered.push(name.clone());
                }
                Some(error) => self.effects.push(Effect::NotAdded {
                    name: name.as_str().into(),
                    code: error.code.clone(),
                    message: error.message.clone().unwrap_or_default(),
                    at,
                }),
            }
        }
    }
}

fn not_added(name: &str, error: &CallError, at: jiff::Timestamp) -> Effect {
    Effect::NotAdded { name: name.into(), code: Some(error.code.clone()), message: error.message.clone(), at }
}

/// Confirms members whose answer leaves their presence open: by a listing if that costs fewer
/// calls, then one by one, because only DescribeChannelMembership shows a membership of the other
/// type.
pub(super) async fn confirm_members<S: Service, P: ProgressReport>(
    io: &mut Io<'_, S, P>,
    outcome: &mut Outcome<'_>,
    unanswered: Vec<String>,
) -> Result<(), Stop> {
    let mut open = io.entry.missing(unanswered);
    if open.len() > io.entry.pages() {
        let now = io.now();
        ensure_listed_since(io, outcome, now).await?;
        open = io.entry.missing(open);
    }
    let mut is_missing_in_listing = false;
    for name in open {
        let described = describe_member(io, outcome, &name).await;
        let effect = match refusal(described)? {
            Ok(found) => {
                let wanted = io.spec.target.membership_type;
                is_missing_in_listing |= found.as_ref().is_some_and(|found| found.membership_type == Some(wanted));
                confirmed(io, &name, found.as_ref())
            }
            Err(error) if error.class.affects_all_calls() => return Err(Stop::Refused(error)),
            Err(error) => Effect::NotAdded {
                name: name.as_str().into(),
                code: Some(error.code.clone()),
                message: format!("is said to be a member already, which could not be confirmed: {error}"),
                at: io.now(),
            },
        };
        outcome.fold([effect], io.now());
    }
    if is_missing_in_listing {
        detect_elastic(io, outcome).await?;
    }
    Ok(())
}

/// Returns what a description of a member says about an add with an open answer.
fn confirmed<S: Service, P: ProgressReport>(io: &Io<'_, S, P>, name: &str, found: Option<&Membership>) -> Effect {
    let (wanted, at) = (io.spec.target.membership_type, io.now());
    let (code, message) = match found.map(|membership| membership.membership_type) {
        Some(Some(membership_type)) if membership_type == wanted => {
            io.entry.mark_present([name], at);
            return Effect::NoError(name.into());
        }
        Some(other) => {
            let other = other.map_or("another", crate::api::MembershipType::as_str);
            let message = format!(
                "is in the channel with type {other}, not {wanted}: the service cannot change a type in place, so \
                 that membership must be deleted first"
            );
            (Some(TYPE_MISMATCH.to_owned()), message)
        }
        None => (None, "the service neither added the member nor has the membership".to_owned()),
    };
    Effect::NotAdded { name: name.into(), code, message, at }
}

/// Describes one membership, and repeats the call until it is answered or refused.
pub(super) async fn describe_member<S: Service, P: ProgressReport>(
    io: &mut Io<'_, S, P>,
    outcome: &Outcome<'_>,
    name: &str,
) -> Result<Option<Membership>, Stop> {
    let member = outcome.facts.spec.desired.arn(name);
    let (client, spec) = (io.engine.client.clone(), Arc::clone(&io.spec));
    let describe = |permit| client.describe_membership(permit, &spec.target, &member);
    retry_transient(&mut io.caller(outcome), Operation::DescribeChannelMembership, describe).await
}
