//! How are missing members added, batch by batch?

use std::collections::VecDeque;
use std::sync::Arc;

use super::audit::Action;
use super::pass::{Halt, Pass};
use super::store::Store;
use super::wait::Waiting;
use crate::chime::backoff::Backoff;
use crate::chime::port::{BatchAnswer, CallError, CallErrorClass, MAX_BATCH, Operation, Service};
use crate::chime::rate_limit::{Permit, Priority, SharedPriority};
use crate::membership::answer::Answer;
use crate::membership::arn::MemberArn;
use crate::membership::plan::Plan;

/// So many refusals in a row, without a success, are taken for one bad member at most: halving a batch of 100 finds one in 8.
const MAX_REFUSALS: u32 = 8;

/// Up to so many bad members, found alone, buy two more tries each.
const MAX_ALONE: u32 = 2;

/// After so many batches in a row of which nobody could be added, the rest is not tried: the channel is full, or the like.
const MAX_BATCHES_IN_VAIN: u32 = 2;

impl<S: Service, T: Store> Pass<'_, S, T> {
    /// Adds whom the plan names. Gives those for whom the service's answer leaves open whether they are there.
    pub(super) async fn apply(&mut self, plan: Plan) -> Result<Vec<String>, Halt> {
        let add: Vec<String> = plan.add.iter().map(str::to_owned).collect();
        drop(plan);
        let mut doubtful = Vec::new();
        let mut in_vain = 0;
        let mut batches = add.chunks(MAX_BATCH);
        for batch in batches.by_ref() {
            match self.add_all(batch.to_vec(), &mut doubtful).await? {
                None => in_vain = 0,
                Some(error) => {
                    in_vain += 1;
                    if in_vain == MAX_BATCHES_IN_VAIN {
                        batches.for_each(|batch| self.refuse(batch, &error));
                        break;
                    }
                }
            }
        }
        Ok(doubtful)
    }

    /// One batch; one that is refused whole though the channel could just be listed is halved, because perhaps one member
    /// spoils it for the others. Gives the refusal where nothing of it could be added.
    async fn add_all(&mut self, batch: Vec<String>, doubtful: &mut Vec<String>) -> Result<Option<CallError>, Halt> {
        let mut parts = VecDeque::from([batch]);
        let (mut refusals, mut any) = (0, false);
        // Refused alone, as members to blame, unless it turns out to be the channel's refusal.
        let mut alone: Vec<String> = Vec::new();
        let mut last = None;
        while let Some(part) = parts.pop_front() {
            let (mut part, error) = match self.add(part, doubtful).await? {
                Added::Answered => {
                    (refusals, any) = (0, true);
                    alone.clear();
                    continue;
                }
                Added::Refused(part, error) => (part, error),
            };
            refusals += 1;
            if error.class == CallErrorClass::ChannelNotAccessible {
                // Whoever can list the channel now is not shut out of it. One that was listed in this pass is not asked again.
                self.look(self.report.began()).await?;
            }
            // Not a member's fault: the channel's, if it is refused like this again and again, or the bearer's.
            let is_members = error.class == CallErrorClass::Refused;
            let most = MAX_REFUSALS
                + if is_members { 2 * u32::try_from(alone.len()).unwrap_or(MAX_ALONE).min(MAX_ALONE) } else { 0 };
            let enough = refusals > most || refusals == most && part.len() > 1;
            if error.class.affects_all_calls() || enough && !is_members {
                for name in alone {
                    self.memory.problems.clear(&name);
                }
                return Err(Halt::Refused(error));
            }
            if enough {
                parts.push_front(part);
                parts.drain(..).for_each(|part| self.refuse(&part, &error));
                return Ok((!any).then_some(error));
            }
            if part.len() == 1 {
                self.refuse(&part, &error);
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

    /// One batch, made again as it was until it is answered or refused.
    async fn add(&mut self, batch: Vec<String>, doubtful: &mut Vec<String>) -> Result<Added, Halt> {
        let mut backoff = Backoff::default();
        loop {
            let cell = Arc::clone(&self.cell);
            let alone = self.wait(&Waiting::Turn, cell.writing.lock()).await?;
            let permit = self.turn(Operation::BatchCreateChannelMembership).await?;
            self.still_granted()?;
            // Another resource of the channel may have added some in the meantime.
            let names = self.cell.missing(batch.clone());
            if names.is_empty() {
                return Ok(Added::Answered);
            }
            let members: Vec<MemberArn> = names.iter().map(|name| self.intent.roster.arn(name)).collect();
            self.cell.tried(&names);
            match self.engine.client.batch_create(permit, &self.intent.target, &members).await {
                Ok(answer) => {
                    self.take_in(&names, &answer, doubtful);
                    return Ok(Added::Answered);
                }
                Err(error) if error.class.is_transient() => {
                    // It may have its effect until now.
                    self.cell.tried(&names);
                    drop(alone);
                    self.rest(&mut backoff, error).await?;
                }
                Err(error) => return Ok(Added::Refused(names, error)),
            }
        }
    }

    /// Records what the service said of each member of a batch.
    fn take_in(&mut self, names: &[String], answer: &BatchAnswer, doubtful: &mut Vec<String>) {
        let intent = Arc::clone(&self.intent);
        let channel = &intent.target.channel;
        self.cell.seen(answer.added.iter().filter_map(|arn| channel.name_of(arn)));
        self.engine.tally.has_added(answer.added.len());
        let request_id = answer.request_id.as_deref();
        for name in answer.added.iter().filter_map(|arn| channel.name_of(arn)) {
            self.audit(Action::Added, &intent.roster.arn(name), request_id);
        }
        let (added, not_added) = (answer.added.len(), answer.errors.len());
        tracing::info!(channel = channel.as_str(), added, not_added, "added {added} of {} members", names.len());
        let added = |name: &str| answer.added.iter().any(|arn| channel.name_of(arn) == Some(name));
        for name in names {
            let error = answer
                .errors
                .iter()
                .find(|error| error.member.as_deref().and_then(|arn| channel.name_of(arn)) == Some(name.as_str()));
            match error {
                _ if added(name) => self.memory.problems.clear(name),
                // In neither list of the answer: unknown, so look again.
                None => doubtful.push(name.clone()),
                Some(error) if Answer::of(error.code.as_deref()) == Answer::Conflict => doubtful.push(name.clone()),
                Some(error) => {
                    self.failed(name, error.code.as_deref(), error.message.as_deref().unwrap_or_default());
                }
            }
        }
    }

    fn refuse(&mut self, names: &[String], error: &CallError) {
        for name in names {
            self.failed(name, Some(&error.code), &error.message);
        }
    }

    /// Waits for a turn to call.
    pub(super) async fn turn(&mut self, operation: Operation) -> Result<Permit, Halt> {
        let (client, target, urgency) = (self.engine.client.clone(), self.intent.target.clone(), self.urgency.clone());
        self.wait(&Waiting::Turn, async move { client.acquire_permit(&target, operation, &urgency).await }).await
    }

    /// Rests after a call that failed and may pass the next time. From here on the pass is a retry.
    pub(super) async fn rest(&mut self, backoff: &mut Backoff, error: CallError) -> Result<(), Halt> {
        self.urgency = SharedPriority::new(self.urgency.current().max(Priority::Retry));
        let rest = backoff.next_delay(fastrand::f64());
        let error = self.worth_another_try(backoff.failures(), error)?;
        self.wait(&Waiting::Again(error), tokio::time::sleep(rest)).await
    }
}

enum Added {
    /// Each member of the batch was answered for.
    Answered,
    /// The batch was refused as a whole.
    Refused(Vec<String>, CallError),
}
