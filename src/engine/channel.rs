//! What is asked about a channel besides who is in it?

use super::pass::{Halt, Pass};
use super::store::Store;
use crate::api::Reason;
use crate::chime::backoff::Backoff;
use crate::chime::port::{CallError, CallErrorClass, ChannelInfo, ListRequest, Operation, Service};

/// A list of moderators has 20 pages at most (1,000 moderators of a channel, AWS General Reference); no other is read further.
const MAX_PAGES: usize = 20;

impl<S: Service, T: Store> Pass<'_, S, T> {
    /// The channel itself, asked for again until it is answered or refused.
    pub(super) async fn describe_channel(&mut self) -> Result<Result<ChannelInfo, CallError>, Halt> {
        let mut backoff = Backoff::default();
        loop {
            let permit = self.turn(Operation::DescribeChannel).await?;
            match self.engine.client.describe_channel(permit, &self.intent.target).await {
                Err(error) if error.class.is_transient() => self.rest(&mut backoff, error).await?,
                answer => {
                    if let Ok(info) = &answer {
                        self.cell.learn(info.elastic);
                    }
                    return Ok(answer);
                }
            }
        }
    }

    /// All moderators of the channel, or all who are banned from it, as ARNs.
    pub(super) async fn all_of(&mut self, operation: Operation) -> Result<Result<Vec<String>, CallError>, Halt> {
        let (mut all, mut token, mut backoff) = (Vec::new(), None::<String>, Backoff::default());
        for _ in 0..MAX_PAGES {
            let page = loop {
                let permit = self.turn(operation).await?;
                let (client, target) = (&self.engine.client, &self.intent.target);
                let list = match operation {
                    Operation::ListChannelBans => ListRequest::Bans(target),
                    _ => ListRequest::Moderators(target),
                };
                match client.list_page(permit, list, token.as_deref()).await {
                    Err(error) if error.class.is_transient() => self.rest(&mut backoff, error).await?,
                    page => break page,
                }
            };
            let page = match page {
                Ok(page) => page,
                Err(error) => return Ok(Err(error)),
            };
            all.extend(page.items.into_iter().map(|item| item.id));
            match page.next {
                None => return Ok(Ok(all)),
                next if next == token => break,
                next => token = next,
            }
        }
        Ok(Err(CallError::client_side(CallErrorClass::Refused, operation, "UnreadableAnswer", "the list does not end")))
    }

    /// A sub-channel is asked for of elastic channels only.
    pub(super) async fn check_sub_channel(&mut self) -> Result<(), Halt> {
        let Some(id) = self.intent.target.sub_channel.clone() else { return Ok(()) };
        if self.cell.is_elastic() {
            return Ok(());
        }
        let info = self.describe_channel().await?.map_err(Halt::Refused)?;
        if info.elastic {
            return Ok(());
        }
        let message =
            format!("spec.subChannelId {id:?} cannot be used, because the channel is not elastic: take it out");
        Err(Halt::Objection(Reason::InvalidMember, message))
    }

    /// A listing and something else contradict each other: perhaps members are in sub-channels. Asked once; what forbids to ask is no
    /// error.
    pub(super) async fn suspect_sub_channels(&mut self) -> Result<(), Halt> {
        let again = self.memory.open_request().is_some();
        if !self.cell.is_shape_known() && (again || !self.cell.was_asked_for_shape()) {
            let _ = self.describe_channel().await?;
            self.cell.asked_for_shape();
        }
        Ok(())
    }

    /// Who was refused as Forbidden may be banned: one look at the list of bans tells. What forbids to look is no error.
    pub(super) async fn explain_refusals(&mut self) -> Result<(), Halt> {
        if !self.forbidden {
            return Ok(());
        }
        self.forbidden = false;
        let banned = match self.all_of(Operation::ListChannelBans).await? {
            Ok(banned) => banned,
            Err(error) => {
                tracing::debug!(%error, "failed to look whether refused members are banned");
                return Ok(());
            }
        };
        let channel = self.intent.target.channel.clone();
        for name in banned.iter().filter_map(|arn| channel.name_of(arn)) {
            let Some(problem) = self.memory.problems.get(name).filter(|problem| problem.code == "Forbidden") else {
                continue;
            };
            let message =
                format!("is banned from the channel: lift the ban, or take the name out ({})", problem.message);
            self.memory.problems.explain(name, &message);
        }
        Ok(())
    }
}
