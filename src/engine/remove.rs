//! Removals: undeclared members are removed one by one, each right after a description of its
//! membership.
//!
//! The steps have a fixed order, and each can only shrink the set: undeclared for the grace period,
//! by what this process has seen → no protected role → within the limits, or approved → by an
//! uncached read of the cluster → counted in the status → described → deleted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::audit::{Action, audit};
use super::io::Io;
use super::outcome::{Effect, Outcome};
use super::progress::{ProgressReport, Waiting};
use super::protection::channel_roles;
use super::record::{Recorded, RemovalBatch, record_removals};
use super::status_writer::StatusWriter;
use super::stop::{Pause, Stop};
use super::store::Store;
use super::uncached_read::{UncachedDeclarers, read_declarers};
use crate::api::{KeepReason, Mode, Prune};
use crate::chime::backoff::Backoff;
use crate::chime::client::DEADLINE;
use crate::chime::port::{CallError, Membership, Operation, Service};
use crate::membership::arn::MemberArn;
use crate::membership::blocker::Blocker;
use crate::membership::grace::GRACE_PERIOD;
use crate::membership::guard::{NEWCOMER, Protected, Removal, Verdict};
use crate::membership::member_set::NameSet;
use crate::membership::removal::{self, is_due, within_limits};
use crate::membership::time::{between, later};

/// The most removals on one status write.
const MAX_BATCH: usize = 100;

/// No further member of a batch is begun once the uncached read is older than this.
const FRESH: Duration = Duration::from_secs(5);

/// How long an exemption is assumed without another check: a moderator of today may not be one
/// tomorrow.
const EXEMPT_FOR: Duration = Duration::from_hours(24);

/// Creator and moderators are read again before a removal if they were read longer ago than this.
const ROLES_FRESH: Duration = Duration::from_secs(10);

/// And before a plan is judged, if they were read longer ago than this.
pub(super) const ROLES_KNOWN: Duration = Duration::from_hours(1);

/// This many refused deletes in a row are not the fault of single members.
const MAX_REFUSALS: usize = 3;

/// The result of one attempt to remove a member.
enum RemovalOutcome {
    /// The membership is deleted.
    Removed,
    /// The membership was absent already; `described` says whether the service said so, or the
    /// cache.
    AlreadyAbsent { described: bool },
    /// The member stays for now.
    Kept(Effect),
    /// The decision may no longer hold.
    Replan,
    /// The service refused.
    Refused(CallError),
}

/// Removes the due candidates, as far as that is possible now.
pub(super) async fn remove_members<S: Service, T: Store>(
    io: &mut Io<'_, S, StatusWriter<'_, T>>,
    outcome: &mut Outcome<'_>,
) -> Result<(), Stop> {
    if io.spec.prune != Prune::Never && io.spec.mode != Mode::Observe {
        loop {
            match remove_batch(io, outcome).await {
                Ok(()) => {}
                Err(Pause::NoneDue) => break,
                Err(Pause::Blocked(blocker)) => {
                    outcome.blocker = Some(blocker);
                    break;
                }
                // A refused removal does not hold up additions.
                Err(Pause::Stop(Stop::Refused(error))) => {
                    outcome.removal_error = Some(error);
                    break;
                }
                Err(Pause::Stop(stop)) => return Err(stop),
            }
        }
    }
    update_candidates(io, outcome);
    outcome.conclude_removals(&io.view(), io.now());
    Ok(())
}

/// Removes one batch of due candidates.
async fn remove_batch<S: Service, T: Store>(
    io: &mut Io<'_, S, StatusWriter<'_, T>>,
    outcome: &mut Outcome<'_>,
) -> Result<(), Pause> {
    let due = due_removals(io, outcome).await?;
    if due.is_empty() {
        return Err(Pause::NoneDue);
    }
    removals_enabled(io)?;
    io.engine.removal_budget.has_budget(io.now())?;
    let uncached = read_declarers(io, outcome).await?;
    let roles = channel_roles(io, outcome, ROLES_FRESH).await?;
    let protected = io.protected_members(&roles, uncached.bearers()).ok_or(Blocker::CreatorUnknown)?;
    let batch = admit_batch(io, outcome, &uncached, &due, protected)?;
    let recorded = record_removals(io, outcome, batch).await?;
    remove_recorded(io, outcome, &recorded, uncached.read_at()).await
}

