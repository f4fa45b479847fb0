//! Facts about a channel besides its members: whether it is elastic, and its bans.

use std::sync::Arc;

use super::io::Io;
use super::outcome::Outcome;
use super::progress::ProgressReport;
use super::stop::{Stop, refusal};
use crate::api::Reason;
use crate::chime::caller::retry_transient;
use crate::chime::port::{ChannelInfo, ListRequest, Operation, PageItem, Service};
use crate::membership::target::Target;

/// Describes the channel, and records whether it is elastic.
pub(super) async fn describe_channel<S: Service, P: ProgressReport>(
    io: &mut Io<'_, S, P>,
    outcome: &Outcome<'_>,
) -> Result<ChannelInfo, Stop> {
    let (client, spec) = (io.engine.client.clone(), Arc::clone(&io.spec));
    let describe = |permit| client.describe_channel(permit, &spec.target);
    let info = retry_transient(&mut io.caller(outcome), Operation::DescribeChannel, describe).await?;
    io.entry.set_elastic(info.elastic);
    Ok(info)
}

/// Reads all pages of a list about the channel, as ARNs.
pub(super) async fn list_all<S: Service, P: ProgressReport>(
    io: &mut Io<'_, S, P>,
    outcome: &Outcome<'_>,
    list: impl for<'t> Fn(&'t Target) -> ListRequest<'t>,
) -> Result<Vec<String>, Stop> {
    let (client, spec) = (io.engine.client.clone(), Arc::clone(&io.spec));
    let add = |all: &mut Vec<String>, items: Vec<PageItem>| all.extend(items.into_iter().map(|item| item.id));
    client.list_all(&mut io.caller(outcome), list(&spec.target), add).await
}

/// Checks that a spec with a sub-channel is about an elastic channel.
pub(super) async fn check_sub_channel<S: Service, P: ProgressReport>(
    io: &mut Io<'_, S, P>,
    outcome: &Outcome<'_>,
) -> Result<(), Stop> {
    let Some(id) = io.spec.target.sub_channel.clone() else { return Ok(()) };
    if io.view().is_elastic() || describe_channel(io, outcome).await?.elastic {
        return Ok(());
    }
    let message = format!("spec.subChannelId {id:?} cannot be used, because the channel is not elastic: take it out");
    Err(Stop::Invalid(Reason::InvalidMember, message))
}

/// Asks once whether the channel is elastic, because a listing and something else contradict each
/// other: the members may be in sub-channels. A refused answer is no error.
pub(super) async fn detect_elastic<S: Service, P: ProgressReport>(
    io: &mut Io<'_, S, P>,
    outcome: &Outcome<'_>,
) -> Result<(), Stop> {
    let view = io.view();
    let again = io.requested_at.is_some();
    if view.elastic.is_none() && (again || !view.asked_whether_elastic) {
        let _ = refusal(describe_channel(io, outcome).await)?;
        io.entry.mark_asked_whether_elastic();
    }
    Ok(())
}

/// Reads the bans of the channel if a member was refused as Forbidden, and names the bans in the
/// errors. A refused list is no error.
pub(super) async fn annotate_banned_members<S: Service, P: ProgressReport>(
    io: &mut Io<'_, S, P>,
    outcome: &mut Outcome<'_>,
) -> Result<(), Stop> {
    if !std::mem::take(&mut outcome.any_forbidden) {
        return Ok(());
    }
    let banned = match refusal(list_all(io, outcome, |target| ListRequest::Bans(target)).await)? {
        Ok(banned) => banned,
        Err(error) => {
            tracing::debug!(%error, "failed to list the bans of the channel");
            return Ok(());
        }
    };
    let errors = &mut outcome.state.notes.errors;
    for name in banned.iter().filter_map(|arn| io.spec.target.channel.name_of(arn)) {
        let Some(error) = errors.get(name).filter(|error| error.code == "Forbidden") else { continue };
        let message = format!("is banned from the channel: lift the ban, or take the name out ({})", error.message);
        errors.explain(name, &message);
    }
    Ok(())
}