/// Returns the candidates whose removal nothing blocks, by what this process has seen.
pub(super) async fn due_removals<S: Service, P: ProgressReport>(
    io: &mut Io<'_, S, P>,
    outcome: &mut Outcome<'_>,
) -> Result<NameSet, Pause> {
    update_candidates(io, outcome);
    let candidates = &outcome.plan.candidates;
    if let Some(declarer) = outcome.facts.declarers.unknown().filter(|_| !candidates.is_empty()) {
        let why = declarer.unknown.clone().unwrap_or_default();
        return Err(Blocker::DeclarerUnknown { resource: declarer.resource.clone(), why }.into());
    }
    let (view, now) = (io.view(), io.now());
    let situation = outcome.facts.situation(&view, now);
    if !candidates.iter().any(|name| is_due(&situation, &outcome.state, name)) {
        return Ok(NameSet::default());
    }
    exclude_protected(io, outcome).await?;
    update_candidates(io, outcome);
    let (view, now) = (io.view(), io.now());
    Ok(within_limits(&outcome.facts.situation(&view, now), &outcome.state, &outcome.plan.candidates))
}

/// Recomputes the removal candidates by the registry as it is now.
pub(super) fn update_candidates<S: Service, P: ProgressReport>(io: &Io<'_, S, P>, outcome: &mut Outcome<'_>) {
    let declarers = io.engine.registry.read(&io.spec.target.channel);
    outcome.update_candidates(declarers, &io.view(), io.now());
}

/// Exempts the candidates that have a protected role, so that no plan waits for an approval that
/// would not remove them.
async fn exclude_protected<S: Service, P: ProgressReport>(
    io: &mut Io<'_, S, P>,
    outcome: &mut Outcome<'_>,
) -> Result<(), Stop> {
    let roles = channel_roles(io, outcome, ROLES_KNOWN).await?;
    let bearers: Vec<MemberArn> = outcome.facts.declarers.bearers().cloned().collect();
    let Some(protected) = io.protected_members(&roles, &bearers) else {
        outcome.blocker = Some(Blocker::CreatorUnknown);
        return Ok(());
    };
    let desired = &outcome.facts.spec.desired;
    let candidates = outcome.plan.candidates.iter();
    let exempt: Vec<(Box<str>, KeepReason)> =
        candidates.filter_map(|name| Some((name.into(), protected.reason(&desired.arn(name))?))).collect();
    let until = later(io.now(), EXEMPT_FOR);
    for (name, reason) in exempt {
        outcome.exempt(&name, reason, until);
    }
    Ok(())
}

/// Admits the due candidates by the uncached read, as many as the budget allows.
fn admit_batch<S: Service, P: ProgressReport>(
    io: &Io<'_, S, P>,
    outcome: &Outcome<'_>,
    uncached: &UncachedDeclarers,
    due: &NameSet,
    protected: Protected,
) -> Result<RemovalBatch, Blocker> {
    let (view, now) = (io.view(), io.now());
    let situation = outcome.facts.situation(&view, now);
    let declarers = uncached.declarers();
    let admitted = removal::admit(&situation, &outcome.state, declarers, due, protected);
    // A counted member is removed now: a count that waited for its hour would be that much too old.
    let most = MAX_BATCH.min(io.engine.removal_budget.available(now));
    let names: BTreeSet<String> = admitted.names().iter().take(most).map(str::to_owned).collect();
    if names.is_empty() {
        let unknown = declarers.unknown().map(|other| other.resource.clone());
        return Err(unknown.map_or(Blocker::DeclarersChanged, |resource| Blocker::DeclarerUnreadable { resource }));
    }
    Ok(RemovalBatch { admitted, names })
}

/// Describes and deletes each member of a recorded batch. `Ok` means that there may be more to
/// remove now.
async fn remove_recorded<S: Service, P: ProgressReport>(
    io: &mut Io<'_, S, P>,
    outcome: &mut Outcome<'_>,
    recorded: &Recorded<RemovalBatch>,
    read_at: Timestamp,
) -> Result<(), Pause> {
    let mut refusals = 0;
    for (index, name) in recorded.value().names.iter().enumerate() {
        if index > 0 && between(read_at, io.now()) > FRESH {
            return Ok(());
        }
        removals_enabled(io)?;
        io.engine.removal_budget.take(io.now())?;
        let mut sent = false;
        let end = remove_member(io, outcome, recorded, name, read_at, &mut sent).await;
        if !sent {
            io.engine.removal_budget.refund(io.now());
        }
        let now = io.now();
        match end? {
            RemovalOutcome::Removed => {
                outcome.fold([Effect::Released(name.as_str().into())], now);
                refusals = 0;
            }
            RemovalOutcome::AlreadyAbsent { described: true } => {
                outcome.fold([Effect::Released(name.as_str().into())], now);
            }
            RemovalOutcome::AlreadyAbsent { described: false } => {}
            RemovalOutcome::Kept(effect) => outcome.fold([effect], now),
            RemovalOutcome::Replan => return Err(Blocker::ChangedBeforeDelete.into()),
            RemovalOutcome::Refused(error) => {
                refusals += 1;
                if error.class.affects_all_calls() || refusals == MAX_REFUSALS {
                    return Err(Stop::Refused(error).into());
                }
                let member = outcome.facts.spec.desired.arn(name);
                tracing::warn!(member = member.as_str(), %error, "failed to remove a member");
                outcome.fold([Effect::DeleteRefused { name: name.as_str().into(), at: now }], now);
            }
        }
    }
    Ok(())
}

/// Describes one membership and deletes it right after. Sets `sent` when a delete is sent.
async fn remove_member<S: Service, P: ProgressReport>(
    io: &mut Io<'_, S, P>,
    outcome: &Outcome<'_>,
    recorded: &Recorded<RemovalBatch>,
    name: &str,
    read_at: Timestamp,
    sent: &mut bool,
) -> Result<RemovalOutcome, Stop> {
    let member = outcome.facts.spec.desired.arn(name);
    let (mut backoff, mut contradicted) = (Backoff::default(), false);
    loop {
        let entry = Arc::clone(&io.entry);
        let writing = io.wait(outcome, &Waiting::Permit, entry.writing.lock()).await?;
        if !io.view().has(name) {
            return Ok(RemovalOutcome::AlreadyAbsent { described: false });
        }
        let permit = io.acquire_permit(outcome, Operation::DescribeChannelMembership).await?;
        let found = match io.engine.client.describe_membership(permit, &io.spec.target, &member).await {
            Ok(found) => found,
            Err(error) if error.class.is_transient() => {
                drop(writing);
                io.back_off(outcome, &mut backoff, error).await?;
                continue;
            }
            Err(error) => return Ok(RemovalOutcome::Refused(error)),
        };
        let removal = match check_membership(io, recorded.value(), name, found.as_ref(), *sent) {
            Ok(removal) => removal,
            Err(end) => return Ok(end),
        };
        // The last moment: what is decided here is done next.
        if io.cancel.is_cancelled() {
            return Err(Stop::Interrupted);
        }
        io.still_authorized(outcome)?;
        if !recheck_before_delete(io, name, read_at) {
            return Ok(RemovalOutcome::Replan);
        }
        *sent = true;
        match delete_membership(io, outcome, removal).await {
            Ok(()) => {
                mark_removed(io, name, true);
                return Ok(RemovalOutcome::Removed);
            }
            // The delete may have had its effect: describe again, and delete only a membership that
            // still exists.
            Err(error) if error.class.is_transient() => {
                drop(writing);
                io.back_off(outcome, &mut backoff, error).await?;
            }
            // The service says this of an absent membership and of a present one: the next
            // description tells.
            Err(error) if error.code == "Conflict" && !contradicted => contradicted = true,
            Err(error) => return Ok(RemovalOutcome::Refused(error)),
        }
    }
}

/// Checks a described membership against the admitted batch. `sent` says whether a delete was sent
/// before.
fn check_membership<S: Service, P: ProgressReport>(
    io: &Io<'_, S, P>,
    batch: &RemovalBatch,
    name: &str,
    found: Option<&Membership>,
    sent: bool,
) -> Result<Removal, RemovalOutcome> {
    let now = io.now();
    let kept = |reason, pause, owned| {
        let until = later(now, pause);
        RemovalOutcome::Kept(Effect::Kept { name: name.into(), reason, until, owned })
    };
    match batch.admitted.witness(name, found, now) {
        Verdict::Remove(removal) => Ok(removal),
        Verdict::Gone => {
            mark_removed(io, name, sent);
            Err(if sent { RemovalOutcome::Removed } else { RemovalOutcome::AlreadyAbsent { described: true } })
        }
        Verdict::Stays(reason) => Err(kept(reason, exempt_for(reason), true)),
        Verdict::NotMeant(reason) => Err(kept(reason, EXEMPT_FOR, false)),
    }
}

/// Returns how long an exemption is assumed without another check.
pub(super) fn exempt_for(reason: KeepReason) -> Duration {
    if reason == KeepReason::JoinedLately { NEWCOMER } else { EXEMPT_FOR }
}

/// Returns whether the delete is still allowed: the read is recent, removals are on, and no
/// declarer known here declares the member or did so lately.
fn recheck_before_delete<S: Service, P: ProgressReport>(io: &Io<'_, S, P>, name: &str, read_at: Timestamp) -> bool {
    let (declarers, recent) = io.engine.registry.read(&io.spec.target.channel);
    let (membership_type, now) = (io.spec.target.membership_type, io.now());
    let settled = |at: Timestamp| between(at, now) >= GRACE_PERIOD;
    between(read_at, now) <= FRESH + DEADLINE
        && io.engine.settings.removals.is_on()
        && declarers.unknown().is_none()
        && !declarers.lowercased(membership_type).contains(&name.to_ascii_lowercase())
        && recent.undeclared_at(membership_type, name).is_none_or(settled)
}

fn removals_enabled<S, P>(io: &Io<'_, S, P>) -> Result<(), Blocker> {
    if io.engine.settings.removals.is_on() { Ok(()) } else { Err(Blocker::RemovalsOff) }
}

/// Deletes one membership. The permit is borrowed from waiting calls, so that nothing comes between
/// description and delete.
async fn delete_membership<S: Service, P: ProgressReport>(
    io: &mut Io<'_, S, P>,
    outcome: &Outcome<'_>,
    removal: Removal,
) -> Result<(), CallError> {
    let member = removal.member().clone();
    let permit = io.engine.client.permit_on_credit(&io.spec.target, Operation::DeleteChannelMembership);
    let deleted = io.engine.client.delete_membership(permit, &io.spec.target, removal).await?;
    io.engine.counters.count_removed();
    audit(outcome, Action::Removed, &member, deleted.request_id.as_deref());
    Ok(())
}

/// Marks a member as absent in the cache; a removal of ours is recorded for the other resources of
/// the channel.
fn mark_removed<S: Service, P: ProgressReport>(io: &Io<'_, S, P>, name: &str, by_us: bool) {
    io.entry.mark_absent([name], io.now());
    if by_us {
        let target = &io.spec.target;
        io.engine.registry.record_removal(&target.channel, target.membership_type, name, io.now());
    }
}
